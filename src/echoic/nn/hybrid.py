"""Convolutions for what a moment sounds like, attention for how moments follow each other.

A few convolutions reduce the log-mel spectrogram to one vector for every five frames (ten a second at a hop
of 20 ms) without ever mixing more than some 0.6 s; transformer blocks relate these over the whole window;
attention pooling (Safari et al., 2020) makes one vector of what matters in them.

References
----------
Gulati et al., "Conformer: Convolution-augmented transformer for speech recognition", Interspeech 2020.
Safari, India and Hernando, "Self-attention encoding and pooling for speaker recognition", Interspeech 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Unpack

import torch
from torch import Tensor, nn

from echoic.nn.attention import AttentionPool, Transformer
from echoic.nn.embedder import Embedder, Shape, pad_with_silence, pooled_activity

__all__ = ["HybridEmbedder"]

_STRIDE = 5  # frames for each vector of the sequence
_KERNEL = 9  # frames that the first convolution sees


class HybridEmbedder(Embedder):
    """Embed log-mel spectrograms by a convolutional front and transformer blocks over time.

    Parameters
    ----------
    channels : sequence of int
        Channels of the convolutions, each of which halves the bands; the first takes five frames to one.
    width : int
        Features of a vector in time, a multiple of ``n_heads``.
    depth : int
        Transformer blocks.
    n_heads, expansion : int
        Attention heads of a block, and hidden units of its perceptron for each feature.
    dropout : float
        Share of what is added in a block, and of the pooled features, dropped while training.
    **shape
        ``n_mels``, ``n_frames`` and ``dim``, as of :class:`~echoic.nn.embedder.Embedder`.

    Raises
    ------
    ValueError
        If ``width`` is not a multiple of ``n_heads``.

    Notes
    -----
    A window is surrounded by as much silence as its convolutions reach out, instead of by zeros between them,
    and vectors in time of silent frames get no weight in any attention. So the vector depends in no way on
    how much silence follows the last frame that is not silent, be it zeros in the window or frames that are
    not there; what remains is rounding. Silent means 65 dB below the loudest point; digital silence is, where
    that point is above -30 dB in the log-mel spectrogram.

    Examples
    --------
    >>> import torch
    >>> HybridEmbedder().eval()(torch.zeros(2, 247, 64)).shape
    torch.Size([2, 192])
    """

    def __init__(
        self,
        *,
        channels: Sequence[int] = (32, 64, 96),
        width: int = 160,
        depth: int = 3,
        n_heads: int = 5,
        expansion: int = 4,
        dropout: float = 0.1,
        **shape: Unpack[Shape],
    ) -> None:
        super().__init__(**shape)
        # No padding in time: surround() has put silence where a convolution would put zeros.
        front: list[nn.Module] = [
            nn.Conv2d(1, channels[0], (_KERNEL, 5), stride=(_STRIDE, 2), padding=(0, 2), bias=False),
            nn.BatchNorm2d(channels[0]),
            nn.ReLU(),
        ]
        for n_in, n_out in pairwise(channels):
            front += [
                nn.Conv2d(n_in, n_out, 3, stride=(1, 2), padding=(0, 1), bias=False),
                nn.BatchNorm2d(n_out),
                nn.ReLU(),
            ]
        self.front = nn.Sequential(*front)
        self.reach = len(channels) - 1  # vectors that those further convolutions see to either side
        n_bands = -(-self.n_mels // 2 ** len(channels))
        self.enter = nn.Linear(channels[-1] * n_bands, width)
        self.time_embedding = nn.Parameter(torch.empty(-(-self.n_frames // _STRIDE), width))
        nn.init.trunc_normal_(self.time_embedding, std=0.02)
        self.blocks = Transformer(width, depth, n_heads=n_heads, expansion=expansion, dropout=dropout)
        self.norm = nn.LayerNorm(width)
        self.pool = AttentionPool(width, n_heads=n_heads)
        self.add_head(width, dropout)

    @property
    def _before(self) -> int:
        """Silent frames put before a window, which centres each kernel on the five frames it stands for."""
        return self.reach * _STRIDE + (_KERNEL - _STRIDE) // 2

    def surround(self, level: Tensor) -> Tensor:
        """Put silence around a window, such that one vector is left for every five frames begun."""
        n_frames = level.shape[1]
        n_vectors = -(-n_frames // _STRIDE)
        n_needed = (n_vectors + 2 * self.reach - 1) * _STRIDE + _KERNEL
        return pad_with_silence(level, self._before, n_needed - self._before - n_frames)

    def pooled_features(self, x: Tensor, activity: Tensor) -> Tensor:
        """Describe windows: (n, frames, n_mels) and (n, 1, frames), with their surroundings, → (n, width)."""
        x = self.front(x.unsqueeze(1)).transpose(1, 2).flatten(2)  # (n, vectors, channels * bands)
        n_vectors = x.shape[1]
        own = activity[:, :, self._before : self._before + n_vectors * _STRIDE]
        log_activity = pooled_activity(own, _STRIDE)[:, 0].log()
        x = self.enter(x) + self.time_embedding[:n_vectors]
        pooled: Tensor = self.pool(self.norm(self.blocks(x, log_activity)), log_activity)
        return pooled
