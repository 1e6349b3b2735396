"""``speech``: what is said, whoever says it, 12.5 times a second.

The graph takes sound of any length; of a window it is given as much as there is, so that a word of a second
costs a second, not a window.
"""

from __future__ import annotations

import numpy as np

from echoic.encoders.base import check_vectors, no_vectors
from echoic.encoders.onnx import OnnxEncoder
from echoic.types import Float32

__all__ = ["SpeechEncoder"]

_BEHIND = 0.5  # s of silence behind the sound that its last frames look at


class SpeechEncoder(OnnxEncoder):
    """An encoder that spoken phrases are found by; see :class:`~echoic.encoders.base.SpokenEncoder`."""

    def encode(self, features: Float32) -> Float32:
        """Encode windows, each by itself and as far as its sound goes."""
        if not len(features):
            return no_vectors(self.spec)
        assert self.spec.frame_rate is not None
        step = round(self.spec.sample_rate / self.spec.frame_rate)
        vectors = np.zeros((len(features), features.shape[1] // step, self.spec.dim), np.float32)
        vectors[:, :, -1] = 1  # where there is nothing, nothing is said
        for row, samples in zip(vectors, features, strict=True):
            sounding = np.flatnonzero(samples)
            n = int(sounding[-1]) + 1 if len(sounding) else 0
            n_frames = min(-(-n // step), len(row))
            if n_frames:
                heard = samples[: n + round(_BEHIND * self.spec.sample_rate)]
                told = self._session.run([self._card.output], {self._card.input: heard[None]})[0]
                row[:n_frames] = told[0, :n_frames]
        return check_vectors(self.spec, len(features), vectors)

    def read_background(self) -> bytes:
        """Return speech to compare with; see :class:`~echoic.encoders.base.SpokenEncoder`."""
        return self._read_beside("background", "to compare phrases with")
