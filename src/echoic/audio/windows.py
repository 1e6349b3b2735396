"""Cutting one file into the fixed windows of an encoder, as it is decoded.

The rule, in samples of the encoder's rate:

1. Windows start at 0, hop, 2 hop, … for as long as they fit into the file.
2. If more than 0.1 s of sound follows the last of them, one further window is aligned to the end of the
   file: it starts at duration − window. Less than that is left uncovered.
3. A file shorter than the window gives one window, padded with zeros at its end; its span ends with the
   file.
4. Windows in which no frame of 25 ms reaches −80 dBFS (RMS) are silent and left out, as they resemble each
   other more than anything else. If all are silent the loudest stays, the first of equals, so that every file
   has a window.

The result does not depend on the blocks in which the samples arrive.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from echoic.types import Float32

__all__ = ["Windower", "Windows", "cut"]

_TOLERANCE = 0.1  # seconds at the end that may stay uncovered
_FRAME = 0.025  # seconds over which loudness is measured
_SILENCE = 10 ** (-80 / 10)  # mean square, full scale being 1


class Windows(NamedTuple):
    """Windows of one file, in order of time.

    Parameters
    ----------
    samples : ndarray of float32, shape (n, window_samples)
    starts, ends : ndarray of float64, shape (n,)
        Seconds of the file that each window covers.
    """

    samples: Float32
    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]


class Windower:
    """Cut one file into windows while it is read, in memory that does not grow with the file.

    Parameters
    ----------
    window_samples, hop_samples : int
        Length of a window and distance between the starts of two; at least 1.
    sample_rate : int
        Hz.

    Examples
    --------
    >>> import numpy as np
    >>> windower = Windower(16_000, 8_000, 16_000)
    >>> noise = np.random.default_rng(0).normal(0, 0.1, 36_000).astype(np.float32)
    >>> windower.push(noise).starts
    array([0. , 0.5, 1. ])
    >>> windower.finish().starts
    array([1.25])
    """

    def __init__(self, window_samples: int, hop_samples: int, sample_rate: int) -> None:
        if min(window_samples, hop_samples, sample_rate) < 1:
            raise ValueError("window, hop and sample rate must be at least 1")
        self._window = window_samples
        self._hop = hop_samples
        self._rate = sample_rate
        self._kept = np.empty(0, np.float32)  # the last samples, all that a later window may need
        self._n = 0  # samples seen
        self._next = 0  # where the next window starts
        self._audible = False  # whether a window that is not silent was seen
        self._loudest: tuple[float, Windows] | None = None  # among silent ones

    def push(self, block: Float32) -> Windows:
        """Take the next samples of the file, shape (n,), and return the windows that they complete."""
        samples = np.concatenate([self._kept, block])
        first = self._n - len(self._kept)  # the place of samples[0] in the file
        self._n += len(block)
        count = max(0, (self._n - self._next - self._window) // self._hop + 1)
        starts = self._next + self._hop * np.arange(count)
        if count:
            at = self._next - first
            windows = sliding_window_view(samples[at:], self._window)[:: self._hop][:count]
            self._next += count * self._hop
        else:
            windows = np.empty((0, self._window), np.float32)
        # A last window may be aligned to the end of the file, wherever that will be.
        keep_from = max(first, min(self._next, self._n - self._window))
        self._kept = samples[keep_from - first :].copy()
        return self._without_silence(windows, starts, starts + self._window)

    def finish(self) -> Windows:
        """Return the windows that only the end of the file decides on: at most one."""
        covered = self._next - self._hop + self._window if self._next else 0
        left = np.empty((0, self._window), np.float32)
        start = 0
        if 0 < self._n < self._window:
            left = np.pad(self._kept, (0, self._window - self._n))[None]
        elif self._n - covered > _TOLERANCE * self._rate:
            left = self._kept[len(self._kept) - self._window :][None]
            start = self._n - self._window
        starts = np.full(len(left), start)
        last = self._without_silence(left, starts, np.full(len(left), self._n))
        return last if self._audible or self._loudest is None else self._loudest[1]

    def _without_silence(
        self, windows: Float32, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
    ) -> Windows:
        power = self._loudest_frames(windows)
        audible = power >= _SILENCE
        self._audible = self._audible or bool(audible.any())
        if self._audible:
            self._loudest = None
        elif len(power):
            best = int(np.argmax(power))
            if self._loudest is None or power[best] > self._loudest[0]:
                row = slice(best, best + 1)
                self._loudest = (float(power[best]), self._windows(windows[row], starts[row], ends[row]))
        return self._windows(windows[audible], starts[audible], ends[audible])

    def _loudest_frames(self, windows: Float32) -> npt.NDArray[np.float64]:
        """Return the mean square of the loudest frame of each window."""
        frame = min(self._window, max(1, round(_FRAME * self._rate)))
        edges = np.arange(0, self._window, frame)
        lengths = np.diff(edges, append=self._window)
        # One window at a time, in float64: the figure may not depend on what else was pushed.
        squares = (np.square(window, dtype=np.float64) for window in windows)
        return np.array([(np.add.reduceat(square, edges) / lengths).max() for square in squares], np.float64)

    def _windows(
        self, windows: Float32, starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
    ) -> Windows:
        return Windows(np.array(windows, np.float32, order="C"), starts / self._rate, ends / self._rate)


def cut(samples: Float32, window_samples: int, hop_samples: int, sample_rate: int) -> Windows:
    """Cut samples in memory, shape (n,), by the same rule."""
    windower = Windower(window_samples, hop_samples, sample_rate)
    parts = [windower.push(samples), windower.finish()]
    return Windows(*(np.concatenate(column) for column in zip(*parts, strict=True)))
