"""Regions of Reaper, as its Region/Marker Manager exports and imports them: CSV.

Times are those of each file, as on a timeline at whose begin it lies; a region is named after its file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from echoic.interchange.places import new_table
from echoic.types import Hit

__all__ = ["Regions", "regions"]


class Regions:
    """Writes rows; see :func:`regions`."""

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._n = 0

    def add(self, hit: Hit) -> None:
        """Write what was found as a region."""
        self._n += 1
        name = f"{Path(hit.path).stem} {hit.score:.2f}"
        times = map(_as_time, (hit.start, hit.end, hit.end - hit.start))
        self._writer.writerow([f"R{self._n}", name, *times])


@contextmanager
def regions(path: Path) -> Iterator[Regions]:
    """Open a list of regions to be written, whole or not at all.

    Raises
    ------
    UsageError
        If something is there already, or no folder to make it in.
    """
    with new_table(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["#", "Name", "Start", "End", "Length"])
        yield Regions(writer)


def _as_time(seconds: float) -> str:
    """Spell a time as Reaper does: minutes, or hours and minutes, seconds, thousandths."""
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    spelt = f"{rest // 1000:02d}.{rest % 1000:03d}"
    return f"{hours}:{minutes:02d}:{spelt}" if hours else f"{minutes}:{spelt}"
