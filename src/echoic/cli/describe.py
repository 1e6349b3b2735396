"""``echoic describe``: what is heard in a file, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from echoic.cli.options import Csv, Json, expand_path, number, time_option
from echoic.cli.output import as_clock, complain, csv_printer, note_teller, print_json, say, shorten
from echoic.errors import AudioError, UsageError
from echoic.files import written_whole
from echoic.types import HeardSpan


def run(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", parser=expand_path, help="What is listened to.")
    ],
    start: Annotated[
        float | None, time_option("Listen from here on: seconds, or as in 1:15:29, 90m, 1.5h or 1h15m.")
    ] = None,
    end: Annotated[float | None, time_option("Listen up to here [default: the end].")] = None,
    min_probability: Annotated[
        float | None,
        typer.Option(
            "--min-probability",
            metavar="P",
            parser=number(),
            help="Tell what is this likely or more [default: 0.5].",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="DIR",
            parser=expand_path,
            help="Write a label file for Audacity into this folder, FILE.txt, for each FILE.",
        ),
    ] = None,
    json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Tell what kinds of sound are heard in a file, and when.

    The kinds are AudioSet's classes: animals, people, machines, music and instruments, weather and more.
    Of a kind and kinds of it, as Animal, Dog and Bark, the most specific that is likely enough is told. The
    number before it says how likely it is.
    """
    from echoic import describe

    if json and as_csv:
        raise UsageError("choose one of --json and --csv")
    printed = _printer(json=json, as_csv=as_csv)
    tell = note_teller()
    failed = False
    for path in files:
        try:
            spans = describe(
                path,
                start=start,
                end=end,
                min_probability=min_probability,
                noted=partial(tell, str(path)),
            )
        except AudioError as error:
            complain(f"error: {error}")
            failed = True
            continue
        printed(spans)
        if labels is not None:
            _write_labels(labels / f"{path.name}.txt", spans)
        if not spans:
            complain(f"{shorten(str(path))}: nothing that is likely enough to be told")
    if failed:
        raise typer.Exit(1)


def _printer(*, json: bool, as_csv: bool) -> Callable[[Sequence[HeardSpan]], None]:
    """Choose how what is heard in each file is printed."""
    if as_csv:
        return csv_printer(HeardSpan)

    def lines(spans: Sequence[HeardSpan]) -> None:
        for span in spans:
            if json:
                print_json(asdict(span))
            else:
                say(_line(span))

    return lines


def _line(span: HeardSpan) -> str:
    """Spell a span for a terminal: the file, when, how likely, and what."""
    when = f"{as_clock(span.start):>8} – {as_clock(span.end):<8}"
    return f"{shorten(span.path)}  {when}  {span.probability:.2f}  {span.label}"


def _write_labels(path: Path, spans: Sequence[HeardSpan]) -> None:
    """Write what Audacity imports as a label track: begin, end and text, parted by tabs, a line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(
            "".join(f"{span.start:.6f}\t{span.end:.6f}\t{span.label}\n" for span in spans), "utf-8"
        )
