"""How well a search by similarity finds what is labelled alike.

Each query ranks items by similarity, higher is closer; equal similarities keep the order of the
items. An item is *relevant* to a query if their labels are equal. Items *excluded* for a query are not
there for it: itself, say, or what was cut from the same recording. A query to which nothing is relevant
measures nothing: its value is NaN, and means pass over it.

The metrics of one query each come as arrays of shape (queries,), so that they can be averaged, and
resampled to see how far the average can be trusted.

All functions take

similarities : ndarray of float, shape (queries, items)
query_labels : ndarray, shape (queries,)
labels : ndarray, shape (items,)
excluded : ndarray of bool, shape (queries, items), optional

and raise ValueError if these do not fit together.

References
----------
Manning, Raghavan and Schütze, "Introduction to Information Retrieval", 2008, chapter 8. Sakai and Kando,
"On information retrieval metrics designed for evaluation with incomplete relevance assessments", 2008, for
average precision with a cut-off. Efron and Tibshirani, "An Introduction to the Bootstrap", 1993.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "average_precision",
    "bootstrap_interval",
    "knn_accuracy",
    "knn_correct",
    "mean_average_precision",
    "precision_at_k",
    "recall_at_k",
    "validate",
]

Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[Any]


def validate(
    similarities: npt.NDArray[np.floating[Any]],
    query_labels: Labels,
    labels: Labels,
    excluded: Mask | None = None,
) -> None:
    """Check that the arrays of an evaluation fit together.

    Raises
    ------
    ValueError
        If a shape does not fit, or a similarity is NaN or infinite.
    """
    shape = (len(query_labels), len(labels))
    if similarities.shape != shape:
        raise ValueError(f"similarities are {similarities.shape} where the labels make it {shape}")
    if query_labels.ndim != 1 or labels.ndim != 1:
        raise ValueError("labels must be one to a query and one to an item")
    if excluded is not None and (excluded.shape != shape or excluded.dtype != np.bool_):
        raise ValueError(f"excluded must be bool of shape {shape}, not {excluded.dtype} of {excluded.shape}")
    if not np.isfinite(similarities).all():
        raise ValueError("similarities must be finite")


class _Ranking(NamedTuple):
    """Items in order of rank, the excluded last: each array (queries, items)."""

    order: npt.NDArray[np.intp]
    relevant: Mask
    there: Mask  # not excluded


def _rank(
    similarities: npt.NDArray[np.floating[Any]], query_labels: Labels, labels: Labels, excluded: Mask | None
) -> _Ranking:
    validate(similarities, query_labels, labels, excluded)
    there = np.ones(similarities.shape, np.bool_) if excluded is None else ~excluded
    order = np.argsort(np.where(there, -similarities, np.inf), axis=1, kind="stable")
    there = np.take_along_axis(there, order, axis=1)
    relevant = (labels[order] == query_labels[:, None]) & there
    return _Ranking(order, relevant, there)


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k counts items and must be at least 1, not {k}")


def _where_anything_is_relevant(values: Float64, relevant: Mask) -> Float64:
    return np.where(relevant.any(axis=1), values, np.nan)


def precision_at_k(
    similarities: npt.NDArray[np.floating[Any]],
    query_labels: Labels,
    labels: Labels,
    k: int,
    *,
    excluded: Mask | None = None,
) -> Float64:
    """Share of relevant items among the first ``k``; places that no item is left for count as missed.

    Returns
    -------
    ndarray of float64, shape (queries,)

    Examples
    --------
    >>> similarities = np.array([[0.9, 0.8, 0.1]])
    >>> precision_at_k(similarities, np.array(["dog"]), np.array(["dog", "cat", "dog"]), 2)
    array([0.5])
    """
    _check_k(k)
    relevant = _rank(similarities, query_labels, labels, excluded).relevant
    return _where_anything_is_relevant(relevant[:, :k].sum(axis=1) / k, relevant)


def recall_at_k(
    similarities: npt.NDArray[np.floating[Any]],
    query_labels: Labels,
    labels: Labels,
    k: int,
    *,
    excluded: Mask | None = None,
) -> Float64:
    """Share of the relevant items that is among the first ``k``.

    Returns
    -------
    ndarray of float64, shape (queries,)

    Examples
    --------
    >>> similarities = np.array([[0.9, 0.8, 0.1]])
    >>> recall_at_k(similarities, np.array(["dog"]), np.array(["dog", "cat", "dog"]), 2)
    array([0.5])
    """
    _check_k(k)
    relevant = _rank(similarities, query_labels, labels, excluded).relevant
    found = relevant[:, :k].sum(axis=1) / np.maximum(relevant.sum(axis=1), 1)
    return _where_anything_is_relevant(found, relevant)


def average_precision(
    similarities: npt.NDArray[np.floating[Any]],
    query_labels: Labels,
    labels: Labels,
    k: int | None = None,
    *,
    excluded: Mask | None = None,
) -> Float64:
    """Mean, over the relevant items, of the precision at the rank of each.

    Parameters
    ----------
    k : int, optional
        Look at the first ``k`` ranks only; the sum is then divided by the number of relevant items or by
        ``k``, whichever is smaller, so that a perfect ranking has 1.

    Returns
    -------
    ndarray of float64, shape (queries,)

    Examples
    --------
    >>> similarities = np.array([[0.9, 0.8, 0.1]])
    >>> average_precision(similarities, np.array(["dog"]), np.array(["dog", "cat", "dog"]))
    array([0.83333333])
    """
    if k is not None:
        _check_k(k)
    relevant = _rank(similarities, query_labels, labels, excluded).relevant
    first = relevant[:, :k]
    precision = np.cumsum(first, axis=1) / np.arange(1, first.shape[1] + 1)
    reachable = relevant.sum(axis=1)
    if k is not None:
        reachable = np.minimum(reachable, k)
    found = (precision * first).sum(axis=1) / np.maximum(reachable, 1)
    return _where_anything_is_relevant(found, relevant)


def knn_correct(
    similarities: npt.NDArray[np.floating[Any]],
    query_labels: Labels,
    labels: Labels,
    k: int = 5,
    *,
    excluded: Mask | None = None,
) -> Float64:
    """Whether the ``k`` nearest items, by vote, name the query's label: 1 or 0.

    Labels with equally many votes are told apart by the sum of their voters' similarities, and then by
    which has the nearest voter.

    Returns
    -------
    ndarray of float64, shape (queries,)

    Examples
    --------
    >>> similarities = np.array([[0.9, 0.8, 0.7]])
    >>> knn_correct(similarities, np.array(["cat"]), np.array(["dog", "cat", "cat"]), k=3)
    array([1.])
    """
    _check_k(k)
    order, relevant, there = _rank(similarities, query_labels, labels, excluded)
    correct = np.empty(len(order))
    for row, (nearest, voting) in enumerate(zip(order[:, :k], there[:, :k], strict=True)):
        votes: dict[Any, tuple[int, float]] = {}  # in order of the nearest voter, which max() respects
        for item in nearest[voting]:
            count, total = votes.get(labels[item], (0, 0.0))
            votes[labels[item]] = (count + 1, total + float(similarities[row, item]))
        correct[row] = bool(votes) and max(votes, key=votes.__getitem__) == query_labels[row]
    return _where_anything_is_relevant(correct, relevant)


def mean_average_precision(
    similarities: npt.NDArray[np.floating[Any]],
    query_labels: Labels,
    labels: Labels,
    k: int | None = None,
    *,
    excluded: Mask | None = None,
) -> float:
    """Mean of :func:`average_precision` over the queries; NaN if nothing is relevant to any."""
    return _mean(average_precision(similarities, query_labels, labels, k, excluded=excluded))


def knn_accuracy(
    similarities: npt.NDArray[np.floating[Any]],
    query_labels: Labels,
    labels: Labels,
    k: int = 5,
    *,
    excluded: Mask | None = None,
) -> float:
    """Mean of :func:`knn_correct` over the queries; NaN if nothing is relevant to any."""
    return _mean(knn_correct(similarities, query_labels, labels, k, excluded=excluded))


def _mean(values: Float64) -> float:
    valid = values[~np.isnan(values)]
    return float(valid.mean()) if len(valid) else float("nan")


def bootstrap_interval(
    values: Float64, groups: Labels, *, confidence: float = 0.95, n_resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Say how far the mean of some queries' values can be trusted.

    Parameters
    ----------
    values : ndarray of float64, shape (queries,)
        NaN is passed over.
    groups : ndarray, shape (queries,)
        Queries of one group (clips of one recording, say) are not independent: whole groups are drawn.
    confidence : float
        0–1.

    Returns
    -------
    low, high : float
        Percentiles of the means of resampled groups.

    Raises
    ------
    ValueError
        If there is not one group to a value, or no value.

    Examples
    --------
    >>> low, high = bootstrap_interval(np.array([0.0, 1.0, 1.0, 1.0]), np.arange(4))
    >>> low <= 0.75 <= high
    True
    """
    if values.shape != groups.shape:
        raise ValueError(f"{groups.shape} groups do not fit {values.shape} values")
    valid = ~np.isnan(values)
    if not valid.any():
        raise ValueError("there is no value to resample")
    _, group = np.unique(groups[valid], return_inverse=True)
    sizes = np.bincount(group)
    sums = np.bincount(group, values[valid])
    n_groups = len(sizes)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), n_resamples)
    means = (draws @ sums) / (draws @ sizes)
    tail = 50 * (1 - confidence)
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high)
