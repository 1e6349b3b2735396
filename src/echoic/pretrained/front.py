"""Front ends in torch, as parts of a graph: spectra by matrices of sines, which every runtime multiplies."""

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
    """(n, samples) → (n, bins, frames): the power spectra of frames that overlap.

    Each frame is folded at its middle, which leaves cosines of what is even and sines of what is odd in it;
    of these, the bins of the upper half need the same products as those of the lower. That takes a quarter of
    the multiplications of a product with all sines and cosines. Samples are picked by the row, which is
    quicker than one by one: all frames and their middles begin at rows.

    Parameters
    ----------
    taper : ndarray of float64, shape (size,)
        Each frame is multiplied with it; it begins at 0.
    n_fft, hop : int
        In samples; 4 divides the first.
    before : ndarray of float64, shape (size, size), optional
        Each frame goes through it before it is tapered.
    centred : bool
        Frames lie around their places; what is missing at both ends is the sound mirrored there.
    """

    def __init__(
        self, taper: Float64, n_fft: int, hop: int, *, before: Float64 | None = None, centred: bool = False
    ) -> None:
        super().__init__()
        self.size, self.middle, self.hop = len(taper), len(taper) // 2, hop
        self.centred = self.middle if centred else 0
        self.row = math.gcd(hop if before is None else self.size, self.middle)
        if self.size % 2 or self.row % 2 or n_fft % 4 or abs(taper[0]) > 1e-12:
            raise ValueError(f"frames of {self.size} every {hop} in {n_fft} cannot be folded")
        apart = np.arange(self.middle).reshape(-1, 2).T  # from the middle: what is even, what is odd
        angles = 2 * math.pi * apart[:, :, None] * np.arange(n_fft // 4 + 1) / n_fft
        behind = taper[self.middle - apart]
        behind[0, 0] = 0  # the middle itself counts once
        parts = {
            "ahead": taper[self.middle + apart],
            "behind": behind,
            "cos": np.cos(angles),
            "sin": np.sin(angles),
        }
        for name, values in parts.items():
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)), persistent=False)
        self.before = None if before is None else torch.from_numpy(before.T.astype(np.float32))

    def forward(self, samples: Tensor) -> Tensor:
        x, hop = samples, self.hop
        if self.centred:
            x = F.pad(x[:, None], (self.centred, self.centred), mode="reflect")[:, 0]
        n_frames = (x.shape[1] - self.size) // hop + 1
        if self.before is not None:
            places = hop * torch.arange(n_frames)[:, None] + torch.arange(self.size)
            frames = x.index_select(1, places.flatten()).view(-1, n_frames, self.size)
            x, hop = (frames @ self.before).flatten(1), self.size
        x = x[:, : (n_frames - 1) * hop + self.size]
        # Rows of what follows each place where a row begins, and, running backwards, of what precedes it.
        n_rows = -(-x.shape[1] // self.row)
        x = F.pad(x, (0, n_rows * self.row + 1 - x.shape[1]))
        middles = (self.middle + hop * torch.arange(n_frames)[:, None]) // self.row
        steps = torch.arange(self.middle // self.row)
        ahead = self._picked(x[:, :-1], middles + steps, "ahead")
        behind = self._picked(x.flip(1)[:, :-1], n_rows - middles + steps, "behind")
        (even, more_even), (odd, more_odd) = (
            [
                (one + other if sign > 0 else one - other) @ part
                for one, other, part in zip(ahead, behind, waves, strict=True)
            ]
            for sign, waves in ((1, self.get_buffer("cos")), (-1, self.get_buffer("sin")))
        )
        low = _squares(even + more_even, odd + more_odd)
        high = _squares(even - more_even, odd - more_odd)
        return torch.cat([low, high[:, :, :-1].flip(2)], dim=2).transpose(1, 2)

    def _picked(self, x: Tensor, rows: Tensor, taper: str) -> list[Tensor]:
        """Pick of each frame the samples at even and at odd distances from its middle, tapered."""
        taken = (x[:, parity::2].reshape(-1, x.shape[1] // self.row, self.row // 2) for parity in (0, 1))
        picked = (part.index_select(1, rows.flatten()).flatten(1) for part in taken)
        frames = (part.view(-1, rows.shape[0], self.middle // 2) for part in picked)
        return [part * weights for part, weights in zip(frames, self.get_buffer(taper), strict=True)]


def _squares(real: Tensor, imaginary: Tensor) -> Tensor:
    """Return powers; by products, as a square is written down as a power of two, which is slow."""
    return real * real + imaginary * imaginary
