"""``ced``, ``ced-tiny``: transformers on patches of a spectrogram, taught AudioSet's kinds by an ensemble.

A window's vector is what the classes are told from, the mean of all patches. Clips shorter than a window are
padded with silence. The architecture is written here; of the code that lies beside the weights none is run.

References
----------
Dinkel et al., "CED: Consistent ensemble distillation for audio tagging", ICASSP 2024.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from echoic.encoders.families import Family
from echoic.pretrained.built import Built
from echoic.pretrained.checkpoint import expecting
from echoic.pretrained.front import Spectra, mel_bank, unit

__all__ = ["DEFAULTS", "Ced", "build"]

_RATE, _HOP = 16_000, 160
_RANGE = 120.0  # dB below the loudest of a window, where its levels end
_WINDOW = 10.0  # s, as in training
_SAME = {"hop_size": _HOP, "pooling": "mean", "center": True, "patch_stride": 16, "patch_size": 16}
# What a configuration need not say.
DEFAULTS = {
    "n_mels": 64,
    "n_fft": 512,
    "win_size": 512,
    "f_min": 0,
    "f_max": 8_000,
    "target_length": 1012,
    "embed_dim": 768,
    "depth": 12,
    "num_heads": 12,
    "mlp_ratio": 4.0,
} | _SAME
_CLASSES = "outputlayer."


class _Attention(nn.Module):
    """Between all patches."""

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(2, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        weights = torch.softmax(query @ key.transpose(2, 3) * query.shape[-1] ** -0.5, dim=-1)
        heard: Tensor = self.proj((weights @ value).transpose(1, 2).flatten(2))
        return heard


class _Dense(nn.Module):
    """Two layers, for each patch alone."""

    def __init__(self, dim: int, within: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, within), nn.Linear(within, dim)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return made


class _Layer(nn.Module):
    def __init__(self, dim: int, n_heads: int, wider: float) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(dim, eps=1e-6), _Attention(dim, n_heads)
        self.norm2, self.mlp = nn.LayerNorm(dim, eps=1e-6), _Dense(dim, int(dim * wider))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        made: Tensor = x + self.mlp(self.norm2(x))
        return made


class _Patches(nn.Module):
    """Squares of the spectrogram, which do not overlap."""

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, dim, size, size)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.proj(x)
        return made


class Ced(nn.Module):
    """(n, samples) → (n, dim) of length 1.

    Parameters
    ----------
    config : dict
        As it lies beside the weights.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        n_mels, n_fft, dim, patch = (config[name] for name in ("n_mels", "n_fft", "embed_dim", "patch_size"))
        self.longest = config["target_length"]
        self.init_bn = nn.BatchNorm2d(n_mels)
        self.patch_embed = _Patches(dim, patch)
        self.time_pos_embed = nn.Parameter(torch.zeros(1, dim, 1, self.longest // patch))
        self.freq_pos_embed = nn.Parameter(torch.zeros(1, dim, n_mels // patch, 1))
        layers = (_Layer(dim, config["num_heads"], config["mlp_ratio"]) for _ in range(config["depth"]))
        self.blocks = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        size = config["win_size"]
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        self.power = Spectra(taper, n_fft, _HOP, centred=True)
        bank = mel_bank(n_fft, n_mels, config["f_min"], config["f_max"] or _RATE / 2, _RATE, "htk")
        self.register_buffer("bank", bank, persistent=False)

    def seen(self, samples: Tensor) -> Tensor:
        """Return the spectrogram, (n, bands, frames), in dB."""
        levels = 10 * (self.get_buffer("bank") @ self.power(samples)).clamp(min=1e-10).log10()
        return torch.maximum(levels, levels.amax(dim=(1, 2), keepdim=True) - _RANGE)

    def forward(self, samples: Tensor) -> Tensor:
        x = self.init_bn(self.seen(samples)[..., None])[:, None, :, :, 0]  # bands are what it normalises
        x = self.patch_embed(x)
        x = x + self.time_pos_embed[..., : x.shape[3]] + self.freq_pos_embed
        x = self.norm(self.blocks(x.flatten(2).transpose(1, 2)))
        return unit(x.mean(dim=1))


def build(paths: Sequence[Path], family: Family) -> Built:
    """Read a checkpoint.

    Raises
    ------
    WeightsError
        If it is another's.
    """
    with expecting(family):
        config = DEFAULTS | json.loads(paths[0].read_text("utf-8"))
        for name, due in _SAME.items():
            if config[name] != due:
                raise ValueError(f"{name} is {config[name]!r}, not {due!r}")
        network = Ced(config)
        weights = {name.removeprefix("encoder."): value for name, value in load_file(paths[1]).items()}
        network.load_state_dict({n: value for n, value in weights.items() if not n.startswith(_CLASSES)})
    return Built(network.eval(), _RATE, _WINDOW, _WINDOW / 2)
