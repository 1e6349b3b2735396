"""The lock that makes a thread of a process the one that writes to a library."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from echoic.errors import LibraryBusyError, LibraryError

__all__ = ["LOCK_NAME", "locked"]

LOCK_NAME = "writer.lock"


@contextmanager
def locked(folder: Path, patience: float) -> Iterator[None]:
    """Hold the lock; see :meth:`echoic.storage.catalog.Catalog.writing`.

    It is one on a second database file: that serves on every platform and ends with its process, even a
    killed one.
    """
    try:
        lock = sqlite3.connect(folder / LOCK_NAME, isolation_level=None, timeout=patience)
    except sqlite3.OperationalError as error:
        raise _closed(folder, error) from error
    with closing(lock):
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise LibraryBusyError(
                    f"another process is writing to the library {folder}; try again when it has finished"
                ) from error
            raise _closed(folder, error) from error
        yield


def _closed(folder: Path, error: sqlite3.Error) -> LibraryError:
    return LibraryError(
        f"the library {folder} cannot be written ({error}); allow it, or choose another folder with --library"
    )
