"""Encoders: audio windows in, unit vectors out."""
