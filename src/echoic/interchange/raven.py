"""Selection tables of Raven: columns parted by tabs, under a line of their names.

The columns are those of Raven Pro's user's manual, chapter "Selections". Raven counts ``Begin Time (s)``
from the begin of all files that are open; here it is that of the file of each row, whose name is in
``Begin Path``, as it is where each is opened by itself.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from echoic.errors import UsageError
from echoic.interchange.places import new_table
from echoic.types import Hit

__all__ = ["RavenTable", "Selection", "is_raven", "raven_table", "read_raven"]

# What is said of a selection: Raven's own column, what its users add, and what BirdNET writes.
_LABELS = ("Annotation", "Label", "Species", "Common Name", "Species Code")
_BEGIN, _END, _PATH, _SCORE = "Begin Time (s)", "End Time (s)", "Begin Path", "Score"
_COLUMNS = (
    *("Selection", "View", "Channel", _BEGIN, _END, "Low Freq (Hz)", "High Freq (Hz)"),
    *(_PATH, "File Offset (s)", _SCORE),
)
_LOW, _HIGH = 0.0, 8_000.0  # Hz: what is listened to


class RavenTable:
    """Writes rows; see :func:`raven_table`."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._n = 0

    def add(self, hit: Hit) -> None:
        """Write what was found as a selection."""
        self._n += 1
        start, end = f"{hit.start:.6f}", f"{hit.end:.6f}"
        path = re.sub(r"[\t\r\n]", " ", hit.path)  # which part columns and rows
        view = "Spectrogram 1"
        row = [self._n, view, 1, start, end, _LOW, _HIGH, path, start, f"{hit.score:.4f}"]
        self._writer.writerow(row)


@contextmanager
def raven_table(path: Path) -> Iterator[RavenTable]:
    """Open a selection table to be written, whole or not at all.

    Raises
    ------
    UsageError
        If something is there already, or no folder to make it in.
    """
    with new_table(path) as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)
        writer.writerow(_COLUMNS)
        yield RavenTable(writer)


class Selection(NamedTuple):
    """A row: its file, empty where none is named, begin and end in seconds, and what is said of it."""

    path: str
    start: float
    end: float
    label: str = ""


def is_raven(path: Path) -> bool:
    """Tell a selection table by its columns."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return _BEGIN in file.readline(10_000).rstrip("\r\n").split("\t")


def read_raven(path: Path) -> list[Selection]:
    """Read a selection table.

    Each selection is there once, of those that Raven lists for the waveform and for the spectrogram.

    Raises
    ------
    UsageError
        If it has no columns of times, or a time is none.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        found: dict[str, Selection] = {}
        for number, row in enumerate(rows, start=2):
            try:
                name = row.get(_PATH) or row.get("Begin File") or ""
                begin = float(row.get("File Offset (s)") or row[_BEGIN])
                end = begin + float(row[_END]) - float(row[_BEGIN])
            except (KeyError, TypeError, ValueError):
                raise UsageError(
                    f"line {number} of {os.fspath(path)} has no {_BEGIN!r} and {_END!r}; "
                    "export the selections with these columns"
                ) from None
            label = next((row[column] for column in _LABELS if row.get(column)), "")
            found.setdefault(row.get("Selection") or str(number), Selection(name, begin, end, label.strip()))
    return list(found.values())
