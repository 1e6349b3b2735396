"""What is heard in files and in a library's files: told, kept, listed, searched by, and forgotten."""

from __future__ import annotations

import csv
import json
from io import BytesIO, StringIO

import numpy as np
import pytest

from echoic import HeardSpan, Library, NotAudioError, Note, UsageError, describe
from echoic.audio.encode import write_audio
from echoic.encoders.head import Head
from echoic.encoders.onnx import OnnxEncoder
from echoic.heard.files import _listener
from echoic.search.query import Query
from tests.integration.conftest import CommandsWithin, write_clip

RATE = 16_000
LABELS = ["Animal", "Bark", "Rain"]
DIM = 128


def head(animal, bark, rain):
    """Make a head that always hears the same, as likely as is said."""
    likely = np.array([animal, bark, rain])
    content = BytesIO()
    np.savez(
        content,
        labels=np.frombuffer("\n".join(LABELS).encode(), np.uint8),
        kinds=np.array([[1, 0]], np.int16),
        first_weight=np.zeros((1, DIM), np.float16),
        first_bias=np.zeros(1, np.float16),
        second_weight=np.zeros((3, 1), np.float16),
        second_bias=np.log(likely / (1 - likely)).astype(np.float32),
        whole=np.array([1, 0], np.float32),
        close=np.array([1, 0], np.float32),
    )
    return Head(content.getvalue(), DIM)


BARKING, RAINING = head(0.6, 0.9, 0.1), head(0.7, 0.2, 0.8)


@pytest.fixture
def hear(monkeypatch):
    def hear(what):
        monkeypatch.setattr(OnnxEncoder, "head", what)
        _listener.cache_clear()

    hear(BARKING)
    yield hear
    _listener.cache_clear()


@pytest.fixture
def library(tmp_path, hear, worker):
    for seed, name in enumerate(("a.wav", "b.wav")):
        write_clip(tmp_path / "in" / name, seed)
    with Library(tmp_path / "library") as library:
        library._opening._pool = (1, worker)
        library.index([tmp_path / "in"], encoders=["sound"], jobs=1)
        yield library


def found(library, *tags):
    return [record.path.rpartition("/")[2] for record in library.files(tags=tags)]


def test_what_is_heard_is_a_tag_of_several_values(library, tmp_path, hear):
    assert [record.heard for record in library.files()] == [{"Bark": 0.9}] * 2
    path = str(tmp_path / "in" / "a.wav")
    assert library.describe(path) == [HeardSpan(path, 0.0, 0.6, "Bark", 0.9)]
    assert found(library, "heard=bark") == found(library, "heard=Animal") == ["a.wav", "b.wav"]
    assert found(library, "BARK", "heard=animal") == ["a.wav", "b.wav"]
    assert found(library, "heard=Rain") == found(library, "mood=bark") == []
    with pytest.raises(UsageError, match="not in the library"):
        library.describe(tmp_path / "other.wav")

    # Another head judges the vectors that are there.
    hear(RAINING)
    report = library.index([tmp_path / "in"], jobs=1)
    assert (report.unchanged, report.audio) == (2, 0)
    assert [record.heard for record in library.files()] == [{"Rain": 0.8, "Animal": 0.7}] * 2
    assert found(library, "heard=bark") == []

    # What is heard goes with the file, and with the encoder.
    library.remove([path])
    assert found(library, "heard=Rain") == ["b.wav"]
    library.remove_encoder("sound")
    assert [record.heard for record in library.files()] == [{}]
    assert library.check() == []
    library.index([tmp_path / "in" / "b.wav"], encoders=["spectral"], jobs=1)
    for find in (found, lambda library, tag: library.search(path, tags=tag)):
        with pytest.raises(UsageError, match=r"nothing tells what is heard .* --encoder sound"):
            find(library, "heard=Rain")


def test_what_is_heard_is_given_and_taken_by_nobody(library, tmp_path):
    path = tmp_path / "in" / "a.wav"
    for call in (
        lambda: library.tag([path], add=["Heard=Cat"]),
        lambda: library.tag([path], remove=["heard=Bark"]),
        lambda: library.index([path], tags=["heard=Zebra"]),
    ):
        with pytest.raises(UsageError, match="is what Echoic hears; choose another name, as in sound="):
            call()
    echoic = CommandsWithin(tmp_path / "none")
    assert "is what Echoic hears" in echoic("tag", path, "--remove", "heard=Bark", code=2).stderr
    # Nor does a tag of a file's own that has the name tell it.
    tagged = write_clip(tmp_path / "in" / "c.flac", 3, tags={"heard": "Rain"})
    library.index([tagged], jobs=1)
    assert found(library, "heard=Rain") == []
    assert found(library, "Rain") == ["c.flac"]


def test_a_kind_that_is_not_known_is_told_with_those_near_it(library):
    with pytest.raises(
        UsageError, match=r"'unicorn' is no kind of sound that is told; all are named by: echoic"
    ):
        found(library, "heard=Unicorn")
    with pytest.raises(UsageError, match=r"'barks' is no kind of sound that is told; near it: Bark; all"):
        found(library, "heard=Barks")


def test_a_library_shows_what_is_heard(library, tmp_path):
    echoic = CommandsWithin(tmp_path / "library")
    assert "[heard] Bark" in echoic("list").stdout
    assert json.loads(echoic("list", "--json").stdout.splitlines()[0])["heard"] == {"Bark": 0.9}
    hits = echoic("search", tmp_path / "in" / "a.wav", "--tag", "heard=Bark", "--json").stdout.splitlines()
    assert [json.loads(hit)["path"] for hit in hits] == [str(tmp_path / "in" / "b.wav")]


@pytest.fixture
def half_silent(tmp_path):
    """Three seconds of noise, and four without any sound."""
    samples = np.zeros(7 * RATE, np.float32)
    samples[: 3 * RATE] = np.random.default_rng(0).normal(0, 0.1, 3 * RATE)
    write_audio(tmp_path / "noise.wav", samples, RATE)
    return tmp_path / "noise.wav"


def test_a_file_is_described_where_it_sounds(half_silent, hear):
    [span] = describe(half_silent)
    assert (span.path, span.label, span.start, span.probability) == (str(half_silent), "Bark", 0, 0.9)
    assert span.end == pytest.approx(3, abs=0.1)
    [part] = describe(half_silent, start=1, end=2)
    assert (part.start, part.end) == (1, 2)
    assert describe(half_silent, min_probability=0.95) == []
    assert {span.label for span in describe(half_silent, min_probability=0.05)} == {"Bark", "Rain"}
    notes = []
    assert describe(half_silent, start=4, noted=notes.append) == []
    assert notes == [Note("silence", "no sound in that part")]


@pytest.mark.parametrize("least", [0, -0.1, 1.1, float("nan")])
def test_a_probability_that_there_is_not_is_refused(half_silent, least):
    with pytest.raises(UsageError, match="probability"):
        describe(half_silent, min_probability=least)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"start": -1}, "start must be a time in seconds from 0 on, and is -1"),
        ({"start": float("nan")}, "start must be a time in seconds from 0 on, and is nan"),
        ({"start": float("inf")}, "start must be a time in seconds from 0 on, and is inf"),
        ({"end": float("inf")}, "end must be a time in seconds, and is inf; leave it out for the rest"),
        ({"start": 2, "end": 1}, "the part from 2 s to 1 s is empty; end must come after start"),
    ],
)
def test_a_part_that_is_none_is_refused_as_of_a_search(half_silent, part, said):
    for listen in (describe, lambda file, **part: Query(file, **part)):
        with pytest.raises(UsageError, match=f"^{said}$"):
            listen(half_silent, **part)


def test_no_audio_is_no_sound(tmp_path):
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(NotAudioError):
        describe(tmp_path / "text.wav")


def test_the_verb_prints_and_writes_what_is_heard(half_silent, tmp_path, hear):
    echoic = CommandsWithin(tmp_path / "library")
    span = describe(half_silent)[0]
    assert echoic("describe", half_silent).stdout.split()[-2:] == ["0.90", "Bark"]
    as_json = json.loads(echoic("describe", half_silent, "--json").stdout)
    assert HeardSpan(**as_json) == span
    [row] = csv.DictReader(StringIO(echoic("describe", half_silent, "--csv").stdout))
    assert (row["label"], float(row["end"])) == ("Bark", span.end)
    words = ["describe", half_silent, "--labels", tmp_path / "new" / "labels"]
    echoic(*words)
    label = (tmp_path / "new" / "labels" / "noise.wav.txt").read_text().split("\t")
    assert (float(label[0]), float(label[1]), label[2]) == (span.start, span.end, "Bark\n")
    assert "noise.wav.txt is there already" in echoic(*words, code=2).stderr
    assert "noise.wav is a file; give a folder" in echoic(*words[:-1], half_silent, code=2).stderr
    assert echoic("describe", "--kinds").stdout.split() == LABELS
    for words in ([], [half_silent, "--kinds"]):
        assert "give a file to listen to, or --kinds alone" in echoic("describe", *words, code=2).stderr
    for least in ("0", "1.5"):
        told = echoic("describe", half_silent, "--min-probability", least, code=2).stderr
        assert "--min-probability" in told
        assert "min_probability" not in told


def test_labels_of_files_of_one_name_are_told_apart(half_silent, tmp_path, hear):
    other = write_clip(tmp_path / "other" / "noise.wav", 1)
    told = CommandsWithin(tmp_path / "library")(
        "describe", half_silent, other, "--labels", "labels", cwd=tmp_path
    ).stderr
    assert told == "note: the labels of other/noise.wav go to labels/noise.wav.2.txt\n"
    ends = [
        float((tmp_path / "labels" / name).read_text().split("\t")[1])
        for name in ("noise.wav.txt", "noise.wav.2.txt")
    ]
    assert ends == [span.end for file in (half_silent, other) for span in describe(file)]


def test_a_bad_file_hinders_no_other(half_silent, tmp_path, hear):
    (tmp_path / "text.wav").write_text("no sound")
    echoic = CommandsWithin(tmp_path / "library")
    done = echoic("describe", tmp_path / "text.wav", half_silent, code=1)
    assert "text.wav" in done.stderr
    assert "Bark" in done.stdout
    short = write_clip(tmp_path / "short.wav", 1)
    done = echoic("describe", short, half_silent, "--start", "2", "--end", "3", code=2)
    assert "short.wav ends before 2.0 s" in done.stderr
    assert "Bark" in done.stdout
    done = echoic("describe", half_silent, "--start", "4", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("", "note: noise.wav: no sound in that part\n")
    assert "choose one" in echoic("describe", half_silent, "--json", "--csv", code=2).stderr
