"""Charts as inline SVG, coloured by the style sheet of the page that they stand in.

Pure functions of data: each returns markup in which every text is escaped.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Dot", "heat_map", "line_chart", "printable", "scatter", "text"]

# Pixels a character of 11 px takes on average, of a sans-serif type.
_CHARACTER = 6.1
_LONGEST_NAME = 22
_NUMBERED = 30  # classes up to which the cells of a heat map are wide enough for a number
_LABELLED = 24  # classes up to which names find room on a map


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a scatter plot: where, of which class, what is told of it, what it plays when clicked."""

    x: float
    y: float
    label: str
    title: str
    source: str
    hollow: bool = False


def printable(words: str) -> str:
    """Spell out what would not print, such as line breaks and bytes that are no characters."""
    return words if words.isprintable() else repr(words)[1:-1]


def text(words: str) -> str:
    """Make words safe inside an element or a quoted attribute."""
    return html.escape(printable(words), quote=True)


def heat_map(labels: Sequence[str], counts: npt.NDArray[np.int64]) -> str:
    """Draw a confusion matrix, each row coloured by its shares.

    Parameters
    ----------
    labels : sequence of str
        Of rows and columns.
    counts : ndarray of int, shape (labels, labels)
        Row: what it is; column: what it was taken for.
    """
    n = len(labels)
    names = [_shortened(label) for label in labels]
    margin = round(_CHARACTER * max(len(name) for name in names)) + 14
    cell = min(34, max(13, 780 // n))
    size = cell * n
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    drawn = []
    for number, (label, name) in enumerate(zip(labels, names, strict=True)):
        middle = margin + cell * (number + 0.5)
        said = text(name) + (f"<title>{text(label)}</title>" if name != label else "")
        drawn.append(
            f'<text class="end" x="{margin - 8}" y="{middle + 4:g}">{said}</text>'
            f'<text transform="translate({middle + 4:g} {margin - 8}) rotate(-90)">{said}</text>'
        )
    drawn.append(f'<rect class="field" x="{margin}" y="{margin}" width="{size}" height="{size}"/>')
    for row, column in np.argwhere(counts):
        share, count = float(shares[row, column]), int(counts[row, column])
        kind = "hit" if row == column else "miss"
        x, y = margin + cell * column, margin + cell * row
        told = f"{labels[row]} → {labels[column]}: {count} of {int(counts[row].sum())}"
        # By its root: one mistake in twenty is what a reader looks for, and must not look like none.
        drawn.append(
            f'<rect class="{kind}" x="{x + 1}" y="{y + 1}" width="{cell - 2}" height="{cell - 2}"'
            f' fill-opacity="{math.sqrt(share):.3f}"><title>{text(told)}</title></rect>'
        )
        if n <= _NUMBERED:
            strong = " strong" if share > 0.3 else ""
            drawn.append(
                f'<text class="count{strong}" x="{x + cell / 2:g}" y="{y + cell / 2 + 4:g}">{count}</text>'
            )
    width = margin + size + 4
    return (
        f'<svg class="heat" width="{width}" height="{width}" viewBox="0 0 {width} {width}" role="img"'
        f' aria-label="confusion matrix of {n} classes">{"".join(drawn)}</svg>'
    )


def scatter(dots: Sequence[Dot], *, width: int = 760, height: int = 600) -> str:
    """Draw points, coloured by their label, with the names of the labels where there are few.

    Each class is a group ``<g class="dots" data-class=N>``; its hue is the custom property ``--h``.
    """
    labels = sorted({dot.label for dot in dots})
    xs, ys = np.array([(dot.x, dot.y) for dot in dots]).T
    middle_x, middle_y = (xs.max() + xs.min()) / 2, (ys.max() + ys.min()) / 2
    # One scale for both axes, or distances would mean something else along each.
    span = max(float(np.ptp(xs)) / (width - 60), float(np.ptp(ys)) / (height - 60)) or 1.0
    radius = 4.6 if len(dots) <= 400 else 3.2
    drawn, named = [], []
    for number, label in enumerate(labels):
        circles, places = [], []
        for dot in (dot for dot in dots if dot.label == label):
            x, y = width / 2 + (dot.x - middle_x) / span, height / 2 - (dot.y - middle_y) / span
            places.append((x, y))
            circles.append(
                f'<circle{" class=hollow" if dot.hollow else ""} cx="{x:.1f}" cy="{y:.1f}" r="{radius}"'
                f' data-src="{html.escape(dot.source)}"><title>{text(dot.title)}</title></circle>'
            )
        drawn.append(
            f'<g class="dots" data-class="{number}" style="--h:{hue(number, len(labels))}">'
            f"{''.join(circles)}</g>"
        )
        # Above its thick: on the dots it would hide them.
        named.append(
            (float(np.median(places, axis=0)[0]), float(np.percentile(places, 20, axis=0)[1]) - 9, label)
        )
    if len(labels) <= _LABELLED:
        drawn += [
            f'<text class="name" x="{x:.1f}" y="{y:.1f}">{text(_shortened(label))}</text>'
            for x, y, label in _spread(named)
        ]
    return (
        f'<svg class="scatter" viewBox="0 0 {width} {height}" role="img"'
        f' aria-label="map of {len(dots)} clips in {len(labels)} classes">{"".join(drawn)}</svg>'
    )


def hue(number: int, n: int) -> int:
    """Choose the hue of a class, in degrees: neighbours in the alphabet lie far apart on the circle."""
    step = 1 if n < 4 else next(step for step in range(round(n * 0.382), n) if math.gcd(step, n) == 1)
    return round(360 * (number * step % n) / n + 25) % 360


def line_chart(
    xs: Sequence[float], ys: Sequence[float], *, name: str, best: int | None = None, from_zero: bool = False
) -> str:
    """Draw a curve, its last value beside it, or its best where ``best`` says which that is.

    Parameters
    ----------
    ys : sequence of float
        NaN is left out.
    """
    points = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(y)]
    width, height, left, bottom, top, right = 460, 220, 46, 28, 14, 14
    if not points:
        return ""
    low, high = min(y for _, y in points), max(y for _, y in points)
    ticks = _ticks(0 if from_zero else low, high)
    low, high = min(ticks[0], low), max(ticks[-1], high)
    first, last = points[0][0], points[-1][0]

    def place(x: float, y: float) -> tuple[float, float]:
        along = (x - first) / (last - first or 1)
        up = (y - low) / (high - low or 1)
        return left + along * (width - left - right), height - bottom - up * (height - bottom - top)

    drawn = []
    for tick in ticks:
        _, y = place(first, tick)
        drawn.append(
            f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="end" x="{left - 8}" y="{y + 4:.1f}">{tick:g}</text>'
        )
    drawn.append(f'<text x="{left}" y="{height - 8}">{first:g}</text>')
    if last > first:
        drawn.append(f'<text class="end" x="{width - right}" y="{height - 8}">epoch {last:g}</text>')
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    drawn.append(f'<polyline points="{path}"/>')
    marked = (xs[best], ys[best]) if best is not None else points[-1]
    x, y = place(*marked)
    beside = "end" if x > width / 2 else "start"
    # On the side where the curve is not: under the top, above the rest.
    above = y + 20 if y < top + 24 else y - 10
    drawn.append(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/><text class="{beside} mark" x="{x:.1f}" y="{above:.1f}">'
        f"{marked[1]:.3f}</text>"
    )
    return (
        f'<svg class="curve" viewBox="0 0 {width} {height}" role="img" aria-label="{text(name)}">'
        f"{''.join(drawn)}</svg>"
    )


def _ticks(low: float, high: float) -> list[float]:
    """Choose about four round numbers from just below ``low`` to ``high``."""
    rough = (high - low) / 4 or max(abs(high), 1) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    first = math.floor(low / step + 1e-9)
    return [round(number * step, 10) for number in range(first, math.ceil(high / step - 1e-9) + 1)]


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


def _shortened(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
