"""What every embedding network has in common: what it is fed, what it gives, and how it treats silence.

A network sees a window of a log-mel spectrogram relative to the window's own loudest point, so gain does
not matter. Frames far below that point count less the quieter they are, down to nothing, so that the zeros
behind a clip shorter than the window do not matter either. All of it is part of the network, hence of the
exported graph. Nothing looks at other windows of the batch, but for batch normalization while training.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypedDict

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

__all__ = [
    "Embedder",
    "Shape",
    "activity_of",
    "mean_plus_max",
    "pad_with_silence",
    "pooled_activity",
    "relative_level",
    "strided_activity",
    "weighted_mean",
]

# What lies further below the loudest point of a window is treated as silence: 16-bit audio recorded with
# 20 dB of headroom has its noise floor about there, and lossy codecs store nothing beyond.
_RANGE_DB = 70.0
# A window whose loudest point is below this, in dB of the log-mel front end, is silence, not a quiet sound
# to be amplified: dithered 16-bit silence lies at -87 dB.
_QUIETEST_PEAK_DB = -70.0
# Frames count fully above the first level and not at all below the second, in dB relative to the peak.
_ACTIVE_DB, _SILENT_DB = -50.0, -65.0


def relative_level(log_mel: Tensor) -> Tensor:
    """Express a spectrogram relative to its own loudest point, so that gain does not matter.

    Parameters
    ----------
    log_mel : Tensor of float32, shape (n, frames, n_mels)
        Decibels; silence at -100.

    Returns
    -------
    Tensor of float32, shape (n, frames, n_mels)
        Decibels, -70 … 0. Digital silence is at -70 wherever the loudest point is above -30 dB, which is a
        tone some 60 dB below full scale.
    """
    peak = log_mel.amax(dim=(1, 2), keepdim=True).clamp(min=_QUIETEST_PEAK_DB)
    return (log_mel - peak).clamp(min=-_RANGE_DB)


def activity_of(level: Tensor) -> Tensor:
    """Say how much each frame counts: (n, frames, n_mels) in relative dB → (n, 1, frames) in 0 … 1.

    The loudest frame of a window always counts fully, also where the whole window is silence.
    """
    activity = (level.amax(dim=2) - _SILENT_DB) / (_ACTIVE_DB - _SILENT_DB)
    return activity.clamp(0, 1).unsqueeze(1)


def strided_activity(activity: Tensor, kernel: int, stride: int) -> Tensor:
    """Carry the activity through a convolution padded by ``kernel // 2``: (n, 1, t) → (n, 1, ⌈t/stride⌉)."""
    return F.max_pool1d(activity, kernel, stride=stride, padding=kernel // 2)


def pooled_activity(activity: Tensor, n: int) -> Tensor:
    """Take the most active of every ``n`` frames: (n, 1, t) → (n, 1, ⌈t/n⌉)."""
    return F.max_pool1d(activity, n, ceil_mode=True)


def pad_with_silence(level: Tensor, before: int, after: int) -> Tensor:
    """Put silent frames around windows: (n, frames, n_mels) → (n, before + frames + after, n_mels)."""
    return F.pad(level, (0, 0, before, after), value=-_RANGE_DB)


def weighted_mean(x: Tensor, weights: Tensor) -> Tensor:
    """Average over time: (n, c, t) with weights (n, 1, t) → (n, c)."""
    return (x * weights).sum(2) / weights.sum(2)  # the loudest frame of a window is always active


def mean_plus_max(x: Tensor, weights: Tensor) -> Tensor:
    """Pool features over time by weighted mean plus maximum (Kong et al., 2020).

    Parameters
    ----------
    x : Tensor, shape (n, c, t)
        At least 0, so that a silent frame never is the maximum.
    weights : Tensor, shape (n, 1, t)
        Activity of the frames.

    Returns
    -------
    Tensor, shape (n, c)
    """
    x = x * weights
    return x.sum(2) / weights.sum(2) + x.amax(dim=2)


class Shape(TypedDict, total=False):
    """What every network is made by; see :class:`Embedder`."""

    n_mels: int
    n_frames: int
    dim: int


class Embedder(nn.Module, ABC):
    """Base of the networks: log-mel windows in, unit vectors out.

    A network says how a normalized spectrogram becomes one row of features (:meth:`pooled_features`) and
    calls :meth:`add_head` once it knows how many those are.

    Parameters
    ----------
    n_mels : int
        Bands of the spectrogram.
    n_frames : int
        Frames of a whole window; fewer are taken too, more are not.
    dim : int
        Length of the vectors.
    """

    pooled_norm: nn.BatchNorm1d
    dropout: nn.Dropout
    project: nn.Linear

    def __init__(self, *, n_mels: int = 64, n_frames: int = 247, dim: int = 192) -> None:
        super().__init__()
        self.n_mels = n_mels
        self.n_frames = n_frames
        self.dim = dim
        self.band_norm = nn.BatchNorm1d(n_mels)

    def add_head(self, n_features: int, dropout: float) -> None:
        """Add what turns the pooled features into the vector."""
        self.pooled_norm = nn.BatchNorm1d(n_features)
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(n_features, self.dim)

    def head(self, features: Tensor) -> Tensor:
        """Make vectors of pooled features, not yet of length 1: (n, n_features) → (n, dim)."""
        vectors: Tensor = self.project(self.dropout(self.pooled_norm(features)))
        return vectors

    def surround(self, level: Tensor) -> Tensor:
        """Put around windows, (n, frames, n_mels) in relative dB, the silence a network wants there."""
        return level

    @abstractmethod
    def pooled_features(self, x: Tensor, activity: Tensor) -> Tensor:
        """Describe whole windows.

        Parameters
        ----------
        x : Tensor of float32, shape (n, frames, n_mels)
            Spectrogram, each band at mean 0 and variance 1 over the training data.
        activity : Tensor of float32, shape (n, 1, frames)
            How much each frame counts, 0 … 1.

        Returns
        -------
        Tensor of float32, shape (n, n_features)
        """

    def forward(self, log_mel: Tensor) -> Tensor:
        """Embed windows.

        Parameters
        ----------
        log_mel : Tensor of float32, shape (n, frames, n_mels)
            Decibels of the log-mel front end, silence at -100.

        Returns
        -------
        Tensor of float32, shape (n, dim)
            Of length 1 each.

        Raises
        ------
        ValueError
            If there are more than ``n_frames`` frames.
        """
        if log_mel.shape[1] > self.n_frames:
            raise ValueError(
                f"windows of {log_mel.shape[1]} frames are longer than the {self.n_frames} this network takes"
            )
        level = self.surround(relative_level(log_mel))
        x = self.band_norm(level.transpose(1, 2)).transpose(1, 2)
        pooled = self.pooled_features(x, activity_of(level))
        return F.normalize(self.head(pooled), dim=1)
