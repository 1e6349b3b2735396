"""``aisfx``: a CNN of 4.7 million parameters on log-mel spectrograms, trained on libraries of sound effects.

The wheel brings its weights under CC-BY-4.0; none of its code is run. What it hears of a window is what its
publisher's code makes of one block of 100 frames.

References
----------
Ma and Lerch, "Representation learning for the automatic indexing of sound effects libraries", ISMIR 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from echoic.audio.spectrogram import mel_filters
from echoic.encoders.families import Family
from echoic.pretrained.built import Built
from echoic.pretrained.checkpoint import expecting
from echoic.pretrained.front import Spectra, unit

__all__ = ["Aisfx", "build", "load_network"]

_RATE, _N_FFT, _HOP, _N_MELS, _FRAMES = 44_100, 2048, 1024, 96, 100
_LOUDEST = 9.457798957824707  # of the compressed power, in its training data
_SAMPLES = (_FRAMES - 1) * _HOP + _N_FFT
_PREFIX = "embedding_net."


class _Block(nn.Module):
    """Two 3 × 3 convolutions."""

    def __init__(self, n_in: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Aisfx(nn.Module):
    """(n, samples) → (n, 512) of length 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_block1, self.conv_block2 = _Block(1, 64), _Block(64, 128)
        self.conv_block3, self.conv_block4 = _Block(128, 256), _Block(256, 512)
        self.spectra = Spectra(np.hanning(_N_FFT), _N_FFT, _HOP)
        filters = mel_filters(_RATE, _N_FFT, _N_MELS, 0, _RATE / 2, "htk")
        bank = filters / filters.sum(axis=1, keepdims=True)
        self.register_buffer("bank", torch.from_numpy(bank), persistent=False)

    def seen(self, samples: Tensor) -> Tensor:
        """Return the spectrogram, (n, 100, 96)."""
        mel = self.get_buffer("bank") @ self.spectra(samples)
        return torch.log10(1 + 1e4 * mel.transpose(1, 2)) / _LOUDEST

    def of_seen(self, seen: Tensor) -> Tensor:
        """Return what the network makes of spectrograms, (n, 100, 96) → (n, 512)."""
        x = seen[:, None]
        for block in (self.conv_block1, self.conv_block2, self.conv_block3):
            x = F.max_pool2d(block(x), 2)
        vectors: Tensor = self.conv_block4(x).mean(3).amax(2)
        return vectors

    def forward(self, samples: Tensor) -> Tensor:
        return unit(self.of_seen(self.seen(samples)))


def load_network(weights: Path | BinaryIO) -> Aisfx:
    """Read the weights, a checkpoint of torch; raises what torch does where they are something else."""
    # The types of NumPy that its optimiser's state names; NumPy 2 has renamed where the first lies.
    scalar = import_module("numpy._core.multiarray").scalar
    known = [(scalar, "numpy.core.multiarray.scalar"), np.dtype, np.dtypes.Int64DType]
    with torch.serialization.safe_globals(known):  # type: ignore[arg-type]
        values, _ = torch.load(weights, map_location="cpu", weights_only=True)
    network = Aisfx()
    network.load_state_dict(
        {name.removeprefix(_PREFIX): value for name, value in values.items() if name.startswith(_PREFIX)}
    )
    return network.eval()


def build(paths: Sequence[Path], family: Family) -> Built:
    """Read the weights.

    Raises
    ------
    WeightsError
        If they are not those of this network.
    """
    with expecting(family):
        network = load_network(paths[0])
    window = _SAMPLES / _RATE
    return Built(network, _RATE, window, window / 2)
