"""A page that shows how well sounds are found: one HTML file, and the same facts as JSON beside it.

The page needs no network and no other file. Its sounds are links to where they lie on this computer.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from echoic.errors import EchoicError, UsageError, quoted
from echoic.evaluation.labelled import ClassFigures, LabelledFigures, QueryFigures, compare
from echoic.evaluation.page import FIGURES, render
from echoic.evaluation.projection import project
from echoic.files import written_whole
from echoic.types import Float32

__all__ = ["Curves", "Measured", "Report", "check_target", "figures_of", "write_report"]

_FORMAT = "echoic report"
_VERSION = 1
_PAGES = (".html", ".htm")

_MOST_MAPPED = 1500
_MOST_PAIRS = 12
_SAMPLES = {"worst": 6, "median": 3, "best": 3}


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One encoder's part of a report.

    Parameters
    ----------
    name : str
    dim : int
        Length of its vectors.
    figures : LabelledFigures
    vectors : ndarray of float32, shape (queries, dim), optional
        Of the queries, in the order of ``figures.queries``; without them there is no map.
    speed : float, optional
        Seconds of audio handled in a second, decoding included.
    """

    name: str
    dim: int
    figures: LabelledFigures
    vectors: Float32 | None = None
    speed: float | None = None

    def __post_init__(self) -> None:
        if self.vectors is not None and self.vectors.shape != (len(self.figures.queries), self.dim):
            raise ValueError(
                f"{len(self.figures.queries)} queries of {self.dim} dimensions do not fit vectors of shape "
                f"{self.vectors.shape}"
            )


@dataclass(frozen=True, slots=True)
class Curves:
    """How a training went, epoch by epoch; NaN where nothing was measured."""

    epochs: Sequence[int]
    loss: Sequence[float]
    mean_average_precision: Sequence[float]


@dataclass(frozen=True, slots=True)
class Report:
    """What a page tells.

    Parameters
    ----------
    data : str
        Name of what was measured on; the title.
    date : str
        Day of the measurement, as it shall be printed.
    protocol : str
        Who asks and what is searched, one sentence.
    encoders : sequence of Measured
        One or more, asked the same; the others are compared with the first.
    curves : Curves, optional
        Of the training that made the first encoder.
    facts : mapping of str to str
        Further lines of the header: recipe, licences …
    """

    data: str
    date: str
    protocol: str
    encoders: Sequence[Measured]
    curves: Curves | None = None
    facts: Mapping[str, str] = field(default_factory=dict)


def write_report(path: Path, report: Report, figures: Path | None = None) -> None:
    """Write a page, and its facts as JSON.

    Each file is there whole or not at all.

    Parameters
    ----------
    path : Path
        Of the page; ends in ``.html``.
    report : Report
    figures : Path, optional
        Of the facts; by default beside the page, under its name with the suffix ``.json``.

    Raises
    ------
    UsageError
        As :func:`check_target`.
    EchoicError
        If the files cannot be written.
    """
    check_target(path, figures)
    beside = _figures_path(path, figures)
    facts = _facts(report)
    _write(beside, json.dumps(facts, indent=1, allow_nan=False) + "\n")
    _write(path, render(facts, beside.name))


def check_target(path: Path, figures: Path | None = None) -> None:
    """See to it that a report can be written to a path, before there is one to write.

    Parameters
    ----------
    path, figures
        As for :func:`write_report`.

    Raises
    ------
    UsageError
        If its folder does not exist, or another file would be lost.
    """
    if not path.parent.is_dir():
        raise UsageError(f"the folder of {quoted(path)} does not exist; make it first")
    if path.suffix.lower() not in _PAGES or path.is_dir():  # of another kind may be a model, or a recording
        raise UsageError(f"{quoted(path)} cannot be a report; give it a name that ends in .html")
    beside = _figures_path(path, figures)
    if os.path.lexists(beside) and not _is_ours(beside):
        # The card of a model, say, which makes the model unusable when it is gone.
        raise UsageError(
            f"the figures would be written to {quoted(beside)}, which is something else; choose another name"
        )


def _figures_path(page: Path, figures: Path | None) -> Path:
    return page.with_suffix(".json") if figures is None else figures


def _is_ours(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text("utf-8"))["format"] == _FORMAT)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _write(path: Path, content: str) -> None:
    try:
        with written_whole(path) as partial:
            partial.write_text(content, "utf-8")
    except OSError as error:
        raise EchoicError(
            f"the report cannot be written to {quoted(path)} ({error.strerror}); choose another place"
        ) from error


# What is told


def _facts(report: Report) -> dict[str, Any]:
    first = report.encoders[0]
    facts = {
        "format": _FORMAT,
        "version": _VERSION,
        "data": report.data,
        "date": report.date,
        "protocol": report.protocol,
        "facts": dict(report.facts),
        "n_classes": len(first.figures.labels),
        "curves": None if report.curves is None else asdict(report.curves),
        "encoders": [_encoder_facts(encoder, first) for encoder in report.encoders],
    }
    finite: dict[str, Any] = _finite(facts)
    return finite


def figures_of(encoder: Measured, first: Measured) -> dict[str, Any]:
    """Spell out one encoder's overall figures for JSON, and how it differs from the first."""
    figures = encoder.figures
    difference = None
    if encoder is not first:
        found = compare(figures, first.figures)
        difference = {"from": first.name, **asdict(found), "finding": found.finding}
    return {
        "name": encoder.name,
        "dim": encoder.dim,
        "speed": encoder.speed,
        "n_queries": figures.n_queries,
        "n_measured": figures.n_measured,
        "n_searched": figures.n_searched,
        "n_groups": figures.n_groups,
        **{name: asdict(getattr(figures, name)) for name in FIGURES},
        "difference_of_precision_at_1": difference,
    }


def _encoder_facts(encoder: Measured, first: Measured) -> dict[str, Any]:
    figures = encoder.figures
    return {
        **figures_of(encoder, first),
        "classes": [asdict(of) for of in sorted(figures.classes, key=_worst_first)],
        "confusion": {"labels": figures.labels, "counts": figures.confusion.tolist()},
        "most_confused": [asdict(pair) for pair in figures.most_confused(_MOST_PAIRS)],
        "samples": {kind: [asdict(query) for query in of] for kind, of in _samples(figures).items()},
        "map": None if encoder.vectors is None else _map(encoder.vectors, figures.queries),
    }


def _worst_first(of: ClassFigures) -> tuple[bool, float, str]:
    return (math.isnan(of.average_precision), of.average_precision, of.label)


def _samples(figures: LabelledFigures) -> dict[str, list[QueryFigures]]:
    """Choose the queries to show: the worst, middling and best, of different classes where possible."""
    ranked = sorted(
        (query for query in figures.queries if not math.isnan(query.average_precision)),
        key=lambda query: (query.average_precision, query.path),
    )
    middle = len(ranked) / 2
    by_distance = sorted(range(len(ranked)), key=lambda place: (abs(place + 0.5 - middle), place))
    orders = {"worst": ranked, "best": ranked[::-1], "median": [ranked[place] for place in by_distance]}
    taken: set[str] = set()
    chosen: dict[str, list[QueryFigures]] = {}
    for kind, order in orders.items():
        of_kind: list[QueryFigures] = []
        for once in (True, False):  # first one of a class, then whatever is left
            for query in order:
                seen = {other.label for other in of_kind}
                if query.path in taken or (once and query.label in seen) or len(of_kind) == _SAMPLES[kind]:
                    continue
                of_kind.append(query)
                taken.add(query.path)
        chosen[kind] = of_kind
    return {kind: chosen[kind] for kind in _SAMPLES}


def _map(vectors: Float32, queries: Sequence[QueryFigures]) -> dict[str, Any]:
    """Project the queries, or as many as fit on a page, evenly from all classes."""
    by_label = sorted(range(len(queries)), key=lambda number: queries[number].label)
    picked = np.linspace(0, len(queries) - 1, min(len(queries), _MOST_MAPPED)).round().astype(int)
    rows = sorted(by_label[place] for place in picked)
    projection = project(vectors[rows])
    return {
        "method": projection.method,
        "points": [
            {
                "path": queries[row].path,
                "label": queries[row].label,
                "voted": queries[row].voted,
                "x": round(float(x), 4),
                "y": round(float(y), 4),
            }
            for row, (x, y) in zip(rows, projection.points, strict=True)
        ],
    }


def _finite(value: Any) -> Any:
    """Put null for NaN and infinity, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
