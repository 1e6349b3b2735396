"""What tells kinds of sound by an encoder's vectors: a small network beside the encoder, in NumPy.

The kinds are AudioSet's classes (Gemmeke et al., 2017). It was taught where the encoder's vectors lie
(``recipes/heard``), never the other way round: the encoder's revision stands for its vectors alone, so that
another head costs no library anything but to be asked anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from echoic.machine import one_thread_for_algebra
from echoic.types import Float32
from echoic.untrusted import read_arrays, shown

__all__ = ["Head"]

_LAYERS = ("first_weight", "first_bias", "second_weight", "second_bias")
_SURENESS = ("whole", "close")
_AT_ONCE = 256  # windows: what is in between takes several times the room of what comes out
_HIGHEST = 30.0  # of a logit: beyond, a probability is 0 or 1 to the last digit


class Head:
    """Tells how likely each kind of sound is heard in windows.

    Parameters
    ----------
    content : bytes
        An NPZ archive: ``labels``, the kinds' names in UTF-8, a line each; ``kinds``, (n, 2) int16, which one
        is a kind of which; of two layers ``first_weight``, (hidden, dim), ``first_bias``, ``second_weight``,
        (labels, hidden), ``second_bias``; and ``whole`` and ``close``, (2,): by what the logits of one
        window, and the mean of those of two, are multiplied, and what is added, to be calibrated.
    dim : int
        Of the vectors.

    Attributes
    ----------
    labels : list of str
    kinds : dict of int to set of int
        Of a kind, all that are kinds of it.
    digest : str
        The first digits of its content's SHA-256.

    Raises
    ------
    ValueError
        If it holds something else; the message is part of a sentence.
    """

    def __init__(self, content: bytes, dim: int) -> None:
        arrays = read_arrays(content)
        self.labels = _check(arrays, dim)
        self.digest = hashlib.sha256(content).hexdigest()[:12]
        self.kinds: dict[int, set[int]] = {}
        for kind, above in arrays["kinds"].tolist():
            self.kinds.setdefault(above, set()).add(kind)
        # Each kind that has others below it, and, one after the other, all that are it.
        self._above = np.array(list(self.kinds), np.int64)
        members = [[above, *kinds] for above, kinds in self.kinds.items()]
        self._members = np.array([one for some in members for one in some], np.int64)
        self._firsts = np.cumsum([0, *map(len, members)])[:-1]
        self._first, self._first_bias, self._second, self._second_bias = (
            arrays[name].astype(np.float32) for name in _LAYERS
        )
        self._sureness = {name: arrays[name].astype(np.float32) for name in _SURENESS}

    def logits(self, vectors: Float32) -> Float32:
        """Judge windows by their vectors, (n, dim) → (n, labels)."""
        with one_thread_for_algebra():
            hidden = np.maximum(vectors @ self._first.T + self._first_bias, 0)
            judged: Float32 = hidden @ self._second.T + self._second_bias
        return judged

    def of_windows(self, vectors: Float32) -> Float32:
        """Tell how likely each kind is heard somewhere in windows, (n, dim) → (n, labels), 0 … 1."""
        return self._probabilities(self.logits(vectors), "whole")

    def reaching(self, vectors: Float32, least: float) -> tuple[npt.NDArray[np.int64], Float32]:
        """Tell which kinds are as likely as that in some window, and how likely in all.

        Of the many windows of a long file only what is kept takes room: they are judged twice, a few at once.

        Returns
        -------
        kinds : ndarray of int64, shape (kinds,)
            Their numbers.
        likely : ndarray of float32, shape (n, kinds)
        """
        blocks = [vectors[at : at + _AT_ONCE] for at in range(0, len(vectors), _AT_ONCE)]
        highest = np.max([self.of_windows(block).max(axis=0) for block in blocks], axis=0)
        kinds = np.flatnonzero(highest >= least)
        return kinds, np.concatenate([self.of_windows(block)[:, kinds] for block in blocks])

    def of_moments(self, close: Float32, around: Float32) -> Float32:
        """Tell how likely each kind is heard at moments.

        Parameters
        ----------
        close, around : ndarray of float32, shape (n, labels)
            Logits of a short window at each moment, and of a whole one around it.

        Returns
        -------
        ndarray of float32, shape (n, labels)
            0 … 1.
        """
        return self._probabilities(np.asarray((close + around) / 2, np.float32), "close")

    def _probabilities(self, logits: Float32, sureness: str) -> Float32:
        slope, offset = self._sureness[sureness]
        likely: Float32 = 1 / (1 + np.exp(-np.clip(slope * logits + offset, -_HIGHEST, _HIGHEST)))
        # Whatever is a bark is a dog, and an animal.
        if len(self._above):
            likely[:, self._above] = np.maximum.reduceat(likely[:, self._members], self._firsts, axis=1)
        return likely


def _check(arrays: Mapping[str, Any], dim: int) -> list[str]:
    """Return the labels, or raise ValueError where the arrays are not those of a head."""
    if arrays.keys() != {"labels", "kinds", *_LAYERS, *_SURENESS}:
        raise ValueError(f"it holds {shown(sorted(arrays))}")
    try:
        labels: list[str] = arrays["labels"].tobytes().decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError("its labels are no text in UTF-8") from error
    if not all(labels) or len(set(labels)) < len(labels):
        raise ValueError("its labels are empty, or some are twice there")
    hidden = arrays["first_bias"].shape[-1:] or (1,)
    due = {
        "kinds": (len(arrays["kinds"]) if arrays["kinds"].ndim else 0, 2),
        "first_weight": (*hidden, dim),
        "first_bias": hidden,
        "second_weight": (len(labels), *hidden),
        "second_bias": (len(labels),),
        **dict.fromkeys(_SURENESS, (2,)),
    }
    for name, shape in due.items():
        if arrays[name].shape != shape:
            raise ValueError(f"its {name} have the shape {arrays[name].shape} where {shape} is due")
        if arrays[name].dtype.kind not in "if" or not np.isfinite(arrays[name]).all():
            raise ValueError(f"its {name} are no finite numbers")
    kinds = arrays["kinds"]
    if kinds.dtype.kind != "i" or not ((kinds >= 0) & (kinds < len(labels))).all():
        raise ValueError("its kinds are no pairs of labels")
    return labels
