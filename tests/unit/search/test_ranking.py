"""Grouping by file against a plain oracle, on a store in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.encoders.base import normalize
from echoic.search.ranking import MAX_QUERY_VECTORS, FileMatch, rank_files, refine_query, thin
from echoic.storage.vectors.memory import MemoryStore
from echoic.types import Segments


class CountingStore(MemoryStore):
    """Counts how often it is asked; segment i starts at i seconds."""

    def __init__(self, files):
        super().__init__(next(iter(files.values())).shape[1] if files else 8)
        self.files = files
        self.asked = []
        for file_id, vectors in files.items():
            starts = np.arange(len(vectors), dtype=np.float64)
            self.replace(file_id, Segments(starts, starts + 2, vectors))

    def search(self, queries, k, *, within=None):
        self.asked.append(k)
        return super().search(queries, k, within=within)


def random_store(rng, n_files, most_segments, dim=8):
    return CountingStore(
        {
            file_id: normalize(rng.normal(size=(rng.integers(1, most_segments + 1), dim)).astype(np.float32))
            for file_id in range(1, n_files + 1)
        }
    )


def brute_force(store, queries, k, within, without):
    scores = {
        file_id: float((queries @ vectors.T).max(axis=1).mean())
        for file_id, vectors in store.files.items()
        if (within is None or file_id in within) and file_id not in without
    }
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:k]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**31),
    n_files=st.integers(0, 30),
    n_queries=st.integers(1, 5),
    k=st.integers(1, 12),
    filtered=st.booleans(),
)
def test_ranking_equals_brute_force(seed, n_files, n_queries, k, filtered):
    rng = np.random.default_rng(seed)
    store = random_store(rng, n_files, 6)
    queries = normalize(rng.normal(size=(n_queries, 8)).astype(np.float32))
    within = set(rng.integers(1, 31, 10).tolist()) if filtered else None
    without = set(rng.integers(1, 31, 3).tolist())
    matches = rank_files(store, queries, k, within=within, without=without)
    expected = brute_force(store, queries, k, within, without)
    assert [match.file_id for match in matches] == [file_id for file_id, _ in expected]
    np.testing.assert_allclose([m.score for m in matches], [score for _, score in expected], atol=1e-5)
    for match in matches:
        cosines = (queries @ store.files[match.file_id].T).max(axis=0)
        assert cosines[int(match.start)] == pytest.approx(cosines.max(), abs=1e-6)
        assert match.end == match.start + 2


def test_k_is_widened_until_there_are_enough_files():
    # One file owns the 300 nearest segments; the others come after it.
    near = normalize(np.full((300, 4), [1, 0.001, 0, 0], np.float32))
    files = {1: near} | {i: normalize(np.array([[1, 1, i / 10, 0]], np.float32)) for i in range(2, 8)}
    store = CountingStore(files)
    matches = rank_files(store, np.eye(1, 4, dtype=np.float32), 5)
    assert [m.file_id for m in matches] == [1, 2, 3, 4, 5]
    assert store.asked == [50, 200, 800]


def test_equal_scores_go_by_file_and_earliest_segment():
    row = np.eye(1, 4, dtype=np.float32)
    store = CountingStore({3: np.repeat(row, 2, axis=0), 1: row, 2: row})
    assert rank_files(store, row, 3) == [FileMatch(file_id, 0.0, 2.0, 1.0) for file_id in (1, 2, 3)]


def test_every_part_of_a_long_query_counts():
    a, b = np.eye(2, 4, dtype=np.float32)
    store = CountingStore({1: np.stack([a, b]), 2: np.stack([a, a])})
    matches = rank_files(store, np.stack([a, b]), 2)
    assert [(m.file_id, m.score) for m in matches] == [(1, 1.0), (2, 0.5)]


def test_feedback_moves_the_query_towards_likes_and_away_from_unlikes():
    query, wanted, unwanted = np.eye(3, dtype=np.float32)
    refined = refine_query(query[None], [wanted], [unwanted])
    np.testing.assert_allclose(refined, normalize(np.array([[1, 0.75, -0.25]], np.float32)), atol=1e-6)


def test_without_examples_the_query_is_untouched():
    query = np.eye(1, 3, dtype=np.float32)
    assert refine_query(query, [], []) is query


def test_examples_alone_make_a_query():
    a, b = np.eye(2, 3, dtype=np.float32)
    np.testing.assert_allclose(refine_query(None, [a, b], []), normalize(np.array([[1, 1, 0]], np.float32)))


@given(st.integers(1, 500))
def test_thinning_keeps_both_ends_and_the_order(n):
    kept = thin(np.arange(n, dtype=np.float32)[:, None])[:, 0]
    assert len(kept) == min(n, MAX_QUERY_VECTORS)
    assert kept[0] == 0
    assert kept[-1] == n - 1
    assert (np.diff(kept) > 0).all()
