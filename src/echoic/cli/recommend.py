"""``echoic recommend``: which encoders and which store suit a collection, measured on a sample of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echoic.cli.options import (
    GroupColumn,
    Jobs,
    Json,
    LabelColumn,
    PathColumn,
    expand,
    expand_path,
    number,
    seconds,
)
from echoic.cli.output import as_size, complain, counted, print_json, progress_bar, say, shorten

if TYPE_CHECKING:
    from echoic.advice.result import Advice


def _above_zero(read: Callable[[Any], float], what: str) -> Callable[[Any], float]:
    def checked(text: Any) -> float:
        value = read(text)
        if not 0 < value < float("inf"):
            raise typer.BadParameter(f"{str(text)!r} is no {what} above 0")
        return value

    return checked


def run(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            parser=expand_path,
            help="A folder of audio, with a sub-folder for each class if it is labelled, or a .csv or .tsv "
            "manifest.",
        ),
    ],
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            parser=expand,
            help="Try this encoder, a name or the path of an .onnx model; may be repeated [default: all that "
            "are installed].",
        ),
    ] = None,
    latency: Annotated[
        float | None,
        typer.Option(
            metavar="TIME",
            parser=_above_zero(seconds, "time"),
            help="An example has to be answered within this: seconds, as in 0.05.",
        ),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(
            metavar="MB",
            parser=_above_zero(number(), "number"),
            help="Megabytes that a search may take [default: half of the machine's].",
        ),
    ] = None,
    hours: Annotated[
        float | None,
        typer.Option(
            metavar="H",
            parser=_above_zero(number(), "number"),
            help="Plan for so many hours of sound like this [default: those that are there].",
        ),
    ] = None,
    no_labels: Annotated[
        bool, typer.Option("--no-labels", help="Take sub-folders, or a manifest's labels, for no classes.")
    ] = False,
    json: Json = False,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    group_column: GroupColumn = None,
    jobs: Jobs = None,
) -> None:
    """Say which encoders and which store suit a collection.

    Each installed encoder is tried on a sample of the files, by which the time that indexing takes here is
    told, too. With labels, each file looks for others of its label. Without any, how well an encoder finds
    is guessed: by how well it finds degraded copies, and other parts, of what is there. The exit code is 1
    if no encoder keeps to --latency and --memory.
    """
    from echoic import recommend

    named = {"path": path_column, "label": label_column, "group": group_column}
    with progress_bar("trying encoders") as show:
        advice = recommend(
            folder,
            encoders=encoder,
            labels=not no_labels,
            columns={role: name for role, name in named.items() if name is not None},
            latency=latency,
            memory=memory,
            hours=hours,
            jobs=jobs,
            progress=show,
            told=lambda note: complain(f"note: {note}"),
        )
    for message in advice.failed.values():
        complain(f"warning: {message}")
    for candidate in advice.candidates:
        if candidate.taught:
            complain(
                f"warning: {shorten(candidate.encoder)} was taught or chosen by {candidate.taught} of the "
                f"{counted(advice.sample, 'file')} listened to, so that its figures flatter it"
            )
    if json:
        print_json(asdict(advice))
    else:
        _tell(advice)
    if advice.encoder is None:
        raise typer.Exit(1)


def _tell(advice: Advice) -> None:
    """Print what was heard, a row for each encoder, and the advice."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from echoic.advice.telling import spell_hours, spell_time

    kinds = ", ".join(f"{share:.0%} {kind}" for kind, share in advice.kinds.items() if share >= 0.005)
    by = (
        f"measured by {counted(advice.labels, 'label')}"
        if advice.measure == "labels"
        else "guessed by copies and cuts, without labels"
    )
    say(
        f"{counted(advice.files, 'file')}, about {spell_hours(advice.hours)} hours; listened to "
        f"{counted(advice.sample, 'file')}: {kinds}; finding is {by}\n"
    )
    # Of 80 columns the verdict has what is left, in two lines if need be.
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("encoder", overflow="fold", min_width=11)
    for head in ("mAP", "P@1", "speed", "indexing", "answer", "memory"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", min_width=10)
    for one in advice.candidates:
        finds = [one.mean_average_precision, one.precision_at_1]
        table.add_row(
            shorten(one.encoder),
            *("–" if figure is None else f"{figure:.3f}" for figure in finds),
            f"{one.speed:.0f}x",
            spell_time(one.indexing),
            f"{1000 * one.latency:.0f} ms",
            "–" if one.memory is None else as_size(1e6 * one.memory),
            one.against or ("advised" if one.encoder in (advice.encoder, *advice.also) else ""),
        )
    Console(file=sys.stdout, highlight=False).print(table)
    say(f"\n{advice.sentence}")
    if advice.command:
        say(f"$ {advice.command}")
