"""``echoic align``: two recordings of one event, laid side by side in time."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from echoic.cli.options import Json, expand_path
from echoic.cli.output import as_clock, complain, print_json, say, shorten


def run(
    first: Annotated[Path, typer.Argument(metavar="A", parser=expand_path, help="A recording or video.")],
    second: Annotated[
        Path, typer.Argument(metavar="B", parser=expand_path, help="Another of the same event.")
    ],
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            parser=expand_path,
            help="Write B's sound here as it lies in A's time; the suffix chooses the format.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Lay two recordings of one event side by side in time.

    Says where in A the other begins, and how their clocks drift apart. The exit code is 1 if they have
    nothing in common.
    """
    from echoic.library import Library

    with Library() as lib:
        found = lib.align(first, second, write=write)
    if found is None:
        complain(f"{shorten(str(first))} and {shorten(str(second))} have nothing in common")
        raise typer.Exit(1)
    if json:
        print_json(asdict(found))
        return
    say(
        f"{shorten(found.second)} begins {abs(found.offset):.3f} s "
        f"{'into' if found.offset >= 0 else 'before'} {shorten(found.first)}"
    )
    if abs(found.drift_ppm) >= 1:
        per_hour = 3.6 * found.drift_ppm / 1000
        say(f"drift {found.drift_ppm:+.0f} ppm: {per_hour:+.3f} s an hour")
    say(
        f"in common from {as_clock(found.start)} to {as_clock(found.end)} of {shorten(found.second)}, "
        f"within {1e3 * found.deviation:.0f} ms, probability {found.score:.2f}"
    )
    if write is not None:
        say(f"wrote {shorten(str(write))}: its second 0 is that of {shorten(found.first)}")
