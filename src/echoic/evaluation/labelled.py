"""How well vectors of labelled clips find their like, from overall figures down to single clips.

Every query ranks the clips searched by cosine similarity. It never finds itself, nor a clip of its own group:
two cuts of one recording resemble each other whatever the encoder knows. Without further word every clip asks
for all the others (leave one out).

Clips of one group are not independent either, so intervals come from resampling whole groups.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from echoic.encoders.base import normalize
from echoic.errors import DatasetError
from echoic.evaluation import retrieval
from echoic.types import Float32

__all__ = [
    "ClassFigures",
    "Confusion",
    "Difference",
    "Estimate",
    "FoundClip",
    "LabelledFigures",
    "QueryFigures",
    "check_measurable",
    "compare",
    "measure",
]

Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

K_VOTES = 5
K_LISTED = 5
K_CUTOFF = 10

# Queries that are ranked at once: against 5,000 clips, 30 MB in all.
_BLOCK = 512

# With fewer groups that differ, even if all of them favour one side, a sign test has p > .05.
_LEAST_GROUPS = 6


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over queries and its 95 % bootstrap interval over groups."""

    value: float
    low: float
    high: float


#: What can be said of a difference: it may be chance, or is not, or is clear over too few groups to tell.
Finding = Literal["chance", "few groups", "beyond chance"]


@dataclass(frozen=True, slots=True)
class Difference(Estimate):
    """How far one encoder lies above another, query by query, with the 95 % interval of that.

    Parameters
    ----------
    n_groups : int
        Groups over which the two differ in sum.
    """

    n_groups: int

    @property
    def finding(self) -> Finding:
        """Whether the interval leaves out zero, and enough groups differ for that to mean something."""
        if self.low <= 0 <= self.high:
            return "chance"
        return "beyond chance" if self.n_groups >= _LEAST_GROUPS else "few groups"


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Means over the queries of one label; NaN where none of them has anything to find."""

    label: str
    n_queries: int
    precision_at_1: float
    precision_at_5: float
    average_precision: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """How many queries of one label the vote took for another."""

    label: str
    voted: str
    count: int
    share: float  # of the queries of the label


@dataclass(frozen=True, slots=True)
class FoundClip:
    """One of the clips nearest to a query; ``score`` is the cosine."""

    path: str
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class QueryFigures:
    """What one clip found.

    Parameters
    ----------
    voted : str
        The label that its nearest clips name by vote; empty where there is nothing to find.
    precision_at_1, average_precision : float
        NaN where there is nothing to find.
    nearest : tuple of FoundClip
        At most five, best first.
    """

    path: str
    label: str
    group: str
    voted: str
    precision_at_1: float
    average_precision: float
    nearest: tuple[FoundClip, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LabelledFigures:
    """How well one encoder finds clips of the same label.

    Parameters
    ----------
    n_queries, n_searched : int
        Clips that asked, and clips that were searched.
    n_measured, n_groups : int
        Queries that had something to find (the figures are means over these), and the groups they are of.
    knn_accuracy : Estimate
        Share of queries whose label the five nearest clips name by vote.
    classes : tuple of ClassFigures
        In order of label.
    labels : tuple of str
        Names of the rows and columns of ``confusion``, sorted.
    confusion : ndarray of int64, shape (labels, labels)
        Queries that had something to find, by their label (row) and what the vote says (column).
    queries : tuple of QueryFigures
        In the order given.
    """

    n_queries: int
    n_searched: int
    n_measured: int
    n_groups: int
    precision_at_1: Estimate
    precision_at_5: Estimate
    mean_average_precision: Estimate
    mean_average_precision_at_10: Estimate
    knn_accuracy: Estimate
    classes: tuple[ClassFigures, ...]
    labels: tuple[str, ...]
    confusion: Int64
    queries: tuple[QueryFigures, ...]

    def most_confused(self, n: int) -> tuple[Confusion, ...]:
        """Return the ``n`` pairs of labels that were mistaken most often, at most; equal ones by name."""
        pairs = [
            Confusion(self.labels[row], self.labels[column], count, count / int(self.confusion[row].sum()))
            for row, column in np.argwhere(self.confusion)
            if row != column and (count := int(self.confusion[row, column]))
        ]
        return tuple(sorted(pairs, key=lambda pair: (-pair.count, -pair.share, pair.label, pair.voted))[:n])


def check_measurable(
    labels: Sequence[str],
    groups: Sequence[str],
    *,
    queries: Mask | None = None,
    searched: Mask | None = None,
) -> None:
    """See to it that labels can be measured by, before time is spent on computing vectors.

    Parameters
    ----------
    labels, groups, queries, searched
        As for :func:`measure`.

    Raises
    ------
    DatasetError
        If a clip has no label, all have the same, or no query has anything to find.
    """
    n_missing = sum(not label for label in labels)
    if n_missing == len(labels):
        raise DatasetError(
            "none of the clips has a label to measure by; put them into a folder for each class, or give a "
            "manifest (.csv) with the columns path and label"
        )
    if n_missing:
        raise DatasetError(f"{n_missing} of {len(labels)} clips have no label; label them or leave them out")
    names = sorted(set(labels))
    if len(names) == 1:
        raise DatasetError(
            f"all {len(labels)} clips are labelled {names[0]!r}, so that every answer is right; "
            "figures need two classes or more"
        )
    all_ask_all = queries is None and searched is None
    asking, searched = _masks(len(labels), queries, searched)
    if not _measurable(labels, groups, asking, searched).any():
        if all_ask_all:
            raise DatasetError(
                "no label has clips of two groups, and a clip may not find its own group, which is the "
                "recording itself where no column says another: there is nothing to find; add recordings"
            )
        raise DatasetError(
            f"no label of the {int(asking.sum())} queries has a clip of another group among the "
            f"{int(searched.sum())} clips to be searched; check the labels, the split and the group column"
        )


def measure(
    vectors: Float32,
    labels: Sequence[str],
    groups: Sequence[str],
    paths: Sequence[str],
    *,
    queries: Mask | None = None,
    searched: Mask | None = None,
) -> LabelledFigures:
    """Measure how well clips find others of their label.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
        One a clip; finite, of any length.
    labels, groups, paths : sequence of str, length n
        What each clip is, what it was cut from (its own path if from nothing shared), and its name.
    queries, searched : ndarray of bool, shape (n,), optional
        Which clips ask, and which are searched; by default all. A clip may do both.

    Returns
    -------
    LabelledFigures

    Raises
    ------
    DatasetError
        As :func:`check_measurable`.
    ValueError
        If the lengths do not fit, or a vector is not finite.

    Examples
    --------
    >>> vectors = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], np.float32)
    >>> figures = measure(vectors, ["cat", "cat", "dog", "dog"], list("abcd"), list("abcd"))
    >>> figures.precision_at_1.value
    1.0
    """
    n = len(vectors)
    if vectors.ndim != 2 or not n == len(labels) == len(groups) == len(paths):
        raise ValueError(
            f"{vectors.shape} vectors, {len(labels)} labels, {len(groups)} groups and {len(paths)} paths "
            "do not fit together"
        )
    if not np.isfinite(vectors).all():
        raise ValueError("vectors must be finite")
    check_measurable(labels, groups, queries=queries, searched=searched)
    asking, searched = _masks(n, queries, searched)
    names, label_of = _coded(labels)
    _, group_of = _coded(groups)
    rows, items = np.flatnonzero(asking), np.flatnonzero(searched)

    directions = normalize(vectors)
    p1, p5, ap, ap10, knn = np.full((5, n), np.nan)
    votes = np.full(n, -1)
    nearest: dict[int, tuple[FoundClip, ...]] = {}
    for block in _blocks_of_one_label(rows, label_of):
        ranked = _Ranked(directions[block] @ directions[items].T, block, items, label_of, group_of)
        p1[block] = ranked.precision_at_k(1)
        p5[block] = ranked.precision_at_k(5)
        ap[block] = ranked.average_precision()
        ap10[block] = ranked.average_precision_at_k(K_CUTOFF)
        knn[block] = ranked.knn_correct()
        for row, (found, scores) in zip(block, ranked.nearest(), strict=True):
            if not np.isnan(knn[row]):
                votes[row] = _vote(scores[:K_VOTES], label_of[found[:K_VOTES]])
            nearest[int(row)] = tuple(
                FoundClip(paths[item], labels[item], float(score))
                for item, score in zip(found[:K_LISTED], scores[:K_LISTED], strict=True)
            )

    measured = rows[~np.isnan(p1[rows])]
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (label_of[measured], votes[measured]), 1)

    def estimate(values: retrieval.Float64) -> Estimate:
        return _estimate(values[measured], group_of[measured])

    return LabelledFigures(
        n_queries=len(rows),
        n_searched=len(items),
        n_measured=len(measured),
        n_groups=len(np.unique(group_of[measured])),
        precision_at_1=estimate(p1),
        precision_at_5=estimate(p5),
        mean_average_precision=estimate(ap),
        mean_average_precision_at_10=estimate(ap10),
        knn_accuracy=estimate(knn),
        classes=tuple(
            ClassFigures(names[code], len(of), _mean(p1[of]), _mean(p5[of]), _mean(ap[of]))
            for code in np.unique(label_of[rows])
            for of in [rows[label_of[rows] == code]]
        ),
        labels=tuple(names),
        confusion=confusion,
        queries=tuple(
            QueryFigures(
                path=paths[row],
                label=labels[row],
                group=groups[row],
                voted=names[votes[row]] if votes[row] >= 0 else "",
                precision_at_1=float(p1[row]),
                average_precision=float(ap[row]),
                nearest=nearest[row],
            )
            for row in rows.tolist()
        ),
    )


def compare(figures: LabelledFigures, other: LabelledFigures) -> Difference:
    """Say how far the precision at 1 of one encoder lies above another's, on the same queries.

    The bootstrap is a paired one: whole groups are drawn, with what both encoders made of them. So it sees
    differences that two separate intervals, which overlap, would hide.

    Raises
    ------
    ValueError
        If the two were not asked the same.
    """
    if [query.path for query in figures.queries] != [query.path for query in other.queries]:
        raise ValueError("only figures of the same queries can be compared")
    gains = np.array(
        [
            mine.precision_at_1 - theirs.precision_at_1
            for mine, theirs in zip(figures.queries, other.queries, strict=True)
        ]
    )
    _, group_of = _coded([query.group for query in figures.queries])
    total = np.bincount(group_of, np.nan_to_num(gains))
    estimate = _estimate(gains, group_of)
    return Difference(estimate.value, estimate.low, estimate.high, int(np.count_nonzero(total)))


class _Ranked:
    """Queries of one label before the clips searched, narrowed to the clips that decide most metrics.

    Only average precision without a cut-off looks below the tenth rank. For all else it is enough to sort
    the clips that are among the first ten of any of these queries, and those that are relevant: of 5,000
    clips, some hundreds.
    """

    def __init__(
        self,
        similarities: npt.NDArray[np.float32],
        block: npt.NDArray[np.intp],
        items: npt.NDArray[np.intp],
        label_of: Int64,
        group_of: Int64,
    ) -> None:
        excluded = (group_of[block][:, None] == group_of[items]) | (block[:, None] == items)
        self._query_labels = label_of[block]
        self._all = (similarities, label_of[items], excluded)
        open_to = np.where(excluded, -np.inf, similarities)
        last = min(K_CUTOFF, len(items))
        # By their similarity rather than by their number: those that tie with the tenth stay too.
        tenth = -np.partition(-open_to, last - 1, axis=1)[:, last - 1]
        kept = (open_to >= tenth[:, None]).any(axis=0) | (label_of[items] == self._query_labels[0])
        self._items = items[kept]
        self._narrow = (similarities[:, kept], label_of[self._items], excluded[:, kept])

    def precision_at_k(self, k: int) -> retrieval.Float64:
        similarities, labels, excluded = self._narrow
        return retrieval.precision_at_k(similarities, self._query_labels, labels, k, excluded=excluded)

    def average_precision_at_k(self, k: int) -> retrieval.Float64:
        similarities, labels, excluded = self._narrow
        return retrieval.average_precision(similarities, self._query_labels, labels, k, excluded=excluded)

    def average_precision(self) -> retrieval.Float64:
        similarities, labels, excluded = self._all
        return retrieval.average_precision(similarities, self._query_labels, labels, excluded=excluded)

    def knn_correct(self) -> retrieval.Float64:
        similarities, labels, excluded = self._narrow
        return retrieval.knn_correct(similarities, self._query_labels, labels, K_VOTES, excluded=excluded)

    def nearest(self) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]]:
        """Yield for each query the first ten clips that it may find, best first, and their similarities."""
        similarities, _, excluded = self._narrow
        order = np.argsort(np.where(excluded, np.inf, -similarities), axis=1, kind="stable")[:, :K_CUTOFF]
        for row, found in enumerate(order):
            found = found[~excluded[row, found]]
            yield self._items[found], similarities[row, found]


def _vote(scores: npt.NDArray[np.float32], labels: Int64) -> int:
    """Name the label for which the vote of these neighbours is right."""
    candidates = np.unique(labels)
    if len(candidates) == 1:
        return int(candidates[0])
    ballots = np.broadcast_to(scores, (len(candidates), len(scores)))
    return int(candidates[np.argmax(retrieval.knn_correct(ballots, candidates, labels, len(scores)))])


def _blocks_of_one_label(rows: npt.NDArray[np.intp], label_of: Int64) -> Iterator[npt.NDArray[np.intp]]:
    for code in np.unique(label_of[rows]):
        of_label = rows[label_of[rows] == code]
        for start in range(0, len(of_label), _BLOCK):
            yield of_label[start : start + _BLOCK]


def _masks(n: int, queries: Mask | None, searched: Mask | None) -> tuple[Mask, Mask]:
    masks = [np.ones(n, np.bool_) if mask is None else np.asarray(mask) for mask in (queries, searched)]
    for mask in masks:
        if mask.shape != (n,) or mask.dtype != np.bool_:
            raise ValueError(f"queries and searched must be bool of shape ({n},), not {mask.shape}")
    return masks[0], masks[1]


def _measurable(labels: Sequence[str], groups: Sequence[str], asking: Mask, searched: Mask) -> Mask:
    """Tell which queries have something to find: a clip of their label and another group."""
    groups_of: dict[str, set[str]] = defaultdict(set)
    for label, group, is_searched in zip(labels, groups, searched, strict=True):
        if is_searched:
            groups_of[label].add(group)
    has_others = [
        len(groups_of[label]) > (group in groups_of[label])
        for label, group in zip(labels, groups, strict=True)
    ]
    return np.logical_and(asking, has_others)


def _coded(words: Sequence[str]) -> tuple[list[str], Int64]:
    """Number distinct words in their order: NumPy compares numbers faster, and strips what ends in NUL."""
    names = sorted(set(words))
    codes = {name: code for code, name in enumerate(names)}
    return names, np.array([codes[word] for word in words], np.int64)


def _estimate(values: retrieval.Float64, group_of: Int64) -> Estimate:
    low, high = retrieval.bootstrap_interval(values, group_of)
    return Estimate(_mean(values), low, high)


def _mean(values: retrieval.Float64) -> float:
    valid = values[~np.isnan(values)]
    return float(valid.mean()) if len(valid) else math.nan
