"""What is heard in a sound is cut out of it, wherever blocks begin and end."""

import numpy as np
import pytest

from echoic.audio.events import EventCutter, sounding

RATE = 8_000
WINDOW = 2 * RATE


def noise(seconds, level=0.001, seed=0):
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE)).astype(np.float32)


def tone(seconds, hz=1_000.0, level=0.05):
    times = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def planted(*spans, seconds=20):
    sound = noise(seconds)
    for start, end in spans:
        part = sound[round(start * RATE) : round(end * RATE)]
        part += noise(20, 0.05, seed=1)[: len(part)]
    return sound


def cut(sound, size=4_000):
    cutter = EventCutter(WINDOW, RATE)
    found = [cutter.push(sound[at : at + size]) for at in range(0, len(sound), size)]
    found.append(cutter.finish())
    return [np.concatenate(column) for column in zip(*found, strict=True)]


def test_events_begin_and_end_where_they_do():
    spans = [(4.0, 5.0), (9.0, 9.4), (13.0, 14.5)]
    samples, starts, ends = cut(planted(*spans))
    assert samples.shape == (len(starts), WINDOW)
    for start, end in spans:
        assert np.abs(starts - start).min() < 0.06
        assert np.abs(ends - end).min() < 0.06
    assert len(starts) == 3


def test_an_event_is_given_with_zeros_behind_it():
    sound = planted((4.0, 5.0))
    samples, starts, ends = cut(sound)
    n = round((ends[0] - starts[0]) * RATE)
    at = round(starts[0] * RATE)
    np.testing.assert_array_equal(samples[0, :n], sound[at : at + n])
    assert not samples[0, n:].any()


def test_of_a_long_event_the_middle_is_given():
    sound = planted((5.0, 8.5))
    samples, starts, ends = cut(sound)
    row = int((ends - starts).argmax())
    begin = round(starts[row] * RATE)
    middle = begin + (round(ends[row] * RATE) - begin - WINDOW) // 2
    np.testing.assert_array_equal(samples[row], sound[middle : middle + WINDOW])


@pytest.mark.parametrize("sound", [noise(0), noise(0.01), np.zeros(5 * RATE, np.float32), noise(12)])
def test_nothing_is_cut_out_of_what_is_steady_or_silent(sound):
    assert len(cut(sound)[1]) == 0


def test_a_call_is_cut_with_what_it_stands_on_and_alone():
    sound = noise(20)
    sound[8 * RATE : 11 * RATE] += noise(3, 0.0018, seed=2)
    sound[9 * RATE : round(9.5 * RATE)] += noise(0.5, 0.1, seed=3)
    _, starts, ends = cut(sound)
    lengths = ends - starts
    assert np.abs(lengths - 3).min() < 0.2
    assert np.abs(lengths - 0.5).min() < 0.15


def test_what_goes_on_is_ended():
    _, starts, ends = cut(np.concatenate([np.zeros(6 * RATE, np.float32), tone(40)]))
    assert len(starts)
    assert (ends - starts).max() < 12


@pytest.mark.parametrize(("size", "seed"), [(1_000, 0), (7_919, 1), (16_000, 2), (60_001, 3)])
def test_blocks_do_not_matter(size, seed):
    rng = np.random.default_rng(seed)
    begins = np.sort(rng.uniform(0, 14, 3))
    sound = planted(*((float(a), float(a + rng.uniform(0.2, 2))) for a in begins), seconds=17)
    for whole, parts in zip(cut(sound, len(sound)), cut(sound, size), strict=True):
        np.testing.assert_array_equal(whole, parts)


def test_spans_lie_in_the_file_and_are_some():
    sound = np.concatenate([tone(0.5), noise(11), tone(0.5)])
    _, starts, ends = cut(sound)
    assert (starts >= 0).all()
    assert (ends > starts).all()
    assert (ends <= len(sound) / RATE + 1e-9).all()


def test_of_an_example_its_sounding_parts_are_meant():
    example = np.concatenate([noise(0.5, 1e-4), tone(0.4), noise(1, 1e-4), tone(0.3), noise(0.5, 1e-4)])
    first, second = sounding(example, RATE, WINDOW)
    assert abs(len(first) / RATE - 0.4) < 0.05
    assert abs(len(second) / RATE - 0.3) < 0.05
    assert sounding(np.zeros(RATE, np.float32), RATE, WINDOW) == []
    assert sounding(np.zeros(0, np.float32), RATE, WINDOW) == []
    assert [len(part) for part in sounding(tone(3), RATE, WINDOW)] == [WINDOW]
