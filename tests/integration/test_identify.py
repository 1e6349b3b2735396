"""Recordings identified from what is left of them, through the command line and from Python."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import re

import numpy as np
import pytest
import soxr
from typer.testing import CliRunner

from echoic import Library, Match, UnknownEncoderError, UsageError
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
    """Give the nearest of the places that one recording has for all of a query: music repeats itself."""
    assert len({(match.path, match.query_start) for match in matches}) == 1
    return matches[0]


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


GAPS = {"nothing": 0.0, "silence": 1.5, "noise": 2.0, "an absent piece": 3.0}


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("seconds", [4, 5, 6, 8])
def test_short_pieces_with_something_between_them(library, heard, pieces, seconds, gap):
    between = {"noise": noise(GAPS[gap], RATE, 4), "an absent piece": excerpt(pieces[ABSENT], 9, GAPS[gap])}
    silence = np.zeros(round(GAPS[gap] * RATE))
    names = (KNOWN[2], KNOWN[0], KNOWN[1], KNOWN[2]) if seconds < 6 else (KNOWN[1], KNOWN[2])
    parts, truth, time = [], [], 0.0
    for name in names:
        parts += [excerpt(pieces[name], 5.2, seconds), between.get(gap, silence)]
        truth.append((name, time, time + seconds))
        time += seconds + GAPS[gap]
    query = heard(np.concatenate(parts))
    for matches in (library.identify(query), list(library.monitor(query))):
        told = [(m.path.rpartition("/")[2], m.query_start, m.query_end, m.tempo) for m in matches]
        assert [row[0] for row in told] == [f"{name}.mp3" for name, *_ in truth]
        for (_, begin, finish, tempo), (_, true_begin, true_finish) in zip(told, truth, strict=True):
            assert (begin, finish) == pytest.approx((true_begin, true_finish), abs=0.5)
            assert tempo == 1.0
        assert all(one[2] <= other[1] + 0.01 for one, other in itertools.pairwise(told))


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("kind", ["silence", "a quieter voice"])
def test_a_speed_that_is_not_there_is_not_told(library, heard, pieces, kind, side):
    known = excerpt(pieces[KNOWN[0]], 6, 5.5)
    beside = np.zeros(8 * RATE) if kind == "silence" else at_level(talk(8, RATE), known, -14)
    parts = [beside, known] if side == "before" else [known, beside]
    [match] = library.identify(heard(np.concatenate(parts)))
    begin = 8.0 if side == "before" else 0.0
    assert (match.query_start, match.query_end) == pytest.approx((begin, begin + 5.5), abs=0.5)
    assert match.start - match.query_start == pytest.approx(6 - begin, abs=0.1)
    assert match.tempo == 1.0


def test_what_is_drowned_for_a_while_is_one_match(heard, tmp_path):
    steady = np.concatenate([make_piece(name, sample_rate=RATE).mean(axis=1) for name in PIECES[:2]])
    with Library(tmp_path / "library") as library:
        library.index([heard(steady, "steady.mp3")], encoders=["fingerprint"], jobs=1)
        drowned = steady.copy()
        drowned[40 * RATE : 45 * RATE] = at_level(noise(5, RATE, 10), steady, 10)
        query = heard(drowned)
        for [match] in (library.identify(query), list(library.monitor(query))):
            assert match.query_end - match.query_start == pytest.approx(len(steady) / RATE, abs=1.5)
            assert match.tempo == 1.0


def test_every_place_of_a_jingle_and_every_airing(heard, pieces, tmp_path):
    jingle = excerpt(pieces[KNOWN[1]], 4, 5.3)
    parts = [pieces[ABSENT][: 9 * RATE], noise(7, RATE, 5), pieces[KNOWN[0]][: 8 * RATE]]
    programme = np.concatenate([*(x for part in parts for x in (part, jingle)), noise(3, RATE, 6)])
    true = [9.0, 21.3, 34.6]
    long, short = heard(programme, "programme.wav"), heard(jingle, "jingle.wav")
    with Library(tmp_path / "of the programme") as library:
        library.index([long], encoders=["fingerprint"], jobs=1)
        matches = library.identify(short)
        assert sorted(match.start for match in matches) == pytest.approx(true, abs=0.25)
        for match in matches:
            assert (match.query_start, match.query_end) == pytest.approx((0, 5.3), abs=0.1)
            assert match.tempo == 1.0
    with Library(tmp_path / "of the jingle") as library:
        library.index([short], encoders=["fingerprint"], jobs=1)
        for matches in (library.identify(long), list(library.monitor(long))):
            assert [match.query_start for match in matches] == pytest.approx(true, abs=0.25)
            assert [match.start for match in matches] == pytest.approx([0, 0, 0], abs=0.25)


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


def test_a_file_of_the_library_is_found_in_itself_only_if_asked_for(library):
    path = library.files()[0].path
    assert library.identify(path) == []
    match = only(library.identify(path, include_query=True))
    assert (match.path, match.tempo, match.score) == (path, 1.0, pytest.approx(1, abs=1e-3))
    assert (match.query_start, match.start) == pytest.approx((0, 0), abs=0.01)
    fades = 0.7  # s at its end in which there is next to nothing
    assert (match.query_end, match.end) == pytest.approx([library.files()[0].duration] * 2, abs=fades)


def test_only_recordings_that_are_asked_for_are_known(library, heard, pieces):
    query = heard(excerpt(pieces[KNOWN[0]], 2, 8))
    assert library.identify(query, path=f"{KNOWN[1]}.mp3") == []
    assert only(library.identify(query, path=f"music/{KNOWN[0]}.*")).path.endswith(f"{KNOWN[0]}.mp3")
    assert library.identify(query, tags=["genre=no such"]) == []
    assert list(library.monitor(query, path=f"{KNOWN[1]}.mp3")) == []
    assert len(list(library.monitor(query, path=f"{KNOWN[0]}.mp3"))) == 1


def test_a_part_that_is_named_by_its_times_is_listened_to_as_it_is_read(library, heard, pieces):
    parts = [noise(70, RATE, 7), excerpt(pieces[KNOWN[0]], 2, 20), excerpt(pieces[KNOWN[2]], 2, 20)]
    query = heard(np.concatenate(parts))
    words = ["identify", str(query), "--start", "1:05", "--end", "1:29.5", "--library", str(library.folder)]
    match = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert match["path"].endswith(f"{KNOWN[0]}.mp3")
    assert (match["query_start"], match["query_end"]) == pytest.approx((70, 89.5), abs=0.5)
    assert match["start"] == pytest.approx(2, abs=0.5)
    with pytest.raises(UsageError, match="ends before 200"):
        library.identify(query, start=200)


def test_numbers_that_make_no_sense_are_refused(library, heard):
    query = heard(noise(2, RATE))
    for options in ({"start": -1}, {"start": 3, "end": 2}, {"min_score": 1.5}):
        with pytest.raises(UsageError):
            library.identify(query, **options)


def test_a_library_without_fingerprints_says_how_to_get_them(heard, tmp_path):
    query = heard(noise(2, RATE))
    with Library(tmp_path / "other") as other:
        other.index([query], encoders=["spectral"], jobs=1)
        with pytest.raises(UnknownEncoderError, match="echoic index FOLDER --encoder fingerprint"):
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


def test_what_is_printed_for_other_programs(library, heard, pieces):
    names = (KNOWN[0], KNOWN[2])
    query = heard(np.concatenate([excerpt(pieces[name], 2, 8) for name in names]), 'a "mix".mp3')
    words = ["identify", str(query), "--library", str(library.folder)]
    rows = list(csv.DictReader(CliRunner().invoke(app, [*words, "--csv"]).stdout.splitlines()))
    assert list(rows[0]) == [field.name for field in dataclasses.fields(Match)]
    assert [row["path"].rpartition("/")[2] for row in rows] == [f"{name}.mp3" for name in names]
    assert float(rows[1]["query_start"]) == pytest.approx(8, abs=0.5)

    library.tag([rows[0]["path"]], add=['title=The "one"', "artist=Nobody"])
    first, *lines = CliRunner().invoke(app, [*words, "--cue"]).stdout.splitlines()
    assert first == f'FILE "{str(query).replace(chr(34), chr(39))}" MP3'
    index = lines.pop()
    assert lines == [
        "  TRACK 01 AUDIO",
        "    TITLE \"The 'one'\"",
        '    PERFORMER "Nobody"',
        "    INDEX 01 00:00:00",
        "  TRACK 02 AUDIO",
        f'    TITLE "{names[1]}"',
    ]
    assert re.fullmatch(r"    INDEX 01 00:0[78]:\d\d", index)
    for wrong in (["--csv", "--cue"], ["--json", "--cue"]):
        assert CliRunner().invoke(app, [*words, *wrong]).exit_code == 2
    assert CliRunner().invoke(app, ["identify", "-", "--cue", *words[2:]], input=b"").exit_code == 2
