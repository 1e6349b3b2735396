"""Levels of frames, against the definition."""

from __future__ import annotations

import numpy as np
import pytest

from echoic.audio.levels import SILENCE, STRETCH, Loudest, frame_powers, frame_samples

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


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("phase", [0.0, 0.9])
def test_what_swings_too_slowly_to_be_heard_is_not_loud_and_a_bass_is(rate, phase):
    time = np.arange(2 * rate) / rate

    def power(*partials: tuple[float, float]) -> np.ndarray:
        waves = [a * np.sin(2 * np.pi * f * time + phase) for f, a in partials]
        return frame_powers(np.sum(waves, axis=0).astype(np.float32), frame_samples(rate))

    for frequency in (1, 5, 12, 16, 19):
        assert power((frequency, 0.5)).max() < SILENCE
    # In all but the last frames, of fewer than 25 ms at some rates.
    assert power((30, 0.03))[:-2].min() > SILENCE
    assert power((40, 1e-3))[:-2].min() > SILENCE
    # An organ's pipe of 32 feet, and its partials.
    assert power((16, 0.3), (32, 0.05), (48, 0.02))[:-2].min() > SILENCE
    np.testing.assert_allclose(power((12, 0.5), (400, 0.1)), power((400, 0.1)), rtol=0.1)


def hum(frequency: float, *levels: float) -> np.ndarray:
    """Two seconds of what a codec makes of an offset of 1: its tone and the first multiples, in dB."""
    time = np.arange(2 * RATE) / RATE
    partials = [
        np.sqrt(2) * 10 ** (level / 20) * np.sin(2 * np.pi * k * frequency * time)
        for k, level in enumerate(levels, 1)
    ]
    return np.sum(partials, axis=0).astype(np.float32)


# As AAC at 64 kbit/s has it at 44.1 and 48 kHz, and Vorbis of the least quality and of a better one.
HUMS = [
    (44_100 / 1024, -17, -38, -58, -77),
    (48_000 / 1024, -16.5, -38, -58, -75),
    (43.07, -38, -52, -60, -65),
    (48_000 / 1024, -18, -36, -48, -55, -61),
]


@pytest.mark.parametrize("partials", HUMS)
@pytest.mark.parametrize("offset", [0.03, -0.3, 0.9])
def test_the_hum_that_codecs_make_of_an_offset_is_not_loud(partials, offset):
    samples = (offset * (1 + hum(*partials))).astype(np.float32)
    assert frame_powers(samples, FRAME).max() < SILENCE
    alone = samples - np.float32(offset)
    assert frame_powers(alone, FRAME).max() > SILENCE
    loudest = Loudest(RATE)
    for block in np.array_split(samples, 7):
        loudest.push(block)
    assert loudest.power < SILENCE
    with_sound = samples + tone(400, 1e-2, len(samples))
    assert frame_powers(with_sound, FRAME).min() > 4e-5


@pytest.mark.parametrize(
    ("offset", "partials"),
    [
        (0.0, [(41.2, 0.1)]),  # a bass's lowest string
        (0.3, [(41.2, 0.1)]),
        (0.3, [(43.07, 0.1)]),
        (0.3, [(41.2, 0.02), (82.4, 0.01), (123.6, 0.006), (164.8, 0.004)]),  # with overtones, below a hum
        (-0.3, [(32.7, 0.02), (65.4, 0.006), (163.5, 0.004)]),  # an organ's pedal
        (0.005, [(50, 1e-3)]),  # mains, over what sound cards add
        (-0.01, [(60, 4e-3)]),
        (0.3, [(50, 0.01), (150, 3e-3), (250, 1e-3)]),
    ],
)
def test_a_bass_or_a_hum_over_an_offset_is_sound(offset, partials):
    samples = offset + sum(tone(f, a, 2 * RATE) for f, a in partials)
    assert frame_powers(samples.astype(np.float32), FRAME).min() > SILENCE


QUIET = {
    "noise": (np.random.default_rng(0).normal(size=2 * RATE), -59),
    "a voice at 220 Hz": (sum(tone(220 * k, 1 / k, 2 * RATE) for k in range(1, 20)), -56),
    "a tone at 400 Hz": (tone(400, 1, 2 * RATE), -58),
}


@pytest.mark.parametrize("offset", [0.5, -0.9])
@pytest.mark.parametrize("name", QUIET)
def test_what_is_quiet_over_an_offset_and_lies_above_its_hum_is_sound(offset, name):
    samples, level = QUIET[name]
    quiet = offset * 10 ** (level / 20) / np.sqrt(np.mean(np.square(samples))) * samples
    assert np.mean(frame_powers((offset + quiet).astype(np.float32), FRAME) > SILENCE) > 0.9


def test_an_offset_that_jumps_is_loud_where_it_jumps():
    samples = np.where(np.arange(40 * FRAME) < 20 * FRAME + 7, 0.1, 0.4).astype(np.float32)
    loud = np.flatnonzero(frame_powers(samples, FRAME) > SILENCE)
    assert 20 in loud
    assert loud.min() >= 20 - STRETCH
    assert loud.max() < 20 + STRETCH


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


@pytest.mark.parametrize("n", [1, 50, 2_400, 5_000])
def test_the_loudest_does_not_depend_on_short_blocks(n):
    low, loudest = tone(12, 0.5, 2 * RATE), Loudest(RATE)
    loudest.push(low[:RATE])
    for block in np.split(low[RATE : RATE + 20 * n], range(n, 20 * n, n)):
        loudest.push(block)
    assert loudest.power < SILENCE
    loudest.push(np.concatenate([low[:n], tone(800, 0.1, 400)]))
    assert loudest.power > SILENCE
