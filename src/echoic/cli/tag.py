"""``echoic tag``: mark files, to search among the marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echoic.cli.options import LibraryFolder, expand_place, need_known
from echoic.cli.output import complain, counted, say

if TYPE_CHECKING:
    from echoic.library import Library


def run(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH", parser=expand_place, help="Indexed files, folders, and globs, e.g. 'drums/*.wav'."
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
    from echoic.storage.catalog.conditions import parse_tag

    for tag in (*(add or ()), *(remove or ())):
        parse_tag(tag)  # those to be removed are searched for, before
    with Library(library) as lib:
        need_known(lib, paths)
        for tag in remove or ():
            if not any(lib.files(path, tags=[tag]) for path in paths):
                complain(f"note: none of these files has the tag {tag!r}")
        before = _tags(lib, paths)
        lib.tag(paths, add=add or (), remove=remove or ())
        after = _tags(lib, paths)
    n_changed = sum(tags != before.get(path) for path, tags in after.items())
    counts = {"tagged anew": n_changed, "as before": len(after) - n_changed}
    say(", ".join(f"{counted(count, 'file')} {what}" for what, count in counts.items() if count))


def _tags(library: Library, paths: Sequence[Path]) -> dict[str, dict[str, tuple[str, ...]]]:
    return {record.path: record.tags for path in paths for record in library.files(path)}
