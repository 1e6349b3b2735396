"""``echoic identify``: which recording is this?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from echoic.cli.options import Json, LibraryFolder, MinScore, expand_path
from echoic.cli.output import as_clock, complain, print_json, say, shorten
from echoic.errors import AudioError
from echoic.types import Match


def run(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", parser=expand_path, help="What is heard.")],
    start: Annotated[
        float | None, typer.Option(metavar="S", help="Listen from this second on.", show_default=False)
    ] = None,
    end: Annotated[
        float | None, typer.Option(metavar="S", help="Listen up to this second.", show_default=False)
    ] = None,
    min_score: MinScore = None,
    json: Json = False,
    library: LibraryFolder = None,
) -> None:
    """Tell which recordings are heard in a file, and where in it.

    Nothing is printed where it is none of the library's. Noise, rooms, telephones, codecs and changes of
    speed or tempo up to 10 % are seen through. The score is the probability that the match is right.
    """
    from echoic.library import Library

    failed = False
    with Library(library) as lib:
        for file in files:
            try:
                matches = lib.identify(file, start=start, end=end, min_score=min_score)
            except AudioError as error:
                complain(f"error: {error}")
                failed = True
                continue
            for match in matches:
                if json:
                    print_json(asdict(match))
                else:
                    say(match_line(match))
            if not matches:
                complain(f"{shorten(str(file))}: none of the library's recordings was recognised")
    if failed:
        raise typer.Exit(1)


def match_line(match: Match) -> str:
    """Spell a match for a terminal: what is heard when, which part of which recording, and how sure."""
    heard = f"{as_clock(match.query_start)} – {as_clock(match.query_end)}"
    place = f"{as_clock(match.start)} – {as_clock(match.end)}"
    change = round(100 * (match.tempo - 1), 1)
    tempo = f"  {change:+.1f} %" if change else ""
    return f"{shorten(match.query)}  {heard}    {shorten(match.path)}  {place}    {match.score:.2f}{tempo}"
