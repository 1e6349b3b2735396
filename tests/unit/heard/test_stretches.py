"""Stretches of speech for a recogniser of words, and lines of what it hears."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.heard.stretches import FRAME, LONGEST, lines, spoken, trimmed
from echoic.types import Word


def chances(*spans, seconds=60.0):
    """Say where somebody speaks for sure: in these spans, in seconds."""
    likely = np.full(round(seconds / FRAME), 0.01, np.float32)
    for start, end in spans:
        likely[round(start / FRAME) : round(end / FRAME)] = 0.95
    return likely


def seconds(found):
    return [(round(first * FRAME, 1), round(past * FRAME, 1)) for first, past in found]


def test_where_nobody_speaks_there_is_no_stretch():
    assert spoken(chances()) == spoken(np.empty(0, np.float32)) == []
    assert spoken(chances((10, 10.1))) == []  # a click


@pytest.mark.parametrize("pause", [5, 40, 600])
def test_a_pause_parts_stretches(pause):
    found = seconds(spoken(chances((2, 6), (6 + pause, 9 + pause), seconds=pause + 20)))
    assert found == [(1.5, 6.5), (5.5 + pause, 9.5 + pause)]


def test_a_breath_does_not():
    assert seconds(spoken(chances((0, 3), (4, 6)))) == [(0, 6.5)]


def test_long_speech_is_cut_where_it_is_quietest():
    likely = chances((0, 50))
    at = round(20 / FRAME)
    likely[at - 5 : at + 5] = 0.4
    found = spoken(likely)
    assert abs(found[0][1] - at) <= 3
    assert found[1][0] == found[0][1]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 900), st.sampled_from([0.0, 0.4, 0.9])), max_size=12))
def test_stretches_are_in_order_apart_and_not_too_long(runs):
    likely = np.concatenate([np.empty(0), *(np.full(n, chance) for n, chance in runs)]).astype(np.float32)
    past = 0
    for first, end in spoken(likely):
        assert past <= first < end <= len(likely)
        assert (end - first) * FRAME <= LONGEST + FRAME
        past = end


def test_words_are_where_the_voice_is():
    likely = chances((1, 2), (4, 5), seconds=6)
    words = [Word(10.5, 11.4, "one"), Word(11.4, 14.2, "two"), Word(14.2, 15.9, "three"), Word(15.9, 16, "?")]
    told = trimmed(words, likely, 10.0)
    assert [word.text for word in told] == ["one", "two", "three"]  # nobody says the last
    assert [round(word.start, 1) for word in told] == [11.0, 11.4, 14.2]
    assert [round(word.end, 1) for word in told] == [11.4, 13.4, 15.0]  # of 2 s at most
    for before, after in pairwise(told):
        assert before.start < before.end <= after.start


def test_what_is_repeated_without_any_sound_is_left_out():
    said = [Word(0.2, 0.5, "again"), Word(0.5, 0.5, "and"), Word(0.5, 1.0, " again")]
    looped = [Word(1.0, 1.0, f" {text}") for text in "and again and again".split()]
    assert [word.text for word in trimmed([*said, *looped], chances((0, 2)), 0.0)] == [
        "again",
        "and",
        " again",
    ]


def test_lines_end_with_sentences_in_pauses_and_when_they_are_long():
    texts = "Well. This is it and so on".split()
    words = [
        Word(at, at + 0.5, f" {text}") for at, text in zip([0, 0.5, 1, 1.5, 5, 5.5, 6], texts, strict=True)
    ]
    told = lines(words, "en")
    assert [cue.text for cue in told] == ["Well.", "This is it", "and so on"]
    assert [(cue.start, cue.end, cue.language) for cue in told][1] == (0.5, 2.0, "en")
    long = [Word(at / 4, at / 4 + 0.2, " letters") for at in range(40)]
    assert all(len(cue.text) <= 84 and cue.end - cue.start <= 7 for cue in lines(long, "en"))
    assert "".join(word.text for cue in lines(long, "") for word in cue.words).count("letters") == 40
    assert lines([], "en") == []
