"""``echoic show``: a picture of a file's sound, with what was found in it."""

from __future__ import annotations

import base64
import html
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from echoic.addresses import told
from echoic.cli.options import expand_path, expand_place, time_option
from echoic.cli.output import as_clock, complain, counted, note_teller, say, shorten
from echoic.errors import PartError, UnreadableError, UsageError, quoted
from echoic.interchange.hits import read_spans
from echoic.interchange.labels import read_labels
from echoic.interchange.places import check_free, new_file

if TYPE_CHECKING:
    from echoic.audio.picture import Picture

_WIDTH, _HEIGHT = 1200, 400  # pixels of the spectrogram
_LEFT, _TOP, _RIGHT, _BOTTOM = 56, 40, 28, 40  # and around it
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200)  # s between ticks
_MOST_TICKS = 12
_MOST_NAMED = 60  # boxes that have room for what they are
_HIT, _LABEL = "#35e0ff", "#7dff5e"
_LARGEST = 1 << 26  # bytes of a label track


class _Box(NamedTuple):
    """What is framed, from when to when, in seconds, and from where to where, in Hz; all of it if None."""

    start: float
    end: float
    text: str
    colour: str
    low: float | None = None
    high: float | None = None


def run(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", parser=expand_place, help="What is shown; it need not be indexed."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="OUT",
            parser=expand_path,
            help="OUT.svg, or OUT.png, which has frames but neither axes nor words.",
        ),
    ] = None,
    start: Annotated[float | None, time_option("Show FILE from here, …")] = None,
    end: Annotated[float | None, time_option("… to here.")] = None,
    hits: Annotated[
        Path | None,
        typer.Option(
            "--hits",
            metavar="HITS",
            parser=expand_path,
            help="Frame what was found in it, as echoic search … --json prints it.",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels", metavar="TRACK", parser=expand_path, help="Frame the labels of a track of Audacity."
        ),
    ] = None,
) -> None:
    """Draw a file's spectrum over time, with what was found in it.

    As in: echoic search owl.wav --every --json > owls.json; echoic show night.wav --hits owls.json -o
    night.svg. Frequency runs evenly from 0 to half the file's sample rate.
    """
    from echoic.arguments import check_part
    from echoic.audio.decode import open_audio
    from echoic.audio.notes import of_query
    from echoic.audio.picture import as_png, draw_spectrogram

    check_part(start, end)
    if output is None or output.suffix.lower() not in (".svg", ".png"):
        raise UsageError("say where to draw it: -o OUT.svg, or OUT.png")
    check_free(output)
    boxes = [*_hits_of(file, hits), *_labels_of(labels)]
    with open_audio(file) as stream:
        rate = stream.sample_rate
        lasts = stream.stated_duration
    begin = start or 0.0
    if end is None or lasts is None or end > lasts:
        end = _counted(file) if lasts is None else lasts if end is None else min(end, lasts)
    if begin >= end:
        raise PartError(f"{quoted(file)} ends before {begin:g} s; ask for an earlier part")
    with open_audio(file) as stream:
        blocks = (block for block in stream.span(rate, begin, end) if len(block))
        picture = draw_spectrogram(blocks, rate, end - begin, _WIDTH, _HEIGHT)
        tell = note_teller()
        for note in of_query(stream.info):
            tell(str(file), note)
    shown = [box for box in boxes if box.start < end and box.end > begin]
    if boxes and not shown:
        complain("note: none of what was found, or labelled, lies in what is shown")
    if output.suffix.lower() == ".png":
        for box in shown:
            _frame(picture, box, begin, end, rate / 2)
        content = as_png(picture)
    else:
        content = _svg(as_png(picture), file.name, shown, begin, end, rate / 2).encode()
    with new_file(output) as partial:
        partial.write_bytes(content)
    framed = f", {counted(len(shown), 'frame')}" if boxes else ""
    say(f"{shorten(str(output))}: {as_clock(begin)} to {as_clock(end)}{framed}")


def _counted(file: Path) -> float:
    """Say how many seconds a file lasts that does not say it itself."""
    from echoic.audio.decode import open_audio

    with open_audio(file) as stream:
        return sum(len(block) for block in stream.blocks()) / stream.sample_rate


def _hits_of(file: Path, hits: Path | None) -> list[_Box]:
    if hits is None:
        return []
    path = told(os.path.abspath(file))
    with _explained(hits), hits.open(encoding="utf-8", errors="replace") as lines:
        return [
            _Box(one.start, one.end, one.label or ("" if one.score is None else f"{one.score:.2f}"), _HIT)
            for one in read_spans(lines)
            if one.path == path or os.path.abspath(one.path) == path
        ]


def _labels_of(track: Path | None) -> list[_Box]:
    if track is None:
        return []
    with _explained(track):
        if track.stat().st_size > _LARGEST:
            raise UsageError(f"{quoted(track)} is larger than {_LARGEST >> 20} MiB; no labels are")
        labels = read_labels(track.read_text("utf-8-sig", errors="replace"))
    return [_Box(one.start, one.end, one.text, _LABEL, one.low, one.high) for one in labels]


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnreadableError(f"{quoted(path)} cannot be read ({error.strerror}); check the path") from error


def _place(box: _Box, begin: float, end: float, highest: float) -> tuple[float, float, float, float]:
    """Say where a box lies in the spectrogram: left, top, right and bottom, in pixels."""
    left, right = ((time - begin) / (end - begin) * _WIDTH for time in (box.start, box.end))
    low = 0.0 if box.low is None or box.low < 0 else min(box.low, highest)
    high = highest if box.high is None or box.high < 0 else min(box.high, highest)
    top, bottom = (_HEIGHT * (1 - hz / highest) for hz in (max(low, high), min(low, high)))
    return max(0.0, left), top, min(float(_WIDTH), right), bottom


def _frame(picture: Picture, box: _Box, begin: float, end: float, highest: float) -> None:
    left, top, right, bottom = (round(edge) for edge in _place(box, begin, end, highest))
    left, right = min(left, _WIDTH - 2), max(min(right, _WIDTH) - 2, left)
    top, bottom = min(top, _HEIGHT - 2), max(min(bottom, _HEIGHT) - 2, top)
    colour = bytes.fromhex(box.colour[1:])
    for rows, columns in (
        *((slice(top, top + 2), slice(left, right + 2)), (slice(bottom, bottom + 2), slice(left, right + 2))),
        *((slice(top, bottom + 2), slice(left, left + 2)), (slice(top, bottom + 2), slice(right, right + 2))),
    ):
        picture[rows, columns] = list(colour)


def _ticks(begin: float, end: float) -> list[float]:
    step = next((step for step in _STEPS if (end - begin) / step <= _MOST_TICKS), (end - begin) / _MOST_TICKS)
    first = -int(-begin // step)
    return [number * step for number in range(first, int(end / step) + 1)]


def _svg(png: bytes, name: str, boxes: Sequence[_Box], begin: float, end: float, highest: float) -> str:
    width, height = _LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + _BOTTOM
    foot = _TOP + _HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="16" font-size="13">{_spelt(name)}</text>',
        f'<image x="{_LEFT}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{base64.b64encode(png).decode("ascii")}"/>',
    ]
    for time in _ticks(begin, end):
        x = _LEFT + (time - begin) / (end - begin) * _WIDTH
        parts.append(f'<path d="M{x:.1f} {foot}v5" stroke="#444"/>')
        parts.append(f'<text x="{x:.1f}" y="{foot + 19}" text-anchor="middle">{as_clock(time)}</text>')
    for number in range(5):
        hz, y = highest * number / 4, foot - _HEIGHT * number / 4
        parts.append(f'<path d="M{_LEFT - 5} {y:.1f}h5" stroke="#444"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{hz / 1000:.3g}</text>')
    parts.append(f'<text x="{_LEFT - 8}" y="{_TOP - 10}" text-anchor="end">kHz</text>')
    for box in boxes:
        left, top, right, bottom = _place(box, begin, end, highest)
        parts.append(
            f'<rect x="{_LEFT + left:.1f}" y="{_TOP + top:.1f}" width="{max(right - left, 1):.1f}" '
            f'height="{max(bottom - top, 1):.1f}" fill="none" stroke="{box.colour}" stroke-width="1.5"/>'
        )
        if box.text and len(boxes) <= _MOST_NAMED:
            y = _TOP - 5 if top == 0 else _TOP + top - 4
            fill = "#222" if top == 0 else box.colour
            parts.append(f'<text x="{_LEFT + left:.1f}" y="{y:.1f}" fill="{fill}">{_spelt(box.text)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _spelt(text: str) -> str:
    """Spell text for XML, which has no bytes that are no characters, nor most signs that do not print."""
    return html.escape("".join(sign if sign.isprintable() else "�" for sign in text))
