"""How the benchmarks print: tables in Markdown, goals beside figures, and the machine they ran on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import psutil

__all__ = ["load", "machine", "print_table", "verdict", "write_table"]

_README = Path(__file__).parents[1] / "README.md"

_LIBRARIES = ("numpy", "scipy", "av", "onnxruntime", "faiss-cpu")


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], *notes: str) -> None:
    """Print a table, its first column aligned to the left and the others to the right, and notes below."""
    print(f"{title}\n", *table(header, rows), sep="\n")
    for note in notes:
        print(f"\n{note}")
    print(flush=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a table in Markdown, its first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(header), line(rule), *map(line, rows)]


def write_table(
    name: str, header: Sequence[str], rows: Sequence[Sequence[str]], path: Path = _README
) -> None:
    """Put a table between ``<!-- name -->`` and ``<!-- /name -->`` in README, in place of what is there."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = path.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{path} has no one place for a table between {begin} and {end}")
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    path.write_text("\n".join([before + begin, *table(header, rows), end]) + after, encoding="utf-8")


def verdict(value: float, goal: float, *, at_most: bool = False) -> str:
    """Say whether a figure meets its goal."""
    met = value <= goal if at_most else value >= goal
    return "met" if met else "MISSED"


def machine() -> str:
    """Describe what the figures were measured on, and how busy it was with other things."""
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, {libraries}; {load()}"
    )


def load() -> str:
    """Say how busy the machine has been in the last minute."""
    return f"load average {psutil.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
