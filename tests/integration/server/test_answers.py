"""What was answered is answered again without work, until the library or a file is another."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

import pytest

from echoic import Library
from echoic.server import answers
from echoic.server.answers import Answers
from echoic.server.shapes import Health


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "library.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE files (path TEXT)")
        yield path, connection


@pytest.fixture
def kept(database):
    with closing(Answers(database[0])) as kept:
        yield kept


def asking(kept, question="?", version=None):
    """Tell whether there was work to do."""
    worked = []
    version = version or str(question)

    def work():
        worked.append(1)
        return Health(version=version)

    assert kept.of(question, work).version == version
    return bool(worked)


def test_whatever_is_committed_ends_the_time_of_answers(kept, database):
    path, connection = database
    assert [asking(kept), asking(kept), asking(kept, "other")] == [True, False, True]
    connection.execute("INSERT INTO files VALUES ('a')")
    assert [asking(kept), asking(kept)] == [True, False]
    connection.execute("BEGIN")
    connection.execute("INSERT INTO files VALUES ('b')")
    assert not asking(kept)  # which may yet be undone
    connection.execute("COMMIT")
    assert asking(kept)
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    other.replace(path)  # another library in its place
    assert asking(kept)
    path.unlink()
    assert [asking(kept), asking(kept)] == [True, True]


def test_only_so_many_and_none_that_is_large_are_kept(kept, monkeypatch):
    monkeypatch.setattr(answers, "_MOST", 2)
    assert [asking(kept, number) for number in (1, 2, 1, 3, 1, 2)] == [True, True, False, True, False, True]
    assert all(asking(kept, "large", "1" * 200_000) for _ in range(2))


def test_the_same_question_is_worked_on_once(serve, place, monkeypatch):
    rain = (place.sounds / "rain.wav").read_bytes()
    bird = (place.sounds / "bird.opus").read_bytes()
    with serve() as ask:
        [drive] = ask("/v1/files", {"path": "*drive.mp3"}).json["files"]
        questions = [
            ("/v1/search", {"text": "rain"}, {}),
            ("/v1/search", {"file": drive["id"], "start": 1, "end": 3, "unlike": "text:rain"}, {}),
            ("/v1/search", {}, {"method": "POST", "body": rain}),
            ("/v1/search", {}, {"method": "POST", "body": bird}),
            ("/v1/search", {"k": 2}, {"method": "POST", "body": rain}),
            ("/v1/identify", {}, {"method": "POST", "body": rain}),
            ("/v1/describe", {}, {"method": "POST", "body": rain}),
        ]
        n_worked = 0
        told = ask.service._told

        def counted(*given, **named):
            nonlocal n_worked
            n_worked += 1
            return told(*given, **named)

        monkeypatch.setattr(ask.service, "_told", counted)
        first = [ask(route, asked, **options).json for route, asked, options in questions]
        assert n_worked == len(questions)
        assert first[2] != first[3]
        assert [ask(route, asked, **options).json for route, asked, options in questions] == first
        assert n_worked == len(questions)
        drive_path = place.sounds / "pieces" / "drive.mp3"
        status = drive_path.stat()
        os.utime(drive_path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        ask(*questions[1][:2])
        assert n_worked == len(questions) + 1  # the file may be another
        os.utime(drive_path, ns=(status.st_atime_ns, status.st_mtime_ns))
        with Library(place.library) as library:
            library.tag([drive_path], add=["new"])
            library.tag([drive_path], remove=["new"])
        ask(*questions[0][:2])
        assert n_worked == len(questions) + 2
        assert ask("/v1/search", {"text": "rain", "encoder": "absent"}).status == 422
        assert ask("/v1/search", {"text": "rain", "encoder": "absent"}).status == 422
