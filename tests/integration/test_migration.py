"""A library of an older schema opens with today's code, and nothing is encoded again."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from echoic import Library, LibraryBusyError, LibraryError
from echoic.audio.decode import read_audio
from echoic.catalog import Catalog, schema
from tests.golden.make_library import PLACE, write_sound

GOLDEN = Path(__file__).parents[1] / "golden" / "libraries"
VERSIONS = sorted(int(folder.name) for folder in GOLDEN.iterdir())


def version_of(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "library.sqlite")) as database:
        return schema.version_of(database)


@pytest.fixture(params=VERSIONS)
def old(request, tmp_path):
    return Path(shutil.copytree(GOLDEN / str(request.param), tmp_path / "library"))


def test_every_schema_that_is_brought_up_to_date_has_a_library_to_try():
    assert list(range(schema.OLDEST, schema.VERSION)) == VERSIONS


def test_an_older_library_holds_what_it_held(old):
    with closing(sqlite3.connect(old / "library.sqlite")) as database:
        data = [row[0] for row in database.execute("SELECT data FROM vectors ORDER BY file_id")]
    with Library(old) as library:
        bell, kick = library.files()
        assert version_of(old) == schema.VERSION
        assert library.check() == []
        assert (bell.path, kick.path) == (str(PLACE / "bell.wav"), str(PLACE / "kick.webm"))
        assert (bell.duration, bell.sample_rate, bell.channels, bell.codec) == (2.0, 16_000, 1, "pcm_s16le")
        assert bell.encoders == kick.encoders == ("spectral@1",)
        assert bell.notes == kick.notes == ()
        catalog, spaces = library._open()
        store = spaces.store(library.encoders()["spectral"])
        for record, vector in zip((bell, kick), data, strict=True):
            np.testing.assert_array_equal(store.vectors(record.id)[0], np.frombuffer(vector, np.float32))
            np.testing.assert_array_equal(catalog.spans(record.id, "spectral@1"), [[0, 2]])


def test_tags_of_an_older_library_are_read_as_those_of_new_files_are(old, tmp_path):
    query = write_sound(tmp_path, "bell.wav")
    with Library(old) as library:
        bell, kick = library.files()
        assert bell.tags == {
            "artist": ("AC/DC",),
            "genre": ("Funk", "Jazz"),
            "mood": ("Dark",),
            "tag": ("Mine",),
            "title": ("One; two",),
        }
        assert kick.tags == {"genre": ("Straßenmusik",), "mood": ("Dark",), "tag": ("Mine",)}

        def found(*tags):
            return {hit.path for hit in library.search(query, tags=tags)}

        assert found("genre=funk") == found("ac/dc") == {bell.path}
        assert found("genre=STRASSENMUSIK") == {kick.path}
        assert found("MINE", "mood=dark") == {bell.path, kick.path}


def test_nothing_of_an_older_library_is_encoded_again(old, tmp_path, monkeypatch):
    sound = write_sound(tmp_path, "bell.wav")
    samples, _ = read_audio(sound, 16_000)
    with Library(old) as library:
        # The file is known by its content, and is where the library takes it to lie no more.
        report = library.index([sound], jobs=1)
        assert (report.moved, report.added, report.changed) == (1, 0, 0)
        assert report.audio == 0
        [hit] = library.search(sound, 1, include_query=True)
        assert (hit.path, hit.start, hit.end) == (str(sound), 0, len(samples) / 16_000)
        assert hit.score == pytest.approx(1, abs=1e-5)


def test_a_kill_in_the_middle_leaves_the_old_library(old):
    before = version_of(old)
    code = (
        "import os, sys; from pathlib import Path; from echoic.catalog import Catalog, schema\n"
        "step = schema._STEPS[schema.VERSION]\n"
        "def killed(connection): step(connection); os._exit(9)\n"
        "schema._STEPS[schema.VERSION] = killed\n"
        "Catalog(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(old)], check=False)
    assert done.returncode == 9
    assert version_of(old) == before
    with Library(old) as library:
        assert len(library.files()) == 2
        assert library.check() == []
    assert version_of(old) == schema.VERSION


def test_two_that_open_it_at_once_both_get_in(old, monkeypatch):
    migrate, begun, go_on = schema.migrate, threading.Event(), threading.Event()
    runs = []

    def slow(connection):
        runs.append(schema.version_of(connection))
        begun.set()
        assert go_on.wait(30)
        migrate(connection)

    monkeypatch.setattr("echoic.catalog.database.migrate", slow)
    counts = []

    def look():
        with closing(Catalog(old)) as catalog:
            counts.append(len(catalog.files()))

    first, second = threading.Thread(target=look), threading.Thread(target=look)
    first.start()
    assert begun.wait(30)
    second.start()
    go_on.set()
    first.join(30)
    second.join(30)
    assert counts == [2, 2]
    assert runs[0] < schema.VERSION


def test_a_writer_of_the_older_version_is_waited_for_and_then_named(old, monkeypatch):
    monkeypatch.setattr("echoic.catalog.database._PATIENCE", 0.1)
    with closing(sqlite3.connect(old / "writer.lock", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LibraryBusyError, match="another process is writing"):
            Catalog(old)
    with closing(Catalog(old)) as catalog:
        assert len(catalog.files()) == 2


def test_a_reader_that_may_not_write_says_what_is_needed(old):
    (old / "writer.lock").mkdir()  # nobody, root included, can write there
    before = version_of(old)
    with pytest.raises(LibraryError, match=f"format {before} and must be brought up.*any command"):
        Catalog(old)
    assert version_of(old) == before


@pytest.mark.parametrize(
    ("version", "sentence"),
    [
        (1, r"of an early Echoic.*delete the folder .*library.*run echoic index"),
        (2, r"of an early Echoic.*delete the folder .*library.*run echoic index"),
        (schema.VERSION + 1, "update Echoic"),
    ],
)
def test_what_cannot_be_brought_up_to_date_is_left_alone(tmp_path, version, sentence):
    folder = tmp_path / "library"
    Catalog(folder).close()
    with closing(sqlite3.connect(folder / "library.sqlite")) as database:
        database.execute(f"PRAGMA user_version = {version}")
    before = (folder / "library.sqlite").read_bytes()
    with pytest.raises(LibraryError, match=rf"format {version}\b.*{sentence}"):
        Catalog(folder)
    assert (folder / "library.sqlite").read_bytes() == before
