"""Laying two recordings of one event side by side in time."""
