"""Dynamic time warping: the best paths through how alike the rows of two sequences are.

References
----------
Sakoe and Chiba, "Dynamic programming algorithm optimization for spoken word recognition", IEEE TASSP 26(1),
1978.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from echoic.types import Float32

__all__ = ["best_paths", "best_scores"]

Ints = npt.NDArray[np.int64]


def best_scores(alike: Float32) -> Float32:
    """Say what the paths of :func:`best_paths` add up to; where they begin takes ten times as long."""
    n = alike.shape[1]
    # Totals of the row before the last, of the last, and of this one, with two columns before the first.
    before, last, here = np.full((3, n + 2), -np.inf, np.float32)
    last[2:] = alike[0]
    over_two = np.empty(n, np.float32)
    for row in range(1, len(alike)):
        total = here[2:]
        np.maximum(last[1:-1], last[:-2], out=total)
        if row == 1:
            np.maximum(total, alike[0], out=total)  # the first two rows may be one column
        else:
            np.add(before[1:-1], alike[row - 1], out=over_two)
            np.maximum(total, over_two, out=total)
        total += alike[row]
        before, last, here = last, here, before
    totals: Float32 = last[2:]
    return totals


def best_paths(alike: Float32) -> tuple[Float32, Ints]:
    """Find, for each column, the path through all rows that ends there and adds up to most.

    A path goes on by one row and one column, or by two of one of them; of two rows in one column, both count.

    Parameters
    ----------
    alike : ndarray of float32, shape (rows, columns)

    Returns
    -------
    scores : ndarray of float32, shape (columns,)
        -inf where no path ends.
    firsts : ndarray of int64, shape (columns,)
        The columns where they begin.

    Examples
    --------
    >>> best_paths(np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32))
    (array([-inf,   1.,   1.,   3.], dtype=float32), array([0, 0, 0, 0]))
    """
    here = np.arange(alike.shape[1])
    total, begun = alike[0], here
    before: tuple[Float32, Ints] | None = None  # of the row before the last
    for row in range(1, len(alike)):
        options = [(_moved(total, by, -np.inf), _moved(begun, by, 0)) for by in (1, 2)]
        if before is None:  # the first two rows may be one column
            options.append((alike[0], here))
        else:
            options.append((_moved(before[0], 1, -np.inf) + alike[row - 1], _moved(before[1], 1, 0)))
        best, since = options[0]
        for other, since_other in options[1:]:
            is_better = other > best
            best, since = np.where(is_better, other, best), np.where(is_better, since_other, since)
        before = total, begun
        total, begun = best + alike[row], since
    return total, begun


def _moved(array: npt.NDArray[Any], by: int, fill: float) -> npt.NDArray[Any]:
    """Move all columns to the right."""
    moved = np.full_like(array, fill)
    moved[by:] = array[:-by]
    return moved
