"""What encoders take and find, by cuts of files."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.advice.cuts import CUT, Cut, read_cuts
from echoic.advice.footprint import process_memory
from echoic.advice.likeness import Likeness
from echoic.advice.stores import bytes_on_disk, bytes_searched, index_for, search_seconds
from echoic.advice.trial import Trial, windows_of
from echoic.audio.encode import write_audio
from echoic.audio.front_end import Waveform
from echoic.audio.windows import cut as cut_windows
from echoic.encoders.base import normalize
from echoic.encoders.registry import load_encoder
from echoic.errors import EncoderError, NotAudioError
from echoic.spec import EncoderSpec
from echoic.storage.vectors.snapshot import FLAT_LIMIT

RATE = 8_000
SPEC = EncoderSpec("ear", "1", RATE, 1.0, 0.5, 8)


class Ear:
    """An encoder that hears how the power of a window is spread over eight bands; ``deaf`` hears nothing."""

    spec = SPEC
    front_end = Waveform(RATE)

    def __init__(self, deaf=False):
        self.deaf = deaf

    def encode(self, features):
        if self.deaf:
            return normalize(np.ones((len(features), 8), np.float32))
        power = np.abs(np.fft.rfft(features, axis=1)[:, :4000]) ** 2
        bands = power.reshape(len(features), 8, -1).sum(axis=2)
        return normalize((bands / bands.sum(axis=1, keepdims=True)).astype(np.float32))


def tone(frequency, seconds=2.0, rate=RATE):
    return (0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@given(st.floats(0.1, 30), st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from([0.25, 0.5, 1.0]))
def test_windows_are_counted_as_they_are_cut(seconds, window, share):
    spec = EncoderSpec("ear", "1", 1_000, window, window * share, 8)
    samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * 1_000)).astype(np.float32)
    due = cut_windows(samples, spec.window_samples, spec.hop_samples, spec.sample_rate)
    assert windows_of(spec, np.array([len(samples) / 1_000]))[0] == len(due.starts)


def test_a_cut_is_what_lies_in_the_file(tmp_path):
    rng = np.random.default_rng(0)
    samples = rng.uniform(-0.5, 0.5, 30 * RATE).astype(np.float32)
    write_audio(tmp_path / "long.wav", samples, RATE)
    [cut], duration = read_cuts(tmp_path / "long.wav", 1, np.random.default_rng(1))
    assert duration == pytest.approx(30.0)
    assert cut.seconds == pytest.approx(CUT)
    place = next(
        at
        for at in range(len(samples))
        if abs(samples[at] - cut.samples[0]) < 1e-4
        and np.allclose(samples[at : at + 100], cut.samples[:100], atol=1e-4)
    )
    np.testing.assert_allclose(cut.samples, samples[place : place + len(cut.samples)], atol=1e-4)


def test_of_a_long_file_there_are_several_cuts_that_do_not_overlap(tmp_path):
    ramp = np.arange(100 * 1000, dtype=np.float32) / 200_000 + 0.1
    write_audio(tmp_path / "ramp.wav", ramp, 1000)
    cuts, duration = read_cuts(tmp_path / "ramp.wav", 9, np.random.default_rng(0))
    assert duration == pytest.approx(100)
    assert len(cuts) == 5  # one in each 20 s
    for before, after in pairwise(cuts):
        assert before.samples[-1] < after.samples[0]


def test_a_short_file_is_one_cut_and_no_audio_is_told(tmp_path):
    write_audio(tmp_path / "short.flac", tone(300, 0.4), RATE)
    [cut], duration = read_cuts(tmp_path / "short.flac", 4, np.random.default_rng(0))
    assert cut.seconds == duration == pytest.approx(0.4)
    assert cut.is_sound
    assert not Cut(np.zeros(RATE, np.float32), RATE, 0.0).is_sound
    (tmp_path / "text.wav").write_text("no sound " * 99)
    with pytest.raises(NotAudioError):
        read_cuts(tmp_path / "text.wav", 1, np.random.default_rng(0))


def test_a_trial_reckons_by_windows():
    trial = Trial("ear", Ear())
    assert len(trial.timed(Cut(tone(440, 3.0), RATE, decoding=0.5))) == 5
    assert trial.queries == 5
    assert trial.latencies[0] > 0.5
    assert trial.segments(np.array([3.0, 0.2, 10.0])) == 5 + 1 + 19
    assert trial.indexing(np.array([3.0])) == pytest.approx(trial.latencies[0] - 0.5)
    assert trial.indexing(np.array([3.0, 3.0])) == pytest.approx(2 * (trial.latencies[0] - 0.5))
    assert trial.point(np.zeros(RATE, np.float32), RATE) is None


def test_who_hears_finds_copies_and_who_does_not_finds_none():
    trials = [Trial("ear", Ear()), Trial("deaf", Ear(deaf=True))]
    likeness = Likeness(["ear", "deaf"])
    rng = np.random.default_rng(0)
    for frequency in (250, 750, 1250, 1750, 2250, 2750, 3250, 3750):
        likeness.hear(Cut(tone(frequency), RATE, 0.0), trials, rng)
    assert likeness.n_cuts == 8
    average, first = likeness.figures("ear")
    assert average > 0.85
    assert first > 0.75
    assert likeness.figures("deaf") == (pytest.approx(1 / 8), 0.0)


def test_what_is_silent_in_half_counts_for_nobody():
    likeness = Likeness(["ear"])
    half = np.concatenate([tone(440), np.zeros(2 * RATE, np.float32)])
    likeness.hear(Cut(half, RATE, 0.0), [Trial("ear", Ear())], np.random.default_rng(0))
    assert likeness.n_cuts == 0


def test_the_store_goes_by_the_number_of_segments_and_the_memory():
    assert index_for(SPEC, FLAT_LIMIT, 1e9) == "exact"
    assert index_for(SPEC, FLAT_LIMIT + 1, 1e9) == "index"
    assert index_for(SPEC, 10**9, 1e9) == "milvus"
    assert index_for(SPEC, 100, 0.0) == "milvus"
    assert bytes_searched(SPEC, 100) == 100 * 8 * 4
    assert bytes_searched(SPEC, 10**6) == 10**6 * 8
    assert bytes_on_disk(SPEC, 10**6) == 10**6 * 8 * 9
    small = EncoderSpec("ear", "1", RATE, 1.0, 0.5, 8, storage="int8")
    assert bytes_searched(small, 10**6) == 10**6 * 2
    assert bytes_on_disk(small, 100) == 100 * 8


def test_many_segments_take_longer_to_search_up_to_where_an_index_is_made():
    assert 0 < search_seconds(SPEC, 1, 1) < math.inf
    assert search_seconds(SPEC, FLAT_LIMIT, 2) > search_seconds(SPEC, 2_000, 2)


def test_a_process_of_its_own_takes_more_than_an_interpreter_and_says_why_it_fails():
    memory = process_memory("spectral")
    assert memory is None or 20 < memory < 1000
    if memory is not None:
        with pytest.raises(EncoderError, match=r"absent failed in a process of its own .*no encoder named"):
            process_memory("absent")


def test_the_bundled_encoder_is_tried_as_any():
    encoder = load_encoder("spectral")
    trial = Trial("spectral", encoder)
    assert trial.timed(Cut(tone(440, 6.0, 16_000), 16_000, 0.0)).shape == (2, encoder.spec.dim)
