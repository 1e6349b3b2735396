"""A library of an older schema opens with today's code, and nothing is encoded again."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from echoic import Library, LibraryBusyError, LibraryError
from echoic.audio.decode import read_audio
from echoic.storage.catalog import Catalog, schema
from echoic.storage.catalog.sqlite import SqliteConnection
from echoic.storage.frames import SpokenStore
from echoic.storage.vectors.milvus import MilvusStore
from echoic.storage.vectors.names import unique_name
from echoic.storage.vectors.times import pack_times
from tests.golden.make_library import PLACE, write_sound
from tests.milvus_server import need_milvus

GOLDEN = Path(__file__).parents[1] / "golden" / "libraries"
VERSIONS = sorted(int(folder.name) for folder in GOLDEN.iterdir())


def version_of(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "library.sqlite", factory=SqliteConnection)) as database:
        return database.version


@pytest.fixture(params=VERSIONS)
def old(request, tmp_path):
    return Path(shutil.copytree(GOLDEN / str(request.param), tmp_path / "library"))


@pytest.fixture(params=[version for version in VERSIONS if version < 6])
def old_with_times(request, tmp_path):
    """One whose catalog kept the times of segments."""
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
            segments = store.fetch([record.id])[record.id]
            np.testing.assert_array_equal(segments.vectors[0], np.frombuffer(vector, np.float32))
            assert (segments.starts.tolist(), segments.ends.tolist()) == ([0], [2])
            assert dict(catalog.n_segments("spectral@1"))[record.id] == 1


# Of every schema's library to bell.wav, as the code of each gave them.
ANSWERS = [("bell.wav", 0.0, 2.0, 1.0), ("kick.webm", 0.0, 2.0, -0.145)]


def answers(library, sound):
    return [
        (Path(hit.path).name, hit.start, hit.end, round(hit.score, 3)) for hit in library.search(sound, 5)
    ]


def test_an_older_library_answers_as_it_did(old, tmp_path):
    sound = write_sound(tmp_path, "bell.wav")
    for _ in range(2):
        with Library(old) as library:
            assert answers(library, sound) == ANSWERS


def test_vectors_that_an_older_library_lost_are_told_and_hinder_no_search(old_with_times, tmp_path):
    sound = write_sound(tmp_path, "bell.wav")
    with closing(sqlite3.connect(old_with_times / "library.sqlite", isolation_level=None)) as database:
        [(kick,)] = database.execute("SELECT max(file_id) FROM vectors").fetchall()
        database.execute("DELETE FROM vectors WHERE file_id = ?", (kick,))
    with Library(old_with_times) as library:
        assert answers(library, sound) == ANSWERS[:1]
        [finding] = library.check()
        assert "the vectors of 1 files are missing" in finding


def test_damaged_times_of_an_older_library_are_told(old_with_times):
    with closing(sqlite3.connect(old_with_times / "library.sqlite", isolation_level=None)) as database:
        database.execute("UPDATE segments SET starts = x'00'")
    with Library(old_with_times) as library:
        assert [finding.count("are damaged") for finding in library.check()] == [1, 1]


def test_a_file_without_a_sound_stays_one(old_with_times):
    nothing = zlib.compress(b"")
    with closing(sqlite3.connect(old_with_times / "library.sqlite", isolation_level=None)) as database:
        [(kick,)] = database.execute("SELECT max(file_id) FROM vectors").fetchall()
        database.execute("DELETE FROM vectors WHERE file_id = ?", (kick,))
        database.execute(
            "UPDATE segments SET starts = ?, ends = ?, checksum = ? WHERE file_id = ?",
            (nothing, nothing, zlib.crc32(nothing + nothing), kick),
        )
    with Library(old_with_times) as library:
        assert library.check() == []
        catalog, _ = library._open()
        assert dict(catalog.n_segments("spectral@1")) == {kick - 1: 1, kick: 0}


@pytest.fixture
def old_in_milvus(tmp_path):
    """A library of schema 4 whose vectors lie in Milvus Lite, as they did then: without their spans."""
    need_milvus()
    from milvus_lite.server_manager import server_manager_instance
    from pymilvus import DataType, MilvusClient

    old = Path(shutil.copytree(GOLDEN / "4", tmp_path / "library"))
    uri = str(tmp_path / "vectors.db")
    with closing(sqlite3.connect(old / "library.sqlite", isolation_level=None)) as database:
        rows = database.execute("SELECT file_id, data FROM vectors ORDER BY file_id").fetchall()
        [(identity,)] = database.execute("SELECT value FROM settings WHERE name = 'identity'").fetchall()
        database.execute("UPDATE settings SET value = ? WHERE name = 'store'", (uri,))
        database.execute("DROP TABLE vectors")
        database.execute("DROP TABLE collections")
    vectors = {file_id: np.frombuffer(data, np.float32) for file_id, data in rows}
    client = MilvusClient(uri)
    schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("file_id", DataType.INT64)
    schema.add_field("segment", DataType.INT64)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=len(vectors[rows[0][0]]))
    index = MilvusClient.prepare_index_params()
    index.add_index("vector", index_type="FLAT", metric_type="COSINE")
    name = unique_name(f"echoic {identity}_spectral@1")
    client.create_collection(name, schema=schema, index_params=index, consistency_level="Strong")
    client.insert(
        name, [{"id": i << 24, "file_id": i, "segment": 0, "vector": v} for i, v in vectors.items()]
    )
    client.close()
    server_manager_instance.release_server(uri)
    return old, vectors


def test_vectors_in_milvus_are_given_their_spans_once(old_in_milvus, tmp_path):
    old, vectors = old_in_milvus
    sound = write_sound(tmp_path, "bell.wav")
    for _ in range(2):
        with Library(old) as library:
            [hit] = library.search(sound, 1)
            assert (hit.path, hit.start, hit.end) == (str(PLACE / "bell.wav"), 0, 2)
            assert library.check() == []
            catalog, spaces = library._open()
            assert catalog.earlier_spans("spectral@1") == []
            found = spaces.store(library.encoders()["spectral"]).fetch(list(vectors))
            for file_id, vector in vectors.items():
                np.testing.assert_allclose(found[file_id].vectors, [vector], atol=1e-6)
                assert (found[file_id].starts.tolist(), found[file_id].ends.tolist()) == ([0], [2])


def cut_off_after_one_file(monkeypatch):
    replace, done = MilvusStore.replace, []

    def cut_off(store, file_id, segments):
        if done:
            raise KeyboardInterrupt
        done.append(file_id)
        replace(store, file_id, segments)

    monkeypatch.setattr(MilvusStore, "replace", cut_off)


def cut_off_with_all_written(monkeypatch):
    def cut_off(store):
        raise KeyboardInterrupt

    monkeypatch.setattr(MilvusStore, "flush", cut_off)


def cut_off_with_the_old_collection_dropped(monkeypatch):
    def cut_off(catalog, key):
        raise KeyboardInterrupt

    monkeypatch.setattr(Catalog, "forget_earlier_spans", cut_off)


@pytest.mark.parametrize(
    "cut_off",
    [cut_off_after_one_file, cut_off_with_all_written, cut_off_with_the_old_collection_dropped],
)
def test_bringing_spans_to_milvus_that_was_cut_off_is_finished(old_in_milvus, tmp_path, cut_off):
    old, vectors = old_in_milvus
    sound = write_sound(tmp_path, "bell.wav")
    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch, Library(old) as library:
            cut_off(patch)
            with pytest.raises(KeyboardInterrupt):
                library.search(sound, 1)
    with Library(old) as library:
        assert answers(library, sound) == ANSWERS
        assert library.check() == []
        catalog, spaces = library._open()
        assert catalog.earlier_spans("spectral@1") == []
        store = spaces.store(library.encoders()["spectral"])
        assert store.file_ids().tolist() == sorted(vectors)
        assert not store._call("has_collection", collection_name=store._earlier_name)


def test_a_file_whose_times_are_damaged_is_not_brought_to_milvus(old_in_milvus, tmp_path):
    old, vectors = old_in_milvus
    sound = write_sound(tmp_path, "bell.wav")
    with closing(sqlite3.connect(old / "library.sqlite", isolation_level=None)) as database:
        database.execute("UPDATE segments SET starts = x'00' WHERE file_id = ?", (max(vectors),))
    with Library(old) as library:
        assert answers(library, sound) == ANSWERS[:1]
        [finding] = library.check()
        assert "the vectors of 1 files are missing" in finding


def test_bringing_spans_to_milvus_waits_for_whoever_writes(old_in_milvus, tmp_path, monkeypatch):
    old, _ = old_in_milvus
    sound = write_sound(tmp_path, "bell.wav")
    monkeypatch.setattr("echoic.storage.spaces._PATIENCE", 0.1)
    with Library(old) as library:
        library._open()
        with closing(sqlite3.connect(old / "writer.lock", isolation_level=None)) as writer:
            writer.execute("BEGIN EXCLUSIVE")
            with pytest.raises(LibraryBusyError, match="another process is writing"):
                library.search(sound, 1)
        assert answers(library, sound) == ANSWERS


def test_a_file_that_went_before_its_spans_were_brought_is_left_behind(old_in_milvus, tmp_path):
    old, vectors = old_in_milvus
    with closing(Catalog(old)) as catalog, catalog.transaction():
        catalog.delete_files([min(vectors)])
    with Library(old) as library:
        _, spaces = library._open()
        store = spaces.store(library.encoders()["spectral"])
        assert store.file_ids().tolist() == [max(vectors)]
        assert library.check() == []


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
        "import os, sys; from pathlib import Path; from echoic.storage.catalog import Catalog, schema\n"
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
        runs.append(connection.version)
        begun.set()
        assert go_on.wait(30)
        migrate(connection)

    monkeypatch.setattr("echoic.storage.catalog.database.migrate", slow)
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


def test_processes_that_open_it_at_once_all_find_it_whole(old, tmp_path):
    sound = write_sound(tmp_path, "bell.wav")
    code = (
        "import sys; from pathlib import Path; from echoic import Library\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "with Library(sys.argv[1]) as library:\n"
        "    hits = library.search(sys.argv[2], 5)\n"
        "    print([(Path(h.path).name, h.start, h.end, round(h.score, 3)) for h in hits], library.check())"
    )
    command = [sys.executable, "-c", code, str(old), str(sound)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=60)[0] for process in processes]
    assert told == [f"{ANSWERS} []\n"] * 3
    assert version_of(old) == schema.VERSION


def test_a_writer_of_the_older_version_is_waited_for_and_then_named(old, monkeypatch):
    monkeypatch.setattr("echoic.storage.catalog.database._PATIENCE", 0.1)
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


def test_what_was_said_in_a_file_stays_as_it_was(tmp_path):
    old = Path(shutil.copytree(GOLDEN / "7", tmp_path / "library"))
    with closing(sqlite3.connect(old / "library.sqlite")) as database, database:
        [(file_id,)] = database.execute("SELECT id FROM files LIMIT 1")
        times = pack_times(np.array([0.5])), pack_times(np.array([0.6]))
        data = np.arange(4, dtype=np.int8).tobytes()
        row = ("said@1", file_id, 1, zlib.crc32(b"".join((*times, data))), *times, data)
        database.execute("INSERT INTO frames VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    with Library(old) as library:
        catalog, _ = library._open()
        store = SpokenStore(lambda: catalog.connection, "said@1", 4)
        [(found, frames)] = store.read([file_id])
        assert (found, frames.starts.tolist(), frames.ends.tolist()) == (file_id, [0.5], [0.6])
        assert frames.numbers.tolist() == [[0, 1, 2, 3]]
