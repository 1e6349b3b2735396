"""Sounds made from nothing: the demo collection, and the test suite's source of audio.

Everything is a pure function of its arguments and a seed: no global state, no order of calls.
"""

from echoic.audio.synthesis.collection import long_recording, write_collection
from echoic.audio.synthesis.pieces import PIECES, make_piece
from echoic.audio.synthesis.signals import noise, tone
from echoic.audio.synthesis.sounds import FAMILIES, make_sound, talk

__all__ = [
    "FAMILIES",
    "PIECES",
    "long_recording",
    "make_piece",
    "make_sound",
    "noise",
    "talk",
    "tone",
    "write_collection",
]
