"""What is found, as other programs read it: one file a format, each with what reads it back.

Writers take spans one at a time, so that a search of any length can be written while it runs.
"""
