"""Where a spoken phrase lies: paths against every path there is, places, pauses, and what is sure."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.search import spoken
from echoic.search.spoken import (
    Background,
    Phrase,
    heard_in,
    least_score,
    outlined,
    probability,
)
from echoic.search.warping import best_paths, best_scores
from echoic.storage.frames import SpokenFrames

RATE = 12.5
DIM = 17


def said(words: list[int], starts: np.ndarray | None = None) -> SpokenFrames:
    """Make frames in each of which one of 16 things is said."""
    numbers = np.zeros((len(words), DIM), np.int8)
    numbers[np.arange(len(words)), words] = 120
    numbers[:, -1] = 41
    starts = np.arange(len(words)) / RATE if starts is None else starts
    return SpokenFrames(starts, starts + 1 / RATE, numbers)


def phrase(words: list[int]) -> Phrase:
    return Phrase(heard_in(said(words), RATE))


def by_all_paths(alike: np.ndarray, end: int) -> float:
    """Go every path back from a column: on by one row and column, or by two of one of them."""

    def back(row: int, column: int) -> float:
        if column < 0:
            return -np.inf
        if row == 0:
            return float(alike[0, column])
        before = [back(row - 1, column - 1), back(row - 1, column - 2)]
        if row >= 2:
            before.append(back(row - 2, column - 1) + alike[row - 1, column])
        else:
            before.append(alike[0, column])  # the first two rows are one column
        return float(alike[row, column] + max(before))

    return back(len(alike) - 1, end)


@given(st.integers(1, 5), st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_the_best_path_is_the_best_of_all(rows, columns, seed):
    alike = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    scores, firsts = best_paths(alike)
    np.testing.assert_allclose(scores, [by_all_paths(alike, end) for end in range(columns)], atol=1e-4)
    assert (firsts <= np.arange(columns)).all()
    np.testing.assert_array_equal(best_scores(alike), scores)


@pytest.mark.parametrize("slower", [1, 2])
def test_a_phrase_is_found_where_it_is_said_at_any_speed(slower):
    rng = np.random.default_rng(0)
    words = [1, 1, 2, 2, 3, 3, 4, 4]
    around = rng.integers(5, 16, 400).tolist()
    there = np.repeat(words[::2], 2 * slower).tolist()
    heard = heard_in(said(around[:150] + there + around[150:]), RATE)
    best, *others = phrase(words).places(heard)
    assert best.score > 0.9
    due = 150 / RATE, (150 + len(there)) / RATE
    assert heard.span(best.first, best.last) == pytest.approx(due, abs=0.17 * slower)
    assert max(place.score for place in others) < best.score - 0.3


def test_places_do_not_overlap_and_come_best_first():
    rng = np.random.default_rng(1)
    heard = heard_in(said(rng.integers(0, 16, 2_000).tolist()), RATE)
    places = phrase([1, 2, 3, 4]).places(heard)
    assert len(places) > 5
    scores = [place.score for place in places]
    assert scores == sorted(scores, reverse=True)
    rows = [row for place in places for row in range(place.first, place.last + 1)]
    assert len(rows) == len(set(rows))


def test_a_long_pause_counts_for_a_short_one_and_times_are_those_of_the_file():
    starts = np.concatenate([np.arange(4), 4_000 + np.arange(4)]) / RATE
    heard = heard_in(said([1, 2, 3, 4, 5, 6, 7, 8], starts), RATE)
    assert len(heard.counts) < 20
    assert np.count_nonzero(heard.counts) == 8
    assert heard.span(0, 3) == pytest.approx((0, 4 / RATE))
    assert heard.span(4, len(heard.counts) - 1) == pytest.approx((4_000 / RATE, 4_004 / RATE))


def test_nothing_is_found_where_nothing_is_said():
    assert phrase([1, 2, 3]).places(heard_in(said([]), RATE)) == []


def of_people(rng: np.random.Generator, n: int) -> SpokenFrames:
    """Make frames that go from one thing to another, with pauses, and of which some hardly count."""
    what = rng.normal(size=(n // 2 + 1, DIM - 1))
    what = np.repeat(what, rng.integers(2, 5, len(what)), axis=0)[:n] + 0.3 * rng.normal(size=(n, DIM - 1))
    much = rng.uniform(0.2, 1, (n, 1))
    numbers = np.hstack([much * what / np.linalg.norm(what, axis=1, keepdims=True), np.sqrt(1 - much**2)])
    starts = np.cumsum(rng.choice([1, 1, 1, 1, 2, 20], n)) / RATE
    return SpokenFrames(starts, starts + 1 / RATE, np.rint(127 * numbers).astype(np.int8))


class OfFile:
    """Gives frames as a store does."""

    def __init__(self, frames: SpokenFrames) -> None:
        self.frames = frames

    def read_between(self, first: int, last: int) -> SpokenFrames:
        return SpokenFrames(*(column[first:last] for column in self.frames))

    def numbers_between(self, first: int, last: int) -> np.ndarray:
        return self.frames.numbers[first:last]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 16), st.sampled_from([0.0, 0.3, 0.45, 0.6]))
def test_an_outline_hides_nothing(seed, n_axes, least):
    rng = np.random.default_rng(seed)
    frames = [of_people(rng, n) for n in (150, 4, 40)]
    axes = np.linalg.qr(rng.normal(size=(DIM - 1, DIM - 1)))[0][:n_axes].astype(np.float32)
    begin = int(rng.integers(0, 130))
    asked = Phrase(heard_in(SpokenFrames(*(column[begin : begin + 9] for column in frames[0])), RATE))
    plain = [(number, heard_in(one, RATE)) for number, one in enumerate(frames)]
    drawn = [(number, outlined(heard, axes, OfFile(heard.frames))) for number, heard in plain]
    found, due = [
        [
            (number, [(p.first, p.last, heard.span(p.first, p.last)) for p in places])
            for number, heard, places in asked.find(files, least)
        ]
        for files in (drawn, plain)
    ]
    assert found == due
    assert due[0][0] == 0  # it is found where it was taken from


def test_the_stretches_that_a_file_is_gone_through_in_do_not_show(monkeypatch):
    rng = np.random.default_rng(4)
    files = [(number, heard_in(of_people(rng, n), RATE)) for number, n in enumerate((300, 3, 120))]
    asked = Phrase(heard_in(of_people(rng, 8), RATE))
    whole = [(number, places) for number, _, places in asked.find(files)]
    monkeypatch.setattr(spoken, "_AT_ONCE", 64)
    cut = [(number, places) for number, _, places in asked.find(files)]
    assert [number for number, _ in whole] == [number for number, _ in cut]
    for (_, one), (_, other) in zip(whole, cut, strict=True):
        assert [(p.first, p.last) for p in one] == [(p.first, p.last) for p in other]
    assert [places for _, places in whole] == [
        asked.places(heard) for _, heard in files if asked.places(heard)
    ]


def test_what_is_alike_enough_is_what_is_sure_enough():
    level = (0.4, 0.05)
    for chance in (0.01, 0.5, 0.99):
        least = least_score(chance, level, 12)
        assert probability(least + 2e-4, level, 12) >= chance > probability(least - 2e-4, level, 12)
    assert least_score(0, level, 12) == -np.inf


def test_what_is_sure_rises_with_what_is_alike():
    level = (0.4, 0.05)
    chances = [probability(score, level, 10) for score in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert chances == sorted(chances)
    assert 0 <= chances[0] < 0.1
    assert chances[-1] > 0.9


def test_what_a_phrase_is_compared_with_says_how_alike_chance_is():
    rng = np.random.default_rng(2)
    frames = said(rng.integers(0, 16, 500).tolist())
    content = io.BytesIO()
    np.savez(content, numbers=frames.numbers, starts=frames.starts, pieces=np.arange(0, 500, 100))
    mean, deviation = Background(content.getvalue(), RATE).level(phrase([1, 2, 3, 4]))
    assert 0.2 < mean < 0.8
    assert 0.01 <= deviation < 0.3
