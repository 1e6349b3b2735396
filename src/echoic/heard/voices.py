"""Whose voice is heard: the mean of what windows tell of who speaks, and how sure it is that two are one.

An encoder of voices gives, of each window, who speaks, times the root of the share of the window in which
somebody does; the last number makes the length 1 (:class:`~echoic.encoders.base.Encoder`, of the purpose
``"voices"``).

References
----------
Wan et al., "Generalized end-to-end loss for speaker verification", ICASSP 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.types import Float32, Segments

__all__ = ["LEAST_SPEECH", "LIKELY", "Speech", "Spoken", "level", "probability"]

Float64 = npt.NDArray[np.float64]

#: How sure it is that a voice is the same, from which on it is told.
LIKELY = 0.5
#: Seconds of speech by which a voice is told from others.
LEAST_SPEECH = 1.0
_LEAST_SHARE = 0.25  # of a window: what has less speech tells nothing
_BRIDGED = 1.0  # s of pause in which somebody is taken to go on
_ENOUGH = 8.0  # s of speech: more makes it hardly surer
_TINY = 1e-9

# Of a logistic regression over pairs of stretches by people who were never trained on, clean, in noise and
# over telephones: the log odds that one voice speaks in both, by the cosine and the logarithm of the seconds
# of speech in the shorter one.
_OFFSET, _OF_COSINE, _OF_SECONDS = -46.07, 56.3, -2.3


class Spoken(NamedTuple):
    """Windows that follow each other: the first, what is past the last, and when, in seconds."""

    first: int
    past: int
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Speech:
    """The windows of a sound in which somebody speaks, in order of time.

    Parameters
    ----------
    starts, ends : ndarray of float64, shape (n,)
        Seconds.
    voices : ndarray of float32, shape (n, dim)
        Who speaks in each, times the share of the window in which somebody does.
    window : float
        Seconds of a whole window.
    """

    starts: Float64
    ends: Float64
    voices: Float32
    window: float

    @classmethod
    def of(cls, segments: Segments, window: float) -> Speech:
        """Read what an encoder of voices gave."""
        who = segments.vectors[:, :-1].astype(np.float32)
        voices = who * np.linalg.norm(who, axis=1, keepdims=True)
        order = np.lexsort((segments.ends, segments.starts))
        order = order[np.linalg.norm(voices, axis=1)[order] >= _LEAST_SHARE]
        return cls(segments.starts[order], segments.ends[order], voices[order], window)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: slice | npt.NDArray[np.generic]) -> Speech:
        return Speech(self.starts[rows], self.ends[rows], self.voices[rows], self.window)

    @cached_property
    def shares(self) -> Float32:
        """How much of each window is speech, 0 … 1."""
        shares: Float32 = np.linalg.norm(self.voices, axis=1)
        return shares

    @cached_property
    def seconds(self) -> float:
        """How much speech there is in all, however much the windows overlap."""
        if not len(self):
            return 0.0
        past = np.maximum.accumulate(self.ends)
        covered = (self.ends - np.maximum(self.starts, np.concatenate([[-np.inf], past[:-1]]))).clip(0).sum()
        lengths = (self.ends - self.starts).sum()
        return float(self.window * self.shares.sum() * covered / max(lengths, _TINY))

    @property
    def voice(self) -> Float32:
        """Who speaks, the mean of all: (dim,), of length 1, or zeros where nobody does."""
        return _unit(self.voices.sum(axis=0))

    def around(self, reach: float) -> Float32:
        """Say who speaks around the middle of each window, so many seconds far: (n, dim), of length 1."""
        sums = np.concatenate([np.zeros((1, self.voices.shape[1])), np.cumsum(self.voices, 0, np.float64)])
        middles = (self.starts + self.ends) / 2
        first = np.searchsorted(middles, middles - reach - _TINY)
        past = np.searchsorted(middles, middles + reach + _TINY)
        return _unit((sums[past] - sums[first]).astype(np.float32))

    def spans(self, is_on: npt.NDArray[np.bool_]) -> list[Spoken]:
        """List where windows, of those that are chosen, follow each other, but for short pauses."""
        runs: list[tuple[int, int]] = []
        for at in np.flatnonzero(is_on).tolist():
            if runs and at == runs[-1][1] and self.starts[at] - self.ends[at - 1] <= _BRIDGED:
                runs[-1] = runs[-1][0], at + 1
            else:
                runs.append((at, at + 1))
        return [Spoken(first, past, *self._edges(first, past)) for first, past in runs]

    def _edges(self, first: int, past: int) -> tuple[float, float]:
        """Say from when to when somebody speaks, of windows that hold others, too, at the edges."""
        last = past - 1
        start, end = float(self.starts[first]), float(self.ends[last])
        if first > 0 and self.ends[first - 1] > start:
            begin = (start + float(self.ends[first - 1])) / 2
        else:  # speech fills the end of the first window
            begin = max(start, float(self.ends[first]) - self.window * float(self.shares[first]))
        if past < len(self) and self.starts[past] < end:
            finish = (end + float(self.starts[past])) / 2
        else:
            finish = min(end, float(self.starts[last]) + self.window * float(self.shares[last]))
        return (begin, finish) if begin < finish else (start, end)


def _unit(vectors: Float32) -> Float32:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Float32 = vectors / np.maximum(norms, _TINY).astype(np.float32)
    return unit


def probability(cosine: npt.ArrayLike, seconds: npt.ArrayLike) -> Float64:
    """Say how sure it is that one voice speaks in two sounds.

    Parameters
    ----------
    cosine : array_like
        Of the two voices.
    seconds : array_like
        Of speech in the one that has less.
    """
    heard = np.log(np.clip(seconds, 0.1, _ENOUGH))
    odds = _OFFSET + _OF_COSINE * np.asarray(cosine, np.float64) + _OF_SECONDS * heard
    chances: Float64 = 1 / (1 + np.exp(-odds))
    return chances


def level(chance: float, seconds: npt.ArrayLike) -> Float64:
    """Say which cosine makes it so sure; see :func:`probability`."""
    chance = min(max(chance, 1e-9), 1 - 1e-9)
    heard = np.log(np.clip(seconds, 0.1, _ENOUGH))
    cosines: Float64 = (np.log(chance / (1 - chance)) - _OFFSET - _OF_SECONDS * heard) / _OF_COSINE
    return cosines
