"""``echoic duplicates``: what the library holds twice."""

from __future__ import annotations

from dataclasses import asdict

from echoic.cli.options import Json, LibraryFolder, MinScore
from echoic.cli.output import as_clock, complain, print_json, progress_bar, say, shorten
from echoic.types import Duplicate


def run(
    min_score: MinScore = None,
    json: Json = False,
    library: LibraryFolder = None,
) -> None:
    """Find recordings that the library holds twice.

    They may be the same from end to end or in part; formats, levels and small changes of speed do not
    matter. Nothing is decoded again and nothing deleted.
    """
    from echoic.library import Library

    with Library(library) as lib, progress_bar("comparing") as progress:
        found = lib.duplicates(min_score=min_score, progress=progress)
    for duplicate in found:
        if json:
            print_json(asdict(duplicate))
        else:
            say(_line(duplicate))
    if not found:
        complain("no recording is in the library twice")


def _line(duplicate: Duplicate) -> str:
    if duplicate.whole:
        kind = "whole"
    else:
        kind = (
            f"{as_clock(duplicate.start)} – {as_clock(duplicate.end)} = "
            f"{as_clock(duplicate.other_start)} – {as_clock(duplicate.other_end)}"
        )
    change = round(100 * (duplicate.tempo - 1), 1)
    tempo = f"  {change:+.1f} %" if change else ""
    return f"{shorten(duplicate.path)}  {shorten(duplicate.other)}    {kind}    {duplicate.score:.2f}{tempo}"
