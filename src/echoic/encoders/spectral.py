"""``spectral``: statistics of the log-mel spectrogram, the floor that learned encoders must beat.

Each window is described by three curves over the mel bands, taken over its audible frames: the mean level
(the colour of the sound), its standard deviation, and the mean absolute change from frame to frame (how it
moves). A cosine transform smooths each curve and decorrelates its points, as in MFCC; the colour's first
coefficient, its loudness, is dropped. The three groups weigh the same. Nothing is trained.

References
----------
Davis and Mermelstein, "Comparison of parametric representations for monosyllabic word recognition",
IEEE TASSP 28(4), 1980. Tzanetakis and Cook, "Musical genre classification of audio signals", 2002.
"""

from __future__ import annotations

import numpy as np

from echoic.audio.spectrogram import LogMel
from echoic.encoders.base import normalize
from echoic.types import EncoderSpec, Float32

__all__ = ["SpectralEncoder"]

# Frames this far under the loudest are silence or padding and say nothing about the sound.
_AUDIBLE_DB = 60.0
_N_COEFFICIENTS = 24
# Both curves are positive everywhere; without their usual height taken off, every two sounds look alike.
_USUAL_DEVIATION_DB = 8.0
_USUAL_CHANGE_DB = 3.0


class SpectralEncoder:
    """Log-mel statistics; see the module's docstring."""

    log_mel = LogMel(sample_rate=16_000, n_fft=1024, hop_length=320, n_mels=64, fmin=50, fmax=8_000)
    spec = EncoderSpec(
        name="spectral",
        revision="1",
        sample_rate=log_mel.sample_rate,
        window=5.0,
        hop=2.5,
        dim=3 * _N_COEFFICIENTS - 1,
        reference="log-mel statistics after Davis and Mermelstein 1980, Tzanetakis and Cook 2002",
        description="colour and movement of the spectrum; untrained, the floor to compare with",
    )

    def __init__(self) -> None:
        bands = np.arange(self.log_mel.n_mels) + 0.5
        order = np.arange(_N_COEFFICIENTS)[:, None]
        # In float64: a flat curve leaves small coefficients, which rounding would make depend on the batch.
        self._cosines = np.cos(np.pi / self.log_mel.n_mels * order * bands).T

    def encode(self, windows: Float32) -> Float32:
        return self.encode_log_mel(self.log_mel(windows))

    def encode_log_mel(self, mels: Float32) -> Float32:
        level = mels.max(axis=2)
        loudest = level.max(axis=1, keepdims=True)
        audible = (level >= loudest - _AUDIBLE_DB).astype(np.float32)
        weight = (audible / audible.sum(axis=1, keepdims=True))[:, :, None]
        floored = np.maximum(mels, loudest[:, :, None] - _AUDIBLE_DB)
        mean = (floored * weight).sum(axis=1)
        deviation = np.sqrt((np.square(floored - mean[:, None]) * weight).sum(axis=1))
        change = (np.abs(np.diff(floored, axis=1)) * weight[:, 1:]).sum(axis=1)
        groups = (
            (mean.astype(np.float64) @ self._cosines)[:, 1:],
            (deviation.astype(np.float64) - _USUAL_DEVIATION_DB) @ self._cosines,
            (change.astype(np.float64) - _USUAL_CHANGE_DB) @ self._cosines,
        )
        return normalize(np.concatenate([normalize(group) for group in groups], axis=1))
