"""Retrieval metrics against hand-computed cases and naive loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.evaluation import retrieval

DOG = np.array(["dog"])
LABELS = np.array(["cat", "dog", "dog", "owl", "dog"])
# Ranked: dog (1), cat (0), dog (4), owl (3), dog (2).
SIMILARITIES = np.array([[0.8, 0.9, 0.1, 0.2, 0.5]])


@st.composite
def evaluations(draw):
    """Similarities with many ties, labels, and a mask of what is excluded or None."""
    n_queries, n_items = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.sampled_from([2, 5, 1000]))
    similarities = rng.integers(-levels, levels + 1, (n_queries, n_items)) / levels
    query_labels, labels = rng.integers(0, 3, n_queries), rng.integers(0, 3, n_items)
    excluded = rng.random((n_queries, n_items)) < 0.3 if draw(st.booleans()) else None
    return similarities, query_labels, labels, excluded


def ranked(similarities, excluded, row):
    """Indices of one query's items, best first."""
    items = [i for i in range(similarities.shape[1]) if excluded is None or not excluded[row, i]]
    return sorted(items, key=lambda i: (-similarities[row, i], i))


def naive(evaluation, of_query):
    """Apply ``of_query(ranked items, whether each is relevant, row)`` to each query."""
    similarities, query_labels, labels, excluded = evaluation
    values = []
    for row, label in enumerate(query_labels):
        items = ranked(similarities, excluded, row)
        hits = [labels[i] == label for i in items]
        values.append(of_query(items, hits, row) if any(hits) else math.nan)
    return values


def test_hand_computed_precision_and_recall():
    precision = [retrieval.precision_at_k(SIMILARITIES, DOG, LABELS, k)[0] for k in (1, 2, 3, 5, 10)]
    assert precision == pytest.approx([1, 1 / 2, 2 / 3, 3 / 5, 3 / 10])
    recall = [retrieval.recall_at_k(SIMILARITIES, DOG, LABELS, k)[0] for k in (1, 2, 3, 5, 10)]
    assert recall == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1, 1])


def test_hand_computed_average_precision():
    assert retrieval.average_precision(SIMILARITIES, DOG, LABELS)[0] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)
    assert retrieval.average_precision(SIMILARITIES, DOG, LABELS, 3)[0] == pytest.approx((1 + 2 / 3) / 3)
    assert retrieval.average_precision(SIMILARITIES, DOG, LABELS, 2)[0] == pytest.approx(1 / 2)


def test_what_is_excluded_is_not_there():
    excluded = np.array([[True, True, False, False, False]])  # left: dog (4), owl (3), dog (2)
    assert retrieval.precision_at_k(SIMILARITIES, DOG, LABELS, 2, excluded=excluded)[0] == 1 / 2
    assert retrieval.recall_at_k(SIMILARITIES, DOG, LABELS, 2, excluded=excluded)[0] == 1 / 2
    found = retrieval.average_precision(SIMILARITIES, DOG, LABELS, excluded=excluded)
    assert found[0] == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize(
    ("similarities", "expected"),
    [
        ([0.9, 0.5, 0.4, 0.3], 1),  # dog .9 + .3 and cat .5 + .4 have two votes each
        ([0.6, 0.6, 0.5, 0.3], 0),
        ([0.5, 0.4, 0.3, 0.2], 1),  # the sums are equal too: the dog is nearest
    ],
)
def test_ties_between_labels_go_by_similarity_then_by_the_nearest(similarities, expected):
    labels = np.array(["dog", "cat", "cat", "dog"])
    assert retrieval.knn_correct(np.array([similarities]), DOG, labels, k=4)[0] == expected


def test_votes_beat_similarity():
    labels = np.array(["cat", "dog", "dog", "owl"])
    assert retrieval.knn_correct(np.array([[0.99, 0.2, 0.1, 0.05]]), DOG, labels, k=3)[0] == 1


def test_a_query_with_nothing_to_find_measures_nothing():
    similarities = np.array([[0.5, 0.4], [0.5, 0.4]])
    queries, labels = np.array(["dog", "fox"]), np.array(["dog", "cat"])
    for values in (
        retrieval.precision_at_k(similarities, queries, labels, 1),
        retrieval.recall_at_k(similarities, queries, labels, 1),
        retrieval.average_precision(similarities, queries, labels),
        retrieval.knn_correct(similarities, queries, labels, 1),
    ):
        np.testing.assert_array_equal(values, [1, np.nan])
    assert retrieval.mean_average_precision(similarities, queries, labels) == 1
    assert retrieval.knn_accuracy(similarities, queries, labels, 1) == 1
    assert math.isnan(retrieval.mean_average_precision(similarities[1:], queries[1:], labels))


@given(evaluations(), st.integers(1, 10))
def test_precision_and_recall_are_the_naive_loops(evaluation, k):
    *arrays, excluded = evaluation
    np.testing.assert_allclose(
        retrieval.precision_at_k(*arrays, k, excluded=excluded),
        naive(evaluation, lambda items, hits, row: sum(hits[:k]) / k),
    )
    np.testing.assert_allclose(
        retrieval.recall_at_k(*arrays, k, excluded=excluded),
        naive(evaluation, lambda items, hits, row: sum(hits[:k]) / sum(hits)),
    )


@given(evaluations(), st.none() | st.integers(1, 10))
def test_average_precision_is_the_naive_loop(evaluation, k):
    def of_query(items, hits, row):
        first = hits if k is None else hits[:k]
        total = sum(sum(hits[: rank + 1]) / (rank + 1) for rank, hit in enumerate(first) if hit)
        return total / (sum(hits) if k is None else min(k, sum(hits)))

    *arrays, excluded = evaluation
    values = retrieval.average_precision(*arrays, k, excluded=excluded)
    expected = naive(evaluation, of_query)
    np.testing.assert_allclose(values, expected)
    mean = retrieval.mean_average_precision(*arrays, k, excluded=excluded)
    valid = [value for value in expected if not math.isnan(value)]
    assert mean == pytest.approx(sum(valid) / len(valid)) if valid else math.isnan(mean)


@given(evaluations(), st.integers(1, 10))
def test_knn_is_the_naive_vote(evaluation, k):
    similarities, query_labels, labels, excluded = evaluation

    def of_query(items, hits, row):
        def standing(label):
            voters = [i for i in items[:k] if labels[i] == label]
            return len(voters), sum(similarities[row, i] for i in voters), -items.index(voters[0])

        return max({labels[i] for i in items[:k]}, key=standing) == query_labels[row]

    values = retrieval.knn_correct(similarities, query_labels, labels, k, excluded=excluded)
    np.testing.assert_array_equal(values, np.array(naive(evaluation, of_query), float))


@given(evaluations(), st.integers(1, 10))
def test_a_perfect_ranking_has_the_highest_scores(evaluation, k):
    _, query_labels, labels, excluded = evaluation
    similarities = (labels == query_labels[:, None]).astype(float)
    values = retrieval.average_precision(similarities, query_labels, labels, k, excluded=excluded)
    assert np.all((values == 1) | np.isnan(values))


@pytest.mark.parametrize(
    "change",
    [
        {"similarities": SIMILARITIES[:, :4]},
        {"similarities": np.where(SIMILARITIES > 0.8, np.nan, SIMILARITIES)},
        {"query_labels": np.array(["dog", "cat"])},
        {"labels": LABELS[:, None]},
        {"excluded": np.zeros((1, 5))},
        {"excluded": np.zeros((5, 1), bool)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(change):
    fitting = {"similarities": SIMILARITIES, "query_labels": DOG, "labels": LABELS, "excluded": None}
    retrieval.validate(**fitting)
    with pytest.raises(ValueError, match=r"must be|where the labels"):
        retrieval.validate(**fitting | change)


@pytest.mark.parametrize("metric", ["precision_at_k", "recall_at_k", "average_precision", "knn_correct"])
def test_k_counts_from_one(metric):
    with pytest.raises(ValueError, match="at least 1"):
        getattr(retrieval, metric)(SIMILARITIES, DOG, LABELS, 0)


def test_interval_is_that_of_the_normal_approximation_for_many_independent_values():
    values = (np.arange(2000) % 4 > 0).astype(float)
    low, high = retrieval.bootstrap_interval(values, np.arange(2000))
    margin = 1.96 * math.sqrt(0.75 * 0.25 / 2000)
    assert (low, high) == pytest.approx((0.75 - margin, 0.75 + margin), abs=0.004)


def test_interval_draws_whole_groups():
    values = np.repeat([0.0, 1.0], 500)
    alone = retrieval.bootstrap_interval(values, np.arange(1000))
    assert alone[1] - alone[0] < 0.1
    assert retrieval.bootstrap_interval(values, np.repeat([0, 1], 500)) == (0, 1)


def test_interval_passes_over_nan_and_refuses_what_is_empty():
    assert retrieval.bootstrap_interval(np.array([np.nan, 0.5, 0.5]), np.arange(3)) == (0.5, 0.5)
    with pytest.raises(ValueError, match="no value"):
        retrieval.bootstrap_interval(np.array([np.nan]), np.arange(1))
    with pytest.raises(ValueError, match="do not fit"):
        retrieval.bootstrap_interval(np.zeros(3), np.arange(2))
