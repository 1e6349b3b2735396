"""Where tables for other programs are written: nothing is written over, and nothing by halves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from echoic.errors import UsageError, quoted
from echoic.files import written_whole

__all__ = ["new_table"]


@contextmanager
def new_table(path: Path) -> Iterator[TextIO]:
    """Open a table to be written; what is no UTF-8 in a name becomes a question mark.

    Raises
    ------
    UsageError
        If something is there already, or no folder to make it in.
    """
    if os.path.lexists(path):
        raise UsageError(f"{quoted(path)} is there already; remove it or give another name")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {quoted(path.parent)}; make it or give another")
    with (
        written_whole(path) as partial,
        partial.open("w", encoding="utf-8", newline="", errors="replace") as file,
    ):
        yield file
