"""How alike what is heard is to what is asked for, judged by what is usual in a library.

Cosines mean something else for every example, and for every event: some are like nothing else, and some, as
of rain, are like a thousand others. So what two are alike is judged by how alike each of them is to the
nearest of the library's own sounds, some hundreds drawn from all of its files. By that, one threshold serves
all examples.

References
----------
Conneau et al., "Word translation without parallel data", ICLR 2018, section 2.3 (cross-domain similarity
local scaling). Matejka et al., "Analysis of score normalization in multilingual speaker recognition",
Interspeech 2017.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from echoic.encoders.base import normalize
from echoic.storage.events import read_heard
from echoic.storage.vectors.base import VectorStore
from echoic.types import Float32

__all__ = ["Background", "drawn", "likeness_of", "logits", "probability"]

_DRAWN, _DRAWN_FILES = 500, 50  # sounds that stand for the library, of so many files at most
_NEAR = 25  # one in so many of them is near to something
# A library of few sounds says little of what is usual: so many are taken to be there that are as elsewhere.
_OTHERS, _USUAL = 50, 0.5
_AXES = 32  # along which the library's sounds differ most
_LEAST_SPREAD = 2.0  # means of all axes that are added to each spread
_AT_ONCE = 100_000  # sounds that are compared at once

# Of a logistic regression over what is found by one example, of kinds of sound that are not measured with:
# the logarithm of the odds that it is the same kind of sound, by how alike it is.
_OFFSET, _OF_LIKENESS = -1.51, 7.30

Float64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Vectors = Float32 | npt.NDArray[np.int8]


def drawn(store: VectorStore, file_ids: Ints) -> Float32:
    """Draw sounds from a library, the same each time: evenly from files that are spread evenly."""
    rows = np.unique(np.linspace(0, len(file_ids) - 1, min(len(file_ids), _DRAWN_FILES)).round().astype(int))
    a_file = -(-_DRAWN // max(1, len(rows)))
    found = [np.empty((0, store.dim), np.float32)]
    for _, heard in read_heard(store, file_ids[rows].tolist()):
        n = len(heard.vectors)
        chosen = heard.vectors[np.random.default_rng(n).permutation(n)[:a_file]]
        found.append(normalize(chosen.astype(np.float32)))
    return np.concatenate(found)


class Background:
    """What is usual in a library, by which likeness is judged.

    Directions in which its sounds differ most, as rain differs from wind, tell little of what is looked for,
    and are shortened: vectors are whitened by its covariance, as far as so few sounds tell it
    (Hariharan et al., "Discriminative decorrelation for clustering and classification", ECCV 2012).

    Parameters
    ----------
    drawn : ndarray of float32, shape (n, dim)
        Vectors of some of its events, of unit length; there may be none.
    """

    def __init__(self, drawn: Float32) -> None:
        n, dim = drawn.shape
        self._share = n / (n + _OTHERS)
        self._mean = drawn.sum(axis=0) / np.float32(n + _OTHERS)
        around = drawn - self._mean
        spread, axes = np.linalg.eigh(around.T @ around / np.float32(max(n, 1)))
        spread, self._axes = spread[-_AXES:], np.ascontiguousarray(axes[:, -_AXES:], np.float32)
        least = _LEAST_SPREAD * float(np.square(around).sum()) / max(n, 1) / dim / max(self._share, 1e-3) ** 2
        shares = np.maximum(spread, 0) / (np.maximum(spread, 0) + max(least, 1e-12))
        self._squares = shares.astype(np.float32)  # what is taken from squared lengths
        self._taken = (1 - np.sqrt(1 - self._squares)).astype(np.float32)  # and from lengths, along each axis
        self._drawn = self.seen(drawn)

    def seen(self, vectors: Float32) -> Float32:
        """Whiten vectors, (n, dim), and make them of unit length."""
        around = vectors - self._mean
        return normalize(around - (around @ self._axes * self._taken) @ self._axes.T)

    def to(self, asked: Float32) -> Callable[[Vectors, float], Float32]:
        """Make what says how alike sounds are to one: (n, dim), and the least that matters → (n,).

        What is less alike than that is -inf.

        Parameters
        ----------
        asked : ndarray of float32, shape (dim,)
            As :meth:`seen` makes it.
        """
        own = float(self._usual(asked[None])[0])
        towards = asked - self._axes @ (self._taken * (asked @ self._axes))
        # All that is needed of a sound are its products with these, as it is of unit length.
        products = np.concatenate([np.stack([towards, self._mean], axis=1), self._axes], axis=1)
        of_mean = self._mean @ products

        def likeness(events: Vectors, least: float) -> Float32:
            alike = np.full(len(events), -np.inf, np.float32)
            for at in range(0, len(events), _AT_ONCE):
                vectors = events[at : at + _AT_ONCE].astype(np.float32)
                lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
                along = vectors @ products / np.maximum(lengths, 1e-12)[:, None]
                squares = 1 - 2 * along[:, 1] + of_mean[1]
                squares -= np.square(along[:, 2:] - of_mean[2:]) @ self._squares
                twice = 2 * (along[:, 0] - of_mean[0]) / np.sqrt(np.maximum(squares, 1e-12)) - own
                rows = np.flatnonzero(twice >= least)  # nothing is unlike to what is near
                alike[at + rows] = twice[rows] - self._usual(self.seen(normalize(vectors[rows])))
            return alike

        return likeness

    def _usual(self, vectors: Float32) -> Float32:
        """Say how alike vectors, (n, dim), are to what is nearest in the background, themselves left out."""
        prior = np.float32((1 - self._share) * _USUAL)
        n_near = max(1, len(self._drawn) // _NEAR)
        if len(self._drawn) < 2 or not len(vectors):
            return np.full(len(vectors), prior, np.float32)
        cosines = vectors @ self._drawn.T
        cosines[cosines > 0.999] = -1  # itself
        highest = np.partition(cosines, -n_near, axis=1)[:, -n_near:]
        usual: Float32 = np.maximum(highest.mean(axis=1) * np.float32(self._share), 0) + prior
        return usual


def logits(likeness: Float32) -> Float64:
    """Turn how alike things are, (n,), into the logarithm of the odds that they are the same kind."""
    odds: Float64 = _OFFSET + _OF_LIKENESS * np.maximum(likeness, -90).astype(np.float64)
    return odds


def chances_of(odds: Float64) -> Float64:
    """Turn logarithms of odds into probabilities; of -inf, 0."""
    chances: Float64 = np.where(np.isneginf(odds), 0.0, 1 / (1 + np.exp(-np.clip(odds, -500, 500))))
    return chances


def probability(likeness: Float32) -> Float64:
    """Turn how alike things are, (n,), into how sure it is that they are the same kind of sound."""
    chances: Float64 = np.where(np.isfinite(likeness), chances_of(logits(likeness)), 0.0)
    return chances


def likeness_of(chance: float, *, less: float = 0.0) -> float:
    """Say how alike things are that are so sure; a little less, for what rounding takes.

    Parameters
    ----------
    chance : float
    less : float
        What else may be added to the logarithm of the odds.
    """
    if chance <= 0:
        return -np.inf
    odds = np.log(chance / (1 - chance)) if chance < 1 else 700.0
    return float((odds - less - _OFFSET) / _OF_LIKENESS) - 1e-3
