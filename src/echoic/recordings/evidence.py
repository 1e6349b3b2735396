"""What speaks for an alignment, against every other recording and the cohort that ships with the model."""

from __future__ import annotations

from collections.abc import Set

import numpy as np
import numpy.typing as npt

from echoic.storage.vectors.neighbours import Neighbours
from echoic.types import Float32

__all__ = ["FEATURES", "OTHERS", "best_others", "weighed"]

Float64 = npt.NDArray[np.float64]

#: Names of the numbers that an alignment is judged by, see :func:`weighed`.
FEATURES = (
    "similarity",
    "over_best_other",
    "over_five_others",
    "deviations_over_cohort",
    "share_won",
    "over_second_alignment",
    "scatter",
    "log_windows",
)

#: Of so many other recordings the best cosine with each window counts.
OTHERS = 5


def best_others(near: Neighbours, cohort: Float32, without: Set[int]) -> Float64:
    """Give the five best cosines of each window with other recordings, one a recording: (n, 5)."""
    order = np.argsort(near.file_ids, axis=1, kind="stable")  # among those of a file the best stays first
    files, scores = (np.take_along_axis(column, order, 1) for column in (near.file_ids, near.scores))
    is_best = np.diff(files, axis=1, prepend=-1) != 0  # -1 are those that were not found
    is_best &= ~np.isin(files, np.fromiter(without, np.int64, len(without)))
    best = np.where(is_best, scores, -np.inf).astype(np.float64)
    rivals = np.concatenate([best, cohort], axis=1)
    ranked: Float64 = -np.sort(-rivals, axis=1)[:, :OTHERS]
    return ranked


def weighed(
    similarities: Float64, weights: Float64, others: Float64, cohort: Float32, over_second: float, each: int
) -> Float64:
    """Sum up what speaks for an alignment, in the order of :data:`FEATURES`."""

    def mean(values: Float64) -> float:
        return float((values * weights).sum() / weights.sum())

    covered = weights > 0
    margin = similarities - others[:, 0]
    spread = cohort.std(axis=1) + 0.02
    return np.array(
        [
            mean(similarities),
            mean(margin),
            mean(similarities - others.mean(axis=1)),
            mean((similarities - cohort.mean(axis=1)) / spread),
            float((margin[covered] > 0).mean()),
            over_second,
            float(similarities[covered].std()),
            float(np.log(each * covered.sum())),
        ]
    )
