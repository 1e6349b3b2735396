"""Passages that two sequences of pitch classes have in common."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.audio.synthesis import PIECES, make_piece
from echoic.encoders.base import normalize
from echoic.encoders.harmony import HarmonyEncoder
from echoic.search.versions import compare
from echoic.types import Float32


def sequence(n: int, seed: int) -> Float32:
    """Chords that last for some vectors each, as those of music do."""
    rng = np.random.default_rng(seed)
    chords = np.repeat(rng.standard_normal((n, 12)), rng.integers(1, 4, n), axis=0)[:n]
    return normalize((chords + 0.2 * rng.standard_normal(chords.shape)).astype(np.float32))


seeds = st.integers(0, 2**16)


@settings(max_examples=40)
@given(seed=seeds, first=st.integers(0, 60), length=st.integers(20, 60), semitones=st.integers(-5, 6))
def test_a_passage_is_found_in_any_key(seed: int, first: int, length: int, semitones: int) -> None:
    piece = sequence(120, seed)
    passage = compare(piece[first : first + length], np.roll(piece, semitones, axis=1))
    assert passage.score > 0.95
    assert (passage.start, passage.end, passage.semitones) == (first, first + length - 1, semitones)


@settings(max_examples=25)
@given(seed=seeds, factor=st.floats(0.8, 1.25))
def test_another_tempo_is_nearer_than_another_piece(seed: int, factor: float) -> None:
    piece, stranger = sequence(150, seed), sequence(150, seed + 1)
    there = np.minimum((np.arange(int(150 / factor)) * factor).astype(int), 149)
    assert compare(piece, piece[there]).score > compare(piece, stranger).score + 0.1


@settings(max_examples=30)
@given(seed=seeds, n=st.integers(1, 40), other=st.integers(1, 40))
def test_scores_lie_between_0_and_1_and_spans_within_the_other(seed: int, n: int, other: int) -> None:
    passage = compare(sequence(n, seed), sequence(other, seed + 1))
    assert 0 <= passage.score <= 1
    assert 0 <= passage.start <= passage.end < other
    assert -5 <= passage.semitones <= 6


def harmony(samples: Float32) -> Float32:
    return HarmonyEncoder().encode(np.lib.stride_tricks.sliding_window_view(samples, 8_000)[::4_000])


@pytest.fixture(scope="module")
def pieces() -> dict[str, Float32]:
    return {name: make_piece(name, sample_rate=8_000).mean(axis=1) for name in PIECES}


def test_a_live_take_is_nearer_than_any_other_piece(pieces: dict[str, Float32]) -> None:
    sequences = {name: harmony(samples) for name, samples in pieces.items()}
    for one, other in (("night-drive", "night-drive-live"), ("night-drive-live", "night-drive")):
        scores = {name: compare(sequences[one], sequences[name]).score for name in PIECES if name != one}
        assert max(scores, key=scores.__getitem__) == other
        assert scores.pop(other) > max(scores.values()) + 0.2


def test_a_tone_is_its_pitch_class_in_every_octave() -> None:
    time = np.arange(8_000) / 8_000
    tones = np.stack([np.sin(2 * np.pi * f * time) for f in (220, 440, 880, 466.16)]).astype(np.float32)
    vectors = HarmonyEncoder().encode(0.1 * tones)
    assert vectors.argmax(axis=1).tolist() == [9, 9, 9, 10]  # A, A, A, A sharp; C is 0
    assert (vectors[:3] @ vectors[:3].T > 0.9).all()
    np.testing.assert_allclose(HarmonyEncoder().encode(0.001 * tones), vectors, atol=0.05)
    assert np.isfinite(HarmonyEncoder().encode(np.zeros((1, 8_000), np.float32))).all()
