"""What of a sound lies within reach of encoders, and what a person should know of the rest."""

from __future__ import annotations

from echoic.audio.levels import SILENCE, Loudest
from echoic.types import Float32, Note

__all__ = ["Reach"]

# What lies above an encoder's reach is told from where on it makes the loudest moment this much louder.
_MOSTLY_ABOVE = 10.0


class Reach:
    """What of a sound lies within reach of an encoder: its loudest moment as recorded, and as heard."""

    def __init__(self, recorded_rate: int, heard_rate: int) -> None:
        self._limit = f"{heard_rate / 2000:g} kHz"
        self._recorded = Loudest(recorded_rate)
        self.heard = Loudest(heard_rate)

    def push(self, block: Float32) -> None:
        """Take the next samples as recorded."""
        self._recorded.push(block)

    @property
    def is_silent(self) -> bool:
        """Whether there has been no sound so far.

        What a resampler makes of an offset where it begins and ends, a click at either end, is none.
        """
        return self._recorded.power < SILENCE

    def notes(self, is_encoded: bool) -> list[Note]:
        """Say what is out of reach, of a sound of which something, or nothing, was encoded."""
        if self._recorded.power >= _MOSTLY_ABOVE * max(SILENCE, self.heard.power):
            share = "most" if is_encoded else "all"
            above = f"{share} of its sound lies above {self._limit}, which is not heard"
            return [Note("ultrasound", above)]
        return [] if is_encoded else [Note("silence", "no sound in it")]
