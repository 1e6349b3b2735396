"""``echoic monitor``: what is played, as it is played."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echoic.addresses import is_url
from echoic.cli.identify import print_match
from echoic.cli.options import (
    Json,
    LibraryFolder,
    Microphone,
    MicrophoneDevice,
    MinScore,
    PathGlobs,
    Tags,
    expand,
    expand_path,
    files_in,
    need_source,
    opened_source,
    refuse_address,
)
from echoic.cli.output import complain, note_teller, shorten
from echoic.errors import AudioError, UnreadableError, UsageError, quoted

if TYPE_CHECKING:
    from echoic.recordings.result import SourceStatus

#: How it is told what has become of a stream.
_STATES = {"heard": "listening", "lost": "the connection is over", "back": "listening again"}


def run(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            parser=expand,
            help="A web radio's address, a long file or a folder of them; - for standard input.",
        ),
    ] = None,
    listed: Annotated[
        Path | None,
        typer.Option(
            "--sources",
            metavar="FILE",
            parser=expand_path,
            help="Listen to what this text file names, too, a SOURCE a line; # before one leaves it out.",
        ),
    ] = None,
    mic: Microphone = False,
    device: MicrophoneDevice = None,
    min_score: MinScore = None,
    path: PathGlobs = None,
    tag: Tags = None,
    json: Json = False,
    library: LibraryFolder = None,
) -> None:
    """Tell what a stream plays, as it plays it.

    Each recording of the library is told once it is over, with its times in seconds since listening began.
    Goes on until Ctrl-C, or the end of a file. A stream that breaks off is connected to again. Of several
    SOURCES, all streams are listened to at once, in one process, and files one after the other; when one
    breaks off, comes back or fails, that is told beside the results.
    """
    from echoic.library import Library

    need_source([*(sources or []), *([listed] if listed else [])], mic, device, "an address, a file")
    failed = False
    with Library(library, noted=note_teller()) as lib:
        only: dict[str, Any] = {"min_score": min_score, "path": path or None, "tags": tag or ()}
        named = _expanded([*(sources or []), *(_read(listed) if listed else [])])
        if len(named) > 1 and any(source == "-" or is_url(source) for source in named):
            told = _Teller()
            for match in lib.monitor_all(named, told=told, **only):
                print_match(match, json)
                sys.stdout.flush()
            failed = told.failed
            named = []
        for source in [None] if mic else named:
            try:
                with opened_source(source, device) as sound:
                    for match in lib.monitor(sound, **only):
                        print_match(match, json)
                        sys.stdout.flush()  # whoever reads a log wants it now
            except AudioError as error:
                complain(f"error: {error}")
                failed = True
    if failed:
        raise typer.Exit(1)


class _Teller:
    """Tells beside the results what has become of each of many sources."""

    def __init__(self) -> None:
        self.failed = False

    def __call__(self, status: SourceStatus) -> None:
        if status.state == "failed":
            self.failed = True
            complain(f"error: {status.message}")
        elif status.state in _STATES and (status.source == "-" or is_url(status.source)):
            complain(f"{shorten(status.source)}: {_STATES[status.state]}")


def _read(path: Path) -> list[str]:
    """Read the sources that a text file names, a line each."""
    try:
        text = path.read_text("utf-8-sig", errors="surrogateescape")  # names may be no UTF-8
    except OSError as error:
        raise UnreadableError(f"{quoted(path)} cannot be read ({error.strerror}); check its name") from error
    if "\0" in text:
        raise UsageError(f"{quoted(path)} is no text; list addresses and files in it, one a line")
    lines = (line.strip() for line in text.splitlines())
    named = [expand(line) for line in lines if line and not line.startswith("#")]
    if not named:
        raise UsageError(f"{quoted(path)} names no source; list addresses and files in it, one a line")
    return named


def _expanded(sources: list[str]) -> list[str]:
    """Replace folders by the files in them."""
    found = []
    for source in sources:
        if not is_url(source):
            refuse_address(source)
        if source == "-" or is_url(source) or not os.path.isdir(source):  # noqa: PTH112 - Path.is_dir() raises for long names
            found.append(source)
        else:
            found += files_in(source)
    return found
