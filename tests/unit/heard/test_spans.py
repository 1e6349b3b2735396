"""What is told of probabilities over time: from when to when, and of which kinds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from echoic.heard.spans import BRIDGED, Heard, find_spans, most_specific

TIMES = np.arange(0.25, 5.25, 0.5)


def column(*likely):
    padded = np.zeros((len(TIMES), 1), np.float32)
    padded[: len(likely), 0] = likely
    return padded


def found(*likely, least=0.5):
    return [
        tuple(map(float, np.round(span[1:], 3)))
        for span in find_spans(TIMES, (0.0, 5.0), column(*likely), least)
    ]


@pytest.mark.parametrize(
    ("likely", "spans"),
    [
        ([0, 0, 0, 0], []),
        ([0, 0.4, 0.4, 0], []),  # never likely enough
        ([0, 0.6, 0.6, 0], [(0.375, 1.625, 0.6)]),  # .15 is passed a quarter of the way between two moments
        ([0.9, 0.9, 0], [(0.0, 1.167, 0.9)]),  # from the very begin
        ([0, 0.2, 0.6, 0.2, 0], [(0.625, 1.875, 0.6)]),  # what is less likely around it belongs to it
        ([0, 0.6, 0, 0, 0.5, 0], [(0.375, 2.6, 0.6)]),  # a pause of .78 s
        ([0, 0.6, 0, 0, 0, 0.5], [(0.375, 1.125, 0.6), (2.4, 3.1, 0.5)]),
    ],
)
def test_a_class_is_told_while_it_is_a_third_as_likely_as_it_must_be(likely, spans):
    assert found(*likely) == spans


def test_what_goes_on_to_the_end_ends_with_the_sound():
    likely = np.full((len(TIMES), 2), 0.8, np.float32)
    likely[:, 1] = 0.1
    assert find_spans(TIMES, (0.0, 5.0), likely, 0.5) == [Heard(0, 0.0, 5.0, pytest.approx(0.8))]
    assert find_spans(np.empty(0), (0.0, 0.0), np.empty((0, 2), np.float32), 0.5) == []


@settings(max_examples=60)
@given(arrays(np.float32, (10, 3), elements=st.floats(0, 1, width=32)), st.floats(0.0625, 1, width=32))
def test_spans_lie_in_the_sound_apart_and_are_likely_enough(likely, least):
    spans = find_spans(TIMES, (0.0, 5.0), likely, least)
    assert {span.label for span in spans} == set(np.flatnonzero(likely.max(axis=0) >= least).tolist())
    for span in spans:
        assert 0 <= span.start < span.end <= 5
        assert (
            least
            <= span.probability
            == pytest.approx(likely[(span.start <= TIMES) & (span.end >= TIMES), span.label].max())
        )
    for one, other in pairwise(spans):
        assert one.label < other.label or other.start - one.end > BRIDGED


ANIMAL, DOG, BARK, RAIN = range(4)
KINDS = {ANIMAL: {DOG, BARK}, DOG: {BARK}}


def test_the_most_specific_is_told():
    bark, dog, rain = Heard(BARK, 1, 3, 0.9), Heard(DOG, 1, 3.5, 0.95), Heard(RAIN, 0, 9, 0.6)
    animal = Heard(ANIMAL, 0, 9, 0.97)
    assert most_specific([animal, dog, bark, rain], KINDS) == [animal, bark, rain]
    assert most_specific([dog, rain], KINDS) == [dog, rain]
    unsure = Heard(BARK, 1, 3, 0.6)  # a dog for certain, and perhaps it barks
    assert most_specific([dog, unsure], KINDS) == [dog, unsure]
    assert most_specific([Heard(ANIMAL, 1, 4, 0.9), dog], KINDS) == [dog]


def test_parts_that_several_kinds_tell_add_up_once():
    cat, kinds = 4, {ANIMAL: {DOG, 4}}
    animal = Heard(ANIMAL, 0, 10, 0.9)
    assert most_specific([animal, Heard(DOG, 0, 3, 0.9), Heard(cat, 1, 3, 0.9)], kinds)[0] == animal
    assert animal not in most_specific([animal, Heard(DOG, 0, 3, 0.9), Heard(cat, 7, 10, 0.9)], kinds)
