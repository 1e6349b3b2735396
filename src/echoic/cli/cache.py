"""``echoic cache``: the decoded audio that training keeps on disk."""

from __future__ import annotations

from typing import Annotated

import typer

from echoic.cli.options import Json
from echoic.cli.output import as_clock, as_size, print_json, say


def run(
    clear: Annotated[
        bool, typer.Option("--clear", help="Delete all of it; training decodes it again.")
    ] = False,
    json: Json = False,
) -> None:
    """Show the decoded audio that training keeps, or delete it.

    Its folder is $ECHOIC_CACHE, or else one within the platform's for a user's caches.
    """
    from echoic.training.cache import AudioCache

    cache = AudioCache()
    folder = str(cache.folder)
    if clear:
        freed = cache.clear()
        if json:
            print_json({"folder": folder, "freed_bytes": freed})
        else:
            say(f"freed {as_size(freed)} in {folder}")
        return
    if json:
        print_json(
            {
                "folder": folder,
                "files": cache.n_files,
                "duration": cache.duration,
                "bytes_on_disk": cache.size_bytes,
            }
        )
        return
    say(f"cache     {folder}  ({as_size(cache.size_bytes)})")
    say(f"files     {cache.n_files}")
    say(f"audio     {as_clock(cache.duration)}")
