"""A network of inverted residuals from the log-mel spectrogram of one window to one unit vector.

Each block widens its channels, filters each of them alone, weighs them by what the whole window sounds like
(squeeze-and-excitation) and narrows them again, after MobileNetV3 (Howard et al., 2019) as used for audio
by Schmid et al. (2023), whose "mn04" is of this size. Fewest operations of the networks here; a CPU is far
slower at training depthwise convolutions than their number of operations suggests.

References
----------
Howard et al., "Searching for MobileNetV3", ICCV 2019.
Schmid, Koutini and Widmer, "Efficient large-scale audio tagging via transformer-to-CNN knowledge
distillation", ICASSP 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from echoic.nn.embedder import (
    Embedder,
    Shape,
    mean_plus_max,
    pad_with_silence,
    pooled_activity,
    weighted_mean,
)

__all__ = ["MobileEmbedder"]

_KERNEL, _STRIDE = 7, 4  # frames, of the first convolution
_BEFORE = 2  # silent frames before a window, which centre the kernel on the four frames it stands for


class _SqueezeExcite(nn.Module):
    """Scale each channel by what the window as a whole sounds like, silent frames aside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(width, width // 4)
        self.excite = nn.Linear(width // 4, width)

    def forward(self, x: Tensor, activity: Tensor) -> Tensor:
        """(n, width, t, f) with (n, 1, t) → (n, width, t, f)."""
        mean = weighted_mean(x.mean(dim=3), activity)
        return x * F.hardsigmoid(self.excite(F.relu(self.squeeze(mean))))[:, :, None, None]


class _InvertedResidual(nn.Module):
    """Widen, filter each channel alone, weigh, narrow; a shortcut where the shape stays."""

    def __init__(self, n_in: int, n_out: int, *, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = expansion * n_in
        self.stride = stride
        self.expand = nn.Sequential(
            nn.Conv2d(n_in, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish()
        )
        self.filter = nn.Sequential(
            nn.Conv2d(wide, wide, kernel, stride=stride, padding=kernel // 2, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.Hardswish(),
        )
        self.weigh = _SqueezeExcite(wide)
        self.narrow = nn.Sequential(nn.Conv2d(wide, n_out, 1, bias=False), nn.BatchNorm2d(n_out))
        self.has_shortcut = stride == 1 and n_in == n_out

    def forward(self, x: Tensor, activity: Tensor) -> tuple[Tensor, Tensor]:
        """(n, n_in, t, f) and (n, 1, t) → (n, n_out, ⌈t/stride⌉, ⌈f/stride⌉) and (n, 1, ⌈t/stride⌉)."""
        # To the filters, silence looks as what is beyond the ends of the window does: 0.
        y = self.filter(self.expand(x) * activity[:, :, :, None])
        activity = pooled_activity(activity, self.stride)
        y = self.narrow(self.weigh(y, activity))
        return (x + y if self.has_shortcut else y), activity


class MobileEmbedder(Embedder):
    """Embed log-mel spectrograms by inverted residuals.

    Parameters
    ----------
    stem : int
        Channels of the first convolution, which divides time by 4 and frequency by 2.
    widths, depths : sequence of int
        Channels and number of blocks of each stage; the first block of a stage halves both axes.
    expansion : int
        Factor by which a block widens its channels.
    features : int
        Channels of the last convolution.
    dropout : float
        Share of the pooled features dropped while training.
    **shape
        ``n_mels``, ``n_frames`` and ``dim``, as of :class:`~echoic.nn.embedder.Embedder`.

    Notes
    -----
    The first convolution finds silence around the window; after it, silent frames are 0 to all filters, as
    what lies outside the window is, and squeezing and pooling leave them out. So the vector depends in no way
    on how much silence follows the last frame that is not silent, be it zeros in the window or frames that
    are not there; what remains is rounding. Silent means 65 dB below the loudest point; digital silence is,
    where that point is above -30 dB in the log-mel spectrogram.

    Examples
    --------
    >>> import torch
    >>> MobileEmbedder().eval()(torch.zeros(2, 247, 64)).shape
    torch.Size([2, 192])
    """

    def __init__(
        self,
        *,
        stem: int = 16,
        widths: Sequence[int] = (32, 64, 96),
        depths: Sequence[int] = (2, 3, 4),
        expansion: int = 4,
        features: int = 256,
        dropout: float = 0.2,
        **shape: Unpack[Shape],
    ) -> None:
        super().__init__(**shape)
        self.stem = nn.Sequential(
            nn.Conv2d(1, stem, (_KERNEL, 5), stride=(_STRIDE, 2), padding=(0, 2), bias=False),
            nn.BatchNorm2d(stem),
            nn.Hardswish(),
        )
        blocks: list[_InvertedResidual] = []
        n_in = stem
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            kernel = 3 if stage == 0 else 5
            for i in range(depth):
                stride = 2 if i == 0 else 1
                blocks.append(
                    _InvertedResidual(n_in, width, expansion=expansion, kernel=kernel, stride=stride)
                )
                n_in = width
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Sequential(
            nn.Conv2d(n_in, features, 1, bias=False),
            nn.BatchNorm2d(features),
            nn.ReLU(),  # not hard-swish: what is pooled by maximum must be at least 0
        )
        n_bands = -(-self.n_mels // 2 ** (1 + len(widths)))
        self.add_head(features * n_bands, dropout)

    def surround(self, level: Tensor) -> Tensor:
        """Put silence around a window, such that one position is left for every four frames begun."""
        n_frames = level.shape[1]
        n_needed = (-(-n_frames // _STRIDE) - 1) * _STRIDE + _KERNEL
        return pad_with_silence(level, _BEFORE, max(0, n_needed - _BEFORE - n_frames))

    def pooled_features(self, x: Tensor, activity: Tensor) -> Tensor:
        """Describe windows: (n, frames, n_mels) and (n, 1, frames) → (n, features * bands)."""
        x = self.stem(x.unsqueeze(1))
        activity = pooled_activity(activity[:, :, _BEFORE : _BEFORE + x.shape[2] * _STRIDE], _STRIDE)
        for block in self.blocks:
            x, activity = block(x, activity)
        x = self.last(x)
        return mean_plus_max(x.transpose(2, 3).flatten(1, 2), activity)
