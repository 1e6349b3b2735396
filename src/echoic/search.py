"""From a query to ranked files.

A query is one vector or several (a long example has many windows). Stores return segments; a person wants
files, so hits are grouped here, and k is widened until enough files are found. A file's score is the mean,
over the query's vectors, of its best segment's cosine with each: every part of the query must be heard
somewhere in the file. The span reported is that of the single best pair.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

import numpy as np

from echoic.encoders.base import normalize
from echoic.stores.base import VectorStore
from echoic.types import Float32

__all__ = ["MAX_QUERY_VECTORS", "FileMatch", "rank_files", "refine_query", "thin"]

#: A longer query is thinned to this many vectors, evenly; 64 windows of 5 s every 2.5 s are 162 s.
MAX_QUERY_VECTORS = 64

# Weights of the original query, of what is wanted and of what is not (Manning, Raghavan and Schütze,
# "Introduction to Information Retrieval", 2008, section 9.1.1).
_QUERY, _LIKE, _UNLIKE = 1.0, 0.75, 0.25

# Files whose scores are worked out exactly for a query of several vectors, for each file wanted.
_CANDIDATES_PER_FILE = 4

FileMatch = tuple[int, int, float]  # file id, segment, score


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
    list of (file_id, segment, score)
        Best first; ``segment`` is the one of the single best match.
    """
    segments = max(4 * k, 50)
    while True:
        results = store.search(queries, segments, within=within)
        found = {n.file_id for neighbors in results for n in neighbors} - without
        exhausted = all(len(neighbors) < segments for neighbors in results)
        if len(found) >= k or exhausted:
            break
        segments *= 4

    # What a query's list does not hold scores at most as its last entry.
    bounds = [neighbors[-1].score if neighbors else -1.0 for neighbors in results]
    best: dict[int, list[float]] = {file_id: list(bounds) for file_id in found}
    spots: dict[int, tuple[float, int]] = {}
    for position, neighbors in enumerate(results):
        for n in neighbors:
            if n.file_id in best:
                best[n.file_id][position] = max(best[n.file_id][position], n.score)
                # Equal scores: the earlier segment.
                spots[n.file_id] = max(spots.get(n.file_id, (-2.0, 0)), (n.score, -n.segment))
    scores = {file_id: float(np.mean(values)) for file_id, values in best.items()}
    if len(queries) == 1:
        matches = [(file_id, -spots[file_id][1], score) for file_id, score in scores.items()]
    else:
        candidates = sorted(scores, key=lambda f: (-scores[f], f))[: max(_CANDIDATES_PER_FILE * k, 50)]
        # Another process may have removed a file since the search.
        looked_up = ((file_id, store.vectors(file_id)) for file_id in candidates)
        matches = [
            _score_exactly(file_id, queries, vectors) for file_id, vectors in looked_up if len(vectors)
        ]
    return sorted(matches, key=lambda match: (-match[2], match[0]))[:k]


def _score_exactly(file_id: int, queries: Float32, vectors: Float32) -> FileMatch:
    cosines = queries @ vectors.T
    segment = int(np.argmax(cosines.max(axis=0)))
    return file_id, segment, float(cosines.max(axis=1).mean())
