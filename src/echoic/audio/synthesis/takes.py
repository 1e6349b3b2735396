"""How the settings of the takes of a family are drawn.

By Latin hypercube sampling: in every ten takes each setting (pitch, tempo, room, level …) falls once into
each tenth of its range, so the takes of a family are spread evenly instead of happening to resemble each
other.

References
----------
McKay, Beckman and Conover, "A comparison of three methods for selecting values of input variables",
Technometrics 21(2), 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

__all__ = ["Take"]

T = TypeVar("T")

_STRATA = 10


class Take:
    """The settings of one take: numbers drawn in a fixed order, and a generator for its noise."""

    def __init__(self, seed: int, family: int, take: int, sample_rate: int) -> None:
        block, self._row = divmod(take, _STRATA)
        # The last number keeps the streams apart: trailing zeros would not change a seed. The settings have
        # streams of their own, so that they do not hang on how much noise a sample rate asks for.
        self._strata = np.random.default_rng([seed, family, block, 1])
        self.rng = np.random.default_rng([seed, family, take, 2])
        self._within = np.random.default_rng([seed, family, take, 3])
        self.sample_rate = sample_rate

    def share(self) -> float:
        """Draw from 0–1."""
        stratum = int(self._strata.permutation(_STRATA)[self._row])
        return float((stratum + self._within.uniform()) / _STRATA)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.share()

    def pitch(self, low: float, high: float) -> float:
        """Draw evenly on a logarithmic scale."""
        return float(low * (high / low) ** self.share())

    def choose(self, options: Sequence[T]) -> T:
        """Draw one of ``options``, all of them equally often."""
        return options[int(self.share() * len(options))]

    def samples(self, seconds: float) -> int:
        """Convert a length."""
        return round(seconds * self.sample_rate)
