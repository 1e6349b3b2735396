"""A small residual network from the log-mel spectrogram of one window to one unit vector.

A first convolution divides time by 4 and frequency by 2; residual blocks (He et al., 2016) of plain 3 × 3
convolutions then halve both. Plain convolutions are chosen over depthwise ones because a CPU runs and
trains them several times faster.

References
----------
He et al., "Deep residual learning for image recognition", CVPR 2016.
Kong et al., "PANNs: Large-scale pretrained audio neural networks", IEEE/ACM TASLP 28, 2020 (pooling by
maximum plus mean).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from echoic.nn.embedder import Embedder, Shape, mean_plus_max, strided_activity

__all__ = ["CnnEmbedder"]


class _Block(nn.Module):
    """Two 3 × 3 convolutions and a shortcut; halves both axes: (n, c, t, f) → (n, width, ⌈t/2⌉, ⌈f/2⌉)."""

    def __init__(self, n_in: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, width, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False),
            nn.Conv2d(n_in, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class CnnEmbedder(Embedder):
    """Embed log-mel spectrograms by plain residual convolutions.

    Parameters
    ----------
    stem : int
        Channels of the first convolution.
    widths : sequence of int
        Channels of the residual blocks, each of which halves both axes again.
    dropout : float
        Share of the pooled features dropped while training.
    **shape
        ``n_mels``, ``n_frames`` and ``dim``, as of :class:`~echoic.nn.embedder.Embedder`.

    Notes
    -----
    Time is pooled by the sum of maximum and mean over those frames that are not silent, so that it does not
    matter how many zeros follow a short clip, once they reach beyond what its last frames see of them.
    Frequency is not pooled at all: where a pattern lies tells sounds apart.

    Examples
    --------
    >>> import torch
    >>> CnnEmbedder().eval()(torch.zeros(2, 247, 64)).shape
    torch.Size([2, 192])
    """

    def __init__(
        self,
        *,
        stem: int = 32,
        widths: Sequence[int] = (64, 128, 256),
        dropout: float = 0.2,
        **shape: Unpack[Shape],
    ) -> None:
        super().__init__(**shape)
        self.stem = nn.Sequential(
            nn.Conv2d(1, stem, (7, 5), stride=(4, 2), padding=(3, 2), bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(),
        )
        inputs = (stem, *widths[:-1])
        self.blocks = nn.Sequential(*(_Block(n, width) for n, width in zip(inputs, widths, strict=True)))
        n_bands = -(-self.n_mels // 2 ** (1 + len(widths)))
        self.add_head(widths[-1] * n_bands, dropout)

    def pooled_features(self, x: Tensor, activity: Tensor) -> Tensor:
        """Describe windows: (n, frames, n_mels) and (n, 1, frames) → (n, channels * bands)."""
        activity = strided_activity(activity, 7, 4)
        for _ in self.blocks:
            activity = strided_activity(activity, 3, 2)
        x = self.blocks(self.stem(x.unsqueeze(1)))
        return mean_plus_max(x.transpose(2, 3).flatten(1, 2), activity)
