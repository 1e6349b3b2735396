"""``echoic list``: the files of the library."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from echoic.cli.options import Json, LibraryFolder, Tags, expand_place, need_known
from echoic.cli.output import as_clock, complain, counted, print_json, say, shorten
from echoic.errors import quoted

_MOST_HEARD = 4  # kinds of sound that are named of a file


def run(
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH", parser=expand_place, help="Only what lies here; or a glob, e.g. 'drums/*.wav'."
        ),
    ] = None,
    tag: Tags = None,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only what could not, or not wholly, be read.")
    ] = False,
    json: Json = False,
    library: LibraryFolder = None,
) -> None:
    """List the files of the library, with what went wrong, and notes."""
    from echoic.library import Library

    with Library(library) as lib:
        records = lib.files(path, tags=tag or ())
        if path is not None and not records:
            need_known(lib, [path])
    if not records:
        complain(
            "no file is so tagged" if tag else "the library has no files; add some with: echoic index FOLDER"
        )
    elif failed and all(record.state == "indexed" for record in records):
        complain(f"nothing failed, of {counted(len(records), 'file')}")
    for record in records:
        if failed and record.state == "indexed":
            continue
        if json:
            # One value as it is, several as a list.
            tags = {name: values[0] if len(values) == 1 else values for name, values in record.tags.items()}
            print_json(asdict(record) | {"tags": tags})
        else:
            # The message begins with the file, which the line has named already.
            message = record.message.removeprefix(quoted(record.path)).lstrip(": ")
            trouble = f"  [{record.state}] {message}" if message else ""
            heard = ", ".join(list(record.heard)[:_MOST_HEARD])
            heard = f"  [heard] {heard}" if heard else ""
            notes = "".join(f"  [{note.kind}] {note.sentence}" for note in record.notes)
            say(f"{as_clock(record.duration):>9}  {shorten(record.path)}{trouble}{heard}{notes}")
