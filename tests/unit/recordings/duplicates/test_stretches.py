"""Whether two clips are one recording, and what parts two files share, from their windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from echoic.recordings.duplicates.stretches import same_clip, shared_parts
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


HOP = 0.5
A, B = range(100, 140), range(200, 240)  # moments of sound: two jingles of 20 s
OTHER = range(300, 10_000)  # moments of which each comes once


def heard(*sounds: Sequence[int]) -> Segments:
    """Windows of 1 s, one a moment: equal where the moments are."""
    moments = [moment for sound in sounds for moment in sound]
    vectors = np.array([np.random.default_rng(moment).normal(size=64) for moment in moments])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    starts = HOP * np.arange(len(moments))
    return Segments(starts, starts + 2 * HOP, vectors.astype(np.float32))


def parts_of(one: Segments, other: Segments) -> list[tuple[float, float, float]]:
    rows, columns = np.nonzero(one.vectors @ other.vectors.T > 0.9)
    found = shared_parts(one, other, one.starts[rows], other.starts[columns])
    return sorted((part.start, part.end, part.other_start) for part in found)


def loop(seconds: float, begin: float = 0.0) -> list[int]:
    """Moments of a loop of 8 s, begun somewhere in it."""
    return [(round(begin / HOP) + i) % 16 for i in range(round(seconds / HOP))]


@pytest.mark.parametrize("begin", [0.0, 2.5])
def test_one_airing_of_a_loop_is_one_part_at_whichever_turn(begin):
    excerpt, recording = heard(OTHER[:20], loop(20, begin), OTHER[20:40]), heard(loop(64))
    [(start, end, place)] = parts_of(excerpt, recording)
    assert (start, end) == pytest.approx((10, 30), abs=0.6)
    assert place % 8 == begin
    [(start, end, place)] = parts_of(recording, excerpt)
    assert end - start == pytest.approx(20, abs=0.6)
    assert (start % 8, place) == (begin, 10)


def test_two_airings_of_a_loop_with_other_sound_between_are_two():
    twice = heard(loop(24), OTHER[:30], loop(24))
    assert len(parts_of(twice, heard(loop(64)))) == 2
    assert len(parts_of(heard(loop(64)), twice)) == 2


def test_a_jingle_that_comes_again_is_told_at_each_place():
    show = heard(OTHER[:40], A, OTHER[40:80], A, OTHER[80:100], A)
    assert parts_of(heard(A), show) == [(0, 20.5, 20), (0, 20.5, 60), (0, 20.5, 90)]
    assert parts_of(show, heard(A)) == [(20, 40.5, 0), (60, 80.5, 0), (90, 110.5, 0)]


def test_what_changed_places_is_told_twice():
    assert parts_of(heard(A, B), heard(B, A)) == [(0, 20.5, 20), (20, 40.5, 0)]
    assert len(parts_of(heard(A, loop(24)), heard(loop(24), A))) == 2
