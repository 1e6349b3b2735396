"""How the vectors of a collection lie in its database, and how a few of them are read out of many.

A file's vectors are rows of up to ``SEGMENTS_A_ROW`` segments each, so that one of them is found without
reading through the hours before it. A number takes four bytes, or one: a unit vector is then written as the
direction of a vector of whole numbers from −127 to 127, which moves cosines by some 1e-4.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from echoic.errors import StoreError
from echoic.spec import Precision
from echoic.types import Float32

if TYPE_CHECKING:
    from echoic.storage.catalog.engine import Statements

__all__ = ["SEGMENTS_A_ROW", "StoredMatrix", "pack", "packed_size", "unpack"]

SEGMENTS_A_ROW = 256
_LARGEST = 127
# Parts of many rows in one statement: asking for each by itself takes nearly twice as long.
_READ = """
SELECT span.key,
    substr(data, 1 + ?1 * json_extract(span.value, '$[2]'), ?1 * json_extract(span.value, '$[3]'))
FROM json_each(?3) AS span CROSS JOIN vectors
    ON collection = ?2 AND file_id = json_extract(span.value, '$[0]')
    AND part = json_extract(span.value, '$[1]')
"""


def packed_size(n: int, dim: int, precision: Precision) -> int:
    """Count the bytes of ``n`` packed vectors."""
    return n * dim * (1 if precision == "int8" else 4)


def pack(vectors: Float32, precision: Precision) -> bytes:
    """Write unit vectors, shape (n, dim), as bytes.

    Examples
    --------
    >>> vectors = np.array([[0.6, 0.8]], np.float32)
    >>> unpack(pack(vectors, "int8"), 2, "int8").round(3)
    array([[0.599, 0.801]], dtype=float32)
    """
    if precision == "float32":
        return vectors.astype("<f4", copy=False).tobytes()
    scale = _LARGEST / np.abs(vectors).max(axis=1, keepdims=True)
    whole: npt.NDArray[np.int8] = np.rint(vectors * scale).astype(np.int8)
    return whole.tobytes()


def unpack(data: bytes, dim: int, precision: Precision) -> Float32:
    """Read what :func:`pack` wrote: shape (n, dim), of length 1. Packed again, it gives the same bytes."""
    if precision == "float32":
        return np.frombuffer(data, "<f4").reshape(-1, dim).astype(np.float32, copy=False)
    whole = np.frombuffer(data, np.int8).reshape(-1, dim).astype(np.float32)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    return whole


class StoredMatrix:
    """The vectors of a collection's files as one matrix that stays in the database.

    Whoever reads must hold a transaction open if other processes write: rows and files belong together.

    Parameters
    ----------
    connect : callable
        Gives the connection of the thread that asks.
    collection : int
    dim : int
    precision : {"float32", "int8"}
    file_ids : ndarray of int64, shape (files,)
        Ascending.
    offsets : ndarray of int64, shape (files + 1,)
        File ``i`` has rows ``offsets[i]:offsets[i + 1]``.
    """

    def __init__(
        self,
        connect: Callable[[], Statements],
        collection: int,
        dim: int,
        precision: Precision,
        file_ids: npt.NDArray[np.int64],
        offsets: npt.NDArray[np.int64],
    ) -> None:
        self.shape = (int(offsets[-1]), dim)
        self._connect = connect
        self._collection = collection
        self._precision = precision
        self._file_ids = file_ids
        self._offsets = offsets

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> Float32:
        """Read rows by their numbers, an array of any shape; a negative one reads as zeros."""
        dim = self.shape[1]
        flat = rows.reshape(-1)
        order = np.argsort(flat, kind="stable")
        order = order[np.searchsorted(flat[order], 0) :]
        wanted = flat[order]
        files = np.searchsorted(self._offsets, wanted, side="right") - 1
        segments = wanted - self._offsets[files]
        parts, within = np.divmod(segments, SEGMENTS_A_ROW)
        found = np.zeros((len(flat), dim), np.float32)
        begins = (np.diff(files, prepend=-1) != 0) | (np.diff(parts, prepend=-1) != 0)
        firsts = np.flatnonzero(begins)
        lasts = np.append(firsts[1:], len(wanted)) - 1 if len(wanted) else firsts
        sizes = within[lasts] - within[firsts] + 1
        read = self._read(np.stack([self._file_ids[files[firsts]], parts[firsts], within[firsts], sizes], 1))
        # Where in what was read the first segment of each row of the database would lie.
        bases = np.cumsum(sizes) - sizes - within[firsts]
        packed = read[within + bases[np.cumsum(begins) - 1]]
        found[order] = unpack(packed.tobytes(), dim, self._precision)
        return found.reshape(*rows.shape, dim)

    def _read(self, spans: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Read packed segments, (segments, bytes); of spans of rows, each (file, part, first, number)."""
        size = packed_size(1, self.shape[1], self._precision)
        asked = size, self._collection, json.dumps(spans.tolist())
        read = dict(self._connect().execute(_READ, asked).fetchall())
        for key, (file_id, _, _, number) in enumerate(spans.tolist()):
            if len(read.get(key, b"")) != size * number:
                raise _damaged(file_id)
        return np.frombuffer(b"".join(read[key] for key in range(len(spans))), np.uint8).reshape(-1, size)

    def blocks(self, n: int = 65_536) -> Iterator[tuple[int, Float32]]:
        """Read everything in order, some ``n`` rows at a time, each with the number of its first row."""
        pending: list[Float32] = []
        first = waiting = 0
        for file_id in self._file_ids.tolist():
            for data in self._rows(file_id):
                pending.append(unpack(data, self.shape[1], self._precision))
                waiting += len(pending[-1])
            if waiting >= n:
                yield first, np.concatenate(pending)
                first, pending, waiting = first + waiting, [], 0
        if pending:
            yield first, np.concatenate(pending)

    def _rows(self, file_id: int) -> Iterator[bytes]:
        for checksum, data in self._connect().execute(
            "SELECT checksum, data FROM vectors WHERE collection = ? AND file_id = ? ORDER BY part",
            (self._collection, file_id),
        ):
            if zlib.crc32(data) != checksum:
                raise _damaged(file_id)
            yield data


def _damaged(file_id: int) -> StoreError:
    return StoreError(f"the vectors of file {file_id} are damaged; echoic doctor says which file that is")
