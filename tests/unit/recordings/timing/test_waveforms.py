"""Waveforms in a scratch file, the delay between two, and where they are the same."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.audio.encode import write_audio
from echoic.recordings.timing.waveforms import FRAME, Waveform, delay_between, likeness, resampled

RATE = 8_000


@given(st.integers(1, 3_999), st.integers(0, 2**16), st.sampled_from([1, -1]))
@settings(max_examples=20)
def test_a_delay_is_found_to_the_sample(delay: int, seed: int, poles: int) -> None:
    rng = np.random.default_rng(seed)
    there = rng.normal(0, 0.1, 20_000).astype(np.float32)
    here = poles * there[delay : delay + 12_000] + rng.normal(0, 0.05, 12_000).astype(np.float32)
    found = delay_between(there, here, 4_000)
    assert found.samples == pytest.approx(delay, abs=0.1)
    assert found.prominence > 20


def test_noise_has_no_delay_that_stands_out() -> None:
    rng = np.random.default_rng(0)
    there, here = rng.normal(0, 0.1, (2, 20_000)).astype(np.float32)
    assert delay_between(there, here[:4_000], 16_000).prominence < 5.5


def test_silence_has_no_delay() -> None:
    sound = np.ones(100, np.float32)
    assert delay_between(np.zeros(100, np.float32), sound, 10) is None
    assert delay_between(sound, np.zeros(50, np.float32), 10) is None
    assert delay_between(sound, sound[:1], 10) is None


def test_any_part_of_a_waveform_is_at_hand(tmp_path) -> None:
    sound = np.random.default_rng(0).normal(0, 1e-4, 3 * RATE).astype(np.float32)  # quiet
    write_audio(tmp_path / "quiet.wav", sound, RATE, codec="pcm_f32le")
    told: list[float] = []
    with tempfile.TemporaryFile() as scratch:
        waveform = Waveform(tmp_path / "quiet.wav", RATE, scratch, told.append)
        assert waveform.duration == told[-1] == 3
        assert waveform.part(1_000, 1_500) == pytest.approx(sound[1_000:1_500], rel=1e-3, abs=1e-7)
        assert (waveform.part(-50, 0) == 0).all()
        assert (waveform.part(3 * RATE, 3 * RATE + 7) == np.zeros(7)).all()
        around = waveform.part(3 * RATE - 2, 3 * RATE + 2)
        assert around[:2] == pytest.approx(sound[-2:], rel=1e-3, abs=1e-7)
        assert np.concatenate(list(waveform.blocks(0.5, 1))) == pytest.approx(
            sound[RATE // 2 : RATE], rel=1e-3, abs=1e-7
        )


@pytest.mark.parametrize("speed", [1.0, 1.001, 25 / 24])
def test_a_waveform_is_heard_at_another_speed(tmp_path, speed) -> None:
    times = np.arange(4 * RATE) / RATE
    write_audio(tmp_path / "tone.wav", np.sin(2 * np.pi * 300 * times).astype(np.float32) / 2, RATE)
    with tempfile.TemporaryFile() as scratch:
        waveform = Waveform(tmp_path / "tone.wav", RATE, scratch, lambda _: None)
        heard = resampled(waveform, 1.0, speed, RATE)
    expected = np.sin(2 * np.pi * 300 * (1 + speed * np.arange(RATE) / RATE)) / 2
    assert np.abs(heard - expected).max() < 0.06  # half a sample


def test_likeness_tells_the_same_sound_from_another() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 0.1, (2, 4 * RATE)).astype(np.float32)
    here = np.concatenate([one[: 2 * RATE], other[:RATE], np.zeros(RATE, np.float32)])
    there = one.copy()
    there[3 * RATE + RATE // 2 :] = 0
    values = likeness(there, here, RATE, 0.002).peak
    assert len(values) == round(4 / FRAME)
    assert values[:19].min() > 0.5
    assert values[21:29].max() < 0.25
    assert (values[31:34] == 0).all()  # silent in one
    assert np.isnan(values[36:]).all()  # in both


def test_a_second_tells_what_noise_hides_from_a_frame() -> None:
    rng = np.random.default_rng(0)
    sound, other, hiss = rng.normal(0, 0.1, (3, 20 * RATE)).astype(np.float32)
    same = likeness(sound, sound + 10 * hiss, RATE, 0.002)
    unrelated = likeness(sound, other + 10 * hiss, RATE, 0.002)
    assert np.median(same.peak) < np.median(unrelated.peak) + 0.1
    assert np.median(same.prominence) > 2 * np.median(unrelated.prominence)
    assert (unrelated.prominence > 4).mean() < 0.05
    # Neither what comes before nor what comes after is taken for the frame's own.
    here = np.concatenate([sound[: 10 * RATE], other[10 * RATE :]])
    changed = likeness(sound, here, RATE, 0.002).prominence
    assert changed[:98].min() > 4
    assert (changed[102:] > 4).mean() < 0.1
    silent = np.zeros(RATE, np.float32)
    assert (likeness(silent, sound[:RATE], RATE, 0.002).prominence == 0).all()
    assert len(likeness(silent[:10], silent[:10], RATE, 0.002).prominence) == 0
