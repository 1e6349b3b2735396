"""Self-attention over a sequence of which some positions are silent and must not matter.

Attention weights are multiplied by the activity of the position that is attended to, by adding its
logarithm before the softmax: a silent position (activity 0) gets exactly no weight, and one that fades
out loses weight smoothly instead of at a threshold.

References
----------
Xiong et al., "On layer normalization in the transformer architecture", ICML 2020 (pre-norm).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

__all__ = ["AttentionPool", "Transformer", "TransformerBlock"]


class TransformerBlock(nn.Module):
    """Pre-norm attention and two-layer perceptron, each with a shortcut.

    Parameters
    ----------
    width : int
        Length of a position's features, a multiple of ``n_heads``.
    n_heads : int
    expansion : int
        Hidden units of the perceptron for each feature.
    dropout : float
        Share of what each branch adds that is dropped while training.

    Raises
    ------
    ValueError
        If ``width`` is not a multiple of ``n_heads``.
    """

    def __init__(self, width: int, *, n_heads: int, expansion: int, dropout: float) -> None:
        super().__init__()
        if width % n_heads:
            raise ValueError(f"a width of {width} does not divide into {n_heads} heads")
        self.n_heads = n_heads
        self.norm1 = nn.LayerNorm(width)
        # No bias: those of queries and values repeat the norm's, that of keys cancels out in the softmax.
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.merge = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.expand = nn.Linear(width, expansion * width)
        self.contract = nn.Linear(expansion * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, log_activity: Tensor) -> Tensor:
        """Mix positions: (n, t, width) with (n, t), -inf … 0 and not -inf throughout, → (n, t, width)."""
        n, t, width = x.shape
        heads = self.query_key_value(self.norm1(x)).reshape(n, t, 3, self.n_heads, width // self.n_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)  # (n, heads, t, width / heads)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=log_activity[:, None, None])
        x = x + self.dropout(self.merge(attended.transpose(1, 2).reshape(n, t, width)))
        transformed: Tensor = self.dropout(self.contract(F.gelu(self.expand(self.norm2(x)))))
        return x + transformed


class Transformer(nn.ModuleList):
    """Blocks that follow each other, ``depth`` of them; the rest as :class:`TransformerBlock`."""

    def __init__(self, width: int, depth: int, **block: Any) -> None:
        super().__init__(TransformerBlock(width, **block) for _ in range(depth))

    def forward(self, x: Tensor, log_activity: Tensor) -> Tensor:
        """Mix positions, shapes as :meth:`TransformerBlock.forward` has them."""
        for block in self:
            x = block(x, log_activity)
        return x


class AttentionPool(nn.Module):
    """Average over positions by learned weights, of each group of features on its own.

    Parameters
    ----------
    width : int
        Length of a position's features, a multiple of ``n_heads``.
    n_heads : int
        Groups of features.
    """

    def __init__(self, width: int, *, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.score = nn.Linear(width, n_heads, bias=False)  # a bias would cancel out in the softmax

    def forward(self, x: Tensor, log_activity: Tensor) -> Tensor:
        """Pool: (n, t, width) with (n, t), -inf … 0 and not -inf throughout, → (n, width)."""
        n, t, width = x.shape
        weights: Tensor = (self.score(x) + log_activity[:, :, None]).softmax(dim=1)
        grouped = x.reshape(n, t, self.n_heads, width // self.n_heads)
        return (grouped * weights[:, :, :, None]).sum(dim=1).reshape(n, width)
