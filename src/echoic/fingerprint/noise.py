"""What noise hides of two recordings that lie beside each other.

Where one of them is no louder than its own noise, and the other is not loud enough to be heard over that, the
two may be the same sound, however little their waveforms have in common.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from echoic.fingerprint.waveforms import FRAME, Waveform, spectra
from echoic.types import Float32

__all__ = ["Floors", "gains", "levels"]

Float64 = npt.NDArray[np.float64]

_BANDS = (80, 200, 400, 700, 1100, 1600, 2200, 3000, 3800)  # Hz between which a band lies
_SILENT = -120.0  # dB: nothing is heard of a level below, which only files without noise have
_SPOTS, _SPOT = 400, 0.5  # places that tell the noise of a recording, and seconds of each
_QUIETEST = 5  # per cent of a recording in which nothing but noise is heard, in some band
_LOUD = 75  # per cent of the frames than which one must be louder to tell how much louder the other is
_OVER_NOISE = 6.0  # dB over its noise up to which a recording may have nothing else
_HEARD = 3.0  # dB over noise from which on a sound would be heard in it


def levels(samples: Float32, rate: int) -> Float64:
    """Give the levels of a waveform's frames in dB, (frames, bands): the mean of three frames each."""
    power = np.square(np.abs(spectra(samples, rate)))
    bins = [round(edge * 2 * FRAME) for edge in _BANDS]
    power = np.stack([power[:, low:high].mean(axis=1) for low, high in itertools.pairwise(bins)], axis=1)
    padded = np.pad(power, ((1, 1), (0, 0)), mode="edge") if len(power) else np.zeros((2, len(bins) - 1))
    mean = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    found: Float64 = 10 * np.log10(np.maximum(mean.astype(np.float64), 10 ** (_SILENT / 10)))
    return found


def gains(there: Float64, here: Float64) -> Float64:
    """Say by how many dB the second of two recordings is louder, in each band, where the first is loud."""
    found = np.zeros(there.shape[1])
    for band, (one, other) in enumerate(zip(there.T, here.T, strict=True)):
        loud = one >= np.percentile(one, _LOUD)
        found[band] = np.median(other[loud] - one[loud])
    return found


class Floors:
    """The noises of two recordings: how loud each band is in their quietest moments that are not silent."""

    def __init__(self, first: Waveform, second: Waveform) -> None:
        self._there, self._here = _floor(first), _floor(second)

    def hide(self, there: Float64, here: Float64, gain: Float64) -> npt.NDArray[np.bool_]:
        """Say for each frame whether two that lie beside each other may be the same sound beneath noise.

        Parameters
        ----------
        there, here : ndarray of float64, shape (frames, bands)
            Levels in dB.
        gain : ndarray of float64, shape (bands,)
            By how many dB the second is louder where they are the same.
        """
        return _beneath(here, there + gain, self._here) | _beneath(there, here - gain, self._there)


def _beneath(noisy: Float64, other: Float64, floor: Float64) -> npt.NDArray[np.bool_]:
    hidden = (noisy < floor + _OVER_NOISE) & (other < floor + _HEARD)
    return np.asarray(hidden.all(axis=1))


def _floor(waveform: Waveform) -> Float64:
    n = round(_SPOT * waveform.rate)
    at = np.linspace(0, max(0, waveform.n_samples - n), _SPOTS).astype(np.int64)
    found = np.concatenate(
        [levels(waveform.part(begin, begin + n), waveform.rate)[1:-1] for begin in at.tolist()]
    )
    heard = found[(found > _SILENT).any(axis=1)]
    if not len(heard):
        return np.full(found.shape[1], _SILENT)
    floor: Float64 = np.percentile(heard, _QUIETEST, axis=0)
    return floor
