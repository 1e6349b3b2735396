"""Passages that are heard twice: every moment of all recordings is compared with every other.

What two windows have in common counts as far as it is more than they have with strangers. A second of windows
in a row that have it, beside a second of others, is a candidate; those that go on from each other are one.
Along it a line is laid, at the speed that fits best, and followed as far as the two are alike. It is told by
how much more alike they are on the line than a little beside it: noise and long tones are alike anyway.

The products of all pairs of windows are made a tile at a time, which stays in the processor's cache. They are
as many as the square of the hours, and none is kept that is no hit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.recordings.repeats.timeline import HOP, Timeline
from echoic.types import Float32

__all__ = ["Passage", "passages"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_ROWS, _COLUMNS = 256, 4096  # windows of a tile
_TOGETHER = 4  # windows in a row
_ALIKE = 0.1  # above what is usual, on average over them
_GOES_ON, _OFF = 1.6, 0.256  # s that a candidate may go on without a hit, and that its places may lie off
_LEAST = 1.5  # what the hits of a candidate must add up to
_STEP = HOP / 2  # s at which a line is followed
_AROUND = 3.0  # s before and after its hits
_SPEEDS = np.concatenate([[0.0], np.delete(np.arange(-10, 11), 10) * 0.01])
_TELLS_SPEED = 3.0  # s of hits from which on another speed than 1 is tried
_OTHER_SPEED = 0.3  # times what it differs from 1, which another speed must gain
_SHIFTS = np.arange(-5, 6) * 0.06  # s
_BESIDE = np.array([-3.0, -2.3, -1.7, -1.2, 1.2, 1.7, 2.3, 3.0])  # s
_EDGE = 0.18  # s that lie outside of the windows that are half alike
# A logistic model of one number, fitted on programmes of the `train` half: how much more alike the two are on
# the line than beside it, times the root of the seconds.
_WEIGHT, _BIAS = 25.0, -21.25


class Passage(NamedTuple):
    """A stretch of the timeline that is heard once more, and where: ``there + pace × (time - begin)``."""

    begin: float
    end: float
    there: float
    pace: float
    score: float
    weight: float

    @property
    def there_end(self) -> float:
        return self.there + self.pace * (self.end - self.begin)


class _Candidate(NamedTuple):
    """Hits that go on from each other: times, how far on the other one lies, and what each weighs."""

    times: Float64
    offsets: Float64
    weights: Float64


def passages(
    timeline: Timeline, apart: float, min_score: float, came: Callable[[float], None]
) -> list[Passage]:
    """Find what is heard twice, the longest and surest first.

    Parameters
    ----------
    timeline : Timeline
    apart : float
        Seconds that must lie between two moments of one recording.
    min_score : float
        Probability from which on a passage is told.
    came : callable
        Called with the share of the work that is done, 0 … 1.
    """
    if len(timeline) <= _TOGETHER:
        return []
    found: list[Passage] = []
    candidates = list(_candidates(*_hits(timeline, apart, came)))
    for candidate in sorted(candidates, key=lambda one: -float(one.weights.sum())):
        if any(_is_within(candidate, passage) for passage in found):
            continue
        passage = _followed(timeline, candidate)
        if passage.score >= min_score:
            found.append(passage)
    return sorted(found, key=lambda passage: -passage.weight)


def _hits(
    timeline: Timeline, apart: float, came: Callable[[float], None]
) -> tuple[Float64, Float64, Float64]:
    """Find the moments that are alike for a second: when, how far on the other is, by how much."""
    ones = np.ones((len(timeline), 1), np.float32)
    usual = timeline.usual[:, None] / 2
    here = np.concatenate([timeline.vectors, -usual, ones], axis=1)
    there = np.concatenate([timeline.vectors, ones, -usual], axis=1)
    times, n = timeline.times, len(timeline) - _TOGETHER + 1
    found: list[tuple[Int64, Int64, Float32]] = []
    for row in range(0, n, _ROWS):
        last = min(n, row + _ROWS)
        for column in range(row, n, _COLUMNS):
            until = min(n, column + _COLUMNS)
            tile = here[row : last + _TOGETHER - 1] @ there[column : until + _TOGETHER - 1].T
            at, other, weight = _peaks(tile, row, column)
            far = (times[other] - times[at] >= apart) & (other > at)
            found.append((at[far], other[far], weight[far]))
        came(float(1 - np.square(1 - last / n)))  # what is left is a triangle
    at, other, weight = (np.concatenate(part) for part in zip(*found, strict=True))
    middle = times[at] + (_TOGETHER - 1) / 2 * HOP
    return middle, times[other] - times[at], weight.astype(np.float64)


def _peaks(tile: Float32, row: int, column: int) -> tuple[Int64, Int64, Float32]:
    """Give the rows and columns of a tile at which a second is alike, more than at the next columns."""
    n_rows, n_columns = (size - _TOGETHER + 1 for size in tile.shape)
    sums = tile[:n_rows, :n_columns].copy()
    for step in range(1, _TOGETHER):
        sums += tile[step : step + n_rows, step : step + n_columns]
    at, other = np.nonzero(sums > _TOGETHER * _ALIKE)
    value = sums[at, other]
    before, after = sums[at, np.maximum(other - 1, 0)], sums[at, np.minimum(other + 1, n_columns - 1)]
    top = (value >= before) & (value >= after)
    return at[top] + row, other[top] + column, value[top] / _TOGETHER


def _candidates(times: Float64, offsets: Float64, weights: Float64) -> Iterator[_Candidate]:
    """Put together hits that go on from each other, and give those that weigh enough."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if not len(times):
        return
    links = []
    for shift in (0, 1):  # bins that overlap by half
        bins = (np.floor(offsets / _OFF).astype(np.int64) + shift) // 2
        order = np.lexsort((times, bins))
        on = (np.diff(bins[order]) == 0) & (np.diff(times[order]) <= _GOES_ON)
        links.append((order[:-1][on], order[1:][on]))
    one, other = (np.concatenate(part) for part in zip(*links, strict=True))
    graph = coo_matrix((np.ones(len(one), np.bool_), (one, other)), shape=(len(times), len(times)))
    _, labels = connected_components(graph, directed=False)
    order = np.argsort(labels, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        if weights[rows].sum() >= _LEAST:
            yield _Candidate(times[rows], offsets[rows], weights[rows])


def _is_within(candidate: _Candidate, passage: Passage) -> bool:
    """Tell whether the two sides of a candidate lie within those of a passage: in a loop, a bar aside."""
    here = candidate.times
    there = here + candidate.offsets
    return bool(
        passage.begin - _AROUND <= here.min()
        and here.max() <= passage.end + _AROUND
        and passage.there - _AROUND <= there.min()
        and there.max() <= passage.there_end + _AROUND
    )


def _followed(timeline: Timeline, candidate: _Candidate) -> Passage:
    """Lay a line along a candidate, follow it as far as the two are alike, and judge it."""
    times, weights = candidate.times, candidate.weights
    middle, offset = (float(np.average(v, weights=weights)) for v in (times, candidate.offsets))
    first, last = float(times.min()), float(times.max())
    grid = np.arange(first - _AROUND, last + _AROUND, _STEP)
    own, usual = timeline.at(grid)
    inner = (grid >= first - _STEP) & (grid <= last + _STEP)

    def along(shift: float, speed: float, rows: slice | npt.NDArray[np.bool_] = slice(None)) -> Float64:
        vectors, theirs = timeline.at((grid + offset + shift + speed * (grid - middle))[rows])
        alike: Float64 = np.einsum("nd,nd->n", own[rows], vectors) - (usual[rows] + theirs) / 2
        return alike

    def fit(shift: float, speed: float) -> float:
        return float(along(shift, speed, inner).mean()) - _OTHER_SPEED * abs(speed)

    speeds = _SPEEDS if last - first >= _TELLS_SPEED else _SPEEDS[:1]
    _, speed, shift = max((fit(float(s), float(v)), float(v), float(s)) for v in speeds for s in _SHIFTS)
    if speed:
        finer = speed + np.array([0.0, -0.005, -0.0025, 0.0025, 0.005])
        _, speed, shift = max((fit(float(s), float(v)), float(v), float(s)) for v in finer for s in _SHIFTS)
    alike = along(shift, speed)
    level = float(np.quantile(alike[inner], 0.6)) / 2
    rows = _best_run(alike - level)
    begin, end = float(grid[rows.start]) - _EDGE, float(grid[rows.stop - 1]) + _EDGE
    beside = np.mean([along(shift + float(by), speed, rows).mean() for by in _BESIDE])
    weight = float(alike[rows].mean() - beside) * np.sqrt(_STEP * (rows.stop - rows.start))
    return Passage(
        begin=begin,
        end=end,
        there=begin + offset + shift + speed * (begin - middle),
        pace=1 + speed,
        score=float(1 / (1 + np.exp(-(_WEIGHT * weight + _BIAS)))),
        weight=weight,
    )


def _best_run(values: Float64) -> slice:
    """Give the rows in a row whose values add up to most; at least one."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    last = 1 + int(np.argmax((sums - np.minimum.accumulate(sums))[1:]))
    return slice(int(np.argmin(sums[:last])), last)
