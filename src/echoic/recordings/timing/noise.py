"""What noise hides of two recordings that lie beside each other.

Where one of them is no louder than its own noise, and the other is not loud enough to be heard over that, the
two may be the same sound, however little their waveforms have in common.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from echoic.recordings.timing.waveforms import FRAME, spectra
from echoic.types import Float32

__all__ = ["Noise", "levels"]

Float64 = npt.NDArray[np.float64]

_BANDS = (80, 200, 400, 700, 1100, 1600, 2200, 3000, 3800)  # Hz between which a band lies
_SILENT = -120.0  # dB: no level is told below
_LOUD = 75  # per cent of the frames than which one must be louder to tell how much louder the other is
_QUIET = 25  # per cent of the frames that are quiet enough in one to tell the noise of the other
_QUIETEST = 5  # per cent of a recording in which nothing but noise is heard, in some band, if it has any
_OVER_NOISE = 6.0  # dB over its noise up to which a recording may have nothing else
_HEARD = 3.0  # dB over noise from which on a sound would be heard in it


def levels(samples: Float32, rate: int) -> Float64:
    """Give the levels of a waveform's frames in dB, (frames, bands): the mean of three frames each."""
    return _decibels(_banded(np.square(np.abs(spectra(samples, rate)))))


def _banded(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Take the mean of each band's bins, and of a frame and its neighbours, (frames, bands)."""
    bins = [round(edge * 2 * FRAME) for edge in _BANDS]
    bands = np.stack([values[:, low:high].mean(axis=1) for low, high in itertools.pairwise(bins)], axis=1)
    if not len(bands):
        return bands
    padded = np.pad(bands, ((1, 1), (0, 0)), mode="edge")
    mean: npt.NDArray[Any] = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    return mean


def _decibels(power: npt.NDArray[Any]) -> Float64:
    found: Float64 = 10 * np.log10(np.maximum(power.astype(np.float64), 10 ** (_SILENT / 10)))
    return found


class Noise:
    """The noises of two recordings of the same sound, and how much louder the one has it, band by band.

    Noise is what one has and the other has not where that is quiet, and never louder than a recording's own
    quietest moments: recordings without noise have quiet moments too, but the same.

    Parameters
    ----------
    glances : list of tuple of ndarray of float32
        Waveforms of the two that lie beside each other, (n,) each, in many places; most are the same sound.
    rate : int
        Hz.
    """

    def __init__(self, glances: list[tuple[Float32, Float32]], rate: int) -> None:
        powers: list[list[npt.NDArray[Any]]] = [[], [], []]
        for pair in glances:
            there, here = (spectra(samples, rate) for samples in pair)
            powers[0].append(_banded(np.square(np.abs(there))))
            powers[1].append(_banded(np.square(np.abs(here))))
            powers[2].append(np.square(np.abs(_banded(there * np.conj(here)))))
        first, second, both = (np.concatenate(part).astype(np.float64) for part in powers)
        alone = 1 - np.minimum(1, both / np.maximum(first * second, 1e-30))  # what of each is not the other's
        one, other = _decibels(first), _decibels(second)
        self.gain = np.array([_gain(*band) for band in zip(one.T, other.T, strict=True)])
        self.there = _beneath(one, _decibels(first * alone), other)
        self.here = _beneath(other, _decibels(second * alone), one)

    def hides(self, there: Float64, here: Float64) -> npt.NDArray[np.bool_]:
        """Say for each frame whether two that lie beside each other may be the same sound beneath noise.

        Parameters
        ----------
        there, here : ndarray of float64, shape (frames, bands)
            Levels in dB.
        """
        in_second = _only_noise(here, there + self.gain, self.here)
        return np.asarray(in_second | _only_noise(there, here - self.gain, self.there))


def _gain(there: Float64, here: Float64) -> float:
    if not len(there):
        return 0.0
    loud = there >= np.percentile(there, _LOUD)
    return float(np.median(here[loud] - there[loud]))


def _beneath(levels: Float64, alone: Float64, other: Float64) -> Float64:
    """Give the noise of a recording in dB, (bands,): what it has alone where the other one is quiet."""
    found = np.full(levels.shape[1], _SILENT)
    for band in range(levels.shape[1]):
        heard = levels[:, band] > _SILENT
        if heard.any():
            quiet = heard & (other[:, band] <= np.percentile(other[heard, band], _QUIET))
            found[band] = min(np.median(alone[quiet, band]), np.percentile(levels[heard, band], _QUIETEST))
    return found


def _only_noise(levels: Float64, expected: Float64, noise: Float64) -> npt.NDArray[np.bool_]:
    hidden = (levels < noise + _OVER_NOISE) & (expected < noise + _HEARD)
    return np.asarray(hidden.all(axis=1))
