"""``echoic describe``: what is heard in a file, and when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from echoic.cli.options import Csv, Json, expand_path, expand_place, number, time_option
from echoic.cli.output import as_clock, complain, csv_printer, note_teller, print_json, say, shorten
from echoic.cli.stopping import exit_code
from echoic.errors import AudioError, UsageError
from echoic.heard.result import HeardSpan, VoiceSpan
from echoic.interchange.labels import Label, LabelFolder
from echoic.types import Note

Span = HeardSpan | VoiceSpan


def _probability(text: Any) -> float:
    likely = number(0, 1)(text)
    if likely == 0:
        raise typer.BadParameter(f"{str(text)!r} is no probability above 0")
    return likely


def run(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE", parser=expand_place, help="What is listened to.")
    ] = None,
    start: Annotated[
        float | None, time_option("Listen from here on: seconds, or as in 1:15:29, 90m, 1.5h or 1h15m.")
    ] = None,
    end: Annotated[float | None, time_option("Listen up to here [default: the end].")] = None,
    min_probability: Annotated[
        float | None,
        typer.Option(
            "--min-probability",
            metavar="P",
            parser=_probability,
            help="Tell what is this likely or more [default: 0.5].",
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="DIR",
            parser=expand_path,
            help="Write labels for Audacity into this folder, FILE.txt of each FILE, as in street.wav.txt.",
        ),
    ] = None,
    voices: Annotated[
        bool, typer.Option("--voices", help="Tell who speaks when: A for who speaks first, then B, …")
    ] = False,
    kinds: Annotated[bool, typer.Option("--kinds", help="Name all kinds of sound, one a line.")] = False,
    json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Tell what kinds of sound are heard in a file, and when.

    The kinds are AudioSet's classes: animals, people, machines, music and instruments, weather and more.
    Of a kind and kinds of it, as Animal, Dog and Bark, the most specific that is about as likely is told, and
    with it what is much less likely than the kind that it is of. The number before it says how likely it is.

    With --voices it tells who speaks, and when, in each FILE by itself.
    """
    from echoic.heard.files import kinds as all_kinds

    if json and as_csv:
        raise UsageError("choose one of --json and --csv")
    if bool(files) == kinds:
        raise UsageError("give a file to listen to, or --kinds alone to name all kinds of sound")
    if voices and min_probability is not None:
        raise UsageError("--voices tells who speaks, however surely; leave --min-probability out")
    if kinds:
        say("\n".join(all_kinds()))
        return
    files = files or []
    written = [] if labels is None else _label_files(labels, files)
    printed = _printer(VoiceSpan if voices else HeardSpan, json=json, as_csv=as_csv)
    tell = note_teller()
    codes: set[int] = set()
    for i, path in enumerate(files):
        notes: list[Note] = []
        try:
            spans = _heard(path, start, end, min_probability, voices=voices, noted=notes.append)
        except AudioError as error:
            complain(f"error: {error}")
            codes.add(exit_code(error))
            continue
        for note in notes:
            tell(str(path), note)
        printed(spans)
        if written:
            LabelFolder.write(written[i], [Label(span.start, span.end, _label(span)) for span in spans])
        if not spans and all(note.kind not in ("silence", "speech") for note in notes):
            complain(f"{shorten(str(path))}: nothing that is likely enough to be told")
    if codes:
        raise typer.Exit(min(codes))


def _heard(
    path: Path,
    start: float | None,
    end: float | None,
    least: float | None,
    *,
    voices: bool,
    noted: Callable[[Note], None],
) -> Sequence[Span]:
    """Listen to a file for who speaks, or for all kinds of sound."""
    from echoic import describe, who_speaks

    if voices:
        return who_speaks(path, start=start, end=end, noted=noted)
    return describe(path, start=start, end=end, min_probability=least, noted=noted)


def _printer(kind: type[Span], *, json: bool, as_csv: bool) -> Callable[[Sequence[Span]], None]:
    """Choose how what is heard in each file is printed."""
    if as_csv:
        return csv_printer(kind)

    def lines(spans: Sequence[Span]) -> None:
        for span in spans:
            if json:
                print_json(asdict(span))
            else:
                say(_line(span))

    return lines


def _line(span: Span) -> str:
    """Spell a span for a terminal: the file, when, and who speaks, or how likely it is and what."""
    when = f"{as_clock(span.start):>8} – {as_clock(span.end):<8}"
    if isinstance(span, VoiceSpan):
        return f"{shorten(span.path)}  {when}  {span.voice}"
    return f"{shorten(span.path)}  {when}  {span.probability:.2f}  {span.label}"


def _label_files(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Choose where the labels of each file are written, before anything is listened to."""
    labels = LabelFolder(folder)
    chosen = [labels.choose(file) for file in files]
    for file, path in zip(files, chosen, strict=True):
        if path.name != f"{file.name}.txt":
            complain(f"note: the labels of {shorten(str(file))} go to {shorten(str(path))}")
    return chosen


def _label(span: Span) -> str:
    return span.voice if isinstance(span, VoiceSpan) else span.label
