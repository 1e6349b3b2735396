"""What a vector store is.

One store object is one collection: the vectors of one encoder revision in one library. A file's vectors
come and go together; rows are known by ``(file_id, segment)``, where ``segment`` counts from 0 in order of
time. Similarity is the cosine: vectors are unit length when they arrive.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from echoic.errors import StoreError
from echoic.types import Float32, Neighbor

__all__ = ["VectorStore", "checked"]


@runtime_checkable
class VectorStore(Protocol):
    """The vectors of one encoder revision, searchable by cosine."""

    dim: int
    joins_transactions: bool  # of the catalog: what is written stands and falls with the file's row

    def replace(self, file_id: int, vectors: Float32) -> None:
        """Make ``vectors``, shape (segments, dim), all that is stored for a file, at once or not at all.

        Raises
        ------
        StoreError
            If the vectors are of another dimension, not finite, or not of unit length.
        """
        ...

    def delete(self, file_ids: Sequence[int]) -> None:
        """Forget files; ids that are not stored are passed over."""
        ...

    def search(self, queries: Float32, k: int, *, within: Set[int] | None = None) -> list[list[Neighbor]]:
        """Find the ``k`` nearest segments of each query, best first.

        Parameters
        ----------
        queries : ndarray of float32, shape (n, dim)
            Unit length.
        k : int
            At least 1; fewer are returned where fewer are stored.
        within : set of int, optional
            Only segments of these files. A small set is scored exactly.
        """
        ...

    def vectors(self, file_id: int) -> Float32:
        """Return what is stored for a file, shape (segments, dim); no rows if nothing is."""
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


def checked(vectors: Float32, dim: int) -> Float32:
    """Return ``vectors`` as C-contiguous float32 after making sure that a store may hold them.

    Raises
    ------
    StoreError
        On a wrong shape, and on NaN, infinite, zero or otherwise not unit-length rows.
    """
    array = np.ascontiguousarray(vectors, np.float32)
    if array.ndim != 2 or array.shape[1] != dim:
        raise StoreError(f"vectors of shape {array.shape} do not fit a collection of dimension {dim}")
    norms = np.sqrt(np.einsum("ij,ij->i", array, array))  # np.linalg.norm would copy them twice
    bad = ~(np.abs(norms - 1) <= _UNIT_TOLERANCE)  # the negation also catches NaN
    if bad.any():
        row = int(np.argmax(bad))
        raise StoreError(f"vector {row} has length {norms[row]:.4g}; vectors must be finite and of length 1")
    return array
