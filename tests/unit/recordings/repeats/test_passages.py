"""What is repeated, by vectors made so that it is known."""

from __future__ import annotations

import numpy as np
import pytest

from echoic.encoders.base import normalize
from echoic.recordings.repeats.groups import grouped
from echoic.recordings.repeats.passages import Passage, _best_run, passages
from echoic.recordings.repeats.timeline import HOP, Timeline, Track
from echoic.types import Segments

DIM, WINDOW = 64, 1.024


def strangers(n, seed):
    return normalize(np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32))


def sound(seconds, seed):
    """Moments .064 s apart, of which neighbours are alike as those of music are."""
    moments = np.random.default_rng(seed).normal(size=(round(seconds / 0.064) + 32, DIM))
    bell = np.exp(-0.5 * np.square(0.064 * np.arange(-16, 17) / 0.3))
    smooth = np.apply_along_axis(np.convolve, 0, moments, bell, "valid")
    return normalize(smooth.astype(np.float32))


def track(name, *parts, hop=HOP):
    """A recording of parts that follow each other."""
    moments = np.concatenate(parts)
    rows = np.arange(0, len(moments), round(hop / 0.064))
    starts = rows * 0.064 - WINDOW / 2
    return Track(name, Segments(starts, starts + WINDOW, moments[rows]), None)


def found(*tracks, apart=20.0, min_length=2.0):
    timeline = Timeline(tracks, strangers(500, 0), apart)
    groups = grouped(passages(timeline, apart, 0.5, lambda _: None), min_length, apart)
    spans = []
    for group in groups:
        numbers = timeline.track_of(np.array([place.begin for place in group]))
        spans.append(
            sorted(
                (int(n), place.begin - timeline.begins[n], place.end - timeline.begins[n])
                for n, place in zip(numbers, group, strict=True)
            )
        )
    return spans


JINGLE = sound(6.0, 1)


@pytest.mark.parametrize("hop", [HOP, 2 * HOP])
def test_a_jingle_is_found_at_each_place_within_files_and_across(hop):
    one = track("a", sound(10, 2), JINGLE, sound(30, 3), JINGLE, sound(5, 4), hop=hop)
    other = track("b", sound(3.3, 5), JINGLE, sound(4, 6), hop=hop)
    [group] = found(one, other)
    for place, (number, begin) in zip(group, [(0, 10.0), (0, 46.0), (1, 3.3)], strict=True):
        assert place == (number, pytest.approx(begin, abs=0.4), pytest.approx(begin + 6, abs=0.4))


def test_what_comes_again_soon_is_music_of_its_own():
    assert found(track("a", sound(10, 2), JINGLE, sound(8, 3), JINGLE, sound(9, 4))) == []


def test_a_loop_that_is_played_twice_is_told_once_at_each_place():
    song = np.tile(sound(3.0, 7), (5, 1))
    [group] = found(track("a", sound(20, 2), song, sound(40, 3), song, sound(20, 4)))
    assert len(group) == 2
    assert all(end - begin > 12 for _, begin, end in group)


def test_noise_and_long_tones_are_nothing_that_is_repeated():
    rng = np.random.default_rng(8)
    hum = normalize((np.ones(DIM) + 0.3 * rng.normal(size=(1500, DIM))).astype(np.float32))
    assert found(track("a", sound(10, 2), hum, sound(10, 3))) == []
    assert found(track("a", sound(60, 2)), track("b", sound(60, 3))) == []


def test_nothing_is_found_in_nothing():
    nothing = Track("a", Segments.none(DIM), None)
    assert found(nothing) == found(nothing, nothing) == []


def test_what_lies_within_a_longer_group_is_not_told_besides():
    longer = Passage(0.0, 60.0, 1000.0, 1.0, 1.0, 5.0)
    within = Passage(20.0, 26.0, 1030.0, 1.0, 0.9, 1.0)
    [group] = grouped([longer, within], 2.0, 300.0)
    assert [(place.begin, place.end) for place in group] == [(0.0, 60.0), (1000.0, 1060.0)]


def test_turns_of_a_loop_are_no_places_of_their_own():
    whole = Passage(0.0, 20.0, 1000.0, 1.0, 1.0, 5.0)
    turns = [Passage(0.0, 20.0, 1000.0 + aside, 1.0, 0.9, 2.0) for aside in (11.0, 21.0)]
    [group] = grouped([whole, *turns], 2.0, 300.0)
    assert sorted(place.begin for place in group) == [0.0, 1000.0]


def test_places_carry_their_pace():
    fast = Passage(0.0, 10.0, 1000.0, 1 / 1.02, 1.0, 3.0)
    plain = Passage(0.0, 10.0, 2000.0, 1.0, 0.9, 2.0)
    [group] = grouped([fast, plain], 2.0, 300.0)
    assert [round(1 / place.pace, 3) for place in group] == [1.0, 1.02, 1.0]


def test_the_best_run_adds_up_to_most():
    assert _best_run(np.array([-1.0, 2.0, -1.0, 3.0, -5.0, 1.0])) == slice(1, 4)
    assert _best_run(np.array([-2.0, -1.0])).stop - _best_run(np.array([-2.0, -1.0])).start == 1
