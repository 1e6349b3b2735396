"""What a family's module returns: a network, and how it is to be windowed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

__all__ = ["TOLERANCE", "Built", "BuiltPictures", "BuiltText"]

TOLERANCE = 1e-4  # of any number of a vector, between a network and its graph


@dataclass(frozen=True, slots=True)
class BuiltText:
    """A network for words in the space of another for sounds.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode: (n, tokens) int64 → (n, dim) of length 1; without padding.
    tokenizer : str
        What makes tokens of words, in the JSON of the ``tokenizers`` library.
    """

    network: nn.Module
    tokenizer: str


@dataclass(frozen=True, slots=True)
class BuiltPictures:
    """A network for pictures in the space of another for sounds.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode: (frames, 3, size, size) of levels 0 … 255, those of a film in order, or one
        picture → (1, dim) of length 1.
    size : int
        Pixels of a side.
    """

    network: nn.Module
    size: int


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
    text : BuiltText, optional
        Where words have vectors in the same space.
    pictures : BuiltPictures, optional
        Where pictures have, too.
    tolerance : float
        What any number of a vector may differ by between the network and its graph.
    """

    network: nn.Module
    sample_rate: int
    window: float
    hop: float
    text: BuiltText | None = None
    pictures: BuiltPictures | None = None
    tolerance: float = TOLERANCE
