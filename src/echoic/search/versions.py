"""How much of a piece another recording plays, in whatever key, at whatever tempo, by whatever instruments.

Two sequences of pitch classes (:mod:`echoic.encoders.harmony`) are laid against each other. Where some
seconds of one resemble some of the other more than most else does, that is a match; matches in a row, a
little quicker or slower, are a passage that both have. The best passage counts, by its length in what the
shorter one could have had.

References
----------
Serrà, Gómez, Herrera and Serra, "Chroma binary similarity and local alignment applied to cover song
identification", IEEE TASLP 16(6), 2008. Serrà, Serra and Andrzejak, "Cross
recurrence quantification for cover song identification", New Journal of Physics 11, 2009, for the passage.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from echoic.progress import reported
from echoic.search.query import Examples, Filters, Query, check_k
from echoic.storage.catalog import Catalog
from echoic.storage.spaces import Spaces
from echoic.storage.vectors.base import VectorStore
from echoic.types import FileRecord, Float32, Hit, Note, Progress

__all__ = ["Passage", "Version", "compare", "find_versions", "ranked"]

# Vectors of a query that are looked at: ten minutes of music.
_LONGEST = 1_200

_CLASSES = 12
_CONTEXT = 8  # vectors compared as one: 4.5 s
_TURNS = 2  # keys that are tried: those in which the query's vectors find the nearest ones
_LOOKED_AT = 4  # every fourth of them
_NEIGHBOURS = 0.12  # the share of a row, and of a column, that may match
_LEAST = 0.25  # cosine of a match
_SHORTEST = 12  # matches, of ten seconds, that could be everything: what is shorter has a lower score
_GAP = 0.3  # what a vector without a match takes away


@dataclass(frozen=True, slots=True)
class Passage:
    """What two sequences have in common.

    Parameters
    ----------
    score : float
        0 … 1; 1 is all of the shorter one, exactly.
    start, end : int
        The first and last vector of the passage in the other sequence.
    semitones : int
        How much higher the other one is, −5 … 6.
    """

    score: float
    start: int
    end: int
    semitones: int


@dataclass(frozen=True, slots=True)
class Version:
    """A file with the passage that it has in common with a query, and where in it that is, in seconds."""

    record: FileRecord
    passage: Passage
    start: float
    end: float


def find_versions(
    catalog: Catalog,
    spaces: Spaces,
    query: Query,
    k: int,
    filters: Filters,
    *,
    include_query: bool,
    noted: Callable[[Path | str, Note], None],
    progress: Callable[[Progress], None] | None,
) -> list[Hit]:
    """Find the ``k`` files that have most of a piece; see :meth:`echoic.library.Library.versions`."""
    check_k(k)
    source, spec = spaces.chosen(None, "versions")
    [path] = query.examples
    wanted = Examples(spaces, source, spec, noted).sound(path, query.start, query.end).vectors[:_LONGEST]
    scope = filters.scope(catalog, () if include_query else query.examples)
    records = [record for record in catalog.files() if scope.holds(record.id)]
    found = ranked(wanted, spaces.store(spec), records, progress)[:k]
    return [
        Hit(rank, version.record.path, version.start, version.end, version.passage.score, spec.name)
        for rank, version in enumerate(found, start=1)
    ]


def ranked(
    query: Float32,
    store: VectorStore,
    records: Sequence[FileRecord],
    progress: Callable[[Progress], None] | None = None,
) -> list[Version]:
    """Compare a query with files, and put those first that have most of it; some may have no vectors.

    Parameters
    ----------
    query : ndarray of float32, shape (n, 12)
    store : VectorStore
        Holds the files' sequences.
    records : sequence of FileRecord
    progress : callable, optional
        Called after each file.
    """
    found = []
    for record in reported(records, progress):
        other = store.fetch([record.id]).get(record.id)
        if other is not None:
            passage = compare(query, other.vectors)
            start, end = float(other.starts[passage.start]), float(other.ends[passage.end])
            found.append(Version(record, passage, start, end))
    return sorted(found, key=lambda version: (-version.passage.score, version.record.id))


def compare(query: Float32, other: Float32) -> Passage:
    """Find the best passage of a query in another sequence.

    Parameters
    ----------
    query, other : ndarray of float32, shape (n, 12)
        At least one vector each.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> piece = rng.standard_normal((60, 12)).astype(np.float32)
    >>> piece /= np.linalg.norm(piece, axis=1, keepdims=True)
    >>> compare(piece[20:50], np.roll(piece, 3, axis=1))
    Passage(score=1.0, start=20, end=49, semitones=3)
    """
    context = min(_CONTEXT, len(query), len(other))
    rows = _in_context(query, context)
    # Turned back, the other is in the query's key.
    columns = np.stack([_in_context(np.roll(other, -turn, axis=1), context) for turn in range(_CLASSES)])
    nearest = (rows[::_LOOKED_AT] @ columns.transpose(0, 2, 1)).max(axis=2).mean(axis=1)
    turns = np.argsort(-nearest, kind="stable")[:_TURNS]
    columns = columns[turns]
    cosines: Float32 = rows @ columns.transpose(0, 2, 1) / np.float32(context)  # (turns, query, other)
    matches = (
        (cosines > _LEAST) & (cosines >= _least_of_best(cosines, 1)) & (cosines >= _least_of_best(cosines, 2))
    )
    best, turn, start, end = _best_passage(cosines, matches)
    semitones = int(turns[turn])
    return Passage(
        score=min(1.0, best / max(_SHORTEST, min(cosines.shape[1:]))),
        start=start,
        end=end + context - 1,
        semitones=semitones if semitones <= _CLASSES // 2 else semitones - _CLASSES,
    )


def _least_of_best(cosines: Float32, axis: int) -> Float32:
    """Give the least of the best along an axis, which is kept."""
    n = cosines.shape[axis]
    kth = n - max(1, round(_NEIGHBOURS * n))
    return np.take(np.partition(cosines, kth, axis=axis), [kth], axis=axis)


def _in_context(vectors: Float32, context: int) -> Float32:
    """Put each vector together with those after it: (n - context + 1, 12 × context)."""
    windows = sliding_window_view(vectors, context, axis=0)
    together: Float32 = np.ascontiguousarray(windows.transpose(0, 2, 1)).reshape(len(windows), -1)
    return together


def _best_passage(cosines: Float32, matches: npt.NDArray[np.bool_]) -> tuple[float, int, int, int]:
    """Add up matches along all paths that go on by one in both, or by two in one of them.

    Returns
    -------
    total : float
    turn, start, end : int
        Of the path with the largest: its layer, and its first and last column.
    """
    n_turns, n_rows, n_columns = cosines.shape
    # Two columns of nothing in front, so that every cell has those before it.
    before, last = (np.zeros((n_turns, n_columns + 2), np.float32) for _ in range(2))
    begun_before, begun = (np.tile(np.arange(-2, n_columns), (n_turns, 1)) for _ in range(2))
    here = np.arange(n_columns)
    best = (0.0, 0, 0, 0)
    for row in range(n_rows):
        value, since = last[:, 1:-1], begun[:, 1:-1]
        for other, since_other in ((before[:, 1:-1], begun_before[:, 1:-1]), (last[:, :-2], begun[:, :-2])):
            longer = other > value
            value, since = np.where(longer, other, value), np.where(longer, since_other, since)
        since = np.where(value > 0, since, here)
        value = np.where(matches[:, row], value + cosines[:, row], np.maximum(0, value - _GAP))
        before, begun_before = last, begun
        last, begun = np.zeros_like(last), begun.copy()
        last[:, 2:], begun[:, 2:] = value, since
        at = int(np.argmax(value))
        turn, column = divmod(at, n_columns)
        if value[turn, column] > best[0]:
            best = (float(value[turn, column]), turn, int(since[turn, column]), column)
    return best
