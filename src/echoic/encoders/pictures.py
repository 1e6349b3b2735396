"""Encodes pictures into a space of sounds by a network of their own, as some that others trained have one.

Each picture becomes a square of the size that the network takes, whatever its shape was, as in its training:
each new pixel is a mean of those that lie around it, weighted by a triangle that is as wide as the picture
shrinks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from echoic.encoders.base import Picture, check_vectors
from echoic.encoders.graph import Graph
from echoic.spec import EncoderSpec
from echoic.types import Float32

__all__ = ["PictureNetwork", "squared"]

_ROWS = 128  # at a time, so that a large picture is not held as numbers of four bytes
_LARGEST_SIDE = 2_048  # pixels that a network takes


class PictureNetwork:
    """Turns pictures of a film, or one picture, into a unit vector of a space of sounds.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        Of the graph: (frames, 3, size, size) of levels 0 … 255 → (1, dim).
    graph : Graph
        What it takes and gives.
    spec : EncoderSpec
        Of the encoder to which it belongs.

    Raises
    ------
    ValueError
        If it is something else; the message is part of a sentence.
    """

    def __init__(self, session: Any, graph: Graph, spec: EncoderSpec) -> None:
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ValueError("it takes or gives more than one thing")
        shape = graph.inputs[0].shape or ()
        match shape:
            case (None, 3, int(height), int(width)) if 0 < height == width <= _LARGEST_SIDE:
                self._size = height
            case _:
                raise ValueError("it does not take any number of square pictures of three colours")
        self._session, self._spec = session, spec
        self._input, self._output = graph.inputs[0].name, graph.outputs[0].name

    def encode(self, pictures: Iterable[Picture]) -> Float32:
        """Encode pictures of one film, in order → (1, dim), of length 1."""
        seen = np.stack([squared(picture, self._size).transpose(2, 0, 1) for picture in pictures])
        [vectors] = self._session.run([self._output], {self._input: seen})
        return check_vectors(self._spec, 1, vectors)


def squared(picture: Picture, size: int) -> Float32:
    """Make a picture, (height, width, 3), a square of whole levels, (size, size, 3).

    Examples
    --------
    >>> squared(np.array([[[0, 0, 0], [200, 100, 9]]], np.uint8), 1)
    array([[[100.,  50.,   4.]]], dtype=float32)
    """
    height, width, _ = picture.shape
    across, down = _means(width, size), _means(height, size)
    tall = np.empty((height, size, 3), np.float32)
    for at in range(0, height, _ROWS):
        rows = picture[at : at + _ROWS].astype(np.float32)
        tall[at : at + _ROWS] = np.rint(across @ rows)
    whole: Float32 = np.rint(down @ tall.reshape(height, size * 3)).reshape(size, size, 3)
    return whole.clip(0, 255)


def _means(n: int, size: int) -> Float32:
    """Return by how much each of ``n`` pixels counts for each of ``size``, (size, n); each row sums to 1."""
    scale = n / size
    middles = (np.arange(size)[:, None] + 0.5) * scale
    apart = np.abs(np.arange(n) + 0.5 - middles) / max(scale, 1)
    weights = np.maximum(1 - apart, 0)
    means: Float32 = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return means
