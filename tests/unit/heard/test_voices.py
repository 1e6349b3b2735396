"""Voices of windows: how much speech there is, whose it is, when, and in how many groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.heard.speakers import group, named
from echoic.heard.voices import LIKELY, Speech, level, probability
from echoic.types import Segments

WINDOW, HOP, DIM = 1.6, 0.4, 5


def segments(told: str, shares: float = 1.0, hop: float = HOP) -> Segments:
    """Make windows of the voices a to d, each a direction of its own; in a blank nobody speaks."""
    vectors = np.zeros((len(told), DIM), np.float32)
    for row, letter in zip(vectors, told, strict=True):
        share = shares if letter != " " else 0.0
        row[ord(letter) - ord("a") if share else 0] = share**0.5
        row[-1] = (1 - share) ** 0.5
    starts = hop * np.arange(len(told))
    return Segments(starts, starts + WINDOW, vectors)


def speech(told: str, shares: float = 1.0, hop: float = HOP) -> Speech:
    return Speech.of(segments(told, shares, hop), WINDOW)


@pytest.mark.parametrize("hop", [0.4, 0.8, 1.6])
@pytest.mark.parametrize("share", [0.25, 1.0])
def test_seconds_of_speech_do_not_depend_on_how_densely_windows_lie(hop, share):
    n = round(8 / hop) - round(WINDOW / hop) + 1
    assert speech("a" * n, share, hop).seconds == pytest.approx(8 * share, abs=1e-3)
    assert speech("", 1.0, hop).seconds == 0
    assert speech("   ", 1.0, hop).seconds == 0


def test_the_voice_is_the_mean_by_how_much_is_spoken():
    told = segments("ab")
    told.vectors[1, [1, -1]] = 0.25**0.5, 0.75**0.5
    np.testing.assert_allclose(
        Speech.of(told, WINDOW).voice[:2], np.array([1, 0.25]) / 1.0625**0.5, rtol=1e-5
    )
    assert not speech("  ").voice.any()


def test_a_span_ends_where_another_speaks_and_where_speech_does():
    heard = speech("aaaabbbb")
    is_a = heard.voices[:, 0] > 0
    [a], [b] = heard.spans(is_a), heard.spans(~is_a)
    assert (a.first, a.past, b.first, b.past) == (0, 4, 4, 8)
    assert a.start == 0
    assert a.end == b.start == pytest.approx(2.2)
    assert b.end == pytest.approx(7 * HOP + WINDOW)
    told = segments("aaaa")
    told.vectors[0] = [0.25**0.5, 0, 0, 0, 0.75**0.5]  # speech begins in the last quarter of the first window
    [late] = Speech.of(told, WINDOW).spans(np.ones(4, bool))
    assert late.start == pytest.approx(0.75 * WINDOW)


def test_short_pauses_are_bridged_and_long_ones_not():
    pause = "a" * 3 + " " * 5 + "a" * 3
    assert [len(speech("aaa" + " " * n + "aaa").spans(np.ones(6, bool))) for n in (2, 5, 9)] == [1, 1, 2]
    assert len(speech(pause).spans(np.ones(6, bool))) == 1


@given(st.floats(0.01, 0.99), st.floats(0.2, 20))
def test_the_level_of_a_probability_is_where_it_is_reached(chance, seconds):
    assert probability(level(chance, seconds), seconds) == pytest.approx(chance, abs=1e-6)


def test_likelier_is_what_is_more_alike():
    chances = probability(np.linspace(-1, 1, 50), 3.0)
    assert (np.diff(chances) >= 0).all()
    assert chances[0] < LIKELY < chances[-1]


@pytest.mark.parametrize(
    ("told", "due"),
    [
        ("aaaaaaaa", "00000000"),
        ("aaaaabbbbbaaaaa", "000001111100000"),
        ("cccccaaaaabbbbbccccc", "00000111112222200000"),
    ],
)
def test_groups_are_numbered_by_who_speaks_first(told, due):
    assert "".join(map(str, group(speech(told)))) == due


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(6, 12)), min_size=1, max_size=8))
def test_each_voice_has_one_group(turns):
    told = "".join(letter * n for letter, n in turns)
    groups = group(speech(told))
    order = list(dict.fromkeys(told))
    # Windows at a seam may go to either side.
    middle = np.array(
        [told[max(0, i - 2) : i + 3] == told[i] * len(told[max(0, i - 2) : i + 3]) for i in range(len(told))]
    )
    assert [order[number] for number in groups[middle]] == [
        c for c, is_in in zip(told, middle, strict=True) if is_in
    ]


def test_who_hardly_speaks_has_no_group():
    told = segments("aaaaaaaabbaaaaaaaa", 0.3)  # b: .5 s of windows that are speech in part
    assert set(group(Speech.of(told, WINDOW))) == {0}


def test_names_go_on_behind_z():
    assert [named(number) for number in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]
