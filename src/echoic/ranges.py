"""What numbers and words from outside may be: cards, checkpoints and libraries are written by others."""

from __future__ import annotations

import reprlib
from numbers import Integral, Real
from typing import Any

__all__ = ["check_number", "check_text", "check_whole_number", "shown"]

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 60


def shown(value: object) -> str:
    """Spell a value of whatever kind and size so that it can stand in a message."""
    return _short.repr(value)


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
