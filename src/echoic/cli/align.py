"""``echoic align``: two recordings of one event, laid side by side in time."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from echoic.cli.options import Json, expand_path
from echoic.cli.output import as_clock, complain, note_teller, print_json, progress_bar, say, shorten
from echoic.recordings.timing.result import SharedStretch, TimeAlignment
from echoic.types import Note

_LITTLE = 0.5  # of what lies beside each other
_NO_GAP = 1.0  # s
_NO_OFFSET = 0.0005  # s


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
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Lay two recordings of one event side by side in time.

    Says where in A the other begins, how their clocks drift apart, where something was cut out or put in, and
    how much the two share. The exit code is 1 if they have nothing in common.
    """
    from echoic.recordings.timing.align import align

    notes: list[tuple[str, Note]] = []
    tell_note = note_teller()
    try:
        with progress_bar("aligning") as progress:
            found = align(
                first, second, write=write, noted=lambda *note: notes.append(note), progress=progress
            )
    finally:
        for path, note in notes:
            tell_note(path, note)
    if found is None:
        complain(f"{shorten(str(first))} and {shorten(str(second))} have nothing in common")
        raise typer.Exit(1)
    if json:
        print_json(asdict(found))
        return
    tell(found)
    if write is not None:
        say(f"wrote {shorten(str(write))}: its second 0 is that of {shorten(found.first)}")


def tell(found: TimeAlignment) -> None:
    """Print how two recordings lie beside each other."""
    one, other = shorten(found.first), shorten(found.second)
    shares = f"{_percent(found.first_share)} of {one} and {_percent(found.second_share)} of {other}"
    if _is_little(found):
        say(f"{other} and {one} have little in common: only {shares}")
        for stretch in found.stretches:
            say(
                f"{as_clock(stretch.start)} – {as_clock(stretch.end)} of {other} is "
                f"{as_clock(stretch.first_start)} – {as_clock(stretch.first_end)} of {one}, "
                f"{_bound(stretch)}, probability {stretch.score:.2f}"
            )
        return
    before = found.stretches[0]
    where = "into" if before.offset > -_NO_OFFSET else "before"
    say(f"{other} begins {abs(before.offset):.3f} s {where} {one}")
    if abs(found.drift_ppm) >= 1:
        say(f"drift {found.drift_ppm:+.0f} ppm: {3.6 * found.drift_ppm / 1000:+.3f} s an hour")
    shared = "in common from {} to {} of {}"
    for stretch in found.stretches[1:]:
        jump = stretch.first_start - before.offset - (1 + before.drift_ppm / 1e6) * stretch.start
        if stretch.start - before.end > _NO_GAP:
            say(f"nothing in common from {as_clock(before.end)} to {as_clock(stretch.start)} of {other}")
            shared = "all else from {} to {} of {} is in common"
        if abs(jump) < stretch.deviation + before.deviation:
            say(f"from {as_clock(stretch.start)} on as before")
        else:
            say(f"from {as_clock(stretch.start)} on {abs(jump):.3f} s {'later' if jump > 0 else 'earlier'}")
        before = stretch
    loosest = max(found.stretches, key=lambda stretch: stretch.deviation)
    say(
        f"{shared.format(as_clock(found.stretches[0].start), as_clock(before.end), other)}, "
        f"{_bound(loosest)}, probability {found.score:.2f}"
    )
    say(f"that is {shares}")


def _is_little(found: TimeAlignment) -> bool:
    """Tell whether most of what lies beside each other, by the longest stretch, is something else."""
    longest = max(found.stretches, key=lambda stretch: stretch.end - stretch.start)
    shared = sum(stretch.end - stretch.start for stretch in found.stretches)
    there = sum(stretch.first_end - stretch.first_start for stretch in found.stretches)
    before = min(longest.start, longest.first_start)
    after = min(shared / found.second_share - longest.end, there / found.first_share - longest.first_end)
    return shared < _LITTLE * (before + longest.end - longest.start + after)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.005 else f"{100 * share:.1g} %"


def _bound(stretch: SharedStretch) -> str:
    if stretch.exact:
        return f"within {math.ceil(1e3 * stretch.deviation):d} ms"
    return f"within about {1e3 * stretch.deviation:.0f} ms (the waveforms have little in common)"
