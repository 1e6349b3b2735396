"""``echoic evaluate``: how well encoders find clips of the same label."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from echoic.cli.options import (
    GroupColumn,
    Jobs,
    Json,
    LabelColumn,
    PathColumn,
    SplitColumn,
    columns,
    expand,
    expand_path,
    number,
)
from echoic.cli.output import complain, counted, note_teller, print_json, progress_bar, say, shorten
from echoic.errors import UsageError
from echoic.types import Note, Progress

if TYPE_CHECKING:
    from echoic.datasets import Clip, Dataset
    from echoic.encoders.base import Encoder
    from echoic.evaluation.labelled import Estimate, Mask
    from echoic.evaluation.report import Measured
    from echoic.types import Float32, Segments

# Seconds of audio below which a speed would only tell how long the workers took to start.
_TELLING = 60.0
_FINDINGS = {
    "beyond chance": "beyond chance",
    "few groups": "of too few groups to rule out chance",
    "chance": "which may be chance",
}


def run(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            parser=expand_path,
            help="A folder with a sub-folder for each class, a .csv or .tsv manifest, or label tracks or a "
            "selection table (.txt).",
        ),
    ],
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            parser=expand,
            help="A name, or the path of an .onnx model; may be repeated: the others are compared with the "
            "first [default: those that a new library has].",
        ),
    ] = None,
    queries: Annotated[
        str | None,
        typer.Option(
            metavar="SPLIT",
            help="Let the clips of this split ask, and search all others [default: each clip asks for all "
            "the others].",
        ),
    ] = None,
    spans: Annotated[
        Path | None,
        typer.Option(
            "--spans",
            metavar="HITS",
            parser=expand_path,
            help="Measure what was told instead: HITS, as echoic search … --every --json prints it, against "
            "the parts of files that DATA names.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label", metavar="NAME", help="With --spans: which of the labels of DATA is looked for."
        ),
    ] = None,
    false_alarms: Annotated[
        float | None,
        typer.Option(
            "--false-alarms",
            metavar="N",
            parser=number(0),
            help="With --spans: tell recall at so many false alarms an hour [default: 1].",
        ),
    ] = None,
    collar: Annotated[
        float | None,
        typer.Option(
            "--collar",
            metavar="S",
            parser=number(0),
            help="With --spans: seconds within which a begin, and an end, is right [default: 0.2].",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.html",
            parser=expand_path,
            help="Write a page to look at and listen to, and its figures beside it (OUT.figures.json).",
        ),
    ] = None,
    json: Json = False,
    path_column: PathColumn = None,
    label_column: LabelColumn = None,
    split_column: SplitColumn = None,
    group_column: GroupColumn = None,
    jobs: Jobs = None,
) -> None:
    """Measure how well encoders find clips of the same label.

    No library is needed. A clip never finds itself, nor one of its own group (the manifest's group column: a
    recording, a speaker). Figures are between 0 and 1, with their 95 % intervals.
    """
    import numpy as np

    from echoic.datasets import read_dataset
    from echoic.encoders.registry import bundled_for, checked_encoder
    from echoic.evaluation.labelled import check_measurable, measure
    from echoic.evaluation.report import Measured, Report, check_target, figures_of, write_report

    if spans is not None:
        if encoder or queries is not None or report is not None or jobs is not None:
            raise UsageError("--spans goes with neither --encoder, --queries, --report nor --jobs")
        from echoic.cli.spans import tell_spans
        from echoic.evaluation.detection import COLLAR

        named = columns(path_column, label_column, split_column, group_column)
        at = 1.0 if false_alarms is None else false_alarms
        tell_spans(data, spans, named, label, at, COLLAR if collar is None else collar, json=json)
        return
    for name, value in (("--label", label), ("--false-alarms", false_alarms), ("--collar", collar)):
        if value is not None:
            raise UsageError(f"{name} goes with --spans")
    # Whatever is wrong with the request is found before time is spent on it.
    names = list(dict.fromkeys(encoder or bundled_for("sounds")))
    encoders = {name: checked_encoder(name) for name in names}
    # Not under the page's name with .json alone: that is the card's of a model that is called like the page.
    facts = report.with_suffix(".figures.json") if report is not None else None
    if report is not None:
        check_target(report, facts)
    dataset = read_dataset(data, columns(path_column, label_column, split_column, group_column))
    if dataset.note:
        complain(f"note: {dataset.note}")
    _check_split(dataset, queries)
    asking, searched = _roles(dataset.clips, queries)
    check_measurable(
        [clip.label for clip in dataset.clips],
        [clip.group for clip in dataset.clips],
        queries=asking,
        searched=searched,
    )

    notes: list[tuple[str, Note]] = []
    embedded = {name: _embed(dataset.clips, name, jobs, lambda *note: notes.append(note)) for name in names}
    tell = note_teller()
    for path, note in dict.fromkeys(notes):  # each encoder has them
        tell(path, note)
    failed = {name: message for *_, bad in embedded.values() for name, message in bad.items()}
    for message in failed.values():
        complain(f"warning: {message}")
    clips = [clip for clip in dataset.clips if clip.name not in failed]
    if not clips:
        complain("none of the clips can be compared")
        raise typer.Exit(1)
    asking, searched = _roles(clips, queries)
    measured = []
    for name, (vectors, speed, _) in embedded.items():
        stacked = np.stack([vectors[clip.name] for clip in clips])
        figures = measure(
            stacked,
            [clip.label for clip in clips],
            [clip.group for clip in clips],
            [str(clip.path) for clip in clips],
            queries=asking,
            searched=searched,
        )
        shown = stacked if asking is None else stacked[asking]
        measured.append(Measured(shorten(name), stacked.shape[1], figures, shown, speed))

    of_queries = [clip.path for row, clip in enumerate(clips) if asking is None or asking[row]]
    known = _known(encoders, of_queries)
    flattered = _flattered(known, len(of_queries))
    for sentence in flattered:
        complain(f"warning: {sentence}, so that its figures flatter it")

    if json:
        for each in measured:
            n_taught, n_held_out = known[each.name]
            counts = {"n_taught": n_taught, "n_held_out": n_held_out}
            print_json(figures_of(each, measured[0]) | counts)
    else:
        _print_table(measured)
    if report is not None:
        write_report(
            report,
            Report(
                data=dataset.name,
                date=date.today().isoformat(),
                protocol=_protocol(queries),
                encoders=measured,
                facts=({"Left out": f"{counted(len(failed), 'file')} that cannot be read"} if failed else {})
                | ({"Note": dataset.note} if dataset.note else {})
                | ({"Heard before": "; ".join(flattered)} if flattered else {}),
            ),
            facts,
        )
        complain(f"report: {shorten(str(report))}")
    if failed:
        raise typer.Exit(1)


def _check_split(dataset: Dataset, queries: str | None) -> None:
    if queries is None:
        return
    splits = sorted({clip.split for clip in dataset.clips} - {""})
    if queries not in splits:
        there = f"its splits are {', '.join(map(repr, splits))}" if splits else "it has no splits"
        raise UsageError(f"no clip of {dataset.name} is of the split {queries!r}; {there}")
    if all(clip.split == queries for clip in dataset.clips):
        raise UsageError(
            f"all clips of {dataset.name} are of the split {queries!r}, so that nothing is left to search; "
            "without --queries each clip asks for all the others"
        )


def _roles(clips: Sequence[Clip], queries: str | None) -> tuple[Mask, Mask] | tuple[None, None]:
    """Tell which clips ask and which are searched; None for all of them."""
    import numpy as np

    if queries is None:
        return None, None
    asking = np.array([clip.split == queries for clip in clips])
    return asking, ~asking


def _known(encoders: Mapping[str, Encoder], asking: Sequence[Path]) -> dict[str, tuple[int, int]]:
    """Count, for each encoder, the clips that ask which it was taught, and those that chose it."""
    from echoic.encoders.card import read_card
    from echoic.encoders.onnx import OnnxEncoder
    from echoic.evaluation.taught import Taught, count_taught, digest_clips, read_taught

    taught = {
        shorten(name): read_taught(read_card(encoder.path).get("training"))
        if isinstance(encoder, OnnxEncoder)
        else Taught()
        for name, encoder in encoders.items()
    }
    digests = digest_clips(asking) if any(taught.values()) else []
    return {name: count_taught(of, digests) for name, of in taught.items()}


def _flattered(known: Mapping[str, tuple[int, int]], n_asking: int) -> list[str]:
    """Say of which encoders the figures are better than on clips that they have not heard."""
    said = []
    for name, (n_taught, n_held_out) in known.items():
        was = [f"was taught {n_taught}"] if n_taught else []
        was += [f"was chosen by {n_held_out}"] if n_held_out else []
        if was:
            said.append(f"{name} {' and '.join(was)} of the {counted(n_asking, 'clip')} that ask")
    return said


def _protocol(queries: str | None) -> str:
    if queries is None:
        return "Each clip asks for all the others; none finds itself or another of its own group."
    return f"The clips of split {queries} ask for all others; none finds another of its own group."


def _embed(
    clips: Sequence[Clip], encoder: str, jobs: int | None, noted: Callable[[str, Note], None]
) -> tuple[dict[str, Float32], float | None, dict[str, str]]:
    """Compute the mean vector of each clip.

    Returns
    -------
    vectors : dict of str to ndarray, shape (dim,)
        By the clips' names.
    speed : float, optional
        Seconds of audio handled in a second; None of too little to tell.
    failed : dict of str to str
        Clips that could not be read, with one sentence each.
    """
    from echoic.analysis.files import embed
    from echoic.encoders.base import mean_vector

    paths = [clip.path for clip in clips if not clip.is_part]
    last: list[Progress] = []
    with progress_bar(f"encoding with {shorten(encoder)}") as show:

        def progress(now: Progress) -> None:
            last[:] = [now]
            show(now)

        found: dict[str, Segments] = {}
        failed: dict[str, str] = {}
        if paths:
            found, failed = embed(paths, encoder=encoder, jobs=jobs, noted=noted, progress=progress)
        vectors = {path: mean_vector(segments.vectors) for path, segments in found.items()}
        parts, unread = _embed_parts([clip for clip in clips if clip.is_part], encoder, noted, show)
    vectors |= parts
    failed |= unread
    speed = last[0].audio / last[0].elapsed if last and last[0].audio > _TELLING else None
    return vectors, speed, failed


def _embed_parts(
    clips: Sequence[Clip],
    encoder: str,
    noted: Callable[[str, Note], None],
    show: Callable[[Progress], None],
) -> tuple[dict[str, Float32], dict[str, str]]:
    """Compute the mean vector of each part of a file, by the clips' names, and say which cannot be read."""
    from echoic.analysis.excerpts import embed_part
    from echoic.encoders.base import mean_vector
    from echoic.encoders.registry import checked_encoder
    from echoic.errors import AudioError, quoted

    vectors: dict[str, Float32] = {}
    failed: dict[str, str] = {}
    loaded = checked_encoder(encoder)
    begun = time.perf_counter()
    for done, clip in enumerate(clips, start=1):
        try:
            tell = partial(noted, str(clip.path))
            segments = embed_part(clip.path, loaded, clip.start, clip.end, noted=tell)
        except AudioError as error:
            failed[clip.name] = str(error)
            continue
        if len(segments):
            vectors[clip.name] = mean_vector(segments.vectors)
        else:
            failed[clip.name] = f"{quoted(clip.name)} has no vector: no sound in this part of it"
        show(Progress(clip.name, done, len(clips), done, len(clips), 0.0, time.perf_counter() - begun))
    return vectors, failed


def _print_table(measured: Sequence[Measured]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from echoic.evaluation.labelled import compare

    def spelt(of: Estimate) -> Text:
        return Text.assemble(f"{of.value:.3f}\n", (f"{of.low:.3f}–{of.high:.3f}", "dim"))

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("encoder", overflow="fold")
    for head in ("P@1", "kNN-5", "mAP@10", "mAP"):
        table.add_column(head, no_wrap=True, min_width=len("0.000–0.000"))
    for head in ("dim", "speed"):
        table.add_column(head, justify="right", no_wrap=True)
    for encoder in measured:
        figures = encoder.figures
        table.add_row(
            Text(encoder.name),
            spelt(figures.precision_at_1),
            spelt(figures.knn_accuracy),
            spelt(figures.mean_average_precision_at_10),
            spelt(figures.mean_average_precision),
            str(encoder.dim),
            "–" if encoder.speed is None else f"{encoder.speed:.0f}x",
        )
    Console(file=sys.stdout, highlight=False).print(table)
    first = measured[0]
    say(
        f"\n{first.figures.n_measured} of {counted(first.figures.n_queries, 'clip')} have something to find "
        f"among {first.figures.n_searched}; ranges are 95 % intervals"
    )
    for encoder in measured[1:]:
        difference = compare(encoder.figures, first.figures)
        chance = _FINDINGS[difference.finding]
        say(
            f"{encoder.name} against {first.name}: P@1 {difference.value:+.3f} "
            f"({difference.low:+.3f} to {difference.high:+.3f}), {chance}"
        )
