"""``echoic library``: copies of a library, its upkeep, and its vectors for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echoic.cli.options import LibraryFolder, expand, expand_path, one_of
from echoic.cli.output import as_size, complain, counted, progress_bar, say, shorten
from echoic.errors import UsageError, quoted, shell_word

if TYPE_CHECKING:
    from echoic.library import Library


class Action(StrEnum):
    """What to do with a library."""

    backup = "backup"
    restore = "restore"
    rebuild = "rebuild"
    compact = "compact"
    export = "export"
    import_ = "import"


_WITHOUT_PATH = (Action.rebuild, Action.compact)


def run(
    action: Annotated[
        Action,
        typer.Argument(
            metavar="backup|restore|rebuild|compact|export|import", parser=one_of(Action), help="What to do."
        ),
    ],
    path: Annotated[
        Path | None,
        typer.Argument(
            metavar="[PATH]",
            parser=expand_path,
            help="The backup's folder, or the table, a .parquet; rebuild and compact take none.",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", parser=expand, help="With export: the vectors of this encoder [default: sound]."
        ),
    ] = None,
    library: LibraryFolder = None,
) -> None:
    """Back a library up, bring it back, tidy it, exchange vectors.

    backup copies it to a new folder, also while somebody indexes; that copy is a library itself. restore
    makes a library of a backup. rebuild makes the cache of the index anew, compact gives room back that
    deleted files took. export writes the vectors of --encoder as Parquet, a row a segment; import gives files
    of the library the vectors of such a table. What is damaged in a library, echoic doctor tells.
    """
    from echoic.library import Library

    if (path is None) != (action in _WITHOUT_PATH):
        raise UsageError(
            f"{action.value} takes no path"
            if path is not None
            else f"say where: echoic library {action.value} PATH"
        )
    if encoder is not None and action is not Action.export:
        raise UsageError("--encoder goes with export")
    with Library(library) as lib:
        if path is None:
            _tidy(lib, action)
        elif action in (Action.backup, Action.restore):
            _copy(lib, action, path)
        else:
            _exchange(lib, action, path, encoder)


def _tidy(lib: Library, action: Action) -> None:
    if action is Action.rebuild:
        lib.rebuild()
        say("the cache of the index is made anew")
    else:
        say(f"freed {as_size(lib.compact())}")


def _copy(lib: Library, action: Action, path: Path) -> None:
    with progress_bar(action.value) as progress:
        if action is Action.backup:
            models = lib.backup(path, told=progress.bytes_done)
        else:
            lib.restore(path, told=progress.bytes_done)
    if action is Action.restore:
        say(f"restored {shorten(str(path))} to {shorten(str(lib.folder))}")
        return
    for model in models:
        complain(f"note: the model {shorten(model)} is not in the backup; keep a copy of it, too")
    say(f"backed up to {shorten(str(path))}; bring it back with: echoic library restore {shell_word(path)}")


def _exchange(lib: Library, action: Action, path: Path, encoder: str | None) -> None:
    if action is Action.export and path.suffix.lower() != ".parquet":
        raise UsageError(f"the vectors are written to a file that ends in .parquet, not to {quoted(path)}")
    with progress_bar(action.value) as progress:
        if action is Action.export:
            n_rows = lib.export_vectors(path, encoder=encoder, progress=progress)
            told = f"{counted(n_rows, 'vector')} written to {shorten(str(path))}"
            left_out: list[str] = []
        else:
            n_files, left_out = lib.import_vectors(path, progress=progress)
            told = f"{counted(n_files, 'file')} given vectors"
    for sentence in left_out:
        complain(f"warning: {sentence}")
    say(told + f", {len(left_out)} left out" * bool(left_out))
    if left_out:
        raise typer.Exit(1)
