"""How well an encoder finds, guessed where nothing tells what is alike: by what is known to be.

Two halves of a cut are of one recording, and a copy of it that was degraded is the same sound. An encoder
that finds them among all other cuts of the sample is likely to find what else is alike; it need not be so.
Where voices or microphones tell recordings apart, and words are what is looked for, it misleads.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from echoic.advice.cuts import Cut
from echoic.advice.trial import Trial
from echoic.types import Float32

__all__ = ["Likeness"]

_EQUALISED = (100.0, 600.0, 2000.0, 6000.0)  # Hz
_GAINS = 12.0  # dB, up or down
_NOISE = (5.0, 15.0)  # dB, of the sound over the noise
_MIXED = (0.0, 6.0)  # dB, of the sound over another of the collection
_SPEEDS = (0.92, 0.95, 1.05, 1.08)


class Likeness:
    """Cuts, their halves and their degraded copies, by the vectors of each encoder.

    Parameters
    ----------
    names : sequence of str
        Of the encoders.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._rows: dict[str, list[list[Float32]]] = {name: [] for name in names}
        self._before: Cut | None = None

    def hear(self, cut: Cut, trials: Sequence[Trial], rng: np.random.Generator) -> None:
        """Take the next cut, and encode what is made of it by each encoder."""
        other, self._before = self._before, cut
        made = [*_halves(cut.samples), *_copies(cut, cut if other is None else other, rng)]
        rows: dict[str, list[Float32]] = {}
        for trial in trials:
            points = [trial.point(samples, cut.sample_rate) for samples in (cut.samples, *made)]
            rows[trial.name] = [point for point in points if point is not None]
            if len(rows[trial.name]) < len(points):
                return  # a half is silent
        for name, row in rows.items():
            self._rows[name].append(row)

    @property
    def n_cuts(self) -> int:
        """How many cuts were taken."""
        return min(map(len, self._rows.values()))

    def figures(self, name: str) -> tuple[float, float]:
        """Tell mean average precision and precision at 1, as each query has one right answer."""
        whole, first, second, *copies = (np.stack(column) for column in zip(*self._rows[name], strict=True))
        ranks = [_ranks(first, second), _ranks(second, first), *(_ranks(copy, whole) for copy in copies)]
        # Halves of both kinds together count as one of the copies does.
        weights = [0.5, 0.5, *(1.0 for _ in copies)]
        precision = np.average([(1 / rank).mean() for rank in ranks], weights=weights)
        first_hits = np.average([(rank == 1).mean() for rank in ranks], weights=weights)
        return float(precision), float(first_hits)


def _ranks(queries: Float32, searched: Float32) -> Float32:
    """Rank, (n,), each query's own row among those searched, both (n, dim); of equals it comes last."""
    cosines = queries @ searched.T
    own = np.diagonal(cosines)[:, None]
    others = ~np.eye(len(cosines), dtype=bool)
    ranks: Float32 = 1 + ((cosines >= own) & others).sum(axis=1).astype(np.float32)
    return ranks


def _halves(samples: Float32) -> tuple[Float32, Float32]:
    middle = len(samples) // 2
    return samples[:middle], samples[middle:]


def _copies(cut: Cut, other: Cut, rng: np.random.Generator) -> list[Float32]:
    """Make copies of a cut: under noise, at another speed, and under another sound of the collection."""
    from echoic.training.augment.waveform import add_noise, change_speed, coloured_noise, equalise

    samples, rate = cut.samples, cut.sample_rate
    noise = coloured_noise(len(samples), rng.uniform(0, 2), rng)

    def coloured(sound: Float32) -> Float32:
        return equalise(sound, rate, _EQUALISED, rng.uniform(-_GAINS, _GAINS, len(_EQUALISED)))

    return [
        add_noise(coloured(samples), noise, rng.uniform(*_NOISE)),
        coloured(change_speed(samples, rng.choice(_SPEEDS))),
        add_noise(samples, np.resize(other.samples, len(samples)), rng.uniform(*_MIXED)),
    ]
