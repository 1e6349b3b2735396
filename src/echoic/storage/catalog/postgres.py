"""The catalog in PostgreSQL: the same tables in a schema of their own, in a database for each library.

The statements are the catalog's. Here parameters are numbered as PostgreSQL has them, types are those that
hold what SQLite's do, texts compare byte by byte, and what goes wrong is told in one sentence: it is raised
as a LibraryError, in which no password is left.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from itertools import chain, count
from pathlib import Path
from typing import Any, ClassVar

from echoic.errors import LibraryBusyError, LibraryError, MissingDependencyError, UsageError, quoted
from echoic.storage.catalog.engine import Connection, Rows
from echoic.storage.catalog.place import PASSWORD_VARIABLE, POINTER, Place, place_of
from echoic.storage.catalog.schema import create
from echoic.storage.catalog.sqlite import Sqlite

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.pq import TransactionStatus
    from psycopg.types.string import StrDumperUnknown
except ImportError as error:
    raise MissingDependencyError("a catalog in PostgreSQL", "postgres") from error

__all__ = ["Postgres", "PostgresConnection"]

_SCHEMA = "echoic"
# Of advisory locks, which are a database's: that of who writes, and that of a transaction.
_WRITER, _TRANSACTION = 0x6563686F6963, 0x6563686F6964
_LOOKS = 0.05  # s between two looks at whether another has ended writing
_NOTICED = 1.0  # s within which a server has noticed that who held the lock was killed
_ROWS_AT_ONCE = 256  # that are streamed
_VERSION = "format"  # the setting that is the tables' version

# A machine that vanished is told within a minute: the server here, and who writes there, so that the lock of
# one whose power was cut is free again.
_KEEPALIVES = {"keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3}
_DEFAULTS = {"application_name": "echoic", "connect_timeout": 10, **_KEEPALIVES}

_TYPES = (
    (re.compile(r"INTEGER PRIMARY KEY(?: AUTOINCREMENT)?(?! REFERENCES)"), "BIGSERIAL PRIMARY KEY"),
    (re.compile(r"\bINTEGER\b"), "BIGINT"),
    (re.compile(r"\bREAL\b"), "DOUBLE PRECISION"),
    (re.compile(r"\bTEXT\b"), 'TEXT COLLATE "C"'),
    (re.compile(r"\bBLOB\b"), "BYTEA"),
    (re.compile(r"\) WITHOUT ROWID$"), ")"),
)
_PARAMETER = re.compile(r"\?(\d*)")


@lru_cache(2_048)
def _translated(sql: str) -> str:
    """Spell a statement of the catalog as PostgreSQL has it."""
    if sql.lstrip().startswith(("CREATE TABLE", "ALTER TABLE")):
        for pattern, ours in _TYPES:
            sql = pattern.sub(ours, sql)
    numbers = count(1)
    return _PARAMETER.sub(lambda found: f"${found[1] or next(numbers)}", sql)


class _Text(StrDumperUnknown):
    """Writes texts; PostgreSQL keeps all characters but one, which a stranger's tag may hold."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))


class PostgresConnection:
    """A :class:`~echoic.storage.catalog.engine.Connection`.

    Parameters
    ----------
    raw : psycopg.Connection
        In autocommit mode.
    explaining : callable
        Makes of what is raised within it what a person is told.
    """

    WHOLES: ClassVar[str] = "SELECT value::bigint FROM json_array_elements_text(?::json)"
    TEXTS: ClassVar[str] = "SELECT value FROM json_array_elements_text(?::json)"
    FOLLOW: ClassVar[str] = """
CREATE FUNCTION answers_move() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN UPDATE answers SET path = NEW.path WHERE path = OLD.path; RETURN NULL; END';
CREATE TRIGGER answers_move AFTER UPDATE OF path ON files FOR EACH ROW EXECUTE FUNCTION answers_move();
"""
    WRITTEN: ClassVar[str] = """
CREATE FUNCTION transcripts_go() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN DELETE FROM transcripts WHERE file_id = NEW.id; RETURN NULL; END';
CREATE TRIGGER transcripts_go AFTER UPDATE OF digest ON files FOR EACH ROW
WHEN (NEW.digest <> OLD.digest AND NEW.digest <> '') EXECUTE FUNCTION transcripts_go();
"""
    # Looked through from end to end: an hour of speech is some forty passages of 2 kB.
    MAY_HOLD: ClassVar[str] = "?1::text <> '' AND strpos(replace(folded, ' ', ''), ?2) > 0"

    def __init__(self, raw: psycopg.Connection[Any], explaining: Callable[[], Any]) -> None:
        self._raw = raw
        self._explaining = explaining
        self._numbers = count()

    def __del__(self) -> None:
        with suppress(Exception):  # the interpreter may be ending
            self.close()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._raw.info.transaction_status not in (TransactionStatus.IDLE, TransactionStatus.UNKNOWN)

    @property
    def is_lost(self) -> bool:
        """Whether the server has gone away."""
        if not self._raw.closed and not self.in_transaction:
            with suppress(psycopg.Error):
                for _ in range(2):  # its last words, and then its end
                    self._raw.pgconn.consume_input()
        return self._raw.closed

    @property
    def version(self) -> int:
        """Which version the tables have."""
        if not self.has_table("settings"):
            return 0
        row = self.execute("SELECT value FROM settings WHERE name = ?", (_VERSION,)).fetchone()
        return 0 if row is None else int(row[0])

    @version.setter
    def version(self, version: int) -> None:
        self.execute(
            "INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (_VERSION, str(version)),
        )

    def has_table(self, name: str) -> bool:
        """Tell whether there is a table."""
        query = "SELECT EXISTS (SELECT 1 FROM pg_tables WHERE schemaname = ? AND tablename = ?)"
        return bool(self.execute(query, (_SCHEMA, name)).fetchone()[0])

    def begin(self) -> None:
        """Begin a transaction that writes."""
        self.execute("BEGIN")
        self.execute("SELECT pg_advisory_xact_lock(?)", (_TRANSACTION,))

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Run a statement."""
        with self._explaining():
            return self._raw.execute(_translated(sql), parameters, binary=True)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> None:
        """Run a statement once for each of some parameters."""
        with self._explaining(), self._raw.cursor() as cursor:
            cursor.executemany(_translated(sql), parameters)

    def stream(self, sql: str, parameters: Sequence[Any] = (), /) -> Iterator[Any]:
        """Run a query and read its rows some at a time."""
        name, holds = f"rows_{next(self._numbers)}", not self.in_transaction
        with self._explaining(), psycopg.RawServerCursor(self._raw, name, withhold=holds) as cursor:
            cursor.itersize = _ROWS_AT_ONCE
            yield from cursor.execute(_translated(sql), parameters, binary=True)

    def close(self) -> None:
        """Close the connection; what is not committed is undone."""
        self._raw.close()


class Postgres:
    """An :class:`~echoic.storage.catalog.engine.Engine`.

    Parameters
    ----------
    folder : Path
        The library's, which names the place.
    place : Place
        That a person chose.
    """

    holds_vectors: ClassVar[bool] = False
    may_only_be_read = False  # or the server says so itself

    def __init__(self, folder: Path, place: Place) -> None:
        self._folder = folder
        self._place = place
        self._password = os.environ.get(PASSWORD_VARIABLE, "")
        self._is_settled = False

    @property
    def place(self) -> str:
        """Where the database is."""
        return self._place.address

    def connected(self) -> PostgresConnection:
        """Connect the thread that asks."""
        try:
            fields: dict[str, Any] = _DEFAULTS | conninfo_to_dict(self._place.uri)
        except psycopg.ProgrammingError as error:
            raise UsageError(
                f"{quoted(self.place)} is no address of a catalog ({self._said(error)})"
            ) from None
        fields |= {"client_encoding": "utf8"} | ({"password": self._password} if self._password else {})
        try:
            raw = psycopg.connect(**fields, autocommit=True, cursor_factory=psycopg.RawCursor)
        except psycopg.Error as error:
            raise LibraryError(
                f"PostgreSQL at {quoted(self.place)} cannot be reached; check the address, that it runs, and "
                f"${PASSWORD_VARIABLE}: {self._said(error)}"
            ) from None  # its text and arguments may hold the password
        encoding = raw.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raw.close()
            raise LibraryError(
                f"the database at {quoted(self.place)} keeps texts as {encoding}, which names of files do "
                "not fit; make one for the library with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )
        raw.adapters.register_dumper(str, _Text)
        connection = PostgresConnection(raw, self._explaining)
        settings = {"search_path": _SCHEMA} | {f"tcp_{name}": str(n) for name, n in _KEEPALIVES.items()}
        chosen = ", ".join(["set_config(?, ?, false)"] * len(settings))
        connection.execute(f"SELECT {chosen}", list(chain.from_iterable(settings.items())))
        return connection

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise LibraryError(
                f"PostgreSQL at {quoted(self.place)} did not answer as it should ({self._said(error)}); what "
                "was done is kept: run the command again once it does"
            ) from None

    def _said(self, error: psycopg.Error) -> str:
        reason = " ".join((error.diag.message_primary or str(error) or type(error).__name__).split())[:300]
        return reason.replace(self._password, "***") if self._password else reason

    def prepare(self, connection: Connection) -> None:
        """Make the schema, unless whoever runs the server has made it for one who may not."""
        connection.begin()  # another process may be making it
        try:
            query = "SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = ?)"
            if not connection.execute(query, (_SCHEMA,)).fetchone()[0]:
                connection.execute(f"CREATE SCHEMA {_SCHEMA}")
        finally:
            connection.execute("COMMIT")

    def settle(self) -> None:
        """Keep the place in the library's folder, now that it could be reached."""
        self._place.settle(self._folder)
        self._is_settled = True

    @contextmanager
    def locked(self, connection: Connection, patience: float) -> Iterator[None]:
        """Hold an advisory lock of the very connection that writes: if that is lost, so are both."""
        deadline = time.monotonic() + max(patience, _NOTICED)
        while not connection.execute("SELECT pg_try_advisory_lock(?)", (_WRITER,)).fetchone()[0]:
            if time.monotonic() >= deadline:
                raise LibraryBusyError(
                    f"another process is writing to the library {self._folder}; try again when it has "
                    "finished"
                )
            time.sleep(_LOOKS)
        try:
            yield
        finally:
            with suppress(LibraryError):  # a lost connection holds nothing
                connection.execute("SELECT pg_advisory_unlock(?)", (_WRITER,))

    def is_there(self) -> bool:
        """Tell whether the folder still names the place."""
        return not self._is_settled or place_of(self._folder) == self._place

    def check(self, connection: Connection) -> list[str]:
        """Have the server read every row, which tells what its checksums do not fit."""
        try:
            for table in self._tables(connection):
                connection.execute(f"SELECT count(one::text) FROM {table} AS one").fetchall()
        except LibraryError as error:
            return [str(error)]
        return []

    @staticmethod
    def _tables(connection: Connection) -> list[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = ? ORDER BY tablename"
        return [name for (name,) in connection.execute(query, (_SCHEMA,)).fetchall()]

    def copy_to(self, connection: Connection, folder: Path, told: Callable[[int, int], None]) -> None:
        """Copy all rows, as they are at one moment, into tables of SQLite."""
        other = Sqlite(folder)
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            with closing(other.connected()) as copy:
                other.prepare(copy)
                copy.begin()
                create(copy)
                # In the order in which they were made, so that what is referred to is there.
                query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
                ours = set(self._tables(connection))  # SQLite has some of its own, for an index of words
                found = copy.execute(f"{query} ORDER BY rowid").fetchall()
                tables = [name for (name,) in found if name in ours]
                sizes = [self._size(connection, table) for table in tables]
                copy.execute("DELETE FROM settings")
                for done, table in enumerate(tables):
                    columns = [row[1] for row in copy.execute(f"PRAGMA table_info({table})").fetchall()]
                    names = ", ".join(columns)
                    rows = connection.stream(f"SELECT {names} FROM {table}")
                    marks = ", ".join("?" * len(columns))
                    copy.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
                    told(sum(sizes[: done + 1]), sum(sizes))
                copy.execute("DELETE FROM settings WHERE name = ?", (_VERSION,))
                copy.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")

    @staticmethod
    def _size(connection: Connection, table: str) -> int:
        query = "SELECT pg_total_relation_size(?::regclass)"
        return int(connection.execute(query, (f"{_SCHEMA}.{table}",)).fetchone()[0])

    def compact(self, connection: Connection) -> None:
        """Write the tables anew; who reads them waits meanwhile."""
        for table in self._tables(connection):
            connection.execute(f"VACUUM (FULL, ANALYZE) {table}")

    def discard(self, connection: Connection) -> None:
        """Remove the schema, the place, and the folder, if nothing else is in it."""
        connection.execute(f"DROP SCHEMA {_SCHEMA} CASCADE")
        with suppress(OSError):  # another file may lie there
            (self._folder / POINTER).unlink(missing_ok=True)
            self._folder.rmdir()
