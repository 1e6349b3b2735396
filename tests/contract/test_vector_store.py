"""What every vector store promises, asked of each over the place where it really lives."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Set
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from echoic.errors import StoreError
from echoic.storage.vectors.base import VectorStore
from echoic.storage.vectors.neighbours import Neighbours
from echoic.storage.vectors.rows import pack, unpack
from echoic.types import Float32, Segments
from tests.contract.places import Place

DIM = 16


def unit(n: int, dim: int = DIM, seed: int = 0) -> Float32:
    """Vectors that 8 bits a number hold exactly, so that one oracle does for all stores."""
    vectors = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return unpack(pack(vectors, "int8"), dim, "int8")


def cut(vectors: Float32) -> Segments:
    """Give vectors spans of 5 s every 2.5 s, but for a silence, and short ones at the end."""
    starts = 2.5 * np.arange(len(vectors), dtype=np.float64)
    starts[3:] += 100 / 44_100
    ends = starts + 5
    ends[4:] -= 1 / 3
    return Segments(starts, ends, vectors)


class Oracle:
    """The same in the plainest numpy."""

    def __init__(self) -> None:
        self.files: dict[int, Float32] = {}

    def replace(self, file_id: int, vectors: Float32) -> None:
        self.files.pop(file_id, None)
        if len(vectors):
            self.files[file_id] = vectors

    def search(self, query: Float32, k: int, within: Set[int] | None = None) -> list[tuple[int, int, float]]:
        rows = [
            (-float(vector @ query), file_id, segment)
            for file_id, vectors in self.files.items()
            if within is None or file_id in within
            for segment, vector in enumerate(vectors.astype(np.float64))
        ]
        # Rows nearer than float32 can tell apart are equal: then the ids decide.
        return [(f, s, -score) for score, f, s in sorted((round(score, 6), f, s) for score, f, s in rows)[:k]]


def names(found: Neighbours, query: int = 0) -> list[tuple[int, int]]:
    """The (file, segment) found for one of the queries."""
    n = int(found.found[query].sum())
    return list(zip(found.file_ids[query, :n].tolist(), found.segments[query, :n].tolist(), strict=True))


def assert_ranked(found: Neighbours, query: int, expected: list[tuple[int, int, float]]) -> None:
    assert names(found, query) == [row[:2] for row in expected]
    n = len(expected)
    np.testing.assert_allclose(found.scores[query, :n], [row[2] for row in expected], atol=1e-4)
    due = cut(np.empty((6_000, 0), np.float32))
    np.testing.assert_allclose(found.starts[query, :n], due.starts[found.segments[query, :n]], atol=1e-9)
    np.testing.assert_allclose(found.ends[query, :n], due.ends[found.segments[query, :n]], atol=1e-9)
    assert (found.segments[query, n:] == -1).all()
    assert (found.scores[query, n:] == -np.inf).all()


def assert_same(one: Neighbours, other: Neighbours) -> None:
    for column in ("file_ids", "segments", "starts", "ends", "scores"):
        np.testing.assert_array_equal(getattr(one, column), getattr(other, column), column)


def vectors_of(store: VectorStore, file_id: int) -> Float32:
    return store.fetch([file_id])[file_id].vectors


@pytest.fixture
def store(place: Place) -> VectorStore:
    return place.open(DIM)


def test_is_a_vector_store(store: VectorStore) -> None:
    assert isinstance(store, VectorStore)
    assert store.dim == DIM


def test_an_empty_store_answers(store: VectorStore) -> None:
    assert len(store) == 0
    assert store.file_ids().tolist() == []
    assert store.fetch([1]) == {}
    for found in (store.search(unit(2), 5), store.search(unit(2), 5, within={1})):
        assert len(found) == 2
        assert not found.found.any()
    assert len(store.search(np.empty((0, DIM), np.float32), 5)) == 0
    store.delete([1, 2])
    store.flush()
    assert not store.search(unit(1), 5).found.any()


def test_gives_back_what_was_stored(store: VectorStore) -> None:
    store.replace(7, cut(unit(5, seed=7)))
    store.replace(3, cut(unit(4, seed=3)))
    assert len(store) == 9
    assert store.file_ids().tolist() == [3, 7]
    assert store.file_ids().dtype == np.int64
    found = store.fetch([7, 8, 3])
    assert found.keys() == {3, 7}
    for file_id, n in ((3, 4), (7, 5)):
        due = cut(unit(n, seed=file_id))
        np.testing.assert_allclose(found[file_id].vectors, due.vectors, atol=1e-6)
        assert found[file_id].vectors.dtype == np.float32
        np.testing.assert_array_equal(found[file_id].starts, due.starts)
        np.testing.assert_allclose(found[file_id].ends, due.ends, atol=1e-9)


def test_finds_the_nearest_best_first(store: VectorStore) -> None:
    oracle = Oracle()
    for file_id in range(1, 8):
        store.replace(file_id, cut(unit(6, seed=file_id)))
        oracle.replace(file_id, unit(6, seed=file_id))
    queries = unit(5, seed=100)
    found = store.search(queries, 10)
    for at, query in enumerate(queries):
        assert_ranked(found, at, oracle.search(query, 10))
    kinds = [getattr(found, column).dtype for column in ("file_ids", "segments", "starts", "ends", "scores")]
    assert kinds == [np.int64, np.int64, np.float64, np.float64, np.float32]


def test_gives_all_there_is_when_more_is_asked(store: VectorStore) -> None:
    store.replace(1, cut(unit(6)))
    for k in (6, 7, 1_000, 20_000):
        found = store.search(unit(1), k)
        assert sorted(names(found)) == [(1, segment) for segment in range(6)]


def test_orders_equals_by_file_and_segment(store: VectorStore) -> None:
    [same] = unit(1)
    for file_id in (5, 2, 9):
        store.replace(file_id, cut(np.stack([same] * 3)))
    assert names(store.search(unit(1), 9)) == [(f, s) for f in (2, 5, 9) for s in range(3)]
    assert names(store.search(unit(1), 4)) == [(2, 0), (2, 1), (2, 2), (5, 0)]


@pytest.mark.parametrize("n", [2, 9, 5, 0], ids="{} segments after 5".format)
def test_replaces_a_file_as_a_whole(store: VectorStore, n: int) -> None:
    store.replace(1, cut(unit(5, seed=1)))
    store.replace(2, cut(unit(3, seed=2)))
    store.search(unit(1), 3)
    store.replace(1, cut(unit(n, seed=9)))
    assert len(store) == n + 3
    assert store.file_ids().tolist() == ([1, 2] if n else [2])
    if n:
        np.testing.assert_allclose(vectors_of(store, 1), unit(n, seed=9), atol=1e-6)
        np.testing.assert_array_equal(store.fetch([1])[1].starts, cut(unit(n)).starts)
    else:
        assert store.fetch([1]) == {}
    assert len(names(store.search(unit(1), 100))) == n + 3


def test_replacing_with_the_same_changes_nothing(store: VectorStore) -> None:
    store.replace(1, cut(unit(5)))
    before = store.search(unit(2), 5)
    store.replace(1, cut(unit(5)))
    assert len(store) == 5
    assert_same(store.search(unit(2), 5), before)


def test_deletes_files(store: VectorStore) -> None:
    for file_id in (1, 2, 3):
        store.replace(file_id, cut(unit(4, seed=file_id)))
    store.search(unit(1), 3)
    store.delete([1, 3, 99])
    assert len(store) == 4
    assert store.file_ids().tolist() == [2]
    assert {file_id for file_id, _ in names(store.search(unit(1), 12))} == {2}
    store.delete([])
    store.delete([2])
    assert len(store) == 0
    assert names(store.search(unit(1), 3)) == []
    store.replace(2, cut(unit(1)))
    assert len(names(store.search(unit(1), 3))) == 1


@pytest.mark.parametrize("flushed", [False, True], ids=["not flushed", "flushed"])
def test_searches_within_files(store: VectorStore, flushed: bool) -> None:
    oracle = Oracle()
    for file_id in range(24):
        store.replace(file_id, cut(unit(100, seed=file_id)))
        oracle.replace(file_id, unit(100, seed=file_id))
    if flushed:
        store.flush()
    [query] = queries = unit(1, seed=1000)
    for within in (set(), {17}, {999}, {3, 20, 999}, set(range(22)), set(range(5_000))):
        assert_ranked(store.search(queries, 70, within=within), 0, oracle.search(query, 70, within))


def test_a_large_file_goes_in_and_out_whole(store: VectorStore) -> None:
    vectors = unit(5_000)
    store.replace(1, cut(vectors))
    store.replace(2, cut(vectors[:10]))
    assert len(store) == 5_010
    np.testing.assert_allclose(vectors_of(store, 1), vectors, atol=1e-6)
    assert names(store.search(vectors[4_999:], 1)) == [(1, 4_999)]
    store.replace(1, cut(vectors[:3]))
    assert len(store) == 13


# Milvus Lite in this process is the engine of the server too, so once over the wire is enough.
@pytest.mark.parametrize("place", ["embedded float32", "embedded int8", "server"], indirect=True)
def test_counts_and_lists_beyond_one_page_of_results(place: Place) -> None:
    # Milvus answers a query with at most 16,384 rows.
    store = place.open(dim=2)
    store.replace(1, cut(unit(17_000, 2)))
    store.replace(2, cut(unit(1, 2)))
    assert len(store) == 17_001
    assert len(vectors_of(store, 1)) == 17_000
    assert store.file_ids().tolist() == [1, 2]
    assert len(names(store.search(unit(1, 2), 17_001))) == 17_001


# A store in memory is gone with the object.
lasting = pytest.mark.parametrize(
    "place", ["embedded float32", "embedded int8", "lite", "server"], indirect=True
)

BAD = {
    "NaN": np.full((1, DIM), np.nan, np.float32),
    "infinite": np.full((1, DIM), np.inf, np.float32),
    "zero": np.zeros((1, DIM), np.float32),
    "not unit length": 2 * unit(1),
    "of another dimension": unit(1, DIM + 1),
    "flat": unit(1)[0],
}


def refuses(action: Callable[[], object]) -> bool:
    try:
        action()
    except StoreError as error:
        return "vector" in str(error)
    return False


def test_refuses_vectors_that_cannot_be_compared(store: VectorStore) -> None:
    store.replace(1, cut(unit(2)))
    for kind, vectors in BAD.items():
        assert refuses(lambda v=vectors: store.replace(1, Segments(np.zeros(1), np.ones(1), v))), kind
        assert refuses(lambda v=vectors: store.search(v, 1)), kind
    np.testing.assert_allclose(vectors_of(store, 1), unit(2), atol=1e-6)


def test_refuses_times_that_are_no_spans(store: VectorStore) -> None:
    start, end = np.zeros(1), np.ones(1)
    for starts, ends in (
        (end, start),
        (start, end * np.nan),
        (start, end * np.inf),
        (np.zeros(2), np.ones(2)),
    ):
        with pytest.raises(StoreError, match="span"):
            store.replace(1, Segments(starts, ends, unit(1)))
    assert len(store) == 0


def test_refuses_to_find_none(store: VectorStore) -> None:
    with pytest.raises(StoreError, match="at least 1"):
        store.search(unit(1), 0)


@lasting
def test_what_was_written_is_there_after_reopening(place: Place) -> None:
    store = place.open(DIM)
    store.replace(1, cut(unit(5, seed=1)))
    store.flush()
    store.replace(2, cut(unit(5, seed=2)))
    before = store.search(unit(1), 10)
    store.close()
    again = place.open(DIM)
    assert len(again) == 10
    assert_same(again.search(unit(1), 10), before)


@lasting
def test_a_collection_keeps_its_dimension(place: Place) -> None:
    place.open(DIM).replace(1, cut(unit(1)))
    with pytest.raises(StoreError, match=rf"dimension {DIM}, not {DIM + 1}"):
        place.open(DIM + 1)


def test_collections_do_not_mix(place: Place) -> None:
    one, other = place.open(DIM, f"{place.collection} a-b"), place.open(DIM, f"{place.collection} a_b")
    one.replace(1, cut(unit(3)))
    assert (len(one), len(other)) == (3, 0)
    one.close()
    other.replace(1, cut(unit(2)))
    assert len(other) == 2


@lasting
def test_a_killed_writer_leaves_what_it_wrote(place: Place) -> None:
    place.open(DIM).close()
    script = (
        "import os, signal, numpy as np\n"
        "from echoic.types import Segments\n"
        f"{place.source}"
        f"store = opened({place.collection!r}, {DIM})\n"
        f"vectors = np.eye({DIM}, dtype=np.float32)\n"
        f"store.replace(4, Segments(np.arange({DIM}), np.arange({DIM}) + 1.0, vectors))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    store = place.open(DIM)
    np.testing.assert_allclose(vectors_of(store, 4), np.eye(DIM), atol=1e-6)
    found = store.search(np.eye(DIM, dtype=np.float32)[3:4], 1)
    assert (found.segments.item(), found.starts.item(), found.ends.item()) == (3, 3.0, 4.0)


def test_threads_may_search_while_another_writes(store: VectorStore) -> None:
    # Two versions of a file, each with times of its own: a hit never joins one's vector with the other's.
    one, other = unit(300, seed=1), unit(300, seed=2)
    times = np.arange(300, dtype=np.float64)
    versions = Segments(times, times + 1, one), Segments(1_000 + times, 1_001 + times, other)
    store.replace(1, versions[0])
    store.replace(2, cut(unit(5, seed=3)))
    is_over = threading.Event()

    def search() -> int:
        n = 0
        while not is_over.is_set() or n < 3:
            for vectors, first in ((one, 0), (other, 1_000)):
                found = store.search(vectors[7:9], 5)
                right = found.scores > 0.99
                assert (found.starts[right] >= first).all()
                assert (found.starts[right] < first + 300).all()
                np.testing.assert_array_equal(found.ends[right], found.starts[right] + 1)
            assert 2 in store.fetch([2])
            n += 1
        return n

    with ThreadPoolExecutor(8) as pool:
        searching = [pool.submit(search) for _ in range(8)]
        try:
            for turn in range(12):
                store.replace(1, versions[turn % 2])
                store.replace(10 + turn, cut(unit(40, seed=100 + turn)))
                if turn % 4 == 3:
                    store.flush()
        finally:
            is_over.set()
        assert all(future.result(timeout=60) >= 3 for future in searching)
    assert names(store.search(other[7:8], 1)) == [(1, 7)]


@pytest.mark.parametrize("seed", [1, 2])
def test_agrees_with_plain_numpy_after_any_operations(place: Place, seed: int) -> None:
    """All stores are held to one oracle, so they agree among themselves."""
    rng = np.random.default_rng(seed)
    pool = unit(12, seed=seed)  # drawn from again and again: equal vectors in many files
    store, oracle = place.open(DIM), Oracle()
    for step in range(40):
        file_id = int(rng.integers(0, 12))
        match rng.choice(["replace", "replace", "repeat", "delete", "flush", "reopen"]):
            case "replace":
                vectors = unit(int(rng.integers(0, 9)), seed=int(rng.integers(1 << 30)))
                store.replace(file_id, cut(vectors))
                oracle.replace(file_id, vectors)
            case "repeat":
                vectors = pool[rng.integers(0, len(pool), 6)]
                store.replace(file_id, cut(vectors))
                oracle.replace(file_id, vectors)
            case "delete":
                store.delete([file_id, file_id + 1])
                oracle.files.pop(file_id, None)
                oracle.files.pop(file_id + 1, None)
            case "flush":
                store.flush()
            case _ if place.kind != "memory":
                store.close()
                store = place.open(DIM)
        if step % 4 == 3:
            queries = np.concatenate([pool[:1], unit(1, seed=step)])
            within = set(rng.integers(0, 12, 4).tolist()) if rng.random() < 0.5 else None
            k = int(rng.integers(1, 30))
            found = store.search(queries, k, within=within)
            for at, query in enumerate(queries):
                assert_ranked(found, at, oracle.search(query, k, within))
            assert len(store) == sum(map(len, oracle.files.values()))
            assert store.file_ids().tolist() == sorted(oracle.files)
