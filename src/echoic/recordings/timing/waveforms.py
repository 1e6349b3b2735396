"""Waveforms kept at hand in a scratch file: how far one lies behind another, and where they agree.

References
----------
Knapp and Carter, "The generalized correlation method for estimation of time delay", IEEE TASSP 24, 1976.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from echoic.audio.decode import Resampler, open_audio
from echoic.audio.notes import of_query
from echoic.types import Float32

__all__ = ["FRAME", "Delay", "Likeness", "Waveform", "delay_between", "likeness", "resampled", "spectra"]

Float64 = npt.NDArray[np.float64]

#: Seconds between the frames that :func:`likeness` compares.
FRAME = 0.1

_BLOCK = 1 << 19  # samples read at a time
_LOUDEST = 6e4  # what half precision holds
_SILENT = 1e-5  # full scale being 1
_QUIET = 3e-4  # below it lie the noises of formats
_SPECTRUM = 2  # frames that one spectrum spans
_TOGETHER = 10  # frames whose correlations are added up
_ASIDE = 2  # times the slack from which on a correlation is one of unrelated sound


class Waveform:
    """The sound of one file, mono at one sample rate, in a scratch file of two bytes a sample.

    Half precision keeps 11 bits at every level, so that quiet recordings lose nothing. Whatever the format,
    any part is at hand at once and to the sample, and memory does not grow with the file.

    Parameters
    ----------
    path : Path
    sample_rate : int
        Hz.
    scratch : file
        Open for writing and reading; closing it lets go of the sound.
    tell : callable
        Called with the seconds decoded so far, now and then.

    Attributes
    ----------
    notes : tuple of Note
        What a person should know of the file.

    Raises
    ------
    AudioError
        If the file cannot be decoded at all.
    """

    def __init__(
        self, path: Path, sample_rate: int, scratch: BinaryIO, tell: Callable[[float], None]
    ) -> None:
        self.path, self.rate, self.n_samples = path, sample_rate, 0
        self._file = scratch

        def keep(samples: Float32) -> None:
            np.clip(samples, -_LOUDEST, _LOUDEST).astype(np.float16).tofile(scratch)
            self.n_samples += len(samples)
            tell(self.duration)

        with open_audio(path) as stream:
            resampler = Resampler(stream.sample_rate, sample_rate)
            for block in stream.blocks():
                keep(resampler.push(block))
            keep(resampler.finish())
            self.notes = of_query(stream.info)
        scratch.flush()

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.n_samples / self.rate

    def part(self, first: int, last: int) -> Float32:
        """Give samples ``first`` … ``last - 1``, zeros where the file has none."""
        begin, end = max(0, min(first, self.n_samples)), max(0, min(last, self.n_samples))
        samples = np.zeros(max(0, last - first), np.float32)
        if end > begin:
            self._file.seek(2 * begin)
            samples[begin - first : end - first] = np.fromfile(self._file, np.float16, end - begin)
        return samples

    def blocks(self, start: float = 0.0, end: float | None = None) -> Iterator[Float32]:
        """Give the sound between two times in blocks."""
        last = self.n_samples if end is None else min(self.n_samples, round(end * self.rate))
        for at in range(max(0, round(start * self.rate)), last, _BLOCK):
            yield self.part(at, min(last, at + _BLOCK))


def resampled(waveform: Waveform, start: float, speed: float, n_samples: int) -> Float32:
    """Give a waveform from a time on as it sounds ``speed`` times as fast, (n_samples,), to half a sample."""
    import soxr

    if abs(speed - 1) * n_samples < 1:  # less than one sample
        first = round(start * waveform.rate)
        return waveform.part(first, first + n_samples)
    edge = 256  # for the filter
    first = round(start * waveform.rate) - round(edge * speed)
    samples = waveform.part(first, first + round((n_samples + 2 * edge) * speed) + 1)
    faster: Float32 = soxr.resample(samples, 1e6 * speed, 1e6)[edge : edge + n_samples]
    return np.pad(faster, (0, n_samples - len(faster)))


class Delay(NamedTuple):
    """Where a waveform begins in another, in samples, and by how many deviations that stands out."""

    samples: float
    prominence: float


def delay_between(there: Float32, here: Float32, most: int) -> Delay | None:
    """Find how many samples into ``there`` the shorter ``here`` begins, 0 … ``most``; None if it is silent.

    The spectrum is whitened, so that the peak is sharp whatever the microphones' frequency responses; it may
    point down, where one of them has its poles the other way round. Parts of a sample are told by a parabola.
    """
    import scipy.fft

    if len(here) < 2 or min(np.abs(there).max(initial=0), np.abs(here).max(initial=0)) < _SILENT:
        return None
    size = scipy.fft.next_fast_len(len(there) + len(here), real=True)
    cross = scipy.fft.rfft(there, size) * np.conj(scipy.fft.rfft(here, size))
    correlation = np.abs(scipy.fft.irfft(cross / np.maximum(np.abs(cross), 1e-20), size)[: most + 1])
    at = int(np.argmax(correlation))
    prominence = float(correlation[at] / (np.sqrt(np.mean(np.square(correlation))) or 1.0))
    if 0 < at < len(correlation) - 1:
        before, peak, after = (float(value) for value in correlation[at - 1 : at + 2])
        bend = before - 2 * peak + after
        return Delay(at + ((before - after) / (2 * bend) if bend < 0 else 0.0), prominence)
    return Delay(float(at), prominence)


class Likeness(NamedTuple):
    """How much two waveforms are the same sound, frame by frame; each (frames,).

    Attributes
    ----------
    peak : ndarray of float64
        The peak of the whitened correlation around 0: near 1 where they are the same, .1 where they have
        nothing in common; NaN where both are silent, 0 where one is.
    prominence : ndarray of float64
        By how many deviations such a peak stands out of a second's correlation, before the frame or after it,
        whichever is less. Noise that hides one frame's peak leaves that of ten.
    """

    peak: Float64
    prominence: Float64


def spectra(samples: Float32, rate: int) -> npt.NDArray[np.complex64]:
    """Give the spectra of a waveform's frames, :data:`FRAME` seconds apart, (frames, bins of 5 Hz)."""
    import scipy.fft

    frames = _framed(samples, rate)
    taper = np.hanning(frames.shape[1] + 2)[1:-1].astype(np.float32)
    found: npt.NDArray[np.complex64] = scipy.fft.rfft(frames * taper, axis=1)
    return found


def _framed(samples: Float32, rate: int) -> Float32:
    hop = round(FRAME * rate)
    size = _SPECTRUM * hop
    n, half = len(samples) // hop, (size - hop) // 2
    padded = np.pad(samples[: n * hop], (half, size))
    framed: Float32 = sliding_window_view(padded, size)[: n * hop : hop]
    return framed


def likeness(there: Float32, here: Float32, rate: int, slack: float) -> Likeness:
    """Say, frame by frame, how much of two waveforms that lie beside each other is the same sound.

    Parameters
    ----------
    there, here : ndarray of float32, shape (n,)
    rate : int
        Hz.
    slack : float
        Seconds that one may lie beside the other.
    """
    import scipy.fft

    if len(here) < round(FRAME * rate):
        return Likeness(np.empty(0), np.empty(0))
    cross = spectra(there, rate) * np.conj(spectra(here, rate))
    correlation = scipy.fft.irfft(cross / np.maximum(np.abs(cross), 1e-20), axis=1)
    lags = min(correlation.shape[1] // 2, max(2, round(slack * rate)))
    peak = _around_zero(correlation, lags)
    loud = np.stack([np.abs(_framed(samples, rate)).max(axis=1) >= _QUIET for samples in (there, here)])
    peak[~loud.all(axis=0)] = 0.0
    peak[~loud.any(axis=0)] = np.nan
    correlation[~loud.all(axis=0)] = 0.0
    sums = np.concatenate(
        [np.zeros((1, correlation.shape[1])), np.cumsum(correlation, axis=0, dtype=np.float64)]
    )
    at = np.arange(len(correlation))
    before = sums[at + 1] - sums[np.maximum(0, at + 1 - _TOGETHER)]
    after = sums[np.minimum(len(at), at + _TOGETHER)] - sums[at]
    return Likeness(peak, np.minimum(_standing_out(before, lags), _standing_out(after, lags)))


def _around_zero(correlation: Float32 | Float64, lags: int) -> Float64:
    """Give the peaks within some lags of 0, (frames,)."""
    near = np.concatenate([correlation[:, : lags + 1], correlation[:, -lags:]], axis=1)
    peaks: Float64 = np.abs(near).max(axis=1).astype(np.float64)
    return peaks


def _standing_out(correlation: Float64, lags: int) -> Float64:
    """Say by how many deviations the peaks within some lags of 0 stand out, (frames,)."""
    aside = correlation[:, _ASIDE * lags : -_ASIDE * lags or None]
    deviations = np.sqrt(np.mean(np.square(aside), axis=1))
    found: Float64 = _around_zero(correlation, lags) / np.maximum(deviations, 1e-20)
    return found
