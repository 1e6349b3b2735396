"""``panns``: CNN14, a convolutional network of 80 million parameters, taught the 527 kinds of AudioSet.

A window's vector is what its last layer before the classes gives. Clips shorter than a window are padded with
silence, as in its training. The architecture is written here; of its publisher's code none is run.

References
----------
Kong et al., "PANNs: Large-scale pretrained audio neural networks for audio pattern recognition", IEEE/ACM
TASLP 2020.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from echoic.audio.spectrogram import mel_filters
from echoic.encoders.families import Family
from echoic.errors import WeightsError
from echoic.nn.graph import first_line
from echoic.pretrained.built import Built
from echoic.pretrained.front import Spectra, unit

__all__ = ["build"]

_RATE, _N_FFT, _HOP, _N_MELS, _FMIN, _FMAX = 32_000, 1024, 320, 64, 50, 14_000
_WINDOW = 10.0  # s, as in training
_WIDTHS = (64, 128, 256, 512, 1024, 2048)
# Of its front end, which is computed here, and of its classes.
_OTHERS = ("spectrogram_extractor.", "logmel_extractor.", "fc_audioset.")


class _Block(nn.Module):
    """Two 3 × 3 convolutions."""

    def __init__(self, n_in: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Cnn14(nn.Module):
    """(n, samples) → (n, 2048) of length 1."""

    def __init__(self, widths: Sequence[int] = _WIDTHS) -> None:
        super().__init__()
        self.n_blocks = len(widths)
        self.bn0 = nn.BatchNorm2d(_N_MELS)
        for number, (n_in, width) in enumerate(zip((1, *widths), widths, strict=False), 1):
            self.add_module(f"conv_block{number}", _Block(n_in, width))
        self.fc1 = nn.Linear(widths[-1], widths[-1])
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)
        self.power = Spectra(taper, _N_FFT, _HOP, centred=True)
        bank = torch.from_numpy(mel_filters(_RATE, _N_FFT, _N_MELS, _FMIN, _FMAX))
        self.register_buffer("bank", bank, persistent=False)

    def seen(self, samples: Tensor) -> Tensor:
        """Return the spectrogram, (n, bands, frames), in dB."""
        mel: Tensor = self.get_buffer("bank") @ self.power(samples)
        return 10 * mel.clamp(min=1e-10).log10()

    def forward(self, samples: Tensor) -> Tensor:
        x = self.bn0(self.seen(samples)[..., None]).permute(0, 3, 2, 1)  # bands are what it normalises
        for number in range(1, self.n_blocks + 1):
            x = self.get_submodule(f"conv_block{number}")(x)
            if number < self.n_blocks:
                x = F.avg_pool2d(x, 2)
        x = x.mean(dim=3)
        return unit(F.relu(self.fc1(x.amax(dim=2) + x.mean(dim=2))))


def build(paths: Sequence[Path], family: Family) -> Built:
    """Read the weights, which are a checkpoint of torch.

    Raises
    ------
    WeightsError
        If they are not those of this network.
    """
    try:
        state = torch.load(paths[0], map_location="cpu", weights_only=True)["model"]
        weights = {name: value for name, value in state.items() if not name.startswith(_OTHERS)}
        widths = [len(weights[f"conv_block{number}.conv1.weight"]) for number in range(1, len(_WIDTHS) + 1)]
        network = Cnn14(widths)
        network.load_state_dict(weights)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, pickle.UnpicklingError) as error:
        raise WeightsError(
            f"the weights of {family.name} are not those of its network ({first_line(error)})"
        ) from error
    return Built(network.eval(), _RATE, _WINDOW, _WINDOW / 2)
