"""Finding every place where something is heard, in files of any length.

An example is compared with all events of all files (:mod:`echoic.audio.events`), file by file, so that memory
does not grow with the library. Cosines mean something else for every example, and for every event: some are
like nothing else, and some, as of rain, are like a thousand others. So what two are alike is judged by how
alike each of them is to the nearest of the library's own sounds, some hundreds drawn from all of its files.
By that, one threshold serves all examples.

What is found surely is taken for examples, too, and all is compared again: a call is not heard in a wood as
it is in the studio, nor is every dog like the one of the example.

References
----------
Rocchio, "Relevance feedback in information retrieval", 1971. Conneau et al., "Word translation without
parallel data", ICLR 2018, section 2.3 (cross-domain similarity local scaling). Matejka et al., "Analysis of
score normalization in multilingual speaker recognition", Interspeech 2017.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.encoders.base import normalize
from echoic.errors import UsageError
from echoic.search.query import Examples, Filters, Query, checked_limits, ids_at
from echoic.search.ranking import refine_query
from echoic.spec import EncoderSpec
from echoic.storage.catalog import Catalog
from echoic.storage.events import EventStore
from echoic.storage.spaces import Spaces
from echoic.types import Float32, Hit, Note

__all__ = ["LIKELY", "Background", "apart", "find_occurrences", "joined", "probability"]

#: Score from which on an occurrence is told.
LIKELY = 0.5
_DRAWN, _DRAWN_FILES = 500, 50  # events that stand for the library, of so many files at most
_NEAR = 25  # one in so many of them is near to something
# A library of few sounds says little of what is usual: so many are taken to be there that are as elsewhere.
_OTHERS, _USUAL = 50, 0.5
_SURE, _SURE_ONES = 0.4, 10  # likeness of what is taken for examples, too, and how many of them
_SHARED = 0.5  # of the shorter of two occurrences, from which on they are one
_PAUSE = 0.5  # s between two that are one all the same: the beeps of an alarm, the parts of a laugh
_AS_LONG, _OF_LENGTH = 0.5, 0.1  # logarithm of a ratio of lengths that tells nothing; what more of it takes
_MOST_SECONDS = 60.0  # of an example that are listened to
_AT_ONCE = 100_000  # events that are compared at once

# Of a logistic regression over what is found at the first look, of kinds of sound that are not measured with:
# the logarithm of the odds that it is the same kind of sound, by how alike it is.
_OFFSET, _OF_LIKENESS = -1.79, 6.05

Float64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked for.

    Its vector, how long it is in the examples, in seconds, and, where they are to be left out, the parts of
    the library's files that these are.
    """

    vector: Float32
    lengths: tuple[float, ...]
    itself: dict[int, tuple[float, float]]


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
    assert isinstance(store, EventStore)
    asked = _asked(catalog, Examples(spaces, source, spec, noted), query, include_query=include_query)
    scope = filters.scope(catalog)
    ids = store.file_ids()
    background = Background(_drawn(store, ids))
    within = [file_id for file_id in ids.tolist() if scope.holds(file_id)]
    asked = _learnt(store, within, asked, background)
    found = _found(catalog, spec, store, within, asked, background, least)
    if k is None:
        return found
    # The heap keeps the best k; what was found first counts among equals.
    best = heapq.nsmallest(k, found, key=lambda hit: -hit.score)
    return (replace(hit, rank=rank) for rank, hit in enumerate(best, start=1))


def _learnt(store: EventStore, file_ids: list[int], asked: _Asked, background: Background) -> _Asked:
    """Ask by the surest of what is found, too: it is heard as it is in these recordings."""
    likeness_to = background.to(asked.vector)
    surest: list[tuple[float, int, int, bytes]] = []
    for file_id, events in store.read(file_ids):
        alike = likeness_to(events.numbers, _SURE)
        alike -= _unlike_in_length(events.ends - events.starts, asked.lengths)
        here = [
            (float(alike[row]), -file_id, -row, events.numbers[row].tobytes())
            for row in np.flatnonzero(alike >= _SURE).tolist()
        ]
        surest = heapq.nlargest(_SURE_ONES, surest + here)
    if not surest:
        return asked
    vectors = np.stack([np.frombuffer(numbers, np.int8) for *_, numbers in surest]).astype(np.float32)
    like = list(normalize(vectors))
    return replace(asked, vector=refine_query(asked.vector[None], like, ())[0])


def _found(
    catalog: Catalog,
    spec: EncoderSpec,
    store: EventStore,
    file_ids: list[int],
    asked: _Asked,
    background: Background,
    least: float,
) -> Iterator[Hit]:
    """Go through the files, and tell what is found in each in order of time."""
    rank = 0
    likeness_to = background.to(asked.vector)
    for file_id, events in store.read(file_ids):
        alike = likeness_to(events.numbers, _likeness(least))
        scores = probability(alike - _unlike_in_length(events.ends - events.starts, asked.lengths))
        chosen = apart(events.starts, events.ends, scores, least)
        path = catalog.paths([file_id]).get(file_id) if len(chosen) else None
        if path is None:  # nothing is found, or the file is gone since
            continue
        own = asked.itself.get(file_id)
        if own is not None:
            chosen = chosen[(events.ends[chosen] <= own[0]) | (events.starts[chosen] >= own[1])]
        for start, end, score in joined(events.starts[chosen], events.ends[chosen], scores[chosen]):
            rank += 1
            yield Hit(rank, path, round(start, 3), round(end, 3), score, spec.name)


def _chosen(spaces: Spaces, encoder: str | None, query: Query) -> tuple[str, EncoderSpec]:
    source, spec = spaces.chosen(encoder, "occurrences", takes="text" if query.texts else "audio")
    if spec.by != "event":
        raise UsageError(f"encoder {spec.name} knows windows, not where sounds begin; leave --encoder out")
    return source, spec


def _asked(catalog: Catalog, examples: Examples, query: Query, *, include_query: bool) -> _Asked:
    lengths: list[float] = []

    def vector(one: Path | str, start: float | None = None, end: float | None = None) -> Float32:
        if isinstance(one, str):
            words: Float32 = examples.words(one)[0]
            return words
        found, length = examples.meant(one, _MOST_SECONDS, start, end)
        lengths.append(length)
        return found

    main = None if query.path is None else vector(query.path, query.start, query.end)
    wanted = [vector(one) for one in query.like]
    asked_by = tuple(lengths)
    unwanted = [vector(one) for one in query.unlike]
    if query.text is not None:
        wanted.append(examples.words(query.text)[0])
    itself: dict[int, tuple[float, float]] = {}
    for path in () if include_query else query.examples:
        start, end = (query.start, query.end) if path == query.path else (None, None)
        itself |= dict.fromkeys(ids_at(catalog, path), (start or 0.0, np.inf if end is None else end))
    refined = refine_query(None if main is None else main[None], wanted, unwanted)
    return _Asked(refined[0], asked_by, itself)


def _unlike_in_length(seconds: Float64, lengths: tuple[float, ...]) -> Float32:
    """Say what it takes from likeness that something is far longer or shorter than all examples."""
    if not lengths:
        return np.zeros(len(seconds), np.float32)
    ratios = np.abs(np.log(np.maximum(seconds, 0.01))[:, None] - np.log(lengths)).min(axis=1)
    unlike: Float32 = (_OF_LENGTH * np.maximum(ratios - _AS_LONG, 0)).astype(np.float32)
    return unlike


def _drawn(store: EventStore, file_ids: Ints) -> Float32:
    """Draw events from a library, the same each time: evenly from files that are spread evenly."""
    rows = np.unique(np.linspace(0, len(file_ids) - 1, min(len(file_ids), _DRAWN_FILES)).round().astype(int))
    a_file = -(-_DRAWN // max(1, len(rows)))
    drawn = [np.empty((0, store.dim), np.int8)]
    for _, events in store.read(file_ids[rows].tolist()):
        n = len(events.numbers)
        drawn.append(events.numbers[np.random.default_rng(n).permutation(n)[:a_file]])
    return normalize(np.concatenate(drawn).astype(np.float32))


class Background:
    """What is usual in a library, by which likeness is judged.

    Parameters
    ----------
    drawn : ndarray of float32, shape (n, dim)
        Vectors of some of its events, of unit length; there may be none.
    """

    def __init__(self, drawn: Float32) -> None:
        n = len(drawn)
        self._mean = drawn.sum(axis=0) / np.float32(n + _OTHERS)
        self._drawn = normalize(drawn - self._mean)
        self._share = n / (n + _OTHERS)

    def to(self, vector: Float32) -> Callable[[npt.NDArray[np.int8], float], Float32]:
        """Make what says how alike events are to a vector: int8, (n, dim), and the least that matters → (n,).

        What is less alike than that is -inf.
        """
        asked = normalize((vector - self._mean)[None])[0]
        own = float(self._usual(asked[None])[0])

        def likeness(numbers: npt.NDArray[np.int8], least: float) -> Float32:
            alike = np.full(len(numbers), -np.inf, np.float32)
            for at in range(0, len(numbers), _AT_ONCE):
                events = normalize(numbers[at : at + _AT_ONCE].astype(np.float32))
                events = normalize(events - self._mean)
                twice = 2 * (events @ asked) - own
                rows = np.flatnonzero(twice >= least)  # nothing is unlike to what is near
                alike[at + rows] = twice[rows] - self._usual(events[rows])
            return alike

        return likeness

    def _usual(self, vectors: Float32) -> Float32:
        """Say how alike vectors, (n, dim), are to what is nearest in the background, themselves left out."""
        prior = np.float32((1 - self._share) * _USUAL)
        n_near = max(1, len(self._drawn) // _NEAR)
        if len(self._drawn) < 2 or not len(vectors):
            return np.full(len(vectors), prior, np.float32)
        cosines = vectors @ self._drawn.T
        cosines[cosines > 0.999] = -1  # itself
        highest = np.partition(cosines, -n_near, axis=1)[:, -n_near:]
        usual: Float32 = np.maximum(highest.mean(axis=1) * np.float32(self._share), 0) + prior
        return usual


def probability(likeness: Float32) -> Float64:
    """Turn how alike things are, (n,), into how sure it is that they are the same kind of sound."""
    odds = _OFFSET + _OF_LIKENESS * np.maximum(likeness, -100).astype(np.float64)
    chances: Float64 = np.where(np.isfinite(likeness), 1 / (1 + np.exp(-odds)), 0.0)
    return chances


def _likeness(chance: float) -> float:
    """Say how alike things are that are so sure; a little less, for what rounding takes."""
    if chance <= 0:
        return -np.inf
    odds = np.log(chance / (1 - chance)) if chance < 1 else 700.0
    return float((odds - _OFFSET) / _OF_LIKENESS) - 1e-3


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
