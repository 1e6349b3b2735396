"""Recordings that a library holds twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soxr
from typer.testing import CliRunner

from echoic import Library, UnknownEncoderError, UsageError
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import PIECES, make_piece, noise
from echoic.cli import app

RATE = 16_000
FIRST, SECOND, THIRD, FOURTH = [name for name in PIECES if not name.endswith("-live")][:4]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """Four pieces; a quiet copy of the first, an excerpt of the second, a faster copy of the third."""
    root = tmp_path_factory.mktemp("duplicates")
    (root / "music").mkdir()
    pieces = {
        name: make_piece(name, sample_rate=RATE).mean(axis=1) for name in (FIRST, SECOND, THIRD, FOURTH)
    }

    def write(name: str, samples: np.ndarray) -> None:
        write_audio(root / "music" / name, samples.astype(np.float32), RATE)

    for name, samples in pieces.items():
        write(f"{name}.mp3", samples)
    write("quiet.opus", 0.3 * pieces[FIRST])
    hiss = noise(2, RATE, 1)
    write("excerpt.flac", np.concatenate([hiss, pieces[SECOND][3 * RATE : 18 * RATE], hiss]))
    write("fast.ogg", soxr.resample(pieces[THIRD], 1.03 * RATE, RATE))
    with Library(root / "library") as opened:
        opened.index([root / "music"], encoders=["fingerprint"], jobs=1)
        yield opened


def names(duplicate):
    return {Path(duplicate.path).name, Path(duplicate.other).name}


def test_copies_excerpts_and_faster_ones_are_found_and_nothing_else(library):
    done = []
    found = library.duplicates(progress=done.append)
    by_names = {frozenset(names(duplicate)): duplicate for duplicate in found}
    assert len(found) == len(by_names) == 3
    whole = by_names[frozenset({f"{FIRST}.mp3", "quiet.opus"})]
    assert whole.whole
    assert abs(whole.start - whole.other_start) < 0.3
    assert whole.tempo == pytest.approx(1, abs=0.01)
    part = by_names[frozenset({f"{SECOND}.mp3", "excerpt.flac"})]
    assert not part.whole
    spans = {
        Path(part.path).name: (part.start, part.end),
        Path(part.other).name: (part.other_start, part.other_end),
    }
    assert spans["excerpt.flac"] == pytest.approx((2, 17), abs=1.5)
    assert spans[f"{SECOND}.mp3"] == pytest.approx((3, 18), abs=1.5)
    faster = by_names[frozenset({f"{THIRD}.mp3", "fast.ogg"})]
    tempo = faster.tempo if Path(faster.path).name == "fast.ogg" else 1 / faster.tempo
    assert tempo == pytest.approx(1.03, abs=0.006)
    assert [now.done for now in done] == list(range(1, 8))
    assert done[-1].done_bytes == done[-1].total_bytes


def test_a_recording_is_identified_in_each_of_its_copies(library, tmp_path):
    heard = make_piece(FIRST, sample_rate=RATE).mean(axis=1)[5 * RATE : 13 * RATE]
    write_audio(tmp_path / "heard.wav", heard.astype(np.float32), RATE)
    matches = library.identify(tmp_path / "heard.wav")
    assert {Path(match.path).name for match in matches} == {f"{FIRST}.mp3", "quiet.opus"}
    for match in matches:
        assert (match.query_start, match.query_end) == pytest.approx((0, 8), abs=0.3)
        assert match.start == pytest.approx(5, abs=0.2)
        assert match.score > 0.9


def test_the_command(library):
    words = ["duplicates", "--library", str(library.folder)]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == 3
    assert set(rows[0]) >= {"path", "other", "start", "end", "other_start", "other_end", "score", "whole"}
    shown = CliRunner().invoke(app, words).stdout
    assert shown.count("whole") >= 1
    assert "excerpt.flac" in shown


def test_a_library_without_copies_and_one_without_fingerprints(tmp_path):
    write_audio(tmp_path / "a.wav", noise(3, RATE), RATE)
    with Library(tmp_path / "one") as one, Library(tmp_path / "other") as other:
        one.index([tmp_path / "a.wav"], encoders=["fingerprint"], jobs=1)
        assert one.duplicates() == []
        with pytest.raises(UsageError):
            one.duplicates(min_score=2)
        other.index([tmp_path / "a.wav"], encoders=["spectral"], jobs=1)
        with pytest.raises(UnknownEncoderError):
            other.duplicates()
    result = CliRunner().invoke(app, ["duplicates", "--library", str(tmp_path / "one")])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "twice" in result.stderr
