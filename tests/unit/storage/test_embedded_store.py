from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from echoic.errors import StoreError
from echoic.spec import Precision
from echoic.storage.vectors import snapshot, view
from echoic.storage.vectors.ann import InvertedFile
from echoic.storage.vectors.embedded import EmbeddedStore
from echoic.storage.vectors.neighbours import Neighbours
from echoic.storage.vectors.rows import pack, unpack
from echoic.types import Float32, Segments

DIM = 8


def unit(n: int, seed: int = 0, dim: int = DIM) -> Float32:
    """Vectors that 8 bits a number hold exactly."""
    vectors = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return unpack(pack(vectors, "int8"), dim, "int8")


def over(connection: sqlite3.Connection) -> Callable[[], sqlite3.Connection]:
    return lambda: connection


def connect(folder: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(folder / "library.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = wal")
    return connection


def cut(vectors: Float32) -> Segments:
    """Give vectors spans by which they are known again: the first start tells how many there are."""
    starts = 2.5 * np.arange(len(vectors), dtype=np.float64) + len(vectors)
    return Segments(starts, starts + 5, vectors)


def names(found: Neighbours, query: int = 0) -> list[tuple[int, int]]:
    """The (file, segment) found for one of the queries."""
    n = int(found.found[query].sum())
    return list(zip(found.file_ids[query, :n].tolist(), found.segments[query, :n].tolist(), strict=True))


def ids(found: Neighbours) -> set[int]:
    return {file_id for file_id, _ in names(found)}


def assert_spans(found: Neighbours, files: dict[int, Float32]) -> None:
    """Each hit has the span that was written with its vector."""
    sizes = {file_id: len(vectors) for file_id, vectors in files.items()}
    n = np.array([sizes[i] for i in found.file_ids[found.found].tolist()], np.float64)
    due = 2.5 * found.segments[found.found] + n
    np.testing.assert_array_equal(found.starts[found.found], due)
    np.testing.assert_array_equal(found.ends[found.found], due + 5)


def brute_force(files: dict[int, Float32], query: Float32, k: int) -> list[tuple[int, int]]:
    rows = [(f, s) for f in sorted(files) for s in range(len(files[f]))]
    scores = np.concatenate([np.empty(0), *(files[f].astype(np.float64) @ query for f in sorted(files))])
    return [rows[i] for i in np.argsort(-scores.round(6), kind="stable")[:k]]


Opener = Callable[[], EmbeddedStore]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    """Open the same collection over a new connection each time."""
    connections = []

    def again() -> EmbeddedStore:
        connections.append(connect(tmp_path))
        return EmbeddedStore(over(connections[-1]), "a@1", DIM, tmp_path / "index")

    yield again
    for connection in connections:
        connection.close()


def connection_of(store: EmbeddedStore) -> sqlite3.Connection:
    return store._connection


def cache_of(tmp_path: Path) -> Path:
    [folder] = (tmp_path / "index").iterdir()
    return folder


# Transactions


def test_a_write_belongs_to_the_callers_transaction(opened: Opener) -> None:
    store, other = opened(), opened()
    store.replace(1, cut(unit(2)))
    connection_of(store).execute("BEGIN IMMEDIATE")
    store.replace(1, cut(unit(5, seed=1)))
    store.delete([2])
    assert len(store) == 5
    assert len(names(store.search(unit(1), 9))) == 5
    assert len(names(other.search(unit(1), 9))) == 2
    connection_of(store).execute("ROLLBACK")
    assert len(names(store.search(unit(1), 9))) == 2
    np.testing.assert_array_equal(store.fetch([1])[1].vectors, unit(2))


def test_what_was_searched_before_a_rollback_leaves_no_trace(opened: Opener) -> None:
    store = opened()
    store.replace(1, cut(unit(2)))
    connection_of(store).execute("BEGIN IMMEDIATE")
    store.replace(9, cut(unit(3)))
    store.search(unit(1), 9)
    connection_of(store).execute("ROLLBACK")
    store.replace(2, cut(unit(1)))  # takes the generation that the undone write had
    assert ids(store.search(unit(1), 9)) == {1, 2}


def test_a_write_that_fails_leaves_the_callers_transaction_as_it_was(opened: Opener) -> None:
    store = opened()
    connection = connection_of(store)
    connection.execute("CREATE TRIGGER full BEFORE INSERT ON vectors WHEN new.file_id = 2"
                       " BEGIN SELECT raise(ABORT, 'disk full'); END")  # fmt: skip
    connection.execute("BEGIN IMMEDIATE")
    store.replace(1, cut(unit(2)))
    with pytest.raises(StoreError, match="collection a@1 was not written: disk full"):
        store.replace(2, cut(unit(2)))
    store.replace(3, cut(unit(2)))
    connection.execute("COMMIT")
    assert store.file_ids().tolist() == [1, 3]


def test_a_locked_database_is_told(opened: Opener) -> None:
    store, other = opened(), opened()
    connection_of(other).execute("PRAGMA busy_timeout = 10")
    connection_of(store).execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        other.replace(1, cut(unit(1)))
    assert names(other.search(unit(1), 1)) == []  # reading goes on
    connection_of(store).execute("ROLLBACK")
    other.replace(1, cut(unit(1)))
    assert len(store) == 1


def test_a_collection_can_be_opened_while_another_process_writes(opened: Opener) -> None:
    store = opened()
    store.replace(1, cut(unit(2)))
    connection_of(store).execute("BEGIN IMMEDIATE")
    store.replace(2, cut(unit(2)))
    assert len(names(opened().search(unit(1), 9))) == 2
    connection_of(store).execute("COMMIT")


def test_flush_refuses_what_is_not_committed(opened: Opener) -> None:
    store = opened()
    connection_of(store).execute("BEGIN")
    with pytest.raises(StoreError, match="commit first"):
        store.flush()
    connection_of(store).execute("COMMIT")


def test_works_with_a_connection_that_gives_named_rows(opened: Opener) -> None:
    store = opened()
    connection_of(store).row_factory = sqlite3.Row
    store.replace(1, cut(unit(3)))
    store.flush()
    store.replace(2, cut(unit(3, seed=2)))
    assert len(names(store.search(unit(1), 9))) == len(store) == 6
    assert store.file_ids().tolist() == [1, 2]


@pytest.mark.parametrize("damage", ["cut", "one bit"])
@pytest.mark.parametrize(("table", "column"), [("vectors", "data"), ("spans", "starts"), ("spans", "ends")])
def test_damaged_segments_are_told(opened: Opener, damage: str, table: str, column: str) -> None:
    store = opened()
    store.replace(5, cut(unit(3)))
    write = connection_of(store).execute
    if damage == "cut":
        write(f"UPDATE {table} SET {column} = x'0000'")
    else:
        [(data,)] = write(f"SELECT {column} FROM {table}").fetchall()
        write(f"UPDATE {table} SET {column} = ?", (bytes([data[0] ^ 1]) + data[1:],))
    assert_damage_is_told(store)


@pytest.mark.parametrize("change", ["DELETE FROM spans", "UPDATE spans SET file_id = 6"])
def test_vectors_without_their_spans_are_told(opened: Opener, change: str) -> None:
    store = opened()
    store.replace(5, cut(unit(3)))
    connection_of(store).execute(change)
    assert_damage_is_told(store)


def assert_damage_is_told(store: EmbeddedStore) -> None:
    for read in (lambda: store.fetch([5]), lambda: store.search(unit(1), 1), store.flush):
        with pytest.raises(StoreError, match=r"file [56] in collection a@1 are damaged"):
            read()


# The cache


def rows_read(store: EmbeddedStore, action: Callable[[], object]) -> int:
    """Count the vectors that an action decodes from the database."""
    with mock.patch.object(store, "_decoded", wraps=store._decoded) as decoded:
        action()
    return sum(call.args[1] for call in decoded.call_args_list)


def test_after_a_flush_a_new_process_reads_no_vectors_from_the_database(opened: Opener) -> None:
    store = opened()
    for file_id in range(50):
        store.replace(file_id, cut(unit(4, seed=file_id)))
    store.flush()
    again = opened()
    assert rows_read(again, lambda: again.search(unit(1), 3)) == 0
    assert rows_read(again, lambda: again.search(unit(1), 3)) == 0
    store.replace(7, cut(unit(6)))
    assert rows_read(again, lambda: again.search(unit(1), 3)) == 6  # what changed, and only that
    assert rows_read(again, lambda: again.search(unit(1), 3)) == 0


def test_flush_leaves_the_cache_alone_until_much_has_changed(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "_MANY_CHANGES", 10)
    store = opened()
    store.replace(1, cut(unit(40)))
    store.flush()
    before = sorted(cache_of(tmp_path).iterdir())
    store.replace(2, cut(unit(5)))
    store.flush()
    assert sorted(cache_of(tmp_path).iterdir()) == before
    store.replace(3, cut(unit(9)))
    store.flush()
    after = sorted(cache_of(tmp_path).iterdir())
    assert len(after) == len(before) == 4  # and the old files are gone
    assert after != before
    assert len(names(store.search(unit(1), 99))) == 54


def test_a_running_reader_takes_in_much_that_was_written(
    opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "_MANY_CHANGES", 10)
    store, reader = opened(), opened()
    files = {}
    for file_id in range(30):
        files[file_id] = unit(4, seed=file_id)
        store.replace(file_id, cut(files[file_id]))
        assert names(reader.search(unit(1), 9)) == brute_force(files, unit(1)[0], 9)
        if file_id == 20:
            store.flush()


def stamped(cache: Path, change: Callable[[dict[str, Any]], None]) -> None:
    stamp = json.loads((cache / "stamp.json").read_text())
    change(stamp)
    (cache / "stamp.json").write_text(json.dumps(stamp))


def without_spans(cache: Path) -> None:
    next(cache.glob("*.spans.npy")).unlink()


def of_the_layout_before(cache: Path) -> None:
    without_spans(cache)
    stamped(cache, lambda stamp: (stamp["parts"].pop("spans.npy"), stamp.update(format=1)))


def with_spans_of_fewer_rows(cache: Path) -> None:
    write_spans(cache, lambda runs: runs[:3])


def with_spans_of_more_segments(cache: Path) -> None:
    write_spans(cache, lambda runs: np.concatenate([runs, runs[:, -1:] + 1_000], axis=1))


def with_no_spans(cache: Path) -> None:
    write_spans(cache, lambda runs: runs[:, :0])


def write_spans(cache: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Change the spans and stamp them, as one who writes caches wrongly would."""
    [path] = cache.glob("*.spans.npy")
    np.save(path, change(np.load(path)))
    stamped(cache, lambda stamp: stamp["parts"].update({"spans.npy": snapshot._measure(path)}))


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize(
    "change",
    [
        without_spans,
        of_the_layout_before,
        with_spans_of_fewer_rows,
        with_spans_of_more_segments,
        with_no_spans,
    ],
)
def test_a_cache_without_spans_that_fit_is_done_without_and_laid_out_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], precision: Precision
) -> None:
    monkeypatch.setattr(snapshot, "FLAT_LIMIT", 10)

    def opened() -> EmbeddedStore:
        return EmbeddedStore(over(connect(tmp_path)), "a@1", DIM, tmp_path / "index", precision)

    store = opened()
    files = {1: unit(300), 2: unit(4, seed=2), 3: unit(9, seed=3)}
    for file_id, vectors in files.items():
        store.replace(file_id, cut(vectors))
    store.flush()
    [before] = cache_of(tmp_path).glob("*.files.npy")
    change(cache_of(tmp_path))
    files[2] = unit(7, seed=4)
    store.replace(2, cut(files[2]))
    again = opened()
    due = brute_force(files, unit(1)[0], 20)
    found = again.search(unit(1), 20)
    assert names(found) == due
    assert_spans(found, files)
    again.flush()
    [after] = cache_of(tmp_path).glob("*.files.npy")
    assert after != before
    last = opened()
    found = last.search(unit(1), 20)
    assert last._view is not None
    assert last._view.base.stored
    assert names(found) == due
    assert_spans(found, files)
    for each in (store, again, last):
        connection_of(each).close()


def test_a_store_that_was_emptied_leaves_no_cache(opened: Opener, tmp_path: Path) -> None:
    store = opened()
    store.replace(1, cut(unit(3)))
    store.flush()
    store.delete([1])
    store.flush()
    assert list(cache_of(tmp_path).iterdir()) == []
    assert names(opened().search(unit(1), 1)) == names(store.search(unit(1), 1)) == []
    store.replace(1, cut(unit(3)))
    store.flush()
    assert len(names(opened().search(unit(1), 9))) == 3


def test_a_copied_library_keeps_its_cache(opened: Opener, tmp_path: Path) -> None:
    store = opened()
    store.replace(1, cut(unit(30)))
    store.flush()
    for path in cache_of(tmp_path).iterdir():
        path.touch()
    again = opened()
    assert rows_read(again, lambda: again.search(unit(1), 1)) == 0


def test_the_cache_of_another_library_is_not_trusted(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        connection = connect(tmp_path / name)
        store = EmbeddedStore(over(connection), "a@1", DIM, tmp_path / "index")  # shared by mistake
        store.replace(1, cut(unit(5, seed=len(name))))
        [query] = unit(1, seed=len(name))
        assert store.search(query[None], 1).scores.item() == pytest.approx(1)
        store.flush()
        connection.close()


def test_a_database_restored_from_a_backup_does_without_the_newer_cache(opened: Opener) -> None:
    store = opened()
    store.replace(1, cut(unit(5)))
    backup = sqlite3.connect(":memory:")
    connection_of(store).backup(backup)
    store.replace(2, cut(unit(5)))
    store.replace(3, cut(unit(5)))
    store.flush()
    store.close()
    backup.backup(connection_of(store))
    backup.close()
    assert ids(opened().search(unit(1), 99)) == {1}


def test_files_of_a_killed_flush_go_when_they_have_aged(opened: Opener, tmp_path: Path) -> None:
    store = opened()
    store.replace(1, cut(unit(5)))
    store.flush()
    old, young = (cache_of(tmp_path) / f"{name}.vectors.npy" for name in ("old", "young"))
    for path, age in ((old, 7_200), (young, 0)):
        path.write_bytes(b"half written")
        os.utime(path, (time.time() - age,) * 2)
    store.delete([1])
    store.flush()
    assert not old.exists()
    assert young.exists()  # perhaps another process is just writing it


def a_file_for_the_folder(index: Path) -> None:
    shutil.rmtree(index)
    index.touch()


def a_file_for_the_collection(index: Path) -> None:
    [folder] = index.iterdir()
    shutil.rmtree(folder)
    folder.touch()


def a_folder_for_the_stamp(index: Path) -> None:
    [folder] = index.iterdir()
    (folder / "stamp.json").unlink()
    (folder / "stamp.json").mkdir()


@pytest.mark.parametrize(
    "obstacle", [a_file_for_the_folder, a_file_for_the_collection, a_folder_for_the_stamp]
)
def test_a_cache_that_cannot_be_written_is_done_without(
    opened: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture, obstacle: Callable[[Path], None]
) -> None:
    store = opened()
    store.replace(1, cut(unit(5)))
    store.flush()
    obstacle(tmp_path / "index")
    store.replace(2, cut(unit(5, seed=2)))
    for again in (store, opened()):
        again.close()
        caplog.clear()
        again.flush()
        [record] = caplog.records
        assert record.levelname == "WARNING"
        assert "collection a@1 goes without its cache" in record.getMessage()
        assert len(names(again.search(unit(1), 99))) == 10
    store.delete([1, 2])
    store.flush()
    assert names(opened().search(unit(1), 1)) == names(store.search(unit(1), 1)) == []


@contextmanager
def disk_full_after(n_bytes: int) -> Iterator[None]:
    """Let no file grow beyond ``n_bytes``."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_keeps_no_half_of_a_cache(opened: Opener, tmp_path: Path) -> None:
    store = opened()
    for file_id in range(100):
        store.replace(file_id, cut(unit(1, seed=file_id)))
    with disk_full_after(2_000):
        store.flush()
    assert list(cache_of(tmp_path).iterdir()) == []
    assert len(names(store.search(unit(1), 999))) == 100
    store.flush()
    again = opened()
    assert rows_read(again, lambda: again.search(unit(1), 1)) == 0


def test_a_full_disk_is_noticed_to_the_last_byte_of_the_codes(tmp_path: Path) -> None:
    codes = InvertedFile.build(unit(100))
    codes.write(tmp_path / "whole")
    size = (tmp_path / "whole").stat().st_size
    for n_bytes in (0, size // 2, size - 1):
        with disk_full_after(n_bytes), pytest.raises(OSError, match="too large"):
            codes.write(tmp_path / "part")


@pytest.mark.parametrize(
    "step",
    [
        "numpy.save",
        "echoic.storage.vectors.ann.InvertedFile.write",
        "echoic.storage.vectors.snapshot._measure",
    ],
)
def test_a_failed_renewal_keeps_the_cache_there_was(
    opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(view, "_MANY_CHANGES", 3)
    store = opened()
    store.replace(1, cut(unit(9)))
    store.flush()
    before = sorted(cache_of(tmp_path).iterdir())
    store.replace(2, cut(unit(5)))
    monkeypatch.setattr(snapshot, "FLAT_LIMIT", 10)
    monkeypatch.setattr(InvertedFile, "is_worthwhile", True)
    with mock.patch(step, side_effect=OSError(28, "No space left on device")) as full:
        store.flush()
    assert full.called
    assert sorted(cache_of(tmp_path).iterdir()) == before
    again = opened()
    assert rows_read(again, lambda: again.search(unit(1), 1)) == 5


def test_nothing_is_printed_where_the_cache_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "index").touch()
    code = (
        "import sqlite3, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from echoic.storage.vectors.embedded import EmbeddedStore\n"
        "from echoic.types import Segments\n"
        "connection = sqlite3.connect(':memory:', isolation_level=None)\n"
        "store = EmbeddedStore(lambda: connection, 'a@1', 2, Path(sys.argv[1]))\n"
        "eye = np.eye(2, dtype=np.float32)\n"
        "store.replace(1, Segments(np.zeros(2), np.ones(2), eye)); store.flush()\n"
        "print(len(store.search(eye, 9)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "index")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("2\n", "")


# Approximate search


def test_many_segments_are_searched_through_codes(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "FLAT_LIMIT", 5_000)
    rng = np.random.default_rng(0)
    centres = unit(300, seed=1)
    vectors = centres[rng.integers(0, 300, 20_000)] + 0.1 * unit(20_000, seed=2)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    files = {i: vectors[20 * i : 20 * i + 20] for i in range(1_000)}
    store = opened()
    connection_of(store).execute("BEGIN")
    for file_id, rows in files.items():
        store.replace(file_id, cut(rows))
    connection_of(store).execute("COMMIT")
    store.flush()
    assert store._view is not None
    assert store._view.base.codes is not None
    changed = {3: vectors[:30], 4: vectors[:0], 2_000: vectors[500:520]}
    for file_id, rows in changed.items():
        store.replace(file_id, cut(rows))
        files[file_id] = rows
    for reader in (store, opened()):
        queries = unit(40, seed=3)
        for within in (None, set(range(500)), set(range(0, 1_000, 100)), {3, 4, 2_000}):
            left = {f: v for f, v in files.items() if within is None or f in within}
            found = reader.search(queries, 20, within=within)
            exact = [brute_force(left, query, 20) for query in queries]
            shares = [len(set(names(found, i)) & set(b)) / len(b) for i, b in enumerate(exact)]
            assert np.mean(shares) >= 0.95
            if within is not None and sum(map(len, left.values())) <= 5_000:
                assert np.mean(shares) > 0.999  # few: scored exactly
            assert_spans(found, files)
            for i, query in enumerate(queries):
                scores = [float(files[file_id][segment] @ query) for file_id, segment in names(found, i)]
                np.testing.assert_allclose(found.scores[i][found.found[i]], scores, atol=1e-6)


def test_many_segments_of_8_bits_are_searched_through_codes_and_read_from_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "FLAT_LIMIT", 5_000)
    rng = np.random.default_rng(0)
    centres = unit(300, seed=1)
    vectors = centres[rng.integers(0, 300, 20_000)] + 0.1 * unit(20_000, seed=2)
    vectors = unpack(pack(vectors.astype(np.float32), "int8"), DIM, "int8")
    files = {i: vectors[400 * i : 400 * i + 400] for i in range(50)}  # of two rows each
    writer, reader = (
        EmbeddedStore(over(connect(tmp_path)), "a@1", DIM, tmp_path / "index", "int8") for _ in "ab"
    )
    for file_id, rows in files.items():
        writer.replace(file_id, cut(rows))
    writer.flush()
    parts = {path.name.partition(".")[2] for path in cache_of(tmp_path).iterdir()}
    assert parts == {"json", "files.npy", "spans.npy", "codes.faiss"}
    for file_id, rows in {3: vectors[:30], 4: vectors[:0], 2_000: vectors[500:520]}.items():
        writer.replace(file_id, cut(rows))
        files[file_id] = rows
    for store in (writer, reader):
        queries = unit(40, seed=3)
        for within in (None, set(range(30)), {3, 4, 2_000}, {5, 6}):
            left = {f: v for f, v in files.items() if within is None or f in within}
            found = store.search(queries, 20, within=within)
            exact = [brute_force(left, query, 20) for query in queries]
            if sum(map(len, left.values())) <= 5_000:  # few: scored exactly
                assert [names(found, i) for i in range(len(queries))] == exact
            # Two bits a number do not tell neighbours of one cloud apart; they are as near, nearly.
            best = [files[f][s] @ query for row, query in zip(exact, queries, strict=True) for f, s in row]
            assert np.mean(found.scores[found.found]) > np.mean(best) - 0.03
            assert_spans(found, files)
            for i, query in enumerate(queries):
                scores = [float(files[file_id][segment] @ query) for file_id, segment in names(found, i)]
                np.testing.assert_allclose(found.scores[i][found.found[i]], scores, atol=1e-6)
        np.testing.assert_array_equal(store.fetch([7])[7].vectors, files[7])
        connection_of(store).close()


def test_8_bits_take_a_quarter_and_need_no_cache_while_there_are_few(tmp_path: Path) -> None:
    sizes = {}
    for precision in ("float32", "int8"):
        folder = tmp_path / precision
        folder.mkdir()
        store = EmbeddedStore(over(connect(folder)), "a@1", 128, folder / "index", precision)
        for file_id in range(20):
            store.replace(file_id, cut(unit(1_000, seed=file_id, dim=128)))
        store.flush()
        connection_of(store).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection_of(store).close()
        sizes[precision] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert sizes["int8"] < 1.1 * 128 * 20_000
    assert sizes["float32"] > 2 * 4 * 128 * 20_000


def test_another_precision_is_refused(tmp_path: Path) -> None:
    EmbeddedStore(over(connect(tmp_path)), "a@1", DIM, tmp_path / "index", "int8")
    with pytest.raises(StoreError, match="holds vectors of int8, not float32"):
        EmbeddedStore(over(connect(tmp_path)), "a@1", DIM, tmp_path / "index")


# Any history


class History(RuleBasedStateMachine):
    """Whatever was written, undone, reopened, lost or damaged: a search equals brute force."""

    precision: Precision = "float32"

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.patch = mock.patch.object(view, "_MANY_CHANGES", 6)
        self.patch.start()
        self.files: dict[int, Float32] = {}
        self.writer = self.open()
        self.reader = self.open()

    def open(self) -> EmbeddedStore:
        return EmbeddedStore(over(connect(self.folder)), "a@1", DIM, self.folder / "index", self.precision)

    def shut(self, store: EmbeddedStore) -> None:
        store.close()
        connection_of(store).close()

    def teardown(self) -> None:
        self.shut(self.writer)
        self.shut(self.reader)
        self.patch.stop()
        shutil.rmtree(self.folder)

    ids = st.integers(0, 9)
    contents = st.builds(unit, st.integers(0, 6), st.integers(0, 5))

    @rule(file_id=ids, vectors=contents)
    def replace(self, file_id: int, vectors: Float32) -> None:
        self.writer.replace(file_id, cut(vectors))
        self.files[file_id] = vectors

    @rule(file_ids=st.lists(ids, max_size=4))
    def delete(self, file_ids: list[int]) -> None:
        self.writer.delete(file_ids)
        self.files = {f: v for f, v in self.files.items() if f not in file_ids}

    @rule(file_id=ids, vectors=contents)
    def undo(self, file_id: int, vectors: Float32) -> None:
        connection_of(self.writer).execute("BEGIN IMMEDIATE")
        self.writer.replace(file_id, cut(vectors))
        self.writer.search(unit(1), 3)
        connection_of(self.writer).execute("ROLLBACK")

    @rule()
    def flush(self) -> None:
        self.writer.flush()

    @rule()
    def reopen(self) -> None:
        self.shut(self.writer)
        self.writer = self.open()

    @rule()
    def keep_a_copy_of_the_cache(self) -> None:
        shutil.rmtree(self.folder / "copy", ignore_errors=True)
        if (self.folder / "index").exists():
            shutil.copytree(self.folder / "index", self.folder / "copy")

    @precondition(lambda self: (self.folder / "copy").exists())
    @rule()
    def bring_back_a_stale_cache(self) -> None:
        self._with_the_library_closed(self._bring_back)

    def _bring_back(self) -> None:
        shutil.rmtree(self.folder / "index", ignore_errors=True)
        shutil.copytree(self.folder / "copy", self.folder / "index")

    @rule(
        harm=st.sampled_from(["delete", "truncate", "empty", "overwrite", "extend"]), which=st.integers(0, 9)
    )
    def damage_the_cache(self, harm: str, which: int) -> None:
        paths = sorted(p for p in (self.folder / "index").rglob("*.*") if p.is_file())
        if paths:
            self._with_the_library_closed(lambda: damage(paths[which % len(paths)], harm))

    def _with_the_library_closed(self, action: Callable[[], None]) -> None:
        self.shut(self.writer)
        self.shut(self.reader)
        action()
        self.writer, self.reader = self.open(), self.open()

    @invariant()
    def search_equals_brute_force(self) -> None:
        stored = {f: v for f, v in self.files.items() if len(v)}
        queries = np.concatenate([unit(1, seed=3), unit(1, seed=77)])
        for store in (self.writer, self.reader):
            for k in (4, 100):
                found = store.search(queries, k)
                assert_spans(found, stored)
                for i, query in enumerate(queries):
                    assert names(found, i) == brute_force(stored, query, k)
        assert len(self.reader) == sum(map(len, stored.values()))
        assert self.reader.file_ids().tolist() == sorted(stored)


def damage(path: Path, harm: str) -> None:
    content = path.read_bytes()
    half = len(content) // 2
    changed = {
        "truncate": content[:half],
        "empty": b"",
        "overwrite": content[:half] + bytes(b ^ 0x5A for b in content[half:]),
        "extend": content + b"\0" * 32,
    }
    before = path.stat().st_mtime_ns
    path.unlink()
    while harm != "delete":
        path.write_bytes(changed[harm])
        if path.stat().st_mtime_ns != before:  # file systems count in steps of some milliseconds
            return


class HistoryOf8Bits(History):
    precision: Precision = "int8"


TestHistory = History.TestCase
TestHistoryOf8Bits = HistoryOf8Bits.TestCase
for case, n_examples in ((TestHistory, 40), (TestHistoryOf8Bits, 15)):
    case.settings = settings(
        max_examples=n_examples,
        stateful_step_count=25,
        suppress_health_check=[HealthCheck.too_slow],
    )


# Processes

READER = """
import sqlite3, sys, numpy as np
from pathlib import Path
from echoic.storage.vectors.embedded import EmbeddedStore

folder = Path(sys.argv[1])
connection = sqlite3.connect(folder / "library.db", isolation_level=None)
store = EmbeddedStore(lambda: connection, "a@1", 2, folder / "index")
latest, spans, searches, done = {}, {}, 0, False
print("ready", flush=True)
while not done:
    found = store.search(np.array([[1, 0]], np.float32), 1000)
    searches += 1
    files = {}
    rows = zip(found.file_ids[0].tolist(), found.segments[0].tolist(), found.starts[0].tolist(), strict=True)
    for (file_id, segment, start), score in zip(rows, found.scores[0].tolist(), strict=True):
        files.setdefault(file_id, []).append(score)
        spans[file_id] = start - 2.5 * segment
    for file_id, scores in files.items():
        version = round(-100 * scores[0])
        # All segments of one write, as many as that write had, and never of an earlier one.
        assert len(set(scores)) == 1, (file_id, scores)
        assert len(scores) == 1 + abs(version) % 7 or file_id == 99, (file_id, version, len(scores))
        assert version >= latest.get(file_id, -101), (file_id, version, latest)
        # And the spans are those of that write.
        assert spans[file_id] == len(scores), (file_id, spans[file_id], len(scores))
        latest[file_id] = version
    done = 99 in files
    assert done or len(files) in (0, 1, 2, 3, 4), files
print(searches, len(latest))
"""


def test_a_reader_keeps_up_with_a_writer_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "_MANY_CHANGES", 3)  # so that the cache is replaced all the time
    connection = connect(tmp_path)
    store = EmbeddedStore(over(connection), "a@1", 2, tmp_path / "index")
    command = [sys.executable, "-c", READER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for version in range(-99, 100):
            cosine = -version / 100
            vector = np.array([cosine, np.sqrt(1 - cosine**2)], np.float32)
            store.replace(version % 4, cut(np.stack([vector] * (1 + abs(version) % 7))))
            if version % 5 == 0:
                store.flush()
            time.sleep(0.005)
        store.replace(99, cut(np.array([[1, 0]], np.float32)))
        searches, n_files = map(int, reader.stdout.read().split())
    assert reader.returncode == 0
    assert n_files == 5
    assert searches > 50
    connection.close()
