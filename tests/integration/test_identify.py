"""Recordings identified from what is left of them, through the command line and from Python."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soxr
from typer.testing import CliRunner

from echoic import Library, UnknownEncoderError, UsageError
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import PIECES, make_piece, noise, talk, tone
from echoic.cli import app

RATE = 16_000
ABSENT = PIECES[-1]
KNOWN = tuple(name for name in PIECES[:-1] if not name.endswith("-live"))


def at_level(signal, samples, decibels):
    """Scale a signal to so many decibels relative to others."""
    return signal * np.sqrt(np.mean(samples**2) / np.mean(signal**2)) * 10 ** (decibels / 20)


@pytest.fixture(scope="module")
def pieces():
    return {name: make_piece(name, sample_rate=RATE).mean(axis=1) for name in (*KNOWN, ABSENT)}


@pytest.fixture(scope="module")
def library(pieces, tmp_path_factory):
    root = tmp_path_factory.mktemp("identify")
    (root / "music").mkdir()
    for name in KNOWN:
        write_audio(root / "music" / f"{name}.mp3", pieces[name], RATE)
    with Library(root / "library") as opened:
        opened.index([root / "music"], encoders=["fingerprint"], jobs=1)
        yield opened


@pytest.fixture
def heard(tmp_path):
    """Write what is heard to a file."""

    def write(samples, name="heard.wav"):
        write_audio(tmp_path / name, np.asarray(samples, np.float32), RATE)
        return tmp_path / name

    return write


def excerpt(samples, start, seconds):
    return samples[round(start * RATE) : round((start + seconds) * RATE)]


def only(matches):
    [match] = matches
    return match


@pytest.mark.parametrize("name", KNOWN[:3])
def test_a_noisy_excerpt(library, heard, pieces, name):
    clean = excerpt(pieces[name], 3.3, 6)
    match = only(library.identify(heard(clean + at_level(noise(6, RATE, 1), clean, -3))))
    assert match.path.endswith(f"{name}.mp3")
    assert match.start == pytest.approx(3.3, abs=0.25)
    assert (match.query_start, match.query_end) == pytest.approx((0, 6), abs=0.5)
    assert match.tempo == pytest.approx(1, abs=0.02)
    assert 0.5 < match.score <= 1


@pytest.mark.parametrize(("speed", "seconds"), [(1.04, 10), (0.96, 10), (1.07, 5), (0.97, 5), (1.02, 17)])
def test_played_too_fast_or_slow(library, heard, pieces, speed, seconds):
    other = soxr.resample(excerpt(pieces[KNOWN[1]], 2, seconds * speed), speed * RATE, RATE)
    match = only(library.identify(heard(other)))
    assert match.path.endswith(f"{KNOWN[1]}.mp3")
    assert match.tempo == pytest.approx(speed, rel=0.005)
    assert match.start - match.tempo * match.query_start == pytest.approx(2, abs=0.1)


def test_a_part_that_is_played_too_fast(library, heard, pieces):
    fast = soxr.resample(excerpt(pieces[KNOWN[1]], 2, 9), 1.05 * RATE, RATE)
    query = heard(np.concatenate([excerpt(pieces[KNOWN[0]], 1, 10), fast]))
    match = only(library.identify(query, start=10.5, end=17.5))
    assert match.path.endswith(f"{KNOWN[1]}.mp3")
    assert match.tempo == pytest.approx(1.05, rel=0.005)
    assert match.start - match.tempo * (match.query_start - 10) == pytest.approx(2, abs=0.1)


def test_several_in_one_file(library, heard, pieces):
    parts = [excerpt(pieces[KNOWN[0]], 1, 15), noise(15, RATE, 2), excerpt(pieces[KNOWN[2]], 2, 15)]
    first, second = library.identify(heard(np.concatenate(parts)))
    assert [m.path.rpartition("/")[2] for m in (first, second)] == [f"{KNOWN[0]}.mp3", f"{KNOWN[2]}.mp3"]
    assert first.query_end == pytest.approx(15, abs=2.5)
    assert second.query_start == pytest.approx(30, abs=3.5)


def test_a_part_of_a_file(library, heard, pieces):
    both = heard(np.concatenate([excerpt(pieces[KNOWN[0]], 1, 10), excerpt(pieces[KNOWN[2]], 2, 10)]))
    match = only(library.identify(both, start=11, end=19))
    assert match.path.endswith(f"{KNOWN[2]}.mp3")
    assert match.query_start == pytest.approx(11, abs=0.5)


STRANGERS = {
    "an absent piece": lambda pieces: excerpt(pieces[ABSENT], 2, 10),
    "silence": lambda _: np.zeros(10 * RATE),
    "a test tone": lambda _: tone(1_000, 10, RATE),
    "white noise": lambda _: noise(10, RATE, 3),
    "speech": lambda _: talk(10, RATE),
    "a click": lambda _: np.eye(1, 3 * RATE, RATE)[0],
    "a third of a second": lambda pieces: excerpt(pieces[KNOWN[0]], 3, 0.3),
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_what_is_in_no_recording_is_not_recognised(library, heard, pieces, kind):
    assert library.identify(heard(STRANGERS[kind](pieces))) == []


def test_a_file_of_the_library_is_found_in_itself(library):
    path = library.files()[0].path
    assert only(library.identify(path)).path == path


def test_numbers_that_make_no_sense_are_refused(library, heard):
    query = heard(noise(2, RATE))
    for options in ({"start": -1}, {"start": 3, "end": 2}, {"min_score": 1.5}):
        with pytest.raises(UsageError):
            library.identify(query, **options)


def test_a_library_without_fingerprints_says_how_to_get_them(heard, tmp_path):
    query = heard(noise(2, RATE))
    with Library(tmp_path / "other") as other:
        other.index([query], encoders=["spectral"], jobs=1)
        with pytest.raises(UnknownEncoderError, match="--encoder NAME"):
            other.identify(query)


def test_the_command(library, heard, pieces, tmp_path):
    known, unknown = (
        heard(excerpt(pieces[KNOWN[0]], 2, 8), "known.wav"),
        heard(tone(300, 3, RATE), "unknown.wav"),
    )
    bad = tmp_path / "bad.wav"
    bad.write_text("not audio")
    words = ["identify", str(known), str(bad), str(unknown), "--library", str(library.folder)]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 1
    match = json.loads(result.stdout)
    assert set(match) == {"query", "path", "query_start", "query_end", "start", "end", "score", "tempo"}
    assert match["path"].endswith(f"{KNOWN[0]}.mp3")
    assert "bad.wav" in result.stderr
    assert "unknown.wav: none of the library's recordings was recognised" in result.stderr
    result = CliRunner().invoke(app, words[:2] + words[-2:])
    assert result.exit_code == 0
    assert f"{KNOWN[0]}.mp3  0:0" in result.stdout
