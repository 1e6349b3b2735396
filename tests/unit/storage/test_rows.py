"""Vectors in 8 bits, and the few of many that are read out of a database."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.errors import StoreError
from echoic.storage.vectors.embedded import EmbeddedStore
from echoic.storage.vectors.rows import SEGMENTS_A_ROW, StoredMatrix, pack, packed_size, unpack
from echoic.types import Float32, Segments

DIM = 8
SIZES = (1, SEGMENTS_A_ROW, 3, 2 * SEGMENTS_A_ROW + 5, 40)


def unit(n: int, dim: int, seed: int) -> Float32:
    vectors = np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(st.integers(0, 40), st.integers(1, 200), st.integers(0, 2**16))
def test_8_bits_move_a_vector_little_and_only_once(n: int, dim: int, seed: int) -> None:
    vectors = unit(n, dim, seed)
    data = pack(vectors, "int8")
    assert len(data) == packed_size(n, dim, "int8") == n * dim
    again = unpack(data, dim, "int8")
    assert again.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(again, axis=1), 1, atol=1e-6)
    assert ((again * vectors).sum(axis=1) > 1 - 1e-4).all()
    assert pack(again, "int8") == data


@given(st.integers(0, 20), st.integers(1, 50), st.integers(0, 2**16))
def test_32_bits_are_the_vector_itself(n: int, dim: int, seed: int) -> None:
    vectors = unit(n, dim, seed)
    np.testing.assert_array_equal(unpack(pack(vectors, "float32"), dim, "float32"), vectors)


@pytest.fixture(scope="module", params=["float32", "int8"])
def stored(request, tmp_path_factory):
    """A matrix of files of several sizes, as it lies in the database and as it is."""
    folder = tmp_path_factory.mktemp("rows")
    connection = sqlite3.connect(folder / "library.db", isolation_level=None)
    store = EmbeddedStore(lambda: connection, "a@1", DIM, folder, request.param)
    vectors = [unpack(pack(unit(n, DIM, n), "int8"), DIM, "int8") for n in SIZES]
    ids = 10 * np.arange(1, len(SIZES) + 1)
    for file_id, rows in zip(ids, vectors, strict=True):
        store.replace(int(file_id), Segments(np.zeros(len(rows)), np.ones(len(rows)), rows))
    offsets = np.concatenate([[0], np.cumsum(SIZES)])
    yield (
        StoredMatrix(lambda: connection, 1, DIM, request.param, ids, offsets),
        np.concatenate(vectors),
        connection,
    )
    connection.close()


@settings(max_examples=60)
@given(rows=st.lists(st.lists(st.integers(-1, sum(SIZES) - 1), min_size=3, max_size=3), max_size=30))
def test_any_rows_are_read_in_any_order(stored, rows) -> None:
    matrix, expected, _ = stored
    assert matrix.shape == expected.shape
    wanted = np.array(rows, np.int64).reshape(-1, 3)
    found = matrix[wanted]
    assert found.shape == (*wanted.shape, DIM)
    np.testing.assert_array_equal(found[wanted >= 0], expected[wanted[wanted >= 0]])
    assert not found[wanted < 0].any()


@pytest.mark.parametrize("n", [1, 50, 10_000])
def test_blocks_are_all_rows_in_order(stored, n: int) -> None:
    matrix, expected, _ = stored
    firsts, blocks = zip(*matrix.blocks(n), strict=True)
    assert list(firsts) == np.cumsum([0, *map(len, blocks[:-1])]).tolist()
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


def test_what_is_damaged_or_gone_is_told(stored) -> None:
    matrix, _, connection = stored
    connection.execute("BEGIN")
    connection.execute("UPDATE vectors SET data = substr(data, 1, 3) WHERE file_id = 30")
    for rows in ([258], [257, 258, 259, 257]):
        with pytest.raises(StoreError, match="vectors of file 30 are damaged"):
            matrix[np.array(rows)]
    with pytest.raises(StoreError, match="vectors of file 30 are damaged"):
        list(matrix.blocks())
    connection.execute("DELETE FROM vectors WHERE file_id = 30")
    with pytest.raises(StoreError, match="vectors of file 30 are damaged"):
        matrix[np.array([258])]
    connection.execute("ROLLBACK")
