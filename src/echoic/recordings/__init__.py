"""Telling recordings: in files and streams, in each other, beside each other in time."""
