"""Nearest neighbours in one matrix: exactly, or through an inverted file of codes.

Both ways end the same: candidates are scored again from the vectors themselves, by one fixed order of
summation, and sorted by score, then by row. So equal vectors get equal scores wherever they lie, and every
store that sorts so gives the same ranking.

Codes take 8 bits a number where the vectors are at hand, mapped from a file. Where they stay in a database,
product quantisation takes 2 bits a number: the codes are then all of an index that lies beside the database.

References
----------
Jégou, Douze, Schmid, "Product quantization for nearest neighbor search", IEEE TPAMI 33(1), 2011, for the
inverted file; Douze et al., "The Faiss library", arXiv 2401.08281, for the codes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from echoic.storage.vectors.rows import StoredMatrix
from echoic.types import Float32

__all__ = ["InvertedFile", "Mask", "Matrix", "Rows", "cells_of", "nearest"]

Matrix = Float32 | StoredMatrix
Rows = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# Candidates beyond k. FAISS sums in another order than `_scores`, so rows within rounding of the k-th place
# may change places; and rows equal to the k-th must all be seen for the order among them to be the promised.
_SLACK = 16
_ROUNDING = 2e-6
_WIDEN = 8
# FAISS's parallel loop over one query took 10.5 ms on two cores where one thread took 3.7 (100k x 256).
_FEW_QUERIES = 8
# Multiplications that NumPy does in milliseconds: in a new process, sooner than FAISS is loaded.
_QUICKLY_DONE = 16_000_000
_QUERIES_AT_ONCE = 64

# 2 sqrt(n) lists and 40 training vectors each: 6 s of training and 11 s of filling for 1 M x 128, one thread.
_LISTS_PER_SQRT = 2
_TRAINING_PER_LIST = 40
_ITERATIONS = 8
_ADD_AT_ONCE = 65_536
# Vectors without clusters need most cells, and codes are no quicker to scan than vectors (1 M x 128: 40 ms
# against 30): beyond this part of the cells the exact answer costs the same.
_WORTHWHILE = 0.5
_TUNE_QUERIES = 100
_TUNE_K = 20
_TUNE_RECALL = 0.97
_TUNE_STEP = 1.5
# Product codes: four numbers are one of 256 patterns. Few queries at once may each look into more cells.
_NUMBERS_A_CODE = 4
_LEAST_CELLS, _CELLS_OF = 8, 640  # at least so many, and one in so many, for each of _MANY_QUERIES
_MANY_QUERIES = 32
_MOST_CELLS = 4  # times as many, for few queries


def nearest(
    matrix: Matrix, queries: Float32, k: int, *, rows: Rows | None = None, mask: Mask | None = None
) -> tuple[Rows, Float32]:
    """Find the rows of largest inner product, exactly.

    Parameters
    ----------
    matrix : ndarray of float32 or StoredMatrix, shape (n, dim)
    queries : ndarray of float32, shape (q, dim)
    k : int
    rows : ndarray of int64, ascending, optional
        Look at these rows only. They are copied together first: right for few.
    mask : ndarray of bool, shape (n,), optional
        Look at these rows only, in place: right for many.

    Returns
    -------
    rows, scores : ndarray, shape (q, min(k, rows looked at))
        By score, descending, then by row, ascending.
    """
    if rows is not None:
        found, scores = nearest(matrix[rows], queries, k)
        return rows[found], scores
    if isinstance(matrix, StoredMatrix):
        return _nearest_of_blocks(matrix, queries, k, mask)
    n_rows = len(matrix) if mask is None else int(np.count_nonzero(mask))
    width = min(k, n_rows)
    all_found = np.empty((len(queries), width), np.int64)
    all_scores = np.empty((len(queries), width), np.float32)
    if width == 0:
        return all_found, all_scores
    selector = None if mask is None or n_rows == len(matrix) else _selector(mask)
    due = np.arange(len(queries))
    take = min(n_rows, width + _SLACK)
    while len(due):
        asked = np.ascontiguousarray(queries[due])
        found, scores = _ordered(matrix, asked, _inner_product(matrix, asked, take, selector))
        all_found[due], all_scores[due] = found[:, :width], scores[:, :width]
        if take == n_rows:
            break
        due = due[scores[:, width - 1] - scores[:, -1] <= _ROUNDING]
        take = min(n_rows, take * _WIDEN)
    return all_found, all_scores


def _nearest_of_blocks(
    matrix: StoredMatrix, queries: Float32, k: int, mask: Mask | None
) -> tuple[Rows, Float32]:
    found = np.empty((len(queries), 0), np.int64)
    scores = np.empty((len(queries), 0), np.float32)
    for first, block in matrix.blocks():
        part = None if mask is None else mask[first : first + len(block)]
        more, their_scores = nearest(block, queries, k, mask=part)
        found, scores = np.hstack([found, more + first]), np.hstack([scores, their_scores])
        order = np.lexsort((found, -scores), axis=1)[:, :k]
        found, scores = np.take_along_axis(found, order, 1), np.take_along_axis(scores, order, 1)
    return found, scores


def cells_of(n: int) -> int:
    """Say how many cells so many vectors are laid into."""
    return max(1, min(int(_LISTS_PER_SQRT * math.sqrt(n)), n // _TRAINING_PER_LIST))


class InvertedFile:
    """Vectors sorted into cells around trained centres, as codes; a search looks into a few cells.

    Build it with :meth:`build` or :meth:`read`. It holds codes, not vectors: searching takes the matrix
    that it was built from, to score its candidates exactly.
    """

    def __init__(self, index: Any) -> None:
        self._index = index

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and dimension."""
        return int(self._index.ntotal), int(self._index.d)

    @property
    def is_worthwhile(self) -> bool:
        """Whether a search is quicker through the codes than over the vectors themselves."""
        return self._is_product or self.n_probe <= _WORTHWHILE * self.n_lists

    @property
    def n_lists(self) -> int:
        return int(self._index.nlist)

    @property
    def n_probe(self) -> int:
        """Cells looked into for 20 results: as tuned when it was built, or a share of all."""
        if self._is_product:
            return min(self.n_lists, max(_LEAST_CELLS, self.n_lists // _CELLS_OF))
        return int(self._index.nprobe)

    @property
    def _is_product(self) -> bool:
        return hasattr(self._index, "pq")

    @classmethod
    def build(cls, matrix: Matrix) -> InvertedFile:
        """Train on a sample of ``matrix``, fill, and look into as many cells as its own vectors need.

        The number of cells grows until 100 of the vectors find 97 % of their 20 true neighbours. Of a matrix
        that stays in a database, product codes are made, and a fixed share of cells is looked into.
        """
        faiss = _faiss()
        n, dim = matrix.shape
        n_lists = cells_of(n)
        quantizer = faiss.IndexFlatIP(dim)
        if isinstance(matrix, StoredMatrix):
            n_codes = math.gcd(dim, max(1, dim // _NUMBERS_A_CODE))
            index = faiss.IndexIVFPQ(quantizer, dim, n_lists, n_codes, 8, faiss.METRIC_INNER_PRODUCT)
        else:
            index = faiss.IndexIVFScalarQuantizer(
                quantizer,
                dim,
                n_lists,
                faiss.ScalarQuantizer.QT_8bit,
                faiss.METRIC_INNER_PRODUCT,
                False,  # codes of the vectors, not of their distance to the centre: nothing is added up then
            )
        index.cp.niter = _ITERATIONS
        rng = np.random.default_rng(0)
        sample = np.sort(rng.choice(n, min(n, n_lists * _TRAINING_PER_LIST), replace=False))
        index.train(matrix[sample])
        built = cls(index)
        if isinstance(matrix, StoredMatrix):
            for _, block in matrix.blocks(_ADD_AT_ONCE):
                index.add(block)
            return built
        for at in range(0, n, _ADD_AT_ONCE):
            index.add(np.ascontiguousarray(matrix[at : at + _ADD_AT_ONCE]))
        built._tune(matrix, matrix[np.sort(rng.choice(n, min(n, _TUNE_QUERIES), replace=False))])
        return built

    def _tune(self, matrix: Float32, queries: Float32) -> None:
        truth, _ = nearest(matrix, queries, _TUNE_K)
        self._index.nprobe = 4
        while self.is_worthwhile:
            found, _ = self.search(matrix, queries, truth.shape[1])
            hits = sum(len(np.intersect1d(a, b)) for a, b in zip(found, truth, strict=True))
            if hits >= _TUNE_RECALL * truth.size:
                return
            self._index.nprobe = min(math.ceil(_TUNE_STEP * self.n_probe), self.n_lists)

    @classmethod
    def read(cls, path: Path) -> InvertedFile:
        """Map an index that :meth:`write` wrote; RuntimeError or TypeError if it is something else."""
        faiss = _faiss()
        # Mapped, it is ready in 50 ms where reading 137 MB took up to 570, and processes share the memory.
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        if not isinstance(index, faiss.IndexIVFScalarQuantizer | faiss.IndexIVFPQ):
            raise TypeError(f"{path} holds a {type(index).__name__}")
        return cls(index)

    def write(self, path: Path) -> None:
        faiss = _faiss()
        # Through Python, so that a full disk is an OSError; FAISS's own writer misses it in the last block.
        with path.open("wb") as file:
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write))

    def search(
        self, matrix: Matrix, queries: Float32, k: int, *, mask: Mask | None = None
    ) -> tuple[Rows, Float32]:
        """Find rows of large inner product, as :func:`nearest` does, but not always all of them.

        Never fewer than ``min(k, rows of the mask)``: queries that find too few are searched exactly.
        """
        faiss = _faiss()
        n_rows = len(matrix) if mask is None else int(np.count_nonzero(mask))
        width = min(k, n_rows)
        if width == 0:
            return nearest(matrix, queries, k, mask=mask)
        # Neighbours lie further off, in more cells, the fewer rows are looked at and the more are wanted.
        n_probe = math.ceil(self.n_probe * len(matrix) / n_rows * self._depth(len(queries), k))
        if n_probe > _WORTHWHILE * self.n_lists:
            return nearest(matrix, queries, k, mask=mask)
        parameters = faiss.SearchParametersIVF(nprobe=n_probe, sel=None if mask is None else _selector(mask))
        # Every candidate out of a database costs a read.
        take = min(n_rows, width if self._is_product else 2 * width + _SLACK)
        with _threads_for(len(queries)):
            _, candidates = self._index.search(queries, take, params=parameters)
        found, scores = _ordered(matrix, queries, candidates)
        found, scores = found[:, :width], scores[:, :width]
        short = np.flatnonzero((found < 0).any(axis=1))
        if len(short):
            found[short], scores[short] = nearest(matrix, np.ascontiguousarray(queries[short]), k, mask=mask)
        return found, scores

    def _depth(self, n_queries: int, k: int) -> float:
        """Say how many times the usual number of cells a search looks into."""
        if self._is_product:
            return min(_MOST_CELLS, max(1.0, _MANY_QUERIES / n_queries))
        return max(1.0, k / _TUNE_K)


def _inner_product(matrix: Float32, queries: Float32, k: int, selector: Any) -> Rows:
    if selector is None and len(queries) * matrix.size <= _QUICKLY_DONE:
        products = queries @ matrix.T
        return np.argpartition(-products, k - 1, axis=1)[:, :k].astype(np.int64, copy=False)
    faiss = _faiss()
    scores = np.empty((len(queries), k), np.float32)
    found = np.empty((len(queries), k), np.int64)
    with _threads_for(len(queries)):
        # What faiss.knn calls; only here does it take a selector.
        faiss.knn_inner_product(
            faiss.swig_ptr(queries),
            faiss.swig_ptr(matrix),
            matrix.shape[1],
            len(queries),
            len(matrix),
            k,
            faiss.swig_ptr(scores),
            faiss.swig_ptr(found),
            selector,
        )
    return found


def _ordered(matrix: Matrix, queries: Float32, candidates: Rows) -> tuple[Rows, Float32]:
    """Score candidates from the vectors and sort them; row -1, which stands for none, comes last."""
    scores = np.empty(candidates.shape, np.float32)
    for at in range(0, len(queries), _QUERIES_AT_ONCE):
        part = slice(at, at + _QUERIES_AT_ONCE)
        scores[part] = np.einsum("qkd,qd->qk", matrix[candidates[part]], queries[part])
    scores[candidates < 0] = -np.inf
    order = np.lexsort((candidates, -scores), axis=1)
    return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(scores, order, axis=1)


def _faiss() -> Any:
    import faiss  # .04 to .25 s: only those who search pay

    return faiss  # Any, because its type stubs lack what its Python layer adds to the C++ signatures


def _selector(mask: Mask) -> Any:
    faiss = _faiss()
    return faiss.IDSelectorBitmap(np.packbits(mask, bitorder="little"))


@contextmanager
def _threads_for(n_queries: int) -> Iterator[None]:
    faiss = _faiss()
    threads = faiss.omp_get_max_threads()
    if n_queries >= _FEW_QUERIES or threads == 1:
        yield
        return
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
