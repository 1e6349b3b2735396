"""The catalog in SQLite: one file in the library's folder, and a log beside it.

It is in WAL mode: readers never block, and are never blocked.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, suppress
from pathlib import Path
from typing import Any, ClassVar

from echoic.storage.catalog.engine import Connection
from echoic.storage.catalog.lock import LOCK_NAME, locked

__all__ = ["FILE", "Sqlite", "SqliteConnection"]

#: What the database is called in the library's folder.
FILE = "library.sqlite"

_PAGES = 2_048  # that are copied between two looks at whether to stop
_PATIENCE = 30.0  # s that another process may keep the database to itself
_MAPPED = 1 << 40  # bytes; SQLite itself maps 2 GB at most


class SqliteConnection(sqlite3.Connection):
    """A :class:`~echoic.storage.catalog.engine.Connection`.

    Closes itself, without a warning, once nobody has it any more: with its thread, say.
    """

    WHOLES: ClassVar[str] = "SELECT value FROM json_each(?)"
    TEXTS: ClassVar[str] = WHOLES
    FOLLOW: ClassVar[str] = """
CREATE TRIGGER answers_move AFTER UPDATE OF path ON files
BEGIN UPDATE answers SET path = NEW.path WHERE path = OLD.path; END;
"""
    WRITTEN: ClassVar[str] = """
CREATE VIRTUAL TABLE passages_by_key USING fts5 (
    keys, content = passages, content_rowid = id, tokenize = ascii, detail = none
);
CREATE TRIGGER passages_come AFTER INSERT ON passages
BEGIN INSERT INTO passages_by_key (rowid, keys) VALUES (NEW.id, NEW.keys); END;
CREATE TRIGGER passages_go AFTER DELETE ON passages
BEGIN INSERT INTO passages_by_key (passages_by_key, rowid, keys) VALUES ('delete', OLD.id, OLD.keys); END;
CREATE TRIGGER transcripts_go AFTER UPDATE OF digest ON files WHEN NEW.digest NOT IN (OLD.digest, '')
BEGIN DELETE FROM transcripts WHERE file_id = NEW.id; END;
"""
    MAY_HOLD: ClassVar[str] = (
        "id IN (SELECT rowid FROM passages_by_key WHERE passages_by_key MATCH ?1)"
        " AND instr(replace(folded, ' ', ''), ?2) > 0"
    )
    stream = sqlite3.Connection.execute  # whose rows are read as they are asked for

    def __del__(self) -> None:
        self.close()

    @property
    def is_lost(self) -> bool:
        """Whether another connection is needed."""
        return False

    @property
    def version(self) -> int:
        """Which version the tables have."""
        return int(self.execute("PRAGMA user_version").fetchone()[0])

    @version.setter
    def version(self, version: int) -> None:
        self.execute(f"PRAGMA user_version = {version}")

    def has_table(self, name: str) -> bool:
        """Tell whether there is a table."""
        query = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?)"
        return bool(self.execute(query, (name,)).fetchone()[0])

    def begin(self) -> None:
        """Begin a transaction that writes."""
        self.execute("BEGIN IMMEDIATE")


class Sqlite:
    """An :class:`~echoic.storage.catalog.engine.Engine`.

    Parameters
    ----------
    folder : Path
        The library's. One that may only be read is read.
    """

    holds_vectors: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._is_still = False  # taken to be written by nobody
        self._stat: os.stat_result | None = None  # of what was opened first

    @property
    def place(self) -> str:
        """Where the database is."""
        return str(self._path)

    def connected(self) -> SqliteConnection:
        """Connect the thread that asks."""
        if self._stat is None:
            self._folder.mkdir(parents=True, exist_ok=True)
        connection = self._connected()
        connection.execute("PRAGMA foreign_keys = ON")
        # A power cut may lose the last files, which are then indexed again; it never harms the database.
        connection.execute("PRAGMA synchronous = NORMAL")
        # Vectors are read here and there out of gigabytes: mapped, in half the time.
        connection.execute(f"PRAGMA mmap_size = {_MAPPED}")
        if self._stat is None:
            self._stat = self._path.stat()
        return connection

    def _connected(self) -> SqliteConnection:
        # Another thread may be the last to let go of it.
        options: dict[str, Any] = {
            "isolation_level": None,
            "check_same_thread": False,
            "factory": SqliteConnection,
            "timeout": _PATIENCE,
        }
        connection: SqliteConnection = sqlite3.connect(self._path, **options)
        try:
            _ = connection.version
        except sqlite3.Error as error:
            connection.close()
            # SQLite makes files beside a database to read it. Where it may not, as on a disk that is shared
            # for reading, it is told that nobody writes, which is true unless a log is there to tell.
            log = self._path.with_name(f"{FILE}-wal")
            may_not = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
            if not may_not or not self._path.is_file() or (log.exists() and log.stat().st_size):
                raise
            address = f"{self._path.absolute().as_uri()}?mode=ro&immutable=1"
            connection = sqlite3.connect(address, uri=True, **options)
            self._is_still = True
        return connection

    def prepare(self, connection: Connection) -> None:
        """Let readers read while one writes.

        SQLite does not wait for others to let it switch, as it does for all else: they may wait for each
        other.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
            time.sleep(random.uniform(0.001, 0.02))

    def settle(self) -> None:
        """Do nothing: the database is in the folder."""

    def locked(self, connection: Connection, patience: float) -> AbstractContextManager[None]:
        """Hold the lock of a file beside the database."""
        return locked(self._folder, patience)

    @property
    def may_only_be_read(self) -> bool:
        """Whether nothing can be written there."""
        return self._is_still or not os.access(self._path, os.W_OK)

    def is_there(self) -> bool:
        """Tell whether the file is still that which was opened, as it was where nobody writes."""
        try:
            now = self._path.stat()
        except OSError:
            return False
        if self._stat is None:
            return True
        is_as_read = not self._is_still or now.st_mtime_ns == self._stat.st_mtime_ns
        return os.path.samestat(now, self._stat) and is_as_read

    def check(self, connection: Connection) -> list[str]:
        """Check the database page by page."""
        try:
            findings = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        except sqlite3.DatabaseError as error:
            findings = [str(error)]
        if findings == ["ok"]:
            return []
        # SQLite tells page after page, up to a hundred of them; one is enough to act on.
        said = findings[0].splitlines()[-1]
        return [
            f"{self._path} is damaged ({said}); move the folder out of the way, and bring a backup back "
            "with: echoic library restore BACKUP, or make it anew with: echoic index FOLDER"
        ]

    def copy_to(self, connection: Connection, folder: Path, told: Callable[[int, int], None]) -> None:
        """Copy the database page by page, whoever writes meanwhile."""
        assert isinstance(connection, SqliteConnection)
        page = int(connection.execute("PRAGMA page_size").fetchone()[0])

        def tell(_: int, left: int, total: int) -> None:
            told(page * (total - left), page * total)

        with closing(sqlite3.connect(folder / FILE)) as copy:
            # Within one reading all pages are of one moment; else each write would have it begin anew.
            connection.execute("BEGIN")
            try:
                _ = connection.version
                connection.backup(copy, pages=_PAGES, progress=tell)
            finally:
                connection.execute("COMMIT")

    def compact(self, connection: Connection) -> None:
        """Write the file anew, and empty its log."""
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def discard(self, connection: Connection) -> None:
        """Remove the files, and the folder, if nothing else is in it."""
        connection.close()
        files = [FILE, f"{FILE}-wal", f"{FILE}-shm", LOCK_NAME, f"{LOCK_NAME}-journal"]
        with suppress(OSError):  # another file may lie there, or another process have it open
            for name in files:
                (self._folder / name).unlink(missing_ok=True)
            self._folder.rmdir()
