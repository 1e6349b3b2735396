"""What is said in a library's files, frame by frame, kept in little room.

These are the vectors of encoders that phrases are found by (:class:`~echoic.encoders.base.PhraseEncoder`,
:class:`~echoic.encoders.base.SpokenEncoder`), but they are not searched by their cosines: a phrase is a
sequence, and every frame is looked at. So they lie in the library's database wherever its other vectors are.
Where frames are symbols, the ten likeliest are kept, each with the root of its probability in 8 bits: some 20
bytes a frame before they are compressed. Where all numbers of the vectors matter, each takes 8 bits.
"""

from __future__ import annotations

import threading
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import groupby
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from echoic.encoders.base import normalize
from echoic.errors import StoreError, UsageError
from echoic.storage.catalog.engine import Connection
from echoic.storage.vectors.base import checked
from echoic.storage.vectors.neighbours import Neighbours
from echoic.storage.vectors.times import pack_times, unpack_times
from echoic.types import Float32, Segments

__all__ = [
    "N_OF_PART",
    "N_SYMBOLS",
    "FrameStore",
    "Frames",
    "SpokenFrames",
    "SpokenStore",
    "SymbolStore",
    "whole_frames",
]

#: Symbols of a frame that are kept.
N_SYMBOLS = 10
#: Frames of a part of a file, at most: what a row of the database holds.
N_OF_PART = 2048
_LEVELS = 255
_HIGHEST = 127  # of what takes 8 bits with a sign
_AT_ONCE = 500  # files that are read in one statement
_ROOM = 512 << 20  # bytes of what is remembered of a collection: two hundred hours of speech

Bytes = npt.NDArray[np.uint8]
SmallInts = npt.NDArray[np.int8]
Float64 = npt.NDArray[np.float64]


class Frames(NamedTuple):
    """The frames of a file, in order of time.

    Parameters
    ----------
    starts, ends : ndarray of float64, shape (n,)
        Seconds.
    symbols : ndarray of uint8, shape (n, N_SYMBOLS)
        Which symbols are likely.
    levels : ndarray of uint8, shape (n, N_SYMBOLS)
        Roots of their probabilities, 255 being 1; 0 where there are fewer.
    """

    starts: Float64
    ends: Float64
    symbols: Bytes
    levels: Bytes


class SpokenFrames(NamedTuple):
    """The frames of a file whose vectors are kept whole, in order of time.

    Parameters
    ----------
    starts, ends : ndarray of float64, shape (n,)
        Seconds.
    numbers : ndarray of int8, shape (n, dim)
        The vectors, 127 being 1.
    """

    starts: Float64
    ends: Float64
    numbers: SmallInts


Kept = TypeVar("Kept")


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


Made = TypeVar("Made", bound=_Sized)


class _Remembered(NamedTuple):
    stamp: tuple[int, ...]  # ids of the rows that it was made of, which are never used again
    made: Any


class FrameStore(ABC, Generic[Kept]):
    """The frames of one encoder revision in one library; a :class:`~echoic.storage.vectors.base.VectorStore`.

    Parameters
    ----------
    connect : callable
        Gives the connection of the thread that asks, in autocommit mode.
    collection : str
        The encoder's ``name@revision``.
    dim : int
        Length of the vectors.
    """

    joins_transactions = True

    def __init__(self, connect: Callable[[], Connection], collection: str, dim: int) -> None:
        self.dim = dim
        self.collection = collection
        self._connect = connect
        self._memory: dict[int, _Remembered] = {}  # by file
        self._remembering = threading.Lock()
        self._was_asked = False

    def replace(self, file_id: int, segments: Segments) -> None:
        """Make ``segments`` all that is stored for a file."""
        self.write(file_id, [segments])

    def write(self, file_id: int, parts: Iterable[Segments]) -> None:
        """Make what is in ``parts``, in order of time, all that is stored for a file; few are held at a time.

        It is one change where a transaction is open; else a kill may leave the first parts.
        """
        self.delete([file_id])
        connection = self._connect()
        number = 0
        for segments in parts:
            segments = checked(segments, self.dim)
            for first in range(0, len(segments), N_OF_PART):
                here = slice(first, first + N_OF_PART)
                starts, ends = pack_times(segments.starts[here]), pack_times(segments.ends[here])
                data = self._packed(segments.vectors[here])
                n, checksum = len(segments.starts[here]), zlib.crc32(starts + ends + data)
                connection.execute(
                    "INSERT INTO frames (collection, file_id, part, n, checksum, starts, ends, data)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (self.collection, file_id, number, n, checksum, starts, ends, data),
                )
                number += 1

    def delete(self, file_ids: Sequence[int]) -> None:
        """Forget files; ids that are not stored are passed over."""
        self._connect().executemany(
            "DELETE FROM frames WHERE collection = ? AND file_id = ?",
            [(self.collection, file_id) for file_id in file_ids],
        )

    def search(self, queries: Float32, k: int, *, within: Set[int] | None = None) -> Neighbours:
        """Refuse to compare by cosines.

        Raises
        ------
        UsageError
            Always.
        """
        name = self.collection.partition("@")[0]
        raise UsageError(f"encoder {name} knows what is said, not what sounds alike; ask it with --phrase")

    def read(self, file_ids: Sequence[int]) -> Iterator[tuple[int, Kept]]:
        """Read the frames of files, in order of their ids; those for which nothing is stored are left out.

        Raises
        ------
        StoreError
            If they are damaged.
        """
        for _, some in groupby(enumerate(sorted(file_ids)), lambda item: item[0] // _AT_ONCE):
            ids = [file_id for _, file_id in some]
            rows = self._rows(f"file_id IN ({','.join('?' * len(ids))})", ids)
            for file_id, parts in groupby(rows, lambda row: row[0]):
                yield file_id, self._joined([kept for _, kept in parts])

    def remembered(
        self, file_ids: Sequence[int], make: Callable[[int, Kept, bool], Made]
    ) -> Iterator[tuple[int, Made]]:
        """Read the frames of files, in order of their ids, and make of each file's what it is searched by.

        Who asks a second time is likely to ask again, so from then on what was made is kept in memory as long
        as there is room; the first question of a process takes none.

        Parameters
        ----------
        make : callable
            Takes a file, its frames, and whether what is made of them is kept; the same for each call.

        Raises
        ------
        StoreError
            If they are damaged.
        """
        rows = self._connect().execute(
            "SELECT file_id, id FROM frames WHERE collection = ? ORDER BY file_id, part", (self.collection,)
        )
        stamps = {file_id: tuple(i for _, i in some) for file_id, some in groupby(rows, lambda row: row[0])}
        with self._remembering:
            known = {i: one for i, one in self._memory.items() if stamps.get(i) == one.stamp}
            self._memory, room = known, _ROOM - sum(one.made.nbytes for one in known.values())
            is_first, self._was_asked = not self._was_asked, True
        for is_known, some in groupby(sorted(file_ids), known.__contains__):
            if is_known:
                yield from ((file_id, known[file_id].made) for file_id in some)
                continue
            for file_id, kept in self.read(list(some)):
                is_kept = not is_first and room > 0 and file_id in stamps
                made = make(file_id, kept, is_kept)
                if is_kept:
                    room -= made.nbytes
                    with self._remembering:
                        self._memory[file_id] = _Remembered(stamps[file_id], made)
                yield file_id, made

    def read_between(self, file_id: int, first: int, last: int) -> Kept:
        """Read the frames of a file from one to another, as far as there are any; raises as ``read``."""
        condition, values, here = self._parts_between(file_id, first, last)
        joined = [kept for _, kept in self._rows(condition, values)]
        # Nothing if the file is gone, or another process has made less of it.
        return self._cut(self._joined(joined or [self._nothing()]), here)

    def _parts_between(self, file_id: int, first: int, last: int) -> tuple[str, list[int], slice]:
        """Say which parts of a file hold the frames from one to another, and where these are in them."""
        counts = self._connect().execute(
            "SELECT n FROM frames WHERE collection = ? AND file_id = ? ORDER BY part",
            (self.collection, file_id),
        )
        bounds = np.cumsum([0, *(n for (n,) in counts)])
        parts = np.flatnonzero((bounds[:-1] < last) & (bounds[1:] > first)).tolist() or [0]
        before = int(bounds[parts[0]])
        values = [file_id, parts[0], parts[-1]]
        return (
            "file_id = ? AND part BETWEEN ? AND ?",
            values,
            slice(max(0, first - before), max(0, last - before)),
        )

    def _rows(self, condition: str, values: Sequence[int]) -> Iterator[tuple[int, Kept]]:
        """Read parts, of one file after the other and in order of time → file, frames."""
        for file_id, starts, ends, data in self._checked(condition, values):
            yield file_id, self._unpacked(unpack_times(starts), unpack_times(ends), data)

    def _checked(self, condition: str, values: Sequence[int]) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        rows = self._connect().stream(
            "SELECT file_id, checksum, starts, ends, data FROM frames"
            f" WHERE collection = ? AND {condition} ORDER BY file_id, part",
            (self.collection, *values),
        )
        for file_id, checksum, starts, ends, data in rows:
            if zlib.crc32(data, zlib.crc32(ends, zlib.crc32(starts))) != checksum:
                raise StoreError(
                    f"what is said in file {file_id} is damaged in collection {self.collection};"
                    " echoic doctor says which file that is"
                )
            yield file_id, starts, ends, data

    def _nothing(self) -> Kept:
        none = np.empty(0)
        return self._unpacked(none, none, self._packed(np.empty((0, self.dim), np.float32)))

    def fetch(self, file_ids: Sequence[int]) -> dict[int, Segments]:
        """Return what is stored for files, as vectors; those for which nothing is are left out."""
        return {file_id: self._segments(found) for file_id, found in self.read(file_ids)}

    @abstractmethod
    def _packed(self, vectors: Float32) -> bytes:
        """Write the vectors of a part."""

    @abstractmethod
    def _unpacked(self, starts: Float64, ends: Float64, data: bytes) -> Kept:
        """Read what was written of a part."""

    @abstractmethod
    def _joined(self, parts: Sequence[Kept]) -> Kept:
        """Put parts together, one or more."""

    @abstractmethod
    def _cut(self, kept: Kept, here: slice) -> Kept:
        """Take some of the frames."""

    @abstractmethod
    def _segments(self, kept: Kept) -> Segments:
        """Make vectors again of what is kept of them."""

    def file_ids(self) -> npt.NDArray[np.int64]:
        """Return the ids of all stored files, ascending."""
        rows = self._connect().execute(
            "SELECT DISTINCT file_id FROM frames WHERE collection = ? ORDER BY file_id", (self.collection,)
        )
        return np.array([file_id for (file_id,) in rows], np.int64)

    def flush(self) -> None:
        """Do nothing: what was committed is there."""

    def close(self) -> None:
        """Do nothing: the connection is the catalog's."""

    def __len__(self) -> int:
        counted = self._connect().execute(
            "SELECT coalesce(sum(n), 0) FROM frames WHERE collection = ?", (self.collection,)
        )
        return int(counted.fetchone()[0])


class SymbolStore(FrameStore[Frames]):
    """Frames in which few of the symbols are likely; their vectors are roots of probabilities.

    Raises
    ------
    StoreError
        If there are fewer symbols than are kept, or more than 256.
    """

    def __init__(self, connect: Callable[[], Connection], collection: str, dim: int) -> None:
        if not N_SYMBOLS <= dim <= 256:
            raise StoreError(
                f"collection {collection} would have {dim} symbols a frame; from 10 to 256 can be kept"
            )
        super().__init__(connect, collection, dim)

    def _packed(self, vectors: Float32) -> bytes:
        symbols, levels = pack(vectors)
        return zlib.compress(np.concatenate([symbols.T.ravel(), levels.T.ravel()]).tobytes())

    def _unpacked(self, starts: Float64, ends: Float64, data: bytes) -> Frames:
        both = np.frombuffer(zlib.decompress(data), np.uint8).reshape(2, N_SYMBOLS, len(starts))
        return Frames(starts, ends, both[0].T, both[1].T)

    def _joined(self, parts: Sequence[Frames]) -> Frames:
        return Frames(*map(_end_to_end, zip(*parts, strict=True)))

    def _cut(self, kept: Frames, here: slice) -> Frames:
        return Frames(kept.starts[here], kept.ends[here], kept.symbols[here], kept.levels[here])

    def _segments(self, kept: Frames) -> Segments:
        return Segments(kept.starts, kept.ends, unpack(kept.symbols, kept.levels, self.dim))


class SpokenStore(FrameStore[SpokenFrames]):
    """Frames in whose vectors all numbers matter, not compressed: that would save next to nothing."""

    def _packed(self, vectors: Float32) -> bytes:
        return _in_eight_bits(vectors).tobytes()

    def _unpacked(self, starts: Float64, ends: Float64, data: bytes) -> SpokenFrames:
        return SpokenFrames(starts, ends, np.frombuffer(data, np.int8).reshape(len(starts), self.dim))

    def numbers_between(self, file_id: int, first: int, last: int) -> SmallInts:
        """Read of the frames of ``read_between`` their numbers alone."""
        condition, values, here = self._parts_between(file_id, first, last)
        data = b"".join(data for *_, data in self._checked(condition, values))
        return np.frombuffer(data, np.int8).reshape(-1, self.dim)[here]

    def _joined(self, parts: Sequence[SpokenFrames]) -> SpokenFrames:
        return SpokenFrames(*map(_end_to_end, zip(*parts, strict=True)))

    def _cut(self, kept: SpokenFrames, here: slice) -> SpokenFrames:
        return SpokenFrames(kept.starts[here], kept.ends[here], kept.numbers[here])

    def _segments(self, kept: SpokenFrames) -> Segments:
        return Segments(kept.starts, kept.ends, normalize(kept.numbers.astype(np.float32)))


def _end_to_end(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return columns[0] if len(columns) == 1 else np.concatenate(columns)


def whole_frames(segments: Segments) -> SpokenFrames:
    """Make of what an encoder gave what is kept of it."""
    return SpokenFrames(segments.starts, segments.ends, _in_eight_bits(segments.vectors))


def _in_eight_bits(vectors: Float32) -> SmallInts:
    return np.rint(np.clip(vectors, -1, 1) * _HIGHEST).astype(np.int8)


def pack(vectors: Float32) -> tuple[Bytes, Bytes]:
    """Keep the largest numbers of vectors, (n, dim) → which they are, and in 8 bits what they are.

    Examples
    --------
    >>> vectors = np.zeros((1, 12), np.float32)
    >>> vectors[0, [3, 7]] = 0.6, 0.8
    >>> symbols, levels = pack(vectors)
    >>> symbols[0, :2], levels[0, :3]
    (array([7, 3], dtype=uint8), array([204, 153,   0], dtype=uint8))
    """
    order = np.argsort(-vectors, axis=1, kind="stable")[:, :N_SYMBOLS]
    kept = np.take_along_axis(vectors, order, axis=1)
    levels = np.rint(np.clip(kept, 0, 1) * _LEVELS).astype(np.uint8)
    return np.where(levels > 0, order, 0).astype(np.uint8), levels


def unpack(symbols: Bytes, levels: Bytes, dim: int) -> Float32:
    """Read what :func:`pack` wrote, as vectors of unit length."""
    vectors = np.zeros((len(symbols), dim), np.float32)
    rows = np.arange(len(symbols))[:, None]
    np.maximum.at(vectors, (rows, symbols), levels.astype(np.float32))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Float32 = vectors / np.maximum(lengths, 1)
    return scaled
