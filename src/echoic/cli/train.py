"""``echoic train``: an encoder of one's own, from labelled or unlabelled clips."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from echoic.cli.options import (
    GroupColumn,
    LabelColumn,
    PathColumn,
    SplitColumn,
    columns,
    expand,
    expand_path,
    modules_of,
    number,
    whole_number,
)
from echoic.cli.output import as_clock, complain, counted, progress_bar, say
from echoic.errors import UsageError
from echoic.machine import n_cores

if TYPE_CHECKING:
    from echoic.evaluation.report import Measured
    from echoic.training.loop import Step

DEFAULT_RECIPE = "cnn-supcon"


def run(
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA",
            parser=expand_path,
            help="A folder with a sub-folder for each class, a .csv or .tsv manifest, label tracks or a "
            "selection table (.txt), or a folder of recordings that nothing labels.",
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="M.echoic", parser=expand_path, help="Where to write the model."
        ),
    ] = Path("model.echoic"),
    recipe: Annotated[
        str, typer.Option(metavar="NAME", help="What is trained, and by which loss; see --list.")
    ] = DEFAULT_RECIPE,
    listing: Annotated[bool, typer.Option("--list", help="List the recipes and stop.")] = False,
    minutes: Annotated[
        float | None,
        typer.Option(
            metavar="M",
            parser=number(0.01),
            help="Budget of time, instead of --epochs [default: none].",
        ),
    ] = None,
    epochs: Annotated[
        int, typer.Option(metavar="N", parser=whole_number(1), help="Passes over the clips at most.")
    ] = 40,
    patience: Annotated[
        int,
        typer.Option(
            metavar="N",
            parser=whole_number(0),
            help="Stop after so many epochs without a better mAP on held-out clips; 0: never.",
        ),
    ] = 10,
    validation: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            parser=number(0, 0.9),
            help="Share of the clips to measure on, unless the manifest says which; 0: none.",
        ),
    ] = 0.2,
    classify: Annotated[
        float,
        typer.Option(
            metavar="W", parser=number(0), help="Weight of a classifier trained beside the loss; 0: none."
        ),
    ] = 0.0,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            parser=expand,
            help="Fine-tune: begin with the weights of this .echoic file, or of the bundled 'sound' "
            "[default: sound, where network, window and vectors are as its].",
        ),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Begin with random weights instead.")
    ] = False,
    teacher: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.npz",
            parser=expand_path,
            help="Distil: learn also to tell the vectors of another encoder, as "
            "'echoic embed DATA --segments' writes them.",
        ),
    ] = None,
    distil: Annotated[
        float, typer.Option(metavar="W", parser=number(0), help="Weight of the teacher beside the loss.")
    ] = 1.0,
    seed: Annotated[
        int,
        typer.Option(metavar="N", parser=whole_number(0), help="Two runs with one seed agree on the CPU."),
    ] = 0,
    window: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            parser=number(0.1, 60),
            help="Seconds that the model hears at a time [default: as the model begun with, else 5].",
        ),
    ] = None,
    dim: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            parser=whole_number(2, 4096),
            help="Length of the vectors [default: as the model begun with, else 192].",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(metavar="N", parser=whole_number(1), help="[default: one for each core]"),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="cpu|cuda", help="Where to compute [default: cuda if there is one]."),
    ] = None,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    split_column: SplitColumn = None,
    group_column: GroupColumn = None,
) -> None:
    """Train an encoder of one's own.

    Writes the model, and a report beside it (.html and .json). Stopped by Ctrl-C or a kill, the same command
    goes on where it was. 'echoic export' makes of the model what every other verb takes as --encoder.
    """
    from echoic.training.recipes import RECIPES, find_recipe

    if listing:
        width = max(map(len, RECIPES))
        for each in RECIPES.values():
            say(f"{each.name:<{width}}  {each.description}")
        return
    if data is None:
        raise UsageError("say what to train on: echoic train DATA (a folder or a manifest)")
    chosen = find_recipe(recipe)
    with modules_of("train", "training"):
        from echoic.datasets import name_some
        from echoic.evaluation.report import check_target
        from echoic.training.loop import Settings
        from echoic.training.report import measure_held_out, report_path, write_training_report
        from echoic.training.train import choose_device, default_start, starting_point, train

    if from_scratch and start is not None:
        raise UsageError("--start and --from-scratch contradict each other; give one of them")
    if start is None and not from_scratch:
        start, why = default_start(chosen, window, dim)
        if why:
            complain(f"note: trained from scratch, as {why}")
    begin = None if start is None else starting_point(start)
    as_given: dict[str, Any] = {"window": window, "dim": dim}
    if begin is not None:
        if dim not in (None, begin.dim):
            raise UsageError(
                f"the model to start from gives vectors of {begin.dim} numbers, not {dim}; leave --dim out, "
                "or train --from-scratch"
            )
        as_given |= {"window": window or begin.window, "dim": begin.dim, "front_end": begin.front_end}
    settings = Settings(
        recipe=chosen,
        epochs=epochs,
        minutes=minutes,
        patience=patience,
        classify=classify,
        distil=distil,
        seed=seed,
        threads=threads or n_cores(),
        device=choose_device(device),
        **{name: value for name, value in as_given.items() if value is not None},
    )
    if output.parent.is_dir():
        check_target(report_path(output))  # rather than when the training is done
    with progress_bar("decoding") as decoding, _training_bar() as progress:
        outcome = train(
            data,
            settings,
            output,
            columns=columns(path_column, label_column, split_column, group_column),
            validation=validation,
            start=begin,
            teacher=teacher,
            noted=lambda note: complain(f"note: {note}"),
            decoding=decoding,
            progress=progress,
        )
    failed = outcome.prepared.failed
    for message in failed.values():
        complain(f"warning: {message}")
    if unmeasured := outcome.prepared.unmeasured:
        complain(f"note: no clip of {name_some(unmeasured)} is held out: learnt from, not measured")
    measured = measure_held_out(outcome, settings, output)
    report = write_training_report(outcome, settings, output, measured)
    best = outcome.checkpoint
    n = sum(weight.numel() for weight in best.weights.values())
    say(
        f"{output}: {chosen.name}, {n / 1e6:.2f} M parameters, trained on "
        f"{counted(len(outcome.prepared.train), 'clip')} in {as_clock(outcome.history[-1].seconds)}"
    )
    if report is not None:
        _say_how_it_compares(measured)
        say(f"report: {report}")
    if failed:
        raise typer.Exit(1)


def _say_how_it_compares(measured: Sequence[Measured]) -> None:
    model, *others = measured
    reached = model.figures.mean_average_precision.value
    say(
        f"mAP of the clips held out: {reached:.3f}"
        + "".join(f"; {other.name} {other.figures.mean_average_precision.value:.3f}" for other in others)
    )
    as_good = [o.name for o in others if o.figures.mean_average_precision.value >= reached]
    if as_good:
        complain(
            f"note: without any training on your clips, {' and '.join(as_good)} finds them as well; "
            "give more clips or more time, or use it as it is"
        )


@contextmanager
def _training_bar() -> Iterator[Callable[[Step], None]]:
    """Show how far a training is: a bar on a terminal, a line an epoch elsewhere."""

    def line(step: Step) -> None:
        if step.ended:
            complain(_epoch_line(step))

    if not sys.stderr.isatty():
        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("training"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%  {task.fields[told]}  left"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("training", total=1.0, told="", start=False, visible=False)

        def show(step: Step) -> None:
            if not bar.tasks[0].started:
                bar.start_task(task)
            bar.update(task, completed=step.done, told=_epoch_line(step), visible=True)

        yield show


def _epoch_line(step: Step) -> str:
    if step.epoch is None:
        return f"loss {step.loss:.3f}"
    epoch = step.epoch
    told = f"epoch {epoch.epoch}  loss {epoch.loss:.3f}"
    if epoch.p1 == epoch.p1:  # NaN where nothing is held out
        told += f"  held-out P@1 {epoch.p1:.3f}  mAP {epoch.mean_average_precision:.3f}"
    return told
