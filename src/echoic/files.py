"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["written_whole"]


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
