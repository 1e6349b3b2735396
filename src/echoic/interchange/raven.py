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
from typing import Any

from echoic.errors import UsageError
from echoic.interchange.places import new_table
from echoic.types import Hit

__all__ = ["RavenTable", "raven_table", "read_raven"]

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


def read_raven(path: Path) -> list[tuple[str, float, float]]:
    """Read a selection table → file, begin and end in seconds of each; the file is empty where none is named.

    Each selection is there once, of those that Raven lists for the waveform and for the spectrogram.

    Raises
    ------
    UsageError
        If it has no columns of times, or a time is none.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        found: dict[str, tuple[str, float, float]] = {}
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
            found.setdefault(row.get("Selection") or str(number), (name, begin, end))
    return list(found.values())
