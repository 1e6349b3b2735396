"""Where the sound changes: what begins there, and what ends.

A span that was told by windows of a second and more begins about where its sound does. Nearby, where the
spectrum gains most, it does begin; where it loses most, it ends.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from echoic.audio.spectrogram import LogMel
from echoic.heard.spans import BRIDGED, Heard
from echoic.types import Float32

__all__ = ["Changes"]

_HOP = 0.02  # s
_N_FFT, _N_MELS, _FMIN = 1024, 64, 50.0
_AT_ONCE = 10.0  # s of sound, of which the spectrogram is computed
_RANGE_DB = 60.0  # below the loudest of the file: what is fainter changes nothing
_COMPARED = 0.5  # s before and after a moment
_LEAST_DB = 1.5  # that bands gain or lose in the mean where a sound begins or ends; steady noise does not
_REACH = 0.8  # s within which an edge is moved to a change, the less willingly the further


class Changes:
    """Listens to sound as it comes, and then moves the edges of spans to where it changes.

    Parameters
    ----------
    sample_rate : int
        Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        hop = round(_HOP * sample_rate)
        self._log_mel = LogMel(sample_rate, _N_FFT, hop, _N_MELS, _FMIN, sample_rate / 2)
        self._rest = np.empty(0, np.float32)
        self._frames: list[npt.NDArray[np.float16]] = []

    def push(self, block: Float32) -> None:
        """Take the next samples, shape (n,), mono."""
        self._rest = np.concatenate([self._rest, block])
        if len(self._rest) >= _AT_ONCE * self._log_mel.sample_rate:
            self._transform()

    def _transform(self) -> None:
        if len(self._rest) >= self._log_mel.n_fft:
            frames = self._log_mel(self._rest[None])[0]
            self._frames.append(frames.astype(np.float16))  # to .06 dB
            self._rest = self._rest[len(frames) * self._log_mel.hop_length :]

    def moved(self, spans: list[Heard], edges: tuple[float, float]) -> list[Heard]:
        """Move where spans begin and end to changes near by, and join those of a class that then touch.

        What begins or ends with the sound itself, whose edges are given in seconds, stays there.
        """
        self._transform()
        if not self._frames:
            return spans
        begins, ends = _gains(np.concatenate(self._frames))
        begun = _N_FFT / self._log_mel.sample_rate / 2
        times = np.arange(len(begins), dtype=np.float64) * _HOP + begun
        found: list[Heard] = []
        for span in spans:
            start = span.start if span.start <= edges[0] else _near(span.start, times, begins)
            end = span.end if span.end >= edges[1] else _near(span.end, times, ends)
            moved = span._replace(start=start, end=end) if end > start else span
            before = found[-1] if found and found[-1].label == span.label else None
            if before is not None and moved.start - before.end <= BRIDGED:
                likely = max(before.probability, moved.probability)
                found[-1] = Heard(span.label, before.start, max(before.end, moved.end), likely)
            else:
                found.append(moved)
        return found


def _gains(frames: npt.NDArray[np.float16]) -> tuple[Float32, Float32]:
    """Measure what bands gain and lose at each frame in the mean, in dB: (n, bands) → (n,) and (n,)."""
    n = round(_COMPARED / _HOP)
    gains, losses = np.zeros((2, len(frames)), np.float32)
    if len(frames) > 2 * n:
        level = np.maximum(frames, frames.max() - np.float16(_RANGE_DB))
        sums = np.cumsum(level, axis=0, dtype=np.float64)
        sums = np.concatenate([np.zeros((1, level.shape[1])), sums])
        change = (sums[2 * n :] - 2 * sums[n:-n] + sums[: -2 * n]) / n
        gains[n : n + len(change)] = np.maximum(change, 0).mean(axis=1)[: len(frames) - n]
        losses[n : n + len(change)] = np.maximum(-change, 0).mean(axis=1)[: len(frames) - n]
    return gains, losses


def _near(edge: float, times: npt.NDArray[np.float64], changes: Float32) -> float:
    """Find the change that is meant by an edge; the edge itself where nothing changes."""
    first, past = np.searchsorted(times, (edge - 2 * _REACH, edge + 2 * _REACH))
    if first == past:
        return edge
    near = changes[first:past]
    near = np.square(near) * (near >= _LEAST_DB) * np.exp(-np.square((times[first:past] - edge) / _REACH))
    best = int(near.argmax())
    return float(times[first + best]) if near[best] > 0 else edge
