"""Cutting one file into the fixed windows of an encoder, as it is decoded.

The rule, in samples of the encoder's rate:

1. Windows start at 0, hop, 2 hop, … for as long as they fit into the file.
2. If more than 0.1 s of sound follows the last of them, one further window is aligned to the end of the
   file: it starts at duration − window. Less than that is left uncovered.
3. A file shorter than the window gives one window, padded with zeros at its end; its span ends with the
   file.
4. Windows in which no frame of 25 ms reaches −80 dBFS (RMS, without an offset, what codecs make of it, and
   what swings fewer than 20 times a second) are silent and left out, as they resemble each other more than
   anything else. A file that is silent from end to end has no window.
5. Where the sound of a window takes at most half of it, silence the rest, and the next window or the last one
   that was kept has all of that sound too, it is left out: to an encoder it would be a short sound, and near
   to every short query. So each sound that is heard at all is in some window.

The result does not depend on the blocks in which the samples arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from echoic.audio.levels import SILENCE, STRETCH, frame_powers, frame_samples
from echoic.types import Float32

__all__ = ["Windower", "Windows", "cut"]

# Of an offset's square: the most that is made of it in 25 ms where it begins or ends with the file, −27 dB by
# a resampler, and −14 dB by lossy codecs, whose blocks spread it.
_CLICK = 10 ** (-13.5 / 10)
_TOLERANCE = 0.1  # seconds at the end that may stay uncovered


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


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """One window, and where its sound begins and ends; all in samples of the file."""

    samples: Float32
    start: int
    end: int
    first: int
    last: int

    def holds(self, other: _Window) -> bool:
        """Tell whether all that sounds in another window lies in this one."""
        return self.start <= other.first and other.last <= self.end


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
        self._frame = min(window_samples, frame_samples(sample_rate))
        self._kept = np.empty(0, np.float32)  # the last samples, all that a later window may need
        self._offset: float | None = None  # where the file begins
        self._n = 0  # samples seen
        self._next = 0  # where the next window starts
        self._waiting: _Window | None = None  # may be left out for the sake of the next
        self._before: _Window | None = None  # the last that was not left out

    def push(self, block: Float32) -> Windows:
        """Take the next samples of the file, shape (n,), and return the windows that they complete.

        One that is mostly silent waits for the next, which may have all of its sound.
        """
        samples = np.concatenate([self._kept, block])
        first = self._n - len(self._kept)  # the place of samples[0] in the file
        self._n += len(block)
        count = max(0, (self._n - self._next - self._window) // self._hop + 1)
        found: list[_Window] = []
        if count:
            at = self._next - first
            windows = sliding_window_view(samples[at:], self._window)[:: self._hop][:count]
            for window, is_full in zip(windows, self._sound_at_both_ends(windows), strict=True):
                start, end = self._next, self._next + self._window
                full = _Window(window, start, end, start, end)
                found += self._settled(full if is_full else self._sounding(window, start, end))
                self._next += self._hop
        # A last window may be aligned to the end of the file, wherever that will be.
        keep_from = max(first, min(self._next, self._n - self._window))
        self._kept = samples[keep_from - first :].copy()
        return self._stacked(found)

    def finish(self) -> Windows:
        """Return the windows that only the end of the file decides on: at most two."""
        covered = self._next - self._hop + self._window if self._next else 0
        found: list[_Window] = []
        if 0 < self._n < self._window:
            found += self._settled(self._sounding(self._kept, 0, self._n))
        elif self._n - covered > _TOLERANCE * self._rate:
            start = self._n - self._window
            left = self._kept[len(self._kept) - self._window :]
            found += self._settled(self._sounding(left, start, self._n))
        return self._stacked([*found, *self._settled(None)])

    def _sound_at_both_ends(self, windows: Float32) -> npt.NDArray[np.bool_]:
        """Tell which windows begin and end with sound, as most do: nothing else of them need be looked at."""
        stretch = self._frame * STRETCH
        if self._window < stretch:
            return np.zeros(len(windows), np.bool_)
        ends = windows[:, :stretch], windows[:, -stretch:]
        heads, tails = (frame_powers(end.ravel(), self._frame).reshape(-1, STRETCH) for end in ends)
        floors = self._floor(ends[0]), self._floor(ends[1], at_end=True)
        both: npt.NDArray[np.bool_] = (heads[:, 0] >= floors[0]) & (tails[:, -1] >= floors[1])
        return both

    def _sounding(self, samples: Float32, start: int, end: int) -> _Window | None:
        """Find where there is sound in a window; None if there is none."""
        powers = frame_powers(samples, self._frame, self._window)
        stretch = self._frame * STRETCH
        if len(samples) == self._window >= stretch:  # its last frame ends with it, and is no shorter
            powers[-1] = frame_powers(samples[-stretch:], self._frame)[-1]
        is_audible = powers >= SILENCE
        is_audible[:STRETCH] &= powers[:STRETCH] >= self._floor(samples[:stretch])
        is_audible[-STRETCH:] &= powers[-STRETCH:] >= self._floor(samples[-stretch:], at_end=True)
        audible = np.flatnonzero(is_audible)
        if not len(audible):
            return None
        last = min(start + (int(audible[-1]) + 1) * self._frame, end)
        return _Window(samples, start, end, start + int(audible[0]) * self._frame, last)

    def _floor(self, ends: Float32, *, at_end: bool = False) -> npt.NDArray[np.float64]:
        """Return the mean squares from which on frames at the ends of windows, shape (…, n), are no silence.

        A window may begin or end with the file, where a click is made of an offset. That may be there for a
        part of the time only, as padding follows; it is the largest mean of a frame. Some codecs take it away
        in the course of the file: what they make of its begin, they make of its end.
        """
        offsets = self._largest_mean(ends)
        if self._offset is None:  # of the first window
            self._offset = float(offsets.flat[0])
        if at_end:
            offsets = np.maximum(offsets, self._offset)
        floor: npt.NDArray[np.float64] = np.maximum(SILENCE, _CLICK * np.square(offsets))
        return floor

    def _largest_mean(self, samples: Float32) -> npt.NDArray[np.float64]:
        """Return the largest mean of a frame, as an amount, of samples of shape (…, n)."""
        n = samples.shape[-1]
        frame = min(n, self._frame)
        frames = samples[..., : n - n % frame].reshape(*samples.shape[:-1], -1, frame)
        means: npt.NDArray[np.float64] = np.abs(frames.mean(axis=-1, dtype=np.float64)).max(axis=-1)
        return means

    def _settled(self, window: _Window | None) -> list[_Window]:
        """Take the next window, None for one without sound; return those of which it is sure now."""
        settled: list[_Window] = []
        waiting, self._waiting = self._waiting, window
        if waiting is not None and not any(
            other is not None and other.holds(waiting) for other in (self._before, window)
        ):
            settled.append(waiting)
        if window is not None and not self._is_mostly_silent(window):
            settled.append(window)
            self._waiting = None
        if settled:
            self._before = settled[-1]
        return settled

    def _is_mostly_silent(self, window: _Window) -> bool:
        # Sound of half a window may touch one frame more.
        return 2 * (window.last - window.first - self._frame) < self._window

    def _stacked(self, windows: list[_Window]) -> Windows:
        samples = np.zeros((len(windows), self._window), np.float32)
        for row, window in zip(samples, windows, strict=True):
            row[: len(window.samples)] = window.samples
        starts, ends = (
            np.array([getattr(window, edge) for window in windows], np.int64) / self._rate
            for edge in ("start", "end")
        )
        return Windows(samples, starts, ends)


def cut(samples: Float32, window_samples: int, hop_samples: int, sample_rate: int) -> Windows:
    """Cut samples in memory, shape (n,), by the same rule."""
    windower = Windower(window_samples, hop_samples, sample_rate)
    parts = [windower.push(samples), windower.finish()]
    return Windows(*(np.concatenate(column) for column in zip(*parts, strict=True)))
