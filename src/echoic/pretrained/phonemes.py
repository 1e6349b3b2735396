"""``phonemes``: a recogniser of the sounds of speech, of 2.3 million parameters, and a speller.

The wheel brings them as graphs under Apache-2.0, and does not say what they were trained on. They are run as
they come; none of its code is.
"""

from __future__ import annotations

from typing import Any

from echoic.encoders.card import FORMAT
from echoic.encoders.families import Family
from echoic.encoders.phonemes import SYMBOLS

__all__ = ["card"]


def card(family: Family) -> dict[str, Any]:
    """Fill in the card, but for what the files tell; ``sha256`` has their kinds in the family's order."""
    return {
        "format": FORMAT,
        "sample_rate": 16_000,
        "window": 10.0,
        "hop": 9.0,
        "dim": len(SYMBOLS),
        "by": "frame",
        "frame_rate": 50.0,
        "inputs": ["audio"],
        "purposes": ["phrases"],
        "licence": family.licence,
        "reference": family.reference,
        "description": family.description,
        "front_end": {"kind": "waveform"},
        "graph": {"input": "waveform", "output": "log_probs"},
        "sha256": dict.fromkeys(("graph", "letters", "sounds", "symbols"), ""),
    }
