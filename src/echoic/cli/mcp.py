"""``echoic mcp``: a library as tools of assistants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from echoic.cli.options import (
    MaxSeconds,
    ServedFolder,
    Threads,
    expand_path,
    modules_of,
    whole_number,
)
from echoic.cli.output import complain
from echoic.errors import UsageError


def run(
    library: ServedFolder = None,
    allow: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            parser=expand_path,
            help="A folder whose sounds may be given as examples, besides the library's; may be repeated.",
        ),
    ] = None,
    http: Annotated[
        bool, typer.Option("--http", help="Answer over HTTP instead of standard input and output.")
    ] = False,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="With --http, listen here [default: 127.0.0.1]. Where others reach it, it wants --key-file.",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole_number(0, 65_535),
            help="With --http, listen at this port [default: 8766]; 0: a free one.",
        ),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            "--key-file",
            metavar="FILE",
            parser=expand_path,
            help="With --http, answer only who has one of these keys, made with echoic serve --new-key.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST", help="With --http, a name that it is called by behind a proxy; may be repeated."
        ),
    ] = None,
    max_seconds: MaxSeconds = 1800,
    threads: Threads = None,
) -> None:
    """Offer a library to assistants, by the Model Context Protocol.

    Assistants start it themselves, and talk to it by standard input and output; with --http it waits for
    them.
    """
    with modules_of("mcp", "offering a library to assistants"):
        from echoic.assistants.running import answer, serve
        from echoic.server.keys import Keys
        from echoic.server.settings import Settings
    from echoic.opening import default_folder

    given = {"--host": host, "--port": port, "--key-file": key_file, "--name": name or None}
    alone = [one for one, value in given.items() if value is not None]
    if alone and not http:
        raise UsageError(f"{' and '.join(alone)}: give --http as well")
    more: dict[str, Any] = {} if threads is None else {"n_threads": threads}
    settings = Settings(
        default_folder() if library is None else library,
        host=host or "127.0.0.1",
        port=8766 if port is None else port,
        keys=None if key_file is None else Keys(key_file),
        names=tuple(name or ()),
        max_seconds=max_seconds,
        **more,
    )
    try:
        if http:
            serve(settings, allow or (), lambda at: complain(f"assistants ask {at}; Ctrl-C stops it"))
        else:
            answer(settings, allow or ())
    except KeyboardInterrupt:
        return  # which is how it ends
