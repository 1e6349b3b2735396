"""Log-mel spectrograms on NumPy's FFT.

The mel scale is Slaney's (linear below 1 kHz, logarithmic above) or HTK's, filters have unit area, and
decibels are ``10 log10(max(power, 1e-10))``: the defaults of ``librosa.feature.melspectrogram`` followed by
``librosa.power_to_db(top_db=None)``, with ``center=False``. Tests hold the two within 1e-4 dB; far under a
loud tone, where float32 leaves few digits, within 3e-3.

References
----------
Slaney, "Auditory Toolbox", Interval Research technical report 1998-010.
Young et al., "The HTK book", Cambridge University, 2006 (section 5.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from echoic.types import Float32
from echoic.untrusted import check_number, check_whole_number, shown

__all__ = ["LogMel", "MelScale", "mel_filters"]

MelScale = Literal["slaney", "htk"]

_CHUNK_FRAMES = 128  # frames transformed at a time: the working set then stays in the L2 cache
_FLOOR_DB = -100.0  # of a power of 1e-10
_LONGEST_FFT = 65_536  # samples
_MOST_WORK = 1 << 26  # samples that all frames of a window have together: at 48 kHz some minutes of it


@dataclass(frozen=True, slots=True)
class LogMel:
    """Settings of a log-mel front end; call it on audio to get the spectrogram.

    Two encoders with equal settings share one spectrogram, which is why this is a value that compares
    and hashes.

    Parameters
    ----------
    sample_rate : int
        Hz.
    n_fft, hop_length : int
        Length of the Hann window and distance between two frames, in samples.
    n_mels : int
    fmin, fmax : float
        Lowest and highest frequency of the filters, in Hz.
    mel_scale : {"slaney", "htk"}

    Raises
    ------
    ValueError
        If the settings cannot be meant: a wrong type, a number that is not finite, more bands than an FFT has
        bins, frequencies beyond half the sample rate or in the wrong order.

    Examples
    --------
    >>> import numpy as np
    >>> mel = LogMel(sample_rate=16_000, n_fft=1024, hop_length=320, n_mels=64, fmin=50, fmax=8_000)
    >>> mel(np.zeros((2, 16_000), np.float32)).shape
    (2, 47, 64)
    """

    sample_rate: int
    n_fft: int
    hop_length: int
    n_mels: int
    fmin: float
    fmax: float
    mel_scale: MelScale = "slaney"

    def __post_init__(self) -> None:
        check_whole_number("sample_rate", self.sample_rate, 1_000, 768_000)
        check_whole_number("n_fft", self.n_fft, 16, _LONGEST_FFT)
        check_whole_number("hop_length", self.hop_length, 1, _LONGEST_FFT)
        check_whole_number("n_mels", self.n_mels, 1, self.n_fft // 2 + 1)
        check_number("fmax", self.fmax, 1, self.sample_rate / 2)
        check_number("fmin", self.fmin, 0, self.fmax - 1)
        if self.mel_scale not in get_args(MelScale):
            raise ValueError(f"mel_scale is {shown(self.mel_scale)} and must be slaney or htk")

    def axes(self, n_samples: int) -> dict[str, int]:
        """Say how many frames and bands the spectrogram of a window of so many samples has.

        Raises
        ------
        ValueError
            If the window is shorter than ``n_fft``, or has more frames than can be computed.
        """
        if n_samples < self.n_fft:
            raise ValueError(f"a window of {n_samples} samples is shorter than n_fft = {self.n_fft}")
        n_frames = self.n_frames(n_samples)
        if n_frames * self.n_fft > _MOST_WORK:
            raise ValueError(
                f"hop_length is {self.hop_length}, so that a window has {n_frames:,} frames of {self.n_fft} "
                "samples: more than can be computed"
            )
        return {"frames": n_frames, "n_mels": self.n_mels}

    def n_frames(self, n_samples: int) -> int:
        """Count the frames that fit into ``n_samples`` without padding."""
        return max(0, 1 + (n_samples - self.n_fft) // self.hop_length)

    def __call__(self, windows: Float32) -> Float32:
        """Compute the log-mel spectrogram of each window.

        Parameters
        ----------
        windows : ndarray of float32, shape (n, samples)

        Returns
        -------
        ndarray of float32, shape (n, frames, n_mels)
            Decibels, at least -100.

        Raises
        ------
        ValueError
            If the windows are shorter than ``n_fft``.
        """
        n, frames_per_window = len(windows), self._frames_per_window(windows)
        out = np.empty((n, frames_per_window, self.n_mels), np.float32)
        for window, target in zip(windows, out, strict=True):
            self._mel(sliding_window_view(window, self.n_fft)[:: self.hop_length], target)
        return self._decibels(out)

    def overlapping(self, windows: Float32, starts: npt.NDArray[np.int64]) -> Float32:
        """Compute the spectrograms of windows of one sound, the frames that they share only once.

        Parameters
        ----------
        windows : ndarray of float32, shape (n, samples)
        starts : ndarray of int64, shape (n,)
            Where in the sound each begins, in samples; ascending.

        Returns
        -------
        ndarray of float32, shape (n, frames, n_mels)
            As by :meth:`__call__`, but for the last digits.
        """
        n, frames_per_window = len(windows), self._frames_per_window(windows)
        out = np.empty((n, frames_per_window, self.n_mels), np.float32)
        apart = np.diff(starts)
        # Where a window begins whole hops after the last, and not behind its end, both are one stretch.
        breaks = np.flatnonzero((apart % self.hop_length != 0) | (apart > windows.shape[1])) + 1
        for part in np.split(np.arange(n), breaks) if n else ():
            first, last = int(part[0]), int(part[-1])
            steps = apart[first:last].tolist()
            before = [window[:step] for window, step in zip(windows[first:last], steps, strict=True)]
            stretch = np.concatenate([*before, windows[last]])
            mels = np.empty((self.n_frames(len(stretch)), self.n_mels), np.float32)
            self._mel(sliding_window_view(stretch, self.n_fft)[:: self.hop_length], mels)
            self._decibels(mels)
            places = np.cumsum([0, *steps]) // self.hop_length
            for target, at in zip(out[first : last + 1], places.tolist(), strict=True):
                target[:] = mels[at : at + frames_per_window]
        return out

    def _frames_per_window(self, windows: Float32) -> int:
        n_frames = self.n_frames(windows.shape[1])
        if n_frames == 0:
            raise ValueError(f"a window of {windows.shape[1]} samples is shorter than n_fft = {self.n_fft}")
        return n_frames

    def _mel(self, frames: Float32, out: Float32) -> None:
        """Fill in the power in each filter, shape (frames, n_mels), of frames, shape (frames, n_fft)."""
        taper = _hann(self.n_fft)
        filters = mel_filters(
            self.sample_rate, self.n_fft, self.n_mels, self.fmin, self.fmax, self.mel_scale
        ).T
        # By its default norm NumPy would compute in float64, half as fast; this one the filters undo.
        filters = filters * np.float32(self.n_fft**2)
        for at in range(0, len(frames), _CHUNK_FRAMES):
            spectrum = np.fft.rfft(frames[at : at + _CHUNK_FRAMES] * taper, axis=1, norm="forward")
            power = np.square(spectrum.real)
            power += np.square(spectrum.imag)
            np.matmul(power, filters, out=out[at : at + _CHUNK_FRAMES])

    def _decibels(self, out: Float32) -> Float32:
        """Turn powers into decibels, in place."""
        with np.errstate(divide="ignore"):  # digital silence is -inf until it is clipped
            np.log10(out, out=out)
        out *= 10
        # Not before the logarithm: that of 1e-10 is not -10 to the last digit on every processor.
        np.maximum(out, _FLOOR_DB, out=out)
        return out


@lru_cache(maxsize=16)
def _hann(n: int) -> Float32:
    # The periodic window, as used for spectra: symmetric over n + 1 points, the last one dropped.
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)).astype(np.float32)


@lru_cache(maxsize=16)
def mel_filters(
    sample_rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float, mel_scale: MelScale = "slaney"
) -> Float32:
    """Build triangular mel filters of unit area.

    Returns
    -------
    ndarray of float32, shape (n_mels, n_fft // 2 + 1)
        To be multiplied with a power spectrum.
    """
    hz_to_mel, mel_to_hz = _SCALES[mel_scale]
    edges = mel_to_hz(np.linspace(hz_to_mel(fmin), hz_to_mel(fmax), n_mels + 2))
    bins = np.fft.rfftfreq(n_fft, 1 / sample_rate)
    distance = edges[:, None] - bins[None, :]
    width = np.diff(edges)
    rising = -distance[:-2] / width[:-1, None]
    falling = distance[2:] / width[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


# Slaney's scale: 200/3 Hz a mel up to 1 kHz, then 27 mels to each factor of 6.4.
_HZ_PER_MEL = 200 / 3
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _hz_to_slaney(hz: float) -> float:
    if hz < _KNEE_HZ:
        return hz / _HZ_PER_MEL
    return float(_KNEE_MEL + np.log(hz / _KNEE_HZ) / _LOG_STEP)


def _slaney_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    linear = mel * _HZ_PER_MEL
    logarithmic = _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, linear, logarithmic)


def _hz_to_htk(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))


def _htk_to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return 700 * (10 ** (mel / 2595) - 1)


_SCALES = {"slaney": (_hz_to_slaney, _slaney_to_hz), "htk": (_hz_to_htk, _htk_to_hz)}
