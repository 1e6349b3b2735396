"""``resemblyzer``: who speaks; three recurrent layers on mel spectrograms, trained on thousands of voices.

The wheel brings its weights under Apache-2.0; none of its code is run. Each window is what its publisher's
code calls a partial utterance, brought to −30 dBFS by itself where it is quieter.

References
----------
Wan et al., "Generalized end-to-end loss for speaker verification", ICASSP 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from echoic.audio.spectrogram import mel_filters
from echoic.encoders.families import Family
from echoic.pretrained.built import Built
from echoic.pretrained.checkpoint import expecting
from echoic.pretrained.front import Spectra, unit

__all__ = ["build"]

_RATE, _N_FFT, _HOP, _N_MELS, _FRAMES, _SIZE = 16_000, 400, 160, 40, 160, 256
_SAMPLES, _EVERY = (_FRAMES - 1) * _HOP + _N_FFT, 0.8  # of a window, and seconds from one to the next
_TARGET = 10 ** (-30 / 20)  # RMS to which quieter speech is brought


class Resemblyzer(nn.Module):
    """(n, samples) → (n, 256) of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(_N_MELS, _SIZE, 3, batch_first=True)
        self.linear = nn.Linear(_SIZE, _SIZE)
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)
        self.spectra = Spectra(taper, _N_FFT, _HOP)
        bank = mel_filters(_RATE, _N_FFT, _N_MELS, 0, _RATE / 2)
        self.register_buffer("bank", torch.from_numpy(bank), persistent=False)

    def of_mel(self, mel: Tensor) -> Tensor:
        """Return the vectors of mel spectrograms, (n, 160, 40)."""
        _, (hidden, _) = self.lstm(mel)
        return unit(torch.relu(self.linear(hidden[-1])))

    def forward(self, samples: Tensor) -> Tensor:
        rms = samples.pow(2).mean(dim=1, keepdim=True).clamp(min=1e-12).sqrt()
        louder = samples * (_TARGET / rms).clamp(min=1)
        return self.of_mel((self.get_buffer("bank") @ self.spectra(louder)).transpose(1, 2))


def build(paths: Sequence[Path], family: Family) -> Built:
    """Read the weights, which are a checkpoint of torch.

    Raises
    ------
    WeightsError
        If they are not those of this network.
    """
    network = Resemblyzer()
    with expecting(family):
        state = torch.load(paths[0], map_location="cpu", weights_only=True)["model_state"]
        # What its training alone needed.
        network.load_state_dict({n: v for n, v in state.items() if not n.startswith("similarity_")})
    return Built(network.eval(), _RATE, _SAMPLES / _RATE, _EVERY)
