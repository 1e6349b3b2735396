"""``spectral``: statistics of the log-mel spectrogram, the floor that learned encoders must beat.

Each window is described by four curves over the mel bands, taken over its audible frames: the mean level
(the colour of the sound), its standard deviation, and its mean absolute change within 20 ms and within 100 ms
(how it moves). A cosine transform smooths each curve and decorrelates its points, as in MFCC; the colour's
first coefficient, its loudness, is dropped. Every coefficient is standardised by its mean and deviation over
real recordings, ``spectral.json``, which ``recipes/spectral/measure.py`` measured. Nothing else is trained.

References
----------
Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word recognition",
IEEE TASSP 28(4), 1980. Tzanetakis and Cook, "Musical genre classification of audio signals", 2002.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.audio.spectrogram import LogMel
from echoic.encoders.base import normalize
from echoic.spec import EncoderSpec
from echoic.types import Float32

__all__ = ["CONSTANTS", "LOG_MEL", "N_STATISTICS", "SpectralEncoder", "spectral_statistics"]

#: The file of the means and deviations.
CONSTANTS = Path(__file__).with_suffix(".json")

LOG_MEL = LogMel(sample_rate=16_000, n_fft=1024, hop_length=320, n_mels=64, fmin=50, fmax=8_000)

# Frames this far under the loudest are silence or padding and say nothing about the sound.
_AUDIBLE_DB = 60.0
_N_COLOUR = 16  # coefficients, the dropped one included
_N_MOVEMENT = 8  # of each of the other curves
_LAGS = (1, 5)  # frames

N_STATISTICS = _N_COLOUR - 1 + (1 + len(_LAGS)) * _N_MOVEMENT

# In float64: a flat curve leaves small coefficients, which rounding would make depend on the batch.
_COSINES = np.cos(
    np.pi / LOG_MEL.n_mels * np.arange(_N_COLOUR)[:, None] * (np.arange(LOG_MEL.n_mels) + 0.5)
).T


def spectral_statistics(mels: Float32) -> npt.NDArray[np.float64]:
    """Describe spectrograms by the statistics that ``spectral`` standardises.

    Parameters
    ----------
    mels : ndarray of float32, shape (n, frames, n_mels)
        Of ``LOG_MEL``, in dB; more than five frames.

    Returns
    -------
    ndarray of float64, shape (n, N_STATISTICS)
        The same for any gain that leaves the signal over the floor of the spectrogram.
    """
    level = mels.max(axis=2)
    loudest = level.max(axis=1, keepdims=True)
    audible = (level >= loudest - _AUDIBLE_DB).astype(np.float32)
    weight = (audible / audible.sum(axis=1, keepdims=True))[:, :, None]
    floored = np.maximum(mels, loudest[:, :, None] - _AUDIBLE_DB)
    mean = (floored * weight).sum(axis=1)
    deviation = np.sqrt((np.square(floored - mean[:, None]) * weight).sum(axis=1))
    changes = [(np.abs(floored[:, lag:] - floored[:, :-lag]) * weight[:, lag:]).sum(axis=1) for lag in _LAGS]
    colour = (mean.astype(np.float64) @ _COSINES)[:, 1:]
    movement = [curve.astype(np.float64) @ _COSINES[:, :_N_MOVEMENT] for curve in (deviation, *changes)]
    return np.concatenate([colour, *movement], axis=1)


class SpectralEncoder:
    """Standardised log-mel statistics; see the module's docstring."""

    front_end = LOG_MEL
    spec = EncoderSpec(
        name="spectral",
        revision="1",
        sample_rate=LOG_MEL.sample_rate,
        window=5.0,
        hop=2.5,
        dim=N_STATISTICS,
        reference="log-mel statistics after Davis and Mermelstein 1980, Tzanetakis and Cook 2002",
        description="colour and movement of the spectrum; untrained, the floor to compare with",
    )

    def __init__(self) -> None:
        constants = json.loads(CONSTANTS.read_text("utf-8"))
        self._mean = np.array(constants["mean"])
        self._deviation = np.array(constants["deviation"])

    def encode(self, features: Float32) -> Float32:
        return normalize((spectral_statistics(features) - self._mean) / self._deviation)
