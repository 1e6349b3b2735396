"""``echoic mcp``: a library as tools of assistants."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from echoic.cli.options import expand_path, number, whole_number
from echoic.cli.output import complain
from echoic.errors import MissingDependencyError, UsageError


def run(
    library: Annotated[
        Path | None,
        typer.Argument(
            metavar="LIBRARY",
            parser=expand_path,
            help="The library's folder [default: $ECHOIC_LIBRARY, or the platform's for a user's data].",
        ),
    ] = None,
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
    max_seconds: Annotated[
        float,
        typer.Option(
            "--max-seconds", metavar="S", parser=number(1, 1e6), help="Listen to no more for one call."
        ),
    ] = 1800,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole_number(1, 1_000),
            help="Work on so many calls at once [default: one for each core].",
        ),
    ] = None,
) -> None:
    """Offer a library to assistants, by the Model Context Protocol.

    Assistants start it themselves, and talk to it by standard input and output; with --http it waits for
    them.
    """
    try:
        from echoic.assistants.running import answer, serve
        from echoic.server.keys import Keys
        from echoic.server.settings import Settings
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "echoic":
            raise
        raise MissingDependencyError("offering a library to assistants", "mcp") from error
    from echoic.opening import default_folder

    given = {"--host": host, "--port": port, "--key-file": key_file, "--name": name}
    if not http and any(value for value in given.values()):
        raise UsageError(f"{' and '.join(one for one, value in given.items() if value)} go with --http")
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
