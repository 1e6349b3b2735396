"""Where the parts of a chart lie, in pixels; ``templates/charts.svg`` draws them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

__all__ = [
    "HeatMap",
    "LineChart",
    "Scatter",
    "heat_map",
    "hue",
    "line_chart",
    "printable",
    "scatter",
    "shortened",
]

# Pixels a character of 11 px takes on average, of a sans-serif type.
_CHARACTER = 6.1
_LONGEST_NAME = 22
_MOST_IN_MATRIX = 60
_NAMED = 24  # classes up to which names find room on a map


def printable(words: str) -> str:
    """Spell out what would not print, such as line breaks and bytes that are no characters."""
    return words if words.isprintable() else repr(words)[1:-1]


def shortened(name: str) -> str:
    """Cut a name to what finds room in a chart."""
    name = printable(name)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A confusion matrix: the margin before it, and each cell: row, column, count, sum of its row."""

    labels: list[str]
    margin: int
    cell: int  # its width
    cells: list[tuple[int, int, int, int]]


def heat_map(confusion: Mapping[str, Any]) -> HeatMap:
    """Lay out a confusion matrix, of many classes those with most mistakes.

    Parameters
    ----------
    confusion : mapping
        ``labels`` of rows and columns; ``counts``, one list a row: row is what a clip is, column what it was
        taken for.
    """
    labels, counts = confusion["labels"], np.array(confusion["counts"])
    errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    shown = np.sort(np.argsort(-errors, kind="stable")[:_MOST_IN_MATRIX])
    labels, counts = [labels[place] for place in shown], counts[np.ix_(shown, shown)]
    sums = counts.sum(axis=1)
    return HeatMap(
        labels,
        margin=round(_CHARACTER * max(len(shortened(label)) for label in labels)) + 14,
        cell=min(34, max(13, 780 // len(labels))),
        cells=[(int(y), int(x), int(counts[y, x]), int(sums[y])) for y, x in np.argwhere(counts)],
    )


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points by class, ``x`` and ``y`` in pixels; hues by class; names of the classes, where they are few."""

    classes: dict[str, list[dict[str, Any]]]
    hues: dict[str, int]
    names: list[tuple[float, float, str]]
    radius: float
    width: int
    height: int


def scatter(points: Sequence[Mapping[str, Any]], *, width: int = 760, height: int = 600) -> Scatter:
    """Lay out points, each with ``x``, ``y`` and ``label``, by class."""
    labels = sorted({point["label"] for point in points})
    places = np.array([(point["x"], -point["y"]) for point in points])
    low, high = places.min(axis=0), places.max(axis=0)
    # One scale for both axes, or distances would mean something else along each.
    span = float(((high - low) / (width - 60, height - 60)).max()) or 1.0
    places = (width / 2, height / 2) + (places - (low + high) / 2) / span
    classes: dict[str, list[dict[str, Any]]] = {label: [] for label in labels}
    for point, (x, y) in zip(points, places.tolist(), strict=True):
        classes[point["label"]].append({**point, "x": x, "y": y})
    # Above the thick of a class: on the dots its name would hide them.
    named = []
    for label, dots in classes.items():
        xs, ys = ([dot[axis] for dot in dots] for axis in "xy")
        named.append((float(np.median(xs)), float(np.percentile(ys, 20)) - 9, label))
    return Scatter(
        classes,
        hues={label: hue(number, len(labels)) for number, label in enumerate(labels)},
        names=_spread(named) if len(labels) <= _NAMED else [],
        radius=4.6 if len(points) <= 400 else 3.2,
        width=width,
        height=height,
    )


def hue(number: int, n: int) -> int:
    """Choose the hue of a class, in degrees: neighbours in the alphabet lie far apart on the circle."""
    step = 1 if n < 4 else next(step for step in range(round(n * 0.382), n) if math.gcd(step, n) == 1)
    return round(360 * (number * step % n) / n + 25) % 360


def _spread(named: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Move names down until none lies on another."""
    placed: list[tuple[float, float, str]] = []
    for x, y, label in sorted(named, key=lambda place: place[1]):
        for other_x, other_y, other in placed:  # from the top: what was moved below one may meet the next
            room = _CHARACTER * (min(len(label), _LONGEST_NAME) + min(len(other), _LONGEST_NAME)) / 2
            if abs(x - other_x) < room + 6 and abs(y - other_y) < 15:
                y = other_y + 15
        placed.append((x, y, label))
    return placed


@dataclass(frozen=True, slots=True)
class LineChart:
    """A curve over epochs: points, ticks (value, y), and the point that is marked (epoch, value, x, y)."""

    epochs: tuple[int, int]
    points: list[tuple[float, float]]
    ticks: list[tuple[float, float]]
    marked: tuple[int, float, float, float]
    width: ClassVar[int] = 460
    height: ClassVar[int] = 220
    left: ClassVar[int] = 46
    right: ClassVar[int] = 446
    top: ClassVar[int] = 14
    bottom: ClassVar[int] = 192


def line_chart(
    epochs: Sequence[int], values: Sequence[float | None], *, mark_best: bool = False, from_zero: bool = False
) -> LineChart | None:
    """Lay out a curve, its last value marked, or its highest.

    Parameters
    ----------
    values : sequence of float or None
        None is left out.

    Returns
    -------
    LineChart or None
        None where nothing was measured.
    """
    known = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if value is not None]
    if not known:
        return None
    low, high = min(value for _, value in known), max(value for _, value in known)
    ticks = _ticks(0 if from_zero else low, high)
    low, high = min(ticks[0], low), max(ticks[-1], high)
    first, last = known[0][0], known[-1][0]
    of = LineChart

    def place(epoch: int, value: float) -> tuple[float, float]:
        along, up = (epoch - first) / (last - first or 1), (value - low) / (high - low or 1)
        return of.left + along * (of.right - of.left), of.bottom - up * (of.bottom - of.top)

    marked = max(known, key=lambda point: point[1]) if mark_best else known[-1]
    return LineChart(
        epochs=(first, last),
        points=[place(*point) for point in known],
        ticks=[(tick, place(first, tick)[1]) for tick in ticks],
        marked=(*marked, *place(*marked)),
    )


def _ticks(low: float, high: float) -> list[float]:
    """Choose about four round numbers from just below ``low`` to ``high``."""
    rough = (high - low) / 4 or max(abs(high), 1) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    first = math.floor(low / step + 1e-9)
    return [round(number * step, 10) for number in range(first, math.ceil(high / step - 1e-9) + 1)]
