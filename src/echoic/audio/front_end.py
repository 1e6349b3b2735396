"""What makes of a window of sound what a network takes: values that compare, so that encoders share them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol

from echoic.types import Float32
from echoic.untrusted import check_whole_number

__all__ = ["FrontEnd", "Waveform"]


class FrontEnd(Hashable, Protocol):
    """Turns windows of mono audio into what a network takes; equal settings give equal features."""

    @property
    def sample_rate(self) -> int:
        """Hz of the audio."""
        ...

    def axes(self, n_samples: int) -> Mapping[str, int]:
        """Name the axes of the features of a window of so many samples, and say how long each is.

        Raises
        ------
        ValueError
            If such a window has no features, or more of them than can be computed.
        """
        ...

    def __call__(self, windows: Float32) -> Float32:
        """Compute the features of windows, (n, samples) → (n, *axes)."""
        ...


@dataclass(frozen=True, slots=True)
class Waveform:
    """The samples themselves, for networks that listen to raw audio.

    Parameters
    ----------
    sample_rate : int
        Hz.

    Raises
    ------
    ValueError
        If the rate is no sensible one.
    """

    sample_rate: int

    def __post_init__(self) -> None:
        check_whole_number("sample_rate", self.sample_rate, 1_000, 768_000)

    def axes(self, n_samples: int) -> dict[str, int]:
        """Say how many samples a window has."""
        return {"samples": n_samples}

    def __call__(self, windows: Float32) -> Float32:
        """Return the windows as they are."""
        return windows
