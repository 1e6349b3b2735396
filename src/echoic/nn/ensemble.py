"""Several networks as one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from echoic.errors import ModelError
from echoic.nn.embedder import Embedder

__all__ = ["Ensemble"]


class Ensemble(nn.Module):
    """Embed by several networks side by side; the cosine of two vectors is the mean of the members' cosines.

    Parameters
    ----------
    members : sequence of Embedder or Ensemble
        At least one, all fed by spectrograms of the same shape.

    Raises
    ------
    ModelError
        If there is no member, or they do not look at spectrograms of one shape.

    Examples
    --------
    >>> import torch
    >>> from echoic.nn.architectures import build
    >>> Ensemble([build("cnn"), build("hybrid", dim=64)]).eval()(torch.zeros(2, 247, 64)).shape
    torch.Size([2, 256])
    """

    n_mels: int
    n_frames: int
    dim: int

    def __init__(self, members: Sequence[Embedder | Ensemble]) -> None:
        super().__init__()
        if not members:
            raise ModelError("an ensemble needs at least one network")
        shapes = sorted({(member.n_frames, member.n_mels) for member in members})
        if len(shapes) > 1:
            seen = " and ".join(f"{n_frames} frames of {n_mels} bands" for n_frames, n_mels in shapes)
            raise ModelError(
                f"networks that look at {seen} cannot be one ensemble; train them with the same "
                "window and front end"
            )
        [(self.n_frames, self.n_mels)] = shapes
        self.dim = sum(member.dim for member in members)
        self.members = nn.ModuleList(members)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Embed windows: (n, frames, n_mels) in dB → (n, sum of the members' dim) of length 1."""
        vectors = [member(log_mel) for member in self.members]
        return torch.cat(vectors, dim=1) / math.sqrt(len(vectors))
