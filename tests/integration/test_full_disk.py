"""What a full disk, or a shell that has closed a stream, does to whatever is printed or written."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from tests.integration.conftest import write_clip

FULL = Path("/dev/full")
FEW = 4_096  # bytes that a file may have

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="no device here is always full")


@pytest.fixture
def filled(folder, index):
    for seed in range(3):
        write_clip(folder / f"{seed}.wav", seed)
    index()
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["search", "--help"],
        ["list"],
        ["list", "--json"],
        ["search", "0.wav", "--csv"],
        ["evaluate", "classes", "--encoder", "spectral"],
        ["index", "."],
    ],
    ids=" ".join,
)
def test_results_that_find_no_room_are_told_in_one_sentence(echoic, filled, words):
    for family in "ab":
        for seed in range(2):
            write_clip(filled / "classes" / family / f"{seed}.wav", seed)
    with FULL.open("wb") as full:
        done = echoic(*words, code=1, stdout=full, cwd=filled)
    [line] = done.stderr.splitlines()
    assert line.startswith("error: standard output cannot be used (No space left on device); make room")


def test_messages_that_find_no_room_stop_nothing(echoic, filled):
    with FULL.open("wb") as full:
        done = echoic("list", "--tag", "absent", stderr=full, cwd=filled)
    assert done.stdout == ""


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_stream_that_the_shell_has_closed_is_as_if_nothing_were_there(echoic, filled, number):
    done = echoic("list", cwd=filled, preexec_fn=lambda: os.close(number))
    assert len(done.stdout.splitlines()) == (0 if number == 1 else 3)


def test_a_reader_that_has_had_enough_is_no_failure(echoic, filled):
    for words in (["list"], ["--help"], ["list", "--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "wb") as pipe:
            done = echoic(*words, stdout=pipe, cwd=filled)
        assert done.stderr == ""


@pytest.mark.parametrize("words", [["embed", ".", "--encoder", "spectral", "--segments", "-o", "out.npz"]])
def test_what_finds_no_room_leaves_nothing_behind(echoic, folder, words):
    for seed in range(40):
        write_clip(folder / f"{seed}.wav", seed)
    names = sorted(path.name for path in folder.iterdir())
    done = echoic(
        *words,
        code=1,
        cwd=folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (FEW, FEW)),
    )
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {words[-1]} cannot be written (File too large)")
    assert sorted(path.name for path in folder.iterdir()) == names
