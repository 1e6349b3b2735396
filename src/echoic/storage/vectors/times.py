"""Times of segments: as the database keeps them, and of many files at once in next to no memory.

Segments are cut in steps of one hop and last equally long, but for a silence passed over and a file's end.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Spans", "pack_times", "unpack_times"]

Float64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# In a second. A multiple of all usual sample rates, so that times of samples are kept exactly; "flicks".
_TICKS = 705_600_000
_FIRST, _START, _STEP, _DURATION = range(4)  # the rows of Spans.runs


def pack_times(seconds: Float64) -> bytes:
    """Write times by their distances, which hardly differ and take next to no room."""
    return zlib.compress(np.diff(_ticks(seconds), prepend=np.int64(0)).astype("<i8").tobytes())


def unpack_times(blob: bytes) -> Float64:
    """Read what :func:`pack_times` wrote."""
    seconds: Float64 = np.cumsum(np.frombuffer(zlib.decompress(blob), "<i8")) / _TICKS
    return seconds


@dataclass(frozen=True, slots=True, eq=False)
class Spans:
    """The spans of many segments, as runs in which they follow each other in equal steps.

    Parameters
    ----------
    runs : ndarray of int64, shape (4, runs)
        Of each run: the number of its first segment, ascending from 0; and in ticks, where that starts, the
        step to the next, and how long each is.
    """

    runs: Ints

    @classmethod
    def of(cls, files: Iterable[tuple[Float64, Float64]]) -> Spans:
        """Join the (starts, ends), in seconds, of one file after the other.

        Examples
        --------
        >>> spans = Spans.of([(np.array([0.0, 0.5, 1.0]), np.array([1.0, 1.5, 2.0]))])
        >>> spans.runs.shape
        (4, 1)
        >>> spans.at(np.array([2]))
        (array([1.]), array([2.]))
        """
        found = [np.empty((4, 0), np.int64)]
        n = 0
        for starts, ends in files:
            if len(starts):
                runs = _runs(_ticks(starts), _ticks(ends))
                runs[_FIRST] += n
                found.append(runs)
                n += len(starts)
        return cls(np.concatenate(found, axis=1))

    def at(self, segments: Ints) -> tuple[Float64, Float64]:
        """Give the starts and ends, in seconds, of segments by their numbers, an array of any shape."""
        run = np.searchsorted(self.runs[_FIRST], segments, side="right") - 1
        first, start, step, duration = self.runs[:, run]
        begin = start + (segments - first) * step
        return begin / _TICKS, (begin + duration) / _TICKS


def _ticks(seconds: Float64) -> Ints:
    return np.rint(seconds * _TICKS).astype(np.int64)


def _runs(starts: Ints, ends: Ints) -> Ints:
    """Divide the segments of one file into runs of its usual step."""
    steps, durations = np.diff(starts), ends - starts
    step = np.partition(steps, len(steps) // 2)[len(steps) // 2] if len(steps) else np.int64(0)
    breaks = np.flatnonzero((steps != step) | (np.diff(durations) != 0)) + 1
    firsts = np.concatenate([np.zeros(1, np.int64), breaks])
    return np.stack([firsts, starts[firsts], np.full(len(firsts), step), durations[firsts]])
