"""The log-mel front end against librosa, which it must equal within 1e-4 dB wherever float32 does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.audio.spectrogram import LogMel, mel_filters
from echoic.types import Float32
from tests.media import sound

SETTINGS = [
    LogMel(sample_rate=16_000, n_fft=1024, hop_length=320, n_mels=64, fmin=50, fmax=8_000),
    LogMel(sample_rate=16_000, n_fft=400, hop_length=160, n_mels=80, fmin=0, fmax=8_000),
    LogMel(sample_rate=8_000, n_fft=1024, hop_length=256, n_mels=256, fmin=300, fmax=4_000),
    LogMel(sample_rate=32_000, n_fft=1000, hop_length=333, n_mels=128, fmin=20, fmax=14_000),
    LogMel(sample_rate=48_000, n_fft=2048, hop_length=480, n_mels=64, fmin=0, fmax=24_000),
    LogMel(8_000, n_fft=1024, hop_length=256, n_mels=128, fmin=160, fmax=3_900, mel_scale="htk"),
]
pytestmark = pytest.mark.filterwarnings("ignore:Empty filters detected:UserWarning")


def by_librosa(log_mel: LogMel, samples: Float32) -> Float32:
    import librosa

    power = librosa.feature.melspectrogram(
        y=samples,
        sr=log_mel.sample_rate,
        n_fft=log_mel.n_fft,
        hop_length=log_mel.hop_length,
        n_mels=log_mel.n_mels,
        fmin=log_mel.fmin,
        fmax=log_mel.fmax,
        htk=log_mel.mel_scale == "htk",
        center=False,
    )
    decibels: Float32 = librosa.power_to_db(power, amin=1e-10, top_db=None)
    return decibels.T


@pytest.mark.parametrize("log_mel", SETTINGS, ids=lambda s: f"{s.sample_rate}-{s.n_fft}-{s.n_mels}")
def test_equals_librosa(log_mel: LogMel) -> None:
    tones = sound(3.0, log_mel.sample_rate)[:, 0]
    noise = np.random.default_rng(0).normal(0, 0.3, len(tones)).astype(np.float32)
    quiet = (1e-4 * noise).astype(np.float32)
    found = log_mel(np.stack([noise, quiet, tones]))
    # Between the partials of a tone, 50 dB below, the rounding of float32 is all that the two differ in.
    for mel, samples, tolerance in zip(found, (noise, quiet, tones), (1e-4, 1e-4, 3e-3), strict=True):
        wanted = by_librosa(log_mel, samples)
        assert mel.shape == wanted.shape
        np.testing.assert_allclose(mel, wanted, rtol=0, atol=tolerance)
        loud = wanted > wanted.max(axis=1, keepdims=True) - 30
        np.testing.assert_allclose(mel[loud], wanted[loud], rtol=0, atol=1e-4)


@pytest.mark.parametrize("log_mel", SETTINGS, ids=lambda s: f"{s.sample_rate}-{s.n_fft}-{s.n_mels}")
def test_filters_equal_librosa(log_mel: LogMel) -> None:
    import librosa

    wanted = librosa.filters.mel(
        sr=log_mel.sample_rate,
        n_fft=log_mel.n_fft,
        n_mels=log_mel.n_mels,
        fmin=log_mel.fmin,
        fmax=log_mel.fmax,
        htk=log_mel.mel_scale == "htk",
    )
    found = mel_filters(
        log_mel.sample_rate, log_mel.n_fft, log_mel.n_mels, log_mel.fmin, log_mel.fmax, log_mel.mel_scale
    )
    np.testing.assert_allclose(found, wanted, atol=1e-7)


@settings(max_examples=30)
@given(st.integers(1_024, 90_000))
def test_the_number_of_frames_is_known_beforehand(n: int) -> None:
    mel = SETTINGS[0](np.zeros((1, n), np.float32))
    assert mel.shape == (1, SETTINGS[0].n_frames(n), 64)
    np.testing.assert_array_equal(mel, -100)


def test_a_window_does_not_depend_on_its_neighbours() -> None:
    windows = np.random.default_rng(0).normal(0, 0.1, (4, 16_000)).astype(np.float32)
    together = SETTINGS[0](windows)
    for window, mel in zip(windows, together, strict=True):
        np.testing.assert_array_equal(SETTINGS[0](window[None])[0], mel)


def test_a_louder_tone_rises_in_its_own_band() -> None:
    time = np.arange(16_000) / 16_000
    tone = (0.5 * np.sin(2 * np.pi * 1_000 * time)).astype(np.float32)
    mel = SETTINGS[0](np.stack([tone, 2 * tone]))
    np.testing.assert_allclose((mel[1] - mel[0]).max(axis=1), 6.0206, atol=1e-3)
    centres = mel_filters(16_000, 1024, 64, 50, 8_000).argmax(axis=1) * 16_000 / 1024
    assert abs(centres[int(mel[0].mean(axis=0).argmax())] - 1_000) < 40


def test_too_short_a_window() -> None:
    assert SETTINGS[0].n_frames(1_023) == 0
    with pytest.raises(ValueError, match="shorter than n_fft = 1024"):
        SETTINGS[0](np.zeros((1, 1_023), np.float32))


@given(
    steps=st.lists(st.sampled_from([0, 1, 256, 512, 700, 1024, 4096, 20_000]), max_size=8),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=40)
def test_windows_that_overlap_share_their_frames(steps: list[int], seed: int) -> None:
    log_mel, window = SETTINGS[-1], 8_192
    starts = np.cumsum([3, *steps])
    samples = np.random.default_rng(seed).normal(0, 0.1, int(starts[-1]) + window).astype(np.float32)
    windows = np.stack([samples[start : start + window] for start in starts])
    np.testing.assert_allclose(log_mel.overlapping(windows, starts), log_mel(windows), atol=1e-3)
    nothing = log_mel.overlapping(windows[:0], starts[:0])
    assert nothing.shape == (0, 29, 128)


def test_overlapping_windows_must_be_long_enough() -> None:
    with pytest.raises(ValueError, match="shorter than n_fft"):
        SETTINGS[0].overlapping(np.zeros((2, 1023), np.float32), np.array([0, 320]))
