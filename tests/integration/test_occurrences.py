"""Every place where something is heard: from files to hits, and to what other programs read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from echoic import AudioError, Library, UnknownEncoderError, UsageError
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.interchange.labels import read_labels
from echoic.interchange.raven import read_raven
from tests.integration.conftest import CommandsWithin

RATE = 16_000
CALLS = {"woods": [6.0, 14.0, 25.0], "field": [9.0]}  # s
LENGTH = 0.8


def call(seed: int) -> np.ndarray:
    """A whistle that goes up and down, each a little different."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(LENGTH * RATE)) / RATE
    pitch = rng.uniform(2_300, 2_500) + 700 * np.sin(2 * np.pi * times / LENGTH)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    fade = np.minimum(1, np.minimum(times, LENGTH - times) / 0.03)
    return ((np.sin(phase) + 0.3 * np.sin(2 * phase)) * fade * 0.1).astype(np.float32)


def others(sound: np.ndarray, seed: int) -> None:
    """Put in other sounds: knocks, and hums."""
    rng = np.random.default_rng(seed)
    for at in (2.0, 11.0, 18.0, 21.5):
        n = round(rng.uniform(0.2, 0.6) * RATE)
        times = np.arange(n) / RATE
        here = sound[round(at * RATE) :][:n]
        if at < 15:
            here += (rng.normal(0, 0.2, n) * np.exp(-times * 20)).astype(np.float32)
        else:
            here += (0.1 * np.sign(np.sin(2 * np.pi * 110 * times))).astype(np.float32)


@pytest.fixture(scope="module")
def wild(tmp_path_factory):
    """A library of recordings with calls in two of three, to be looked into only."""
    folder = tmp_path_factory.mktemp("wild")
    for number, name in enumerate(["woods", "field", "yard"]):
        sound = np.random.default_rng(number).normal(0, 0.003, 30 * RATE).astype(np.float32)
        others(sound, number)
        for i, at in enumerate(CALLS.get(name, [])):
            sound[round(at * RATE) :][: round(LENGTH * RATE)] += call(10 * number + i)
        write_audio(folder / f"{name}.wav", sound, RATE)
    with Library(tmp_path_factory.mktemp("library")) as library:
        library.index([folder], encoders=["events"], jobs=1)
        yield library


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    path = tmp_path_factory.mktemp("example") / "example.wav"
    quiet = np.zeros(RATE // 2, np.float32)
    write_audio(path, np.concatenate([quiet, call(99), quiet]), RATE)
    return path


def found(hits):
    spans = {}
    for hit in hits:
        spans.setdefault(Path(hit.path).stem, []).append((hit.start, hit.end))
    return spans


def test_every_place_is_told_with_its_begin_and_end(wild, example):
    hits = list(wild.occurrences(example))
    spans = found(hits)
    assert spans.keys() == CALLS.keys()
    for name, starts in CALLS.items():
        assert [start for start, _ in spans[name]] == pytest.approx(starts, abs=0.1)
        assert [end for _, end in spans[name]] == pytest.approx([at + LENGTH for at in starts], abs=0.1)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4]
    assert all(0.5 <= hit.score <= 1 and hit.encoder == "events" for hit in hits)
    assert wild.check() == []


def test_the_surest_come_first_where_so_many_are_wanted(wild, example):
    hits = list(wild.occurrences(example, 2, min_score=0))
    everything = list(wild.occurrences(example, min_score=0))
    assert len(hits) == 2 < len(everything)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in everything), reverse=True)[:2]


def test_a_part_of_a_recording_finds_the_others_and_not_itself(wild):
    [woods] = [file.path for file in wild.files() if file.path.endswith("woods.wav")]
    spans = found(wild.occurrences(woods, start=6.0, end=6.8))
    assert [round(start) for start, _ in spans["woods"]] == [14, 25]
    itself = found(wild.occurrences(woods, start=6.0, end=6.8, include_query=True))
    assert [round(start) for start, _ in itself["woods"]] == [6, 14, 25]


def test_words_and_several_examples_are_asked_by(wild, example, tmp_path):
    write_audio(tmp_path / "another.wav", call(100), RATE)
    assert found(wild.occurrences(like=[example, tmp_path / "another.wav"])).keys() == CALLS.keys()
    assert list(wild.occurrences(text="a bird whistles", min_score=0))
    assert found(wild.occurrences(example, path="*field*")).keys() == {"field"}


def test_what_cannot_be_looked_for_is_said(wild, example, tmp_path):
    write_audio(tmp_path / "silent.wav", np.zeros(RATE, np.float32), RATE)
    with pytest.raises(AudioError, match=r"silent.wav is nothing to search by"):
        list(wild.occurrences(tmp_path / "silent.wav"))
    with pytest.raises(UsageError, match="min_score"):
        list(wild.occurrences(example, min_score=2))
    with pytest.raises(UsageError, match="--every"):
        wild.search(example, encoder="events")
    with Library(tmp_path / "older") as older:
        older.index([example], encoders=["spectral"], jobs=1)
        with pytest.raises(UnknownEncoderError, match="echoic index FOLDER --encoder events"):
            list(older.occurrences(example))
        with pytest.raises(UsageError, match="knows windows"):
            list(older.occurrences(example, encoder="spectral"))


def test_what_is_found_goes_into_other_programs(wild, example, tmp_path):
    echoic = CommandsWithin(wild.folder)
    asked = ["search", example, "--every", "--json", "--labels", tmp_path / "labels"]
    asked += ["--raven", tmp_path / "raven.txt", "--reaper", tmp_path / "regions.csv"]
    rows = [json.loads(line) for line in echoic(*asked).stdout.splitlines()]
    assert [row["path"] for row in rows] == [one.path for one in read_raven(tmp_path / "raven.txt")]
    kept = {name: (tmp_path / name).read_bytes() for name in ("raven.txt", "regions.csv")}
    for option, name in (("--raven", "raven.txt"), ("--reaper", "regions.csv")):
        again = echoic("search", example, "--every", option, tmp_path / name, code=2)
        assert (again.stdout, "is there already" in again.stderr) == ("", True)
        assert (
            "there is no folder" in echoic("search", example, option, tmp_path / "gone" / "x", code=2).stderr
        )
        assert (tmp_path / name).read_bytes() == kept[name]
    labels = read_labels((tmp_path / "labels" / "woods.wav.txt").read_text("utf-8"))
    assert [label.start for label in labels] == [
        row["start"] for row in rows if row["path"].endswith("woods.wav")
    ]
    assert len((tmp_path / "regions.csv").read_text("utf-8").splitlines()) == 1 + len(rows)
    (tmp_path / "hits.json").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    written = echoic("cut", tmp_path / "hits.json", "-o", tmp_path / "parts", "--pad", "0.5").stdout
    parts = sorted((tmp_path / "parts").iterdir())
    assert len(parts) == len(rows) == len(written.splitlines())
    samples, _ = read_audio(parts[-1], RATE)
    assert parts[-1].name.startswith("woods-00025.0") or parts[-1].name.startswith("woods-00024.9")
    assert len(samples) / RATE == pytest.approx(LENGTH + 1, abs=0.2)
    for place in ((tmp_path / "labels",), (tmp_path / "labels", "-k", 1)):
        again = echoic("search", example, "--every", "--labels", *place, code=2)
        assert (again.stdout, "is there already" in again.stderr) == ("", True)
    (tmp_path / "hits.json").write_text('{"path": "gone.wav", "start": 1, "end": 2}\n', "utf-8")
    assert "gone.wav" in echoic("cut", tmp_path / "hits.json", "-o", tmp_path / "parts", code=1).stderr
    (tmp_path / "hits.json").write_text('{"path": "gone.wav", "start": 3, "end": 2}\n', "utf-8")
    assert "from 3 s to 2 s" in echoic("cut", tmp_path / "hits.json", "-o", tmp_path, code=2).stderr
    assert "--pad" in echoic("cut", tmp_path / "hits.json", "-o", tmp_path, "--pad", "-1", code=2).stderr
    (tmp_path / "hits.json").write_text('{"path": "gone.wav"}\n', "utf-8")
    assert "line 1 is no hit" in echoic("cut", tmp_path / "hits.json", "-o", tmp_path, code=2).stderr
    assert "-o DIR" in echoic("cut", tmp_path / "hits.json", code=2).stderr


def test_the_command_line_says_when_nothing_is_heard(wild, example):
    echoic = CommandsWithin(wild.folder)
    assert "nothing found" in echoic("search", example, "--every", "--path", "*yard*").stderr
    assert "--min-score goes with" in echoic("search", example, "--min-score", "0.3", code=2).stderr
    assert echoic("search", example, "--every", "--m3u").stdout.startswith("#EXTM3U\n#EXTINF:1,")
