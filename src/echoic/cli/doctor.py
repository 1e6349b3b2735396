"""``echoic doctor``: whether the installation and the library are sound."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from echoic.cli.options import Json, LibraryFolder
from echoic.cli.output import print_json, progress_bar, say

_MARKS = {"ok": "ok      ", "missing": "missing ", "broken": "BROKEN  "}


def run(
    files: Annotated[
        bool,
        typer.Option("--files", help="Read all indexed files, too: are they still what was indexed?"),
    ] = False,
    json: Json = False,
    library: LibraryFolder = None,
) -> None:
    """Say what is installed, and whether the library is sound.

    What is missing is named with the command that adds it, and damage with the command that mends it: in the
    database, in vectors, in the cache of the index, in models. The exit code is 1 if anything is broken; what
    is merely not installed is not.
    """
    from echoic.doctor import examine
    from echoic.library import Library

    with Library(library) as lib, progress_bar("reading") as progress:
        findings = examine(lib, read_files=files, progress=progress)
    for finding in findings:
        if json:
            print_json(asdict(finding))
        else:
            say(f"{_MARKS[finding.state]} {finding.what}: {finding.detail}")
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)
