"""What noise hides of two recordings that lie beside each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.recordings.timing.noise import Noise, levels

RATE = 8_000


def hiss(seconds, level, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


def glances(there, here):
    return [(there[at : at + RATE // 2], here[at : at + RATE // 2]) for at in range(0, len(there), RATE)]


@pytest.fixture(scope="module")
def music():
    """Loud and quiet by turns."""
    return hiss(40, 0.2) * np.repeat([1, 0.3, 0.002, 0.05], 10 * RATE).astype(np.float32)


@given(level=st.floats(1e-3, 0.3), gain=st.floats(0.1, 3))
def test_levels_follow_the_gain_and_the_noise_tells_it(level, gain) -> None:
    sound = hiss(2, level)
    told = levels(sound, RATE)
    assert told.shape == (20, 8)
    louder = levels(np.float32(gain) * sound, RATE)
    assert louder - told == pytest.approx(20 * np.log10(gain), abs=0.01)
    assert Noise([(sound, np.float32(gain) * sound)], RATE).gain == pytest.approx(
        20 * np.log10(gain), abs=0.01
    )


@pytest.mark.parametrize("gain", [1.0, 0.25])
def test_noise_hides_what_is_quieter_and_nothing_else(music, gain) -> None:
    noise = Noise(glances(music, gain * music + hiss(40, 0.01, 1)), RATE)
    assert noise.gain == pytest.approx(20 * np.log10(gain), abs=0.5)
    assert noise.here == pytest.approx(levels(hiss(40, 0.01, 2), RATE).mean(axis=0), abs=2)

    def hidden(there, here):
        return noise.hides(levels(there, RATE), levels(here, RATE)).mean()

    only_noise = hiss(5, 0.01, 2)
    assert hidden(hiss(5, 0.002 / gain, 3), only_noise) > 0.95
    assert hidden(np.zeros(5 * RATE, np.float32), only_noise) > 0.95
    assert hidden(hiss(5, 0.1 / gain, 3), only_noise) == 0  # it would be heard
    assert hidden(hiss(5, 0.002 / gain, 3), hiss(5, 0.1, 4)) == 0  # something else is heard
    tone = 0.05 * np.sin(2 * np.pi * 500 * np.arange(5 * RATE) / RATE).astype(np.float32)
    assert hidden(hiss(5, 0.002 / gain, 3), only_noise + tone) == 0  # if but in one band
    assert hidden(tone, only_noise) == 0
    assert hidden(only_noise, tone) == 0  # only the second hisses
    swapped = Noise(glances(gain * music + hiss(40, 0.01, 1), music), RATE)
    assert swapped.hides(levels(only_noise, RATE), levels(hiss(5, 0.002 / gain, 3), RATE)).mean() > 0.95


def test_the_noises_of_both_are_told(music) -> None:
    noise = Noise(glances(music + hiss(40, 0.01, 1), 0.5 * music + hiss(40, 0.005, 2)), RATE)
    level = levels(hiss(40, 0.01, 3), RATE).mean(axis=0)
    assert noise.there == pytest.approx(level, abs=2)
    assert noise.here == pytest.approx(level - 6, abs=2)
    one, other = levels(hiss(5, 0.01, 4), RATE), levels(hiss(5, 0.005, 5), RATE)
    assert noise.hides(one, other).mean() > 0.95
    assert not noise.hides(one + 10, other + 10).any()


def test_quiet_moments_of_both_are_no_noise(music) -> None:
    """Whatever else plays there, as quietly, is heard to be something else."""
    noise = Noise(glances(music, 0.5 * music), RATE)
    other = levels(hiss(5, 0.0004, 5), RATE)
    assert not noise.hides(levels(hiss(5, 0.0004, 6), RATE), other).any()


def test_nothing_at_all_has_levels_too() -> None:
    assert levels(np.zeros(0, np.float32), RATE).shape == (0, 8)
    assert (levels(np.zeros(RATE, np.float32), RATE) == -120).all()
    noise = Noise([(np.zeros(0, np.float32), np.zeros(0, np.float32))], RATE)
    assert len(noise.hides(np.zeros((0, 8)), np.zeros((0, 8)))) == 0
    nothing = np.zeros(RATE, np.float32)
    silent = levels(nothing, RATE)
    assert not Noise([(nothing, nothing)], RATE).hides(levels(hiss(1, 0.1), RATE), silent).any()
