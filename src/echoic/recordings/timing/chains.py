"""Passages that two recordings share, found from few fingerprints of each.

Each window of the second finds its nearest in the first. Where both play the same, the places found go on as
the time does: such chains are found by dynamic programming, as programs that map pieces of genomes do it.

References
----------
Li, "Minimap2: pairwise alignment for nucleotide sequences", Bioinformatics 34, 2018, section 2.1.
Fischler and Bolles, "Random sample consensus", Communications of the ACM 24, 1981.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.types import Float32, Segments

__all__ = ["Chain", "Hits", "find_chains", "fit_line", "hits_between"]

Float64 = npt.NDArray[np.float64]

_MOST_HITS = 20  # of a window
_UNLIKE = 0.2  # a cosine that says nothing
_GAP = 6.0  # s that a chain may go on without a hit
_SHAKE = 0.3  # s that a place may lie off
_BEND = 0.1  # how much faster or slower the one may play
_WAITING = 0.01  # what a second without a hit costs
_WEAK, _USUAL = 0.4, 75  # of what a good second of a chain weighs, what each must; per cent of those below it
_BACK = 2.0  # good seconds of a chain that going back in the first must be worth
_LEAST = 0.8  # what a chain must weigh: a few windows that are nearly the same
_ROWS = 512  # windows compared at a time
_NEAR = 0.25  # s that a hit may lie from its line
_PLAIN, _PLAINER = 2e-3, 1.3  # how close to 1 a speed is taken for a clock's, and what that counts for
_MOSTLY = 0.4  # of the time between two points in which others must lie near a line for both to be of it
_PAIRS = 500  # tried


class Hits(NamedTuple):
    """Places in the first where moments of the second may lie, in order of time.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Which moment of the second each is of.
    times, places : ndarray of float64, shape (n,)
        Seconds.
    weights : ndarray of float64, shape (n,)
        What speaks for each.
    """

    rows: npt.NDArray[np.int64]
    times: Float64
    places: Float64
    weights: Float64


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Windows of the second, where they lie in the first (seconds, of the middles), and what each weighs."""

    times: Float64
    places: Float64
    weights: Float64

    @property
    def weight(self) -> float:
        return float(self.weights.sum())

    def of(self, rows: npt.NDArray[np.int64]) -> Chain:
        """Give some of its windows."""
        return Chain(self.times[rows], self.places[rows], self.weights[rows])


def find_chains(hits: Hits) -> list[Chain]:
    """Find the passages in which hits go on as the time does, the heaviest first.

    Of passages that lie at one time of the second, those are taken that explain most of it together. No two
    of them overlap by more than half of the lighter one.
    """
    rows, times, places, weights = hits
    if not len(rows):
        return []
    totals, before = _linked(rows, times, places, weights)
    found: list[Chain] = []
    used = np.zeros(len(rows), bool)
    for last in np.argsort(-totals, kind="stable"):
        if totals[last] < _LEAST:
            break
        at, members = int(last), []
        while at >= 0 and not used[at]:
            members.append(at)
            used[at] = True
            at = int(before[at])
        weight = float(totals[last] - (totals[at] if at >= 0 else 0.0))
        if weight < _LEAST or len(members) < 2:
            continue
        members.reverse()
        for chain in _dense(Chain(times[members], places[members], weights[members])):
            found += _straightened(chain)
    return sorted(_explaining(found), key=lambda chain: -chain.weight)


def _explaining(chains: list[Chain]) -> list[Chain]:
    """Choose the chains that explain most of the second together, by dynamic programming.

    In music that repeats itself, many do at each time. Going back in the first costs something, so that what
    goes on there as here is preferred wherever it explains as much.
    """
    if not chains:
        return []
    chains = sorted(chains, key=lambda chain: float(chain.times[0]))
    starts, ends, froms, tos, weights = (
        np.array(column)
        for column in zip(
            *((c.times[0], c.times[-1], c.places[0], c.places[-1], c.weight) for c in chains), strict=True
        )
    )
    densities = weights / (ends - starts + 1)
    back = _BACK * float(densities[np.argmax(weights)])
    totals, before = weights.copy(), np.full(len(chains), -1)
    for at in range(1, len(chains)):
        shared = np.maximum(0.0, ends[:at] - starts[at])
        shorter = np.minimum(ends[:at] - starts[:at], ends[at] - starts[at])
        gains = totals[:at] - shared * np.minimum(densities[:at], densities[at])
        gains -= back * (froms[at] < tos[:at] - shared - 2 * _SHAKE)
        gains[(shared > shorter / 2) | (ends[:at] >= ends[at])] = 0.0
        best = int(np.argmax(gains))
        if gains[best] > 0:
            totals[at] += gains[best]
            before[at] = best
    taken, one = [], int(np.argmax(totals))
    while one >= 0:
        taken.append(chains[one])
        one = int(before[one])
    return taken


def _dense(chain: Chain) -> list[Chain]:
    """Cut a chain where little speaks for it: by chance it goes on into what lies beside another passage."""
    found, left = [], [chain]
    while left:
        whole = left.pop()
        if len(whole.times) < 2 or whole.weight < _LEAST:
            continue
        _, seconds = np.unique(np.floor(whole.times), return_inverse=True)
        cost = _WEAK * float(np.percentile(np.bincount(seconds, whole.weights), _USUAL))
        passing = np.diff(whole.times, prepend=whole.times[0])
        sums = np.cumsum(whole.weights - cost * passing)
        begun = sums - whole.weights  # had it begun with each, for whose time nothing is to be paid
        last = int(np.argmax(sums - np.minimum.accumulate(begun)))
        first = int(np.argmin(begun[: last + 1]))
        found.append(whole.of(np.arange(first, last + 1)))
        left += [whole.of(np.arange(first)), whole.of(np.arange(last + 1, len(sums)))]
    return found


def _straightened(chain: Chain) -> list[Chain]:
    """Cut a chain into those that lie on one line: many small steps can lead from one line to another."""
    if len(chain.times) < 2 or chain.weight < _LEAST:
        return []
    # Where something was cut again and again, a slanted line lies near some of each part.
    _, _, near = fit_line(chain.times, chain.places, unbroken=True)
    if near.all():
        return [chain]
    if near.sum() < 2:
        return []
    straight: list[Chain] = []
    for begin, end in itertools.pairwise([0, *(np.flatnonzero(np.diff(chain.times[near]) > _GAP) + 1), None]):
        part = chain.of(np.flatnonzero(near)[begin:end])
        straight += [part] if part.weight >= _LEAST and len(part.times) > 1 else []
    changes = np.flatnonzero(np.diff(near)) + 1
    for rows in np.split(np.arange(len(near)), changes):
        if not near[rows[0]]:
            straight += _straightened(chain.of(rows))
    return straight


def hits_between(query: Segments, known: Segments) -> Hits:
    """Give the nearest of each window of the second among those of the first.

    Where the neighbours of a window are alike, too, the place is between them.
    """
    if not len(query) or not len(known):
        return Hits(np.empty(0, np.int64), np.empty(0), np.empty(0), np.empty(0))
    n_hits = int(np.clip(len(known) // 20, 3, _MOST_HITS))
    centres = (known.starts + known.ends) / 2
    found = []
    for at in range(0, len(query), _ROWS):
        cosines = query.vectors[at : at + _ROWS] @ known.vectors.T
        peaks = cosines.copy()
        peaks[:, 1:][cosines[:, 1:] < cosines[:, :-1]] = -1
        peaks[:, :-1][cosines[:, :-1] < cosines[:, 1:]] = -1
        best = np.argpartition(-peaks, min(n_hits, peaks.shape[1]) - 1, axis=1)[:, :n_hits]
        row, column = np.repeat(np.arange(len(peaks)), best.shape[1]), best.ravel()
        good = peaks[row, column] > _UNLIKE
        row, column = row[good], column[good]
        found.append(
            (row + at, _between(cosines, row, column, centres), cosines[row, column] - np.float32(_UNLIKE))
        )
    rows, places, weights = (np.concatenate(part) for part in zip(*found, strict=True))
    times = (query.starts + query.ends)[rows] / 2
    return Hits(rows, times, places, np.square(weights.astype(np.float64)))


def _between(
    cosines: Float32, row: npt.NDArray[np.int64], column: npt.NDArray[np.int64], centres: Float64
) -> Float64:
    """Move places to where a bell through three cosines has its top."""
    left, right = np.maximum(column - 1, 0), np.minimum(column + 1, len(centres) - 1)
    heights = [
        np.log(np.maximum(cosines[row, at].astype(np.float64) - _UNLIKE, 0.02))
        for at in (left, column, right)
    ]
    bend = heights[0] - 2 * heights[1] + heights[2]
    inside = (left < column) & (column < right) & (bend < 0)
    moved = np.where(inside, (heights[0] - heights[2]) / np.where(inside, 2 * bend, 1.0), 0.0)
    step = np.where(moved > 0, centres[right] - centres[column], centres[column] - centres[left])
    places: Float64 = centres[column] + np.clip(moved, -0.5, 0.5) * step
    return places


def _linked(
    rows: npt.NDArray[np.int64], times: Float64, places: Float64, weights: Float64
) -> tuple[Float64, npt.NDArray[np.int64]]:
    """Give the weight of the best chain that ends with each hit, and the hit before it in that, or -1."""
    totals, before = weights.copy(), np.full(len(rows), -1)
    edges = np.concatenate([[0], np.flatnonzero(np.diff(rows)) + 1, [len(rows)]])
    for first, last in itertools.pairwise(edges):
        since = int(np.searchsorted(times, times[first] - _GAP))
        if since == first:
            continue
        passed = times[first] - times[since:first]
        off = np.abs(places[first:last, None] - places[None, since:first] - passed)
        cost = _WAITING * passed + 0.05 * np.square(off / _SHAKE)
        gains = np.where(off <= _SHAKE + _BEND * passed, totals[since:first] - cost, -1.0)
        best = gains.argmax(axis=1)
        gain = gains[np.arange(len(best)), best]
        grown = gain > 0
        totals[first:last][grown] += gain[grown]
        before[first:last][grown] = since + best[grown]
    return totals, before


def fit_line(
    times: Float64, places: Float64, unbroken: bool = False
) -> tuple[float, float, npt.NDArray[np.bool_]]:
    """Find the line ``offset + speed × time`` that most points lie near; ``unbroken``: one after the other.

    Returns
    -------
    offset, speed : float
    near : ndarray of bool, shape (n,)
        Which points lie within a quarter of a second.
    """
    rng = np.random.default_rng(0)
    some = slice(None, None, 1 + len(times) // _PAIRS)
    one, other = rng.integers(0, len(times), (_PAIRS, 2)).T
    apart = np.abs(times[one] - times[other]) > 1
    one, other = one[apart], other[apart]
    slopes = (places[one] - places[other]) / (times[one] - times[other])
    likely = np.abs(slopes - 1) <= _BEND
    one, slopes = one[likely], slopes[likely]
    offsets = np.concatenate([(places - times)[some], places[one] - slopes * times[one]])
    speeds = np.concatenate([np.ones(len(offsets) - len(slopes)), slopes])
    distances = np.abs(places[None] - offsets[:, None] - speeds[:, None] * times[None])
    fits = 1 - np.square(np.minimum(distances / _NEAR, 1))
    if unbroken:
        passed = np.diff(times, prepend=times[0])
        sums = np.cumsum(fits - _MOSTLY * passed / max(float(np.median(passed)), 1e-3), axis=1)
        value = (sums - np.minimum.accumulate(np.pad(sums, ((0, 0), (1, 0)))[:, :-1], axis=1)).max(axis=1)
    else:
        value = fits.mean(axis=1)
    # Where something was cut, a slanted line lies near both parts, and a plain one on the longer of them.
    best = int(np.argmax(value * np.where(np.abs(speeds - 1) < _PLAIN, _PLAINER, 1.0)))
    offset, speed = float(offsets[best]), float(speeds[best])
    near = distances[best] < _NEAR
    for _ in range(2):
        if near.sum() > 2 and np.ptp(times[near]) > 1:
            pace, place = (float(value) for value in np.polyfit(times[near], places[near], 1))
            if abs(pace - 1) > _BEND:
                break
            speed, offset = pace, place
            near = np.abs(places - offset - speed * times) < _NEAR
    return offset, speed, near
