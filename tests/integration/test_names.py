"""Names that are no text come out of every verb byte for byte, whatever the terminal's encoding."""

import base64
import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import CommandsWithin, write_clip
from tests.models import write_model

FOLDER, NAME, COPY = b"dir\xff", b"caf\xe9.wav", b"copy\xe9.wav"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A library at a name that is no text, of two copies and a third clip, all at such names."""
    home = tmp_path_factory.mktemp("names")
    folder = home / os.fsdecode(FOLDER)
    for name, seed in ((NAME, 1), (COPY, 1), (b"other\xa0.wav", 2)):
        write_clip(folder / os.fsdecode(name), seed, 3.0)
    commands = CommandsWithin(home / os.fsdecode(b"lib\xe9"))
    commands("index", folder, "--encoder", "spectral", "--encoder", "fingerprint", "--jobs", "1")
    return commands, folder


PATHS = {
    "list": lambda f: ["list", "--json"],
    "search": lambda f: ["search", f / os.fsdecode(NAME), "--encoder", "spectral", "--json"],
    "identify": lambda f: ["identify", f / os.fsdecode(NAME), "--json"],
    "monitor": lambda f: ["monitor", f / os.fsdecode(NAME), "--json"],
    "duplicates": lambda f: ["duplicates", "--json"],
    "align": lambda f: ["align", f / os.fsdecode(NAME), f / os.fsdecode(COPY), "--json"],
    "status": lambda f: ["status", "--json"],
}


@pytest.mark.parametrize("verb", PATHS)
def test_names_in_json(place, verb):
    commands, folder = place
    lines = [json.loads(line) for line in commands(*PATHS[verb](folder)).stdout.splitlines()]
    named = set()
    for line in lines:
        for field in ("path", "other", "query", "first", "second", "folder"):
            if field in line:
                name = os.fsencode(line[field])
                assert base64.b64decode(line[f"{field}_base64"]) == name
                named.add(name)
    inside = {os.fsencode(path) for path in folder.iterdir()}
    library = os.fsencode(commands.environment["ECHOIC_LIBRARY"])
    assert named
    assert named <= inside | {library}
    if verb in ("list", "duplicates", "align"):
        assert {os.fsencode(folder) + b"/" + name for name in (NAME, COPY)} <= named


def test_a_name_that_is_text_stands_once(echoic, folder):
    write_clip(folder / "café.wav")
    echoic("index", folder, "--encoder", "spectral", "--jobs", "1")
    [line] = echoic("list", "--json").stdout.splitlines()
    assert json.loads(line)["path"] == str(folder / "café.wav")
    assert "base64" not in line


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "utf-16"])
def test_names_in_every_format_of_a_search(place, encoding):
    commands, folder = place
    environment = commands.environment | {"PYTHONIOENCODING": encoding}
    query = [sys.executable, "-m", "echoic", "search", folder / os.fsdecode(NAME), "-k", "1"]

    def said(*options):
        done = subprocess.run(
            [*query, "--encoder", "spectral", *options], env=environment, capture_output=True, check=True
        )
        return done.stdout

    copy = os.fsencode(folder) + b"/" + COPY
    header, row = csv.reader(io.StringIO(os.fsdecode(said("--csv"))))
    assert os.fsencode(dict(zip(header, row, strict=True))["path"]) == copy
    playlist = said("--m3u").split(b"\n")
    assert playlist[0] == b"#EXTM3U"
    assert playlist[-2] == copy
    assert os.fsencode(json.loads(said("--json").decode(encoding))["path"]) == copy


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["duplicates", "--csv"], {NAME, COPY}),
        (["identify", NAME, "--csv"], {NAME, COPY}),
        (["identify", NAME, "--cue"], {NAME}),
    ],
    ids=["copies", "matches", "sheet"],
)
def test_names_in_tables_and_sheets_are_bytes(place, words, named, encoding):
    commands, folder = place
    words = [folder / os.fsdecode(word) if isinstance(word, bytes) else word for word in words]
    environment = commands.environment | {"PYTHONIOENCODING": encoding}
    said = subprocess.run(
        [sys.executable, "-m", "echoic", *words], env=environment, capture_output=True, check=True
    ).stdout
    for name in named:
        assert os.fsencode(folder) + b"/" + name in said


def test_what_a_library_cannot_keep_is_refused_in_a_sentence(place, tmp_path):
    commands, folder = place
    odd = os.fsdecode(b"odd\xe9")
    for words in (
        ["index", folder, "--tag", odd],
        ["tag", folder, "--add", odd],
        ["tag", folder, "--add", f"{odd}=x"],
        ["search", folder / os.fsdecode(NAME), "--tag", odd],
        ["index", folder, "--encoder", write_model(tmp_path / f"{odd}.onnx")],
    ):
        result = commands(*words, code=2)
        [sentence] = result.stderr.splitlines()
        assert sentence.startswith("error: ")
        assert "no text in UTF-8" in sentence
        assert sentence.isprintable()
    fresh = CommandsWithin(tmp_path / "fresh")
    assert "no text in UTF-8" in fresh("index", folder, "--store", f"{odd}.db", code=2).stderr


def test_names_in_an_archive(place, tmp_path):
    import numpy as np

    commands, folder = place
    commands("embed", folder, "--encoder", "spectral", "--jobs", "1", "-o", tmp_path / "v.npz")
    with np.load(tmp_path / "v.npz") as found:
        assert {os.fsencode(Path(path)) for path in found["paths"].tolist()} == {
            os.fsencode(path) for path in folder.iterdir()
        }
