"""The tables of a library, and the steps by which those of an older library become them.

Each change of the tables has a number, the schema's version from then on, and a step that brings the version
before up to it. A step reads and writes this database alone: nothing is decoded or encoded.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from pathlib import Path

from echoic.audio.tags import folded, is_mark, tag_values
from echoic.errors import LibraryError, quoted

__all__ = ["OLDEST", "VERSION", "create", "migrate", "mismatch", "unusable", "version_of"]

_TAGS = """
CREATE TABLE tags (
    file_id INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    name    TEXT NOT NULL,                          -- folded
    folded  TEXT NOT NULL,                          -- the value, as echoic.audio.tags.folded makes it
    value   TEXT NOT NULL,
    given   INTEGER NOT NULL,                       -- by a person, not read from the file
    PRIMARY KEY (file_id, name, folded)
) WITHOUT ROWID;
CREATE INDEX tags_by_value ON tags (folded, name, file_id);
"""

_SCHEMA = (
    """
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE files (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused, so a stale vector finds no file
    path        BLOB NOT NULL UNIQUE,
    size        INTEGER NOT NULL,
    mtime_ns    INTEGER NOT NULL,
    digest      TEXT NOT NULL,                      -- of the content; empty if it was never read
    duration    REAL NOT NULL,
    sample_rate INTEGER NOT NULL,
    channels    INTEGER NOT NULL,
    codec       TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('indexed', 'partial', 'failed')),
    message     TEXT NOT NULL,
    notes       TEXT NOT NULL DEFAULT ''            -- a JSON list, of echoic.types.Note
);
CREATE INDEX files_by_size ON files (size);
CREATE TABLE encoders (
    id   INTEGER PRIMARY KEY,
    key  TEXT NOT NULL UNIQUE,                      -- name@revision
    spec TEXT NOT NULL,
    source TEXT NOT NULL,                           -- what --encoder was: a name or the path of a model
    turn INTEGER NOT NULL                           -- of several revisions of a source, the highest is in use
);
CREATE TABLE segments (
    file_id       INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    encoder_id INTEGER NOT NULL REFERENCES encoders ON DELETE CASCADE,
    starts        BLOB NOT NULL,                    -- see echoic.catalog.times
    ends          BLOB NOT NULL,
    checksum      INTEGER NOT NULL,                 -- CRC-32: SQLite notices no flipped bit in a blob
    PRIMARY KEY (file_id, encoder_id)
);
CREATE INDEX segments_of_encoder ON segments (encoder_id, file_id);
"""
    + _TAGS
)


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a database's tables; 0 if it has none yet."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def create(connection: sqlite3.Connection) -> None:
    """Make the tables, within the transaction that is open."""
    _run(connection, _SCHEMA)
    # Names this library's collections on a server that holds several libraries'.
    connection.execute("INSERT INTO settings VALUES ('identity', ?)", (uuid.uuid4().hex,))
    connection.execute(f"PRAGMA user_version = {VERSION}")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring older tables up to date, step by step, within the transaction that is open."""
    for version in range(version_of(connection) + 1, VERSION + 1):
        _STEPS[version](connection)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _run(connection: sqlite3.Connection, statements: str) -> None:
    # Not executescript(), which would first commit what is open.
    for statement in statements.strip().split(";\n"):
        connection.execute(statement)


def _to_4(connection: sqlite3.Connection) -> None:
    """Notes on files; tags with several values, compared without regard to case; look-up by size."""
    connection.execute("ALTER TABLE files ADD COLUMN notes TEXT NOT NULL DEFAULT ''")
    connection.execute("CREATE INDEX files_by_size ON files (size)")
    # Those given by persons last, so that they replace what was read from the files.
    rows = connection.execute("SELECT file_id, name, value, given FROM tags ORDER BY given").fetchall()
    connection.execute("DROP TABLE tags")
    _run(connection, _TAGS)
    for file_id, spelt, text, given in rows:
        name = folded(spelt)
        if given or not is_mark(name, text):
            connection.executemany(
                "INSERT OR REPLACE INTO tags (file_id, name, folded, value, given) VALUES (?, ?, ?, ?, ?)",
                [(file_id, name, folded(value), value, given) for value in tag_values(name, text)],
            )


def _to_5(connection: sqlite3.Connection) -> None:
    """What encoders may be asked for."""
    # Their purposes went by their names, and others were never asked for anything else.
    purposes = {"fingerprint": ["recordings"], "harmony": ["versions"]}
    for number, text in connection.execute("SELECT id, spec FROM encoders").fetchall():
        try:
            spec = json.loads(text)
            spec["purposes"] = purposes.get(spec["name"], ["sounds"])
        except (KeyError, RecursionError, TypeError, ValueError):
            continue  # what cannot be used is said when it is asked for
        connection.execute("UPDATE encoders SET spec = ? WHERE id = ?", (json.dumps(spec), number))


_STEPS = {4: _to_4, 5: _to_5}
VERSION = max(_STEPS)
OLDEST = min(_STEPS) - 1  # that can be brought up to date


def mismatch(folder: Path, version: int) -> LibraryError:
    """Make the error for a library whose tables can be neither read nor brought up to date."""
    if version > VERSION:
        return LibraryError(
            f"the library {folder} has format {version}, and this Echoic reads up to {VERSION}: "
            "update Echoic, or choose another library with --library"
        )
    return LibraryError(
        f"the library {folder} has format {version} of an early Echoic, whose vectors are no longer read: "
        f"delete the folder {quoted(folder)}, which holds no audio, and run echoic index on your audio again"
    )


def unusable(folder: Path, error: OSError | sqlite3.Error) -> LibraryError:
    """Make the error that tells a person what the system or SQLite said about a library."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return LibraryError(
            f"the disk of the library {folder} is full; nothing is lost: make room, and run the command again"
        )
    reason = error.strerror if isinstance(error, OSError) else error
    return LibraryError(
        f"the library {folder} cannot be used ({reason}); "
        "look at it with: echoic doctor, or choose another with --library"
    )
