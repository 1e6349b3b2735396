"""Decoded audio on disk: each file is decoded once, however often training reads it.

The blocks of all files lie in one data file, which only grows and is mapped into memory to be read; an SQLite
index knows the places of each file's blocks. Blocks are on the disk before the index says so, and what lies
behind the last that it knows of is written over by the next run: a run killed at any instant costs the last
second of its work, and the files it was at.

One process at a time fills or empties a cache, any number reads. Emptying unlinks the data file and the next
run begins another, so that a training under way keeps what it has mapped.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from echoic.errors import AudioError, DatasetError, NotAudioError, quoted, unopened
from echoic.training.blocks import BlockFile, CachedAudio, Int64, decoded_blocks, map_samples, quantise
from echoic.types import Float32, Progress

__all__ = ["AudioCache", "CachedAudio", "default_folder"]

_THREADS = 2  # that decode: most of it runs outside the interpreter's lock
_COMMIT_AFTER = 1.0  # s of work that a kill may cost
_FORMAT = 1
_INDEX, _LOCK = "index.sqlite", "writer.lock"

_SCHEMA = """
CREATE TABLE data (
    name TEXT NOT NULL,            -- of the data file
    stop INTEGER NOT NULL          -- samples of it that are in use
);
CREATE TABLE files (
    path        BLOB NOT NULL,
    sample_rate INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    mtime_ns    INTEGER NOT NULL,
    n_samples   INTEGER NOT NULL,
    stop        INTEGER NOT NULL,  -- where its last block ends in the data file
    places      BLOB NOT NULL,     -- int64, samples: where in the data file each block starts
    scales      BLOB NOT NULL,     -- float32: the value of 1 in each block
    PRIMARY KEY (path, sample_rate)
);
"""


def default_folder() -> Path:
    """Return ``$ECHOIC_CACHE``, or else a folder within the platform's for a user's caches."""
    named = os.environ.get("ECHOIC_CACHE")
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111 - a name that stands for no user stays
    import platformdirs

    return platformdirs.user_cache_path("echoic", appauthor=False) / "audio"


@dataclass(frozen=True, slots=True)
class _Key:
    """What a file is known by: it is decoded again once its size or time stamp is another."""

    path: bytes
    sample_rate: int
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, eq=False)
class _Stored:
    """A file whose blocks are in the data file, for the index."""

    n_samples: int
    places: Int64
    scales: Float32
    stop: int


class AudioCache:
    """Decoded audio in one folder.

    Parameters
    ----------
    folder : Path, optional
        Made when it is first filled. By default ``$ECHOIC_CACHE``, or else a folder within the platform's for
        a user's caches.

    Examples
    --------
    >>> cache = AudioCache(Path("cache"))  # doctest: +SKIP
    >>> found, failed = cache.fill([Path("dog.wav"), Path("cat.ogg")], 16_000)  # doctest: +SKIP
    >>> found[Path("dog.wav")].read(0, 80_000)  # the first five seconds  # doctest: +SKIP
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = default_folder() if folder is None else Path(folder)

    def fill(
        self,
        paths: Iterable[Path],
        sample_rate: int,
        *,
        progress: Callable[[Progress], None] | None = None,
    ) -> tuple[dict[Path, CachedAudio], dict[Path, str]]:
        """Decode what is not there yet; memory does not grow with the length of the files.

        Of a damaged file all that can be decoded is taken.

        Parameters
        ----------
        paths : iterable of Path
            Files.
        sample_rate : int
            Hz.
        progress : callable, optional
            Called after each file that had to be decoded.

        Returns
        -------
        found : dict of Path to CachedAudio
            In the order of the paths.
        failed : dict of Path to str
            Why nothing of the others can be read, one sentence each.

        Raises
        ------
        DatasetError
            If the disk is full (all files up to then stay), the folder cannot be used, or another process is
            filling it.
        """
        keys: dict[Path, _Key] = {}
        failed: dict[Path, str] = {}
        for path in paths:
            absolute = os.path.abspath(path)
            try:
                status = os.stat(absolute)  # noqa: PTH116 - paths by the thousand
            except (OSError, ValueError) as error:
                failed[path] = str(unopened(path, error))
                continue
            keys[path] = _Key(os.fsencode(absolute), sample_rate, status.st_size, status.st_mtime_ns)
        with self._explained(), ExitStack() as stack:
            found = self._recall(keys.values())
            missing = {key: path for path, key in keys.items() if key not in found}
            if missing:
                stack.enter_context(self._lock())
                failures = _Filling(self.folder).run(missing, progress)
                failed |= {path: failures[key] for path, key in keys.items() if key in failures}
                found = self._recall(keys.values())
        return {path: found[key] for path, key in keys.items() if key in found}, failed

    @property
    def n_files(self) -> int:
        """How many files have been decoded, at whatever sample rates."""
        return int(self._figure("SELECT count(DISTINCT path) FROM files"))

    @property
    def duration(self) -> float:
        """Seconds of sound in all files."""
        longest = "SELECT max(1.0 * n_samples / sample_rate) AS seconds FROM files GROUP BY path"
        return float(self._figure(f"SELECT coalesce(sum(seconds), 0) FROM ({longest})"))

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        with self._explained():
            return sum(path.stat().st_size for path in self._contents())

    def clear(self) -> int:
        """Delete all that is cached, also of a cache that is damaged.

        Returns
        -------
        int
            Bytes freed.

        Raises
        ------
        DatasetError
            If another process is filling it, or the files cannot be deleted.
        """
        freed = 0
        with self._explained():
            if not self._contents():
                return 0
            with self._lock():
                # The index first: blocks that no index knows are room to write, places of no blocks are not.
                for path in self._contents():
                    size = path.stat().st_size
                    path.unlink()
                    freed += size
        return freed

    def _contents(self) -> list[Path]:
        """List the files of the cache, the index first; others in the folder are none of its business."""
        return [*sorted(self.folder.glob(f"{_INDEX}*")), *sorted(self.folder.glob(_data_name("*")))]

    def _figure(self, query: str) -> float:
        with self._explained(), _opened(self.folder) as index:
            figure: float = 0 if index is None else index.execute(query).fetchone()[0]
            return figure

    def _recall(self, keys: Iterable[_Key]) -> dict[_Key, CachedAudio]:
        """Find what is there of some files."""
        found = {}
        with _opened(self.folder) as index:
            if index is None:
                return {}
            [name] = index.execute("SELECT name FROM data").fetchone()
            data = map_samples(self.folder / name)
            for key in keys:
                row = index.execute(
                    "SELECT n_samples, places, scales FROM files WHERE path = ? AND sample_rate = ?"
                    " AND size = ? AND mtime_ns = ? AND stop <= ?",
                    (key.path, key.sample_rate, key.size, key.mtime_ns, len(data)),
                ).fetchone()
                if row is not None:
                    places, scales = np.frombuffer(row[1], np.int64), np.frombuffer(row[2], np.float32)
                    found[key] = CachedAudio(row[0], data, places, scales)
        return found

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Be the one process that writes; a lock of SQLite ends with its process, even a killed one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.folder / _LOCK, isolation_level=None, timeout=0)) as lock:
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                raise DatasetError(
                    f"another process is filling the audio cache {quoted(self.folder)}; "
                    "try again when it has finished"
                ) from error
            yield

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the system or SQLite says of the folder into one sentence."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise DatasetError(
                f"the audio cache {quoted(self.folder)} cannot be used ({reason}); "
                "empty it with: echoic cache --clear, or name another folder in $ECHOIC_CACHE"
            ) from error


def _data_name(stamp: str) -> str:
    return f"samples-{stamp}.int16"


@contextmanager
def _opened(folder: Path) -> Iterator[sqlite3.Connection | None]:
    """Open the index of a cache to read, in one transaction; None if there is none yet."""
    if not (folder / _INDEX).is_file():
        yield None
        return
    with closing(sqlite3.connect(folder / _INDEX, isolation_level=None, timeout=30)) as index:
        index.execute("BEGIN")
        version = index.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _FORMAT):
            raise DatasetError(
                f"the audio cache {quoted(folder)} has format {version}, this Echoic reads {_FORMAT}; "
                "empty it with: echoic cache --clear"
            )
        yield index if version else None  # 0: killed while it was made


class _StoppedError(Exception):
    """The run ends before the file does."""


class _Filling:
    """One run that decodes files into a cache; the lock must be held.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._index = sqlite3.connect(folder / _INDEX, isolation_level=None, timeout=30)
        try:
            self._data = self._prepare()
        except BaseException:
            self._index.close()
            raise
        self._stopped = threading.Event()
        self._pending: list[tuple[_Key, _Stored]] = []
        self._committed = time.monotonic()

    def _prepare(self) -> BlockFile:
        """Make the index if there is none, and forget what the data file does not hold."""
        with _transaction(self._index):
            if self._index.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _SCHEMA.strip().split(";\n"):
                    self._index.execute(statement)
                self._index.execute("INSERT INTO data VALUES (?, 0)", (_data_name(uuid.uuid4().hex[:8]),))
                self._index.execute(f"PRAGMA user_version = {_FORMAT}")
            name, stop = self._index.execute("SELECT name, stop FROM data").fetchone()
            path = self._folder / name
            n_samples = path.stat().st_size // 2 if path.exists() else 0
            self._index.execute("DELETE FROM files WHERE stop > ?", (n_samples,))
            stop = min(stop, n_samples)
        for stranger in set(self._folder.glob(_data_name("*"))) - {path}:
            stranger.unlink()  # its index is gone
        return BlockFile(path, stop)

    def run(self, paths: Mapping[_Key, Path], progress: Callable[[Progress], None] | None) -> dict[_Key, str]:
        """Decode files; return a sentence for each of which nothing can be read."""
        begun = time.perf_counter()
        failures: dict[_Key, str] = {}
        first = self._data.stop
        audio = 0.0
        done_bytes = 0
        total_bytes = sum(key.size for key in paths)
        pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="decoding")
        try:
            futures = {pool.submit(self._store, paths[key], key.sample_rate): key for key in paths}
            for done, future in enumerate(as_completed(futures), start=1):
                key = futures[future]
                try:
                    stored = future.result()
                    self._pending.append((key, stored))
                    audio += stored.n_samples / key.sample_rate
                except AudioError as error:
                    failures[key] = str(error)
                if time.monotonic() - self._committed > _COMMIT_AFTER:
                    self._commit()
                done_bytes += key.size
                if progress is not None:
                    elapsed = time.perf_counter() - begun
                    name = str(paths[key])
                    progress(Progress(name, done, len(paths), done_bytes, total_bytes, audio, elapsed))
            self._commit()
        except (OSError, sqlite3.Error) as error:
            if not _is_full(error):
                raise
            grown = 2 * (self._data.stop - first)
            needed = grown * (total_bytes - done_bytes) / done_bytes if done_bytes else None
            raise _full(self._folder, error, needed) from error
        finally:
            self._stop(pool)
            self._data.close()
            self._index.close()
        return failures

    def _stop(self, pool: ThreadPoolExecutor) -> None:
        """End the threads and keep what they had finished, as far as the disk lets."""
        self._stopped.set()
        pool.shutdown(cancel_futures=True)
        with suppress(OSError, sqlite3.Error):  # what stopped the run is being raised, and says more
            self._commit()

    def _store(self, path: Path, sample_rate: int) -> _Stored:
        """Decode one file into the data file."""
        places, scales, n_samples, stop = [], [], 0, 0
        for block in decoded_blocks(path, sample_rate):
            if self._stopped.is_set():
                raise _StoppedError
            quantised, scale = quantise(block)
            place = self._data.append(quantised)
            places.append(place)
            scales.append(scale)
            n_samples += len(block)
            stop = place + len(block)
        if not n_samples:
            raise NotAudioError(f"{quoted(path)} holds no sound: it is shorter than one sample; leave it out")
        return _Stored(n_samples, np.array(places, np.int64), np.array(scales, np.float32), stop)

    def _commit(self) -> None:
        self._committed = time.monotonic()
        if not self._pending:
            return
        stop = self._data.stop
        self._data.sync()
        with _transaction(self._index):
            self._index.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(key.path, key.sample_rate, key.size, key.mtime_ns, stored.n_samples, stored.stop),
                        *(stored.places.tobytes(), stored.scales.tobytes()),
                    )
                    for key, stored in self._pending
                ],
            )
            # Also over blocks of files that are under way: their places are taken.
            self._index.execute("UPDATE data SET stop = ?", (stop,))
        self._pending.clear()


@contextmanager
def _transaction(index: sqlite3.Connection) -> Iterator[None]:
    index.execute("BEGIN IMMEDIATE")
    try:
        yield
        index.execute("COMMIT")
    except BaseException:
        if index.in_transaction:  # SQLite itself rolls back on a full disk
            index.execute("ROLLBACK")
        raise


def _is_full(error: OSError | sqlite3.Error) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL


def _full(folder: Path, error: OSError | sqlite3.Error, needed: float | None) -> DatasetError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    room = f"{shutil.disk_usage(folder).free / 1e6:,.1f} MB are free"
    if needed is not None:
        room = f"about {needed / 1e6:,.1f} MB more are needed and {room}"
    return DatasetError(
        f"the audio cache {quoted(folder)} cannot grow ({reason}; {room}): make room, empty it with: "
        "echoic cache --clear, or name another folder in $ECHOIC_CACHE; what was decoded is kept"
    )
