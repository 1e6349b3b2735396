"""``echoic tag``: mark files, to search among the marked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from echoic.cli.options import LibraryFolder, expand_path, need_known
from echoic.cli.output import complain, counted, say


def run(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH", parser=expand_path, help="Indexed files, folders, and globs, e.g. 'drums/*.wav'."
        ),
    ],
    add: Annotated[
        list[str] | None,
        typer.Option(metavar="T", help="Give this tag: VALUE, or NAME=VALUE; may be repeated."),
    ] = None,
    remove: Annotated[
        list[str] | None, typer.Option(metavar="T", help="Take this tag away; may be repeated.")
    ] = None,
    library: LibraryFolder = None,
) -> None:
    """Give tags to indexed files, or take them away.

    A glob is matched against what the library has, as --path of a search is. What is tagged is found by:
    echoic search FILE --tag T, and shown by: echoic list --tag T.
    """
    from echoic.library import Library

    with Library(library) as lib:
        need_known(lib, paths)
        for tag in remove or ():
            if not any(lib.files(path, tags=[tag]) for path in paths):
                complain(f"note: none of these files has the tag {tag!r}")
        count = lib.tag(paths, add=add or (), remove=remove or ())
    say(f"{counted(count, 'file')} tagged anew")
