"""Levels of frames, against the definition."""

from __future__ import annotations

import numpy as np
import pytest

from echoic.audio.levels import SILENCE, Loudest, frame_powers, frame_samples

RATE = 16_000
FRAME = 400


def tone(frequency: float, amplitude: float, n: int = 4 * FRAME) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * frequency * np.arange(n) / RATE)).astype(np.float32)


def test_a_frame_has_25_ms():
    assert [frame_samples(rate) for rate in (8_000, 16_000, 44_100, 10)] == [200, 400, 1_102, 1]


def test_the_mean_square_of_a_tone_is_half_the_square_of_its_amplitude():
    np.testing.assert_allclose(frame_powers(tone(400, 0.3), FRAME), 0.045, rtol=0.02)


@pytest.mark.parametrize("offset", [0, 1e-3, -0.5, 100])
@pytest.mark.parametrize("drift", [0, 0.2, -1])
def test_neither_an_offset_nor_its_drift_is_loud(offset, drift):
    line = offset + drift * np.arange(4 * FRAME) / RATE
    assert frame_powers(line.astype(np.float32), FRAME).max() < SILENCE / 10 * max(1, offset**2)
    over_it = frame_powers((tone(400, 0.3) + line).astype(np.float32), FRAME)
    np.testing.assert_allclose(over_it, frame_powers(tone(400, 0.3), FRAME), rtol=0.02)


def test_a_slow_swing_of_the_offset_is_not_loud_and_the_lowest_tone_is():
    assert frame_powers(tone(0.5, 0.1, RATE), FRAME).max() < SILENCE
    assert frame_powers(tone(50, 1e-3, RATE), FRAME).max() > SILENCE


def test_the_last_frame_may_be_short_and_zeros_behind_it_count():
    samples = tone(800, 0.1, FRAME + 100)
    powers = frame_powers(samples, FRAME)
    np.testing.assert_allclose(powers, 0.005, rtol=0.05)
    np.testing.assert_allclose(frame_powers(samples, FRAME, 10 * FRAME), [powers[0], powers[1] / 4])
    np.testing.assert_allclose(frame_powers(samples, FRAME, FRAME + 200), [powers[0], powers[1] / 2])
    assert frame_powers(samples[:0], FRAME).shape == (0,)
    np.testing.assert_array_equal(frame_powers(samples[:1], FRAME), [0])


def test_the_loudest_of_blocks():
    loudest = Loudest(RATE)
    for amplitude in (0.1, 0.4, 0.2):
        loudest.push(tone(400, amplitude))
    loudest.push(tone(400, 1)[:0])
    assert loudest.power == pytest.approx(0.08, rel=0.02)


@pytest.mark.parametrize("offset", [0, 0.3])
def test_the_loudest_frame_is_found_though_few_are_looked_at_closely(offset):
    rng = np.random.default_rng(1)
    loudest, power = Loudest(RATE), 0.0
    for n in (0, 1, 399, 5_000, 400, 7_777):
        block = (offset + rng.uniform(0, 0.2, (n, 1))[:, 0] * rng.normal(0, 0.1, n)).astype(np.float32)
        loudest.push(block)
        power = max([power, *frame_powers(block, FRAME)])
        assert loudest.power == pytest.approx(power, rel=1e-9)
