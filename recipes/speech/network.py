"""The head of ``speech``: a transformer over time in which each frame looks at those within half a second."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["SpeechHead", "pooled"]


class Near(nn.Module):
    """Attention to the frames near by, with a weight of their own for each distance."""

    def __init__(self, width: int, heads: int, reach: int) -> None:
        super().__init__()
        self.heads, self.reach = heads, reach
        self.taken = nn.Linear(width, 3 * width)
        self.given = nn.Linear(width, width)
        self.by_distance = nn.Parameter(torch.zeros(2 * reach + 1, heads))

    def forward(self, x: Tensor) -> Tensor:
        n, frames, width = x.shape
        query, key, value = self.taken(x).view(n, frames, 3, self.heads, width // self.heads).unbind(2)
        around = (0, 0, 0, 0, self.reach, self.reach)
        keys, values = functional.pad(key, around), functional.pad(value, around)
        if self.training:
            return self.given(self._all_at_once(query, keys, values).reshape(n, frames, width))
        shifts = range(2 * self.reach + 1)
        scores = torch.stack([(query * keys[:, i : i + frames]).sum(3) for i in shifts], 3)
        weights = (scores / (width // self.heads) ** 0.5 + self.by_distance.T).softmax(3)
        seen = torch.stack([weights[:, :, :, i : i + 1] * values[:, i : i + frames] for i in shifts]).sum(0)
        return self.given(seen.reshape(n, frames, width))

    def _all_at_once(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Do the same by multiplying all frames with all, which is quicker where they are few."""
        frames = query.shape[1]
        distance = torch.arange(frames + 2 * self.reach)[None] - torch.arange(frames)[:, None]
        is_near = (distance >= 0) & (distance <= 2 * self.reach)
        bias = self.by_distance[distance.clamp(0, 2 * self.reach)].permute(2, 0, 1)
        scores = query.transpose(1, 2) @ keys.permute(0, 2, 3, 1) / query.shape[3] ** 0.5 + bias
        weights = scores.masked_fill(~is_near, -torch.inf).softmax(3)
        return (weights @ values.transpose(1, 2)).transpose(1, 2)


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, reach: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.near = Near(width, heads, reach)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.near(self.first(x))
        return x + self.narrow(functional.gelu(self.wide(self.second(x))))


class SpeechHead(nn.Module):
    """Frames of the embedding, (n, frames, 96) → what is said in each, (n, frames, dim), of length 1.

    The last number is how little a frame counts: 1 where nothing is said.
    """

    def __init__(
        self, dim: int = 128, width: int = 192, heads: int = 4, layers: int = 2, reach: int = 6
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(96))
        self.register_buffer("deviation", torch.ones(96))
        self.taken = nn.Linear(3 * 96, width)
        self.layers = nn.ModuleList(Layer(width, heads, reach) for _ in range(layers))
        self.last = nn.LayerNorm(width)
        self.what, self.how_much = nn.Linear(width, dim - 1), nn.Linear(width, 1)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Give what is said, of length 1, and the logit of how much it counts."""
        x = (x - self.mean) / self.deviation
        x = torch.cat([functional.pad(x, (0, 0, 1, 0))[:, :-1], x, functional.pad(x, (0, 0, 0, 1))[:, 1:]], 2)
        x = self.taken(x)
        for layer in self.layers:
            x = layer(x)
        x = self.last(x)
        return functional.normalize(self.what(x), dim=2), self.how_much(x)

    def forward(self, x: Tensor) -> Tensor:
        what, logit = self.parts(x)
        much = logit.sigmoid()
        return torch.cat([what * much, (1 - much * much).clamp(min=0).sqrt()], 2)


def pooled(what: Tensor, logit: Tensor, mask: Tensor) -> Tensor:
    """Make one vector of a stretch: the mean of its frames by how much each counts, of length 1."""
    much = logit[:, :, 0].sigmoid() * mask
    return functional.normalize((what * much[:, :, None]).sum(1), dim=1)
