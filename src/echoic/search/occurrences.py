"""Finding every place where something is heard, in files of any length.

An example is compared with all events of all files (:mod:`echoic.audio.events`), file by file, so that memory
does not grow with the library, and judged by what is usual there (:mod:`echoic.search.likeness`).

What is found surely is taken for examples, too, and all is compared again: a call is not heard in a wood as
it is in the studio, nor is every dog like the one of the example.

References
----------
Rocchio, "Relevance feedback in information retrieval", 1971.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.encoders.base import normalize
from echoic.errors import UsageError
from echoic.search.likeness import Background, drawn, likeness_of, probability
from echoic.search.query import Examples, Filters, Query, checked_limits, ids_at
from echoic.search.ranking import refine_query
from echoic.spec import EncoderSpec
from echoic.storage.catalog import Catalog
from echoic.storage.events import Heard, read_heard
from echoic.storage.spaces import Spaces
from echoic.storage.vectors.base import VectorStore
from echoic.types import Float32, Hit, Note

__all__ = [
    "LIKELY",
    "MOST_SECONDS",
    "Judge",
    "apart",
    "best_of",
    "find_occurrences",
    "joined",
    "spans_found",
    "surest",
    "unlike_in_length",
]

#: Score from which on an occurrence is told.
LIKELY = 0.5
#: Seconds of an example that are listened to.
MOST_SECONDS = 60.0
_SURE, _SURE_ONES = 0.8, 10  # score of what is taken for examples, too, and how many of them
_SHARED = 0.5  # of the shorter of two occurrences, from which on they are one
_PAUSE = 0.5  # s between two that are one all the same: the beeps of an alarm, the parts of a laugh
_AS_LONG, _OF_LENGTH = 0.5, 0.1  # logarithm of a ratio of lengths that tells nothing; what more of it takes

Float64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
#: Says how sure it is that each sound of a file is what is looked for: the file's id, n sounds → (n,).
Judge = Callable[[int, Heard], Float64]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked for.

    Its vector, as the background has it seen, how long it is in the examples, in seconds, and, where they are
    to be left out, the parts of the library's files that these are.
    """

    vector: Float32
    lengths: tuple[float, ...]
    itself: dict[int, tuple[float, float]]

    def judge(self, background: Background, least: float) -> Judge:
        likeness_to, alike_at_least = background.to(self.vector), likeness_of(least)

        def judged(file_id: int, heard: Heard) -> Float64:
            alike = likeness_to(heard.vectors, alike_at_least)
            scores = probability(alike - unlike_in_length(heard.ends - heard.starts, self.lengths))
            own = self.itself.get(file_id)
            if own is not None:
                scores[(heard.ends > own[0]) & (heard.starts < own[1])] = 0
            return scores

        return judged


def find_occurrences(
    catalog: Catalog,
    spaces: Spaces,
    query: Query,
    k: int | None,
    filters: Filters,
    *,
    encoder: str | None = None,
    min_score: float | None = None,
    include_query: bool = False,
    noted: Callable[[Path | str, Note], None] = lambda *_: None,
) -> Iterator[Hit]:
    """Find every place where something is heard; see :meth:`echoic.library.Library.occurrences`."""
    least = checked_limits(k, min_score, LIKELY)
    source, spec = _chosen(spaces, encoder, query)
    store = spaces.store(spec)
    scope = filters.scope(catalog)
    ids = store.file_ids()
    background = Background(drawn(store, ids))
    examples = Examples(spaces, source, spec, noted)
    asked = _asked(catalog, examples, query, background, include_query=include_query)
    within = [file_id for file_id in ids.tolist() if scope.holds(file_id)]
    like = surest(store, within, asked.judge(background, _SURE))
    asked = replace(asked, vector=refine_query(asked.vector[None], list(background.seen(like)), ())[0])
    return best_of(spans_found(catalog, spec, store, within, asked.judge(background, least), least), k)


def surest(store: VectorStore, file_ids: Sequence[int], judged: Judge) -> Float32:
    """Find what is judged to be surely what is looked for: it is heard as it is in these recordings.

    Returns
    -------
    ndarray of float32, shape (n, dim)
        Ten at most, of unit length.
    """
    found: list[tuple[float, int, int, Float32]] = []
    for file_id, heard in read_heard(store, file_ids):
        scores = judged(file_id, heard)
        here = [
            (float(scores[row]), -file_id, -row, heard.vectors[row].astype(np.float32))
            for row in np.flatnonzero(scores >= _SURE).tolist()
        ]
        found = heapq.nlargest(_SURE_ONES, found + here, key=lambda one: one[:3])
    return normalize(np.array([vector for *_, vector in found], np.float32).reshape(-1, store.dim))


def spans_found(
    catalog: Catalog,
    spec: EncoderSpec,
    store: VectorStore,
    file_ids: Sequence[int],
    judged: Judge,
    least: float,
) -> Iterator[Hit]:
    """Go through files, and tell the spans of each that are judged so likely or more, in order of time."""
    rank = 0
    for file_id, heard in read_heard(store, file_ids):
        scores = judged(file_id, heard)
        chosen = apart(heard.starts, heard.ends, scores, least)
        path = catalog.paths([file_id]).get(file_id) if len(chosen) else None
        if path is None:  # nothing is found, or the file is gone since
            continue
        for start, end, score in joined(heard.starts[chosen], heard.ends[chosen], scores[chosen]):
            rank += 1
            yield Hit(rank, path, round(start, 3), round(end, 3), score, spec.name)


def best_of(found: Iterator[Hit], k: int | None) -> Iterator[Hit]:
    """Tell the ``k`` surest hits, the best first, or all as they come."""
    if k is None:
        return found
    # The heap keeps the best k; what was found first counts among equals.
    best = heapq.nsmallest(k, found, key=lambda hit: -hit.score)
    return (replace(hit, rank=rank) for rank, hit in enumerate(best, start=1))


def _chosen(spaces: Spaces, encoder: str | None, query: Query) -> tuple[str, EncoderSpec]:
    source, spec = spaces.chosen(encoder, "occurrences", takes="text" if query.texts else "audio")
    if spec.by != "event":
        raise UsageError(f"encoder {spec.name} knows windows, not where sounds begin; leave --encoder out")
    return source, spec


def _asked(
    catalog: Catalog, examples: Examples, query: Query, background: Background, *, include_query: bool
) -> _Asked:
    lengths: list[float] = []

    def vector(one: Path | str, start: float | None = None, end: float | None = None) -> Float32:
        if isinstance(one, str):
            words: Float32 = background.seen(examples.words(one))[0]
            return words
        found, length = examples.meant(one, MOST_SECONDS, start, end)
        lengths.append(length)
        seen: Float32 = background.seen(found[None])[0]
        return seen

    main = None if query.path is None else vector(query.path, query.start, query.end)
    wanted = [vector(one) for one in query.like]
    asked_by = tuple(lengths)
    unwanted = [vector(one) for one in query.unlike]
    if query.text is not None:
        wanted.append(vector(query.text))
    itself: dict[int, tuple[float, float]] = {}
    for path in () if include_query else query.examples:
        start, end = (query.start, query.end) if path == query.path else (None, None)
        itself |= dict.fromkeys(ids_at(catalog, path), (start or 0.0, np.inf if end is None else end))
    refined = refine_query(None if main is None else main[None], wanted, unwanted)
    return _Asked(refined[0], asked_by, itself)


def unlike_in_length(seconds: Float64, lengths: tuple[float, ...]) -> Float32:
    """Say what it takes from likeness that something is far longer or shorter than all examples."""
    if not lengths:
        return np.zeros(len(seconds), np.float32)
    ratios = np.abs(np.log(np.maximum(seconds, 0.01))[:, None] - np.log(lengths)).min(axis=1)
    unlike: Float32 = (_OF_LENGTH * np.maximum(ratios - _AS_LONG, 0)).astype(np.float32)
    return unlike


def apart(starts: Float64, ends: Float64, scores: Float64, least: float) -> Ints:
    """Choose occurrences that do not lie on each other, the surest first; return them in order of time.

    Parameters
    ----------
    starts, ends : ndarray of float64, shape (n,)
        Seconds.
    scores : ndarray of float64, shape (n,)
    least : float
        Score from which on one is chosen; above 0 counts in any case.

    Examples
    --------
    >>> starts, ends = np.array([0.0, 0.1, 2.0]), np.array([1.0, 0.9, 3.0])
    >>> apart(starts, ends, np.array([0.7, 0.8, 0.6]), 0.5)
    array([1, 2])
    """
    rows = np.flatnonzero((scores >= least) & (scores > 0))
    chosen = np.empty(0, np.int64)
    left = rows[np.lexsort((starts[rows], -scores[rows]))]
    while len(left):
        best, left = left[0], left[1:]
        chosen = np.append(chosen, best)
        shared = np.minimum(ends[left], ends[best]) - np.maximum(starts[left], starts[best])
        shorter = np.minimum(ends[left] - starts[left], ends[best] - starts[best])
        left = left[shared <= _SHARED * shorter]
    return np.asarray(chosen[np.lexsort((ends[chosen], starts[chosen]))], np.int64)


def joined(starts: Float64, ends: Float64, scores: Float64) -> list[tuple[float, float, float]]:
    """Make one of occurrences with at most half a second between them, as sure as the surest.

    Parameters
    ----------
    starts, ends : ndarray of float64, shape (n,)
        Seconds, in order of time.
    scores : ndarray of float64, shape (n,)

    Examples
    --------
    >>> joined(np.array([1.0, 2.25, 4.0]), np.array([2.0, 3.0, 5.0]), np.array([0.6, 0.9, 0.7]))
    [(1.0, 3.0, 0.9), (4.0, 5.0, 0.7)]
    """
    found: list[tuple[float, float, float]] = []
    for start, end, score in zip(starts.tolist(), ends.tolist(), scores.tolist(), strict=True):
        if found and start - found[-1][1] <= _PAUSE:
            before = found.pop()
            start, end, score = before[0], max(before[1], end), max(before[2], score)
        found.append((start, end, score))
    return found
