"""A folder of broken and malicious files costs those files only, with one clear sentence each."""

import json
import os
import re
import threading
from pathlib import Path

import pytest

from echoic import Library
from tests.hostile import EXPECTED, make_hostile
from tests.integration.conftest import ENCODERS, write_clip
from tests.integration.contents import assert_whole

# A folder by that name is no file: nothing is looked for but what it holds.
KINDS = {kind: state for kind, state in EXPECTED.items() if kind != "directory"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The hostile folder with good files in it, indexed once by the command line."""
    from tests.integration.conftest import CommandLine

    home = tmp_path_factory.mktemp("hostile")
    paths = make_hostile(home / "audio")
    good = [write_clip(home / "audio" / f"good-{seed}.wav", seed) for seed in range(4)]
    echoic = CommandLine(home / "library")
    result = echoic("index", home / "audio", "--encoder", "spectral", "--jobs", "2", code=1)
    rows = [json.loads(line) for line in echoic("list", "--json").stdout.splitlines()]
    return echoic, result, paths, good, {row["path"]: row for row in rows}


def test_every_file_is_accounted_for(run):
    _, _, paths, good, rows = run
    states = {kind: rows[str(paths[kind])]["state"] for kind in KINDS}
    assert states == KINDS
    assert all(rows[str(path)]["state"] == "indexed" for path in good)


def test_each_bad_file_has_one_clear_sentence(run):
    echoic, result, paths, _, _ = run
    listed = [json.loads(line) for line in echoic("list", "--failed", "--json").stdout.splitlines()]
    bad = {str(paths[kind]): state for kind, state in KINDS.items() if state != "indexed"}
    assert {row["path"]: row["state"] for row in listed} == bad
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert warnings == result.stderr.splitlines()
    assert len(warnings) == len(bad)
    for row in listed:
        message = row["message"]
        assert message.isprintable()
        assert 20 < len(message) < 400, message
        assert not re.search(r"\[Errno|Error\b|0x[0-9a-f]+|please report", message), message
        [warning] = [line for line in warnings if f"{Path(row['path']).name}" in line]
        assert message in warning


def test_good_files_are_found(run):
    echoic, _, _, good, rows = run
    readable = {path for path, row in rows.items() if row["state"] != "failed"}
    hits = [
        json.loads(line) for line in echoic("search", good[0], "--json", "-k", len(rows)).stdout.splitlines()
    ]
    assert {hit["path"] for hit in hits} == readable - {str(good[0])}


ODD_NAMES = ("name_newline", "name_not_utf8", "name_dash", "name_pattern", "name_protocol")


@pytest.mark.parametrize("kind", ODD_NAMES)
def test_odd_names_come_back_byte_for_byte(run, kind):
    echoic, _, paths, _, _ = run
    lines = echoic("search", paths[kind], "--json", "-k", "10").stdout.splitlines()
    found = {os.fsencode(hit["path"]): hit["score"] for hit in map(json.loads, lines)}
    for other in set(ODD_NAMES) - {kind}:  # the same sound under another name
        assert found[os.fsencode(paths[other])] == pytest.approx(1, abs=1e-5)
    assert os.fsencode(paths[kind]) not in found


def test_a_name_that_starts_with_a_dash_is_searched_from_its_folder(run):
    echoic, _, paths, _, _ = run
    result = echoic("search", "-k", "2", "--", "-i.wav", cwd=paths["name_dash"].parent)
    assert len(result.stdout.splitlines()) == 2


def test_a_second_run_passes_over_what_cannot_pass_by_itself(run):
    echoic, _, paths, _, _ = run
    result = echoic("index", paths["text"].parent, "--jobs", "1", code=1)
    unreadable = {"unreadable", "dangling_link", "link_loop", "fifo", "socket"}
    warnings = result.stderr.splitlines()
    assert len(warnings) == len(unreadable)
    for kind in unreadable:  # these may work another time and are tried again
        assert any(paths[kind].name in line for line in warnings)
    n_failed = sum(state == "failed" for state in KINDS.values())
    assert f"{n_failed - len(unreadable)} skipped (failed before)" in result.stdout
    with Library(echoic.environment["ECHOIC_LIBRARY"]) as library:
        assert_whole(library)


def test_no_playlist_was_followed(run):
    _, _, paths, _, rows = run
    for kind in ("playlist_m3u8", "playlist_ffconcat"):
        assert rows[str(paths[kind])]["duration"] == 0


def test_a_file_that_vanishes_in_the_run(library, index, folder):
    for seed in range(6):
        write_clip(folder / f"{seed}.wav", seed)

    def vanish(progress):
        if progress.done == 1:
            (folder / "5.wav").unlink()

    report = index(progress=vanish)
    [(path, message)] = report.failed
    assert path == str(folder / "5.wav")
    assert "5.wav" in message
    assert report.added == 5
    assert_whole(library)
    assert index().removed == 1
    assert len(library.files()) == 5


def test_a_file_that_is_written_during_the_run_is_done_again(library, index, folder):
    """The worker may read new content under the old stamp, or half of each: the next run sets it right."""
    for seed in range(3):
        write_clip(folder / f"{seed}.wav", seed, 2)
    stop = threading.Event()

    def rewrite():
        seed = 100
        while not stop.is_set():
            write_clip(folder / "2.wav", seed := seed + 1, 2)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        index()
    finally:
        stop.set()
        writer.join()
    index()
    with Library(folder.parent / "fresh") as fresh:
        fresh.index([folder], encoders=ENCODERS, jobs=1)
        [expected] = fresh.search(folder / "2.wav", 1, include_query=True)
    [hit] = library.search(folder / "2.wav", 1, include_query=True)
    assert hit == expected
    assert hit.path == str(folder / "2.wav")
    assert_whole(library)


def test_an_unreadable_folder_is_told_and_its_files_stay(library, index, folder, monkeypatch):
    kept = write_clip(folder / "closed" / "kept.wav")
    write_clip(folder / "open.wav", 1)
    index()
    closed = str(kept.parent)
    real = os.scandir

    def scandir(path):  # the tests may run as root, to whom no folder is closed
        if os.fspath(path) == closed:
            raise PermissionError(13, "Permission denied", closed)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    report = index()
    [(path, message)] = report.failed
    assert path == closed
    assert closed in message
    assert "may not be read; allow it and try again" in message
    assert (report.removed, report.unchanged) == (0, 1)
    assert {record.path: record.state for record in library.files()} == {
        str(kept): "indexed",
        str(folder / "open.wav"): "indexed",
    }
