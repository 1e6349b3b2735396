"""Whether two clips are one recording, from their windows."""

from __future__ import annotations

import numpy as np
import pytest

from echoic.recordings.duplicates.stretches import same_clip
from echoic.types import Segments


def clip(length: float, seed: int = 0, *, like: np.ndarray | None = None, cosine: float = 1.0) -> Segments:
    """One window, of some seconds of sound, whose vector has a cosine with another."""
    vector = np.random.default_rng(seed).normal(size=64)
    if like is not None:
        vector -= (vector @ like) * like
        vector *= np.sqrt(1 - cosine**2) / np.linalg.norm(vector)
        vector += cosine * like
    vector /= np.linalg.norm(vector)
    return Segments(np.zeros(1), np.full(1, length), vector[None].astype(np.float32))


@pytest.mark.parametrize("length", [1 / 48_000, 0.009, 0.023, 0.15, 0.29])
def test_sounds_too_short_to_be_told_apart_are_one_only_where_they_are_identical(length):
    one = clip(length)
    assert same_clip(one, clip(length)) == 1
    # As noises of 9 and of 23 ms have it.
    for cosine in (0.9951, 0.9971):
        other = clip(length, 1, like=one.vectors[0], cosine=cosine)
        assert same_clip(one, other) == 0
        assert same_clip(other, one) == 0


@pytest.mark.parametrize(
    ("cosine", "at_least", "at_most"), [(0.97, 0, 0.01), (0.984, 0.4, 0.6), (0.995, 0.99, 1)]
)
def test_longer_ones_are_told_by_how_similar_they_are(cosine, at_least, at_most):
    one = clip(0.4)
    assert at_least <= same_clip(one, clip(0.4, 1, like=one.vectors[0], cosine=cosine)) <= at_most
    assert same_clip(one, clip(0.1, 1, like=one.vectors[0], cosine=cosine)) == 0
