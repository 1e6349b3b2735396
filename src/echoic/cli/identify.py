"""``echoic identify``: which recording is this?"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echoic.cli.cue import CueSheet
from echoic.cli.options import (
    Csv,
    Json,
    LibraryFolder,
    Microphone,
    MicrophoneDevice,
    MinScore,
    PathGlobs,
    Tags,
    expand_place,
    need_source,
    time_option,
)
from echoic.cli.output import (
    as_clock,
    complain,
    csv_printer,
    note_teller,
    print_json,
    print_names_as_bytes,
    say,
    shorten,
)
from echoic.cli.stopping import exit_code
from echoic.errors import AudioError, UsageError
from echoic.recordings.result import Match
from echoic.types import Note

if TYPE_CHECKING:
    from echoic.library import Library


_LISTENS = 10.0  # s to the microphone
_PIPED = "standard input"


def run(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            parser=expand_place,
            help="What is heard; - for standard input.",
        ),
    ] = None,
    mic: Microphone = False,
    device: MicrophoneDevice = None,
    start: Annotated[
        float | None, time_option("Listen from here on: seconds, or as in 1:15:29, 90m, 1.5h or 1h15m.")
    ] = None,
    end: Annotated[
        float | None,
        time_option(f"Listen up to here [default: the end; {_LISTENS:g} of the microphone]."),
    ] = None,
    min_score: MinScore = None,
    path: PathGlobs = None,
    tag: Tags = None,
    include_query: Annotated[
        bool, typer.Option("--include-query", help="Let a FILE of the library be found in itself.")
    ] = False,
    json: Json = False,
    as_csv: Csv = False,
    cue: Annotated[bool, typer.Option("--cue", help="Print a CUE sheet of what is heard.")] = False,
    library: LibraryFolder = None,
) -> None:
    """Tell which recordings are heard in a file, and where in it.

    Nothing is printed where it is none of the library's. A recording is told once for each time that it is
    heard; all of FILE, a jingle say, at every place of a recording where it lies. Noise, rooms, telephones,
    codecs and changes of speed or tempo up to 10 % are seen through. The score is the probability that the
    match is right.
    """
    from echoic.library import Library

    need_source(files, mic, device, "a file")
    if json + as_csv + cue > 1:
        raise UsageError("choose one of --json, --csv and --cue")
    if cue and (mic or Path("-") in (files or ())):
        raise UsageError("a CUE sheet is of files; give their names")
    only: dict[str, Any] = {"min_score": min_score, "path": path or None, "tags": tag or ()}
    codes: set[int] = set()
    silent: set[str] = set()
    tell = note_teller()

    def noted(query: str, note: Note) -> None:
        if note.kind == "silence":
            silent.add(query)
        tell(_PIPED if Path(query).name == _PIPED else query, note)

    with Library(library, noted=noted) as lib:
        printed = _printer(lib, json=json, as_csv=as_csv, cue=cue)
        for name in ["microphone"] if mic else map(str, files or ()):
            try:
                if mic:
                    matches = _listened(lib, device, start, end, only)
                elif name == "-":
                    matches = _piped(lib, start, end, only)
                else:
                    matches = lib.identify(name, start=start, end=end, include_query=include_query, **only)
            except AudioError as error:
                complain(f"error: {error}")
                codes.add(exit_code(error))
                continue
            printed(matches)
            if not matches and name not in silent:
                complain(f"{shorten(name)}: none of the library's recordings was recognised")
    if codes:
        raise typer.Exit(min(codes))


def _printer(lib: Library, *, json: bool, as_csv: bool, cue: bool) -> Callable[[list[Match]], None]:
    """Choose how the matches of each file are printed."""
    if cue:
        print_names_as_bytes()
        return CueSheet(lib).add
    if as_csv:
        return csv_printer(Match)

    def lines(matches: list[Match]) -> None:
        for match in matches:
            print_match(match, json)

    return lines


def _listened(
    lib: Library, device: str | None, start: float | None, end: float | None, only: dict[str, Any]
) -> list[Match]:
    from echoic.audio.live import microphone

    if start is not None:
        raise UsageError("the microphone is listened to from now on: leave --start out")
    with microphone(_LISTENS if end is None else end, device) as sound:
        complain("listening …")
        return sorted(lib.monitor(sound, **only), key=lambda match: match.query_start)


def _piped(lib: Library, start: float | None, end: float | None, only: dict[str, Any]) -> list[Match]:
    # Through a file, since some formats (mp4, say) have their table of contents at the end.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / _PIPED
        with copy.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        try:
            matches = lib.identify(copy, start=start, end=end, **only)
        except AudioError as error:
            raise type(error)(str(error).replace(str(copy), _PIPED)) from None
    return [replace(match, query="-") for match in matches]


def print_match(match: Match, json: bool) -> None:
    """Print a match, on a line of its own."""
    if json:
        print_json(asdict(match))
    else:
        say(match_line(match))


def match_line(match: Match) -> str:
    """Spell a match for a terminal: what is heard when, which part of which recording, and how sure."""
    heard = f"{as_clock(match.query_start)} – {as_clock(match.query_end)}"
    place = f"{as_clock(match.start)} – {as_clock(match.end)}"
    change = round(100 * (match.tempo - 1), 1)
    tempo = f"  {change:+.1f} %" if change else ""
    return f"{shorten(match.query)}  {heard}    {shorten(match.path)}  {place}    {match.score:.2f}{tempo}"
