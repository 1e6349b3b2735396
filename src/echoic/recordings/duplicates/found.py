"""What was found so far, beside the library, from which a run that was stopped goes on.

It is a cache that may be deleted. It is valid for one state of the library only, and one that cannot be read
is as if it were not there.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np

from echoic.recordings.duplicates.comparison import Shared

__all__ = ["Found"]

_log = logging.getLogger(__name__)

_SCHEMA = """CREATE TABLE IF NOT EXISTS found (
    state TEXT NOT NULL,        -- of the library, see Duplication
    file_id INTEGER NOT NULL,
    shared BLOB NOT NULL,       -- float64, a row a part
    PRIMARY KEY (state, file_id)
) WITHOUT ROWID"""
_PATIENCE = 30.0  # s
_COLUMNS = len(fields(Shared))


class Found:
    """What files share with others, by file, for one state of a library.

    Parameters
    ----------
    path : Path
        Of the database; made with its folder if it is not there.
    state : str
        What was found for another state is forgotten.
    """

    def __init__(self, path: Path, state: str) -> None:
        self._state = state
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._opened(path)
        except OSError as error:
            self._connection = self._in_memory(error)
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                self._connection = self._in_memory(error)
                return
            if isinstance(error, sqlite3.OperationalError):  # locked, or the disk is full: it is not damaged
                raise
            _log.info("%s is made anew: %s", path, error)
            path.unlink()
            self._connection = self._opened(path)

    def _in_memory(self, error: Exception) -> sqlite3.Connection:
        """Do without the file, in a library that may only be read."""
        _log.info("what is found is not kept: %s", error)
        return self._opened(":memory:")

    def _opened(self, path: Path | str) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)
        try:
            connection.execute("PRAGMA synchronous = OFF")  # a power cut costs what can be found again
            connection.execute(_SCHEMA)
            connection.execute("DELETE FROM found WHERE state != ?", (self._state,))
        except BaseException:
            connection.close()
            raise
        return connection

    def get(self, file_id: int) -> list[Shared] | None:
        """Return what was found for a file, None if it was not looked at."""
        row = self._connection.execute(
            "SELECT shared FROM found WHERE state = ? AND file_id = ?", (self._state, file_id)
        ).fetchone()
        if row is None:
            return None
        with suppress(TypeError, ValueError):  # what somebody else put there is looked for again
            table = np.frombuffer(row[0], "<f8").reshape(-1, _COLUMNS)
            if np.isfinite(table).all():
                return [_unpacked(row) for row in table.tolist()]
        return None

    def put(self, file_id: int, shared: Sequence[Shared]) -> None:
        """Keep what was found for a file."""
        table = np.array([astuple(part) for part in shared], "<f8")
        self._connection.execute(
            "INSERT OR REPLACE INTO found VALUES (?, ?, ?)", (self._state, file_id, table.tobytes())
        )

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def _unpacked(row: Sequence[float]) -> Shared:
    other, start, end, other_start, other_end, score, tempo, whole = row
    return Shared(int(other), start, end, other_start, other_end, score, tempo, bool(whole))
