"""``harmony``: which of the twelve pitch classes sound, whoever plays them; what versions of a piece share.

Each second is described by the energy of C, C sharp … B, folded over the octaves, after what is even in the
spectrum (noise, drums, the colour of instruments) was taken away. In another key the twelve numbers are the
same, turned. Nothing is trained.

References
----------
Fujishima, "Realtime chord recognition of musical sound", ICMC 1999. Müller and Ewert, "Chroma toolbox", ISMIR
2011.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from echoic.audio.front_end import Waveform
from echoic.encoders.base import normalize
from echoic.spec import EncoderSpec
from echoic.types import Float32

__all__ = ["HarmonyEncoder"]

_RATE = 8_000  # Hz
_N_FFT, _HOP_LENGTH = 2048, 1024
_FMIN, _FMAX = 80.0, 2_100.0
_CENTRE, _WIDTH = 64.0, 16.0  # MIDI numbers: pitches around E4 count most
_SHARPNESS = 0.5  # semitones: a tone a quarter off pitch still falls into its class
_EVEN = 51  # bins over which a spectrum's even part is measured
_COMPRESSION = 100.0
_BATCH = 16  # windows at a time: more is not faster, and takes more memory


class HarmonyEncoder:
    """Pitch classes, second by second; see the module's docstring."""

    front_end = Waveform(_RATE)
    spec = EncoderSpec(
        name="harmony",
        revision="1",
        sample_rate=_RATE,
        window=1.0,
        hop=0.5,
        dim=12,
        reference="pitch class profiles after Fujishima 1999, Müller and Ewert 2011",
        description="the harmony of music, whoever plays it; other versions of a piece are found by it",
        storage="int8",
        purposes=frozenset({"versions"}),
    )

    def encode(self, features: Float32) -> Float32:
        band, classes, taper = _tables()
        chroma = np.empty((len(features), 12), np.float32)
        for at in range(0, len(features), _BATCH):
            frames = sliding_window_view(features[at : at + _BATCH], _N_FFT, axis=1)[:, ::_HOP_LENGTH]
            spectrum = np.fft.rfft(frames * taper, axis=2, norm="forward")[:, :, band]
            magnitude = np.sqrt(np.square(spectrum.real) + np.square(spectrum.imag))
            mean = magnitude.mean(axis=2, keepdims=True).mean(axis=1, keepdims=True)
            level = np.log1p(_COMPRESSION / (mean + 1e-6) * magnitude).reshape(-1, magnitude.shape[2])
            classed = np.maximum(0, level - _even(level)) @ classes
            chroma[at : at + _BATCH] = classed.reshape(*magnitude.shape[:2], 12).mean(axis=1)
        return normalize(chroma - chroma.mean(axis=1, keepdims=True))


def _even(level: Float32) -> Float32:
    """Average every bin with those around it."""
    half = _EVEN // 2
    padded = np.pad(level, ((0, 0), (half + 1, half)), mode="edge")
    sums = np.cumsum(padded, axis=1, dtype=np.float64)
    return ((sums[:, _EVEN:] - sums[:, :-_EVEN]) / _EVEN).astype(np.float32)


@lru_cache(maxsize=1)
def _tables() -> tuple[slice, Float32, Float32]:
    """Make the band of bins that is used, their weights in each class, (bins, 12), and the taper."""
    frequencies = np.fft.rfftfreq(_N_FFT, 1 / _RATE)
    first, last = np.searchsorted(frequencies, [_FMIN, _FMAX])
    pitch = 69 + 12 * np.log2(frequencies[first:last] / 440)
    distance = (pitch[:, None] - np.arange(12) + 6) % 12 - 6
    weight = np.exp(-0.5 * np.square((pitch - _CENTRE) / _WIDTH))
    classes = np.exp(-0.5 * np.square(distance / _SHARPNESS)) * weight[:, None]
    taper = _N_FFT * np.hanning(_N_FFT + 1)[:-1]  # undoes the norm by which NumPy computes in float32
    return slice(int(first), int(last)), classes.astype(np.float32), taper.astype(np.float32)
