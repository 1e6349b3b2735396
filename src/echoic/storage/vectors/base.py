"""What a vector store is.

One store object is one collection: the segments of one encoder revision in one library. A segment is a
vector and the span of its file that this stands for; the two are written and read as one. A file's segments
come and go together, and many threads may read while one writes. Segments are known by ``(file_id,
segment)``, where ``segment`` counts from 0 in order of time. Similarity is the cosine: vectors are unit
length when they arrive.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from echoic.errors import StoreError
from echoic.storage.vectors.neighbours import Neighbours
from echoic.types import Float32, Segments

__all__ = ["VectorStore", "checked", "checked_queries"]


@runtime_checkable
class VectorStore(Protocol):
    """The segments of one encoder revision, searchable by cosine."""

    dim: int
    joins_transactions: bool  # of the catalog: what is written stands and falls with the file's row

    def replace(self, file_id: int, segments: Segments) -> None:
        """Make ``segments`` all that is stored for a file, at once or not at all.

        Raises
        ------
        StoreError
            If the vectors are of another dimension, not finite, or not of unit length, or a span is none.
        """
        ...

    def delete(self, file_ids: Sequence[int]) -> None:
        """Forget files; ids that are not stored are passed over."""
        ...

    def search(self, queries: Float32, k: int, *, within: Set[int] | None = None) -> Neighbours:
        """Find the ``k`` nearest segments of each query, best first; of equals, by file and segment.

        Parameters
        ----------
        queries : ndarray of float32, shape (n, dim)
            Unit length.
        k : int
            At least 1; fewer are returned where fewer are stored.
        within : set of int, optional
            Only segments of these files. A small set is scored exactly.

        Raises
        ------
        StoreError
            If the queries are of another dimension, or ``k`` is less than 1.
        """
        ...

    def fetch(self, file_ids: Sequence[int]) -> dict[int, Segments]:
        """Return what is stored for files, all at one moment; those for which nothing is are left out."""
        ...

    def file_ids(self) -> npt.NDArray[np.int64]:
        """Return the ids of all stored files, ascending."""
        ...

    def flush(self) -> None:
        """Make what was written quick to search and durable; call it at the end of a run."""
        ...

    def close(self) -> None:
        """Release files and connections."""
        ...

    def __len__(self) -> int:
        """Count the stored segments."""
        ...


_UNIT_TOLERANCE = 1e-3


def checked(segments: Segments, dim: int) -> Segments:
    """Return ``segments`` with plain arrays after making sure that a store may hold them.

    Raises
    ------
    StoreError
        On a wrong shape, on NaN, infinite, zero or otherwise not unit-length vectors, and on times that are
        no spans.
    """
    vectors = _checked_vectors(segments.vectors, dim)
    starts, ends = np.asarray(segments.starts, np.float64), np.asarray(segments.ends, np.float64)
    if starts.shape != (len(vectors),) or ends.shape != starts.shape:
        raise StoreError(f"{len(starts)} starts and {len(ends)} ends are no spans of {len(vectors)} vectors")
    bad = ~(np.isfinite(starts) & np.isfinite(ends) & (starts <= ends))
    if bad.any():
        row = int(np.argmax(bad))
        raise StoreError(f"segment {row} lasts from {starts[row]:g} s to {ends[row]:g} s, which is no span")
    return Segments(starts, ends, vectors)


def checked_queries(queries: Float32, dim: int, k: int) -> Float32:
    """Return ``queries`` as C-contiguous float32 after making sure that they may be searched for.

    Raises
    ------
    StoreError
        As in :func:`checked`, or if nothing is asked for.
    """
    if k < 1:
        raise StoreError(f"{k} neighbours cannot be found; ask for at least 1")
    return _checked_vectors(queries, dim)


def _checked_vectors(vectors: Float32, dim: int) -> Float32:
    array = np.ascontiguousarray(vectors, np.float32)
    if array.ndim != 2 or array.shape[1] != dim:
        raise StoreError(f"vectors of shape {array.shape} do not fit a collection of dimension {dim}")
    norms = np.sqrt(np.einsum("ij,ij->i", array, array))  # np.linalg.norm would copy them twice
    bad = ~(np.abs(norms - 1) <= _UNIT_TOLERANCE)  # the negation also catches NaN
    if bad.any():
        row = int(np.argmax(bad))
        raise StoreError(f"vector {row} has length {norms[row]:.4g}; vectors must be finite and of length 1")
    return array
