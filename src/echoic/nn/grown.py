"""A convolutional network that was trained already, grown by a transformer over time.

What a CNN makes of a window is pooled over time: it tells sounds well whose moments matter, less well those
of which the order does. So the sequence that its last block but one gives goes through transformer blocks and
attention pooling too, and what they say is added to what the CNN says, before both become one vector. At
first they add nothing, so that the network begins as the CNN that it is grown from. The convolutions stand
still: few clips teach them less than they make them forget, and training takes a fraction of the time.

References
----------
Gulati et al., "Conformer: Convolution-augmented transformer for speech recognition", Interspeech 2020.
Bachlechner et al., "ReZero is all you need", UAI 2021 (beginning as the identity).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self, Unpack

import torch
from torch import Tensor, nn

from echoic.nn.attention import AttentionPool, Transformer
from echoic.nn.cnn import CnnEmbedder
from echoic.nn.embedder import Shape, mean_plus_max, strided_activity

__all__ = ["GrownEmbedder"]


class GrownEmbedder(CnnEmbedder):
    """Embed log-mel spectrograms by plain residual convolutions and a transformer over what they see.

    Parameters
    ----------
    stem, widths, dropout, **shape
        Of the CNN; see :class:`echoic.nn.cnn.CnnEmbedder`. Its weights have the same names here.
    width : int
        Features of a position in time, a multiple of ``n_heads``.
    depth : int
        Transformer blocks.
    n_heads, expansion : int
        Attention heads of a block, and hidden units of its perceptron for each feature.

    Raises
    ------
    ValueError
        If ``width`` is not a multiple of ``n_heads``.

    Examples
    --------
    >>> GrownEmbedder().eval()(torch.zeros(2, 247, 64)).shape
    torch.Size([2, 192])
    """

    def __init__(
        self,
        *,
        stem: int = 32,
        widths: Sequence[int] = (64, 128, 256),
        dropout: float = 0.2,
        width: int = 128,
        depth: int = 2,
        n_heads: int = 4,
        expansion: int = 2,
        **shape: Unpack[Shape],
    ) -> None:
        super().__init__(stem=stem, widths=widths, dropout=dropout, **shape)
        n_halvings = len(widths) - 1  # of the blocks before the last, after the stem's own
        n_features = widths[-2] * -(-self.n_mels // 2 ** (1 + n_halvings))
        self.sequence_norm = nn.BatchNorm1d(n_features)
        self.enter = nn.Linear(n_features, width)
        self.time_embedding = nn.Parameter(torch.empty(-(-self.n_frames // (4 * 2**n_halvings)), width))
        nn.init.trunc_normal_(self.time_embedding, std=0.02)
        self.transformer = Transformer(
            width, depth, n_heads=n_heads, expansion=expansion, dropout=dropout / 2
        )
        self.norm = nn.LayerNorm(width)
        self.pool = AttentionPool(width, n_heads=n_heads)
        self.add = nn.Linear(width, self.dim)
        nn.init.zeros_(self.add.weight)
        nn.init.zeros_(self.add.bias)
        self._still = (self.band_norm, self.stem, self.blocks)
        for part in self._still:
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Choose between training and use; what stands still keeps its statistics in both."""
        super().train(mode)
        for part in self._still:
            part.eval()
        return self

    def pooled_features(self, x: Tensor, activity: Tensor) -> Tensor:
        """Describe windows: (n, frames, n_mels) and (n, 1, frames) → (n, channels * bands + width)."""
        activity = strided_activity(activity, 7, 4)
        x = self.stem(x.unsqueeze(1))
        *before, last = self.blocks.children()
        for block in before:
            activity = strided_activity(activity, 3, 2)
            x = block(x)
        sequence = self.sequence_norm(x.transpose(2, 3).flatten(1, 2)).transpose(1, 2)
        # Silent positions get no weight; the loudest is always active.
        log_activity = activity[:, 0].log()
        sequence = self.enter(sequence) + self.time_embedding[: sequence.shape[1]]
        in_order = self.pool(self.norm(self.transformer(sequence, log_activity)), log_activity)
        x = last(x)
        pooled = mean_plus_max(x.transpose(2, 3).flatten(1, 2), strided_activity(activity, 3, 2))
        return torch.cat([pooled, in_order], dim=1)

    def head(self, features: Tensor) -> Tensor:
        """Make vectors, not yet of length 1: those of the CNN, and what the transformer adds."""
        n_pooled = self.pooled_norm.num_features
        added: Tensor = self.add(self.dropout(features[:, n_pooled:]))
        return super().head(features[:, :n_pooled]) + added
