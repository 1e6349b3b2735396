"""Where files for other programs may be written."""

from __future__ import annotations

import os
from pathlib import Path

from echoic.errors import UsageError, quoted

__all__ = ["check_new"]


def check_new(path: Path) -> None:
    """Make sure that a file can be made, and that nothing would be written over.

    Raises
    ------
    UsageError
        If something is there already, or no folder to make it in.
    """
    if os.path.lexists(path):
        raise UsageError(f"{quoted(path)} is there already; remove it or give another name")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {quoted(path.parent)}; make it or give another")
