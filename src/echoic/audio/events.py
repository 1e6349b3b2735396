"""Cutting one file into what is heard in it: where the level rises above what it is around.

Windows are laid over a sound; events are cut out of it, so that each holds one thing and begins and ends with
it. A band's background is its median over the 5 s before and after. What a moment has over the background,
in the mean over all bands, is followed at several levels: each stretch above a level is an event. A call
that stands on another sound is so cut with it and alone; which of the two is meant, a search tells.

The result does not depend on the blocks in which the samples arrive.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from echoic.audio.spectrogram import LogMel
from echoic.audio.windows import Windows
from echoic.types import Float32

__all__ = ["EventCutter", "sounding"]

_HOP = 0.02  # s
_N_FFT, _N_MELS, _FMIN = 0.064, 64, 50.0  # s, bands, Hz
_SMOOTHED = 2  # frames before and after that are averaged
_MARGIN = 3.0  # dB above the background that noise reaches by itself
_FLOOR = -66.0  # dB of a band: white noise of -80 dBFS, which is silence
_STEP = 100  # frames that have one background
_REACH = 200  # frames before and after these that make it
_SAMPLED = 4  # every so many of which are looked at
_SHORTEST, _LONGEST = 5, 500  # frames of an event
_BLUR = 0.03  # s by which a loud sound seems to begin too early, and to end too late
_SAME = 0.75  # of two events' common length: what is shared from which on they are one

_FAINT, _PAUSE, _LEAST = 10**-2.5, 0.25, 0.1  # of an example's loudest; s; s
_MOST_PARTS = 8


class _Level(NamedTuple):
    """DB that an event reaches and that it holds, and frames of pause in it."""

    peak: float
    hold: float
    pause: int


_LEVELS = (
    _Level(0.5, 0.3, 5),
    _Level(0.8, 0.32, 30),
    _Level(0.8, 0.32, 10),
    _Level(1.5, 0.75, 10),
    _Level(3.0, 1.5, 10),
    _Level(8.0, 4.0, 10),
)


class _Event(NamedTuple):
    """First frame and the one after the last."""

    first: int
    past: int

    def is_like(self, other: _Event) -> bool:
        shared = min(self.past, other.past) - max(self.first, other.first)
        return shared > _SAME * (max(self.past, other.past) - min(self.first, other.first))


class _Follower:
    """Follows what is above one level."""

    def __init__(self, level: _Level) -> None:
        self._level = level
        self.first: int | None = None  # of the event that is open
        self._past = 0
        self._peak = 0.0

    def push(self, at: int, heights: Float32) -> list[tuple[int, _Event]]:
        """Take the frames from ``at`` on; return when which events were over."""
        is_on = np.concatenate([[False], heights >= self._level.hold, [False]])
        changes = np.flatnonzero(is_on[1:] != is_on[:-1]).tolist()
        done: list[tuple[int, _Event]] = []
        for first, past in zip(changes[::2], changes[1::2], strict=True):
            done += self._closed(at + first)
            if self.first is None:
                self.first = at + first
            self._past = at + past
            self._peak = max(self._peak, float(heights[first:past].max()))
            if self._past - self.first >= _LONGEST:
                done += self._closed(self._past + self._level.pause + 1)
        return done + self._closed(at + len(heights))

    def _closed(self, now: int) -> list[tuple[int, _Event]]:
        """End what is open if it has paused too long."""
        if self.first is None or now - self._past <= self._level.pause:
            return []
        event, peak = _Event(self.first, self._past), self._peak
        self.first, self._peak = None, 0.0
        is_one = event.past - event.first >= _SHORTEST and peak >= self._level.peak
        return [(event.past + self._level.pause, event)] if is_one else []

    def finish(self) -> list[tuple[int, _Event]]:
        return self._closed(self._past + self._level.pause + 1)


class EventCutter:
    """Cut one file into events while it is read, in memory that does not grow with the file.

    Parameters
    ----------
    window_samples : int
        Samples that each event is given: shorter ones are padded with zeros at their end, of longer ones the
        middle is taken.
    sample_rate : int
        Hz.

    Examples
    --------
    >>> import numpy as np
    >>> cutter = EventCutter(16_000, 16_000)
    >>> sound = np.random.default_rng(0).normal(0, 0.001, 160_000).astype(np.float32)
    >>> sound[80_000:96_000] *= 10
    >>> found = cutter.push(sound), cutter.finish()
    >>> np.concatenate([[some.starts, some.ends] for some in found], axis=1).round(1)
    array([[5.],
           [6.]])
    """

    def __init__(self, window_samples: int, sample_rate: int) -> None:
        self._window, self._rate = window_samples, sample_rate
        self._hop, n_fft = round(_HOP * sample_rate), round(_N_FFT * sample_rate)
        self._log_mel = LogMel(sample_rate, n_fft, self._hop, _N_MELS, _FMIN, sample_rate / 2)
        self._offset = (n_fft - self._hop) // 2  # samples from a frame's begin to what it stands for
        self._samples = np.empty(0, np.float32)  # the last, from _from on
        self._from = 0
        self._n = 0
        self._frames = np.empty((0, _N_MELS), np.float32)  # the last, from _first on
        self._first = 0
        self._next = 0  # frame that is looked at next
        self._followers = [_Follower(level) for level in _LEVELS]
        self._recent: list[_Event] = []

    def push(self, block: Float32) -> Windows:
        """Take the next samples of the file, shape (n,), and return the events that are over."""
        self._samples = np.concatenate([self._samples, block])
        self._n += len(block)
        self._transform()
        found: list[tuple[int, _Event]] = []
        while self._first + len(self._frames) >= self._next + _STEP + _REACH:
            found += self._followed(self._next + _STEP)
        windows = self._cut(found)
        self._forget()
        return windows

    def finish(self) -> Windows:
        """Return the events that the end of the file ends."""
        found: list[tuple[int, _Event]] = []
        while self._next < self._first + len(self._frames):
            found += self._followed(min(self._next + _STEP, self._first + len(self._frames)))
        for follower in self._followers:
            found += follower.finish()
        return self._cut(found)

    def _transform(self) -> None:
        """Make frames of the samples that have none yet."""
        begin = (self._first + len(self._frames)) * self._hop - self._from
        if len(self._samples) - begin >= self._log_mel.n_fft:
            frames = self._log_mel(self._samples[None, begin:])[0]
            self._frames = np.concatenate([self._frames, frames])

    def _followed(self, past: int) -> list[tuple[int, _Event]]:
        """Look at the frames up to ``past``."""
        at, first = self._next, self._first
        around = self._frames[max(0, at - _REACH - first) : past + _REACH - first : _SAMPLED]
        middle = len(around) // 2
        background = np.maximum(np.partition(around, middle, axis=0)[middle], _FLOOR)
        here = self._frames[max(0, at - _SMOOTHED - first) : past + _SMOOTHED - first]
        sums = np.cumsum(np.power(10, here / 10, dtype=np.float64), axis=0)
        sums = np.concatenate([np.zeros((1, _N_MELS)), sums])
        frames = np.arange(at, past) - max(first, at - _SMOOTHED)
        begins = np.maximum(frames - _SMOOTHED, 0)
        ends = np.minimum(frames + _SMOOTHED + 1, len(here))
        power = (sums[ends] - sums[begins]) / (ends - begins)[:, None]
        excess = 10 * np.log10(np.maximum(power, 1e-10)) - background - _MARGIN
        heights = np.maximum(excess, 0).mean(axis=1).astype(np.float32)
        self._next = past
        return [one for follower in self._followers for one in follower.push(at, heights)]

    def _cut(self, found: list[tuple[int, _Event]]) -> Windows:
        """Cut events out of the samples, in the order in which they were over, of like ones the first."""
        events: list[_Event] = []
        for _, event in sorted(found):
            if not any(event.is_like(other) for other in self._recent):
                events.append(event)
                self._recent.append(event)
        samples = np.zeros((len(events), self._window), np.float32)
        spans = np.array([self._span(event) for event in events], np.int64).reshape(-1, 2)
        for row, (start, end) in zip(samples, spans.tolist(), strict=True):
            middle = max(0, end - start - self._window) // 2
            taken = self._samples[start + middle - self._from : end - self._from][: self._window]
            row[: len(taken)] = taken
        starts, ends = spans.T / self._rate
        return Windows(samples, np.ascontiguousarray(starts), np.ascontiguousarray(ends))

    def _span(self, event: _Event) -> tuple[int, int]:
        """Say where an event lies in the file, in samples; what touches the file's ends reaches them."""
        blur = round(_BLUR * self._rate)
        start = 0 if event.first == 0 else event.first * self._hop + self._offset + blur
        end = event.past * self._hop + self._offset - blur
        is_last = (event.past - 1) * self._hop + self._log_mel.n_fft > self._n - self._hop
        return start, self._n if is_last else min(end, self._n)

    def _forget(self) -> None:
        """Keep what may still be needed."""
        begun = [follower.first for follower in self._followers if follower.first is not None]
        oldest = min([self._next, *begun])
        self._recent = [event for event in self._recent if event.past > oldest]
        first = max(self._first, self._next - _REACH)
        self._frames, self._first = self._frames[first - self._first :].copy(), first
        begin = max(self._from, min(oldest, first) * self._hop)
        self._samples, self._from = self._samples[begin - self._from :].copy(), begin


def sounding(samples: Float32, sample_rate: int, longest: int) -> list[Float32]:
    """Take from an example what is meant: the parts within 25 dB of its loudest moment.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
    sample_rate : int
        Hz.
    longest : int
        Samples of a part, of which the middle is taken; pauses up to .25 s belong to one.

    Returns
    -------
    list of ndarray of float32
        The loudest first, eight at most; none if nothing can be heard.
    """
    hop = round(_HOP * sample_rate)
    rows = np.pad(samples, (0, -len(samples) % hop)).reshape(-1, hop).astype(np.float64)
    power = np.square(rows).mean(axis=1)
    loudest = float(power.max(initial=0))
    on = np.flatnonzero((power > _FAINT * loudest) & (power > 1e-8))
    if not len(on):
        return []
    parts = np.split(on, np.flatnonzero(np.diff(on) > _PAUSE / _HOP) + 1)
    # A click beside a call is none, but of clicks alone each is one.
    whole = [part for part in parts if part[-1] + 1 - part[0] >= _LEAST / _HOP] or parts
    whole.sort(key=lambda part: -float(power[part].sum()))
    cuts = []
    for part in whole[:_MOST_PARTS]:
        start, end = int(part[0]) * hop, min((int(part[-1]) + 1) * hop, len(samples))
        start += max(0, end - start - longest) // 2
        cuts.append(samples[start:end][:longest])
    return cuts
