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
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

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
    "best_paths",
    "best_scores",
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
    outline : Outline, optional
        Of what many phrases are looked for in.
    """

    frames: SpokenFrames
    lengths: Float32
    places: Ints
    outline: Outline | None = None

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
        n = sum(array.nbytes for array in (*self.frames, self.lengths, self.places))
        return n if self.outline is None else n + self.outline.rows.nbytes

    def __len__(self) -> int:
        return int(self.places[-1]) + 1 if len(self.places) else 0

    def span(self, first: int, last: int) -> tuple[float, float]:
        """Give the begin and end, in seconds, of what lies between two rows."""
        begin = min(int(np.searchsorted(self.places, first)), len(self.places) - 1)
        end = max(int(np.searchsorted(self.places, last, side="right")) - 1, begin)
        return float(self.frames.starts[begin]), float(self.frames.ends[end])


class Outline(NamedTuple):
    """What is said in a file, in few numbers: how alike a phrase can be at most.

    Parameters
    ----------
    axes : ndarray of float32, shape (few, dim - 1)
        Those along which speech differs most; each of length 1, at right angles.
    rows : ndarray of int8, shape (rows, few + 1)
        Of each row of the grid, what is said along these axes, 127 being 1, and how much it is beside them.
    error : float
        How far rounding moves a row at most.
    """

    axes: Float32
    rows: SmallInts
    error: float


def outlined(heard: Heard, axes: Float32) -> Heard:
    """Give what is heard an outline."""
    said = heard.frames.numbers[:, :-1] / np.maximum(heard.lengths, 1e-6 * _HIGHEST)[:, None]
    along = said @ axes.T
    beside = np.sqrt(np.maximum((said**2).sum(axis=1) - (along**2).sum(axis=1), 0))
    steps = np.rint(along * _HIGHEST)
    error = float(np.linalg.norm(along - steps / _HIGHEST, axis=1).max(initial=0))
    rows = np.zeros((len(heard), len(axes) + 1), np.int8)
    rows[heard.places, :-1] = steps
    rows[heard.places, -1] = np.ceil(np.minimum(beside, 1) * _HIGHEST)
    return replace(heard, outline=Outline(axes, rows, error))


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
        self, files: Iterable[tuple[int, Heard]], least: float = -np.inf
    ) -> Iterator[tuple[int, Heard, list[Place]]]:
        """Find where something at least so much like the phrase is said, in files, each with a number.

        What is yielded are those in which something is, in their order, with places as of :meth:`places`.
        """
        so_far: list[Float32] = []  # scores of a file that goes on
        for stretches in _stretches(files, 2 * len(self)):
            scores, offsets = self._scores([(one[1], one[2], one[4]) for one in stretches], least)
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

    def _scores(self, stretches: Sequence[_Stretch], least: float) -> tuple[Float32, Ints]:
        """Say how alike the best paths are in stretches of files, and where each stretch begins among them.

        Where all have an outline, what it rules out to be at least so much alike is -inf.
        """
        outlines = [heard.outline for heard, _, _ in stretches if heard.outline is not None]
        if len(outlines) < len(stretches) or not np.isfinite(least):
            alike, offsets = self._alike(stretches)
            return best_scores(alike), offsets
        at_most, offsets = self._alike_at_most(stretches, outlines)
        error = max(outline.error for outline in outlines)
        possible = np.flatnonzero(best_scores(at_most) >= least - error - 1e-4)
        scores = np.full(at_most.shape[1], -np.inf, np.float32)
        if not len(possible):
            return scores, offsets
        # Runs of columns, each of one stretch, are compared with what lies a path's length before them.
        of_stretch = np.searchsorted(offsets, possible, side="right") - 1
        is_first = (np.diff(possible, prepend=-1) > 2 * len(self)) | (np.diff(of_stretch, prepend=-1) != 0)
        runs, numbers = np.split(possible, np.flatnonzero(is_first)[1:]), of_stretch[is_first]
        some = []
        for run, number in zip(runs, numbers, strict=True):
            heard, begin, _ = stretches[number]
            row = begin - offsets[number]
            some.append((heard, max(0, int(run[0] + row) + 1 - 2 * len(self)), int(run[-1] + row) + 1))
        alike, starts = self._alike(some)
        exact = best_scores(alike)
        for run, number, (_, begin, _), start in zip(runs, numbers, some, starts, strict=True):
            scores[run] = exact[run - offsets[number] + stretches[number][1] - begin + start]
        return scores, offsets

    def _alike_at_most(
        self, stretches: Sequence[_Stretch], outlines: Sequence[Outline]
    ) -> tuple[Float32, Ints]:
        """Say how alike rows of the phrase and of files can be at most, laid out as by ``_alike``."""
        axes = outlines[0].axes
        along = self.each @ axes.T
        beside = np.linalg.norm(self.each - along @ axes, axis=1)
        weights = np.column_stack([along, beside]) * self.counts[:, None] / _HIGHEST
        border = np.zeros((2, weights.shape[1]), np.int8)
        rows, lengths = [], []
        for outline, (_, begin, last) in zip(outlines, stretches, strict=True):
            rows += [border, outline.rows[begin:last]]
            lengths.append(2 + last - begin)
        offsets = np.cumsum([0, *lengths[:-1]]) + 2
        alike = weights @ np.concatenate(rows).astype(np.float32).T
        alike[:, offsets - 1] = alike[:, offsets - 2] = -np.inf
        return alike, offsets

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

    def _traced(self, good: Sequence[tuple[int, Heard, Float32, Ints]]) -> Iterator[Ints]:
        """Find the rows at which the best paths to some rows of files begin."""
        for _, heard, _, ends in good:
            firsts = np.empty(len(ends), np.int64)
            for at in range(0, len(ends), some := max(1, _AT_ONCE // (2 * len(self)))):
                last = ends[at : at + some]
                begin = np.maximum(last + 1 - 2 * len(self), 0)
                alike, offsets = self._alike([(heard, a, b + 1) for a, b in zip(begin, last, strict=True)])
                begun = best_paths(alike)[1][offsets + last - begin]
                firsts[at : at + some] = begun - offsets + begin
            yield firsts

    def _alike(self, stretches: Sequence[_Stretch]) -> tuple[Float32, Ints]:
        """Compare each row of the phrase with rows of files, from one to another.

        Returns
        -------
        alike : ndarray of float32, shape (len(self), rows of all)
            Two columns before each stretch keep paths from going on from the one before it.
        offsets : ndarray of int64
            The column where each stretch begins.
        """
        lengths = [2 + last - begin for _, begin, last in stretches]
        offsets = np.cumsum([0, *lengths[:-1]]) + 2
        bounds = [np.searchsorted(heard.places, (begin, last)) for heard, begin, last in stretches]
        numbers, counts, at = [], [], []
        for (heard, begin, _), (i, j), offset in zip(stretches, bounds, offsets, strict=True):
            numbers.append(heard.frames.numbers[i:j])
            counts.append(heard.lengths[i:j])
            at.append(heard.places[i:j] + (offset - begin))
        weights = np.pad(self.each * self.counts[:, None], ((0, 0), (0, 1)))  # the last number says nothing
        alike = np.zeros((len(self), sum(lengths)), np.float32)
        found = weights @ np.concatenate(numbers).astype(np.float32).T
        found /= np.maximum(np.concatenate(counts), 1e-6 * _HIGHEST)
        alike[:, np.concatenate(at)] = found
        alike[:, offsets - 1] = alike[:, offsets - 2] = -np.inf
        return alike, offsets


_Stretch = tuple[Heard, int, int]  # rows of a file, from one to another


def _stretches(
    files: Iterable[tuple[int, Heard]], overlap: int
) -> Iterator[list[tuple[int, Heard, int, int, int]]]:
    """Cut files into stretches, as many at a time as are gone through at once.

    Of each: the file's number, what is heard in it, and three rows: from and to which paths are looked for,
    and between these the one from which on they are told; those before it are those of the stretch before.
    """
    some: list[tuple[int, Heard, int, int, int]] = []
    n = 0
    for number, heard in files:
        for first in range(0, len(heard), _AT_ONCE):
            begin, last = max(0, first - overlap), min(len(heard), first + _AT_ONCE)
            some.append((number, heard, begin, first, last))
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


def best_scores(alike: Float32) -> Float32:
    """Say what the paths of :func:`best_paths` add up to; where they begin takes ten times as long."""
    n = alike.shape[1]
    # Totals of the row before the last, of the last, and of this one, with two columns before the first.
    before, last, here = np.full((3, n + 2), -np.inf, np.float32)
    last[2:] = alike[0]
    over_two = np.empty(n, np.float32)
    for row in range(1, len(alike)):
        total = here[2:]
        np.maximum(last[1:-1], last[:-2], out=total)
        if row == 1:
            np.maximum(total, alike[0], out=total)  # the first two rows may be one column
        else:
            np.add(before[1:-1], alike[row - 1], out=over_two)
            np.maximum(total, over_two, out=total)
        total += alike[row]
        before, last, here = last, here, before
    totals: Float32 = last[2:]
    return totals


def best_paths(alike: Float32) -> tuple[Float32, Ints]:
    """Find, for each column, the path through all rows that ends there and adds up to most.

    A path goes on by one row and one column, or by two of one of them; of two rows in one column, both count.

    Parameters
    ----------
    alike : ndarray of float32, shape (rows, columns)

    Returns
    -------
    scores : ndarray of float32, shape (columns,)
        -inf where no path ends.
    firsts : ndarray of int64, shape (columns,)
        The columns where they begin.

    Examples
    --------
    >>> best_paths(np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32))
    (array([-inf,   1.,   1.,   3.], dtype=float32), array([0, 0, 0, 0]))
    """
    here = np.arange(alike.shape[1])
    total, begun = alike[0], here
    before: tuple[Float32, Ints] | None = None  # of the row before the last
    for row in range(1, len(alike)):
        options = [(_moved(total, by, -np.inf), _moved(begun, by, 0)) for by in (1, 2)]
        if before is None:  # the first two rows may be one column
            options.append((alike[0], here))
        else:
            options.append((_moved(before[0], 1, -np.inf) + alike[row - 1], _moved(before[1], 1, 0)))
        best, since = options[0]
        for other, since_other in options[1:]:
            is_better = other > best
            best, since = np.where(is_better, other, best), np.where(is_better, since_other, since)
        before = total, begun
        total, begun = best + alike[row], since
    return total, begun


def _moved(array: npt.NDArray[Any], by: int, fill: float) -> npt.NDArray[Any]:
    """Move all columns to the right."""
    moved = np.full_like(array, fill)
    moved[by:] = array[:-by]
    return moved


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
        self._pieces = [
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
