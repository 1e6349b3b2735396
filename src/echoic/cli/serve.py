"""``echoic serve``: a library as a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from echoic.cli.options import (
    MaxSeconds,
    ServedFolder,
    Threads,
    expand_path,
    modules_of,
    number,
    one_of,
    whole_number,
)
from echoic.cli.output import complain, say
from echoic.errors import UsageError


def run(
    library: ServedFolder = None,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Listen here. One that other machines reach wants --key-file."),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(metavar="N", parser=whole_number(0, 65_535), help="Listen at this port; 0: a free one."),
    ] = 8765,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            metavar="FILE",
            parser=expand_path,
            help="Answer only who has one of these keys, of which the file has hashes.",
        ),
    ] = None,
    new_key: Annotated[
        str | None,
        typer.Option(
            "--new-key",
            metavar="read|admin",
            parser=one_of(("read", "admin")),
            help="Add a key to --key-file, print it, which is done once, and end. admin may index and teach, "
            "too.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="A name that it is called by, as sounds.example.org behind a proxy; may be repeated.",
        ),
    ] = None,
    folder: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            parser=expand_path,
            help="A folder that may be indexed over HTTP, with what lies in it; may be repeated.",
        ),
    ] = None,
    max_files: Annotated[
        int | None,
        typer.Option(
            "--max-files",
            metavar="N",
            parser=whole_number(0),
            help="Index over HTTP no new files beyond N in the library [default: any number].",
        ),
    ] = None,
    max_upload: Annotated[
        float,
        typer.Option(
            "--max-upload", metavar="MB", parser=number(0.001, 1e6), help="Take no larger sound than this."
        ),
    ] = 64,
    max_seconds: MaxSeconds = 1800,
    rate: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole_number(1, 1_000_000),
            help="Answer so many requests a minute of one client, of whom has a key, or of one address "
            "[default: any number].",
        ),
    ] = None,
    threads: Threads = None,
) -> None:
    """Serve a library over HTTP: search, identify, describe, play.

    What may be asked, /openapi.json of the service says. Ctrl-C, or SIGTERM, ends it once what is being
    answered is done.
    """
    with modules_of("server", "serving"):
        from echoic.server.keys import Keys
        from echoic.server.running import serve
        from echoic.server.settings import Settings
    from echoic.opening import default_folder

    if new_key is not None:
        if key_file is None:
            raise UsageError("say with --key-file where the new key is to be noted")
        say(Keys.make(key_file, "admin" if new_key == "admin" else "read"))
        return
    more = {} if threads is None else {"n_threads": threads}
    settings = Settings(
        default_folder() if library is None else library,
        host=host,
        port=port,
        keys=None if key_file is None else Keys(key_file),
        names=tuple(name or ()),
        folders=tuple(folder or ()),
        max_files=max_files,
        max_upload=round(max_upload * 1e6),
        max_seconds=max_seconds,
        rate=rate,
        **more,
    )
    try:
        serve(settings, lambda address: complain(f"serving at {address}; Ctrl-C stops it"))
    except KeyboardInterrupt:
        return  # which is how a service ends
