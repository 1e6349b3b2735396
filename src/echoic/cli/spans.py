"""What ``echoic evaluate --spans`` does: hits against parts of files that are known."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from echoic.cli.output import complain, counted, print_json, say
from echoic.errors import AudioError, UnreadableError, UsageError, quoted
from echoic.interchange.hits import Span, read_spans

if TYPE_CHECKING:
    from echoic.datasets import Columns, Dataset
    from echoic.evaluation.detection import Call

__all__ = ["tell_spans"]

_SLACK = 1.0  # s by which a span may go on behind a file: labels are drawn by hand


def tell_spans(
    data: Path,
    hits: Path,
    columns: Columns,
    label: str | None,
    false_alarms: float,
    collar: float,
    *,
    json: bool,
) -> None:
    """Compare hits with what is known, and print the figures."""
    from echoic.audio.tags import folded
    from echoic.datasets import read_dataset
    from echoic.evaluation.detection import Told, detect

    dataset = read_dataset(data, columns)
    if dataset.note:
        complain(f"note: {dataset.note}")
    calls = _calls(dataset, label)
    told = _read(hits)
    if label is not None:
        told = [one for one in told if not one.label or folded(one.label) == folded(label)]
    files = {str(clip.path) for clip in dataset.clips} | {os.path.abspath(one.path) for one in told}
    lasts = {path: _seconds(path) for path in sorted(files)}
    _check_inside("a label", data, ((call.path, call.start, call.end) for call in calls), lasts)
    _check_inside("a hit", hits, ((os.path.abspath(one.path), one.start, one.end) for one in told), lasts)
    hours = sum(lasts.values()) / 3600
    figures = detect(
        calls,
        [
            Told(os.path.abspath(one.path), one.start, one.end, 1.0 if one.score is None else one.score)
            for one in told
        ],
        hours,
        false_alarms=false_alarms,
        collar=collar,
    )
    if json:
        line = asdict(figures) | {"false_alarms_an_hour": false_alarms, "collar": collar}
        print_json({name: _as_json(value) for name, value in line.items()})
        return
    recall = figures.recall
    is_all = figures.threshold == -math.inf
    of_what = "of all that was told" if is_all else f"by scores above {figures.threshold:.3f}"
    say(f"{counted(figures.n_calls, 'call')} in {hours:.2f} h, {counted(figures.n_hits, 'hit')}")
    say(
        f"recall {recall.value:.3f} ({recall.low:.3f}–{recall.high:.3f}) at {false_alarms:g} false alarms an "
        f"hour, {of_what}"
    )
    say(f"average precision {figures.average_precision:.3f}")
    if figures.f1:
        say(
            f"event-based F1 {figures.f1:.3f} (precision {figures.precision_of_f1:.3f}, recall "
            f"{figures.recall_of_f1:.3f}), collar {collar:g} s, by scores from {figures.threshold_of_f1:.3f}"
        )
    else:
        say(f"event-based F1 0.000, collar {collar:g} s")
    if math.isfinite(figures.ends):
        say(f"begins and ends are off by {figures.ends:.3f} s in the median")


def _as_json(value: object) -> object:
    """Leave out infinity and what is no number, which JSON does not know."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _calls(dataset: Dataset, label: str | None) -> list[Call]:
    from echoic.audio.tags import folded
    from echoic.datasets import name_some
    from echoic.evaluation.detection import Call

    whole = next((clip for clip in dataset.clips if clip.end is None), None)
    if whole is not None:
        raise UsageError(
            f"{dataset.name} says not from when to when in {quoted(whole.path)}; give start and end for each "
            "row, label tracks or a selection table"
        )
    if label is None and len(dataset.labels) > 1:
        raise UsageError(
            f"{dataset.name} has the labels {name_some(dataset.labels)}; say which is meant: --label NAME"
        )
    calls = [
        Call(str(clip.path), clip.start or 0.0, clip.end)
        for clip in dataset.clips
        if clip.end is not None and (label is None or folded(clip.label) == folded(label))
    ]
    if not calls:
        raise UsageError(
            f"nothing is labelled {label!r} in {dataset.name}; it has {name_some(dataset.labels)}"
        )
    return calls


def _read(hits: Path) -> list[Span]:
    try:
        with hits.open(encoding="utf-8", errors="replace") as lines:
            return list(read_spans(lines))
    except OSError as error:
        raise UnreadableError(f"{quoted(hits)} cannot be read ({error.strerror})") from error


def _check_inside(
    what: str, of: Path, spans: Iterable[tuple[str, float, float]], lasts: dict[str, float]
) -> None:
    """Refuse spans that files do not have, as of another recording of the same name."""
    for path, start, end in spans:
        if end > lasts[path] + _SLACK:
            lasts[path] = _seconds(path, stated=False)  # what is stated may be a guess
        if end > lasts[path] + _SLACK:
            raise UsageError(
                f"{what} in {quoted(of)} goes from {start:g} s to {end:g} s, and {quoted(path)} lasts "
                f"{lasts[path]:.2f} s; correct it, or put that file back which it is of"
            )


def _seconds(path: str, *, stated: bool = True) -> float:
    """Tell how long a file is, as it says itself, or else as it is decoded."""
    from echoic.audio.decode import open_audio

    try:
        with open_audio(path) as stream:
            seconds = stream.stated_duration if stated else None
            if seconds is None:
                seconds = sum(len(block) for block in stream.blocks()) / stream.sample_rate
            return seconds
    except AudioError as error:
        raise UsageError(
            f"{error}; all files that are named must be there, as false alarms are told by the hour"
        ) from error
