"""A library with its catalog in PostgreSQL and its vectors in Milvus answers and lasts as an embedded one."""

import json
import socket
from contextlib import closing

import numpy as np
import pytest

from echoic import Library, LibraryBusyError, LibraryError, UsageError
from echoic.audio.encode import write_audio
from echoic.storage.catalog import Catalog, database, schema
from echoic.storage.concepts import Answers
from tests.integration.conftest import RATE, CommandsWithin, write_clip
from tests.integration.contents import assert_same, assert_whole, contents
from tests.integration.test_faults import wait_until
from tests.integration.test_milvus import assert_same_hits
from tests.postgres_server import GUARDED, PASSWORD

ENCODERS = ["spectral", "fingerprint", "events"]


@pytest.fixture
def embedded(tmp_path, worker):
    """A library beside the one in PostgreSQL, to compare with."""
    with Library(tmp_path / "embedded") as opened:
        opened._opening._pool = (1, worker)
        yield opened


def write_knocks(path, seed, **tags):
    """Write six seconds of faint noise in which a chord is struck now and then, with tags."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.002, 6 * RATE)
    time = np.arange(RATE // 2) / RATE
    for first in rng.permutation(5)[:3] * RATE:
        for frequency in rng.uniform(200, 3_500, 3):
            chord = np.sin(2 * np.pi * frequency * time) * np.exp(-8 * time)
            samples[first : first + len(time)] += 0.2 * chord
    write_audio(path, samples.astype(np.float32), RATE, tags=tags)
    return path


def told(hits):
    return [(hit.path, hit.start, hit.end, hit.score) for hit in hits]


def answered(library):
    return [answer.path for answer in Answers(library._open()[0]).of("bell")]


def test_every_verb_answers_as_of_an_embedded_library(
    postgres_server, milvus_server, library, embedded, worker, folder, tmp_path
):
    clips = [
        write_knocks(folder / f"{seed}.wav", seed, genre="Foley; noise" if seed % 2 else "organ")
        for seed in range(6)
    ]
    library._opening._pool = (1, worker)
    library.index(
        [folder], encoders=ENCODERS, jobs=1, tags=["mine"], store=milvus_server, catalog=postgres_server.new()
    )
    embedded.index([folder], encoders=ENCODERS, jobs=1, tags=["mine"])
    both = (library, embedded)

    def assert_alike():
        assert_whole(library)
        assert_same(contents(library), contents(embedded), tolerance=2e-3)
        for options in ({}, {"tags": ["genre=organ"]}, {"path": "[0-5].*", "min_duration": 5}):
            assert_same_hits(library, embedded, clips[:2], encoder="spectral", **options)
        # What is cut out of files is the same bytes in both catalogs.
        asked = [told(one.occurrences(clips[0], min_score=0.01, include_query=True)) for one in both]
        assert asked[0] == asked[1] != []
        heard = [[(m.path, m.start) for m in one.identify(clips[1], include_query=True)] for one in both]
        assert heard[0] == heard[1] != []
        taught = [told(one.instances("bell", every=True, min_score=0.01)) for one in both]
        assert taught[0] == taught[1] != []

    for one in both:
        one.teach("bell", yes=[clips[0], (clips[1], 1.0, 3.0)], no=[clips[2]])
    assert_alike()
    clips[1] = clips[1].rename(folder / "again.wav")
    clips[3].unlink()
    write_knocks(clips[4], 40)
    for one in both:
        report = one.index([folder], jobs=1)
        assert (report.moved, report.removed, report.changed, report.unchanged) == (1, 1, 1, 3)
        assert one.tag([folder], add=["mood=dark"], remove=["mine"]) == 5
        assert one.remove([clips[5]]) == 1
        assert str(clips[1]) in answered(one)
    assert_alike()
    assert library.status().catalog.startswith("postgresql+psycopg://echoic@")

    library.backup(tmp_path / "backup")
    with Library(tmp_path / "restored") as restored:
        restored.restore(tmp_path / "backup")
        assert_whole(restored)
        assert_same(contents(restored), contents(embedded), tolerance=2e-3)
        assert answered(restored) == answered(embedded)
    assert library.compact() >= 0
    assert library.check() == []


def test_a_server_that_is_killed_is_one_sentence_and_nothing_is_lost(
    postgres_server, echoic, library, embedded, folder
):
    clips = [write_knocks(folder / f"{seed:02d}.wav", seed) for seed in range(20)]
    address = postgres_server.new()
    # What is cut out of files lies beside the catalog, so that the other server is not asked.
    words = ["index", folder, "--encoder", "events", "--jobs", "1"]
    with echoic.start(*words, "--store", "http://127.0.0.1:9", "--catalog", address) as process:
        wait_until(library.exists, process)
        wait_until(lambda: len(library.files()) >= 3, process)
        before = {record.path: record.id for record in library.files()}
        postgres_server.kill()
        _, stderr = process.communicate(timeout=30)
    [sentence] = stderr.decode().splitlines()
    assert sentence.startswith(f"error: PostgreSQL at {address} ")
    assert process.returncode == 1
    with pytest.raises(LibraryError, match="PostgreSQL at"):
        library.files()
    postgres_server.start()
    kept = {record.path: record.id for record in library.files()}  # through another connection
    assert before.items() <= kept.items()
    assert len(kept) < len(clips)
    for opened in (library, embedded):
        assert opened.index([folder], encoders=["events"], jobs=1).failed == ()
    assert_whole(library)
    assert_same(contents(library), contents(embedded))


def test_vectors_cannot_lie_there_and_nothing_is_left(postgres_server, library, index, folder):
    write_clip(folder / "a.wav")
    address = postgres_server.new()
    with pytest.raises(UsageError, match=r"--store http://HOST:19530"):
        index(catalog=address)
    assert not library.folder.exists()
    import psycopg

    with psycopg.connect(address.replace("+psycopg", "")) as connection:
        found = connection.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'echoic'").fetchone()
    assert found == (0,)


def test_a_server_that_cannot_be_reached_is_one_sentence_and_can_be_corrected(library, folder):
    write_clip(folder / "a.wav")
    echoic = CommandsWithin(library.folder)
    words = ["index", folder, "--encoder", "spectral", "--store", "http://127.0.0.1:9"]
    for address, code, start in (
        ("postgresql+psycopg://me@127.0.0.1:9/sounds", 1, "error: PostgreSQL at postgresql+psycopg://me@127"),
        ("postgresql+psycopg://me@127.0.0.1/sounds?colour=red", 2, "error: postgresql+psycopg://me@127"),
        (
            "postgresql+psycopg://me:secret@127.0.0.1/sounds",
            2,
            "error: leave the password out of the catalog",
        ),
        ("postgresql+psycopg://127.0.0.1/sounds?user=me&password=secret", 2, "error: leave the password"),
        ("postgresql+psycopg://127.0.0.1/sounds?p%61ssword=secret", 2, "error: leave the password"),
        ("mysql://me@127.0.0.1/sounds", 2, "error: mysql://me@127.0.0.1/sounds is no address of a catalog"),
        ("sounds.db", 2, "error: sounds.db is no address of a catalog"),
    ):
        [sentence] = echoic(*words, "--catalog", address, code=code).stderr.splitlines()
        assert sentence.startswith(start)
        assert "secret" not in sentence
        assert not library.folder.exists()


def test_a_library_keeps_its_catalog_where_it_is(postgres_server, library, index, folder):
    write_clip(folder / "a.wav")
    index()
    with pytest.raises(UsageError, match="keeps its catalog in its folder"):
        index(catalog=postgres_server.uri("x").replace("postgresql", "postgresql+psycopg"))
    assert len(library.files()) == 1


def test_a_database_is_one_library_whoever_names_it(postgres_server, tmp_path):
    address = postgres_server.emptied()
    with (
        closing(Catalog(tmp_path / "here", address)) as here,
        closing(Catalog(tmp_path / "there", address)) as there,
    ):
        with here.transaction():
            here.set_setting("store", "http://milvus")
        assert there.setting("store") == "http://milvus"
        assert here.setting("identity") == there.setting("identity")
        with here.writing(), pytest.raises(LibraryBusyError), there.writing():
            pass
        (tmp_path / "there" / "catalog.json").unlink()
        assert here.is_there()
        assert not there.is_there()


def test_nothing_is_connected_to_that_only_the_library_names(library):
    library.folder.mkdir()
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(0)
        address = f"postgresql+psycopg://me@127.0.0.1:{server.getsockname()[1]}/sounds"
        (library.folder / "catalog.json").write_text(json.dumps({"catalog": address, "identity": "mine"}))
        with pytest.raises(LibraryError, match="was not chosen here and is not connected to") as caught:
            library.files()
        assert f"--catalog {address}" in str(caught.value)
        with pytest.raises(BlockingIOError):
            server.accept()
    for damage in (
        "",
        "[]",
        '{"catalog": 7, "identity": "mine"}',
        '{"catalog": "http://x", "identity": "m"}',
    ):
        (library.folder / "catalog.json").write_text(damage)
        with pytest.raises(LibraryError, match="does not say where the library's catalog lies"):
            library.files()


def test_the_password_comes_from_the_environment_and_is_never_shown(postgres_server, tmp_path, monkeypatch):
    address = postgres_server.new(GUARDED)
    monkeypatch.setenv("ECHOIC_CATALOG_PASSWORD", PASSWORD)
    Catalog(tmp_path, address).close()
    Catalog(tmp_path).close()
    assert PASSWORD not in (tmp_path / "catalog.json").read_text()
    monkeypatch.setenv("ECHOIC_CATALOG_PASSWORD", "another")
    with pytest.raises(
        LibraryError, match=r"cannot be reached; check .* \$ECHOIC_CATALOG_PASSWORD"
    ) as caught:
        Catalog(tmp_path)
    assert "another" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("engine", ["SQLite", "PostgreSQL"])
def test_a_step_to_newer_tables_is_made_whole_or_not_at_all(request, engine, tmp_path, monkeypatch):
    is_elsewhere = engine == "PostgreSQL"
    address = request.getfixturevalue("postgres_server").emptied() if is_elsewhere else None
    with closing(Catalog(tmp_path, address)) as catalog, catalog.transaction():
        catalog.set_setting("store", "http://milvus")
    fails = True

    def step(connection):
        connection.execute(
            "CREATE TABLE moods (id INTEGER PRIMARY KEY, mood TEXT NOT NULL, share REAL, x BLOB)"
        )
        connection.execute("ALTER TABLE files ADD COLUMN mood TEXT NOT NULL DEFAULT 'none'")
        if fails:
            raise LibraryError("no room")
        connection.execute("INSERT INTO moods (mood, share, x) VALUES (?, ?, ?)", ("dark", 0.1, b"1"))

    newer = schema.VERSION + 1
    monkeypatch.setitem(schema._STEPS, newer, step)
    for module in (schema, database):
        monkeypatch.setattr(module, "VERSION", newer)
    with pytest.raises(LibraryError, match=rf"has format {newer - 1} and must be brought up to date"):
        Catalog(tmp_path)
    fails = False
    for _ in range(2):
        with closing(Catalog(tmp_path)) as catalog:
            assert catalog.connection.version == newer
            rows = catalog.connection.execute("SELECT id, mood, share, x FROM moods").fetchall()
            assert rows == [(1, "dark", 0.1, b"1")]
            assert catalog.setting("store") == "http://milvus"
    for module in (schema, database):
        monkeypatch.setattr(module, "VERSION", newer - 1)
    with pytest.raises(LibraryError, match=rf"has format {newer}, and this Echoic reads up to"):
        Catalog(tmp_path)


def test_a_database_that_cannot_keep_names_is_refused(postgres_server, tmp_path):
    address = postgres_server.new(encoding="LATIN1")
    with pytest.raises(LibraryError, match="keeps texts as LATIN1, which names of files do not fit"):
        Catalog(tmp_path / "library", address)
    assert not (tmp_path / "library").exists()
