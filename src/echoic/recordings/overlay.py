"""A query beside one recording: how well it fits at any start and any speed.

Between a recording's windows its vectors are interpolated as a Gaussian process would, so that a start is
found to a few hundredths of a second where windows lie half a second apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from echoic.types import Float32

__all__ = ["SPEEDS", "STEP", "Overlay", "possible"]

Float64 = npt.NDArray[np.float64]

#: Speeds that are looked at.
SPEEDS = np.round(np.arange(0.90, 1.1001, 0.01), 2)
#: Seconds between the starts that are tried at first.
STEP = 1 / 16

_FINEST = 1 / 500
_NEAR = 3.0  # s around an alignment within which it is refined
# The bell that cosines follow around the true place: its deviation in seconds, and what is left far away.
# Measured on degraded music; noise and rooms lower the bell and leave its width.
_BELL = 0.3
_FAR = 0.35
_JITTER = 1e-3  # a recording's last window may lie close to the one before
# What a speed other than 1 must improve the fit by, for a query of a second; less for longer ones.
_PLAIN_SPEED = 0.03
_EACH_HALF = 0.25  # of that, either half of a query at least
_REACH = 0.7  # hops that a window may lie from its neighbour: the edge of a recording, or of silence
_DIGITS = 9  # of a fit that mean something
_COVERED = 0.6  # of the query's windows must lie inside of the recording


def possible(speed: float) -> float:
    """Bring a speed into the range that is looked at."""
    return float(np.clip(speed, SPEEDS[0], SPEEDS[-1]))


@dataclass(frozen=True, eq=False)
class Overlay:
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

    def near(self, start: float, speed: float) -> Overlay:
        """Leave out what is far from an alignment, of which a long recording has much."""
        places = start + speed * self.query_centres[[0, -1]]
        first = max(0, int(np.searchsorted(self.centres, places[0] - _NEAR)) - 4)
        last = int(np.searchsorted(self.centres, places[1] + _NEAR)) + 4
        part = slice(first, last)
        return replace(
            self, cosines=self.cosines[:, part], vectors=self.vectors[part], centres=self.centres[part]
        )

    def of(self, rows: slice) -> Overlay:
        """Keep some of the query's windows."""
        return replace(self, cosines=self.cosines[rows], query_centres=self.query_centres[rows])

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
        nearest_first = np.array(sorted(range(-6, 7), key=abs), np.float64)
        slower = min(0.01, STEP / self.span) * nearest_first
        fit, place, speed = self._climb(start + speed * middle, speed + slower, middle, 2 / self.span)
        start = place - speed * middle
        as_it_is, plain = self.held(start, speed, 1.0)
        needed = _PLAIN_SPEED / (1 + self.span)
        if as_it_is > fit - needed:
            return plain, 1.0, speed
        if not self.gains_throughout(self, (plain, 1.0), (start, speed), needed):
            return plain, 1.0, 1.0
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
            at = int(np.argmax(np.round(fits, _DIGITS)))
            return float(fits[at]), float(places[at]), float(tried[at])

        # The nearest first: of what fits alike, as all does beside a single window, the first is taken.
        shifts = STEP * np.array([0, 1, -1, 2, -2, 3, -3], np.float64)
        value, place, speed = best_of(np.repeat(place + shifts, len(speeds)), np.tile(speeds, len(shifts)))
        step = STEP / 2
        while step > _FINEST:
            faster = step * speed_per_step
            places = place + step * np.array([1.0, -1.0, 0.0, 0.0])
            tried = np.clip(speed + faster * np.array([0.0, 0.0, 1.0, -1.0]), SPEEDS[0], SPEEDS[-1])
            reached = best_of(places, tried)
            if round(reached[0] - value, _DIGITS) > 0:
                value, place, speed = reached
            else:
                step /= 2
        return value, place, speed

    def fits(self, starts: Float64, speeds: Float64) -> Float64:
        """Average the cosines with the recording's vectors at each window's very place: (alignments,)."""
        fits: Float64 = self._each(starts, speeds).mean(axis=1)
        return fits

    def gains_throughout(
        self, before: Overlay, plain: tuple[float, float], other: tuple[float, float], needed: float
    ) -> bool:
        """Tell whether another (start, speed) fits better than a plain one did before, early and late.

        A speed that is real moves both ends of a query away from a plain alignment. Windows half of which
        are silent, or sound with something else, lie at one end.
        """

        def halves(overlay: Overlay, start: float, speed: float) -> list[float]:
            each = overlay._each(np.array([start]), np.array([speed]))[0]
            return [float(half.mean()) for half in np.array_split(each, 2) if len(half)]

        gains = zip(halves(self, *other), halves(before, *plain), strict=False)
        return min(fit - plain_fit for fit, plain_fit in gains) >= _EACH_HALF * needed

    def _each(self, starts: Float64, speeds: Float64) -> Float64:
        """Give each window's cosine at its very place, 0 outside of the recording: (alignments, windows)."""
        first, weights, inside = self._interpolation(starts[:, None] + speeds[:, None] * self.query_centres)
        around = first[..., None] + np.arange(weights.shape[-1])
        cosines = (weights * self.cosines[self._row[:, None], around]).sum(axis=-1)
        squares = (np.matmul(weights[..., None, :], self._likenesses[first])[..., 0, :] * weights).sum(
            axis=-1
        )
        each: Float64 = cosines / np.sqrt(squares) * inside
        return each

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
