"""From a query to ranked files.

A query is one vector or several (a long example has many windows). Stores return segments; a person wants
files, so hits are grouped here, and k is widened until enough files are found. A file's score is the mean,
over the query's vectors, of its best segment's cosine with each: every part of the query must be heard
somewhere in the file. The span reported is that of the single best pair.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np

from echoic.encoders.base import normalize
from echoic.spec import EncoderSpec
from echoic.storage.catalog import Catalog
from echoic.storage.vectors.base import VectorStore
from echoic.types import Float32, Hit, Segments

__all__ = ["MAX_QUERY_VECTORS", "FileMatch", "as_hits", "rank_files", "refine_query", "thin"]

#: A longer query is thinned to this many vectors, evenly; 64 windows of 5 s every 2.5 s are 162 s.
MAX_QUERY_VECTORS = 64

# Weights of the original query, of what is wanted and of what is not (Manning, Raghavan and Schütze,
# "Introduction to Information Retrieval", 2008, section 9.1.1).
_QUERY, _LIKE, _UNLIKE = 1.0, 0.75, 0.25

# Files whose scores are worked out exactly for a query of several vectors, for each file wanted.
_CANDIDATES_PER_FILE = 4


@dataclass(frozen=True, slots=True)
class FileMatch:
    """A file that fits a query, how well, and the span of it, in seconds, that does."""

    file_id: int
    start: float
    end: float
    score: float


def thin(vectors: Float32) -> Float32:
    """Keep at most ``MAX_QUERY_VECTORS`` rows, evenly spread."""
    if len(vectors) <= MAX_QUERY_VECTORS:
        return vectors
    rows = np.linspace(0, len(vectors) - 1, MAX_QUERY_VECTORS).round().astype(int)
    chosen: Float32 = vectors[rows]
    return chosen


def refine_query(query: Float32 | None, like: Sequence[Float32], unlike: Sequence[Float32]) -> Float32:
    """Move a query towards some examples and away from others.

    Parameters
    ----------
    query : ndarray, shape (n, dim), or None
        None if there is nothing but examples.
    like, unlike : sequences of ndarray, shape (dim,)
        One mean vector an example.

    Returns
    -------
    ndarray, shape (n or 1, dim)
        Unit length.

    References
    ----------
    Rocchio, "Relevance feedback in information retrieval", 1971.
    """
    if query is not None and not like and not unlike:
        return query
    refined = np.zeros((1, 1), np.float32) if query is None else _QUERY * query
    if like:
        refined = refined + _LIKE * np.mean(like, axis=0)
    if unlike:
        refined = refined - _UNLIKE * np.mean(unlike, axis=0)
    return normalize(refined.astype(np.float32))


def rank_files(
    store: VectorStore,
    queries: Float32,
    k: int,
    *,
    within: Set[int] | None = None,
    without: Set[int] = frozenset(),
) -> list[FileMatch]:
    """Find the ``k`` files that fit a query best.

    Parameters
    ----------
    queries : ndarray, shape (n, dim)
        Unit length; all of one query.
    within : set of int, optional
        Only these files.
    without : set of int
        None of these files.

    Returns
    -------
    list of FileMatch
        Best first; the span is that of the single best pair.
    """
    segments = max(4 * k, 50)
    while True:
        near = store.search(queries, segments, within=within)
        n_found = near.found.sum(axis=1)
        known = near.without(without)
        # With the numbers, too, as np.unique() for the values alone would import all of numpy.ma.
        file_ids, numbers = np.unique(known.file_ids[known.found], return_inverse=True)
        if len(file_ids) >= k or (n_found < segments).all():
            break
        segments *= 4

    rows, columns = np.nonzero(known.found)
    scores = known.scores[rows, columns].astype(np.float64)
    # What a query's list does not hold scores at most as its last entry.
    bounds = np.min(near.scores, axis=1, where=near.found, initial=np.inf).astype(np.float64)
    best = np.tile(np.where(n_found, bounds, -1.0), (len(file_ids), 1))
    np.maximum.at(best, (numbers, rows), scores)
    means = best.mean(axis=1)
    if len(queries) == 1:
        # A file's best comes first; of equals, the earlier segment.
        _, firsts = np.unique(numbers, return_index=True)
        at = rows[firsts], columns[firsts]
        spans = known.starts[at].tolist(), known.ends[at].tolist()
        matches = [FileMatch(*row) for row in zip(file_ids.tolist(), *spans, means.tolist(), strict=True)]
    else:
        candidates = file_ids[np.lexsort((file_ids, -means))[: max(_CANDIDATES_PER_FILE * k, 50)]]
        # Another process may have removed a file since the search.
        looked_up = store.fetch(candidates.tolist())
        matches = [_score_exactly(file_id, queries, found) for file_id, found in looked_up.items()]
    return sorted(matches, key=lambda match: (-match.score, match.file_id))[:k]


def as_hits(catalog: Catalog, spec: EncoderSpec, matches: Sequence[FileMatch], k: int | None) -> list[Hit]:
    """Name the files of the ``k`` best matches, or of all; those that have left the library are left out."""
    best = sorted(matches, key=lambda match: (-match.score, match.file_id, match.start))[:k]
    paths = catalog.paths([match.file_id for match in best])
    there = [match for match in best if match.file_id in paths]
    return [
        Hit(rank, paths[match.file_id], match.start, match.end, match.score, spec.name)
        for rank, match in enumerate(there, start=1)
    ]


def _score_exactly(file_id: int, queries: Float32, found: Segments) -> FileMatch:
    cosines = queries @ found.vectors.T
    best = int(np.argmax(cosines.max(axis=0)))
    score = float(cosines.max(axis=1).mean())
    return FileMatch(file_id, float(found.starts[best]), float(found.ends[best]), score)
