"""``spoken``: a small convolutional network from sound to what is said, 12.5 times a second."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from echoic.audio.spectrogram import mel_filters

__all__ = ["DIM", "FLOOR", "RATE", "STEP", "Spoken"]

RATE, STEP = 16_000, 1_280  # Hz; samples of a frame
DIM = 128
_FFT, _HOP, _BANDS = 400, 160, 48
FLOOR = 1e-7  # power below which all is silence
_WIDTH = 256


class Block(nn.Module):
    """Looks at a frame, the one before it and the one behind it."""

    def __init__(self, width: int, apart: int) -> None:
        super().__init__()
        self.near = nn.Conv1d(width, width, 3, padding=apart, dilation=apart, bias=False)
        self.even = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        return x + functional.relu(self.even(self.near(x)))


class Spoken(nn.Module):
    """Sound, (n, samples), at 16 kHz → (n, frames, DIM), of length 1, a frame each .08 s.

    The last number is how little a frame counts: 1 where nothing is said.
    """

    def __init__(self) -> None:
        super().__init__()
        time = np.arange(_FFT)
        waves = (
            np.exp(-2j * np.pi * np.arange(_FFT // 2 + 1)[:, None] * time / _FFT) * np.hanning(_FFT + 1)[:-1]
        )
        bases = np.concatenate([waves.real, waves.imag])[:, None].astype(np.float32) / 100
        mel = mel_filters(RATE, _FFT, _BANDS, 60.0, 7_600.0, "slaney").astype(np.float32)
        self.register_buffer("bases", torch.from_numpy(bases))
        self.register_buffer("mel", torch.from_numpy(mel / mel.sum(axis=1, keepdims=True)))
        self.register_buffer("mean", torch.zeros(_BANDS, 1))
        self.register_buffer("deviation", torch.ones(_BANDS, 1))
        first = nn.Conv1d(_BANDS, _WIDTH, 2 * STEP // _HOP, stride=STEP // _HOP, bias=False)
        self.layers = nn.Sequential(
            nn.ConstantPad1d((4, 4), 0.0),
            first,
            nn.BatchNorm1d(_WIDTH),
            nn.ReLU(),
            *(Block(_WIDTH, apart) for apart in (1, 1, 2, 1)),
        )
        self.what, self.how_much = nn.Conv1d(_WIDTH, DIM - 1, 1), nn.Conv1d(_WIDTH, 1, 1)

    def spectrum(self, sound: Tensor) -> Tensor:
        """Give the logarithm of the power in each band, (n, bands, 8 a frame)."""
        beside = (_FFT - _HOP) // 2
        waves = functional.conv1d(functional.pad(sound[:, None], (beside, beside)), self.bases, stride=_HOP)
        power = waves.square()
        half = _FFT // 2 + 1
        return torch.log(self.mel @ (power[:, :half] + power[:, half:]) + FLOOR)

    def parts(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        """Give what is said, of length 1, and the logit of how much it counts, of a spectrum."""
        x = self.layers((spectrum - self.mean) / self.deviation)
        return functional.normalize(self.what(x), dim=1).transpose(1, 2), self.how_much(x).transpose(1, 2)

    def forward(self, sound: Tensor) -> Tensor:
        what, logit = self.parts(self.spectrum(sound))
        much = logit.sigmoid()
        return torch.cat([what * much, (1 - much * much).clamp(min=0).sqrt()], 2)
