"""The network of ``fingerprint`` and what it is fed.

A window of 1.024 s at 8 kHz becomes 29 frames of 128 mel bands; five strided convolutions and one linear map
turn it into a unit vector of 128 numbers. The spectrogram is standardised window by window, after a floor
50 dB below its loudest point, so neither gain nor what is buried that deep matters.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from echoic.audio.spectrogram import LogMel, mel_filters

WINDOW = 1.024  # s
HOP = 0.512  # s, 16 frames
LOG_MEL = LogMel(
    sample_rate=8_000, n_fft=1024, hop_length=256, n_mels=128, fmin=160, fmax=3_900, mel_scale="htk"
)
N_FRAMES = LOG_MEL.n_frames(round(WINDOW * LOG_MEL.sample_rate))
WIDTHS = (32, 64, 128, 128, 256)
DIM = 128

_FLOOR = 1e-5  # of the loudest point's power
_SILENCE = 1e-7  # power, some 110 dB below a full-scale tone
_LEAST_DEVIATION = 0.1  # dB: silence stays silence


class FingerprintNet(nn.Module):
    """Embed spectrograms of windows: (n, frames, n_mels) in dB → (n, DIM), of length 1.

    Parameters
    ----------
    widths : sequence of int
        Channels of the convolutions, each of which halves time and frequency.
    """

    gains: Tensor

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.widths = tuple(widths)
        # Filters of equal sum, not equal area: what lies on the bins differs where filters are narrow.
        filters = mel_filters(
            LOG_MEL.sample_rate,
            LOG_MEL.n_fft,
            LOG_MEL.n_mels,
            LOG_MEL.fmin,
            LOG_MEL.fmax,
            LOG_MEL.mel_scale,
        )
        gains = -10 * np.log10(filters.sum(axis=1))
        self.register_buffer("gains", torch.from_numpy(gains.astype(np.float32)), persistent=False)
        layers: list[nn.Module] = []
        n_frames, n_mels = N_FRAMES, LOG_MEL.n_mels
        for n_in, n_out in zip((1, *widths[:-1]), widths, strict=True):
            layers += [
                nn.Conv2d(n_in, n_out, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(n_out),
                nn.ReLU(inplace=True),
            ]
            n_frames, n_mels = -(-n_frames // 2), -(-n_mels // 2)
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1] * n_frames * n_mels, DIM)

    def standardised(self, log_mel: Tensor) -> Tensor:
        """Give every window mean 0 and deviation 1: (n, frames, n_mels) → (n, n_mels, frames)."""
        power = torch.pow(10, (log_mel + self.gains) / 10)
        power = power + _FLOOR * power.amax(dim=(1, 2), keepdim=True) + _SILENCE
        # Relative to the peak, so that rounding leaves nothing of silence.
        level = 10 * torch.log10(power / power.amax(dim=(1, 2), keepdim=True))
        level = level - level.mean(dim=(1, 2), keepdim=True)
        # The mean of squares, since the exporter has no deviation over two axes.
        deviation = level.square().mean(dim=(1, 2), keepdim=True).sqrt()
        return (level / (deviation + _LEAST_DEVIATION)).transpose(1, 2)

    def embed(self, standardised: Tensor) -> Tensor:
        """Embed what :meth:`standardised` gave: (n, n_mels, frames) → (n, DIM)."""
        return F.normalize(self.head(self.body(standardised.unsqueeze(1)).flatten(1)), dim=1)

    def forward(self, log_mel: Tensor) -> Tensor:
        return self.embed(self.standardised(log_mel))

    @classmethod
    def from_graph(cls, path: Path, examples: Tensor) -> FingerprintNet:
        """Take the weights of a graph that ``ship.py`` wrote; its normalisations are within the convolutions.

        The normalisations get the statistics of ``examples``, shape (n, frames, n_mels) in dB, and whatever
        gain and offset leaves the network's vectors as they are.
        """
        graph = onnx.load(path).graph
        stored = {
            one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in graph.initializer
        }
        convolutions = sorted(
            (name for name in stored if name.startswith("body.") and name.endswith(".weight")),
            key=lambda name: int(name.split(".")[1]),
        )
        network = cls([len(stored[name]) for name in convolutions])
        with torch.no_grad():
            network.head.weight.copy_(stored["head.weight"])
            network.head.bias.copy_(stored["head.bias"])
            through = network.standardised(examples).unsqueeze(1)
            for name in convolutions:
                at = int(name.split(".")[1])
                convolution, norm, relu = network.body[at : at + 3]
                convolution.weight.copy_(stored[name])
                through = convolution(through)
                norm.running_mean.copy_(through.mean(dim=(0, 2, 3)))
                norm.running_var.copy_(through.var(dim=(0, 2, 3)))
                norm.weight.copy_((norm.running_var + norm.eps).sqrt())
                norm.bias.copy_(norm.running_mean + stored[f"{name}_bias"])
                through = relu(norm.eval()(through))
        return network.train()
