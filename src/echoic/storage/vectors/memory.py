"""A store that lives as long as the object: for what is compared once, and for tests."""

from __future__ import annotations

import threading
from collections.abc import Sequence, Set

import numpy as np
import numpy.typing as npt

from echoic.storage.vectors.base import checked, checked_queries
from echoic.storage.vectors.neighbours import Neighbours
from echoic.storage.vectors.snapshot import Snapshot
from echoic.storage.vectors.times import Spans
from echoic.types import Float32, Segments

__all__ = ["MemoryStore"]


class MemoryStore:
    """A collection of segments in memory, searched exactly.

    Parameters
    ----------
    dim : int
        Length of the vectors.

    Examples
    --------
    >>> store = MemoryStore(2)
    >>> store.replace(7, Segments(np.array([0.0]), np.array([5.0]), np.array([[0.6, 0.8]], np.float32)))
    >>> store.search(np.array([[1, 0]], np.float32), k=3).scores
    array([[0.6]], dtype=float32)
    """

    joins_transactions = False

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._files: dict[int, Segments] = {}
        self._laid_out: Snapshot | None = None
        self._changing = threading.RLock()

    def replace(self, file_id: int, segments: Segments) -> None:
        segments = checked(segments, self.dim)
        with self._changing:
            self.delete([file_id])
            if len(segments):
                self._files[int(file_id)] = segments

    def delete(self, file_ids: Sequence[int]) -> None:
        with self._changing:
            self._laid_out = None
            for file_id in file_ids:
                self._files.pop(int(file_id), None)

    def search(self, queries: Float32, k: int, *, within: Set[int] | None = None) -> Neighbours:
        queries = checked_queries(queries, self.dim, k)
        if not len(queries):
            return Neighbours.none(0)
        snapshot = self._snapshot()
        wanted = None if within is None else np.isin(snapshot.file_ids, np.fromiter(within, np.int64))
        return snapshot.search(queries, k, wanted)

    def _snapshot(self) -> Snapshot:
        with self._changing:
            if self._laid_out is None:
                files = dict(sorted(self._files.items()))
                nothing = np.empty((0, self.dim), np.float32)
                matrix = np.concatenate([nothing, *(file.vectors for file in files.values())])
                spans = Spans.of((file.starts, file.ends) for file in files.values())
                counts = {file_id: len(file) for file_id, file in files.items()}
                self._laid_out = Snapshot.of(0, counts, matrix, spans)
            return self._laid_out

    def fetch(self, file_ids: Sequence[int]) -> dict[int, Segments]:
        found = ((int(i), self._files.get(int(i))) for i in file_ids)
        return {file_id: segments for file_id, segments in found if segments is not None}

    def file_ids(self) -> npt.NDArray[np.int64]:
        return np.array(sorted(self._files), np.int64)

    def flush(self) -> None:
        """Do nothing: there is nothing more durable or quicker."""

    def close(self) -> None:
        """Forget everything."""
        self._files.clear()
        self._laid_out = None

    def __len__(self) -> int:
        return sum(map(len, self._files.values()))
