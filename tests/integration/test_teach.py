"""A library is taught what to find: examples and answers add up, are kept, and survive what goes wrong."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from echoic import AudioError, Library, UsageError
from echoic.audio.encode import write_audio
from echoic.storage.concepts import Answers
from tests.integration.conftest import CommandsWithin
from tests.integration.test_occurrences import CALLS, LENGTH, RATE, call, others


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Recordings with whistles in two of three, and knocks and hums in all."""
    folder = tmp_path_factory.mktemp("taught")
    for number, name in enumerate(["woods", "field", "yard"]):
        sound = np.random.default_rng(number).normal(0, 0.003, 30 * RATE).astype(np.float32)
        others(sound, number)
        for i, at in enumerate(CALLS.get(name, [])):
            sound[round(at * RATE) :][: round(LENGTH * RATE)] += call(10 * number + i)
        write_audio(folder / f"{name}.wav", sound, RATE)
    write_audio(folder / "example.wav", call(99), RATE)
    return folder


@pytest.fixture(scope="module")
def indexed(sounds, tmp_path_factory):
    with Library(tmp_path_factory.mktemp("library")) as library:
        library.index(
            [sounds / f"{name}.wav" for name in ("woods", "field", "yard")], encoders=["events"], jobs=1
        )
        yield library


@pytest.fixture
def wild(indexed):
    """The library, in which nothing was taught yet."""
    for concept in indexed.concepts():
        indexed.forget_concept(concept.name)
    return indexed


def places(hits):
    return sorted((Path(hit.path).stem, round(hit.start)) for hit in hits)


EVERY = sorted((name, round(at)) for name, starts in CALLS.items() for at in starts)


def test_one_example_finds_every_place(wild, sounds):
    taught = wild.teach("Whistle", yes=[sounds / "example.wav"])
    assert (taught.concept.name, taught.concept.yes, taught.concept.no) == ("Whistle", 1, 0)
    hits = list(wild.instances("whistle", every=True))
    assert places(hits) == EVERY
    assert all(hit.score > 0.8 for hit in hits)
    best = list(wild.instances(" WHISTLE "))
    assert [Path(hit.path).stem for hit in best] == ["woods", "field"] or best[0].score >= best[1].score
    assert len(best) == 2
    assert len(list(wild.instances("whistle", 1, every=True))) == 1
    assert places(wild.instances("whistle", every=True, path="*field*")) == [("field", 9)]


def test_answers_add_up_and_are_certain(wild, sounds):
    wild.teach("whistle", yes=[sounds / "example.wav"])
    surest, *_ = wild.proposals("whistle", 4)
    wild.teach("whistle", no=[(surest.path, surest.start, surest.end)])
    assert (Path(surest.path).stem, round(surest.start)) not in places(wild.instances("whistle", every=True))
    taught = wild.teach("whistle", yes=[(surest.path, surest.start, surest.end)])
    assert taught.changed == ((surest.path, surest.start, surest.end),)
    assert (taught.concept.yes, taught.concept.no) == (2, 0)
    hits = list(wild.instances("whistle", every=True))
    assert places(hits) == EVERY
    assert [round(hit.start) for hit in hits if hit.score == 1] == [round(surest.start)]
    left = wild.proposals("whistle", 20)
    assert all((hit.path, hit.start) != (surest.path, surest.start) for hit in left)
    assert len({(hit.path, hit.start, hit.end) for hit in left}) == len(left)


def test_one_part_counts_once_however_its_end_is_said(wild, sounds):
    example = sounds / "example.wav"
    taught = wild.teach("whistle", yes=[example, *((example, 0.0, end) for end in (50.0, 500.0))])
    assert taught.concept.yes == 1
    woods = sounds / "woods.wav"
    taught = wild.teach("whistle", no=[(woods, 28.0, end) for end in (40.0, 400.0, 30.0)])
    assert (taught.concept.yes, taught.concept.no) == (1, 1)


def test_ten_answers_tell_how_good_it_is(wild, sounds):
    wild.teach("whistle", yes=[sounds / "example.wav"])
    for _ in range(30):
        hits = wild.proposals("whistle", 1)
        if not hits:
            break
        [hit] = hits
        is_it = any(
            min(hit.end, at + LENGTH) - max(hit.start, at) > (hit.end - hit.start) / 2
            for at in CALLS.get(Path(hit.path).stem, [])
        )
        wild.teach("whistle", **{"yes" if is_it else "no": [(hit.path, hit.start, hit.end)]})
    folder = Path(hit.path).parent
    for name in ("woods", "field", "yard"):
        wild.teach("whistle", no=[(folder / f"{name}.wav", at, at + 0.4) for at in (2.0, 18.0, 21.5)])
    concept = wild.concept("whistle")
    for share in (concept.precision, concept.recall):
        value, low, high = share
        assert 0 <= low <= value <= high <= 1
    assert concept.recall[0] >= 0.5
    assert places(wild.instances("whistle", every=True)) == EVERY


def test_what_cannot_be_taught_is_said_and_changes_nothing(wild, sounds, tmp_path):
    example = sounds / "example.wav"
    with pytest.raises(UsageError, match="give an example of what 'whistle' is, too"):
        wild.teach("whistle", no=[example])
    for name in ("", "  ", "a\x1bb", 200 * "x"):
        with pytest.raises(UsageError, match="is no name for a concept"):
            wild.teach(name, yes=[example])
    with pytest.raises(AudioError, match="does not exist"):
        wild.teach("whistle", yes=[tmp_path / "gone.wav"])
    with pytest.raises(UsageError, match="end must come after start"):
        wild.teach("whistle", yes=[(example, 0.5, 0.2)])
    with pytest.raises(UsageError, match="ends before"):
        wild.teach("whistle", yes=[example, (example, 50, 51)])
    with pytest.raises(UsageError, match=r"yes is .* must be paths, or"):
        wild.teach("whistle", yes=[(example, "a", 2)])
    assert wild.concepts() == []
    for act in (wild.proposals, wild.forget_concept, wild.concept):
        with pytest.raises(UsageError, match="knows no concept 'whistle', and was taught none"):
            act("whistle")
    taught = wild.teach("whistle", yes=[example, tmp_path / "gone.wav"])
    assert [path for path, _ in taught.failed] == [str(tmp_path / "gone.wav")]
    with pytest.raises(UsageError, match="nothing would be left that 'whistle' is"):
        wild.teach("whistle", no=[example])
    assert wild.concept("whistle").yes == 1


def test_windows_are_found_where_there_are_no_events(sounds, tmp_path, worker):
    with Library(tmp_path / "library") as library:
        library._opening._pool = (1, worker)
        library.index([sounds], encoders=["spectral"], jobs=1)
        library.teach(
            "whistle", yes=[(sounds / "woods.wav", 6.0, 7.0)], no=[(sounds / "woods.wav", 2.0, 3.0)]
        )
        hits = list(library.instances("whistle", every=True, min_score=0))
        assert hits
        assert all(hit.encoder == "spectral" for hit in hits)
        assert library.proposals("whistle", 3)


def test_vectors_of_an_earlier_encoder_are_made_anew(wild, sounds, tmp_path):
    wild.teach("whistle", yes=[sounds / "example.wav"])
    catalog, _ = wild._open()
    with catalog.transaction():
        catalog.connection.execute("UPDATE answers SET collection = 'events@0', vector = zeroblob(8)")
    assert places(wild.instances("whistle", every=True)) == EVERY
    wild.teach("whistle", no=[(sounds / "woods.wav", 2.0, 2.4)])
    assert {one.collection for one in Answers(catalog).of("whistle")} == {wild.encoders()["events"].key}
    with catalog.transaction():
        catalog.connection.execute(
            "UPDATE answers SET collection = 'events@0', path = ?", (os.fsencode(tmp_path / "gone.wav"),)
        )
    with pytest.raises(UsageError, match="was taught by an earlier encoder"):
        list(wild.instances("whistle"))


def test_answers_go_with_files_that_are_renamed(sounds, tmp_path, worker):
    (tmp_path / "audio").mkdir()
    file = tmp_path / "audio" / "before.wav"
    file.write_bytes((sounds / "woods.wav").read_bytes())
    with Library(tmp_path / "library") as library:
        library._opening._pool = (1, worker)
        library.index([tmp_path / "audio"], encoders=["spectral"], jobs=1)
        library.teach("whistle", yes=[(file, 6.0, 6.8)])
        file.rename(tmp_path / "audio" / "after.wav")
        library.index([tmp_path / "audio"], jobs=1)
        [answer] = Answers(library._open()[0]).of("whistle")
        assert Path(answer.path).name == "after.wav"


def test_the_command_line_teaches_lists_and_asks(wild, sounds):
    echoic = CommandsWithin(wild.folder)
    example = sounds / "example.wav"
    assert "nothing was taught" in echoic("teach").stderr
    assert "say what is taught" in echoic("teach", "--yes", example, code=2).stderr
    assert "gone.wav does not exist" in echoic("teach", "whistle", "--yes", "gone.wav", code=1).stderr
    said = echoic("teach", "whistle", "--yes", example)
    assert said.stdout == "whistle: 1 yes, 0 no\n"
    assert "one example only" in said.stderr
    said = echoic("teach", "whistle", "--yes", f"{sounds / 'woods.wav'}@6-6.8")
    assert "no example of what it is not" in said.stderr
    said = echoic("teach", "whistle", "--no", f"{sounds / 'woods.wav'}@6-6.8")
    assert "from 0:06.0 to 0:06.8 was answered the other way before" in said.stderr
    assert json.loads(echoic("teach", "--json").stdout)["no"] == 1
    asked = [
        json.loads(line)
        for line in echoic("teach", "whistle", "--ask", "-k", 2, "--json").stdout.splitlines()
    ]
    assert len(asked) == 2
    assert len(echoic("teach", "whistle", "--ask", "-k", 2).stdout.splitlines()) == 2
    found = echoic("search", "--concept", "whistle", "--every", "--m3u").stdout
    assert found.startswith("#EXTM3U")
    assert "goes with neither" in echoic("search", example, "--concept", "whistle", code=2).stderr
    assert (
        "neither --encoder" in echoic("search", "--concept", "whistle", "--encoder", "sound", code=2).stderr
    )
    assert "choose one of" in echoic("search", "--concept", "a", "--phrase", "b", code=2).stderr
    assert "nothing found" in echoic("search", "--concept", "whistle", "--path", "*yard*").stderr
    assert "--forget goes with" in echoic("teach", "whistle", "--forget", "--ask", code=2).stderr
    assert "--path and --tag" in echoic("teach", "whistle", "--path", "*", code=2).stderr
    assert echoic("teach", "whistle", "--forget").stdout == ""
    assert "knows no concept" in echoic("teach", "whistle", "--forget", code=2).stderr


def test_on_a_terminal_each_answer_is_kept_at_once(wild, sounds, tmp_path):
    wild.teach("whistle", yes=[sounds / "example.wav"])
    player = tmp_path / "bin" / "aplay"
    player.parent.mkdir()
    player.write_text(f"#!/bin/sh\necho played >> '{tmp_path / 'played'}'\n")
    player.chmod(0o755)
    here, there = pty.openpty()
    environment = os.environ | {"ECHOIC_LIBRARY": str(wild.folder), "PATH": str(player.parent)}
    process = subprocess.Popen(
        [sys.executable, "-m", "echoic", "teach", "whistle", "--ask"],
        stdin=there, stdout=there, stderr=there, env=environment,
    )  # fmt: skip
    os.close(there)

    def until(question: bytes) -> bytes:
        said, deadline = b"", time.monotonic() + 60
        while question not in said and time.monotonic() < deadline:
            if select.select([here], [], [], 1)[0]:
                said += os.read(here, 4096)
        assert question in said, said
        return said

    with process:
        assert b".wav from " in until(b"[q]uit ")
        os.write(here, b"what?\n")
        until(b"[q]uit ")
        os.write(here, b"y\n")
        until(b"[q]uit ")
        os.write(here, b"s\n")
        until(b"[q]uit ")
        process.send_signal(signal.SIGKILL)
    os.close(here)
    assert len((tmp_path / "played").read_text().splitlines()) >= 3
    assert wild.concept("whistle").yes == 2
    with closing(sqlite3.connect(wild.folder / "library.sqlite")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_labels_of_other_programs_teach(wild, sounds, tmp_path):
    echoic = CommandsWithin(wild.folder)
    track = sounds / "woods.wav.txt"
    track.write_text("6\t6.8\tWhistle\n14\t14.8\twhistle\n2\t2.4\tknock\n3\t3\tknock\n", "utf-8")
    said = echoic("teach", "whistle", "--from", track)
    assert said.stdout == "whistle: 2 yes, 1 no\n"
    assert "1 labels at a moment" in said.stderr
    assert places(wild.instances("whistle", every=True)) == EVERY
    assert "nothing is labelled 'hoot'" in echoic("teach", "hoot", "--from", track, code=2).stderr
    manifest = tmp_path / "calls.csv"
    manifest.write_text(
        f"path,start,end\n{sounds / 'field.wav'},9,9.8\n{tmp_path / 'gone.wav'},1,2\n", "utf-8"
    )
    said = echoic("teach", "whistle", "--from", manifest, code=1)
    assert said.stdout == "whistle: 3 yes, 1 no\n"
    assert "gone.wav does not exist" in said.stderr
    assert "--forget goes with" in echoic("teach", "whistle", "--forget", "--from", track, code=2).stderr
