"""Files, and folders of them, that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["folder_written_whole", "written_whole"]


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a place to write to, and move what is written there to ``path`` once all of it is.

    What was at ``path`` stays until then, whatever goes wrong: a full disk, Ctrl-C, a kill. Only a kill
    leaves the unfinished file behind, hidden beside ``path``.

    Parameters
    ----------
    path : Path

    Yields
    ------
    Path
        In the same folder, with the same suffix.

    Raises
    ------
    OSError
        If it cannot be moved: ``path`` is a folder, say. Those from within that name no file name ``path``.
    """
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        if error.filename in (None, os.fspath(partial)):
            error.filename = os.fspath(path)
        raise
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Give a folder to write into, and move it to ``path``, where nothing or an empty one is, once all is.

    Only a kill leaves the unfinished folder behind, hidden beside ``path``.

    Parameters
    ----------
    path : Path

    Yields
    ------
    Path
        In the same folder.

    Raises
    ------
    OSError
        If it cannot be moved.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.mkdir()
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)  # what went wrong is told, not that this is left
        raise
