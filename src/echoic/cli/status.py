"""``echoic status``: the library in figures."""

from __future__ import annotations

from dataclasses import asdict

from echoic.cli.options import Json, LibraryFolder
from echoic.cli.output import as_clock, as_size, counted, print_json, say


def run(json: Json = False, library: LibraryFolder = None) -> None:
    """Say what the library holds, and how much room it takes."""
    from echoic.library import Library

    with Library(library) as lib:
        status = lib.status()
    if json:
        print_json(asdict(status))
        return
    troubles = [f"{status.partial} partly read"] * bool(status.partial)
    troubles += [f"{status.failed} failed (echoic list --failed)"] * bool(status.failed)
    say(f"library   {status.folder}  ({as_size(status.bytes_on_disk)})")
    say(f"catalog   {status.catalog}")
    say(f"vectors   {status.store}")
    say(f"files     {status.files}{', ' * bool(troubles)}{', '.join(troubles)}")
    say(f"audio     {as_clock(status.duration)}")
    for key, count in status.segments.items():
        say(f"encoder   {key}: {counted(count, 'segment')}")
