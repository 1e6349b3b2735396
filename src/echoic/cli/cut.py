"""``echoic cut``: write what was found as files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from echoic.cli.options import expand_path, time_option
from echoic.cli.output import complain, note_teller, say, shorten
from echoic.cli.stopping import exit_code
from echoic.errors import AudioError, UnreadableError, UsageError, quoted
from echoic.interchange.hits import Span, read_spans
from echoic.types import Note


def run(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            parser=expand_path,
            help="Hits, as --json prints them [default: what comes in by a pipe].",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", parser=expand_path, help="The folder to write into."),
    ] = None,
    pad: Annotated[
        float | None, time_option("So much more before and after each: seconds, or as in 1m30s.")
    ] = None,
) -> None:
    """Write what a search has found as sound files of their own.

    As in: echoic search owl.wav --every --json | echoic cut -o owls. They are mono WAV at the rate of their
    file, named after it and where in it they begin, so that they sort in order of time.
    """
    if output is None:
        raise UsageError("say where to write the parts: -o DIR")
    if pad is not None and pad < 0:
        raise UsageError(f"--pad is {pad:g} s and must be 0 or more: it says how much more is wanted")
    if output.exists() and not output.is_dir():
        raise UsageError(f"{quoted(output)} is a file; give a folder to write into")
    codes: set[int] = set()
    tell = note_teller()
    with _lines(file) as lines:
        output.mkdir(parents=True, exist_ok=True)
        for span in read_spans(lines):
            try:
                say(shorten(str(_cut(span, output, pad or 0.0, tell))))
            except AudioError as error:
                complain(f"error: {error}")
                codes.add(exit_code(error))
    if codes:
        raise typer.Exit(min(codes))


def _cut(span: Span, folder: Path, pad: float, tell: Callable[[str, Note], None]) -> Path:
    """Write a part of a file, and return where; what is there already is not written over."""
    from echoic.analysis.excerpts import Excerpt
    from echoic.audio.encode import write_audio

    path = folder / f"{Path(span.path).stem}-{span.start:09.3f}.wav"
    number = 1
    while os.path.lexists(path):  # of another file of that name, too
        number += 1
        path = folder / f"{Path(span.path).stem}-{span.start:09.3f}.{number}.wav"
    begin, end = max(0.0, span.start - pad), span.end + pad
    excerpt = Excerpt.read(Path(span.path), begin, end, noted=lambda note: tell(span.path, note))
    write_audio(path, excerpt.samples, excerpt.sample_rate)
    return path


@contextmanager
def _lines(file: Path | None) -> Iterator[TextIO]:
    if file is None:
        if sys.stdin.isatty():
            raise UsageError(
                "nothing comes in; pipe hits to it: echoic search FILE --every --json | echoic cut -o DIR"
            )
        yield sys.stdin
        return
    try:
        lines = file.open(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UnreadableError(f"{quoted(file)} cannot be read ({error.strerror})") from error
    with lines:
        yield lines
