"""Files, and folders of them, that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["folder_written_whole", "written_whole"]


@contextmanager
def written_whole(path: Path, *, is_new: bool = False) -> Iterator[Path]:
    """Give a place to write to, and move what is written there to ``path`` once all of it is.

    What was at ``path`` stays until then, whatever goes wrong: a full disk, Ctrl-C, a kill. Only a kill
    leaves the unfinished file behind, hidden beside ``path``.

    Parameters
    ----------
    path : Path
    is_new : bool
        Whether what is at ``path`` stays, even if it came there meanwhile.

    Yields
    ------
    Path
        In the same folder, with the same suffix.

    Raises
    ------
    OSError
        If it cannot be moved: ``path`` is a folder, say. Those from within that name no file name ``path``.
    FileExistsError
        If it is to be new, and something is there.
    """
    whose = f"{os.getpid()}.{threading.get_native_id()}"
    partial = path.with_name(f".{path.stem}.{whose}.partial{path.suffix}")
    try:
        yield partial
        if is_new:
            _move_to_nothing(partial, path)
        else:
            partial.replace(path)
    except OSError as error:
        if error.filename in (None, os.fspath(partial)):
            error.filename = os.fspath(path)
        raise
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _move_to_nothing(source: Path, target: Path) -> None:
    """Move a file to where nothing is, which a second name does at one stroke: a rename would replace."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target)) from None
    except OSError:  # of a file system on which a file has one name
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target)) from None
        source.rename(target)


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
