"""How what others wrote is looked at before it is believed: cards, models, checkpoints, libraries.

What is wrong is raised as a ValueError that can be part of a sentence, "hop is 0 and must be …"; who reads
the file names it.
"""

from __future__ import annotations

import os
import reprlib
import stat
from io import BytesIO
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "check_number",
    "check_text",
    "check_whole_number",
    "is_text",
    "read_arrays",
    "read_file",
    "shown",
]

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


def shown(value: object) -> str:
    """Spell a value of whatever kind and size so that it can stand in a message."""
    return _short.repr(value)


def read_file(path: Path, largest: int) -> bytes:
    """Read a regular file, as a pipe would never end, of no more than ``largest`` bytes.

    Raises
    ------
    OSError
        If it cannot be read, is no file or is larger; ``strerror`` says which.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is not a file")
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(0, f"it is larger than {largest >> 20} MiB")
    return content


def read_arrays(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """Unpack an NPZ archive, in which no object may hide that runs code.

    Raises
    ------
    ValueError
        If it is none.
    """
    import numpy as np  # slow to load for who only looks at text

    try:
        with np.load(BytesIO(content), allow_pickle=False) as saved:
            return {name: saved[name] for name in saved.files}
    except (OSError, EOFError, ValueError, LookupError, BadZipFile) as error:
        raise ValueError(f"it is no archive of arrays ({error})") from error


def _without_waiting(path: str, flags: int) -> int:
    """Open a pipe without waiting for somebody to write into it."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def is_text(value: str) -> bool:
    """Tell whether text is no more than that; Python keeps in a file's name bytes that are no characters."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def check_whole_number(name: str, value: Any, low: int, high: int) -> None:
    """Make sure that a value is a whole number within bounds.

    Raises
    ------
    ValueError
        If it is not; true and false are no numbers.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or not low <= int(value) <= high:
        raise ValueError(f"{name} is {shown(value)} and must be a whole number from {low:,} to {high:,}")


def check_number(name: str, value: Any, low: float, high: float) -> None:
    """Make sure that a value is a finite number within bounds.

    Raises
    ------
    ValueError
        If it is not; true and false are no numbers.
    """
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # NaN is neither
        raise ValueError(f"{name} is {shown(value)} and must be a number from {low:,g} to {high:,g}")


def check_text(name: str, value: Any, longest: int) -> None:
    """Make sure that a value is text of one line that can be printed.

    Raises
    ------
    ValueError
        If it is not.
    """
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise ValueError(
            f"{name} is {shown(value)} and must be text of one line, of {longest:,} characters at most"
        )
