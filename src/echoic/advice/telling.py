"""Advice in words."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from echoic.advice.result import Advice, Candidate, Index

__all__ = ["command", "sentence", "spell_hours", "spell_time"]

_STORES: dict[Index, str] = {
    "exact": "the embedded store, every segment compared",
    "index": "the embedded store, through its index",
    "milvus": "a Milvus server, as its vectors outgrow this machine's memory",
}
_FEW = 50  # files: of fewer, a mAP may be off by .1 and more
_SERVER = "http://SERVER:19530"


def command(advice: Advice, folders: Sequence[str]) -> str:
    """Spell the command that indexes folders as advised; none if nothing is."""
    if advice.encoder is None:
        return ""
    words = ["echoic", "index", *folders]
    for name in (advice.encoder, *advice.also):
        words += ["--encoder", name]
    if advice.store == "milvus":
        words += ["--store", _SERVER]
    return shlex.join(words)


def sentence(advice: Advice) -> str:
    """Say in a sentence what is advised, and why."""
    compared = [one for one in advice.candidates if one.mean_average_precision is not None]
    if advice.encoder is None:
        quickest = min(compared, key=lambda one: one.latency)
        names = [one.encoder for one in compared]
        none = f"None of {', '.join(names)} keeps" if len(names) > 1 else f"{names[0]} does not keep"
        takes = "" if quickest.memory is None else f" and takes {quickest.memory:.0f} MB"
        best = f"{quickest.encoder}, the quickest," if len(names) > 1 else "it"
        return f"{none} to what you ask for: {best} answers in {1000 * quickest.latency:.0f} ms{takes}."
    chosen, *others = compared
    also = (
        f", with {' and '.join(advice.also)} to know recordings and versions of music" if advice.also else ""
    )
    return (
        f"Index with {chosen.encoder}{also}, in {_STORES[advice.store]}: {_why(advice, chosen, others)}, and "
        f"{spell_time(advice.indexing)} of indexing for {spell_hours(advice.hours)} hours of sound on "
        f"{advice.jobs} {'core' if advice.jobs == 1 else 'cores'}."
    )


def _why(advice: Advice, chosen: Candidate, others: list[Candidate]) -> str:
    by = "by your labels" if advice.measure == "labels" else "guessed by copies and cuts, without labels"
    few = f" from only {advice.sample} files" if advice.sample < _FEW else ""
    figures = f"mAP {chosen.mean_average_precision:.2f} {by}{few}"
    if chosen.taught:
        figures += f" (it was taught or chosen by {chosen.taught} of these files, which flatters it)"
    if not others:
        return figures
    best = max(others, key=lambda one: one.mean_average_precision or 0.0)
    return f"{figures}, where {best.encoder} has {best.mean_average_precision:.2f}"


def spell_hours(hours: float) -> str:
    """Spell so many hours: 0.158, 12.5, 1,200."""
    return f"{hours:.3g}" if hours < 1000 else f"{hours:,.0f}"


def spell_time(seconds: float) -> str:
    """Spell how long something takes: 40 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 1 else "less than 1 s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
