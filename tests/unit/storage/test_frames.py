"""What is said, frame by frame, as the database keeps it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic import StoreError, UsageError
from echoic.storage import frames
from echoic.storage.catalog import Catalog
from echoic.storage.frames import N_SYMBOLS, SpokenStore, SymbolStore, pack, unpack
from echoic.types import AudioInfo, Segments

DIM = 43


def said(seed: int, n: int) -> Segments:
    """Make frames as a recogniser gives them: few symbols are likely at a time."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.full(DIM, 0.05), n)
    starts = np.cumsum(rng.integers(1, 40, n)) * 0.02
    return Segments(starts, starts + 0.02, np.sqrt(chances).astype(np.float32))


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def database(request, tmp_path):
    """The connection of a catalog, of files 1 to 9, in each database that can hold one."""
    is_elsewhere = request.param == "PostgreSQL"
    address = request.getfixturevalue("postgres_server").emptied() if is_elsewhere else None
    with closing(Catalog(tmp_path / "library", address)) as catalog:
        with catalog.transaction():
            for number in range(1, 10):
                catalog.put_file(
                    Path(f"/{number}.wav"), 1, 1, "", AudioInfo(1.0, 8_000, 1, "flac"), "indexed"
                )
        yield catalog.connection


@pytest.fixture
def store(database):
    return SymbolStore(lambda: database, "said@1", DIM)


def test_a_file_is_read_as_it_was_written_but_for_eight_bits(store):
    given_, other = said(0, 300), said(1, 5)
    store.replace(7, given_)
    store.replace(3, other)
    assert (len(store), store.file_ids().tolist()) == (305, [3, 7])
    found = store.fetch([7, 8, 3])
    assert found.keys() == {3, 7}
    np.testing.assert_allclose(found[7].starts, given_.starts, atol=1e-9)
    np.testing.assert_allclose(found[7].ends, given_.ends, atol=1e-9)
    kept = np.argsort(np.argsort(-given_.vectors, axis=1), axis=1) < N_SYMBOLS
    due = np.where(kept, given_.vectors, 0)
    due /= np.linalg.norm(due, axis=1, keepdims=True)
    np.testing.assert_allclose(found[7].vectors, due, atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(found[7].vectors, axis=1), 1, atol=1e-3)


def test_what_is_written_replaces_and_what_is_deleted_is_gone(store):
    store.replace(7, said(0, 300))
    store.replace(7, said(2, 4))
    assert len(store) == 4
    store.replace(7, Segments.none(DIM))
    assert store.fetch([7]) == {}
    store.replace(7, said(2, 4))
    store.delete([7, 9])
    assert len(store) == 0


def test_a_long_file_lies_in_parts_and_is_read_whole_or_in_part(store, database, monkeypatch):
    monkeypatch.setattr(frames, "N_OF_PART", 64)
    whole = said(0, 300)
    store.replace(7, whole)
    once = store.fetch([7])[7]
    cuts = [
        Segments(*(column[a:b] for column in (whole.starts, whole.ends, whole.vectors)))
        for a, b in ((0, 100), (100, 100), (100, 300))
    ]
    store.write(7, iter(cuts))
    twice = store.fetch([7])[7]
    assert len(store) == len(twice) == 300
    for one, other in zip(
        (once.starts, once.ends, once.vectors), (twice.starts, twice.ends, twice.vectors), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert database.execute("SELECT max(n), count(*) FROM frames").fetchone() == (64, 6)
    np.testing.assert_array_equal(store.read_between(7, 70, 130).starts, once.starts[70:130])


def test_what_was_asked_twice_is_remembered_until_it_changes(store, database):
    for file_id in (1, 2, 3):
        store.replace(file_id, said(file_id, 20))
    made = []

    def make(_, kept, is_kept):
        made.append((len(kept.starts), is_kept))
        return kept.starts

    def ask():
        made.clear()
        found = dict(store.remembered([1, 2, 3], make))
        return {file_id: len(starts) for file_id, starts in found.items()}, list(made)

    assert ask() == ({1: 20, 2: 20, 3: 20}, [(20, False)] * 3)
    assert ask()[1] == [(20, True)] * 3
    assert ask() == ({1: 20, 2: 20, 3: 20}, [])
    store.replace(2, said(9, 5))
    store.delete([3])
    assert ask() == ({1: 20, 2: 5}, [(5, True)])


def test_of_a_file_that_is_gone_nothing_is_read(store):
    store.write(7, [said(1, 300)])
    assert len(store.read_between(7, 290, 900).starts) == 10
    assert len(store.read_between(7, 300, 900).starts) == 0
    store.delete([7])
    assert len(store.read_between(7, 0, 256).starts) == 0


def test_numbers_alone_are_those_of_the_frames(database):
    store = SpokenStore(lambda: database, "spoken@1", DIM)
    vectors = np.random.default_rng(0).normal(size=(5_000, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    starts = np.arange(5_000) / 12.5
    store.write(7, [Segments(starts, starts + 0.08, vectors.astype(np.float32))])
    for first, last in [(0, 0), (0, 9), (2_000, 2_100), (100, 4_999), (4_999, 6_000), (5_000, 6_000)]:
        numbers = store.numbers_between(7, first, last)
        np.testing.assert_array_equal(numbers, store.read_between(7, first, last).numbers)
        assert len(numbers) == max(0, min(last, 5_000) - first)
    assert len(store.numbers_between(8, 0, 10)) == 0


def test_collections_do_not_know_each_other(store, database):
    other = SymbolStore(lambda: database, "said@2", DIM)
    store.replace(7, said(0, 3))
    assert (len(other), other.fetch([7])) == (0, {})
    other.delete([7])
    assert len(store) == 3


def test_damage_is_told(store, database):
    store.replace(7, said(0, 30))
    database.execute("UPDATE frames SET data = ?", (bytes(40),))
    with pytest.raises(StoreError, match="damaged"):
        store.fetch([7])


@pytest.mark.parametrize("bad", [np.nan, 0.0, 3.0])
def test_what_are_no_roots_of_probabilities_is_refused(store, bad):
    segments = said(0, 3)
    segments.vectors[1] = bad
    with pytest.raises(StoreError, match="vector 1"):
        store.replace(7, segments)
    assert len(store) == 0


def test_there_is_nothing_to_compare_by_cosines(store):
    with pytest.raises(UsageError, match="--phrase"):
        store.search(np.eye(DIM, dtype=np.float32)[:1], 1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_packing_keeps_the_likeliest_symbols(seed, n):
    vectors = said(seed, n).vectors
    symbols, levels = pack(vectors)
    assert symbols.shape == levels.shape == (n, N_SYMBOLS)
    assert (np.diff(levels.astype(int), axis=1) <= 0).all()
    np.testing.assert_array_equal(symbols[:, 0], vectors.argmax(axis=1))
    due = vectors[np.arange(n)[:, None], symbols] * (levels > 0)
    np.testing.assert_allclose(levels / 255, due, atol=0.5 / 255)
    assert unpack(symbols, levels, DIM).shape == vectors.shape


def test_a_frame_takes_few_bytes(store, database):
    store.replace(7, said(0, 5_000))
    [(size,)] = database.execute("SELECT sum(length(starts) + length(ends) + length(data)) FROM frames")
    assert size < 25 * 5_000
