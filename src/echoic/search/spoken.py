"""Finding where a phrase is said that is spoken as an example, by anybody.

Frames say what is said then, whoever says it (:class:`~echoic.encoders.base.SpokenEncoder`). The phrase is
laid against all frames of a file, along paths that go on by one frame in both, or by two in one of them. How
alike the frames are along the best path is judged by what the same phrase finds in speech in which it is not
said, which ships with the encoder: so one threshold serves all phrases, and what is found in a file depends
on no other.

References
----------
Park and Glass, "Unsupervised pattern discovery in speech", IEEE TASLP 16(1), 2008. Hazen, Shen and White,
"Query-by-example spoken term detection using phonetic posteriorgram templates", ASRU 2009.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from echoic.machine import ahead
from echoic.search.warping import best_paths, best_scores
from echoic.storage.frames import SmallInts, SpokenFrames
from echoic.types import Float32
from echoic.untrusted import read_arrays

__all__ = [
    "Background",
    "Heard",
    "Odds",
    "Outline",
    "Phrase",
    "Place",
    "heard_in",
    "least_score",
    "outlined",
    "probability",
]

Ints = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

_HIGHEST = np.float32(127)
_PAUSE = 8  # frames that a pause counts for at most
_N_AXES = 48  # of the 127 along which speech differs: nine tenths of how it does
_AT_ONCE = 16_384  # rows that a phrase is laid against at once: what a core's cache holds

_ENOUGH = 20  # frames of a phrase: more tell no more


class Odds(NamedTuple):
    """The logarithm of the odds that what is found is the phrase, by a logistic regression.

    It was fitted over words and phrases spoken in read books, for ``speech`` unless a background has its own.
    """

    offset: float = -9.2
    of_margin: float = 1.16
    of_score: float = 6.6
    of_frames: float = 0.03


class _Rows(NamedTuple):
    """What a phrase is compared with; as of :class:`Heard`."""

    numbers: SmallInts
    lengths: Float32
    places: Ints


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What is said in a file, laid on a grid of equal steps on which pauses are cut short.

    Parameters
    ----------
    frames : SpokenFrames
    lengths : ndarray of float32, shape (n,)
        How much each counts, in steps of its 8 bits.
    places : ndarray of int64, shape (n,)
        Which rows of the grid they are; the others are pauses.
    """

    frames: SpokenFrames
    lengths: Float32
    places: Ints

    @property
    def numbers(self) -> Float32:
        """What is said in each row, times how much that counts, (rows, dim - 1); zeros where nothing is."""
        numbers = np.zeros((len(self), self.frames.numbers.shape[1] - 1), np.float32)
        numbers[self.places] = self.frames.numbers[:, :-1]
        numbers /= _HIGHEST
        return numbers

    @property
    def counts(self) -> Float32:
        """How much that is in each row."""
        counts = np.zeros(len(self), np.float32)
        counts[self.places] = self.lengths / _HIGHEST
        return counts

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return sum(array.nbytes for array in (*self.frames, self.lengths, self.places))

    def __len__(self) -> int:
        return int(self.places[-1]) + 1 if len(self.places) else 0

    def between(self, first: int, last: int) -> _Rows:
        """Take some of the rows."""
        i, j = np.searchsorted(self.places, (first, last))
        return _Rows(self.frames.numbers[i:j], self.lengths[i:j], self.places[i:j] - first)

    def span(self, first: int, last: int) -> tuple[float, float]:
        """Give the begin and end, in seconds, of what lies between two rows."""
        begin = min(int(np.searchsorted(self.places, first)), len(self.places) - 1)
        end = max(int(np.searchsorted(self.places, last, side="right")) - 1, begin)
        return float(self.frames.starts[begin]), float(self.frames.ends[end])


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """What is said in a file, in few numbers: how alike a phrase can be at most.

    Parameters
    ----------
    axes : ndarray of float32, shape (few, dim - 1)
        Those along which speech differs most; each of length 1, at right angles.
    rows : ndarray of int8, shape (rows, few + 1)
        Of each row of the grid, what is said along these axes, 127 being 1, and how much it is beside them.
    error : float
        How far rounding moves a row at most.
    lengths : ndarray of float32, shape (n,)
    places : ndarray of int32, shape (n,)
        As of :class:`Heard`.
    source : FramesOfFile
    """

    axes: Float32
    rows: SmallInts
    error: float
    lengths: Float32
    places: npt.NDArray[np.int32]
    source: FramesOfFile

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.rows.nbytes + self.lengths.nbytes + self.places.nbytes

    def __len__(self) -> int:
        return len(self.rows)

    def between(self, first: int, last: int) -> _Rows:
        """Read what is said in some of the rows."""
        i, j = self._frames(first, last)
        numbers = self.source.numbers_between(i, j)
        j = i + len(numbers)  # less than was asked for if the file has changed since
        return _Rows(numbers, self.lengths[i:j], self.places[i:j].astype(np.int64) - first)

    def span(self, first: int, last: int) -> tuple[float, float]:
        """Give the begin and end, in seconds, of what lies between two rows."""
        starts, ends, _ = self.source.read_between(*self._frames(first, last + 1))
        return (float(starts[0]), float(ends[-1])) if len(starts) else (0.0, 0.0)

    def _frames(self, first: int, last: int) -> tuple[int, int]:
        i, j = np.searchsorted(self.places, np.array((first, last), np.int32)).tolist()
        return i, j


class FramesOfFile(Protocol):
    """Where the frames of a file are read, from one to another."""

    def read_between(self, first: int, last: int) -> SpokenFrames:
        """Read frames; fewer, or none, if the file has changed."""
        ...

    def numbers_between(self, first: int, last: int) -> SmallInts:
        """Read of these their vectors alone."""
        ...


def outlined(heard: Heard, axes: Float32, source: FramesOfFile) -> Outline:
    """Make an outline of what is heard."""
    said = heard.frames.numbers[:, :-1] / np.maximum(heard.lengths, 1e-6 * _HIGHEST)[:, None]
    along = said @ axes.T
    beside = np.sqrt(np.maximum((said**2).sum(axis=1) - (along**2).sum(axis=1), 0))
    steps = np.rint(along * _HIGHEST)
    error = float(np.linalg.norm(along - steps / _HIGHEST, axis=1).max(initial=0))
    rows = np.zeros((len(heard), len(axes) + 1), np.int8)
    rows[heard.places, :-1] = steps
    rows[heard.places, -1] = np.ceil(np.minimum(beside, 1) * _HIGHEST)
    return Outline(axes, rows, error, heard.lengths, heard.places.astype(np.int32), source)


def heard_in(frames: SpokenFrames, frame_rate: float) -> Heard:
    """Lay the frames of a file on a grid of equal steps."""
    steps = np.rint(np.diff(frames.starts) * frame_rate).astype(np.int64)
    places = np.cumsum(np.clip(steps, 1, _PAUSE, out=steps), dtype=np.int64)
    places = np.concatenate([[0], places])[: len(frames.starts)]
    said = frames.numbers[:, :-1].astype(np.float32)
    return Heard(frames, np.sqrt(np.einsum("nd,nd->n", said, said)), places)


class Place(NamedTuple):
    """Where something like a phrase is said: the first and last row of what is heard, and how alike it is."""

    first: int
    last: int
    score: float


class Phrase:
    """A phrase, as it is spoken in an example.

    Parameters
    ----------
    heard : Heard
        What is said in the example, and nothing else.
    """

    def __init__(self, heard: Heard) -> None:
        counts = heard.counts
        self.counts = counts / max(float(counts.sum()), 1e-6)
        self.each = heard.numbers / np.maximum(counts, 1e-6)[:, None]

    def __len__(self) -> int:
        return len(self.counts)

    def places(self, heard: Heard, least: float = -np.inf) -> list[Place]:
        """Find where something like the phrase is said: places that do not overlap, the best first."""
        return next((places for *_, places in self.find([(0, heard)], least)), [])

    def find(
        self, files: Iterable[tuple[int, Heard | Outline]], least: float = -np.inf
    ) -> Iterator[tuple[int, Heard | Outline, list[Place]]]:
        """Find where something at least so much like the phrase is said, in files, each with a number.

        What is yielded are those in which something is, in their order, with places as of :meth:`places`.
        """
        so_far: list[Float32] = []  # scores of a file that goes on
        for stretches, possible in ahead(
            lambda some: self._possible([one.within for one in some], least), _stretches(files, 2 * len(self))
        ):
            scores, offsets = self._scores([one.within for one in stretches], possible)
            highest = np.maximum.reduceat(scores, offsets)
            good = []
            for (number, heard, begin, first, last), at, high in zip(
                stretches, offsets.tolist(), highest.tolist(), strict=True
            ):
                here = scores[at + first - begin : at + last - begin]
                if last < len(heard):
                    so_far.append(here.copy())
                    continue
                if so_far:
                    here = np.concatenate([*so_far, here])
                    so_far, high = [], here.max()
                if high >= least and len(ends := self._ends(here, least)):
                    good.append((number, heard, here, ends))
            for (number, heard, found, ends), firsts in zip(good, self._traced(good), strict=True):
                yield number, heard, _apart(found, firsts, ends)

    def _possible(self, stretches: Sequence[_Within], least: float) -> Ints | None:
        """Say at which rows of stretches, laid out as by ``_alike``, a path at least so much alike may end.

        None if that is known of none of them: where some are no outlines.
        """
        outlines = [(one, begin, last) for one, begin, last in stretches if isinstance(one, Outline)]
        if len(outlines) < len(stretches) or not np.isfinite(least):
            return None
        error = max(outline.error for outline, *_ in outlines)
        return np.flatnonzero(best_scores(self._alike_at_most(outlines)) >= least - error - 1e-4)

    def _scores(self, stretches: Sequence[_Within], possible: Ints | None) -> tuple[Float32, Ints]:
        """Say how alike the best paths are in stretches of files, and where each stretch begins among them.

        It is -inf where none is possible.
        """
        if possible is None:
            alike, offsets = self._alike([(one.between(a, b), 0, b - a) for one, a, b in stretches])
            return best_scores(alike), offsets
        offsets = _offsets(stretches)
        _, begin, last = stretches[-1]
        scores = np.full(offsets[-1] + last - begin, -np.inf, np.float32)
        if not len(possible):
            return scores, offsets
        # Runs of columns, each of one stretch, are compared with what lies a path's length before them.
        of_stretch = np.searchsorted(offsets, possible, side="right") - 1
        is_first = (np.diff(possible, prepend=-1) > 2 * len(self)) | (np.diff(of_stretch, prepend=-1) != 0)
        runs, numbers = np.split(possible, np.flatnonzero(is_first)[1:]), of_stretch[is_first].tolist()
        some: list[tuple[_Rows, int, int]] = []
        for number, of_one in groupby(zip(numbers, runs, strict=True), lambda item: item[0]):
            one, begin, _ = stretches[number]
            row = begin - int(offsets[number])
            bounds = [
                (max(0, int(run[0]) + row + 1 - 2 * len(self)), int(run[-1]) + row + 1) for _, run in of_one
            ]
            first = bounds[0][0]
            rows = one.between(first, bounds[-1][1])
            some += [(rows, a - first, b - first) for a, b in bounds]
        alike, starts = self._alike(some)
        exact = best_scores(alike)
        # A run ends where what it was compared with ends.
        for run, (_, a, b), start in zip(runs, some, starts.tolist(), strict=True):
            scores[run] = exact[run - run[-1] + start + b - a - 1]
        return scores, offsets

    def _alike_at_most(self, stretches: Sequence[tuple[Outline, int, int]]) -> Float32:
        """Say how alike rows of the phrase and of files can be at most, laid out as by ``_alike``."""
        axes = stretches[0][0].axes
        along = self.each @ axes.T
        beside = np.linalg.norm(self.each - along @ axes, axis=1)
        weights = np.column_stack([along, beside]) * self.counts[:, None] / _HIGHEST
        border = np.zeros((2, weights.shape[1]), np.int8)
        rows = [part for outline, begin, last in stretches for part in (border, outline.rows[begin:last])]
        alike: Float32 = weights @ np.concatenate(rows).astype(np.float32).T
        offsets = _offsets(stretches)
        alike[:, offsets - 1] = alike[:, offsets - 2] = -np.inf
        return alike

    def _ends(self, scores: Float32, least: float) -> Ints:
        """Choose rows at which paths end: of those around the best end of a place, that one counts."""
        reach = max(1, len(self) // 2)
        around = np.pad(scores, reach, constant_values=-np.inf)
        ends = np.flatnonzero((scores >= least) & np.isfinite(scores))
        if len(ends) * reach < len(scores):
            highest = sliding_window_view(around, 2 * reach + 1)[ends].max(axis=1)
        else:
            highest = sliding_window_view(around, 2 * reach + 1).max(axis=1)[ends]
        chosen: Ints = ends[scores[ends] == highest]
        return chosen

    def _traced(self, good: Sequence[tuple[int, Heard | Outline, Float32, Ints]]) -> Iterator[Ints]:
        """Find the rows at which the best paths to some rows of files begin."""
        for _, one, _, ends in good:
            row = max(0, int(ends[0]) + 1 - 2 * len(self))
            rows = one.between(row, int(ends[-1]) + 1)
            firsts = np.empty(len(ends), np.int64)
            for at in range(0, len(ends), some := max(1, _AT_ONCE // (2 * len(self)))):
                last = ends[at : at + some]
                begin = np.maximum(last + 1 - 2 * len(self), 0)
                bounds = zip(begin - row, last - row + 1, strict=True)
                alike, offsets = self._alike([(rows, a, b) for a, b in bounds])
                begun = best_paths(alike)[1][offsets + last - begin]
                firsts[at : at + some] = begun - offsets + begin
            yield firsts

    def _alike(self, stretches: Sequence[tuple[_Rows, int, int]]) -> tuple[Float32, Ints]:
        """Compare each row of the phrase with rows of files, from one to another.

        Returns
        -------
        alike : ndarray of float32, shape (len(self), rows of all)
            Two columns before each stretch keep paths from going on from the one before it.
        offsets : ndarray of int64
            The column where each stretch begins.
        """
        offsets = _offsets(stretches)
        _, begin, last = stretches[-1]
        bounds = [np.searchsorted(rows.places, (begin, last)) for rows, begin, last in stretches]
        numbers, counts, at = [], [], []
        for (rows, begin, _), (i, j), offset in zip(stretches, bounds, offsets, strict=True):
            numbers.append(rows.numbers[i:j])
            counts.append(rows.lengths[i:j])
            at.append(rows.places[i:j] + (offset - begin))
        weights = np.pad(self.each * self.counts[:, None], ((0, 0), (0, 1)))  # the last number says nothing
        alike = np.zeros((len(self), offsets[-1] + last - begin), np.float32)
        found = weights @ np.concatenate(numbers).astype(np.float32).T
        found /= np.maximum(np.concatenate(counts), 1e-6 * _HIGHEST)
        alike[:, np.concatenate(at)] = found
        alike[:, offsets - 1] = alike[:, offsets - 2] = -np.inf
        return alike, offsets


_Within = tuple[Heard | Outline, int, int]  # rows of a file, from one to another


def _offsets(stretches: Sequence[tuple[object, int, int]]) -> Ints:
    """Say at which column each stretch begins, with two before it."""
    lengths = [2 + last - begin for _, begin, last in stretches]
    return np.cumsum([0, *lengths[:-1]]) + 2


class _Stretch(NamedTuple):
    """Rows of a file, with its number.

    Paths are looked for from ``begin`` to ``last``, and told are those that end from ``first`` on: what is
    before it belongs to the stretch before.
    """

    number: int
    heard: Heard | Outline
    begin: int
    first: int
    last: int

    @property
    def within(self) -> _Within:
        return self.heard, self.begin, self.last


def _stretches(files: Iterable[tuple[int, Heard | Outline]], overlap: int) -> Iterator[list[_Stretch]]:
    """Cut files into stretches, as many at a time as are gone through at once."""
    some: list[_Stretch] = []
    n = 0
    for number, heard in files:
        for first in range(0, len(heard), _AT_ONCE):
            begin, last = max(0, first - overlap), min(len(heard), first + _AT_ONCE)
            some.append(_Stretch(number, heard, begin, first, last))
            n += last - begin
            if n >= _AT_ONCE:
                yield some
                some, n = [], 0
    if some:
        yield some


def _apart(scores: Float32, firsts: Ints, ends: Ints) -> list[Place]:
    """Choose, best first, places that do not overlap."""
    is_taken = np.zeros(len(scores), bool)
    chosen = []
    for at in np.argsort(-scores[ends], kind="stable").tolist():
        first, end = int(firsts[at]), int(ends[at])
        if not is_taken[first : end + 1].any():
            is_taken[first : end + 1] = True
            # The last digits of a product depend on how much is multiplied at once.
            chosen.append(Place(first, end, round(float(scores[end]), 5)))
    return chosen


class Background:
    """Speech that a phrase is compared with, in which it is hardly said.

    Parameters
    ----------
    content : bytes
        Of an ``.npz`` archive: ``numbers``, int8, (n, dim), the frames of many people, ``pieces``, int64,
        where each piece of speech begins, and ``starts``, float64, (n,), seconds; and, where the encoder has
        its own, ``odds``, float64, (4,), the numbers of :class:`Odds`.
    """

    def __init__(self, content: bytes, frame_rate: float) -> None:
        found = read_arrays(content)
        self.odds = Odds(*found["odds"].tolist()) if "odds" in found else Odds()
        numbers, starts, pieces = found["numbers"], found["starts"], found["pieces"]
        bounds = [*pieces.tolist(), len(numbers)]
        self._pieces: list[tuple[int, Heard]] = [
            (a, heard_in(SpokenFrames(starts[a:b], starts[a:b] + 1 / frame_rate, numbers[a:b]), frame_rate))
            for a, b in pairwise(bounds)
        ]

    def axes(self) -> Float32:
        """Find the axes along which speech differs most, for :func:`outlined` (principal components)."""
        said = np.concatenate([heard.numbers for _, heard in self._pieces])
        said /= np.maximum(np.linalg.norm(said, axis=1, keepdims=True), 1e-6)
        axes: Float32 = np.linalg.eigh(said.T @ said)[1][:, ::-1].T[:_N_AXES]
        return np.ascontiguousarray(axes)

    def level(self, phrase: Phrase) -> tuple[float, float]:
        """Say how alike what is not the phrase comes: mean and deviation of the best of each piece."""
        # In a piece with little speech a long phrase finds nothing at all.
        best = [places[0].score for *_, places in phrase.find(self._pieces)] or [0.0]
        return float(np.mean(best)), max(float(np.std(best)), 0.01)


def least_score(chance: float, level: tuple[float, float], n_frames: int, odds: Odds = Odds()) -> float:  # noqa: B008
    """Say how alike something is that is as sure as this; a little less, for what rounding takes."""
    if chance <= 0:
        return -np.inf
    due = np.log(chance / (1 - chance)) if chance < 1 else 700.0
    due += odds.of_margin * level[0] / level[1] - odds.offset - odds.of_frames * min(n_frames, _ENOUGH)
    return float(due / (odds.of_margin / level[1] + odds.of_score)) - 1e-4


def probability(
    score: float,
    level: tuple[float, float],
    n_frames: int,
    odds: Odds = Odds(),  # noqa: B008
) -> float:
    """Turn how alike something is into how sure it is that it is a phrase of so many frames."""
    margin = (score - level[0]) / level[1]
    found = odds.offset + odds.of_margin * margin + odds.of_score * score
    found += odds.of_frames * min(n_frames, _ENOUGH)
    return float(1 / (1 + np.exp(-found)))
