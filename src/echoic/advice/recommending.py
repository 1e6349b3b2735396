"""Advice on a collection: which encoders, which store, and how long it takes, measured on a sample of it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from echoic.advice.result import Advice, Candidate, Index
from echoic.advice.telling import command, sentence
from echoic.arguments import checked
from echoic.errors import EncoderError, UsageError
from echoic.types import Progress, StrPath

if TYPE_CHECKING:
    import numpy.typing as npt

    from echoic.advice.collection import Collection
    from echoic.advice.listening import Sample
    from echoic.advice.trial import Trial
    from echoic.encoders.head import Head

    Float64 = npt.NDArray[np.float64]

__all__ = ["recommend"]

_AS_GOOD = 0.01  # of mAP: what is this near to the best is taken for as good, and the quickest of it advised
_MUCH = 0.3  # of a collection: from here on music brings encoders of its own
_OF_MUSIC = frozenset({"recordings", "versions"})
_MEGABYTE = 1e6
_MOST_HOURS = 10e6


@checked
def recommend(
    folder: StrPath,
    *,
    encoders: Sequence[str] | None = None,
    labels: bool = True,
    columns: Mapping[str, str] | None = None,
    hours: float | None = None,
    latency: float | None = None,
    memory: float | None = None,
    jobs: int | None = None,
    progress: Callable[[Progress], None] | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Advice:
    """Say which encoders and which store suit a collection, and how long indexing it takes on this machine.

    All is measured on cuts of up to 10 s of a sample of its files, by each encoder that is installed and
    finds sounds by example. With labels each file of the sample looks for others of its label, and never
    finds one of its own group. Without any, which finds best is only guessed: by how well two cuts of one
    recording, and degraded copies of it, find each other among all others.

    Parameters
    ----------
    folder : str or path
        A folder, with a sub-folder for each class where its files are labelled, or a manifest (.csv or .tsv).
    encoders : str or sequence of str, optional
        Names, or paths of ``.onnx`` models; by default all that are installed.
    labels : bool
        Whether to measure by labels, where there are any.
    columns : mapping of str to str, optional
        What the columns of a manifest are called, by ``"path"``, ``"label"``, ``"group"``.
    hours : float, optional
        Of sound that the collection will have; by default what it has.
    latency : float, optional
        Seconds in which a search by example has to be answered.
    memory : float, optional
        Megabytes that a search may take; by default the half of the machine's memory.
    jobs : int, optional
        Worker processes that will index; by default one for each core.
    progress : callable, optional
        Called after each file.
    told : callable, optional
        Called with each sentence on what was left out.

    Returns
    -------
    Advice

    Raises
    ------
    DatasetError
        If the folder or manifest is not there, or nothing of it can be heard.
    UnknownEncoderError, EncoderError
        If an encoder that was named is not there, or any fails.
    UsageError
        If an argument makes no sense.

    Examples
    --------
    >>> from echoic import recommend
    >>> recommend("field-recordings", latency=0.05).sentence  # doctest: +SKIP
    """
    from echoic.advice.collection import durations, read_collection
    from echoic.advice.listening import Sample
    from echoic.advice.stores import machine_memory
    from echoic.analysis.workers import n_workers

    for name, value in (("hours", hours), ("latency", latency), ("memory", memory)):
        if value is not None and not 0 < value < math.inf:
            raise UsageError(f"{name} is a number above 0, and not {value:g}")
    if hours is not None and hours > _MOST_HOURS:
        raise UsageError(f"hours are at most {_MOST_HOURS:,.0f}, a thousand years, and not {hours:g}")
    room = machine_memory() / _MEGABYTE if memory is None else memory
    limits = _Limits(math.inf if latency is None else latency, room)
    n_jobs = n_workers(jobs)
    named = _named(encoders)
    collection = read_collection(Path(folder), columns or {}, labels=labels)
    for note in collection.notes:
        told(note)
    trials = _trials(named, is_asked=encoders is not None, told=told)
    finding = [trial for trial in trials if "sounds" in trial.spec.purposes]
    if not finding:
        raise EncoderError("none of the encoders that are installed can be used; see echoic encoders")
    sample = Sample(collection, trials, finding, _listener(trials))
    sample.listen(progress)
    seconds = durations(collection, sample.durations)
    plan = _Plan(seconds, 1.0 if hours is None else hours * 3600 / float(seconds.sum()), n_jobs, limits)
    return _advice(os.fspath(folder), collection, sample, trials, plan)


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a search may take: seconds, and megabytes."""

    latency: float
    memory: float


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What is to be indexed, (files,) seconds each, so many times over, and by how many workers."""

    durations: Float64
    growth: float
    jobs: int
    limits: _Limits

    @property
    def seconds(self) -> float:
        return float(self.durations.sum()) * self.growth


def _named(encoders: Sequence[str] | None) -> list[str]:
    """Name the encoders that are tried: those asked for, or all but those that find nothing by example."""
    from echoic.encoders.registry import available, checked_encoder

    if encoders is not None:
        names = list(dict.fromkeys(encoders))
        if not names:
            raise UsageError("encoders names none; give one, or leave it out for all that are installed")
        for name in names:
            purposes = checked_encoder(name).spec.purposes
            if "sounds" not in purposes:
                raise UsageError(
                    f"the encoder {name} is for {', '.join(sorted(purposes))} and not for sounds by example, "
                    "so that it cannot be compared; leave it out"
                )
        return names
    return [entry.name for entry in available()]


def _trials(names: Sequence[str], *, is_asked: bool, told: Callable[[str], None]) -> list[Trial]:
    """Load encoders; one that was not asked for and fails is left out, which is told."""
    from echoic.advice.footprint import process_memory
    from echoic.advice.trial import Trial
    from echoic.analysis.pipeline import try_encoder
    from echoic.encoders.registry import checked_encoder

    trials = []
    for name in names:
        try:
            encoder = checked_encoder(name)
            if encoder.spec.by == "event":  # how many windows it encodes, no sample of windows tells
                continue
            try_encoder(encoder)
            finds = "sounds" in encoder.spec.purposes
            trials.append(Trial(name, encoder, process_memory(name) if finds else None))
        except EncoderError as error:
            if is_asked:
                raise
            told(f"left out: {error}")
    return trials


def _listener(trials: Sequence[Trial]) -> tuple[Trial, Head]:
    """Choose what tells kinds of sound: an encoder that is tried anyway, or the bundled one."""
    from echoic.advice.trial import Trial
    from echoic.encoders.onnx import OnnxEncoder
    from echoic.encoders.registry import DEFAULT_ENCODERS, load_encoder

    bundled = DEFAULT_ENCODERS[0]
    for trial in (*trials, Trial(bundled, load_encoder(bundled))):
        head = trial.encoder.head if isinstance(trial.encoder, OnnxEncoder) else None
        if trial.name == bundled and head is not None:
            return trial, head
    raise EncoderError(f"the encoder {bundled} has nothing to tell kinds of sound by")


def _advice(
    folder: str, collection: Collection, sample: Sample, trials: Sequence[Trial], plan: _Plan
) -> Advice:
    """Put together what was measured, and choose."""
    pace = sample.decoding / sample.seconds
    finding = _finding(sample)
    taught = _taught(sample, trials)
    tried = [
        _candidate(trial, finding.get(trial.name), taught.get(trial.name, 0), pace, plan) for trial in trials
    ]
    compared = [one for one in tried if one.mean_average_precision is not None]
    chosen = _chosen(compared, plan.limits)
    told = [
        one if one == chosen else replace(one, against=_against(one, chosen, plan.limits)) for one in compared
    ]
    ranked = sorted(told, key=lambda one: (bool(one.against), -_figure(one)))
    kinds = sample.kinds
    is_music = kinds["music"] >= _MUCH
    beside = [one for one in tried if one.mean_average_precision is None and _OF_MUSIC & {*one.purposes}]
    also = tuple(one.encoder for one in beside if is_music and chosen is not None)
    advised = [trial for trial in trials if chosen is not None and trial.name in (chosen.encoder, *also)]
    indexing = (
        plan.growth
        / plan.jobs
        * (pace * float(plan.durations.sum()) + sum(trial.indexing(plan.durations) for trial in advised))
    )
    advice = Advice(
        folder=folder,
        files=len(collection.sizes),
        hours=plan.seconds / 3600,
        sample=len({clip.path for clip in sample.clips}),
        sample_seconds=sample.seconds,
        kinds=kinds,
        measure="labels" if collection.labelled else "copies",
        labels=len({clip.label for clip in sample.clips} - {""}),
        jobs=plan.jobs,
        candidates=(*ranked, *(one for one in beside if is_music)),
        encoder=None if chosen is None else chosen.encoder,
        also=also,
        store="exact" if chosen is None else chosen.store,
        indexing=indexing if advised else 0.0,
        command="",
        sentence="",
        failed=dict(sample.failed),
    )
    advice = replace(advice, command=command(advice, _places(folder, collection)))
    return replace(advice, sentence=sentence(advice))


def _places(folder: str, collection: Collection) -> list[str]:
    """Tell what is to be indexed: the folder, or those in which the files of a manifest lie."""
    if os.path.isdir(folder):  # noqa: PTH112 - the other raises where a folder above is closed
        return [folder]
    folders = {path.parent for path in collection.sizes}
    return [str(one) for one in sorted(folders) if folders.isdisjoint(one.parents)]


def _finding(sample: Sample) -> dict[str, tuple[float, float]]:
    """Measure how well each encoder finds: mean average precision, and precision at 1."""
    from echoic.evaluation.labelled import check_measurable, measure

    if sample.likeness is not None:
        return {name: sample.likeness.figures(name) for name in sample.points}
    labels, groups = [clip.label for clip in sample.clips], [clip.group for clip in sample.clips]
    check_measurable(labels, groups)
    found = {}
    for name, points in sample.points.items():
        figures = measure(np.stack(points), labels, groups, [str(clip.path) for clip in sample.clips])
        found[name] = figures.mean_average_precision.value, figures.precision_at_1.value
    return found


def _taught(sample: Sample, trials: Sequence[Trial]) -> dict[str, int]:
    """Count, for each encoder, the files of the sample that it was taught or chosen by."""
    from echoic.encoders.card import read_card
    from echoic.encoders.onnx import OnnxEncoder
    from echoic.evaluation.taught import count_taught, digest_clips, read_taught

    known = {
        trial.name: read_taught(read_card(trial.encoder.path).get("training"))
        for trial in trials
        if isinstance(trial.encoder, OnnxEncoder)
    }
    digests = digest_clips({clip.path for clip in sample.clips}) if any(known.values()) else []
    return {name: sum(count_taught(of, digests)) for name, of in known.items()}


def _candidate(
    trial: Trial, finding: tuple[float, float] | None, taught: int, pace: float, plan: _Plan
) -> Candidate:
    from echoic.advice.stores import bytes_on_disk, bytes_searched, index_for, search_seconds

    spec, limits = trial.spec, plan.limits
    n_segments = round(trial.segments(plan.durations) * plan.growth)
    of_one = pace * float(plan.durations.sum()) + trial.indexing(plan.durations)
    store: Index = index_for(spec, n_segments, (limits.memory - (trial.memory or 0.0)) * _MEGABYTE)
    searched = 0.0 if store == "milvus" else bytes_searched(spec, n_segments) / _MEGABYTE
    asking = float(np.median(trial.latencies)) if trial.latencies else math.nan
    return Candidate(
        encoder=trial.name,
        purposes=tuple(sorted(spec.purposes)),
        mean_average_precision=None if finding is None else round(finding[0], 4),
        precision_at_1=None if finding is None else round(finding[1], 4),
        speed=float(plan.durations.sum()) / of_one,
        indexing=of_one * plan.growth / plan.jobs,
        latency=asking + search_seconds(spec, n_segments, trial.queries),
        memory=None if trial.memory is None else trial.memory + searched,
        disk=bytes_on_disk(spec, n_segments) / _MEGABYTE,
        segments=n_segments,
        store=store,
        taught=taught,
    )


def _chosen(candidates: Sequence[Candidate], limits: _Limits) -> Candidate | None:
    """Choose the quickest of those that find best, as far as they keep to the limits; None if none does."""
    fit = [one for one in candidates if _keeps(one, limits)]
    if not fit:
        return None
    best = max(map(_figure, fit))
    return min((one for one in fit if _figure(one) >= best - _AS_GOOD), key=lambda one: one.indexing)


def _keeps(candidate: Candidate, limits: _Limits) -> bool:
    return candidate.latency <= limits.latency and (candidate.memory or 0.0) <= limits.memory


def _figure(candidate: Candidate) -> float:
    figure = candidate.mean_average_precision
    return -math.inf if figure is None or math.isnan(figure) else figure


def _against(candidate: Candidate, chosen: Candidate | None, limits: _Limits) -> str:
    """Say why a candidate was not chosen."""
    if candidate.latency > limits.latency:
        return "too slow to ask"
    if (candidate.memory or 0.0) > limits.memory:
        return "takes too much memory"
    if chosen is not None and _figure(candidate) >= _figure(chosen) - _AS_GOOD:
        return "no better, and slower"
    return "finds less"
