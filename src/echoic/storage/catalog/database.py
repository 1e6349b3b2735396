"""The database of a library: opened, made or brought up to date, written to by one process at a time."""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from echoic.errors import LibraryBusyError, LibraryError, quoted
from echoic.storage.catalog.lock import LOCK_NAME, locked
from echoic.storage.catalog.schema import OLDEST, VERSION, create, migrate, mismatch, unusable, version_of

__all__ = ["SEAL", "Database"]

#: Lies beside the database of a backup, which is not to change.
SEAL = "backup.json"

_PAGES = 2_048  # that are copied between two looks at whether to stop
_PATIENCE = 30.0  # s that another process may keep the database to itself
_MAPPED = 1 << 40  # bytes; SQLite itself maps 2 GB at most


class _Connection(sqlite3.Connection):
    """Closes itself, without a warning, once nobody has it any more: with its thread, say."""

    def __del__(self) -> None:
        self.close()


class _OfThread(threading.local):
    """What each thread has of a database by itself."""

    connection: _Connection | None = None
    is_writing = False


class Database:
    """An open database, for any number of threads: each has a connection, and transactions, of its own.

    Parameters
    ----------
    folder : Path
        The library's folder, made if it is not there. One that may only be read is read.

    Raises
    ------
    LibraryError
        If the database is damaged, of a newer version, or the folder cannot be written.
    """

    #: What the database is called in the library's folder.
    FILE = "library.sqlite"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / self.FILE
        self._is_still = False  # taken to be written by nobody
        self._own = _OfThread()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.connection  # noqa: B018 - opened here, where it is explained what is wrong
        except (OSError, sqlite3.Error) as error:
            raise unusable(folder, error) from error
        try:
            self._open()
        except BaseException as error:
            self.close()
            if isinstance(error, sqlite3.Error):
                raise unusable(folder, error) from error
            raise

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of the thread that asks, in autocommit mode: :meth:`transaction` begins and ends."""
        if self._own.connection is None:
            connection = self._own.connection = self._connected()
            connection.execute("PRAGMA foreign_keys = ON")
            # A power cut may lose the last files, which are then indexed again; it never harms the database.
            connection.execute("PRAGMA synchronous = NORMAL")
            # Vectors are read here and there out of gigabytes: mapped, in half the time.
            connection.execute(f"PRAGMA mmap_size = {_MAPPED}")
        return self._own.connection

    def _connected(self) -> _Connection:
        # Another thread may be the last to let go of it.
        options: dict[str, Any] = {
            "isolation_level": None,
            "check_same_thread": False,
            "factory": _Connection,
            "timeout": _PATIENCE,
        }
        connection: _Connection = sqlite3.connect(self.path, **options)
        try:
            version_of(connection)
        except sqlite3.Error as error:
            connection.close()
            # SQLite makes files beside a database to read it. Where it may not, as on a disk that is shared
            # for reading, it is told that nobody writes, which is true unless a log is there to tell.
            log = self.path.with_name(f"{self.FILE}-wal")
            may_not = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
            if not may_not or not self.path.is_file() or (log.exists() and log.stat().st_size):
                raise
            address = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
            connection = sqlite3.connect(address, uri=True, **options)
            self._is_still = True
        return connection

    def _open(self) -> None:
        self._stat = self.path.stat()
        version = version_of(self.connection)
        if version == 0:
            self._log_ahead()
            with self.transaction():  # another process may be creating it too
                if version_of(self.connection) == 0:
                    create(self.connection)
        elif OLDEST <= version < VERSION:
            self._migrate(version)
        elif version != VERSION:
            raise mismatch(self.folder, version)

    def _migrate(self, version: int) -> None:
        """Bring an older library up to date, in one transaction: a kill leaves the old or the new one."""
        if (self.folder / SEAL).exists():
            raise LibraryError(
                f"the backup {quoted(self.folder)} has format {version} and stays as it is; make a library "
                f"of it: echoic library restore {quoted(self.folder)} --library FOLDER"
            )
        try:
            # Where another process is at it, this one waits and finds it done.
            with self.writing(patience=_PATIENCE), self.transaction():
                migrate(self.connection)
        except LibraryBusyError:
            raise
        except (LibraryError, sqlite3.OperationalError) as error:
            why = "it can only be read here" if self._may_only_be_read else error
            raise LibraryError(
                f"the library {self.folder} has format {version} and must be brought up to date once, which "
                f"needs the right to write there, and some room ({why}); then any command does it"
            ) from error

    def _log_ahead(self) -> None:
        """Let readers read while one writes.

        SQLite does not wait for others to let it switch, as it does for all else: they may wait for each
        other.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self.connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(0.001, 0.02))

    @staticmethod
    def exists(folder: Path) -> bool:
        """Tell whether a folder holds a library."""
        return (folder / Database.FILE).is_file()

    def check(self) -> list[str]:
        """Check the database page by page; return one sentence for each finding."""
        try:
            findings = [row[0] for row in self.connection.execute("PRAGMA integrity_check")]
        except sqlite3.DatabaseError as error:
            findings = [str(error)]
        if findings == ["ok"]:
            return []
        # SQLite tells page after page, up to a hundred of them; one is enough to act on.
        said = findings[0].splitlines()[-1]
        return [
            f"{self.path} is damaged ({said}); move the folder out of the way, and bring a backup back with: "
            "echoic library restore BACKUP, or make it anew with: echoic index FOLDER"
        ]

    def copy_to(self, folder: Path, told: Callable[[int, int], None]) -> None:
        """Copy the database, as it is at this moment, into another folder, whoever writes meanwhile.

        Parameters
        ----------
        folder : Path
        told : callable
            Told how many bytes of how many are copied.
        """
        connection = self.connection
        page = int(connection.execute("PRAGMA page_size").fetchone()[0])

        def tell(_: int, left: int, total: int) -> None:
            told(page * (total - left), page * total)

        with closing(sqlite3.connect(folder / self.FILE)) as copy:
            # Within one reading all pages are of one moment; else each write would have it begin anew.
            connection.execute("BEGIN")
            try:
                version_of(connection)
                connection.backup(copy, pages=_PAGES, progress=tell)
            finally:
                connection.execute("COMMIT")

    def compact(self) -> None:
        """Give the system back the room of what was deleted. Inside :meth:`writing`, in no transaction."""
        self.connection.execute("VACUUM")
        self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def close(self) -> None:
        """Close the connection of this thread; others close with their threads, or with this object."""
        if self._own.connection is not None:
            self._own.connection.close()
            self._own.connection = None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a block as one transaction: all of it or nothing."""
        connection = self.connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite itself rolls back on a full disk, say
                connection.execute("ROLLBACK")
            raise

    @contextmanager
    def writing(self, *, patience: float = 0.0, is_new: bool = False) -> Iterator[None]:
        """Be the one thread of all processes that writes; inside of itself, it does nothing more.

        Parameters
        ----------
        patience : float
            Seconds to wait for another that is.
        is_new : bool
            The library was made for what is written now: where that fails before the library has an encoder,
            it is removed again.

        Raises
        ------
        LibraryBusyError
            If another still is.
        LibraryError
            If the folder may not be written.
        """
        if self._own.is_writing:
            yield
            return
        if self._may_only_be_read:
            raise LibraryError(
                f"the library {self.folder} can only be read here; allow it to be written, or choose another "
                "folder with --library"
            )
        with locked(self.folder, patience):
            if not self.is_there():
                raise LibraryBusyError(
                    f"the library {self.folder} was removed while this waited to write; try again"
                )
            self._own.is_writing = True
            try:
                yield
            except BaseException:
                if is_new and not self._is_settled():
                    self._discard()
                raise
            finally:
                self._own.is_writing = False

    @property
    def _may_only_be_read(self) -> bool:
        return self._is_still or not os.access(self.path, os.W_OK)

    def is_there(self) -> bool:
        """Tell whether what was opened is still the library in the folder, as it was where nobody writes."""
        try:
            now = self.path.stat()
        except OSError:
            return False
        is_as_read = not self._is_still or now.st_mtime_ns == self._stat.st_mtime_ns
        return os.path.samestat(now, self._stat) and is_as_read

    def _is_settled(self) -> bool:
        return bool(self.connection.execute("SELECT EXISTS (SELECT 1 FROM encoders)").fetchone()[0])

    def _discard(self) -> None:
        self.close()
        files = [self.FILE, f"{self.FILE}-wal", f"{self.FILE}-shm", LOCK_NAME, f"{LOCK_NAME}-journal"]
        with suppress(OSError):  # another file may lie there, or another process have it open
            for name in files:
                (self.folder / name).unlink(missing_ok=True)
            self.folder.rmdir()
