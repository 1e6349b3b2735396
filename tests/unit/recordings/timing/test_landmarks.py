"""Moments at which two waveforms are the same sound, by the peaks of their spectra."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.audio.encode import write_audio
from echoic.audio.synthesis import PIECES, make_piece, noise
from echoic.recordings.timing.chains import find_chains, fit_line
from echoic.recordings.timing.landmarks import landmark_hits
from echoic.recordings.timing.waveforms import Waveform

RATE = 8_000


@pytest.fixture(scope="module")
def show():
    pieces = [make_piece(name, sample_rate=RATE).mean(axis=1) for name in PIECES[:5]]
    return np.concatenate(pieces).astype(np.float32)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Keep samples as a waveform."""
    folder = tmp_path_factory.mktemp("landmarks")

    with ExitStack() as scratch:

        def waveform(samples):
            path = folder / "sound.wav"
            write_audio(path, np.asarray(samples, np.float32), RATE)
            file = scratch.enter_context((folder / "scratch").open("w+b"))
            (folder / "scratch").unlink()
            return Waveform(path, RATE, file, lambda _: None)

        yield waveform


@settings(max_examples=12, deadline=None)
@given(start=st.integers(0, 40 * RATE), gain=st.floats(0.02, 1), before=st.integers(0, 5 * RATE))
def test_a_recording_is_found_wherever_and_however_loud_it_lies(show, kept, start, gain, before) -> None:
    excerpt = gain * show[start : start + 20 * RATE]
    hiss = 0.1 * noise(before / RATE + 1, RATE, 3)[:before]
    second = np.concatenate([hiss, excerpt])
    chain = find_chains(landmark_hits(kept(show), kept(second)))[0]
    offset, speed, near = fit_line(chain.times, chain.places)
    middle = (before + 10 * RATE) / RATE
    assert offset + speed * middle == pytest.approx(middle + (start - before) / RATE, abs=0.1)
    assert near.mean() > 0.9
    assert chain.times[-1] - chain.times[0] == pytest.approx(19, abs=1.6)
    assert chain.weight / len(chain.times) > 0.2


def test_what_has_nothing_in_common_has_no_chain(show, kept) -> None:
    hiss = noise(60, RATE, 5) * 0.1
    for first, second in ((show, hiss), (noise(90, RATE, 6) * 0.1, hiss), (hiss, hiss[::-1])):
        assert find_chains(landmark_hits(kept(first), kept(second))) == []


def test_silence_says_nothing_and_a_hum_little(kept) -> None:
    """A tone that beats is the same at every place: that many places take no more time or memory."""
    times = np.arange(90 * RATE) / RATE
    hum = 0.3 * np.sin(2 * np.pi * 440 * times) * (1 + np.sin(2 * np.pi * 2 * times))
    hits = landmark_hits(kept(hum), kept(hum))
    assert np.bincount(hits.rows).max() <= 20
    for other in (np.zeros(5 * RATE), np.zeros(100), np.zeros(1)):
        assert len(landmark_hits(kept(hum), kept(other)).rows) == 0
        assert len(landmark_hits(kept(other), kept(hum)).rows) == 0


def test_a_passage_that_comes_twice_is_found_at_both_places(show, kept) -> None:
    bars = show[5 * RATE : 13 * RATE]
    first = np.concatenate([show[20 * RATE : 30 * RATE], bars, show[30 * RATE : 40 * RATE], bars])
    hits = landmark_hits(kept(first), kept(bars))
    inner = (hits.times > 1) & (hits.times < 7)
    for place in (10, 28):
        near = np.abs(hits.places - hits.times - place)[inner] < 0.1
        assert len(set(hits.rows[inner][near])) == len(set(hits.rows[inner]))
