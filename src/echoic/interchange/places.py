"""Where what is found is written for other programs: nothing is written over, and nothing by halves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from echoic.errors import UsageError, quoted
from echoic.files import written_whole

__all__ = ["check_free", "new_file", "new_table"]


def check_free(path: Path) -> None:
    """Refuse a place to write to, before there is anything to write.

    Raises
    ------
    UsageError
        If something is there already, or no folder to make it in.
    """
    if os.path.lexists(path):
        raise UsageError(f"{quoted(path)} is there already; remove it or give another name")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {quoted(path.parent)}; make it or give another")


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Give a place to write to, and move what is written there to ``path`` once all of it is.

    Raises
    ------
    UsageError
        As :func:`check_free`, and if something has come there meanwhile.
    """
    check_free(path)
    try:
        with written_whole(path, is_new=True) as partial:
            yield partial
    except FileExistsError as error:
        if error.filename != os.fspath(path):
            raise
        check_free(path)
        raise


@contextmanager
def new_table(path: Path) -> Iterator[TextIO]:
    """Open a table to be written; what is no UTF-8 in a name becomes a question mark.

    Raises
    ------
    UsageError
        As :func:`new_file`.
    """
    with (
        new_file(path) as partial,
        partial.open("w", encoding="utf-8", newline="", errors="replace") as file,
    ):
        yield file
