"""The database of a library: opened, made or brought up to date, written to by one process at a time."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from echoic.errors import LibraryBusyError, LibraryError, quoted
from echoic.storage.catalog.engine import Connection, Engine
from echoic.storage.catalog.place import checked, choose, exists, place_of
from echoic.storage.catalog.schema import OLDEST, VERSION, create, migrate, mismatch, unusable
from echoic.storage.catalog.sqlite import Sqlite

__all__ = ["SEAL", "Database"]

#: Lies beside the database of a backup, which is not to change.
SEAL = "backup.json"

_PATIENCE = 30.0  # s that another process may take to bring the tables up to date


class _OfThread(threading.local):
    """What each thread has of a database by itself."""

    connection: Connection | None = None
    is_writing = False


class Database:
    """An open database, for any number of threads: each has a connection, and transactions, of its own.

    Parameters
    ----------
    folder : Path
        The library's folder, made if it is not there. One that may only be read is read.
    address : str, optional
        Of a server that a new library's database is to be at, and an older library's is; by default where
        the folder says, which is the folder itself or a server that was chosen before.

    Raises
    ------
    UsageError
        If the address is none, or the library's database is elsewhere.
    LibraryError
        If the database is damaged, of a newer version, cannot be reached, or was not chosen; or if the folder
        cannot be written.
    """

    def __init__(self, folder: Path, address: str | None = None) -> None:
        self.folder = folder
        self._own = _OfThread()
        self._engine = _engine_of(folder, address)
        try:
            self._open()
            self._engine.settle()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError | sqlite3.Error):
                raise unusable(folder, error) from error
            raise

    @property
    def place(self) -> str:
        """Where the database is: its path, or the address of a server."""
        return self._engine.place

    @property
    def holds_vectors(self) -> bool:
        """Whether the embedded store can lie there, too."""
        return self._engine.holds_vectors

    @property
    def connection(self) -> Connection:
        """The connection of the thread that asks, in autocommit mode: :meth:`transaction` begins and ends."""
        connection = self._own.connection
        # Who writes has no right to go on once the connection that holds the lock is lost.
        if connection is None or (connection.is_lost and not self._own.is_writing):
            connection = self._own.connection = self._engine.connected()
        return connection

    def _open(self) -> None:
        version = self.connection.version
        if version == 0:
            self._engine.prepare(self.connection)
            with self.transaction():  # another process may be creating it too
                if self.connection.version == 0:
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
            why = "it can only be read here" if self._engine.may_only_be_read else error
            raise LibraryError(
                f"the library {self.folder} has format {version} and must be brought up to date once, which "
                f"needs the right to write there, and some room ({why}); then any command does it"
            ) from error

    @staticmethod
    def exists(folder: Path) -> bool:
        """Tell whether a folder holds a library."""
        return exists(folder)

    def check(self) -> list[str]:
        """Look for damage of the database; return one sentence for each finding."""
        return self._engine.check(self.connection)

    def copy_to(self, folder: Path, told: Callable[[int, int], None]) -> None:
        """Copy the database, as it is at this moment, into another folder, whoever writes meanwhile.

        Parameters
        ----------
        folder : Path
        told : callable
            Told how many bytes of how many are copied.
        """
        self._engine.copy_to(self.connection, folder, told)

    def compact(self) -> None:
        """Give the system back the room of what was deleted. Inside :meth:`writing`, in no transaction."""
        self._engine.compact(self.connection)

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
            connection.begin()
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
        if self._engine.may_only_be_read:
            raise LibraryError(
                f"the library {self.folder} can only be read here; allow it to be written, or choose another "
                "folder with --library"
            )
        with self._engine.locked(self.connection, patience):
            if not self.is_there():
                raise LibraryBusyError(
                    f"the library {self.folder} was removed while this waited to write; try again"
                )
            self._own.is_writing = True
            try:
                yield
            except BaseException:
                if is_new:
                    self._discard_empty()
                raise
            finally:
                self._own.is_writing = False

    def is_there(self) -> bool:
        """Tell whether what was opened is still the library in the folder, as it was where nobody writes."""
        return self._engine.is_there()

    def _discard_empty(self) -> None:
        """Remove what was made for a library that has come to nothing."""
        with suppress(LibraryError):  # what went wrong is told, and not that this is left
            if not self.connection.execute("SELECT EXISTS (SELECT 1 FROM encoders)").fetchone()[0]:
                self._engine.discard(self.connection)


def _engine_of(folder: Path, address: str | None) -> Engine:
    """Choose what the database of a library lies in; drivers are imported where they are needed."""
    if address is not None:
        place = choose(folder, address)
    elif (known := place_of(folder)) is not None:
        place = checked(folder, known)
    else:
        return Sqlite(folder)
    from echoic.storage.catalog.postgres import Postgres

    return Postgres(folder, place)
