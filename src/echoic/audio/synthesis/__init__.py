"""Sounds made from nothing: the sounds of the demo, and the test suite's source of audio.

Everything is a pure function of its arguments and a seed: no global state, no order of calls.
"""

from echoic.audio.synthesis.demo import long_recording, write_demo
from echoic.audio.synthesis.pieces import ARRANGEMENTS, PIECES, make_piece, make_version
from echoic.audio.synthesis.signals import noise, tone
from echoic.audio.synthesis.sounds import FAMILIES, make_sound, say, talk

__all__ = [
    "ARRANGEMENTS",
    "FAMILIES",
    "PIECES",
    "long_recording",
    "make_piece",
    "make_sound",
    "make_version",
    "noise",
    "say",
    "talk",
    "tone",
    "write_demo",
]
