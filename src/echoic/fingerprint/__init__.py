"""Identification: which known recording is heard, from when to when, at what speed; or none."""
