"""The tables of a library, and the steps by which those of an older library become them.

Each change of the tables has a number, the schema's version from then on, and a step that brings the version
before up to it. A step reads and writes this database alone: nothing is decoded or encoded.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
import zlib
from pathlib import Path

from echoic.audio.tags import folded, is_mark, tag_values
from echoic.errors import LibraryError, quoted
from echoic.storage.catalog.engine import Connection

__all__ = ["EARLIER_SPANS", "OLDEST", "VERSION", "create", "migrate", "mismatch", "unusable"]

#: The table of times of segments whose vectors lie in a store elsewhere, until they are brought there too.
EARLIER_SPANS = "earlier_spans"

_TAGS = """
CREATE TABLE tags (
    file_id INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    name    TEXT NOT NULL,                          -- folded
    folded  TEXT NOT NULL,                          -- the value, as echoic.audio.tags.folded makes it
    value   TEXT NOT NULL,
    given   BOOLEAN NOT NULL,                       -- by a person, not read from the file
    PRIMARY KEY (file_id, name, folded)
) WITHOUT ROWID;
CREATE INDEX tags_by_value ON tags (folded, name, file_id);
"""

# Which file is in which collection, and with how many segments; these are in the store.
_ENCODED = """
CREATE TABLE encoded (
    file_id    INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    encoder_id INTEGER NOT NULL REFERENCES encoders ON DELETE CASCADE,
    n_segments INTEGER NOT NULL,                    -- 0: nothing can be heard in it
    PRIMARY KEY (file_id, encoder_id)
) WITHOUT ROWID;
CREATE INDEX encoded_by_encoder ON encoded (encoder_id, file_id);
"""

# What is heard in which file. A kind of sound is there beside each that it is one of: Bark, Dog and Animal.
_HEARD = """
CREATE TABLE heard (
    file_id     INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    folded      TEXT NOT NULL,                      -- the kind, as echoic.audio.tags.folded makes it
    label       TEXT NOT NULL,
    probability REAL NOT NULL,                      -- the highest of its spans
    is_told     BOOLEAN NOT NULL,                   -- no kinds of it tell as much
    spans       TEXT NOT NULL,                      -- a JSON list of [start, end, probability]
    PRIMARY KEY (file_id, folded)
) WITHOUT ROWID;
CREATE INDEX heard_by_kind ON heard (folded, file_id);
CREATE TABLE listened (
    file_id INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE,
    head    TEXT NOT NULL                           -- that told what is heard, and the vectors that it read
);
"""

# What is said in a file, see echoic.storage.frames.
_FRAMES = """
CREATE TABLE frames (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,   -- never reused: what was read under it is as it was
    collection TEXT NOT NULL,                       -- an encoder's key
    file_id    INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    part       INTEGER NOT NULL,                    -- 0, 1 …, in order of time
    n          INTEGER NOT NULL,
    checksum   INTEGER NOT NULL,                    -- CRC-32 of all that follows
    starts     BLOB NOT NULL,
    ends       BLOB NOT NULL,
    data       BLOB NOT NULL,
    UNIQUE (collection, file_id, part)
);
"""
# As they were in version 7: a row a file.
_FRAMES_7 = """
CREATE TABLE frames (
    collection TEXT NOT NULL,
    file_id    INTEGER NOT NULL REFERENCES files ON DELETE CASCADE,
    n          INTEGER NOT NULL,
    checksum   INTEGER NOT NULL,
    starts     BLOB NOT NULL,
    ends       BLOB NOT NULL,
    data       BLOB NOT NULL,
    PRIMARY KEY (collection, file_id)
);
"""

# What a person said of spans of sound, see echoic.storage.concepts. The files need not be the library's; of
# those that are, the paths follow.
_CONCEPTS = """
CREATE TABLE concepts (
    id     INTEGER PRIMARY KEY,
    folded TEXT NOT NULL UNIQUE,                    -- the name, as echoic.audio.tags.folded makes it
    name   TEXT NOT NULL
);
CREATE TABLE answers (
    id         INTEGER PRIMARY KEY,                 -- in the order in which they were given
    concept_id INTEGER NOT NULL REFERENCES concepts ON DELETE CASCADE,
    path       BLOB NOT NULL,
    start      REAL,                                -- s; NULL: from its begin
    finish     REAL,                                -- s; NULL: to its end
    is_it      BOOLEAN NOT NULL,
    collection TEXT NOT NULL,                       -- key of the encoder that made the vector
    length     REAL NOT NULL,                       -- s of what is heard in the span
    vector     BLOB NOT NULL
);
CREATE INDEX answers_by_concept ON answers (concept_id, id);
CREATE INDEX answers_by_path ON answers (path);
"""

# What is said in files, word for word, see echoic.storage.transcripts. A transcript is of the content that
# the file had then; of a file that failed since, what is known stays.
_TRANSCRIPTS = """
CREATE TABLE transcripts (
    file_id INTEGER PRIMARY KEY REFERENCES files ON DELETE CASCADE,
    source  TEXT NOT NULL,                          -- what it is by, with a digest
    refused TEXT NOT NULL DEFAULT ''                -- digests of subtitles beside it that are of another cut
);
CREATE TABLE cues (
    file_id  INTEGER NOT NULL REFERENCES transcripts ON DELETE CASCADE,
    first    INTEGER NOT NULL,                      -- number of its first word in the file
    start    REAL NOT NULL,                         -- s
    finish   REAL NOT NULL,
    language TEXT NOT NULL,
    voice    TEXT NOT NULL,
    words    TEXT NOT NULL,                         -- a JSON list of [start, end, text, probability]
    PRIMARY KEY (file_id, first)
) WITHOUT ROWID;
CREATE TABLE passages (
    id      INTEGER PRIMARY KEY,
    file_id INTEGER NOT NULL REFERENCES transcripts ON DELETE CASCADE,
    n       INTEGER NOT NULL,                       -- words, folded, that are its own; the next ones follow
    folded  TEXT NOT NULL,                          -- parted by spaces
    places  BLOB NOT NULL,                          -- of each, which words of the file it is made of
    keys    TEXT NOT NULL                           -- what it is found by
);
CREATE INDEX passages_by_file ON passages (file_id);
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
"""
    + _ENCODED
    + _FRAMES
    + _TAGS
    + _HEARD
    + _CONCEPTS
    + _TRANSCRIPTS
)


_SPANS = """CREATE TABLE IF NOT EXISTS spans (
    collection INTEGER NOT NULL REFERENCES collections (id),
    file_id INTEGER NOT NULL,
    starts BLOB NOT NULL,
    ends BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (collection, file_id)
) WITHOUT ROWID"""


def create(connection: Connection) -> None:
    """Make the tables, within the transaction that is open."""
    _run(connection, _SCHEMA + connection.FOLLOW + connection.WRITTEN)
    # Names this library's collections on a server that holds several libraries'.
    connection.execute("INSERT INTO settings VALUES ('identity', ?)", (uuid.uuid4().hex,))
    connection.version = VERSION


def migrate(connection: Connection) -> None:
    """Bring older tables up to date, step by step, within the transaction that is open."""
    for version in range(connection.version + 1, VERSION + 1):
        _STEPS[version](connection)
    connection.version = VERSION


def _run(connection: Connection, statements: str) -> None:
    # Not executescript(), which would first commit what is open.
    for statement in statements.strip().split(";\n"):
        connection.execute(statement)


def _to_4(connection: Connection) -> None:
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


def _to_5(connection: Connection) -> None:
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


def _to_6(connection: Connection) -> None:
    """Segments' times lie with their vectors; the catalog keeps how many segments there are."""
    _run(connection, _ENCODED)
    rows = connection.execute("SELECT file_id, encoder_id, starts FROM segments").fetchall()
    connection.executemany(
        "INSERT INTO encoded VALUES (?, ?, ?)", ((*ids, _count(blob)) for *ids, blob in rows)
    )
    store = connection.execute("SELECT value FROM settings WHERE name = 'store'").fetchone()
    if store is not None and store[0] != "embedded":
        # They are brought there when the store is opened.
        connection.execute(f"ALTER TABLE segments RENAME TO {EARLIER_SPANS}")
        return
    if rows:
        connection.execute(_SPANS)
        connection.execute(
            "INSERT INTO spans SELECT collections.id, file_id, starts, ends, checksum FROM segments"
            " JOIN encoders ON encoder_id = encoders.id JOIN collections ON name = key"
            " WHERE EXISTS (SELECT 1 FROM vectors WHERE collection = collections.id"
            "  AND vectors.file_id = segments.file_id AND n_segments <> 0)"
        )
    connection.execute("DROP TABLE segments")


def _count(blob: bytes) -> int:
    """Count the times in a blob; -1 if it is damaged, which no store agrees with."""
    try:
        return len(zlib.decompress(blob)) // 8
    except zlib.error:
        return -1


def _to_7(connection: Connection) -> None:
    """What is heard in files, which the next indexing tells from the vectors that are there; what is said."""
    _run(connection, _HEARD)
    _run(connection, _FRAMES_7)


def _to_8(connection: Connection) -> None:
    """What is said in a long file lies in parts; what was taught."""
    connection.execute("ALTER TABLE frames RENAME TO earlier_frames")
    _run(connection, _FRAMES)
    connection.execute(
        "INSERT INTO frames (collection, file_id, part, n, checksum, starts, ends, data)"
        " SELECT collection, file_id, 0, n, checksum, starts, ends, data FROM earlier_frames"
    )
    connection.execute("DROP TABLE earlier_frames")
    _run(connection, _CONCEPTS + connection.FOLLOW)


def _to_9(connection: Connection) -> None:
    """What is said in files, word for word."""
    _run(connection, _TRANSCRIPTS + connection.WRITTEN)


_STEPS = {4: _to_4, 5: _to_5, 6: _to_6, 7: _to_7, 8: _to_8, 9: _to_9}
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
    # SQLite may quote the whole definition of a table.
    reason = error.strerror if isinstance(error, OSError) else str(error).split("\n", 1)[0]
    return LibraryError(
        f"the library {folder} cannot be used ({reason}); "
        "look at it with: echoic doctor, or choose another with --library"
    )
