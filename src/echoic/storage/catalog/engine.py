"""What a catalog asks of the database that it lies in.

All statements are written once, in the SQL that every engine knows; what each does its own way has a name
here. Besides, SQLite's file is known to those who watch and back it up, and its errors to those who explain
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, Protocol

__all__ = ["Connection", "Engine", "Rows", "Statements"]


class Rows(Protocol):
    """What a statement gave, row by row."""

    def __iter__(self) -> Iterator[Any]: ...

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        ...


class Statements(Protocol):
    """What runs statements, in autocommit mode; :mod:`sqlite3` itself does.

    Parameters of a statement stand in it as ``?``, or as ``?1``, ``?2`` where one is used twice.
    """

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Rows:
        """Run a statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> object:
        """Run a statement once for each of some parameters."""
        ...


class Connection(Statements, Protocol):
    """A thread's connection to a catalog's database."""

    #: SQL of the whole numbers, or the texts, in a parameter that is a JSON list.
    WHOLES: ClassVar[str]
    TEXTS: ClassVar[str]
    #: Statements by which answers follow a file whose path changes.
    FOLLOW: ClassVar[str]
    #: Statements by which a transcript goes with the sound that it is of, and passages are found.
    WRITTEN: ClassVar[str]
    #: Which passages of transcripts hold the letters ?2, and may hold the words ?1, a query of FTS5.
    MAY_HOLD: ClassVar[str]

    @property
    def is_lost(self) -> bool:
        """Whether a server has gone away, so that another connection is needed."""
        ...

    @property
    def version(self) -> int:
        """Which version the tables have; 0 if there are none yet."""
        ...

    @version.setter
    def version(self, version: int, /) -> None: ...

    def has_table(self, name: str) -> bool:
        """Tell whether there is a table."""
        ...

    def begin(self) -> None:
        """Begin a transaction that writes, once no other is open; ``COMMIT`` and ``ROLLBACK`` end it."""
        ...

    def stream(self, sql: str, parameters: Sequence[Any] = ..., /) -> Iterator[Any]:
        """Run a query and read its rows as they are asked for, in memory that does not grow with them."""
        ...

    def close(self) -> None:
        """Close the connection; what is not committed is undone."""
        ...


class Engine(Protocol):
    """Where the database of one library lies."""

    #: Whether the embedded store lies there, too.
    holds_vectors: ClassVar[bool]

    @property
    def place(self) -> str:
        """Its path or address, as it may be shown."""
        ...

    def connected(self) -> Connection:
        """Connect the thread that asks."""
        ...

    def prepare(self, connection: Connection) -> None:
        """Set up a database that has no tables yet."""
        ...

    def settle(self) -> None:
        """Note in the library's folder where the database is, once it could be opened."""
        ...

    def locked(self, connection: Connection, patience: float) -> AbstractContextManager[None]:
        """Be the one of all that write, after so many seconds at most; it ends with the process.

        Raises
        ------
        LibraryBusyError
            If another still is.
        """
        ...

    @property
    def may_only_be_read(self) -> bool:
        """Whether nothing can be written there."""
        ...

    def is_there(self) -> bool:
        """Tell whether what was opened is still what the library's folder holds."""
        ...

    def check(self, connection: Connection) -> list[str]:
        """Look for damage; return one sentence for each finding."""
        ...

    def copy_to(self, connection: Connection, folder: Path, told: Callable[[int, int], None]) -> None:
        """Copy the database as it is at this moment into a folder, as :mod:`.sqlite` has it."""
        ...

    def compact(self, connection: Connection) -> None:
        """Give the system back the room of what was deleted."""
        ...

    def discard(self, connection: Connection) -> None:
        """Remove what was made for the library, as far as it can be; the connection may be closed for it."""
        ...
