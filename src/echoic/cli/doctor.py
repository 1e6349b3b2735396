"""``echoic doctor``: whether the installation and the library are sound."""

from __future__ import annotations

from dataclasses import asdict

import typer

from echoic.cli.options import Json, LibraryFolder
from echoic.cli.output import print_json, say

_MARKS = {"ok": "ok      ", "missing": "missing ", "broken": "BROKEN  "}


def run(json: Json = False, library: LibraryFolder = None) -> None:
    """Say what is installed, and whether the library is sound.

    What is missing is named with the command that adds it. The exit code is 1 if anything is broken; what is
    merely not installed is not.
    """
    from echoic.doctor import examine
    from echoic.library import Library

    with Library(library) as lib:
        findings = examine(lib)
    for finding in findings:
        if json:
            print_json(asdict(finding))
        else:
            say(f"{_MARKS[finding.state]} {finding.what}: {finding.detail}")
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)
