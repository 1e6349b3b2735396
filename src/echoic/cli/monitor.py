"""``echoic monitor``: what is played, as it is played."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from echoic.cli.identify import match_line
from echoic.cli.options import Json, LibraryFolder, MinScore, expand
from echoic.cli.output import complain, print_json, say
from echoic.errors import AudioError
from echoic.scanning import Found, scan


def run(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE", parser=expand, help="A web radio's address, a long file, or a folder of them."
        ),
    ],
    min_score: MinScore = None,
    json: Json = False,
    library: LibraryFolder = None,
) -> None:
    """Tell what a stream plays, as it plays it.

    Each recording of the library is told once it is over, with its times in seconds since listening began.
    Goes on until Ctrl-C, or the end of a file. A stream that breaks off is connected to again.
    """
    from echoic.library import Library

    failed = False
    with Library(library) as lib:
        for source in _expanded(sources):
            try:
                for match in lib.monitor(source, min_score=min_score):
                    if json:
                        print_json(asdict(match))
                    else:
                        say(match_line(match))
                    sys.stdout.flush()  # whoever reads a log wants it now
            except AudioError as error:
                complain(f"error: {error}")
                failed = True
    if failed:
        raise typer.Exit(1)


def _expanded(sources: list[str]) -> list[str]:
    """Replace folders by the files in them."""
    from echoic.audio.live import is_url

    found = []
    for source in sources:
        if is_url(source) or not Path(source).is_dir():
            found.append(source)
        else:
            found += [str(entry.path) for entry in scan([Path(source)]) if isinstance(entry, Found)]
    return found
