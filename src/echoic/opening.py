"""What of a library is open: its catalog, its vector spaces, and the processes that encode for it."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, Self, TypeVar

from echoic.arguments import checked
from echoic.errors import LibraryError
from echoic.storage.catalog import Catalog, unusable
from echoic.storage.spaces import Spaces
from echoic.types import Note, Progress, StrPath

if TYPE_CHECKING:
    from echoic.analysis.workers import Pool

__all__ = ["Globs", "Opened", "Opening", "Report", "default_folder", "explained"]

Globs = str | Sequence[str] | None
Report = Callable[[Progress], None] | None

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _OfFolder(Protocol):
    folder: Path


_L = TypeVar("_L", bound=_OfFolder)


def explained(method: Callable[Concatenate[_L, _P], _R]) -> Callable[Concatenate[_L, _P], _R]:
    """Turn what SQLite says of a damaged database, a full disk and the like into a LibraryError."""

    @wraps(method)
    def explaining(library: _L, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return method(library, *args, **kwargs)
        except sqlite3.Error as error:
            raise unusable(library.folder, error) from error

    return explaining


def default_folder() -> Path:
    """Return ``$ECHOIC_LIBRARY``, or else the platform's folder for a user's data."""
    named = os.environ.get("ECHOIC_LIBRARY")
    if named:
        return Path(os.path.expanduser(named))  # noqa: PTH111 - a name that stands for no user stays
    import platformdirs

    return platformdirs.user_data_path("echoic", appauthor=False)


class Opening:
    """Opens a library when it is first needed, keeps it open for all threads, and opens it anew if it must.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._stack = ExitStack()
        self._opened: tuple[Catalog, Spaces] | None = None
        self._pool: tuple[object, Pool] | None = None  # what was asked for, and what is

    def close(self) -> None:
        """Release files, connections and worker processes; a thread that is searching may finish."""
        with self._lock:
            self._stack.close()
            self._pool = None
            self._opened = None

    def get(self, *, create: bool = False, catalog: str | None = None) -> tuple[Catalog, Spaces]:
        """Return what is open; a library is made only if ``create``.

        Parameters
        ----------
        create : bool
        catalog : str, optional
            The address of the library's catalog, as a person chose it.

        Raises
        ------
        UsageError
            If the library's catalog is elsewhere.
        LibraryError
            If there is none, or it cannot be opened.
        """
        with self._lock:
            if self._opened is not None and not self._opened[0].is_there():  # removed, or made anew
                self.close()
            if self._opened is not None and catalog not in (None, self._opened[0].place):
                self.close()  # opening it says where it is
            if self._opened is None:
                if not create and not Catalog.exists(self.folder):
                    raise LibraryError(
                        f"there is no library at {self.folder} yet; make one with: echoic index FOLDER"
                    )
                opened = Catalog(self.folder, catalog)
                self._stack.callback(opened.close)
                spaces = Spaces(opened)
                self._stack.callback(spaces.close)
                self._opened = opened, spaces
            return self._opened

    def workers(self, jobs: int | None, ray: str | None = None) -> Pool:
        """Return what encodes, which the one thread that writes uses: processes here, or a Ray cluster's."""
        from echoic.analysis.workers import WorkerPool, n_workers

        n = n_workers(jobs)
        chosen = n if ray is None else (jobs, ray)
        with self._lock:
            if self._pool is not None and self._pool[0] != chosen:
                self._pool[1].close()
                self._pool = None
            if self._pool is None:
                if ray is None:
                    pool: Pool = self._stack.enter_context(WorkerPool(n))
                else:
                    from echoic.cluster import ClusterPool

                    pool = self._stack.enter_context(ClusterPool(ray, jobs))
                self._pool = (chosen, pool)
            return self._pool[1]


class Opened:
    """A library that is opened when it is used: what all parts of :class:`echoic.library.Library` share."""

    @checked
    def __init__(
        self, folder: StrPath | None = None, *, noted: Callable[[str, Note], None] | None = None
    ) -> None:
        self.folder = default_folder() if folder is None else Path(folder)
        self._noted = noted
        self._opening = Opening(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release files, connections and worker processes. The library opens itself again when used."""
        self._opening.close()

    def _open(self, *, create: bool = False, catalog: str | None = None) -> tuple[Catalog, Spaces]:
        return self._opening.get(create=create, catalog=catalog)

    def _note(self, query: Path | str, note: Note) -> None:
        """Pass on what a person should know of a query."""
        if self._noted is not None:
            self._noted(os.fspath(query), note)
