"""Front ends in torch, as parts of a graph: spectra by a matrix of sines, which every runtime multiplies."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from echoic.types import Float32

__all__ = ["Framed", "Power", "unit"]


def unit(vectors: Tensor) -> Tensor:
    """Bring vectors, (n, dim), to length 1; a network's output of zeros stays near zero."""
    norm = vectors.pow(2).sum(dim=1, keepdim=True).clamp(min=1e-24).sqrt()
    return vectors / norm


class Framed(nn.Module):
    """(n, samples) → (n, frames, size): frames that overlap.

    They are gathered by their places, for windows of one length.
    """

    def __init__(self, n_samples: int, size: int, hop: int) -> None:
        super().__init__()
        places = np.arange(0, n_samples - size + 1, hop)[:, None] + np.arange(size)
        self.n_frames = len(places)
        self.size = size
        self.register_buffer("places", torch.from_numpy(places.ravel()), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        gathered = samples.index_select(1, self.get_buffer("places"))
        return gathered.reshape(-1, self.n_frames, self.size)


class Power(nn.Module):
    """(n, frames, size) → (n, frames, bins): the power spectra of frames, tapered and padded to ``n_fft``."""

    def __init__(self, taper: Float32, n_fft: int) -> None:
        super().__init__()
        size = len(taper)
        angles = 2 * math.pi * np.arange(size)[:, None] * np.arange(n_fft // 2 + 1) / n_fft
        tapered = np.asarray(taper, np.float64)[:, None]
        cosines, sines = (
            torch.from_numpy((tapered * f(angles)).astype(np.float32)) for f in (np.cos, np.sin)
        )
        self.register_buffer("cosines", cosines, persistent=False)
        self.register_buffer("sines", sines, persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        real, imaginary = frames @ self.get_buffer("cosines"), frames @ self.get_buffer("sines")
        return real * real + imaginary * imaginary
