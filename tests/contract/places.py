"""Places where vectors can live, so that one suite can be run over each."""

from __future__ import annotations

import itertools
import sqlite3
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from echoic.spec import Precision
from echoic.storage.vectors.base import VectorStore
from echoic.storage.vectors.embedded import EmbeddedStore
from echoic.storage.vectors.memory import MemoryStore
from echoic.storage.vectors.milvus import MilvusStore

_numbers = itertools.count()


@dataclass
class Place:
    """Opens collections that outlive the objects that read and write them."""

    kind: str
    # Python of a function `opened(collection, dim)`, for other processes.
    source: str
    _make: Callable[[str, int], VectorStore]
    _stack: ExitStack
    collection: str = field(default_factory=lambda: f"contract {next(_numbers)}@1")

    def open(self, dim: int = 16, collection: str = "") -> VectorStore:
        store = self._make(collection or self.collection, dim)
        self._stack.callback(store.close)
        return store


def memory_place(stack: ExitStack) -> Place:
    return Place("memory", "", lambda _, dim: MemoryStore(dim), stack)


def embedded_place(folder: Path, stack: ExitStack, precision: Precision) -> Place:
    def make(collection: str, dim: int) -> VectorStore:
        own = threading.local()

        def connect() -> sqlite3.Connection:
            if not hasattr(own, "connection"):  # the thread's first call
                connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
                own.connection = stack.enter_context(closing(connection))
                own.connection.execute("PRAGMA journal_mode = wal")
            return own.connection  # type: ignore[no-any-return]

        return EmbeddedStore(connect, collection, dim, folder / "index", precision)

    database = folder / "library.db"
    source = (
        "import sqlite3; from pathlib import Path\n"
        "from echoic.storage.vectors.embedded import EmbeddedStore\n"
        f"def opened(collection, dim):\n"
        f"    connection = sqlite3.connect({str(database)!r}, isolation_level=None)\n"
        f"    folder = Path({str(folder / 'index')!r})\n"
        f"    return EmbeddedStore(lambda: connection, collection, dim, folder, {precision!r})\n"
    )
    return Place(f"embedded {precision}", source, make, stack)


def milvus_place(kind: str, uri: str, stack: ExitStack) -> Place:
    source = (
        "from echoic.storage.vectors.milvus import MilvusStore\n"
        f"def opened(collection, dim):\n    return MilvusStore({uri!r}, collection, dim)\n"
    )
    return Place(kind, source, lambda collection, dim: MilvusStore(uri, collection, dim), stack)
