"""What is heard again and again, in files and in a library."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from echoic import Library, UsageError, find_repeats
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import make_piece, noise, talk
from echoic.cli import app
from echoic.interchange.labels import read_labels

RATE = 16_000


@pytest.fixture(scope="module")
def programmes(tmp_path_factory):
    """Two short programmes with one jingle at three places: plain, quiet, and under speech."""
    root = tmp_path_factory.mktemp("programmes")
    jingle = make_piece("night-drive", sample_rate=RATE).mean(axis=1)[RATE * 8 :][: 7 * RATE]
    others = make_piece("corner-cafe", sample_rate=RATE).mean(axis=1)
    talks = [talk(8.0, RATE, seed=seed) for seed in range(3)]
    over = np.resize(talks[0], len(jingle))
    one = [others[: 9 * RATE], jingle, noise(6, RATE), 0.25 * jingle, np.zeros(4 * RATE)]
    other = [talks[1], jingle + 0.5 * over * jingle.std() / over.std(), noise(5, RATE, 2), talks[2]]
    write_audio(root / "one.mp3", np.concatenate(one).astype(np.float32), RATE)
    write_audio(root / "other.flac", np.concatenate(other).astype(np.float32), RATE)
    due = [("one.mp3", 9.0), ("one.mp3", 22.0), ("other.flac", len(talks[1]) / RATE)]
    return root, due


def check(places, due, tolerance):
    found = sorted((place["path"].rpartition("/")[2], place["start"], place["end"]) for place in places)
    assert [name for name, _, _ in found] == [name for name, _ in due]
    for (_, start, end), (_, begin) in zip(found, due, strict=True):
        assert start == pytest.approx(begin, abs=tolerance)
        assert end == pytest.approx(begin + 7, abs=tolerance)


def test_a_jingle_is_told_at_each_place(programmes, tmp_path):
    root, due = programmes
    words = ["repeats", str(root), "--apart", "10"]
    result = CliRunner().invoke(app, [*words, "--json", "--labels", str(tmp_path / "labels")])
    assert result.exit_code == 0, result.output
    places = [json.loads(line) for line in result.stdout.splitlines()]
    assert {place["group"] for place in places} == {1}
    check(places, due, 0.8)
    quiet, plain = (
        next(p for p in places if p["path"].endswith("one.mp3") and (p["start"] > 15) is later)
        for later in (True, False)
    )
    assert quiet["level"] - plain["level"] == pytest.approx(-12, abs=1)
    tracks = {path.name: read_labels(path.read_text()) for path in (tmp_path / "labels").iterdir()}
    assert {name: len(labels) for name, labels in tracks.items()} == {"one.mp3.txt": 2, "other.flac.txt": 1}
    again = CliRunner().invoke(app, [*words, "--labels", str(tmp_path / "labels")])
    assert (again.exit_code, again.stdout) == (2, "")
    lines = CliRunner().invoke(app, words).stdout.splitlines()
    assert lines[0].endswith("3 places")
    assert len(lines) == 4


def test_what_two_short_files_share_is_told_without_being_asked_for_more(programmes):
    root, _ = programmes
    [group] = find_repeats([root / "one.mp3", root / "other.flac"])
    places = [{"path": place.path, "start": place.start, "end": place.end} for place in group]
    # Of the two in the first file, which come sooner than five minutes, one is told.
    assert {place["path"].rpartition("/")[2] for place in places} == {"one.mp3", "other.flac"}
    assert len(places) == 2


def test_a_bad_file_stops_no_run(programmes, tmp_path):
    root, due = programmes
    (tmp_path / "bad.wav").write_text("not audio")
    words = [
        "repeats",
        str(tmp_path / "bad.wav"),
        *map(str, sorted(root.iterdir())),
        "--apart",
        "10",
        "--csv",
    ]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 1
    assert "bad.wav" in result.stderr
    check([{**r, "start": float(r["start"]), "end": float(r["end"])} for r in _rows(result.stdout)], due, 0.8)


def _rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_library_is_asked_by_its_fingerprints(programmes, tmp_path):
    root, due = programmes
    with Library(tmp_path / "library") as library:
        library.index([root], encoders=["fingerprint"], jobs=1)
        told = []
        [group] = library.repeats(apart=10, progress=told.append)
    places = [{"path": place.path, "start": place.start, "end": place.end} for place in group]
    check(places, due, 0.8)
    assert all(place.level is None or place is group[0] for place in group)
    assert told[-1].done_bytes == told[-1].total_bytes


def test_nothing_is_repeated_in_a_loop_or_in_silence(tmp_path):
    bar = make_piece("night-drive", sample_rate=RATE).mean(axis=1)[: 2 * RATE]
    sounds = [np.resize(bar, 20 * RATE), np.zeros(3 * RATE), noise(6, RATE)]
    write_audio(tmp_path / "loop.wav", np.concatenate(sounds).astype(np.float32), RATE)
    write_audio(tmp_path / "silence.wav", np.zeros(9 * RATE, np.float32), RATE)
    assert find_repeats([tmp_path / "loop.wav", tmp_path / "silence.wav"]) == []
    result = CliRunner().invoke(app, ["repeats", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing is heard again" in result.stderr


def test_numbers_that_make_no_sense(tmp_path):
    for wrong in ({"min_length": 0.2}, {"apart": -1.0}, {"min_score": 2.0}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            find_repeats([tmp_path / "a.wav"], **wrong)
    assert CliRunner().invoke(app, ["repeats", "a.wav", "--json", "--csv"]).exit_code == 2
