"""``panns``, ``panns-mobilenetv1``, ``panns-mobilenetv2``: CNNs taught the 527 kinds of sound of AudioSet.

CNN14 has 80 million parameters, the others, which are for small machines, 4.8 and 4.1 million. A window's
vector is what the last layer before the classes gives. Clips shorter than a window are padded with silence,
as in their training. The architectures are written here; of their publisher's code none is run.

References
----------
Kong et al., "PANNs: Large-scale pretrained audio neural networks for audio pattern recognition", IEEE/ACM
TASLP 2020.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from echoic.audio.spectrogram import mel_filters
from echoic.encoders.families import Family
from echoic.pretrained.built import Built
from echoic.pretrained.checkpoint import expecting
from echoic.pretrained.front import Spectra, unit

__all__ = ["Cnn14", "MobileNetV1", "MobileNetV2", "build"]

_RATE, _N_FFT, _HOP, _N_MELS, _FMIN, _FMAX = 32_000, 1024, 320, 64, 50, 14_000
_WINDOW = 10.0  # s, as in training
_WIDTHS = (64, 128, 256, 512, 1024, 2048)
_V1 = (32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)  # widths of MobileNetV1
_V1_HALVED = (2, 4, 6, 12)  # its layers, after the first, that make the spectrogram half as large
# Of MobileNetV2: how much wider a block is within, its width, how many there are, how much smaller the first.
_V2 = (
    *((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)),
    *((6, 96, 3, 2), (6, 160, 3, 1), (6, 320, 1, 1)),
)
_V2_FIRST, _V2_LAST, _V2_DIM = 32, 1280, 1024
# Of its front end, which is computed here, and of its classes.
_OTHERS = ("spectrogram_extractor.", "logmel_extractor.", "fc_audioset.")


class _Panns(nn.Module, ABC):
    """(n, samples) → (n, dim) of length 1; what lies between spectrogram and last layer differs."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(_N_MELS)
        self.fc1 = nn.Linear(width, dim)
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_N_FFT) / _N_FFT)
        self.power = Spectra(taper, _N_FFT, _HOP, centred=True)
        bank = torch.from_numpy(mel_filters(_RATE, _N_FFT, _N_MELS, _FMIN, _FMAX))
        self.register_buffer("bank", bank, persistent=False)

    def seen(self, samples: Tensor) -> Tensor:
        """Return the spectrogram, (n, bands, frames), in dB."""
        mel: Tensor = self.get_buffer("bank") @ self.power(samples)
        return 10 * mel.clamp(min=1e-10).log10()

    @abstractmethod
    def mapped(self, x: Tensor) -> Tensor:
        """Return what the convolutions make of spectrograms, (n, 1, frames, bands)."""

    def forward(self, samples: Tensor) -> Tensor:
        x = self.bn0(self.seen(samples)[..., None]).permute(0, 3, 2, 1)  # bands are what it normalises
        x = self.mapped(x).mean(dim=3)
        return unit(F.relu(self.fc1(x.amax(dim=2) + x.mean(dim=2))))


class _Block(nn.Module):
    """Two 3 × 3 convolutions."""

    def __init__(self, n_in: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Cnn14(_Panns):
    """(n, samples) → (n, 2048) of length 1."""

    def __init__(self, widths: Sequence[int] = _WIDTHS) -> None:
        super().__init__(widths[-1], widths[-1])
        self.n_blocks = len(widths)
        for number, (n_in, width) in enumerate(pairwise((1, *widths)), 1):
            self.add_module(f"conv_block{number}", _Block(n_in, width))

    def mapped(self, x: Tensor) -> Tensor:
        for number in range(1, self.n_blocks + 1):
            x = self.get_submodule(f"conv_block{number}")(x)
            if number < self.n_blocks:
                x = F.avg_pool2d(x, 2)
        return x

    @classmethod
    def like(cls, weights: Mapping[str, Tensor]) -> Cnn14:
        """Make a network as wide as the one that weights are of."""
        blocks = (f"conv_block{number}" for number in range(1, len(_WIDTHS) + 1))
        return cls([len(weights[f"{block}.conv1.weight"]) for block in blocks])


def _norm_of(n_in: int, width: int, kernel: int, smaller: int = 1, groups: int = 1) -> list[nn.Module]:
    """Make a convolution, what makes its maps smaller, and their norm; smaller by means, not by strides."""
    conv = nn.Conv2d(n_in, width, kernel, padding=kernel // 2, groups=groups, bias=False)
    return [conv, *([nn.AvgPool2d(smaller)] if kernel > 1 else []), nn.BatchNorm2d(width)]


class MobileNetV1(_Panns):
    """(n, samples) → (n, 1024) of length 1; ``scale`` makes it narrower."""

    def __init__(self, scale: float = 1.0) -> None:
        widths = [round(width * scale) for width in _V1]
        super().__init__(widths[-1], widths[-1])
        layers = [nn.Sequential(*_norm_of(1, widths[0], 3, 2), nn.ReLU())]
        for number, (n_in, width) in enumerate(pairwise(widths), 1):
            deep = [*_norm_of(n_in, n_in, 3, 2 if number in _V1_HALVED else 1, n_in), nn.ReLU()]
            layers.append(nn.Sequential(*deep, *_norm_of(n_in, width, 1), nn.ReLU()))
        self.features = nn.Sequential(*layers)

    def mapped(self, x: Tensor) -> Tensor:
        maps: Tensor = self.features(x)
        return maps

    @classmethod
    def like(cls, weights: Mapping[str, Tensor]) -> MobileNetV1:
        """Make a network as wide as the one that weights are of."""
        return cls(len(weights["features.0.0.weight"]) / _V1[0])


class _Inverted(nn.Module):
    """Wider within than at its ends, past which goes what comes in where both are as large."""

    def __init__(self, n_in: int, width: int, smaller: int, wider: int) -> None:
        super().__init__()
        within = n_in * wider
        widening = [] if wider == 1 else [*_norm_of(n_in, within, 1), nn.ReLU6()]
        deep = [*_norm_of(within, within, 3, smaller, within), nn.ReLU6()]
        self.conv = nn.Sequential(*widening, *deep, *_norm_of(within, width, 1))
        self.goes_past = smaller == 1 and n_in == width

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.conv(x)
        return x + made if self.goes_past else made


class MobileNetV2(_Panns):
    """(n, samples) → (n, 1024) of length 1; ``scale`` makes all but its last layers narrower."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__(_V2_LAST, _V2_DIM)
        n_in = round(_V2_FIRST * scale)
        layers: list[nn.Module] = [nn.Sequential(*_norm_of(1, n_in, 3, 2), nn.ReLU6())]
        for wider, full, n_blocks, smaller in _V2:
            width = round(full * scale)
            for block in range(n_blocks):
                layers.append(_Inverted(n_in, width, smaller if block == 0 else 1, wider))
                n_in = width
        layers.append(nn.Sequential(*_norm_of(n_in, _V2_LAST, 1), nn.ReLU6()))
        self.features = nn.Sequential(*layers)

    def mapped(self, x: Tensor) -> Tensor:
        maps: Tensor = self.features(x)
        return maps

    @classmethod
    def like(cls, weights: Mapping[str, Tensor]) -> MobileNetV2:
        """Make a network as wide as the one that weights are of."""
        return cls(len(weights["features.0.0.weight"]) / _V2_FIRST)


_KINDS: dict[str, type[Cnn14 | MobileNetV1 | MobileNetV2]] = {
    "panns": Cnn14,
    "panns-mobilenetv1": MobileNetV1,
    "panns-mobilenetv2": MobileNetV2,
}


def build(paths: Sequence[Path], family: Family) -> Built:
    """Read the weights, which are a checkpoint of torch.

    Raises
    ------
    WeightsError
        If they are not those of this network.
    """
    with expecting(family):
        state = torch.load(paths[0], map_location="cpu", weights_only=True)["model"]
        weights = {name: value for name, value in state.items() if not name.startswith(_OTHERS)}
        network = _KINDS[family.name].like(weights)
        network.load_state_dict(weights)
    return Built(network.eval(), _RATE, _WINDOW, _WINDOW / 2)
