"""A classifier of few answers: a Gaussian process about what a search expects.

What a search says of a sound is the mean; what was answered moves it, there and where sounds are alike. With
no answers it is the search, with many it is learnt from them, and between it knows how unsure it is.
Laplace's approximation takes a matrix of as many rows as there are answers: a hundred of them are learnt in
milliseconds.

References
----------
Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, section 3.4.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from echoic.search.likeness import chances_of
from echoic.types import Float32

__all__ = ["GaussianProcess"]

_VARIANCE, _REACH = 1.0, 0.3  # of what may be added to the log-odds; of a cosine, in which that falls to 1/e
_JITTER = 1e-6
_MOST_STEPS, _DONE = 50, 1e-6

Float64 = npt.NDArray[np.float64]


class GaussianProcess:
    """What answers add to the logarithm of the odds that a sound is one of a kind.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, dim)
        Of what was answered; unit length.
    expected : ndarray of float64, shape (n,)
        Log-odds that were expected of them.
    is_it : ndarray of bool, shape (n,)
        What was answered.

    Examples
    --------
    >>> process = GaussianProcess(np.eye(2, dtype=np.float32), np.zeros(2), np.array([True, False]))
    >>> process.added(np.eye(2, dtype=np.float32)).round(1)
    array([ 0.4, -0.4])
    """

    def __init__(self, vectors: Float32, expected: Float64, is_it: npt.NDArray[np.bool_]) -> None:
        self._vectors = vectors
        n = len(vectors)
        kernel = self._kernel(vectors) + _JITTER * np.eye(n)
        added = np.zeros(n)
        for _ in range(_MOST_STEPS):  # Newton's method; algorithm 3.1
            chance = chances_of(expected + added)
            root = np.sqrt(np.maximum(chance * (1 - chance), 1e-9))
            inner = np.eye(n) + root[:, None] * kernel * root
            right = root**2 * added + is_it - chance
            now = kernel @ (right - root * np.linalg.solve(inner, root * (kernel @ right)))
            is_done = bool(np.abs(now - added).max(initial=0) < _DONE)
            added = now
            if is_done:
                break
        chance = chances_of(expected + added)
        self._weights = is_it - chance
        root = np.sqrt(np.maximum(chance * (1 - chance), 1e-9))
        self._root = root
        self._inverse = np.linalg.inv(np.eye(n) + root[:, None] * kernel * root)

    @property
    def most(self) -> float:
        """More than that is added to nothing."""
        return float(_VARIANCE * np.maximum(self._weights, 0).sum())

    def added(self, vectors: Float32) -> Float64:
        """Say what is to be added to the log-odds of sounds, (m, dim) of unit length → (m,)."""
        added: Float64 = self._kernel(vectors) @ self._weights
        return added

    def variance(self, vectors: Float32) -> Float64:
        """Say how unsure that is: the variance of what is added, (m,)."""
        near = self._kernel(vectors) * self._root
        left: Float64 = _VARIANCE - np.einsum("ij,jk,ik->i", near, self._inverse, near)
        return np.maximum(left, 0.0)

    def _kernel(self, vectors: Float32) -> Float64:
        cosines = np.minimum(vectors @ self._vectors.T, 1).astype(np.float64)  # rounded, they may be above
        kernel: Float64 = _VARIANCE * np.exp((cosines - 1) / _REACH)
        return kernel
