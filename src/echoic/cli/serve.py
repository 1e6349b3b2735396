"""``echoic serve``: a library as a service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from echoic.cli.options import expand_path, number, whole_number
from echoic.cli.output import complain, say
from echoic.errors import MissingDependencyError, UsageError


def _role(text: Any) -> str:
    if text not in ("read", "admin"):
        raise typer.BadParameter(f"{str(text)!r} is neither read nor admin")
    return str(text)


def run(
    library: Annotated[
        Path | None,
        typer.Argument(
            metavar="LIBRARY",
            parser=expand_path,
            help="The library's folder [default: $ECHOIC_LIBRARY, or the platform's for a user's data].",
        ),
    ] = None,
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
            parser=_role,
            help="Add a key to --key-file, print it, which is done once, and end. admin may index, too.",
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
    max_upload: Annotated[
        float,
        typer.Option(
            "--max-upload", metavar="MB", parser=number(0.001, 1e6), help="Take no larger sound than this."
        ),
    ] = 64,
    max_seconds: Annotated[
        float,
        typer.Option(
            "--max-seconds", metavar="S", parser=number(1, 1e6), help="Listen to no more for one request."
        ),
    ] = 1800,
    rate: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole_number(1, 1_000_000),
            help="Answer so many requests a minute of one client, of whom has a key, or of one address "
            "[default: any number].",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole_number(1, 1_000),
            help="Work on so many requests at once [default: one for each core].",
        ),
    ] = None,
) -> None:
    """Serve a library over HTTP: search, identify, describe, play.

    What may be asked, /openapi.json of the service says. Ctrl-C, or SIGTERM, ends it once what is being
    answered is done.
    """
    try:
        from echoic.server.keys import Keys
        from echoic.server.running import serve
        from echoic.server.settings import Settings
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "echoic":
            raise
        raise MissingDependencyError("serving", "server") from error
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
        max_upload=round(max_upload * 1e6),
        max_seconds=max_seconds,
        rate=rate,
        **more,
    )
    try:
        serve(settings, lambda address: complain(f"serving at {address}; Ctrl-C stops it"))
    except KeyboardInterrupt:
        return  # which is how a service ends
