"""The store that needs nothing but a folder: segments in SQLite, searched with FAISS.

A file's vectors and spans are rows of the library's database (:mod:`echoic.storage.vectors.rows`, and
:mod:`echoic.storage.vectors.times`), so they are committed with whatever else the caller's transaction holds,
or not at all, and are always read in one transaction. Those rows are the truth. For searching, all of them as
of some generation are laid out in a cache folder (:mod:`echoic.storage.vectors.snapshot`); what was written
since is read from the database and searched beside it. ``flush`` renews the cache when that has become much.
Of vectors of 8 bits there is no second copy: the cache holds codes alone, and nothing while there are few.

Every write raises the collection's generation and notes it on the rows it touched; a deleted file leaves an
empty row. So whoever knows the collection at one generation reads what changed since, in one statement.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from echoic.errors import StoreError
from echoic.spec import Precision
from echoic.storage.vectors import snapshot
from echoic.storage.vectors.ann import Mask
from echoic.storage.vectors.base import checked, checked_queries
from echoic.storage.vectors.names import unique_name
from echoic.storage.vectors.neighbours import Neighbours
from echoic.storage.vectors.rows import SEGMENTS_A_ROW, StoredMatrix, pack, packed_size, unpack
from echoic.storage.vectors.snapshot import InDatabase, Snapshot
from echoic.storage.vectors.times import Spans, pack_times, unpack_times
from echoic.storage.vectors.view import View
from echoic.types import Float32, Segments

if TYPE_CHECKING:
    from echoic.storage.catalog.engine import Statements

__all__ = ["EmbeddedStore"]

_Times = tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]  # of a file: starts, ends

_log = logging.getLogger(__name__)

# The vectors come last in a row, so that reading the other columns does not touch their pages.
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS collections (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        identity TEXT NOT NULL,
        dim INTEGER NOT NULL,
        precision TEXT NOT NULL,
        generation INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE IF NOT EXISTS vectors (
        collection INTEGER NOT NULL REFERENCES collections (id),
        file_id INTEGER NOT NULL,
        part INTEGER NOT NULL,  -- 0, 1 …: SEGMENTS_A_ROW segments each
        generation INTEGER NOT NULL,
        n_segments INTEGER NOT NULL,
        checksum INTEGER NOT NULL,  -- CRC-32 of data: SQLite notices no flipped bit in it
        data BLOB NOT NULL,
        PRIMARY KEY (collection, file_id, part)
    )""",
    """CREATE INDEX IF NOT EXISTS vectors_by_generation
        ON vectors (collection, generation, file_id, part, n_segments)""",
    """CREATE TABLE IF NOT EXISTS spans (
        collection INTEGER NOT NULL REFERENCES collections (id),
        file_id INTEGER NOT NULL,
        starts BLOB NOT NULL,  -- of all segments, see echoic.storage.vectors.times
        ends BLOB NOT NULL,
        checksum INTEGER NOT NULL,  -- CRC-32 of both
        PRIMARY KEY (collection, file_id)
    ) WITHOUT ROWID""",
)


class EmbeddedStore:
    """A collection of segments in a SQLite database.

    Several threads and processes may read while one writes, each with a connection of its own, to a database
    in WAL mode.

    Parameters
    ----------
    connect : callable
        Gives the connection of the thread that asks, in autocommit mode (``isolation_level=None``). Writes
        join the transaction that is open on it, and are one by themselves if none is. It stays the caller's:
        ``close`` leaves it open.
    collection : str
        Name of the collection; made when first used.
    dim : int
        Length of the vectors.
    cache_dir : Path
        Folder under which the collection keeps its cache, in a folder of its own. It may be deleted or
        lost at any time.
    precision : {"float32", "int8"}
        What a number takes on the disk: 4 bytes, or 1, which moves cosines by some 1e-4.

    Raises
    ------
    StoreError
        If the collection holds vectors of another dimension or precision, or the database refuses.

    Examples
    --------
    >>> import sqlite3, tempfile
    >>> from echoic.types import Segments
    >>> connection = sqlite3.connect(":memory:", isolation_level=None)
    >>> store = EmbeddedStore(lambda: connection, "tiny@1", 2, Path(tempfile.mkdtemp()))
    >>> vectors = np.array([[1, 0], [0, 1]], np.float32)
    >>> store.replace(7, Segments(np.array([0.0, 2.5]), np.array([5.0, 7.5]), vectors))
    >>> found = store.search(np.array([[0.6, 0.8]], np.float32), k=1)
    >>> found.file_ids, found.starts, found.scores
    (array([[7]]), array([[2.5]]), array([[0.8]], dtype=float32))
    """

    joins_transactions = True

    def __init__(
        self,
        connect: Callable[[], Statements],
        collection: str,
        dim: int,
        cache_dir: Path,
        precision: Precision = "float32",
    ) -> None:
        self.dim = dim
        self.precision: Precision = precision
        self.collection = collection
        self._connect = connect
        self._folder = cache_dir / unique_name(collection)
        self._view: View | None = None  # of what is committed; all threads search in it
        self._catching_up = threading.Lock()  # what one thread reads, the others need not
        try:
            self._id, self._identity, stored_dim, stored_precision = self._find_or_make()
        except sqlite3.Error as error:
            raise StoreError(f"the database cannot hold collection {collection}: {error}") from error
        if stored_dim != dim:
            raise StoreError(f"collection {collection} holds vectors of dimension {stored_dim}, not {dim}")
        if stored_precision != precision:
            raise StoreError(f"collection {collection} holds vectors of {stored_precision}, not {precision}")

    @property
    def _connection(self) -> Statements:
        return self._connect()

    def _find_or_make(self) -> tuple[int, str, int, str]:
        for statement in _SCHEMA:
            self._connection.execute(statement)
        # Only the first use of a collection needs the right to write.
        find = "SELECT id, identity, dim, precision FROM collections WHERE name = ?"
        row = self._connection.execute(find, (self.collection,)).fetchone()
        if row is None:
            self._connection.execute(
                "INSERT INTO collections (name, identity, dim, precision) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (self.collection, uuid.uuid4().hex, self.dim, self.precision),
            )
            row = self._connection.execute(find, (self.collection,)).fetchone()
        return int(row[0]), str(row[1]), int(row[2]), str(row[3])

    # Writing

    def replace(self, file_id: int, segments: Segments) -> None:
        segments = checked(segments, self.dim)
        if not len(segments):
            self.delete([file_id])
            return
        array, times = segments.vectors, (pack_times(segments.starts), pack_times(segments.ends))
        with self._writing() as generation:
            self._drop([file_id], generation)
            self._connection.execute(
                "INSERT INTO spans (collection, file_id, starts, ends, checksum) VALUES (?, ?, ?, ?, ?)",
                (self._id, int(file_id), *times, zlib.crc32(b"".join(times))),
            )
            for part, first in enumerate(range(0, len(array), SEGMENTS_A_ROW)):
                piece = array[first : first + SEGMENTS_A_ROW]
                data = pack(piece, self.precision)
                self._connection.execute(
                    "INSERT OR REPLACE INTO vectors"
                    " (collection, file_id, part, generation, n_segments, checksum, data)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (self._id, int(file_id), part, generation, len(piece), zlib.crc32(data), data),
                )

    def delete(self, file_ids: Sequence[int]) -> None:
        with self._writing() as generation:
            self._drop(file_ids, generation)

    def _drop(self, file_ids: Sequence[int], generation: int) -> None:
        """Leave one empty row of each file, so that it is known to have changed."""
        keys = [(self._id, int(i)) for i in file_ids]
        self._connection.executemany(
            "DELETE FROM vectors WHERE collection = ? AND file_id = ? AND part > 0", keys
        )
        self._connection.executemany(
            "UPDATE vectors SET generation = ?, n_segments = 0, checksum = 0, data = x''"
            " WHERE collection = ? AND file_id = ? AND n_segments > 0",
            [(generation, *key) for key in keys],
        )
        self._connection.executemany("DELETE FROM spans WHERE collection = ? AND file_id = ?", keys)

    @contextmanager
    def _writing(self) -> Iterator[int]:
        """Give the generation of a write that is made as a whole, inside an open transaction or alone."""
        try:
            self._connection.execute("SAVEPOINT echoic_vectors")
            try:
                # First of all statements: it takes the write lock before anything was read.
                [(generation,)] = self._connection.execute(
                    "UPDATE collections SET generation = generation + 1 WHERE id = ? RETURNING generation",
                    (self._id,),
                ).fetchall()
                yield int(generation)
            except BaseException:
                self._connection.execute("ROLLBACK TO echoic_vectors")
                raise
            finally:
                self._connection.execute("RELEASE echoic_vectors")
        except sqlite3.Error as error:
            raise StoreError(f"collection {self.collection} was not written: {error}") from error

    # Reading

    def search(self, queries: Float32, k: int, *, within: Set[int] | None = None) -> Neighbours:
        queries = checked_queries(queries, self.dim, k)
        if not len(queries):
            return Neighbours.none(0)
        # What is not committed may be undone, and leaves no trace.
        is_committed = not self._connection.in_transaction
        if self.precision == "int8":  # candidates may be read from the database as the view has it
            with self._reading():
                return self._search(self._current(is_committed), queries, k, within)
        return self._search(self._current(is_committed), queries, k, within)

    def _search(self, view: View, queries: Float32, k: int, within: Set[int] | None) -> Neighbours:
        ids = None if within is None else np.fromiter(within, np.int64, len(within))
        kept = None if len(view.recent.file_ids) == 0 else view.kept
        parts = [view.base.search(queries, k, _both(kept, _members(view.base, ids)))]
        if len(view.recent):
            parts.append(view.recent.search(queries, k, _members(view.recent, ids)))
        return Neighbours.best(parts, k)

    def fetch(self, file_ids: Sequence[int]) -> dict[int, Segments]:
        found = {}
        with self._reading():
            for file_id in map(int, file_ids):
                parts = [part for _, part in self._rows("file_id = ? AND n_segments > 0", file_id)]
                if parts:
                    vectors = np.concatenate(parts)
                    [(_, starts, ends)] = self._times({file_id: len(vectors)}, "file_id = ?", file_id)
                    found[file_id] = Segments(starts, ends, vectors)
        return found

    def file_ids(self) -> npt.NDArray[np.int64]:
        rows = self._connection.execute(
            # A file with a damaged row counts as none, so that indexing it again mends it.
            "SELECT file_id FROM vectors WHERE collection = ? AND n_segments > 0 GROUP BY file_id"
            " HAVING min(length(data) = ? * n_segments) ORDER BY file_id",
            (self._id, packed_size(1, self.dim, self.precision)),
        )
        return np.fromiter((i for (i,) in rows), np.int64)

    def __len__(self) -> int:
        [(total,)] = self._connection.execute(
            "SELECT coalesce(sum(n_segments), 0) FROM vectors WHERE collection = ?", (self._id,)
        ).fetchall()
        return int(total)

    # The view for searching, and its cache

    def flush(self) -> None:
        """Make the next search quick: lay out the cache anew if it is missing or much has changed.

        If the cache cannot be written, that is logged, and searches read the database.

        Raises
        ------
        StoreError
            If a transaction is open: what it wrote may yet be undone.
        """
        if self._connection.in_transaction:
            raise StoreError(
                f"collection {self.collection} cannot be flushed inside a transaction; commit first"
            )
        try:
            self._renew_cache()
        except OSError as error:
            _log.warning("collection %s goes without its cache: %s", self.collection, error)

    def is_cache_sound(self) -> bool:
        """Tell whether the cache, if there is one, is byte for byte what was written."""
        return snapshot.is_sound(self._folder)

    def _renew_cache(self) -> None:
        n_segments = len(self)
        if not n_segments or (self.precision == "int8" and n_segments <= snapshot.FLAT_LIMIT):
            self._view = None
            snapshot.discard(self._folder)
            return
        if self._view is not None or self._saved(self._generation()) is not None:
            view = self._current(is_committed=True)
            if view.base.stored and not view.is_heavy:
                return
            self._view = None  # frees the old snapshot before the new one takes its room
            del view
        with self._reading():
            counts, generation = self._counts(), self._generation()
            vectors = None if self._in_database else self._all_vectors()
            spans = Spans.of((starts, ends) for _, starts, ends in self._times(counts))
            draft = snapshot.lay_out(self._folder, generation, counts, self.dim, vectors, spans)
            if self._in_database:
                saved = snapshot.publish(draft, self._identity, self._in_database)
        if not self._in_database:  # what was laid out is mapped: writers need not wait for its codes
            saved = snapshot.publish(draft, self._identity)
        self._view = self._with_changes(saved, {}, saved.generation)

    def close(self) -> None:
        """Let go of the vectors held for searching; the connection stays open."""
        self._view = None

    def _current(self, is_committed: bool) -> View:
        """Return the collection as it is now, reading only what is not known yet."""
        if not is_committed:
            return self._caught_up(self._view)
        with self._catching_up:
            # Looked at before the database, which another thread may be writing to, the view is no newer.
            self._view = self._caught_up(self._view)
            return self._view

    def _caught_up(self, view: View | None) -> View:
        generation = self._generation()
        if view is None or view.generation > generation:
            return self._loaded(generation)
        if view.generation == generation:
            return view
        known = {int(i): view.recent.file(at) for at, i in enumerate(view.recent.file_ids)}
        view = self._with_changes(view.base, known, view.generation, view.weight_at_load)
        if view.is_heavy and view.weight > 2 * view.weight_at_load:
            return self._loaded(generation)
        return view

    def _loaded(self, generation: int) -> View:
        """Take the cache's snapshot, or lay one out in memory if that is missing or long outdated."""
        base = self._saved(generation)
        if base is not None:
            view = self._with_changes(base, {}, base.generation)
            if view.weight <= len(base):
                return view
        with self._reading():
            generation, counts = self._generation(), self._counts()
            matrix = np.empty((sum(counts.values()), self.dim), np.float32)
            at = 0
            for vectors in self._all_vectors():
                matrix[at : at + len(vectors)] = vectors
                at += len(vectors)
            spans = Spans.of((starts, ends) for _, starts, ends in self._times(counts))
            base = Snapshot.of(generation, counts, matrix, spans)
        return self._with_changes(base, {}, generation)

    def _saved(self, generation: int) -> Snapshot | None:
        """Open the cache, if there is one to be trusted."""
        return snapshot.load(self._folder, self._identity, self.dim, generation, self._in_database)

    @property
    def _in_database(self) -> InDatabase | None:
        """Make a matrix of files whose vectors stay where they are, in 8 bits; None if they do not."""
        if self.precision != "int8":
            return None
        return partial(StoredMatrix, self._connect, self._id, self.dim, self.precision)

    def _with_changes(
        self, base: Snapshot, known: dict[int, Segments], since: int, weight_at_load: int | None = None
    ) -> View:
        """Add the files that changed after generation ``since`` to those known to have."""
        changed: dict[int, list[Float32]] = {}
        with self._reading():
            generation = self._generation()
            for file_id, part in self._rows("generation > ?", since):
                changed.setdefault(file_id, []).append(part)
            vectors = {file_id: np.concatenate(parts) for file_id, parts in changed.items()}
            sizes = {file_id: len(found) for file_id, found in vectors.items() if len(found)}
            written_since = "file_id IN (SELECT file_id FROM vectors WHERE collection = ? AND generation > ?)"
            found = {
                file_id: Segments(starts, ends, vectors[file_id])
                for file_id, starts, ends in self._times(sizes, written_since, self._id, since)
            }
        nothing = Segments.none(self.dim)
        gone = dict.fromkeys(vectors.keys() - found, nothing)
        files = dict(sorted((known | gone | found).items()))
        matrix = np.concatenate([nothing.vectors, *(file.vectors for file in files.values())])
        spans = Spans.of((file.starts, file.ends) for file in files.values())
        counts = {file_id: len(file) for file_id, file in files.items()}
        return View.of(base, Snapshot.of(generation, counts, matrix, spans), weight_at_load)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """See one state of the database in several statements."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def _generation(self) -> int:
        [(generation,)] = self._connection.execute(
            "SELECT generation FROM collections WHERE id = ?", (self._id,)
        ).fetchall()
        return int(generation)

    def _counts(self) -> dict[int, int]:
        rows = self._connection.execute(
            "SELECT file_id, sum(n_segments) FROM vectors"
            " WHERE collection = ? AND n_segments > 0 GROUP BY file_id ORDER BY file_id",
            (self._id,),
        )
        return dict(rows)

    def _all_vectors(self) -> Iterator[Float32]:
        """Read vectors row by row, in the order of :meth:`_counts`."""
        return (part for _, part in self._rows("n_segments > 0"))

    def _rows(self, condition: str, *values: int) -> Iterator[tuple[int, Float32]]:
        """Read (file, vectors) of rows, in order of file and segment."""
        for file_id, *row in self._connection.execute(
            "SELECT file_id, n_segments, checksum, data FROM vectors"
            f" WHERE collection = ? AND {condition} ORDER BY file_id, part",
            (self._id, *values),
        ):
            yield file_id, self._decoded(file_id, *row)

    def _times(self, counts: dict[int, int], condition: str = "true", *values: int) -> Iterator[_Times]:
        """Read (file, starts, ends), in order of file; ``counts`` says how many of which there must be."""
        due = counts.copy()
        for file_id, starts, ends, checksum in self._connection.execute(
            "SELECT file_id, starts, ends, checksum FROM spans"
            f" WHERE collection = ? AND {condition} ORDER BY file_id",
            (self._id, *values),
        ):
            if zlib.crc32(starts + ends) != checksum:
                raise self._damaged(file_id)
            times = unpack_times(starts), unpack_times(ends)
            if not due.pop(file_id, None) == len(times[0]) == len(times[1]):
                raise self._damaged(file_id)
            yield file_id, *times
        if due:
            raise self._damaged(min(due))

    def _decoded(self, file_id: int, n_segments: int, checksum: int, data: bytes) -> Float32:
        size = packed_size(n_segments, self.dim, self.precision)
        if len(data) != size or zlib.crc32(data) != checksum:
            raise self._damaged(file_id)
        return unpack(data, self.dim, self.precision)

    def _damaged(self, file_id: int) -> StoreError:
        return StoreError(
            f"the vectors of file {file_id} in collection {self.collection} are damaged;"
            " echoic doctor says which file that is"
        )


def _members(part: Snapshot, ids: npt.NDArray[np.int64] | None) -> Mask | None:
    return None if ids is None else np.isin(part.file_ids, ids)


def _both(one: Mask | None, other: Mask | None) -> Mask | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other
