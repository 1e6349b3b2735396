"""Label tracks of Audacity: begin, end and text, parted by tabs, a line each.

The format is that of Audacity's manual, "Importing and exporting labels": seconds with a point. A second line
that begins with a backslash may give a label's lowest and highest frequency.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from echoic.errors import UsageError, quoted
from echoic.interchange.places import new_file

__all__ = ["Label", "LabelFolder", "read_labels", "spell_labels"]


class Label(NamedTuple):
    """What is written beside a span, in seconds; frequencies are in Hz."""

    start: float
    end: float
    text: str
    low: float | None = None
    high: float | None = None


def spell_labels(labels: Iterable[Label]) -> str:
    """Write a label track.

    Examples
    --------
    >>> spell_labels([Label(1, 2.5, "hoot")])
    '1.000000\\t2.500000\\thoot\\n'
    """
    lines = []
    for label in labels:
        lines.append(f"{label.start:.6f}\t{label.end:.6f}\t{' '.join(label.text.split())}\n")
        if label.low is not None and label.high is not None:
            lines.append(f"\\\t{label.low:.6f}\t{label.high:.6f}\n")
    return "".join(lines)


def read_labels(text: str) -> list[Label]:
    """Read a label track, in its order; of a label at a moment, begin and end are the same.

    Raises
    ------
    UsageError
        If a line is none.

    Examples
    --------
    >>> read_labels("1.000000\\t2.500000\\thoot\\n")
    [Label(start=1.0, end=2.5, text='hoot', low=None, high=None)]
    """
    labels: list[Label] = []
    for number, line in enumerate(text.split("\n"), start=1):
        first, *others = line.rstrip("\r").split("\t")
        if not line.strip():
            continue
        try:
            if first == "\\" and labels:
                labels[-1] = labels[-1]._replace(low=float(others[0]), high=float(others[1]))
            else:
                labels.append(Label(float(first), float(others[0]), others[1] if len(others) > 1 else ""))
        except (IndexError, ValueError):
            raise UsageError(
                f"line {number} of the labels is no begin, end and text, parted by tabs; export them anew"
            ) from None
    return labels


class LabelFolder:
    """A folder into which a label track is written for each of some files: ``street.wav.txt`` of street.wav.

    Parameters
    ----------
    folder : Path
        Made if it is not there.

    Raises
    ------
    UsageError
        If it is no folder, or may not be written to.
    """

    def __init__(self, folder: Path) -> None:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"{quoted(folder)} is a file; give a folder to write labels into")
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"the folder {quoted(folder)} may not be written to; allow it or give another")
        self._folder = folder
        self._chosen: set[str] = set()  # as a file system that knows no case takes them

    def check_none_yet(self) -> None:
        """Refuse a folder with label tracks: which files have labels is known when all is done.

        Raises
        ------
        UsageError
            If there is one.
        """
        there = min(self._folder.glob("*.txt"), default=None)
        if there is not None:
            raise UsageError(
                f"{quoted(there)} is there already, and labels might go to that place; remove "
                "it or give another folder"
            )

    def choose(self, file: Path) -> Path:
        """Choose where the labels of a file go: of files of one name, those of the second are numbered.

        Raises
        ------
        UsageError
            If something is there already.
        """
        number, path = 1, self._folder / f"{file.name}.txt"
        while path.name.casefold() in self._chosen:
            number += 1
            path = self._folder / f"{file.name}.{number}.txt"
        if os.path.lexists(path):
            raise UsageError(f"{quoted(path)} is there already; remove it or give another folder")
        self._chosen.add(path.name.casefold())
        return path

    @staticmethod
    def write(path: Path, labels: Iterable[Label]) -> None:
        """Write a label track, whole or not at all, and over nothing."""
        with new_file(path) as partial:
            partial.write_text(spell_labels(labels), "utf-8")
