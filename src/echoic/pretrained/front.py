"""Front ends in torch, as parts of a graph: spectra by a matrix of sines, which every runtime multiplies."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention
from transformers.audio_utils import mel_filter_bank

from echoic.pretrained.checkpoint import silent

__all__ = ["Spectra", "covered", "kaldi", "mean_of", "mel_bank", "sound", "unit"]

Float64 = npt.NDArray[np.float64]


def unit(vectors: Tensor) -> Tensor:
    """Bring vectors, (n, dim), to length 1; a network's output of zeros stays near zero."""
    norm = vectors.pow(2).sum(dim=1, keepdim=True).clamp(min=1e-24).sqrt()
    return vectors / norm


def covered(samples: Tensor) -> Tensor:
    """Count the samples of each window, (n, samples), up to the last that is not zero → (n,) int64.

    What follows it is what a clip shorter than a window is padded with.
    """
    places = torch.arange(1, samples.shape[1] + 1)
    return torch.where(samples != 0, places, 0).amax(dim=1)


def sound(n: Tensor, size: int) -> Tensor:
    """Say which of ``size`` places of each window lie among its first ``n`` → (n, size) bool."""
    return torch.arange(size) < n[:, None]


def mean_of(frames: Tensor, n: Tensor) -> Tensor:
    """Average the first ``n``, (n,), of the frames of each window, (n, frames, dim) → (n, dim)."""
    counts = sound(n, frames.shape[1])[:, :, None]
    return torch.where(counts, frames, 0).sum(dim=1) / n[:, None]


def kaldi(size: int, preemphasis: float) -> Float64:
    """Return what Kaldi does to a frame first, as a matrix: no offset, and less of the sample before."""
    offset = np.eye(size) - 1 / size
    before = np.eye(size, k=-1)
    before[0, 0] = 1
    matrix: Float64 = (np.eye(size) - preemphasis * before) @ offset
    return matrix


def mel_bank(
    n_fft: int, n_mels: int, fmin: float, fmax: float, rate: int, scale: Literal["htk", "kaldi"]
) -> Tensor:
    """Return mel filters of height 1, (bands, bins): those of HTK's scale straight in Hz, Kaldi's in mel."""
    with silent():
        bank = mel_filter_bank(
            n_fft // 2 + 1, n_mels, fmin, fmax, rate, None, scale, triangularize_in_mel_space=scale == "kaldi"
        )
    return torch.from_numpy(bank.T.astype("float32"))


class Spectra(nn.Module):
    """(n, samples) → (n, bins, frames): the power spectra of frames that overlap, by a convolution.

    Parameters
    ----------
    taper : ndarray of float64, shape (size,)
        Each frame is multiplied with it.
    n_fft, hop : int
        In samples.
    before : ndarray of float64, shape (size, size), optional
        Each frame goes through it before it is tapered.
    centred : bool
        Frames lie around their places; what is missing at both ends is the sound mirrored there.
    """

    def __init__(
        self, taper: Float64, n_fft: int, hop: int, *, before: Float64 | None = None, centred: bool = False
    ) -> None:
        super().__init__()
        self.hop = hop
        self.centred = len(taper) // 2 if centred else 0
        angles = 2 * math.pi * np.arange(n_fft // 2 + 1)[:, None] * np.arange(len(taper)) / n_fft
        waves = np.concatenate([np.cos(angles), np.sin(angles)]) * taper
        waves = waves if before is None else waves @ before
        self.register_buffer("waves", torch.from_numpy(waves.astype(np.float32))[:, None], persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        x = samples[:, None]
        if self.centred:
            x = F.pad(x, (self.centred, self.centred), mode="reflect")
        real, imaginary = F.conv1d(x, self.get_buffer("waves"), stride=self.hop).chunk(2, dim=1)
        return real * real + imaginary * imaginary
