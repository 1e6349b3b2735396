"""``mn04``, ``mn10``, ``dymn10``, ``dymn20``: MobileNets taught the 527 kinds of AudioSet by transformers.

The number tells how wide a network is: mn10 is MobileNetV3 itself. Those with ``dy`` are dynamic:
convolutions and activations are mixed anew for each window, of several that they have. A window's vector is
what the classes are told from, the mean of the last maps. Clips shorter than a window are padded with
silence, as in their training. The architectures are written here; of their publisher's code none is run.

References
----------
Schmid, Koutini and Widmer, "Efficient large-scale audio tagging via transformer-to-CNN knowledge
distillation", ICASSP 2023, and "Dynamic convolutional neural networks as efficient pre-trained audio models",
IEEE/ACM TASLP 2024.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from echoic.encoders.families import Family
from echoic.pretrained.built import Built
from echoic.pretrained.checkpoint import expecting
from echoic.pretrained.front import Spectra, mel_bank, unit

__all__ = ["Dymn", "Mn", "build"]

_RATE, _SIZE, _N_FFT, _HOP, _N_MELS, _FMAX = 32_000, 800, 1024, 320, 128, 15_000
_PREEMPHASIS, _FLOOR = 0.97, 1e-5
_MEAN, _SPREAD = -4.5, 5.0  # of its levels
_WINDOW = 10.0  # s, as in training
_FIRST = 16  # channels before the blocks, at width 1
_DIM = 6  # times as many numbers has a vector as the last block has channels
_norm = partial(nn.BatchNorm2d, eps=0.001)


class _Shape(NamedTuple):
    """A block at width 1: kernel, channels within and after it, stride, whether it squeezes, activation."""

    kernel: int
    within: int
    width: int
    stride: int
    squeezes: bool
    activation: type[nn.Module]


_BLOCKS = (
    _Shape(3, 16, 16, 1, False, nn.ReLU),
    _Shape(3, 64, 24, 2, False, nn.ReLU),
    _Shape(3, 72, 24, 1, False, nn.ReLU),
    _Shape(5, 72, 40, 2, True, nn.ReLU),
    _Shape(5, 120, 40, 1, True, nn.ReLU),
    _Shape(5, 120, 40, 1, True, nn.ReLU),
    _Shape(3, 240, 80, 2, False, nn.Hardswish),
    _Shape(3, 200, 80, 1, False, nn.Hardswish),
    _Shape(3, 184, 80, 1, False, nn.Hardswish),
    _Shape(3, 184, 80, 1, False, nn.Hardswish),
    _Shape(3, 480, 112, 1, True, nn.Hardswish),
    _Shape(3, 672, 112, 1, True, nn.Hardswish),
    _Shape(5, 672, 160, 2, True, nn.Hardswish),
    _Shape(5, 960, 160, 1, True, nn.Hardswish),
    _Shape(5, 960, 160, 1, True, nn.Hardswish),
)


def _eights(n: float) -> int:
    """Round to a number that 8 divides, and by a tenth less at most."""
    rounded = max(8, int(n + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * n else rounded + 8


def _conv(
    n_in: int, width: int, kernel: int, stride: int, groups: int, activation: type[nn.Module] | None
) -> nn.Sequential:
    conv = nn.Conv2d(n_in, width, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, _norm(width), *([] if activation is None else [activation()]))


class _EfficientAt(nn.Module, ABC):
    """(n, samples) → (n, dim) of length 1; what lies between spectrogram and mean differs."""

    def __init__(self) -> None:
        super().__init__()
        self.power = Spectra(np.hanning(_SIZE), _N_FFT, _HOP, centred=True)
        bank = mel_bank(_N_FFT, _N_MELS, 0, _FMAX, _RATE, "kaldi")
        self.register_buffer("bank", bank, persistent=False)

    def seen(self, samples: Tensor) -> Tensor:
        """Return the spectrogram, (n, bands, frames)."""
        mel = self.get_buffer("bank") @ self.power(samples[:, 1:] - _PREEMPHASIS * samples[:, :-1])
        levels: Tensor = ((mel + _FLOOR).log() - _MEAN) / _SPREAD
        return levels

    @abstractmethod
    def mapped(self, x: Tensor) -> Tensor:
        """Return what the convolutions make of spectrograms, (n, 1, bands, frames)."""

    def forward(self, samples: Tensor) -> Tensor:
        return unit(self.mapped(self.seen(samples)[:, None]).mean(dim=(2, 3)))


class _Squeeze(nn.Module):
    """Weighs channels by the mean of each."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(n, _eights(n // 4)), nn.Linear(_eights(n // 4), n)

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean(dim=(2, 3))))))
        return x * weights[:, :, None, None]


class _Squeezes(nn.Module):
    """One such; the publisher's code has a list of them."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList([_Squeeze(n)])

    def forward(self, x: Tensor) -> Tensor:
        weighed: Tensor = self.conc_se_layers[0](x)
        return weighed


class _Inverted(nn.Module):
    """Wider within than at its ends, past which goes what comes in where both are as large."""

    def __init__(self, n_in: int, within: int, width: int, shape: _Shape) -> None:
        super().__init__()
        widening = [] if within == n_in else [_conv(n_in, within, 1, 1, 1, shape.activation)]
        deep = _conv(within, within, shape.kernel, shape.stride, within, shape.activation)
        squeeze = [_Squeezes(within)] if shape.squeezes else []
        self.block = nn.Sequential(*widening, deep, *squeeze, _conv(within, width, 1, 1, 1, None))
        self.goes_past = shape.stride == 1 and n_in == width

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.block(x)
        return x + made if self.goes_past else made


class Mn(_EfficientAt):
    """(n, samples) → (n, 960 × scale) of length 1."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        n_in = _eights(_FIRST * scale)
        layers: list[nn.Module] = [_conv(1, n_in, 3, 2, 1, nn.Hardswish)]
        for shape in _BLOCKS:
            within, width = _eights(shape.within * scale), _eights(shape.width * scale)
            layers.append(_Inverted(n_in, within, width, shape))
            n_in = width
        layers.append(_conv(n_in, _DIM * n_in, 1, 1, 1, nn.Hardswish))
        self.features = nn.Sequential(*layers)

    def mapped(self, x: Tensor) -> Tensor:
        maps: Tensor = self.features(x)
        return maps

    @classmethod
    def like(cls, weights: Mapping[str, Tensor]) -> Mn:
        """Make a network as wide as the one that weights are of."""
        return cls(weights[f"features.{len(_BLOCKS) + 1}.0.weight"].shape[1] / _BLOCKS[-1].width)


_KERNELS = 4  # of which each dynamic convolution is mixed
_LINES = 2  # the greatest of which a dynamic activation gives


class _Mixed(nn.Module):
    """A convolution mixed of four for each window, by what is told of it."""

    def __init__(self, n_in: int, width: int, n_told: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride, self.width = kernel, stride, width
        self.residuals = nn.Sequential(nn.Linear(n_told, _KERNELS))
        n_of_each = width * (n_in if kernel == 1 else 1) * kernel * kernel  # by channel where it has a kernel
        self.weight = nn.Parameter(torch.randn(1, 1, _KERNELS, n_of_each) / n_in**0.5)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        share = torch.softmax(self.residuals(told), dim=1)
        if self.kernel == 1:
            n, n_in, height, length = x.shape
            mixed = (share @ self.weight[0, 0]).view(n, self.width, n_in)
            return (mixed @ x.flatten(2)).view(n, self.width, height, length)
        # To mix the maps of all four is the same as to mix the four, and takes any number of windows.
        kernels = self.weight.view(_KERNELS, self.width, self.kernel, self.kernel).transpose(0, 1)
        maps = F.conv2d(
            x,
            kernels.flatten(0, 1)[:, None],
            stride=self.stride,
            padding=self.kernel // 2,
            groups=self.width,
        )
        n, _, height, length = maps.shape
        of_each = maps.view(n, self.width, _KERNELS, height, length)
        return (of_each * share[:, None, :, None, None]).sum(dim=2)


class _Activation(nn.Module):
    """The greater of two lines for each channel and window, by what is told of it."""

    def __init__(self, n: int, n_told: int) -> None:
        super().__init__()
        self.coef_net = nn.Sequential(nn.Linear(n_told, 2 * _LINES * n))
        self.register_buffer("lambdas", torch.tensor([1.0] * _LINES + [0.5] * _LINES))
        self.register_buffer("init_v", torch.tensor([1.0] + [0.0] * (2 * _LINES - 1)))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        theta = (2 * torch.sigmoid(self.coef_net(told)) - 1).view(-1, x.shape[1], 2 * _LINES)
        lines = (theta * self.get_buffer("lambdas") + self.get_buffer("init_v"))[..., None, None]
        return torch.maximum(x * lines[:, :, 0] + lines[:, :, 2], x * lines[:, :, 1] + lines[:, :, 3])


class _Context(nn.Module):
    """Tells of maps what their convolutions are mixed by, and how loud each band and each moment is to be."""

    def __init__(self, n_told: int, n_in: int, within: int, stride: int) -> None:
        super().__init__()
        self.joint_conv, self.joint_norm = nn.Conv2d(n_in, n_told, 1, bias=False), _norm(n_told)
        self.conv_f, self.conv_t = nn.Conv2d(n_told, within, 1), nn.Conv2d(n_told, within, 1)
        self.pool = nn.Identity() if stride == 1 else nn.AvgPool2d((3, 1), (stride, 1), (1, 0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        both = torch.cat([x.mean(dim=3, keepdim=True), x.mean(dim=2)[..., None]], dim=2)
        both = F.hardswish(self.joint_norm(self.joint_conv(both)))
        bands, moments = both[:, :, : x.shape[2]], both[:, :, x.shape[2] :]
        by_band, by_moment = self.conv_f(self.pool(bands)), self.conv_t(self.pool(moments))
        return both.mean(dim=(2, 3)), torch.sigmoid(by_band), torch.sigmoid(by_moment).transpose(2, 3)


class _Dynamic(nn.Module):
    """An inverted block all of whose convolutions are mixed."""

    def __init__(self, n_in: int, within: int, width: int, shape: _Shape, scale: float) -> None:
        super().__init__()
        n_told = min(max(_eights(within // 4), _eights(32 * scale)), _eights(128 * scale))
        self.widens = within != n_in
        if self.widens:
            self.exp_conv, self.exp_norm = _Mixed(n_in, within, n_told), _norm(within)
            self.activation = shape.activation()
        self.depth_conv = _Mixed(within, within, n_told, shape.kernel, shape.stride)
        self.depth_norm = _norm(within)
        self.depth_act = _Activation(within, n_told)
        self.proj_conv, self.proj_norm = _Mixed(within, width, n_told), _norm(width)
        self.context_gen = _Context(n_told, n_in, within, shape.stride)
        self.goes_past = shape.stride == 1 and n_in == width

    def forward(self, x: Tensor) -> Tensor:
        told, by_band, by_moment = self.context_gen(x)
        wide = self.activation(self.exp_norm(self.exp_conv(x, told))) if self.widens else x
        deep = self.depth_act(self.depth_norm(self.depth_conv(wide, told)), told)
        made: Tensor = self.proj_norm(self.proj_conv(deep * by_band * by_moment, told))
        return x + made if self.goes_past else made


class Dymn(_EfficientAt):
    """(n, samples) → (n, 960 × scale) of length 1."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        n_in = _eights(_FIRST * scale)
        self.in_c = _conv(1, n_in, 3, 2, 1, nn.Hardswish)
        self.layers = nn.ModuleList()
        for shape in _BLOCKS:
            within, width = _eights(shape.within * scale), _eights(shape.width * scale)
            self.layers.append(_Dynamic(n_in, within, width, shape, scale))
            n_in = width
        self.out_c = _conv(n_in, _DIM * n_in, 1, 1, 1, nn.Hardswish)

    def mapped(self, x: Tensor) -> Tensor:
        x = self.in_c(x)
        for layer in self.layers:
            x = layer(x)
        maps: Tensor = self.out_c(x)
        return maps

    @classmethod
    def like(cls, weights: Mapping[str, Tensor]) -> Dymn:
        """Make a network as wide as the one that weights are of."""
        return cls(weights["out_c.0.weight"].shape[1] / _BLOCKS[-1].width)


def build(paths: Sequence[Path], family: Family) -> Built:
    """Read the weights, which are a checkpoint of torch.

    Raises
    ------
    WeightsError
        If they are not those of such a network.
    """
    with expecting(family):
        state = torch.load(paths[0], map_location="cpu", weights_only=True)
        weights = {name: value for name, value in state.items() if not name.startswith("classifier.")}
        kind = Dymn if family.name.startswith("dymn") else Mn
        network = kind.like(weights)
        network.load_state_dict(weights)
    return Built(network.eval(), _RATE, _WINDOW, _WINDOW / 2)
