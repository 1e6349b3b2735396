"""Searching a library: what is found, where in it, and what filters and further examples do."""

import subprocess
import sys

import numpy as np
import pytest

from echoic import LibraryError, NotAudioError, UnknownEncoderError, UnreadableError, UsageError
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import make_sound
from tests.integration.conftest import RATE, write_clip

FAMILIES = ("bells", "drums", "sirens", "wind")
TAKES = 4


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Four families of sounds in folders, the bells tagged."""
    root = tmp_path_factory.mktemp("sounds")
    for family in FAMILIES:
        for take in range(TAKES):
            path = root / family / f"{take}.flac"
            path.parent.mkdir(exist_ok=True)
            tags = {"genre": "Chimes", "artist": f"Ringer {take}"} if family == "bells" else {}
            write_audio(path, make_sound(family, take, sample_rate=RATE * 2), RATE * 2, tags=tags)
    return root


@pytest.fixture(scope="module")
def library(sounds, worker, tmp_path_factory):
    """The sounds, indexed; the tests of this module only read."""
    from echoic import Library

    with Library(tmp_path_factory.mktemp("library")) as opened:
        opened._opening._pool = (1, worker)
        opened.index([sounds], encoders=["spectral"], jobs=1)
        opened.index([sounds / "drums"], encoders=["spectral"], jobs=1, tags=["loud"])
        yield opened


def families(hits):
    return [hit.path.split("/")[-2] for hit in hits]


def names(hits):
    return {"/".join(hit.path.split("/")[-2:]) for hit in hits}


# What is found


def test_the_nearest_are_of_the_same_family(library, sounds):
    right = sum(
        families(library.search(path, 1))[0] == path.parent.name for path in sorted(sounds.rglob("*.flac"))
    )
    assert right >= 11, "of 16; chance is 3"


def test_hits_are_ranked_and_bounded(library, sounds):
    hits = library.search(sounds / "bells" / "0.flac", 100)
    assert len(hits) == len(FAMILIES) * TAKES - 1
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1 for score in scores)
    assert len({hit.path for hit in hits}) == len(hits)
    durations = {record.path: record.duration for record in library.files()}
    assert all(0 <= hit.start < hit.end <= durations[hit.path] + 1e-6 for hit in hits)
    assert library.search(sounds / "bells" / "0.flac", 5) == hits[:5]


def test_the_query_itself_is_left_out_unless_asked_for(library, sounds):
    query = sounds / "drums" / "1.flac"
    assert str(query) not in {hit.path for hit in library.search(query, 100)}
    best = library.search(query, 100, include_query=True)[0]
    assert best.path == str(query)
    assert best.score == pytest.approx(1, abs=1e-5)


def test_a_relative_query_is_known_as_itself(library, sounds, monkeypatch):
    monkeypatch.chdir(sounds / "drums")
    hits = library.search("1.flac", 100)
    assert len(hits) == 15
    assert str(sounds / "drums" / "1.flac") not in {hit.path for hit in hits}


def test_a_query_need_not_be_in_the_library(library, tmp_path, sounds):
    stranger = tmp_path / "stranger.wav"
    write_audio(stranger, make_sound("wind", 7, sample_rate=16_000), 16_000)
    hits = library.search(stranger, 16)
    assert len(hits) == 16
    assert families(hits)[0] == "wind"
    copy = tmp_path / "copy.flac"
    copy.write_bytes((sounds / "wind" / "2.flac").read_bytes())
    [hit] = library.search(copy, 1)
    assert (hit.path, hit.score) == (str(sounds / "wind" / "2.flac"), pytest.approx(1, abs=1e-5))


def test_two_searches_agree(library, sounds, tmp_path):
    stranger = write_clip(tmp_path / "s.wav", 3, 21)
    for query in (sounds / "wind" / "0.flac", stranger):
        assert library.search(query, 10) == library.search(query, 10)


def test_a_long_query_asks_with_all_its_windows(library, tmp_path):
    parts = [make_sound("bells", 0, sample_rate=16_000), make_sound("drums", 2, sample_rate=16_000)]
    long = tmp_path / "long.wav"
    write_audio(long, np.concatenate([np.resize(part, 20 * 16_000) for part in parts]), 16_000)
    hits = library.search(long, 100)
    assert len(hits) == 16
    assert {"bells", "drums"} == set(families(hits[:4]))
    assert set(families(library.search(long, 2, end=18))) == {"bells"}
    assert set(families(library.search(long, 2, start=22))) == {"drums"}


def test_a_part_of_the_query(library, tmp_path):
    both = tmp_path / "both.wav"
    bell, siren = (np.resize(make_sound(f, 1, sample_rate=16_000), 5 * 16_000) for f in ("bells", "sirens"))
    write_audio(both, np.concatenate([bell, siren]), 16_000)
    assert families(library.search(both, 1, end=5)) == ["bells"]
    assert families(library.search(both, 1, start=5)) == ["sirens"]
    assert families(library.search(both, 1, start=5, end=10)) == ["sirens"]


# Where


@pytest.mark.parametrize("at", [12.0, 61.3, 110.0])
def test_the_span_covers_a_planted_sound(library_of_noise, tmp_path, at):
    library, recording, plant = library_of_noise
    planted_at = plant(at)
    hits = library.search(tmp_path / "siren.wav", 1)
    assert hits[0].path == str(recording)
    overlap = min(hits[0].end, planted_at + 4) - max(hits[0].start, planted_at)
    assert overlap >= 3, f"found {hits[0].start}–{hits[0].end} s, planted at {planted_at} s"


@pytest.fixture
def library_of_noise(tmp_path, worker):
    """Two minutes of noise in which four seconds of a siren can be planted."""
    from echoic import Library

    siren = np.resize(make_sound("sirens", 2, sample_rate=RATE), 4 * RATE)
    write_audio(tmp_path / "siren.wav", siren, RATE)
    recording = tmp_path / "audio" / "recording.wav"
    recording.parent.mkdir()
    with Library(tmp_path / "library") as opened:
        opened._opening._pool = (1, worker)

        def plant(at):
            samples = np.random.default_rng(0).normal(0, 0.02, 120 * RATE).astype(np.float32)
            first = round(at * RATE)
            samples[first : first + len(siren)] += siren
            write_audio(recording, samples, RATE)
            opened.index([recording.parent], encoders=["spectral"], jobs=1)
            return at

        yield opened, recording, plant


# Filters


def test_filters_by_path(library, sounds):
    query = sounds / "bells" / "0.flac"
    assert names(library.search(query, 100, path="drums/*")) == {f"drums/{i}.flac" for i in range(4)}
    assert names(library.search(query, 100, path="[dw]*/1.flac")) == {"drums/1.flac", "wind/1.flac"}
    assert names(library.search(query, 100, path=f"{sounds}/sirens/2*")) == {"sirens/2.flac"}
    assert len(library.search(query, 100, path="*.flac")) == 15
    assert library.search(query, 100, path="nowhere/*") == []


def test_filters_by_duration(library, sounds):
    durations = {record.path: record.duration for record in library.files()}
    middle = float(np.median(list(durations.values())))
    query = sounds / "bells" / "0.flac"
    longer = {p for p, d in durations.items() if d >= middle} - {str(query)}
    shorter = {p for p, d in durations.items() if d <= middle} - {str(query)}
    assert {hit.path for hit in library.search(query, 100, min_duration=middle)} == longer
    assert {hit.path for hit in library.search(query, 100, max_duration=middle)} == shorter
    with pytest.raises(UsageError, match="5 s or longer, and 4 s or shorter"):
        library.search(query, 100, min_duration=5, max_duration=4)


def test_filters_by_tag(library, sounds):
    query = sounds / "wind" / "0.flac"
    assert set(families(library.search(query, 100, tags=["chimes"]))) == {"bells"}
    assert set(families(library.search(query, 100, tags=["Genre=chimes"]))) == {"bells"}
    assert names(library.search(query, 100, tags=["artist=ringer 2"])) == {"bells/2.flac"}
    assert set(families(library.search(query, 100, tags=["loud"]))) == {"drums"}
    assert library.search(query, 100, tags=["genre=loud"]) == []
    assert library.search(query, 100, tags=["loud", "chimes"]) == []


def test_filters_combine(library, sounds):
    query = sounds / "wind" / "0.flac"
    hits = library.search(query, 100, path="*/[12].flac", tags=["chimes"], min_duration=0.1)
    assert names(hits) == {"bells/1.flac", "bells/2.flac"}
    without = library.search(query, 100)
    kept = [hit for hit in without if hit.path in {h.path for h in hits}]
    assert [(h.path, h.start, h.score) for h in hits] == [
        (h.path, h.start, pytest.approx(h.score, abs=1e-6)) for h in kept
    ]


# Further examples


def test_like_draws_nearer_and_unlike_pushes_away(library, sounds):
    query, sirens = sounds / "bells" / "0.flac", [sounds / "sirens" / f"{i}.flac" for i in range(2)]

    def score_of(hits, name):
        return {hit.path: hit.score for hit in hits}[str(sounds / name)]

    plain = library.search(query, 100)
    nearer = library.search(query, 100, like=sirens)
    away = library.search(query, 100, unlike=[sounds / "bells" / "1.flac"])
    assert score_of(nearer, "sirens/2.flac") > score_of(plain, "sirens/2.flac")
    assert score_of(away, "bells/2.flac") < score_of(plain, "bells/2.flac")
    for hits, examples in ((nearer, sirens), (away, [sounds / "bells" / "1.flac"])):
        assert not {str(example) for example in examples} & {hit.path for hit in hits}


def test_examples_alone_are_a_query(library, sounds):
    drums = [sounds / "drums" / f"{i}.flac" for i in range(2)]
    assert families(library.search(like=drums, k=1)) == ["drums"]
    assert len(library.search(like=drums, k=100)) == 14
    assert len(library.search(like=drums, k=100, include_query=True)) == 16


# What cannot be searched


def test_wrong_usage_is_refused(library, sounds):
    query = sounds / "bells" / "0.flac"
    for arguments, sentence in (
        ({}, "give a file or words to search by"),
        ({"query": query, "k": 0}, "k is the number of hits"),
        ({"query": query, "start": -1}, "start must be a time in seconds from 0 on"),
        ({"query": query, "start": 2, "end": 2}, "end must come after start"),
        ({"query": query, "start": float("nan")}, "start must be a time"),
        ({"query": query, "end": float("inf")}, "end must be a time"),
        ({"like": [query], "start": 1}, "there is none"),
    ):
        with pytest.raises(UsageError, match=sentence):
            library.search(**arguments)
    with pytest.raises(UnknownEncoderError, match="only spectral"):
        library.search(query, encoder="nonesuch")


def test_a_query_that_is_not_there_or_no_audio_is_refused(library, sounds, tmp_path):
    with pytest.raises(UnreadableError, match=r"gone\.wav"):
        library.search(tmp_path / "gone.wav")
    (tmp_path / "text.wav").write_text("no audio")
    with pytest.raises(NotAudioError, match=r"text\.wav"):
        library.search(tmp_path / "text.wav")
    with pytest.raises(UsageError, match=r"0\.flac"):
        library.search(sounds / "bells" / "0.flac", start=100)


def test_a_library_that_is_not_there_is_refused(tmp_path):
    from echoic import Library

    with pytest.raises(LibraryError, match="make one with: echoic index FOLDER"):
        Library(tmp_path / "none").search(tmp_path / "x.wav")
    assert not (tmp_path / "none").exists()


# What it loads

LOADED = """
import atexit, sys
from echoic.__main__ import main

atexit.register(lambda: print(*sys.modules, file=sys.stderr))
main()
"""


def test_a_search_by_a_file_of_the_library_loads_nothing_that_it_does_not_need(library, sounds):
    words = ["search", str(sounds / "bells" / "0.flac"), "--library", str(library.folder)]
    command = [sys.executable, "-c", LOADED, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert len(done.stdout.splitlines()) == 10
    loaded = set(done.stderr.split())
    of_the_command_line = {name for name in loaded if name.startswith("echoic.cli.")}
    assert of_the_command_line == {
        f"echoic.cli.{name}" for name in ("options", "output", "search", "stopping")
    }
    heavy = "av jinja2 onnxruntime pymilvus torch"  # some versions of others load more, as typer does rich
    assert not {name.partition(".")[0] for name in loaded} & set(heavy.split())
    rooms = {name.partition(".")[2].partition(".")[0] for name in loaded if name.startswith("echoic.")}
    assert not rooms & set("advice analysis evaluation heard indexing nn recordings training".split())
    homes = "audio.decode encoders.card_format encoders.families encoders.onnx storage.frames"
    assert not {f"echoic.{home}" for home in (*homes.split(), "storage.vectors.milvus")} & loaded
