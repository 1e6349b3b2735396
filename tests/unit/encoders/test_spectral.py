"""What the untrained encoder describes, and that its constants are those of real audio."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.audio.decode import read_audio
from echoic.audio.synthesis import noise, tone
from echoic.encoders.base import encode_windows
from echoic.encoders.spectral import CONSTANTS, LOG_MEL, N_STATISTICS, SpectralEncoder, spectral_statistics

RATE = LOG_MEL.sample_rate


def statistics_of(*sounds):
    return spectral_statistics(LOG_MEL(np.stack([sound[:RATE].astype(np.float32) for sound in sounds])))


@settings(max_examples=25)
@given(st.floats(0.05, 8), st.integers(0, 1_000))
def test_gain_does_not_matter(gain, seed):
    sound = noise(1.0, RATE, seed)
    quiet, loud = statistics_of(sound, gain * sound)
    np.testing.assert_allclose(quiet, loud, atol=2e-2)


def test_what_stands_still_has_no_movement():
    steady = np.full((1, 50, LOG_MEL.n_mels), -20, np.float32)
    np.testing.assert_allclose(spectral_statistics(steady), 0, atol=1e-3)


def test_bright_and_dark_steady_and_moving_differ():
    encoder = SpectralEncoder()
    steady, same, pulses = noise(5.0, RATE, 1), noise(5.0, RATE, 2), noise(5.0, RATE, 3)
    pulses = pulses * (np.arange(len(pulses)) % 4_000 < 1_000)
    vectors = encode_windows(
        encoder, np.stack([steady, same, pulses, tone(300, 5.0, RATE)]).astype(np.float32)
    )
    likeness = vectors @ vectors[0]
    assert likeness[1] > 0.9
    assert likeness[1] > likeness[2] + 0.2
    assert likeness[1] > likeness[3] + 0.2


def test_there_is_a_mean_and_a_positive_deviation_for_each_statistic():
    constants = json.loads(CONSTANTS.read_text("utf-8"))
    assert len(constants["mean"]) == len(constants["deviation"]) == N_STATISTICS == SpectralEncoder.spec.dim
    assert min(constants["deviation"]) > 0
    assert not any("NC" in licence or "Sampling" in licence for licence in constants["licences"])


@pytest.mark.data
def test_the_constants_standardise_real_audio(data_dir):
    constants = json.loads(CONSTANTS.read_text("utf-8"))
    clips = sorted((data_dir / "esc50").glob("[123]-*.opus"))[::12]
    if len(clips) < 50:
        pytest.skip(f"{data_dir / 'esc50'} holds too few clips")
    values = np.concatenate([spectral_statistics(LOG_MEL(read_audio(c, RATE)[0][None])) for c in clips])
    standard = (values - constants["mean"]) / constants["deviation"]
    assert np.abs(standard.mean(axis=0)).max() < 0.6
    assert standard.std(axis=0).min() > 0.5
    assert standard.std(axis=0).max() < 1.6
