"""What a search of a store finds: arrays, a row for each query."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from echoic.types import Float32

__all__ = ["Neighbours"]


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The segments that a vector store found, a row for each query: the best first.

    All arrays have shape (queries, width). Where fewer were found for one query than for another, its row is
    filled up at the end: there ``file_ids`` and ``segments`` are -1, ``scores`` -inf, and the times NaN.

    Parameters
    ----------
    file_ids, segments : ndarray of int64
        Which segment of which file, from 0 in order of time.
    starts, ends : ndarray of float64
        Its span, in seconds of the file.
    scores : ndarray of float32
        The cosine: higher is closer.
    """

    file_ids: npt.NDArray[np.int64]
    segments: npt.NDArray[np.int64]
    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]
    scores: Float32

    @classmethod
    def none(cls, n_queries: int, width: int = 0) -> Neighbours:
        """Make rows in which nothing was found."""
        shape = n_queries, width
        nowhere = np.full(shape, -1, np.int64)
        never = np.full(shape, np.nan)
        return cls(nowhere, nowhere, never, never, np.full(shape, -np.inf, np.float32))

    @classmethod
    def stacked(cls, parts: Sequence[Neighbours]) -> Neighbours:
        """Put the rows of several below each other."""
        width = max((part.scores.shape[1] for part in parts), default=0)
        filled = [part._beside(cls.none(len(part), width - part.scores.shape[1])) for part in parts]
        columns = zip(*(part._all() for part in filled), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    @classmethod
    def best(cls, parts: Sequence[Neighbours], k: int) -> Neighbours:
        """Give the best ``k`` of several that answer the same queries; equals by file and segment."""
        found = parts[0]
        for part in parts[1:]:
            found = found._beside(part)
        if len(parts) > 1:
            found = found.taken(np.lexsort((found.segments, found.file_ids, -found.scores), axis=1))
        return found.first(k)

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: slice | npt.NDArray[np.int64]) -> Neighbours:
        """Choose queries."""
        return Neighbours(*(column[rows] for column in self._all()))

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Which entries are segments, not filled up: all that come first in a row."""
        found: npt.NDArray[np.bool_] = self.file_ids >= 0
        return found

    def first(self, k: int) -> Neighbours:
        """Leave out what is not among the best ``k`` of a query."""
        return Neighbours(*(column[:, :k] for column in self._all()))

    def without(self, file_ids: Set[int]) -> Neighbours:
        """Leave out the segments of some files."""
        if not file_ids:
            return self
        gone = np.isin(self.file_ids, np.fromiter(file_ids, np.int64, len(file_ids)))
        if not gone.any():
            return self
        nothing = Neighbours.none(*self.scores.shape)._all()
        kept = (np.where(gone, blank, column) for blank, column in zip(nothing, self._all(), strict=True))
        return Neighbours(*kept).taken(np.argsort(gone, axis=1, kind="stable"))

    def _all(self) -> tuple[npt.NDArray[Any], ...]:
        return self.file_ids, self.segments, self.starts, self.ends, self.scores

    def _beside(self, other: Neighbours) -> Neighbours:
        pairs = zip(self._all(), other._all(), strict=True)
        return Neighbours(*(np.concatenate(pair, axis=1) for pair in pairs))

    def taken(self, order: npt.NDArray[np.int64]) -> Neighbours:
        """Put each query's entries in another order, given as places, shape (queries, width or less)."""
        return Neighbours(*(np.take_along_axis(column, order, axis=1) for column in self._all()))
