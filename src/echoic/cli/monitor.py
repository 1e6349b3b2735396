"""``echoic monitor``: what is played, as it is played."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

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
    need_source,
    opened_source,
    refuse_address,
)
from echoic.cli.output import complain, note_teller
from echoic.errors import AudioError, UnreadableError, quoted
from echoic.scanning import scan


def run(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            parser=expand,
            help="A web radio's address, a long file or a folder of them; - for standard input.",
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
    Goes on until Ctrl-C, or the end of a file. A stream that breaks off is connected to again.
    """
    from echoic.library import Library

    need_source(sources, mic, device, "an address, a file")
    failed = False
    with Library(library, noted=note_teller()) as lib:
        for source in [None] if mic else _expanded(sources or []):
            try:
                with opened_source(source, device) as sound:
                    for match in lib.monitor(sound, min_score=min_score, path=path or None, tags=tag or ()):
                        print_match(match, json)
                        sys.stdout.flush()  # whoever reads a log wants it now
            except AudioError as error:
                complain(f"error: {error}")
                failed = True
    if failed:
        raise typer.Exit(1)


def _expanded(sources: list[str]) -> list[str]:
    """Replace folders by the files in them."""
    found = []
    for source in sources:
        if not is_url(source):
            refuse_address(source)
        if source == "-" or is_url(source) or not os.path.isdir(source):  # noqa: PTH112 - Path.is_dir() raises for long names
            found.append(source)
        else:
            # What cannot be looked at is told when it is opened.
            inside = [entry.path for entry in scan([Path(source)])]
            if not inside:
                raise UnreadableError(f"{quoted(source)} holds no audio files; name a folder that does")
            found += inside
    return found
