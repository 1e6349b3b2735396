"""Where in which recording a stretch of sound belongs, and what speaks for it.

A query is cut into windows much closer to each other than those of the recordings in the library. Every
window finds its nearest neighbours; each neighbour votes for a recording, a start in it and a speed (start =
place found - speed × place in the query). The alignments with most votes are scored again with the
recordings' own vectors, between whose windows the start is refined.

How similar the two are is no evidence by itself: drones resemble each other, noise resembles nothing. What
counts is what an alignment has over everything else: other recordings of the library, and a cohort of windows
that ships with the model, so that a library of one recording can be told apart from it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from echoic.stores.base import VectorStore
from echoic.types import Float32, Neighbor, Segments

__all__ = ["FEATURES", "Alignment", "align", "realign"]

Float64 = npt.NDArray[np.float64]

#: Names of the numbers that an alignment is judged by, see :func:`_evidence`.
FEATURES = (
    "similarity",
    "over_best_other",
    "over_five_others",
    "deviations_over_cohort",
    "share_won",
    "over_second_alignment",
    "scatter",
    "log_windows",
)

_SPEEDS = np.round(np.arange(0.90, 1.1001, 0.01), 2)
# Of each window. Many windows need few each: what counts is how many agree.
_MOST_NEIGHBOURS, _LEAST_NEIGHBOURS, _VOTES = 60, 20, 1_200
_LEAST_SIMILARITY = 0.2  # a neighbour below it has no vote
_BIN = 0.25  # s, of the start that is voted for
_FILES = 24  # recordings that votes are counted for
_BINS_PER_SPEED = 12
_ALIGNMENTS = 60  # that are scored with the recordings' vectors
_FINE = 1 / 16  # s
_FINEST = 1 / 500
_NEAR = 3.0  # s around an alignment within which it is refined
# The bell that cosines follow around the true place: its deviation in seconds, and what is left far away.
# Measured on degraded music; noise and rooms lower the bell and leave its width.
_BELL = 0.3
_FAR = 0.35
_JITTER = 1e-3  # a recording's last window may lie close to the one before
# What a speed other than 1 must improve the fit by, for a query of a second; less for longer ones.
_PLAIN_SPEED = 0.03
# The same, where the pitch is brought back as well. In ten seconds, 19 of 20 excerpts under noise or in rooms
# gain .007 at most if they play as they are, and 19 of 20 that are 2 % fast gain .014 at least.
_OTHER_PITCH = 0.06
_HARDLY_FAST = 0.006  # a speed that is not looked for by its pitch
_PACE = 0.02  # of the speeds that a parabola is laid through: the pitch tells less of what is closer
_REACH = 0.7  # hops that a window may lie from its neighbour: the edge of a recording, or of silence
_NEARLY_AS_GOOD = 0.7  # as the best alignment, in which a copy of it may score
# Cosine of two files' vectors at one place from which on they hold the same sound. Codecs leave .9 and more;
# different music that one query was laid against has .3 to .5.
_SAME_SOUND = 0.75
_OTHERS = 5
_COVERED = 0.6  # of the query's windows must lie inside of the recording


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """A query laid against a recording.

    Parameters
    ----------
    file_id : int
    start : float
        Seconds: where in the recording the query's own time 0 lies.
    speed : float
        1.04: the query plays the recording 4 % fast.
    covered : ndarray of bool, shape (windows,)
        Which windows of the query lie inside of the recording.
    similarities : ndarray of float64, shape (windows,)
        Cosine of each window with the better of the two beside its place in the recording.
    margins : ndarray of float64, shape (windows,)
        What that is more than the best cosine with any other recording.
    evidence : ndarray of float64, shape (len(FEATURES),)
    best_speed : float
        The speed that fits best; ``speed`` is 1 where that fits about as well.
    track : _Track
        The query beside that part of the recording.
    """

    file_id: int
    start: float
    speed: float
    covered: npt.NDArray[np.bool_]
    similarities: Float64
    margins: Float64
    evidence: Float64
    best_speed: float
    track: _Track


def align(
    query: Segments,
    store: VectorStore,
    starts_of: Callable[[int], Float64],
    cohort: Float32,
    *,
    window: float,
    hop: float,
    without: int | None = None,
) -> list[Alignment]:
    """Find the recording that a stretch of sound may be, in every file that holds it.

    Parameters
    ----------
    query : Segments
        Of one stretch, densely cut.
    store : VectorStore
    starts_of : callable
        Gives the start of each stored window of a file, in seconds.
    cohort : ndarray of float32, shape (n, dim)
        Windows of recordings that are in no library.
    window, hop : float
        Seconds of a window, and between two of a recording.
    without : int, optional
        A file not to look into: the query's own.

    Returns
    -------
    list of Alignment
        One a file, the best first: the others hold the same sound at that place, as copies do. Empty if
        nothing is similar at all.
    """
    if not len(query):
        return []
    n_neighbours = min(_MOST_NEIGHBOURS, max(_LEAST_NEIGHBOURS, _VOTES // len(query)))
    neighbours = store.search(query.vectors, n_neighbours)
    if without is not None:
        neighbours = [[n for n in found if n.file_id != without] for found in neighbours]
    centres = query.starts + window / 2
    places: dict[int, list[tuple[float, float]]] = {}
    for file_id, start, speed in _vote(neighbours, centres, starts_of, window):
        places.setdefault(file_id, []).append((start, speed))
    tracks: dict[int, _Track] = {}
    found: dict[int, tuple[float, float, float]] = {}
    for file_id, candidates in places.items():
        vectors, starts = store.vectors(file_id), starts_of(file_id)
        if len(vectors) != len(starts) or not len(starts):  # gone, or changed since it was found
            continue
        cosines = query.vectors @ vectors.T
        tracks[file_id] = track = _Track(cosines, centres, vectors, starts + window / 2, hop)
        rough, speeds = np.array(candidates).T
        fine = (rough[:, None] + _FINE * np.arange(-4, 5, dtype=np.float64)).ravel()
        speeds = np.repeat(speeds, len(fine) // len(rough))
        scores = track.scores(fine, speeds)
        best = int(np.argmax(scores))
        if scores[best] > 0:
            found[file_id] = float(scores[best]), float(fine[best]), float(speeds[best])
    ranked = sorted(found, key=lambda file_id: (-found[file_id][0], file_id))
    if not ranked:
        return []
    # What one file has over another that holds the same sound is nothing: copies are judged as one.
    first = ranked[0]
    copies = [i for i in ranked if i == first or _is_copy(tracks[first], found[first], tracks[i], found[i])]
    second = max((found[i][0] for i in ranked if i not in copies), default=0.0)
    cohort_cosines = query.vectors @ cohort.T
    others = _best_others(neighbours, cohort_cosines, set(copies))
    alignments = []
    for file_id in copies:
        score, start, speed = found[file_id]
        track = tracks[file_id].near(start, speed)
        start, speed, best_speed = track.refined(start, speed)
        similarities, weights = track.along(start, speed)
        if not weights.any():
            continue
        evidence = _evidence(similarities, weights, others, cohort_cosines, score - second)
        margins = similarities - others[:, 0]
        alignments.append(
            Alignment(file_id, start, speed, weights > 0, similarities, margins, evidence, best_speed, track)
        )
    return alignments


def realign(alignment: Alignment, at_speed: Callable[[float], Segments], window: float) -> Alignment:
    """Find how fast a query plays by its pitch as well, which tells more than its times do.

    What plays fast sounds most like its recording when it is brought back to the very speed: the fit has a
    peak there, found by a parabola.

    Parameters
    ----------
    alignment : Alignment
    at_speed : callable
        Encodes the query as it sounds when what plays at some speed is brought back to its own; with the
        spans that its windows have in the query.
    window : float
        Seconds, of the recording.

    Returns
    -------
    Alignment
        The same one if it does not fit better: what was sped up with its pitch kept does not.
    """
    speed, track = alignment.best_speed, alignment.track
    if abs(speed - 1) < _HARDLY_FAST:
        return alignment

    @cache
    def look(speed: float) -> tuple[float, float]:
        query = at_speed(speed)
        centres = query.starts + window / speed / 2
        again = replace(track, cosines=query.vectors @ track.vectors.T, query_centres=centres)
        return again.held(alignment.start, alignment.speed, speed)

    (fit,) = track.fits(np.array([alignment.start]), np.array([alignment.speed]))
    needed = fit + _OTHER_PITCH / (1 + track.span)
    if look(speed)[0] < needed:
        return alignment
    for _ in range(2):
        slower, as_found, faster = (look(_possible(speed + step))[0] for step in (-_PACE, 0.0, _PACE))
        bend = slower - 2 * as_found + faster
        moved = (
            float(np.clip((slower - faster) / (2 * bend), -1, 1)) if bend < 0 else np.sign(faster - slower)
        )
        speed = _possible(speed + _PACE * moved)
        if abs(moved) < 0.5:
            break
    fit, start = look(speed)
    return replace(alignment, start=start, speed=speed) if fit >= needed else alignment


def _possible(speed: float) -> float:
    return float(np.clip(speed, _SPEEDS[0], _SPEEDS[-1]))


def _is_copy(
    one: _Track, at: tuple[float, float, float], other: _Track, there: tuple[float, float, float]
) -> bool:
    """Tell whether two files hold the same sound where a query was laid against them."""
    (score, *place), (other_score, *other_place) = at, there
    if other_score < _NEARLY_AS_GOOD * score:
        return False
    (vectors, inside), (other_vectors, other_inside) = one.vectors_at(*place), other.vectors_at(*other_place)
    both = inside & other_inside
    return bool(both.any()) and float((vectors * other_vectors).sum(axis=1)[both].mean()) >= _SAME_SOUND


def _vote(
    neighbours: list[list[Neighbor]],
    centres: Float64,
    starts_of: Callable[[int], Float64],
    window: float,
) -> list[tuple[int, float, float]]:
    """Give the (file, start, speed) that most neighbours agree on, most votes first."""
    rows = [
        (at, n.file_id, n.segment, n.score - _LEAST_SIMILARITY)
        for at, found in enumerate(neighbours)
        for n in found
        if n.score > _LEAST_SIMILARITY
    ]
    if not rows:
        return []
    table = np.array(rows)
    at, files, segments = (table[:, i].astype(np.int64) for i in range(3))
    votes = table[:, 3] ** 2
    names, inverse = np.unique(files, return_inverse=True)
    kept = np.argsort(-np.bincount(inverse, votes), kind="stable")[:_FILES]
    chosen = np.isin(inverse, kept)
    at, segments, votes, inverse = at[chosen], segments[chosen], votes[chosen], inverse[chosen]
    places = np.empty(len(at))
    for number in kept:
        mine = inverse == number
        starts = starts_of(int(names[number]))
        inside = segments[mine] < len(starts)
        places[mine] = (
            np.where(inside, starts[np.where(inside, segments[mine], 0)], np.nan) if len(starts) else np.nan
        )
    known = ~np.isnan(places)
    at, places, votes, inverse = at[known], places[known] + window / 2, votes[known], inverse[known]
    if not len(at):
        return []
    counted: list[tuple[float, int, float, float]] = []
    for speed in _SPEEDS:
        bins = np.round((places - speed * centres[at]) / _BIN).astype(np.int64)
        low = bins.min()
        width = int(bins.max() - low) + 1
        keys, index = np.unique(inverse * width + (bins - low), return_inverse=True)
        totals = np.bincount(index, votes)
        for best in np.argsort(-totals, kind="stable")[:_BINS_PER_SPEED]:
            number, place = divmod(int(keys[best]), width)
            start = (place + low) * _BIN
            counted.append((float(totals[best]), int(names[number]), float(start), float(speed)))
    counted.sort(key=lambda row: (-row[0], row[1:]))
    return [row[1:] for row in counted[:_ALIGNMENTS]]


@dataclass(frozen=True, eq=False)
class _Track:
    """A query beside one recording, or a part of it: the cosine of every pair of their windows.

    Parameters
    ----------
    cosines : ndarray of float32, shape (windows of the query, windows of the recording)
    query_centres, centres : ndarray of float64
        Seconds: the middle of each window of the two.
    vectors : ndarray of float32, shape (windows of the recording, dim)
    hop : float
        Seconds.
    """

    cosines: Float32
    query_centres: Float64
    vectors: Float32
    centres: Float64
    hop: float

    def near(self, start: float, speed: float) -> _Track:
        """Leave out what is far from an alignment, of which a long recording has much."""
        places = start + speed * self.query_centres[[0, -1]]
        first = max(0, int(np.searchsorted(self.centres, places[0] - _NEAR)) - 4)
        last = int(np.searchsorted(self.centres, places[1] + _NEAR)) + 4
        part = slice(first, last)
        return replace(
            self, cosines=self.cosines[:, part], vectors=self.vectors[part], centres=self.centres[part]
        )

    @cached_property
    def span(self) -> float:
        """Seconds between the query's first window and its last, or 1."""
        return float(np.ptp(self.query_centres)) or 1.0

    @cached_property
    def _row(self) -> npt.NDArray[np.int64]:
        return np.arange(len(self.query_centres))

    def _beside(self, starts: Float64, speeds: Float64) -> tuple[Float64, Float64, Float64]:
        """Look up the cosines of each query window around its place, for several alignments.

        Returns
        -------
        nearer, best, weights : ndarray of float64, shape (starts, windows)
            The cosine with the nearer of the two windows around the place and with the better one, 0 outside
            of the recording; the weight is the higher the nearer one of them is, and 0 outside.
        """
        places = starts[:, None] + speeds[:, None] * self.query_centres
        after = np.clip(np.searchsorted(self.centres, places), 1, max(1, len(self.centres) - 1))
        before = after - 1
        after = np.minimum(after, len(self.centres) - 1)
        gaps_before = np.abs(places - self.centres[before]) / self.hop
        gaps_after = np.abs(places - self.centres[after]) / self.hop
        nearest = np.minimum(gaps_before, gaps_after)
        left = np.where(gaps_before <= 1, self.cosines[self._row, before], -1.0)
        right = np.where(gaps_after <= 1, self.cosines[self._row, after], -1.0)
        inside = nearest <= _REACH
        nearer = np.where(inside, np.where(gaps_before <= gaps_after, left, right), 0.0)
        best = np.where(inside, np.maximum(left, right), 0.0)
        return nearer, best, np.where(inside, 1.2 - 1.6 * np.minimum(nearest, 0.5), 0.0)

    def scores(self, starts: Float64, speeds: Float64) -> Float64:
        """Average the cosines along alignments; windows outside of the recording count as 0.

        An alignment is 0 as a whole if too little of the query lies in the recording.
        """
        nearer, best, weights = self._beside(starts, speeds)
        totals = weights.sum(axis=1)
        covered = (weights > 0).mean(axis=1)
        means = ((nearer + best) / 2 * weights).sum(axis=1) / np.where(totals > 0, totals, 1.0)
        return np.where(covered >= _COVERED, means * covered, 0.0)

    def along(self, start: float, speed: float) -> tuple[Float64, Float64]:
        """Give each window's cosine along an alignment, and its weight, 0 outside of the recording."""
        _, best, weights = self._beside(np.array([start]), np.array([speed]))
        return best[0], weights[0]

    def refined(self, start: float, speed: float) -> tuple[float, float, float]:
        """Move an alignment to where it fits best: (start, speed, the best speed).

        The speed is 1 where that fits about as well as the best.
        """
        middle = float(self.query_centres.mean())
        # At first over a grid: a start that is a little off and a speed that is make up for each other.
        slower = min(0.01, _FINE / self.span) * np.arange(-6, 7, dtype=np.float64)
        fit, place, speed = self._climb(start + speed * middle, speed + slower, middle, 2 / self.span)
        start = place - speed * middle
        as_it_is, plain = self.held(start, speed, 1.0)
        if as_it_is > fit - _PLAIN_SPEED / (1 + self.span):
            return plain, 1.0, speed
        return start, speed, speed

    def held(self, start: float, speed: float, other: float) -> tuple[float, float]:
        """Find the (fit, start) that fits best around an alignment at another speed."""
        middle = float(self.query_centres.mean())
        fit, place, _ = self._climb(start + speed * middle, np.array([other]), middle, 0.0)
        return fit, place - other * middle

    def _climb(
        self, place: float, speeds: Float64, middle: float, speed_per_step: float
    ) -> tuple[float, float, float]:
        """Find the best (fit, place of the query's middle, speed) near a place, from some speeds."""

        def best_of(places: Float64, tried: Float64) -> tuple[float, float, float]:
            fits = self.fits(places - tried * middle, tried)
            at = int(np.argmax(fits))
            return float(fits[at]), float(places[at]), float(tried[at])

        shifts = _FINE * np.arange(-3, 4, dtype=np.float64)
        value, place, speed = best_of(np.repeat(place + shifts, len(speeds)), np.tile(speeds, len(shifts)))
        step = _FINE / 2
        while step > _FINEST:
            faster = step * speed_per_step
            places = place + step * np.array([1.0, -1.0, 0.0, 0.0])
            tried = np.clip(speed + faster * np.array([0.0, 0.0, 1.0, -1.0]), _SPEEDS[0], _SPEEDS[-1])
            reached = best_of(places, tried)
            if reached[0] > value:
                value, place, speed = reached
            else:
                step /= 2
        return value, place, speed

    def fits(self, starts: Float64, speeds: Float64) -> Float64:
        """Average the cosines with the recording's vectors at each window's very place: (alignments,)."""
        first, weights, inside = self._interpolation(starts[:, None] + speeds[:, None] * self.query_centres)
        around = first[..., None] + np.arange(weights.shape[-1])
        cosines = (weights * self.cosines[self._row[:, None], around]).sum(axis=-1)
        squares = (np.matmul(weights[..., None, :], self._likenesses[first])[..., 0, :] * weights).sum(
            axis=-1
        )
        fits: Float64 = (cosines / np.sqrt(squares) * inside).mean(axis=1)
        return fits

    def vectors_at(self, start: float, speed: float) -> tuple[Float64, npt.NDArray[np.bool_]]:
        """Give the recording's unit vectors at each window's place, and which places it has."""
        first, weights, inside = self._interpolation(start + speed * self.query_centres)
        around = first[:, None] + np.arange(weights.shape[1])
        vectors = np.einsum("nk,nkd->nd", weights, self.vectors[around])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), inside

    def _interpolation(self, places: Float64) -> tuple[npt.NDArray[np.int64], Float64, npt.NDArray[np.bool_]]:
        """Say how the vectors at some places, of shape (…), are made of the four around each.

        As a Gaussian process would: cosines of two windows of one recording depend on their distance alone,
        near enough.

        Returns
        -------
        first : ndarray of int64, shape (…)
            The first of the four rows of the recording's vectors; fewer where it has fewer.
        weights : ndarray of float64, shape (…, 4)
            What each counts.
        inside : ndarray of bool, shape (…)
        """
        before = np.searchsorted(self.centres, places) - 1
        first = np.clip(before - 1, 0, max(0, len(self.centres) - 4))
        around = first[..., None] + np.arange(min(4, len(self.centres)))
        distances = places[..., None] - self.centres[around]
        inside = np.abs(distances).min(axis=-1) <= _REACH * self.hop
        weights = np.matmul(_likeness(distances)[..., None, :], self._precisions[first])[..., 0, :]
        return first, weights, inside

    @cached_property
    def _fours(self) -> npt.NDArray[np.int64]:
        """Every four windows in a row, by the first."""
        n = min(4, len(self.centres))
        return np.arange(len(self.centres) - n + 1)[:, None] + np.arange(n)

    @cached_property
    def _likenesses(self) -> Float64:
        """The cosines of every four vectors in a row with each other, (rows, 4, 4)."""
        vectors = self.vectors[self._fours].astype(np.float64)
        likenesses: Float64 = np.matmul(vectors, vectors.transpose(0, 2, 1))
        return likenesses

    @cached_property
    def _precisions(self) -> Float64:
        """Inverse covariances of every four windows in a row, by the first: most lie a hop apart, not all."""
        centres = self.centres[self._fours]
        apart = centres[:, :, None] - centres[:, None, :]
        covariances = _likeness(apart) + _JITTER * np.eye(centres.shape[1])
        return np.linalg.inv(covariances).astype(np.float64, copy=False)


def _likeness(distance: Float64) -> Float64:
    """Expect the cosine of two windows of one recording that lie ``distance`` seconds apart."""
    return _FAR + (1 - _FAR) * np.exp(-0.5 * np.square(distance / _BELL))


def _best_others(neighbours: list[list[Neighbor]], cohort: Float32, without: Set[int]) -> Float64:
    """Give the five best cosines of each window with other recordings, one a recording: (n, 5)."""
    top = -np.sort(-cohort, axis=1)[:, :_OTHERS].astype(np.float64)
    rows = []
    for found, of_cohort in zip(neighbours, top, strict=True):
        best: dict[int, float] = {}
        for n in found:
            if n.file_id not in without and n.file_id not in best:
                best[n.file_id] = n.score
        rows.append(np.sort(np.concatenate([list(best.values()), of_cohort]))[::-1][:_OTHERS])
    return np.array(rows)


def _evidence(
    similarities: Float64, weights: Float64, others: Float64, cohort: Float32, over_second: float
) -> Float64:
    """Sum up what speaks for an alignment, in the order of :data:`FEATURES`."""

    def mean(values: Float64) -> float:
        return float((values * weights).sum() / weights.sum())

    covered = weights > 0
    margin = similarities - others[:, 0]
    spread = cohort.std(axis=1) + 0.02
    return np.array(
        [
            mean(similarities),
            mean(margin),
            mean(similarities - others.mean(axis=1)),
            mean((similarities - cohort.mean(axis=1)) / spread),
            float((margin[covered] > 0).mean()),
            over_second,
            float(similarities[covered].std()),
            float(np.log(covered.sum())),
        ]
    )
