"""``echoic remove``: forget files, or an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from echoic.cli.options import LibraryFolder, expand, expand_place, need_known
from echoic.cli.output import counted, say
from echoic.errors import UsageError


def run(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", parser=expand_place, help="Files, folders, globs."),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", parser=expand, help="Forget this encoder, with all vectors that it made."
        ),
    ] = None,
    library: LibraryFolder = None,
) -> None:
    """Forget files, and all files under folders.

    The audio itself is not touched. With --encoder, forget an encoder instead.
    """
    from echoic.library import Library

    if (encoder is None) == (not paths):
        raise UsageError("name files or folders to forget, or an encoder with --encoder")
    with Library(library) as lib:
        if encoder is not None:
            lib.remove_encoder(encoder)
            say(f"encoder {encoder} forgotten")
            return
        need_known(lib, paths or ())
        count = lib.remove(paths or ())
    say(f"{counted(count, 'file')} forgotten")
