"""Copies in several formats are one group; what was found is told at once and kept."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soxr
from typer.testing import CliRunner

from echoic import Library
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import PIECES, make_piece, noise
from echoic.cli import app
from echoic.recordings.duplicates.comparison import FileComparison
from echoic.recordings.result import Duplicate

RATE = 16_000
FIRST, SECOND, THIRD, FOURTH = [name for name in PIECES if not name.endswith("-live")][:4]
COPIES = {"a.mp3", "b.flac", "c.ogg", "d.opus", "e.wav"}
LENGTH = 22  # s of each piece
STILL = 6  # s of silence before and after the music in one of the copies


def hit(seconds: float, seed: int) -> np.ndarray:
    """Make a one-shot: a chord that fades."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    tones = sum(np.sin(2 * np.pi * f * time) for f in rng.uniform(150, 3_000, 4))
    return (0.2 * tones * np.exp(-6 * time)).astype(np.float32)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    root = tmp_path_factory.mktemp("groups")
    (root / "in").mkdir()
    pieces = {
        name: make_piece(name, sample_rate=RATE).mean(axis=1)[: LENGTH * RATE]
        for name in (FIRST, SECOND, THIRD, FOURTH)
    }

    def write(name: str, samples: np.ndarray) -> Path:
        write_audio(root / "in" / name, samples.astype(np.float32), RATE)
        return root / "in" / name

    for name in sorted(COPIES - {"d.opus", "e.wav"}):
        write(name, pieces[FIRST])
    write("d.opus", 0.2 * pieces[FIRST])
    still = np.zeros(STILL * RATE)
    write("e.wav", np.concatenate([still, pieces[FIRST], still]))
    hiss = noise(4, RATE, 1)
    write("excerpt.flac", np.concatenate([hiss, pieces[FIRST][5 * RATE : 17 * RATE], hiss]))
    shutil.copy(write("same.wav", pieces[SECOND]), root / "in" / "same again.wav")
    write("third.flac", pieces[THIRD])
    write("third 8 % fast.flac", soxr.resample(pieces[THIRD], 1.08 * RATE, RATE))
    write("fourth.flac", pieces[FOURTH])
    write("fourth 14 % slow.flac", soxr.resample(pieces[FOURTH], 0.86 * RATE, RATE))
    write("fourth 13 % fast.flac", soxr.resample(pieces[FOURTH], 1.13 * RATE, RATE))
    for number, seconds in enumerate((0.05, 0.4, 0.9), 1):
        shot = write(f"hit {number}.wav", hit(seconds, number))
        shutil.copy(shot, root / "in" / f"hit {number} again.wav")
        write(f"hit {number}.flac", hit(seconds, number))
        write(f"unlike {number}.wav", hit(seconds, 10 + number))
    with Library(root / "library") as opened:
        opened.index([root / "in"], encoders=["fingerprint"], jobs=1)
        yield opened


@pytest.fixture
def fresh(library, tmp_path):
    """The same library, nothing found yet."""
    shutil.copytree(library.folder, tmp_path / "library")
    shutil.rmtree(tmp_path / "library" / "index", ignore_errors=True)
    with Library(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def looked_at(monkeypatch):
    """The files that were compared with others, rather than taken from what was found before."""
    files: list[int] = []
    compare = FileComparison.shared

    def noted(self, file_id, *arguments):
        files.append(file_id)
        return compare(self, file_id, *arguments)

    monkeypatch.setattr(FileComparison, "shared", noted)
    return files


def run(library, *words: str):
    return CliRunner().invoke(app, ["duplicates", "--library", str(library.folder), *words])


def names(*duplicates: Duplicate) -> set[str]:
    return {Path(path).name for d in duplicates for path in (d.path, d.other)}


def test_copies_in_every_format_are_one_group(library):
    groups = [finding for finding in library.duplicates_as_found() if finding[0].whole]
    by_names = {frozenset(names(*group)): group for group in groups}
    assert set(by_names) == {
        frozenset(COPIES),
        frozenset({"same.wav", "same again.wav"}),
        frozenset({"third.flac", "third 8 % fast.flac"}),
        *(frozenset({f"hit {n}.wav", f"hit {n} again.wav", f"hit {n}.flac"}) for n in (1, 2, 3)),
    }
    five = by_names[frozenset(COPIES)]
    assert len(five) == 10  # each pair
    assert all(pair.score > 0.9 and pair.tempo == 1 for pair in five)
    assert sorted({pair.group for group in groups for pair in group}) == [1, 2, 3, 4, 5, 6]
    assert all(len({pair.group for pair in group}) == 1 for group in groups)


@pytest.mark.parametrize(("length", "less"), [(30, 1.5), (30, 3), (10, 1.4), (4.5, 1.0)])
@pytest.mark.parametrize("at", ["begin", "end"])
def test_more_of_the_music_is_no_whole_copy_and_silence_in_its_place_is(length, less, at, tmp_path):
    whole = make_piece(FIRST, sample_rate=RATE).mean(axis=1)[5 * RATE :][: round(length * RATE)]
    cut = round(less * RATE)
    short = whole[cut:] if at == "begin" else whole[:-cut]
    still = np.concatenate([np.zeros(cut), short] if at == "begin" else [short, np.zeros(cut)])
    for name, samples in {"whole": whole, "short": short, "still": still}.items():
        write_audio(tmp_path / f"{name}.flac", samples.astype(np.float32), RATE)
    with Library(tmp_path / "library") as library:
        library.index([tmp_path], encoders=["fingerprint"], jobs=1)
        found = {frozenset(Path(p).stem for p in (d.path, d.other)): d for d in library.duplicates()}
    assert {names: d.whole for names, d in found.items()} == {
        frozenset({"short", "still"}): True,
        frozenset({"whole", "still"}): False,
        frozenset({"whole", "short"}): False,
    }


def test_silence_around_it_makes_no_copy_a_part(library):
    pairs = [d for d in library.duplicates() if "e.wav" in names(d) and d.whole]
    assert len(pairs) == 4
    for pair in pairs:
        spans = {
            Path(pair.path).name: (pair.start, pair.end),
            Path(pair.other).name: (pair.other_start, pair.other_end),
        }
        assert spans.pop("e.wav") == pytest.approx((STILL, STILL + LENGTH), abs=1.1)
        assert spans.popitem()[1] == pytest.approx((0, LENGTH), abs=1.1)


def test_files_of_the_same_bytes_are_the_same_from_end_to_end_however_short(library):
    identical = [
        d for d in library.duplicates() if "again" in d.path + d.other and ".flac" not in d.path + d.other
    ]
    assert len(identical) == 4
    for pair in identical:
        assert (pair.start, pair.other_start, pair.score, pair.tempo, pair.whole) == (0, 0, 1, 1, True)
        assert pair.end == pair.other_end > 0
    shown = run(library).stdout
    assert shown.count("hit 2") == 3
    assert sum("hit 2" in line for line in shown.splitlines()) == 1


def test_one_shots_in_another_format_are_whole_from_the_beginning(library):
    for pair in library.duplicates():
        if "hit" in pair.path and ".flac" in pair.path + pair.other:
            assert (pair.start, pair.other_start, pair.whole) == (0, 0, True)
            assert pair.end == pytest.approx(pair.other_end, abs=1e-3)
    assert not any("unlike" in d.path + d.other for d in library.duplicates())


def test_speeds_within_ten_percent_are_told_and_no_others(library):
    found = library.duplicates()
    (fast,) = [d for d in found if "third" in d.path]
    tempo = fast.tempo if "fast" in fast.path else 1 / fast.tempo
    assert tempo == pytest.approx(1.08, abs=0.005)
    assert not any("fourth" in d.path + d.other for d in found)
    assert f"whole    {fast.score:.2f}  {100 * (fast.tempo - 1):+.1f} %" in run(library).stdout


def test_a_part_is_told_for_each_copy_but_shown_once(library):
    parts = [d for d in library.duplicates() if not d.whole]
    assert {frozenset(names(d)) for d in parts} == {frozenset({"excerpt.flac", name}) for name in COPIES}
    for part in parts:
        assert part.group is None
        ours = (part.start, part.end) if "excerpt" in part.path else (part.other_start, part.other_end)
        assert ours == pytest.approx((4, 16), abs=1.1)
    lines = run(library).stdout.splitlines()
    assert len(lines) == 7  # six groups, and the part
    assert sum("excerpt" in line for line in lines) == 1
    (line,) = [line for line in lines if "a.mp3" in line and "excerpt" not in line]
    assert all(name in line for name in COPIES)
    assert "whole" in line


def test_json_and_csv_tell_each_pair(library):
    found = library.duplicates()
    rows = [json.loads(line) for line in run(library, "--json").stdout.splitlines()]
    assert [Duplicate(**row) for row in rows] == found
    table = list(csv.DictReader(io.StringIO(run(library, "--csv").stdout)))
    assert [row["path"] for row in table] == [d.path for d in found]
    assert [row["group"] for row in table] == ["" if d.group is None else str(d.group) for d in found]
    assert [float(row["other_start"]) for row in table] == [d.other_start for d in found]
    refused = run(library, "--csv", "--json")
    assert refused.exit_code == 2


def test_a_result_is_told_before_the_rest_is_looked_at(fresh, looked_at, monkeypatch):
    findings = fresh.duplicates_as_found()
    next(findings)
    n_then = len(looked_at)
    assert len(list(findings)) > 1
    assert n_then < len(looked_at)

    class Printed(io.StringIO):
        flushed = ""

        def flush(self):
            self.flushed = self.getvalue()

    one = Duplicate("/a", "/b", 0, 1, 0, 1, 1, 1, whole=True, group=1)

    def slowly(*_, **__):
        yield (one,)
        assert "/a  /b    whole    1.00\n" in stdout.flushed
        yield (one,)

    stdout = Printed()
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(Library, "duplicates_as_found", slowly)
    app(["duplicates", "--library", str(fresh.folder)], standalone_mode=False)
    assert stdout.flushed.count("\n") == 2


def test_what_ctrl_c_stopped_goes_on_where_it_was(fresh, looked_at):
    def stop(now):
        if now.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fresh.duplicates(progress=stop)
    before = list(looked_at)
    looked_at.clear()
    found = fresh.duplicates()
    assert len(before) == 5
    assert looked_at
    assert not set(before) & set(looked_at)
    looked_at.clear()
    assert fresh.duplicates() == found
    assert not looked_at
    shutil.rmtree(fresh.folder / "index")  # may be deleted
    assert fresh.duplicates() == found
    assert set(before) < set(looked_at)


def test_what_was_killed_goes_on_where_it_was(fresh, looked_at):
    killed = (
        "import os, signal, sys; from echoic import Library\n"
        "def kill(now):\n    if now.done == 6: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Library(sys.argv[1]).duplicates(progress=kill)"
    )
    ended = subprocess.run([sys.executable, "-c", killed, str(fresh.folder)], check=False, timeout=120)
    assert ended.returncode == -9
    found = fresh.duplicates()
    n_left = len(looked_at)
    shutil.rmtree(fresh.folder / "index")
    looked_at.clear()
    assert fresh.duplicates() == found
    assert n_left == len(looked_at) - 6


def test_what_was_found_is_forgotten_when_the_library_changes(fresh, looked_at, tmp_path):
    found = fresh.duplicates()
    looked_at.clear()
    assert fresh.duplicates(min_score=0.9)  # another question
    assert looked_at
    write_audio(tmp_path / "new.wav", hit(0.4, 2), RATE)
    fresh.index([tmp_path / "new.wav"], encoders=["fingerprint"], jobs=1)
    looked_at.clear()
    assert {"new.wav", "hit 2.wav"} <= names(*(d for d in fresh.duplicates() if "hit 2" in d.path + d.other))
    assert looked_at
    fresh.remove([tmp_path / "new.wav"])
    assert fresh.duplicates() == found


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
def test_a_damaged_record_of_what_was_found_is_made_anew(fresh, content):
    found = fresh.duplicates()
    (fresh.folder / "index" / "duplicates.sqlite").write_bytes(content)
    assert fresh.duplicates() == found


def test_progress_is_told_within_long_files(library, monkeypatch):
    monkeypatch.setattr("echoic.recordings.duplicates.duplication._LONG", 20.0)
    shutil.rmtree(library.folder / "index", ignore_errors=True)
    said = []
    library.duplicates(progress=said.append)
    assert [now.done_bytes for now in said] == sorted(now.done_bytes for now in said)
    inside = [now for before, now in pairwise(said) if now.done == before.done]
    assert inside
    assert said[-1].done == said[-1].total
    assert said[-1].done_bytes == said[-1].total_bytes
