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

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.recordings.evidence import FEATURES, OTHERS, best_others, weighed
from echoic.recordings.loops import SAME_PLACE
from echoic.recordings.overlay import SPEEDS, STEP, Overlay, possible
from echoic.storage.vectors.base import VectorStore
from echoic.types import Float32, Segments

__all__ = ["Alignment", "Comparison", "Place", "align", "realign"]

Float64 = npt.NDArray[np.float64]

# Of each window. Many windows need few each: what counts is how many agree.
_MOST_NEIGHBOURS, _LEAST_NEIGHBOURS, _VOTES = 60, 20, 1_200
_LEAST_SIMILARITY = 0.2  # a neighbour below it has no vote
_BIN = 0.25  # s, of the start that is voted for
_FILES = 24  # recordings that votes are counted for
_BINS_PER_SPEED = 12
_ALIGNMENTS = 60  # that are scored with the recordings' vectors
# What a speed other than 1 must improve the fit by where the pitch is brought back as well, for a query of
# a second. In ten seconds, 19 of 20 excerpts under noise or in rooms gain .007 at most if they play as they
# are, and 19 of 20 that are 2 % fast gain .014 at least.
_OTHER_PITCH = 0.06
_HARDLY_FAST = 0.006  # a speed that is not looked for by its pitch
_PACE = 0.02  # of the speeds that a parabola is laid through: the pitch tells less of what is closer
_NEARLY_AS_GOOD = 0.7  # as the best alignment, in which a copy of it may score
_GOES_ON = 0.95  # the same, of an alignment that goes on from what was heard before
# What another place in the same recording must have of the fit; the very same sound has .98 at least.
_SAME_FIT, _ROUGH = 0.97, 0.05
# Cosine of two files' vectors at one place from which on they hold the same sound. Codecs leave .9 and more;
# different music that one query was laid against has .3 to .5.
_SAME_SOUND = 0.75
_OVERLAP = 1.0  # s that two places may have in common
_COARSE_SPEEDS = np.array([0.91, 0.94, 0.97, 1.0, 1.03, 1.06, 1.09])
_THINNED = 4  # of so many windows one looks for further places


class Place(NamedTuple):
    """Where the time 0 of a query lies in a recording, in seconds, and how fast the query plays it."""

    file_id: int
    start: float
    speed: float


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """A query, or some of its windows in a row, laid against a recording.

    Parameters
    ----------
    file_id : int
    start : float
        Seconds: where in the recording the query's own time 0 lies.
    speed : float
        1.04: the query plays the recording 4 % fast.
    covered : ndarray of bool, shape (windows,)
        Which windows lie inside of the recording.
    similarities : ndarray of float64, shape (windows,)
        Cosine of each window with the better of the two beside its place in the recording.
    others : ndarray of float64, shape (windows, 5)
        The best cosines of each window with other recordings, one a recording, the best first.
    evidence : ndarray of float64, shape (len(FEATURES),)
    best_speed : float
        The speed that fits best; ``speed`` is 1 where that fits about as well.
    overlay : Overlay
        The windows beside that part of the recording.
    """

    file_id: int
    start: float
    speed: float
    covered: npt.NDArray[np.bool_]
    similarities: Float64
    others: Float64
    evidence: Float64
    best_speed: float
    overlay: Overlay

    @property
    def margins(self) -> Float64:
        """What each window's similarity is more than that with any other recording."""
        margins: Float64 = self.similarities - self.others[:, 0]
        return margins

    @property
    def fit(self) -> float:
        """The mean cosine with the recording at each window's very place."""
        return float(self.overlay.fits(np.array([self.start]), np.array([self.speed]))[0])


def align(
    query: Segments,
    store: VectorStore,
    cohort: Float32,
    *,
    window: float,
    hop: float,
) -> list[Alignment]:
    """Find the recording that a stretch of sound may be, in every file that holds it.

    See :class:`Comparison`, whose :meth:`~Comparison.align` this is.
    """
    return Comparison(query, store, cohort, window=window, hop=hop).align()


class Comparison:
    """A stretch of sound beside the recordings that resemble it.

    Parameters
    ----------
    query : Segments
        Of one stretch, densely cut.
    store : VectorStore
    cohort : ndarray of float32, shape (n, dim)
        Windows of recordings that are in no library.
    window, hop : float
        Seconds of a window, and between two of a recording.
    within : set of int, optional
        The only files to look into.
    without : set of int
        Files not to look into: the query's own.
    each : int
        How many windows each stands for, of those that the evidence is weighed by.
    """

    def __init__(
        self,
        query: Segments,
        store: VectorStore,
        cohort: Float32,
        *,
        window: float,
        hop: float,
        within: Set[int] | None = None,
        without: Set[int] = frozenset(),
        each: int = 1,
    ) -> None:
        self.query = query
        self.centres = query.starts + window / 2
        self._store = store
        self._window, self._hop, self._each = window, hop, each
        n_neighbours = min(_MOST_NEIGHBOURS, max(_LEAST_NEIGHBOURS, _VOTES // max(1, each * len(query))))
        self._neighbours = store.search(query.vectors, n_neighbours, within=within).without(without)
        self._cohort = query.vectors @ cohort.T
        self._best_of_cohort = -np.sort(-self._cohort, axis=1)[:, :OTHERS]
        self._ballots = self._cast()
        self._overlays: dict[int, Overlay | None] = {}

    @property
    def over_cohort(self) -> Float64:
        """The best cosine of each window with the cohort: what a stranger has."""
        best: Float64 = self._cohort.max(axis=1).astype(np.float64)
        return best

    def align(self, rows: slice = slice(None), known: Sequence[Place] = ()) -> list[Alignment]:
        """Find the recording that some windows in a row may be, in every file that holds it.

        Parameters
        ----------
        rows : slice
            All by default.
        known : sequence of Place
            Where they would lie if what was heard before goes on. Such a place is kept where it fits about
            as well as any other of its file, as music repeats itself.

        Returns
        -------
        list of Alignment
            One a file, the best first: the others hold the same sound at that place, as copies do. Empty if
            nothing is similar at all.
        """
        found: dict[int, tuple[float, float, float]] = {}
        overlays: dict[int, Overlay] = {}
        of_file: dict[int, list[tuple[float, float]]] = {}
        for place in (*self._candidates(rows), *known):
            of_file.setdefault(place.file_id, []).append(place[1:])
        self._lay(of_file)
        for file_id, candidates in of_file.items():
            whole = self.overlay(file_id)
            if whole is None:
                continue
            overlays[file_id] = overlay = whole.of(rows)
            best = _best_place(overlay, candidates)
            going_on = _best_place(overlay, [place[1:] for place in known if place.file_id == file_id])
            if best is not None:
                goes_on = going_on is not None and going_on[0] >= _GOES_ON * best[0]
                found[file_id] = going_on if goes_on and going_on is not None else best
        ranked = sorted(found, key=lambda file_id: (-found[file_id][0], file_id))
        if not ranked:
            return []
        # What one file has over another that holds the same sound is nothing: copies are judged as one.
        first = ranked[0]
        copies = [
            i for i in ranked if i == first or _is_copy(overlays[first], found[first], overlays[i], found[i])
        ]
        second = max((found[i][0] for i in ranked if i not in copies), default=0.0)
        others = best_others(self._neighbours[rows], self._best_of_cohort[rows], set(copies))
        alignments = []
        for file_id in copies:
            score, start, speed = found[file_id]
            aligned = self._aligned(
                Place(file_id, start, speed), rows, overlays[file_id], others, score - second
            )
            if aligned is not None:
                alignments.append(aligned)
        return alignments

    def places(self, alignment: Alignment, rows: slice = slice(None)) -> list[Alignment]:
        """Find where else in its file the very same sound lies, the nearest to the query first."""
        whole = self.overlay(alignment.file_id)
        if whole is None:
            return []
        overlay = whole.of(rows)
        here = alignment.fit, alignment.start, alignment.speed
        over_second = float(alignment.evidence[FEATURES.index("over_second_alignment")])
        length = overlay.span + self._window
        starts = overlay.centres - alignment.speed * overlay.query_centres[0]
        speeds = np.full(len(starts), alignment.speed)
        scores = overlay.of(slice(None, None, _THINNED)).scores(starts, speeds)
        found, apart = [alignment], [alignment.start]
        for at in np.argsort(-scores, kind="stable"):
            if scores[at] < _NEARLY_AS_GOOD * here[0]:
                break
            if min(abs(float(starts[at]) - start) for start in apart) < length / 2:
                continue
            apart.append(float(starts[at]))
            best = _best_place(overlay, [(float(starts[at]), alignment.speed)], steps=8)
            # A place that is not refined yet is off by hundredths of a second at most.
            if best is None or _likeness(overlay, here, overlay, best) < SAME_PLACE - _ROUGH:
                continue
            there = self._aligned(
                Place(alignment.file_id, *best[1:]), rows, overlay, alignment.others, over_second
            )
            if (
                there is not None
                and there.fit >= _SAME_FIT * here[0]
                and min(abs(there.start - other.start) for other in found) >= length - _OVERLAP
                and _likeness(overlay, here, overlay, (there.fit, there.start, there.speed)) >= SAME_PLACE
            ):
                found.append(there)
        return sorted(found[1:], key=lambda other: -other.fit)

    def along(self, place: Place) -> tuple[Float64, npt.NDArray[np.bool_]]:
        """Give the cosine of every window of the stretch with a recording, and which lie inside of it."""
        overlay = self.overlay(place.file_id)
        if overlay is None:
            return np.zeros(len(self.query)), np.zeros(len(self.query), np.bool_)
        similarities, weights = overlay.along(place.start, place.speed)
        return similarities, weights > 0

    def edges(self, file_id: int) -> tuple[float, float]:
        """Tell from when to when a recording has windows, in seconds of its own."""
        overlay = self.overlay(file_id)
        if overlay is None:
            return 0.0, 0.0
        half = self._window / 2
        return float(overlay.centres[0]) - half, float(overlay.centres[-1]) + half

    def shortlist(self, rows: slice, most: int) -> list[Place]:
        """Find the places where some windows in a row may lie, the best first, quickly."""
        of_file: dict[int, list[tuple[float, float]]] = {}
        for place in self._candidates(rows, _COARSE_SPEEDS, files=most, per_speed=most):
            of_file.setdefault(place.file_id, []).append(place[1:])
        self._lay(of_file)
        found: list[tuple[float, Place]] = []
        for file_id, candidates in of_file.items():
            whole = self.overlay(file_id)
            best = None if whole is None else _best_place(whole.of(rows), candidates)
            if best is not None:
                found.append((best[0], Place(file_id, *best[1:])))
        return [place for _, place in sorted(found, key=lambda row: -row[0])[:most]]

    def overlay(self, file_id: int) -> Overlay | None:
        """Lay the whole stretch beside a file; None if that is gone since it was found."""
        self._lay([file_id])
        return self._overlays[file_id]

    def _lay(self, file_ids: Iterable[int]) -> None:
        """Lay the whole stretch beside files, all that are new at once."""
        new = [file_id for file_id in file_ids if file_id not in self._overlays]
        if not new:
            return
        stored = self._store.fetch(new)
        for file_id in new:
            file, overlay = stored.get(file_id), None
            if file is not None:
                cosines = self.query.vectors @ file.vectors.T
                overlay = Overlay(
                    cosines, self.centres, file.vectors, file.starts + self._window / 2, self._hop
                )
            self._overlays[file_id] = overlay

    def _cast(self) -> npt.NDArray[np.void]:
        """Make a table of the votes: by which window, for which file, where in it, how much."""
        near = self._neighbours
        at, among = np.nonzero(near.scores > _LEAST_SIMILARITY)
        columns = [("at", np.int64), ("file", np.int64), ("centre", np.float64), ("weight", np.float64)]
        ballots = np.empty(len(at), np.dtype(columns))
        ballots["at"], ballots["file"] = at, near.file_ids[at, among]
        ballots["centre"] = near.starts[at, among] + self._window / 2
        ballots["weight"] = (near.scores[at, among].astype(np.float64) - _LEAST_SIMILARITY) ** 2
        return ballots

    def _aligned(
        self, place: Place, rows: slice, overlay: Overlay, others: Float64, over_second: float
    ) -> Alignment | None:
        """Refine a place and sum up what speaks for it; None if nothing lies in the recording."""
        near = overlay.near(place.start, place.speed)
        start, speed, best_speed = near.refined(place.start, place.speed)
        similarities, weights = near.along(start, speed)
        if not weights.any():
            return None
        evidence = weighed(similarities, weights, others, self._cohort[rows], over_second, self._each)
        covered = weights > 0
        return Alignment(
            place.file_id, start, speed, covered, similarities, others, evidence, best_speed, near
        )

    def _candidates(
        self,
        rows: slice,
        speeds: Float64 = SPEEDS,
        files: int = _FILES,
        per_speed: int = _BINS_PER_SPEED,
    ) -> list[Place]:
        """Give the places that most neighbours of some windows agree on, most votes first."""
        first, last, _ = rows.indices(len(self.query))
        ballots = self._ballots[(self._ballots["at"] >= first) & (self._ballots["at"] < last)]
        if not len(ballots):
            return []
        names, inverse = np.unique(ballots["file"], return_inverse=True)
        kept = np.argsort(-np.bincount(inverse, ballots["weight"]), kind="stable")[:files]
        chosen = np.isin(inverse, kept)
        ballots, inverse = ballots[chosen], inverse[chosen]
        centres, places, votes = self.centres[ballots["at"]], ballots["centre"], ballots["weight"]
        counted: list[tuple[float, Place]] = []
        for speed in speeds:
            bins = np.round((places - speed * centres) / _BIN).astype(np.int64)
            low = bins.min()
            width = int(bins.max() - low) + 1
            keys, index = np.unique(inverse * width + (bins - low), return_inverse=True)
            totals = np.bincount(index, votes)
            for best in np.argsort(-totals, kind="stable")[:per_speed]:
                number, place = divmod(int(keys[best]), width)
                start = float((place + low) * _BIN)
                counted.append((float(totals[best]), Place(int(names[number]), start, float(speed))))
        counted.sort(key=lambda row: (-row[0], row[1]))
        return [place for _, place in counted[:_ALIGNMENTS]]


def _best_place(
    overlay: Overlay, candidates: Sequence[tuple[float, float]], steps: int = 4
) -> tuple[float, float, float] | None:
    """Find the (score, start, speed) that fits best near some (start, speed); None where none fits."""
    if not candidates:
        return None
    rough, speeds = np.array(candidates).T
    fine = (rough[:, None] + STEP * np.arange(-steps, steps + 1, dtype=np.float64)).ravel()
    speeds = np.repeat(speeds, len(fine) // len(rough))
    scores = overlay.scores(fine, speeds)
    best = int(np.argmax(scores))
    return (float(scores[best]), float(fine[best]), float(speeds[best])) if scores[best] > 0 else None


def _is_copy(
    one: Overlay, at: tuple[float, float, float], other: Overlay, there: tuple[float, float, float]
) -> bool:
    """Tell whether two files hold the same sound where a query was laid against them."""
    return there[0] >= _NEARLY_AS_GOOD * at[0] and _likeness(one, at, other, there) >= _SAME_SOUND


def _likeness(
    one: Overlay, at: tuple[float, float, float], other: Overlay, there: tuple[float, float, float]
) -> float:
    """Compare two places where a query was laid, each (score, start, speed): the mean cosine, -1 if apart."""
    (vectors, inside), (other_vectors, other_inside) = one.vectors_at(*at[1:]), other.vectors_at(*there[1:])
    both = inside & other_inside
    return float((vectors * other_vectors).sum(axis=1)[both].mean()) if both.any() else -1.0


def realign(alignment: Alignment, at_speed: Callable[[float], Segments], window: float) -> Alignment:
    """Find how fast a query plays by its pitch as well, which tells more than its times do.

    What plays fast sounds most like its recording when it is brought back to the very speed: the fit has a
    peak there, found by a parabola.

    Parameters
    ----------
    alignment : Alignment
    at_speed : callable
        Encodes the query as it sounds when what plays at some speed is brought back to its own; with the
        spans that its windows have in the query. No rows if it is not to be had any more.
    window : float
        Seconds, of the recording.

    Returns
    -------
    Alignment
        The same one if it does not fit better: what was sped up with its pitch kept does not.
    """
    speed, overlay = alignment.best_speed, alignment.overlay
    if abs(speed - 1) < _HARDLY_FAST:
        return alignment

    @cache
    def look(speed: float) -> tuple[float, float, Overlay]:
        query = at_speed(speed)
        if not len(query):  # what came once, and is gone
            return -1.0, alignment.start, overlay
        centres = query.starts + window / speed / 2
        again = replace(overlay, cosines=query.vectors @ overlay.vectors.T, query_centres=centres)
        return *again.held(alignment.start, alignment.speed, speed), again

    found = alignment.start, alignment.speed
    (fit,) = overlay.fits(np.array([alignment.start]), np.array([alignment.speed]))
    gain = _OTHER_PITCH / (1 + overlay.span)
    if look(speed)[0] < fit + gain:
        return alignment
    for _ in range(2):
        slower, as_found, faster = (look(possible(speed + step))[0] for step in (-_PACE, 0.0, _PACE))
        bend = slower - 2 * as_found + faster
        moved = (
            float(np.clip((slower - faster) / (2 * bend), -1, 1)) if bend < 0 else np.sign(faster - slower)
        )
        speed = possible(speed + _PACE * moved)
        if abs(moved) < 0.5:
            break
    best, start, again = look(speed)
    if best < fit + gain or not again.gains_throughout(overlay, found, (start, speed), gain):
        return alignment
    return replace(alignment, start=start, speed=speed)
