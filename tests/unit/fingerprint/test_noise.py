"""What noise hides of two recordings that lie beside each other."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.audio.encode import write_audio
from echoic.fingerprint.noise import Floors, gains, levels
from echoic.fingerprint.waveforms import Waveform

RATE = 8_000


def hiss(seconds, level, seed=0):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * RATE))).astype(np.float32)


@pytest.fixture(scope="module")
def floors(tmp_path_factory):
    """Of a recording without noise but silence, and one that hisses at .01."""
    folder = tmp_path_factory.mktemp("noise")
    loud = hiss(40, 0.2)
    loud[10 * RATE : 20 * RATE] = 0
    loud[20 * RATE : 30 * RATE] *= 0.001
    with tempfile.TemporaryFile() as one, tempfile.TemporaryFile() as two:
        waveforms = []
        for name, samples, scratch in (("one.wav", loud, one), ("two.wav", loud + hiss(40, 0.01, 1), two)):
            write_audio(folder / name, samples, RATE)
            waveforms.append(Waveform(folder / name, RATE, scratch, lambda _: None))
        yield Floors(*waveforms)


@given(level=st.floats(1e-4, 0.3), gain=st.floats(0.1, 3))
def test_levels_follow_the_gain_and_gains_tell_it(level, gain) -> None:
    sound = hiss(2, level)
    told = levels(sound, RATE)
    assert told.shape == (20, 8)
    louder = levels(np.float32(gain) * sound, RATE)
    assert louder - told == pytest.approx(20 * np.log10(gain), abs=0.01)
    assert gains(told, louder) == pytest.approx(20 * np.log10(gain), abs=0.01)


def test_noise_hides_what_is_quieter_and_nothing_else(floors) -> None:
    def hidden(there, here):
        return floors.hide(levels(there, RATE), levels(here, RATE), np.zeros(8)).mean()

    noise = hiss(5, 0.01, 2)
    assert hidden(hiss(5, 0.002, 3), noise) > 0.95
    assert hidden(np.zeros(5 * RATE, np.float32), noise) > 0.95
    assert hidden(hiss(5, 0.1, 3), noise) == 0  # it would be heard
    assert hidden(hiss(5, 0.002, 3), hiss(5, 0.1, 4)) == 0  # something else is heard
    tone = 0.05 * np.sin(2 * np.pi * 500 * np.arange(5 * RATE) / RATE).astype(np.float32)
    assert hidden(hiss(5, 0.002, 3), noise + tone) == 0  # if but in one band
    assert hidden(tone, noise) == 0
    assert hidden(noise, tone) == 0  # only the second hisses


def test_nothing_at_all_has_levels_too() -> None:
    assert levels(np.zeros(0, np.float32), RATE).shape == (0, 8)
    assert (levels(np.zeros(RATE, np.float32), RATE) == -120).all()
