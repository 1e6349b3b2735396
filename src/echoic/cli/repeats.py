"""``echoic repeats``: what is heard again and again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from echoic.cli.options import Csv, Json, LibraryFolder, expand_path, files_in, number, time_option
from echoic.cli.output import (
    Bar,
    as_clock,
    complain,
    counted,
    csv_printer,
    note_teller,
    print_json,
    progress_bar,
    say,
    shorten,
)
from echoic.cli.stopping import exit_code
from echoic.errors import AudioError, UsageError
from echoic.interchange.labels import Label, LabelFolder
from echoic.recordings.result import Repeat
from echoic.types import Note


def run(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", parser=expand_path, help="A long recording, or a folder of them."),
    ] = None,
    min_length: Annotated[
        float | None, time_option("Tell what lasts so long or longer [default: 2 seconds].")
    ] = None,
    apart: Annotated[
        float | None,
        time_option(
            "Tell what comes again in a file after so long; sooner it may be a song's bars [default: 5m]."
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score",
            metavar="P",
            parser=number(0, 1),
            help="Tell what is the same with this probability or more [default: 0.5].",
        ),
    ] = None,
    json: Json = False,
    as_csv: Csv = False,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="DIR",
            parser=expand_path,
            help="Write labels for Audacity into this folder, FILE.txt of each file with repeats.",
        ),
    ] = None,
    library: LibraryFolder = None,
) -> None:
    """Find what is heard again and again in long recordings.

    Jingles, advertisements, songs: within each FILE and across them, without any reference; without a FILE,
    in all files of the library, by their fingerprints. Each place of a group has a line: from when to when it
    is heard, how sure that is, and, where that can be told, by how many dB it is louder than the group's
    surest place, and how much faster. Other levels, a little speed and speech over it do not matter; silence
    and noise are nothing that is repeated.
    """
    if json and as_csv:
        raise UsageError("choose one of --json and --csv")
    folder = None if labels is None else LabelFolder(labels)
    if folder is not None:
        folder.check_none_yet()
    only: dict[str, Any] = {
        "min_length": 2.0 if min_length is None else min_length,
        "apart": 300.0 if apart is None else apart,
        "min_score": min_score,
    }
    failures: list[AudioError] = []
    notes: list[tuple[str, Note]] = []
    with progress_bar("comparing") as bar:
        groups = _found(files or [], library, only, failures, notes, bar)
    tell = note_teller()
    for path, note in notes:
        tell(path, note)
    for failure in failures:
        complain(f"error: {failure}")
    _print(groups, json=json, as_csv=as_csv)
    if folder is not None:
        _write(groups, folder)
    if not groups and len(failures) < max(1, len(files or [])):
        complain("nothing is heard again")
    if failures:
        raise typer.Exit(min(exit_code(failure) for failure in failures))


def _found(
    files: Sequence[Path],
    library: Path | None,
    only: dict[str, Any],
    failures: list[AudioError],
    notes: list[tuple[str, Note]],
    bar: Bar,
) -> list[tuple[Repeat, ...]]:
    """Look in files, or in the library."""
    if not files:
        from echoic.library import Library

        with Library(library) as lib:
            return lib.repeats(progress=bar, **only)
    from echoic.recordings.repeats.find import find_repeats

    return find_repeats(
        _expanded(files),
        noted=lambda path, note: notes.append((path, note)),
        failed=failures.append,
        progress=bar,
        **only,
    )


def _expanded(files: Sequence[Path]) -> list[Path]:
    """Replace folders by the files in them; name each file once."""
    found: list[Path] = []
    for file in files:
        is_folder = os.path.isdir(file)  # noqa: PTH112 - Path.is_dir() raises for long names
        found += map(Path, files_in(file)) if is_folder else [file]
    return list(dict.fromkeys(found))


def _print(groups: Sequence[Sequence[Repeat]], *, json: bool, as_csv: bool) -> None:
    print_rows = csv_printer(Repeat) if as_csv else None
    for group in groups:
        if print_rows is not None:
            print_rows(group)
        elif json:
            for place in group:
                print_json(asdict(place))
        else:
            say(
                f"{group[0].group}: {as_clock(group[0].end - group[0].start)}, {counted(len(group), 'place')}"
            )
            for place in sorted(group, key=lambda place: (place.path, place.start)):
                say(_line(place))


def _line(place: Repeat) -> str:
    """Spell a place for a terminal."""
    span = f"{as_clock(place.start):>9} – {as_clock(place.end):<9}"
    change = round(100 * (place.tempo - 1), 1)
    level = f"  {place.level:+.0f} dB" if place.level is not None and round(place.level) else ""
    speed = f"  {change:+.1f} %" if change else ""
    return f"  {span}  {shorten(place.path)}    {place.score:.2f}{level}{speed}"


def _write(groups: Sequence[Sequence[Repeat]], folder: LabelFolder) -> None:
    """Write the labels of each file; a label is the number of its group, and how sure the place is."""
    of_file: dict[str, list[Repeat]] = {}
    for group in groups:
        for place in group:
            of_file.setdefault(place.path, []).append(place)
    chosen = {path: folder.choose(Path(path)) for path in sorted(of_file)}
    for path, places in of_file.items():
        spans = sorted(places, key=lambda place: place.start)
        folder.write(chosen[path], [Label(p.start, p.end, f"repeat {p.group} {p.score:.2f}") for p in spans])
