"""``vggish``, ``vggish-pca``: a CNN on mel spectrograms of about a second, taught by the sound of videos.

``vggish`` is what the network gives: 128 numbers, without the ReLU that some ports leave after its last layer
and its publisher's code has not. ``vggish-pca`` is what AudioSet was published with: these numbers less their
mean, turned and whitened by the published PCA, held to ±2 and cut off to 256 steps, each of which stands for
its middle.

References
----------
Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from echoic.encoders.families import Family
from echoic.pretrained.built import TOLERANCE, Built
from echoic.pretrained.checkpoint import expecting
from echoic.pretrained.front import Spectra, mel_bank, unit

__all__ = ["Vggish", "build"]

_RATE, _SIZE, _N_FFT, _HOP, _N_MELS, _FMIN, _FMAX = 16_000, 400, 512, 160, 64, 125, 7_500
_OFFSET = 0.01  # added before the logarithm
_FRAMES = 96  # of a window, and from one window to the next
_SAMPLES = (_FRAMES - 1) * _HOP + _SIZE
_CONVOLUTIONS = (0, 3, 6, 8, 11, 13)  # their places among the layers
_HALVED = (0, 1, 3, 5)  # the convolutions, by number, after which maps become half as large
_LARGEST, _STEPS = 2.0, 255  # of what is quantised, and steps from its negative to it
_PCA = ("pca_eigen_vectors", "pca_means")
_MIDDLE = 2 * _LARGEST / 512  # what each step stands for lies above where it begins


class Vggish(nn.Module):
    """(n, samples) → (n, 128) of length 1.

    Parameters
    ----------
    widths : sequence of int
        Of the six convolutions.
    hidden, dim : int
        Of the layers after them.
    """

    def __init__(
        self, widths: Sequence[int] = (64, 128, 256, 256, 512, 512), hidden: int = 4096, dim: int = 128
    ) -> None:
        super().__init__()
        self.dim = dim
        layers: list[nn.Module] = []
        for number, (n_in, width) in enumerate(pairwise((1, *widths))):
            layers += [nn.Conv2d(n_in, width, 3, padding=1), nn.ReLU()]
            if number in _HALVED:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        n_flat = widths[-1] * (_FRAMES // 16) * (_N_MELS // 16)
        sizes = (n_flat, hidden, hidden, dim)
        dense = [part for n_in, n_out in pairwise(sizes) for part in (nn.Linear(n_in, n_out), nn.ReLU())]
        self.embeddings = nn.Sequential(*dense[:-1])
        self.spectra = Spectra(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_SIZE) / _SIZE), _N_FFT, _HOP)
        bank = mel_bank(_N_FFT, _N_MELS, _FMIN, _FMAX, _RATE, "kaldi")
        self.register_buffer("bank", bank, persistent=False)
        # Of the PCA, if vectors go through one.
        self.turn: Tensor | None = None
        self.mean: Tensor | None = None

    def seen(self, samples: Tensor) -> Tensor:
        """Return the spectrogram, (n, 96, 64), of magnitudes, not of powers."""
        mel = self.get_buffer("bank") @ self.spectra(samples).sqrt()
        levels: Tensor = (mel + _OFFSET).log().transpose(1, 2)
        return levels

    def of_seen(self, seen: Tensor) -> Tensor:
        """Return what the network makes of spectrograms, (n, 96, 64) → (n, 128)."""
        maps = self.features(seen[:, None]).permute(0, 2, 3, 1)
        vectors: Tensor = self.embeddings(maps.flatten(1))
        return vectors

    def forward(self, samples: Tensor) -> Tensor:
        vectors = self.of_seen(self.seen(samples))
        if self.turn is not None and self.mean is not None:
            turned = (vectors - self.mean) @ self.turn
            steps = ((turned.clamp(-_LARGEST, _LARGEST) + _LARGEST) * (_STEPS / (2 * _LARGEST))).floor()
            vectors = steps * (2 * _LARGEST / _STEPS) - _LARGEST + _MIDDLE
        return unit(vectors)

    def turned_by(self, matrix: Tensor, mean: Tensor) -> None:
        """Have vectors go through a PCA, whose matrix is multiplied from the left, and its quantisation."""
        self.turn, self.mean = matrix.T.contiguous(), mean.reshape(1, -1)


def build(paths: Sequence[Path], family: Family) -> Built:
    """Read the weights, and, of ``vggish-pca``, what its vectors go through.

    Raises
    ------
    WeightsError
        If they are not those of this network.
    """
    with expecting(family):
        state = torch.load(paths[0], map_location="cpu", weights_only=True)
        # One port keeps the PCA beside the network; the published one is used.
        weights = {name: value for name, value in state.items() if not name.startswith("pproc.")}
        widths = [len(weights[f"features.{place}.weight"]) for place in _CONVOLUTIONS]
        network = Vggish(widths, len(weights["embeddings.0.weight"]), len(weights["embeddings.4.weight"]))
        network.load_state_dict(weights)
        if family.name == "vggish-pca":
            with np.load(paths[1], allow_pickle=False) as pca:
                matrix, mean = (torch.from_numpy(pca[name].astype(np.float32)) for name in _PCA)
            if (matrix.shape, mean.numel()) != ((network.dim, network.dim), network.dim):
                raise ValueError(f"a PCA of {tuple(matrix.shape)} is not for {network.dim} numbers")
            network.turned_by(matrix, mean)
    # A number at the edge of a step may fall on either side of it.
    tolerance = TOLERANCE if network.turn is None else _LARGEST / _STEPS
    hop = _FRAMES * _HOP / _RATE
    return Built(network.eval(), _RATE, _SAMPLES / _RATE, hop, tolerance=tolerance)
