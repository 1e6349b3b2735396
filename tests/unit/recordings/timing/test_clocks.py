"""Lines measured on waveforms: clocks that differ, cuts, and bounds that hold."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack

import numpy as np
import pytest
import soxr

from echoic.audio.encode import write_audio
from echoic.recordings.timing.clocks import Line, Piece, joined, measured, on_one_clock
from echoic.recordings.timing.waveforms import Waveform

RATE = 8_000


@pytest.fixture(scope="module")
def sound():
    """Ten minutes of noise whose level and colour change."""
    rng = np.random.default_rng(0)
    white = rng.normal(0, 0.1, 600 * RATE).astype(np.float32)
    level = np.repeat(rng.uniform(0.2, 1, 600), RATE).astype(np.float32)
    return level * (white + np.roll(white, 1) * 0.7)


@pytest.fixture
def waveform(tmp_path):
    with ExitStack() as scratch:

        def made(samples):
            path = tmp_path / "samples.wav"
            write_audio(path, samples, RATE)
            return Waveform(path, RATE, scratch.enter_context(tempfile.TemporaryFile()), lambda _: None)

        yield made


def fast(samples, ppm):
    return soxr.resample(samples, 1e6 + ppm, 1e6)


def worst(piece, line):
    return max(abs(piece.line.place(t) - line.place(t)) for t in (piece.start, piece.end))


@pytest.mark.parametrize(
    ("seconds", "ppm"),
    [(150, 0), (150, 50), (150, -1000), (150, 1e6 / 24), (20, 500), (600, -145), (600, 1001)],
)
def test_the_drift_of_a_clock_is_measured_within_the_bound(sound, waveform, seconds, ppm) -> None:
    samples = sound[: seconds * RATE]
    there, here = waveform(samples), waveform(fast(samples[5 * RATE :], ppm))
    truth = Line(5.0, 1 + ppm / 1e6)
    # As fingerprints have it: a tenth of a second off at one end.
    coarse = Line(truth.offset - 0.1, truth.speed + 0.1 / here.duration)
    (piece,) = measured(coarse, 0.0, here.duration, there, here, [])
    assert 1e6 * (piece.line.speed - 1) == pytest.approx(ppm, abs=2)
    assert worst(piece, truth) <= piece.bound <= 0.002


def test_a_small_cut_is_seen_between_spots(sound, waveform) -> None:
    samples = sound[: 100 * RATE]
    cut = np.concatenate([samples[: 60 * RATE], samples[round(60.3 * RATE) :]])
    there, here = waveform(samples), waveform(fast(cut, 200))
    before, after = measured(Line(0.1, 1.0), 0.0, here.duration, there, here, [])
    assert worst(before, Line(0, 1.0002)) <= before.bound <= 0.003
    assert worst(after, Line(0.3, 1.0002)) <= after.bound <= 0.003
    assert before.end < 61 < 62 > after.start > 58


@pytest.mark.parametrize(
    ("every", "seconds", "ppm"),
    [(60, 180, 0), (20, 200, 0), (50, 600, 0), (30, 200, 300), (60, 180, 1e6 / 24)],
)
def test_even_cuts_are_no_speed(sound, waveform, every, seconds, ppm) -> None:
    """A slanted line lies near all of them, as fingerprints have it; they are steps all the same."""
    lost, speed = 0.3, 1 + ppm / 1e6
    kept = [
        sound[round((at + lost * (at > 0)) * RATE) : (at + every) * RATE] for at in range(0, seconds, every)
    ]
    there, here = waveform(sound[: seconds * RATE]), waveform(fast(np.concatenate(kept), ppm))
    coarse = Line(-lost / 2, speed * (1 + lost / (every - lost)))
    pieces = measured(coarse, 0.0, here.duration, there, here, [] if ppm < 1_000 else [speed])
    assert len(pieces) == len(kept)
    for number, piece in enumerate(pieces):
        assert worst(piece, Line(lost * number, speed)) <= piece.bound <= 0.002
        assert piece.start >= (number * (every - lost)) / speed - 2
        assert piece.end <= ((number + 1) * (every - lost) + lost) / speed + 2


def test_what_drifts_and_what_wobbles_is_not_told_better_than_it_is(sound, waveform) -> None:
    samples = sound[: 120 * RATE]
    times = np.arange(len(samples)) / RATE
    wobbling = np.interp(times + 0.004 * np.sin(2 * np.pi * times / 40), times, samples).astype(np.float32)
    there, here = waveform(samples), waveform(wobbling)
    (piece,) = measured(Line(0.05, 1.0), 0.0, 120.0, there, here, [])
    assert abs(piece.line.place(60.0) - 60) + 0.004 <= piece.bound + 0.001
    assert piece.bound < 0.02


def test_waveforms_with_nothing_in_common_tell_no_line(sound, waveform) -> None:
    there, here = waveform(sound[: 30 * RATE]), waveform(sound[100 * RATE : 130 * RATE])
    assert measured(Line(0.0, 1.0), 0.0, 30.0, there, here, [1.0005]) == []
    there, here = waveform(sound[: 2 * RATE]), waveform(sound[100 * RATE : 102 * RATE])
    assert measured(Line(0.0, 1.0), 0.0, 2.0, there, here, []) == []


def test_pieces_of_one_recording_have_one_clock() -> None:
    long = np.linspace(0, 300, 100)
    short = np.linspace(310, 320, 8)
    rng = np.random.default_rng(0)
    tells = Piece(Line(0, 1.0005), 0, 300, 0.001, long, 1.0005 * long)
    places = 3 + 1.0005 * short + rng.normal(0, 1e-4, 8)
    pace, offset = np.polyfit(short, places, 1)
    learns = Piece(Line(float(offset), float(pace)), 310, 320, 0.001, short, places)
    alone = Piece(Line(0, 1.0), 400, 410, 0.25)
    first, second, third = on_one_clock([tells, learns, alone])
    assert (first.line, third) == (tells.line, alone)
    assert second.line.speed == 1.0005
    assert second.line.place(315) == pytest.approx(3 + 1.0005 * 315, abs=2e-4)


def test_pieces_that_follow_each_other_on_one_line_are_one() -> None:
    def piece(start, end, offset):
        times = np.linspace(start, end - 2, 20)
        rng = np.random.default_rng(round(start))
        places = offset + 1.0001 * times + rng.normal(0, 1e-4, 20)
        return Piece(Line(offset, 1.0001), start, end, 1e-3, times, places)

    inexact = Piece(Line(3.2, 1.0), 900.0, 950.0, 0.25)
    pieces = [piece(0, 100, 3), piece(130, 400, 3), piece(390, 600, 3), piece(640, 800, 3.1), inexact]
    whole, gaps = joined(pieces)
    assert [(one.start, one.end) for one in whole] == [(0, 600), (640, 800), (900, 950)]
    assert gaps == [(100, 130), (390, 400)]
    assert worst(whole[0], Line(3, 1.0001)) <= whole[0].bound <= 1e-3
    assert whole[1:] == pieces[3:]
    assert joined([]) == ([], [])


def test_the_speed_of_a_long_passage_lies_between_those_that_are_tried(sound, waveform) -> None:
    """A thousandth of the uncertainty of a short one, at a speed that is on no grid."""
    ppm = 1e6 / 24 + 1_234
    there, here = waveform(sound), waveform(fast(sound[5 * RATE :], ppm))
    truth = Line(5.0, 1 + ppm / 1e6)
    (piece,) = measured(Line(5.01, truth.speed - 2e-5), 0.0, here.duration, there, here, [])
    assert piece.exact
    assert worst(piece, truth) <= piece.bound <= 0.002
