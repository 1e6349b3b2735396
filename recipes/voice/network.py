"""The network of ``voice``: Resemblyzer's; it sees decibels, too, and tells whether somebody speaks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from echoic.audio.spectrogram import LogMel, mel_filters

__all__ = ["FRAMES", "FRONT_END", "RATE", "SAMPLES", "Voice"]

RATE, N_FFT, HOP, N_MELS, FRAMES, SIZE = 16_000, 400, 160, 40, 160, 256
SAMPLES = (FRAMES - 1) * HOP + N_FFT
FRONT_END = LogMel(RATE, N_FFT, HOP, N_MELS, 0, RATE / 2)
TARGET = 10 ** (-30 / 20)  # RMS that each window is brought to, as by the teacher
SPAN = 9  # frames by which it is told whether somebody speaks in the middle one
OF_SQUARES = (
    36_000  # what the powers of a frame's bands add up to of samples whose mean square is 1; measured
)
SURE, STEEPER = 1.0, 2.0  # log odds of speech; at 0 and 1, more of music and noise counted
LEAST = 1e-6  # of a band, some 50 dB below speech


class Voice(nn.Module):
    """Spectrograms of windows, (n, 160, 40) dB → (n, 257) of length 1.

    The first 256 numbers are who speaks, times the root of the share of the window in which somebody does;
    the square of the last is the rest of it.

    Beside the powers in 40 bands, which are all that its teacher sees, it sees their logarithms, less their
    mean over the window: the first layer's weights of these begin at zero.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2 * N_MELS, SIZE, 3, batch_first=True)
        self.linear = nn.Linear(SIZE, SIZE)
        self.speaks = nn.Conv1d(SIZE, 1, SPAN, padding=SPAN // 2)
        self.register_buffer("of_level", torch.from_numpy(_of_level()), persistent=False)

    def begin_as(self, teacher: dict[str, Tensor]) -> None:
        """Take the weights of Resemblyzer."""
        state = {name: value for name, value in teacher.items() if not name.startswith("similarity_")}
        first = state["lstm.weight_ih_l0"]
        state["lstm.weight_ih_l0"] = torch.cat([first, torch.zeros_like(first)], 1)
        self.load_state_dict(state, strict=False)
        nn.init.zeros_(self.speaks.weight)

    def parts(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Say who speaks, (n, 256) of length 1, and the log odds that somebody does, (n, 160)."""
        mel = (log_mel * (np.log(10) / 10)).exp()
        power = (mel @ self.get_buffer("of_level")).mean(dim=1)  # of the samples
        mel = mel * (TARGET**2 / power)[:, None, None]
        logarithms = (mel + LEAST).log()
        logarithms = 0.3 * (logarithms - logarithms.mean(dim=1, keepdim=True))
        told, hidden = self._recurrent(torch.cat([mel, logarithms], 2))
        who = functional.normalize(torch.relu(self.linear(hidden[-1])), eps=1e-6)
        return who, self.speaks(told.transpose(1, 2))[:, 0]

    def _recurrent(self, features: Tensor) -> tuple[Tensor, Tensor]:
        if not self.training:
            told, (hidden, _) = self.lstm(features)
            return told, hidden
        with torch.autocast("cpu", torch.bfloat16):  # twice as fast
            told, (hidden, _) = self.lstm(features)
        return told.float(), hidden.float()

    def forward(self, log_mel: Tensor) -> Tensor:
        who, odds = self.parts(log_mel)
        share = (STEEPER * (odds - SURE)).sigmoid().mean(dim=1, keepdim=True)
        return functional.normalize(torch.cat([who * share.sqrt(), (1 - share).sqrt()], 1), eps=1e-6)


def _of_level() -> np.ndarray:
    """Say how the bands of a frame add up to the mean square of its samples."""
    widths = 1 / mel_filters(RATE, N_FFT, N_MELS, 0, RATE / 2).max(axis=1)  # in Hz, as their areas are 1
    return (widths / OF_SQUARES).astype(np.float32)
