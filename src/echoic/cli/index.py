"""``echoic index``: bring the library up to date with files and folders."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echoic.cli.options import Jobs, LibraryFolder, TrackOption, expand, expand_place, whole_number
from echoic.cli.output import complain, print_report, progress_bar
from echoic.cli.stopping import exit_code

if TYPE_CHECKING:
    from echoic.types import IndexReport


def run(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH", parser=expand_place, help="Files and folders, also as in s3://BUCKET/FOLDER."
        ),
    ],
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            parser=expand,
            help="Encode with this one, a name or an .onnx file; may be repeated "
            "[default: the library's own, all bundled ones at first].",
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            parser=expand,
            help="Keep a new library's vectors in Milvus: ./file.db, http://host:19530, or a Zilliz Cloud "
            "endpoint; the token in $ECHOIC_MILVUS_TOKEN goes to no other [default: beside the catalog].",
        ),
    ] = None,
    catalog: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            parser=expand,
            help="Keep a new library's catalog in PostgreSQL: postgresql+psycopg://USER@HOST/DATABASE; the "
            "password is read from $ECHOIC_CATALOG_PASSWORD, and goes to no other [default: in its folder].",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="T", help="Give all these files a tag; may be repeated."),
    ] = None,
    track: TrackOption = None,
    transcripts: Annotated[
        bool | None,
        typer.Option(
            "--transcripts/--no-transcripts",
            help="Give files transcripts, too, of the subtitles beside them or in them, or else by listening "
            "(echoic models add transcripts) [default: as the library was told before; at first, not].",
        ),
    ] = None,
    jobs: Jobs = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            parser=expand,
            help="Encode on a Ray cluster: its address, auto for the one that this machine belongs to, or "
            "local; all its machines must see the files at the same paths, or reach the same buckets.",
        ),
    ] = None,
    max_files: Annotated[
        int | None,
        typer.Option(
            "--max-files",
            metavar="N",
            parser=whole_number(0),
            help="Leave out new files beyond N in the library, and say so [default: any number].",
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on, and follow what changes, until Ctrl-C.")
    ] = False,
    library: LibraryFolder = None,
) -> None:
    """Add new and changed files, follow renames, drop deleted ones.

    A file that cannot be read is recorded and skipped; the exit code is then 1. Stop it whenever you like:
    the same command goes on where it was.
    """
    from echoic.library import Library

    with Library(library) as lib:

        def update(leave: Collection[Path] = ()) -> IndexReport:
            with progress_bar("indexing") as progress:
                return lib.index(
                    paths,
                    encoders=encoder or (),
                    store=store,
                    catalog=catalog,
                    jobs=jobs,
                    ray=ray,
                    tags=tag or (),
                    track=track,
                    transcripts=transcripts,
                    leave=leave,
                    max_files=max_files,
                    progress=progress,
                )

        try:
            if watch:
                for report in lib.watch(paths, update=update):
                    print_report(report)
            report = update()
        except KeyboardInterrupt as stop:
            if watch:
                return
            complain("stopped; what was done is kept, and the same command goes on from here")
            raise typer.Exit(exit_code(stop)) from None
    print_report(report)
    if report.failed or report.partial or report.untranscribed:
        raise typer.Exit(1)
