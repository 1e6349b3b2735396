"""Where somebody speaks whose voice is known from an example, and who speaks when in a file."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from echoic import AudioError, Library, UnknownEncoderError, UsageError, who_speaks
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import noise
from echoic.heard.voices import LEAST_SPEECH
from tests.doubles.echoic_doubles import RATE, Singers
from tests.integration.conftest import CommandsWithin

pytestmark = pytest.mark.usefixtures("doubles")
SUNG = {
    "alone": "aaaaaaaa",
    "among": "bbbbbbbbaaaaaaaacccccccc    aaaaaa",
    "others": "bbbbbbcccccc",
    "none": " " * 8,
}


@pytest.fixture(scope="module")
def sung(tmp_path_factory):
    """A library of who sings, to be looked into only."""
    folder = tmp_path_factory.mktemp("sung")
    for name, singers in SUNG.items():
        write_audio(folder / f"{name}.wav", Singers.sing(singers), RATE)
    with Library(tmp_path_factory.mktemp("voices")) as library:
        library.index([folder], encoders=["singers"], jobs=1)
        yield library


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    path = tmp_path_factory.mktemp("example") / "example.wav"
    write_audio(path, Singers.sing("  aaaa "), RATE)
    return path


def spans(hits):
    return [(Path(hit.path).stem, hit.start, hit.end) for hit in hits]


def test_a_voice_is_found_where_it_speaks(sung, example):
    hits = sung.voices(example)
    assert {name for name, _, _ in spans(hits)} == {"alone", "among"}
    assert all(0.5 <= hit.score <= 1 and hit.encoder == "singers" for hit in hits)
    every = sung.voices(example, every=True, path="*among.wav")
    starts, ends = zip(*sorted((start, end) for _, start, end in spans(every)), strict=True)
    assert starts == pytest.approx([4.0, 14.0], abs=0.9)
    assert ends == pytest.approx([8.0, 17.0], abs=0.9)
    assert sung.check() == []


def test_an_example_is_left_out_by_whichever_name_it_is_asked_for(sung, tmp_path):
    [alone] = [record.path for record in sung.files() if record.path.endswith("alone.wav")]
    (tmp_path / "link.wav").symlink_to(alone)
    for example in (alone, tmp_path / "link.wav"):
        assert {name for name, _, _ in spans(sung.voices(example))} == {"among"}
        assert "alone" in {name for name, _, _ in spans(sung.voices(example, include_query=True))}


def test_nothing_is_kept_of_where_nobody_speaks(sung):
    assert sung.status().segments["singers@1"] > 0
    [silent] = [file.path for file in sung.files() if file.path.endswith("none.wav")]
    with pytest.raises(AudioError, match="nothing to search by"):
        sung.voices(silent)


def test_an_indexed_example_finds_others_and_not_itself(sung):
    [alone] = [file.path for file in sung.files() if file.path.endswith("alone.wav")]
    assert {name for name, _, _ in spans(sung.voices(alone))} == {"among"}
    assert {name for name, _, _ in spans(sung.voices(alone, include_query=True))} == {"alone", "among"}
    [among] = [file.path for file in sung.files() if file.path.endswith("among.wav")]
    part = sung.voices(among, start=4.0, end=8.0, every=True)
    assert {(name, round(start)) for name, start, _ in spans(part)} == {("alone", 0), ("among", 14)}


def test_what_cannot_be_looked_for_is_said(sung, example, tmp_path):
    write_audio(tmp_path / "short.wav", Singers.sing("a", LEAST_SPEECH / 2), RATE)
    with pytest.raises(AudioError, match="too short"):
        sung.voices(tmp_path / "short.wav")
    with pytest.raises(AudioError, match="exist"):
        sung.voices(tmp_path / "gone.wav")
    with pytest.raises(UsageError, match="min_score"):
        sung.voices(example, min_score=2)
    with pytest.raises(UsageError, match="--voice"):
        sung.search(example, encoder="singers")


def test_a_library_without_voices_says_how_to_have_them(tmp_path, example):
    with Library(tmp_path / "library") as library:
        library.index([example], encoders=["spectral"], jobs=1)
        with pytest.raises(UnknownEncoderError, match="--encoder voice"):
            library.voices(example)


def test_the_command_line_takes_a_file_or_a_part_of_it(sung, example):
    echoic = CommandsWithin(sung.folder)
    rows = [
        json.loads(line)
        for line in echoic("search", "--voice", example, "--every", "--json").stdout.splitlines()
    ]
    assert len(rows) == 3
    assert rows[0].keys() == {"rank", "path", "start", "end", "score", "encoder"}
    assert len(echoic("search", "--voice", f"{example}@1-3", "--json").stdout.splitlines()) == 2
    filtered = echoic("search", "--voice", example, "--path", "nosuch/*")
    assert "is not heard in the files that fit the filters" in filtered.stderr
    assert "does not exist" in echoic("search", "--voice", "gone.wav", code=1).stderr
    assert "--voice FILE@START-END" in echoic("search", "--voice", example, "--start", "1", code=2).stderr
    assert "--voice FILE@START-END" in echoic("search", "--voice", f"{example}@2", code=2).stderr
    assert "--voice goes with" in echoic("search", "--voice", example, "--text", "x", code=2).stderr
    assert "--encoder events" in echoic("search", example, "--every", code=2).stderr


@pytest.mark.parametrize("seconds", [0.0, 3.0])
def test_nobody_speaks_in_noise_and_silence(tmp_path, seconds):
    write_audio(tmp_path / "a.wav", 0.1 * noise(3.0, 16_000, 1) * (seconds > 0), 16_000)
    notes = []
    assert who_speaks(tmp_path / "a.wav", noted=notes.append) == []
    assert notes
    told = CommandsWithin(tmp_path)("describe", "--voices", tmp_path / "a.wav")
    assert told.stdout == ""
    assert len(told.stderr.splitlines()) == 1


def test_voices_and_kinds_of_sound_are_asked_for_apart(tmp_path):
    echoic = CommandsWithin(tmp_path)
    told = echoic("describe", "--voices", "a.wav", "--min-probability", ".3", code=2).stderr
    assert "leave --min-probability out" in told


def test_two_readers_are_told_apart_and_found(data_dir, tmp_path):
    with (data_dir / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    first, second = (
        np.concatenate(
            [read_audio(data_dir / row["path"], 16_000)[0] for row in rows if row["speaker"] == name][:4]
        )
        for name in ("ls26", "ls27")
    )
    pause = np.zeros(8_000, np.float32)
    parts = [first[:64_000], pause, second[:64_000], pause, first[64_000:112_000]]
    write_audio(tmp_path / "talk.wav", np.concatenate(parts), 16_000)
    told = who_speaks(tmp_path / "talk.wav")
    assert [span.voice for span in told] == ["A", "B", "A"]
    assert [span.start for span in told[1:]] == pytest.approx([4.5, 9.0], abs=0.8)
    lines = CommandsWithin(tmp_path)(
        "describe", "--voices", "--json", tmp_path / "talk.wav"
    ).stdout.splitlines()
    assert [json.loads(line)["voice"] for line in lines] == ["A", "B", "A"]
    write_audio(tmp_path / "second.wav", second[64_000:128_000], 16_000)
    with Library(tmp_path / "library") as library:
        library.index([tmp_path / "talk.wav"], encoders=["voice"], jobs=1)
        [hit] = library.voices(tmp_path / "second.wav", every=True)
        assert (hit.start, hit.end) == pytest.approx((4.5, 8.5), abs=0.9)
