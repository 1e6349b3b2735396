"""The fingerprints of all recordings on one line of time, each with how alike it is to strangers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.encoders.base import normalize
from echoic.types import Float32, Segments

__all__ = ["HOP", "Timeline", "Track"]

Float64 = npt.NDArray[np.float64]

#: Seconds between windows. Of two airings, windows then lie .128 s apart at most.
HOP = 0.256

_BETWEEN = 60.0  # s between two recordings: no passage leads from one into the next
_STRANGERS = 5  # of the cohort: how alike a window is to the nearest is what it says by chance
_AT_ONCE = 4096  # windows
_NEAR = 0.7 * HOP  # s that a moment may lie from its window


class Track(NamedTuple):
    """A recording: its path, its windows, and the level of each tenth of a second (dB) where it is known."""

    path: str
    segments: Segments
    levels: Float32 | None


class Timeline:
    """Several recordings, one after the other.

    Parameters
    ----------
    tracks : sequence of Track
    cohort : ndarray of float32, shape (n, dim)
        Windows of recordings that are none of these.
    apart : float
        Seconds that lie between two of these at least.
    """

    def __init__(self, tracks: Sequence[Track], cohort: Float32, apart: float) -> None:
        self.tracks = tracks
        begins, times, vectors = [], [np.empty(0)], [np.empty((0, cohort.shape[1]), np.float32)]
        at = 0.0
        for track in tracks:
            begins.append(at)
            centres, own = _evenly(track.segments)
            times.append(centres + at)
            vectors.append(own)
            at += (float(track.segments.ends[-1]) if len(track.segments) else 0.0) + _BETWEEN + apart
        self.begins = np.array(begins)
        self.times, self.vectors = np.concatenate(times), np.concatenate(vectors)
        self.usual = _usual(self.vectors, cohort)

    def __len__(self) -> int:
        return len(self.times)

    def track_of(self, times: Float64) -> npt.NDArray[np.int64]:
        """Tell which recordings some times lie in."""
        found: npt.NDArray[np.int64] = np.searchsorted(self.begins, times, side="right") - 1
        return found

    def at(self, times: Float64) -> tuple[Float32, Float32]:
        """Give the vectors at some times, between two windows what lies between theirs, and what is usual.

        Zeros where nothing is heard.
        """
        after = np.clip(np.searchsorted(self.times, times), 1, len(self.times) - 1)
        before = after - 1
        gaps = np.maximum(self.times[after] - self.times[before], 1e-9)
        share = np.clip((times - self.times[before]) / gaps, 0, 1).astype(np.float32)
        near = np.minimum(np.abs(times - self.times[before]), np.abs(times - self.times[after])) <= _NEAR
        between = self.vectors[before] * (1 - share)[:, None] + self.vectors[after] * share[:, None]
        between *= (near / np.maximum(np.linalg.norm(between, axis=1), 1e-9))[:, None].astype(np.float32)
        return between, self.usual[before] * (1 - share) + self.usual[after] * share


def _evenly(segments: Segments) -> tuple[Float64, Float32]:
    """Give the middles and vectors of windows; where they lie two hops apart, one between them as well."""
    centres = (segments.starts + segments.ends) / 2
    wide = np.flatnonzero(np.abs(np.diff(centres) - 2 * HOP) < HOP / 4)
    if not len(wide):
        return centres, segments.vectors
    between = normalize(segments.vectors[wide] + segments.vectors[wide + 1])
    return (
        np.insert(centres, wide + 1, (centres[wide] + centres[wide + 1]) / 2),
        np.insert(segments.vectors, wide + 1, between, axis=0),
    )


def _usual(vectors: Float32, cohort: Float32) -> Float32:
    """Give each window's mean cosine with the strangers that are nearest to it."""
    found = np.empty(len(vectors), np.float32)
    for at in range(0, len(vectors), _AT_ONCE):
        cosines = vectors[at : at + _AT_ONCE] @ cohort.T
        nearest = np.partition(cosines, cosines.shape[1] - _STRANGERS, axis=1)[:, -_STRANGERS:]
        found[at : at + _AT_ONCE] = nearest.mean(axis=1)
    return found
