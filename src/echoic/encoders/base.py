"""What an encoder is.

An encoder never sees a file: it is handed fixed windows of mono audio and gives back unit vectors. How
windows are cut is the business of :mod:`echoic.audio.windows`, so that every encoder handles clips
shorter and longer than its window in the same way.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from echoic.audio.spectrogram import LogMel
from echoic.errors import EncoderError
from echoic.types import EncoderSpec, Float32

__all__ = ["Encoder", "MelEncoder", "check_vectors", "mean_vector", "normalize"]


_TINY = 1e-15


@runtime_checkable
class Encoder(Protocol):
    """Turns fixed windows of mono audio into unit vectors.

    Deterministic: the same input gives the same output, alone or in a batch.
    """

    spec: EncoderSpec

    def encode(self, windows: Float32) -> Float32:
        """Encode windows.

        Parameters
        ----------
        windows : ndarray of float32, shape (n, spec.window_samples)
            Mono audio at ``spec.sample_rate``, full scale at ±1.

        Returns
        -------
        ndarray of float32, shape (n, spec.dim)
            Of length 1 each.
        """
        ...


@runtime_checkable
class MelEncoder(Encoder, Protocol):
    """An encoder that looks at a log-mel spectrogram, which others of equal settings may share."""

    log_mel: LogMel

    def encode_log_mel(self, mels: Float32) -> Float32:
        """Encode spectrograms of windows: (n, frames, n_mels) in dB → (n, spec.dim)."""
        ...


def normalize(vectors: Float32) -> Float32:
    """Scale each row to length 1; a row of zeros becomes the first unit vector, never NaN."""
    peaks = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    # Squares of what is smaller are not exact in float32.
    vectors = np.where((peaks > 0) & (peaks < _TINY), vectors / np.where(peaks > 0, peaks, 1), vectors)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    safe = vectors / np.where(norms > 0, norms, 1)
    safe[norms[:, 0] == 0, 0] = 1
    return safe.astype(np.float32, copy=False)


def mean_vector(vectors: Float32) -> Float32:
    """Average the vectors of a file, shape (n, dim), into one of unit length, shape (dim,).

    Of none it is the first unit vector, as that of zeros is.
    """
    average = vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1], np.float32)
    mean: Float32 = normalize(average[None])[0]
    return mean


def check_vectors(spec: EncoderSpec, n: int, vectors: Float32) -> Float32:
    """Hold an encoder to its contract before its vectors go anywhere.

    Raises
    ------
    EncoderError
        If the shape is not ``(n, spec.dim)`` or a value is NaN or infinite.
    """
    if vectors.shape != (n, spec.dim):
        raise EncoderError(
            f"encoder {spec.name} gave vectors of shape {vectors.shape} where {(n, spec.dim)} was due; "
            "its specification and its model disagree"
        )
    if not np.isfinite(vectors).all():
        raise EncoderError(f"encoder {spec.name} gave a vector that is not finite; its weights are damaged")
    return vectors
