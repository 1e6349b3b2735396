"""Where, in a stretch of sound, one recording takes over from another.

The likeliest path through the stretch's windows is looked for (Viterbi, "Error bounds for convolutional codes
and an asymptotically optimum decoding algorithm", IEEE TIT 13, 1967): at each, one of the places where a few
seconds around it may lie, or nothing known; and every change from one to another costs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.recordings.alignment import Comparison, Place

__all__ = ["Part", "best_run", "parts"]

Float64 = npt.NDArray[np.float64]

_PIECE = 4.0  # s: what is heard for so long is found
_EVERY = 2.0  # s between the pieces that places are looked for with
_PLACES = 4  # of each piece
_CHANGE = 1.0  # what going from one place to another costs, in cosines over what a stranger has
_LEAST, _FEWEST = 2.5, 8  # s, and windows, that a part has
_SAME = 0.3  # s that places may differ by and be one


class Part(NamedTuple):
    """Windows in a row, from ``first`` up to but not with ``last``, that seem to be of one recording."""

    place: Place
    first: int
    last: int


def parts(comparison: Comparison, known: list[Place]) -> list[Part]:
    """Divide a stretch into what seems to be of one recording each; what is of none is left out.

    Parameters
    ----------
    comparison : Comparison
    known : list of Place
        Where the stretch would lie if what was heard before goes on.
    """
    places = [*known, *_places(comparison)]
    if not places:
        return []
    gains = []
    for place in places:
        similarities, inside = comparison.along(place)
        gains.append(np.where(inside, similarities - comparison.over_cohort, -1.0))
    path = _likeliest(np.array([np.zeros(len(comparison.centres)), *gains]))
    edges = np.flatnonzero(np.diff(path)) + 1
    found: list[Part] = []
    for first, last in zip([0, *edges], [*edges, len(path)], strict=True):
        if path[first] == 0:
            continue
        part = Part(places[path[first] - 1], int(first), int(last))
        if found and found[-1].last == part.first and _agree(found[-1].place, part.place, comparison, first):
            longer = max(found[-1], part, key=lambda one: one.last - one.first)
            found[-1] = Part(longer.place, found[-1].first, part.last)
        else:
            found.append(part)
    centres = comparison.centres
    return [
        part
        for part in found
        if part.last - part.first >= _FEWEST and centres[part.last - 1] - centres[part.first] >= _LEAST
    ]


def _places(comparison: Comparison) -> list[Place]:
    starts, ends = comparison.query.starts, comparison.query.ends
    found: list[Place] = []
    begin = float(starts[0])
    while True:
        first = int(np.searchsorted(starts, begin))
        last = int(np.searchsorted(ends, begin + _PIECE, side="right"))
        if last > first:
            found += comparison.shortlist(slice(first, last), _PLACES)
        if begin + _PIECE >= ends[-1]:
            return list(dict.fromkeys(found))
        begin += _EVERY


def _agree(one: Place, other: Place, comparison: Comparison, at: int) -> bool:
    time = float(comparison.centres[at])
    apart = one.start - other.start + (one.speed - other.speed) * time
    return one.file_id == other.file_id and abs(apart) < _SAME


def _likeliest(gains: Float64) -> npt.NDArray[np.int64]:
    """Choose a row for each column so that what is gained, less the cost of changes, is most."""
    n_rows, n = gains.shape
    came_from = np.empty((n, n_rows), np.int64)
    total = gains[:, 0].copy()
    for at in range(1, n):
        best = int(np.argmax(total))
        changes = total[best] - _CHANGE > total
        came_from[at] = np.where(changes, best, np.arange(n_rows))
        total = np.where(changes, total[best] - _CHANGE, total) + gains[:, at]
    path = np.empty(n, np.int64)
    path[-1] = int(np.argmax(total))
    for at in range(n - 1, 0, -1):
        path[at - 1] = came_from[at, path[at]]
    return path


def best_run(values: Float64) -> tuple[int, int]:
    """Find the first and last index of the run with the largest sum (Kadane's algorithm)."""
    best, span, total, begin = -np.inf, (0, 0), 0.0, 0
    for at, value in enumerate(values):
        if total <= 0:
            total, begin = 0.0, at
        total += float(value)
        if total > best:
            best, span = total, (begin, at)
    return span
