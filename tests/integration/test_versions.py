"""Other versions of a piece, found in a library and on the command line."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soxr
from typer.testing import CliRunner

from echoic import Library, UnknownEncoderError, UsageError
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import PIECES, make_piece, noise
from echoic.cli import app

RATE = 16_000


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pieces")
    for name in PIECES:
        write_audio(folder / f"{name}.mp3", make_piece(name, sample_rate=RATE), RATE)
    with Library(tmp_path_factory.mktemp("library")) as opened:
        opened.index([folder], encoders=["harmony"])
        yield opened


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """A part of the live take, two semitones higher with its tempo, under noise."""
    take = make_piece("night-drive-live", sample_rate=RATE).mean(axis=1)[8 * RATE :]
    higher = soxr.resample(take, RATE * 2 ** (2 / 12), RATE)
    hiss = noise(len(higher) / RATE + 1, RATE, 5)[: len(higher)]
    path = tmp_path_factory.mktemp("stage") / "stage.opus"
    write_audio(path, (higher + 0.1 * hiss * higher.std() / hiss.std()).astype(np.float32), RATE)
    return path


def test_the_studio_take_is_found_from_the_stage(library, stage):
    first, second, third, *_ = library.versions(stage)
    assert {first.path.rpartition("/")[2], second.path.rpartition("/")[2]} == {
        "night-drive.mp3",
        "night-drive-live.mp3",
    }
    assert second.score > third.score + 0.2
    assert 0 < first.end - first.start < 45
    assert first.encoder == "harmony"


def test_a_file_of_the_library_is_not_its_own_version(library):
    known = next(record.path for record in library.files() if record.path.endswith("night-drive.mp3"))
    told = []
    hits = library.versions(known, 2, progress=told.append)
    assert hits[0].path.endswith("night-drive-live.mp3")
    assert len(hits) == 2
    assert (told[-1].done, told[-1].total) == (len(PIECES) - 1, len(PIECES) - 1)
    [itself] = library.versions(known, 1, include_query=True)
    assert itself.path == known
    assert itself.score > 0.99


def test_filters_and_numbers(library, stage):
    hits = library.versions(stage, path="*waltz*")
    assert [hit.path.rpartition("/")[2] for hit in hits] == ["music-box-waltz.mp3"]
    assert library.versions(stage, max_duration=1.0) == []
    with pytest.raises(UsageError, match="k is the number of hits"):
        library.versions(stage, 0)
    with pytest.raises(UsageError, match="must come after start"):
        library.versions(stage, start=3, end=2)


def test_a_library_without_harmony_says_how_to_get_it(stage, tmp_path):
    with Library(tmp_path / "library") as other:
        other.index([stage], encoders=["spectral"])
        with pytest.raises(UnknownEncoderError, match=r"no encoder 'harmony'.*--encoder harmony"):
            other.versions(stage)


def test_the_command(library, stage):
    words = ["search", str(stage), "--versions", "-k", "2", "--library", str(library.folder)]
    result = CliRunner().invoke(app, [*words, "--json"])
    assert [json.loads(line)["rank"] for line in result.stdout.splitlines()] == [1, 2]
    assert "night-drive" in json.loads(result.stdout.splitlines()[0])["path"]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert CliRunner().invoke(app, [*words, "--like", str(stage)]).exit_code == 2
    assert CliRunner().invoke(app, ["search", "--versions"]).exit_code == 2
