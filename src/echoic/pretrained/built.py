"""What a family's module returns: a network, and how it is to be windowed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

__all__ = ["Built"]


@dataclass(frozen=True, slots=True)
class Built:
    """A pretrained network, ready to be written as a graph.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode: (n, samples) of full scale ±1 → (n, dim) of length 1.
    sample_rate : int
        Hz.
    window, hop : float
        Length of one window and distance between the starts of two, in seconds.
    """

    network: nn.Module
    sample_rate: int
    window: float
    hop: float
