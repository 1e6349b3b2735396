"""The page of a report: HTML made of its facts alone, which are what the JSON beside it holds.

``templates/report.html`` says how it looks. Whatever comes from outside is escaped there by Jinja.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from echoic.evaluation.charts import heat_map, line_chart, printable, scatter, shortened

__all__ = ["FIGURES", "render"]

Facts = Mapping[str, Any]

#: What each figure is called in a table, and what it says.
FIGURES = {
    "precision_at_1": ("P@1", "how often the nearest clip is of the query's class"),
    "precision_at_5": ("P@5", "how many of the five nearest clips are of the query's class"),
    "knn_accuracy": ("kNN-5", "how often the five nearest clips, by vote, name the query's class"),
    "mean_average_precision_at_10": ("mAP@10", "how near the top its class stands, within the first ten"),
    "mean_average_precision": ("mAP", "how near the top its class stands, down to the last of them"),
}


def render(facts: Facts, json_name: str) -> str:
    """Write the page.

    Parameters
    ----------
    facts : mapping
        As :mod:`echoic.evaluation.report` gathers them.
    json_name : str
        Name of the file beside the page that holds them.
    """
    loader = PackageLoader("echoic.evaluation")
    page = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,  # markup stays as it is
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters |= {
        "file_name": _short_names(facts["encoders"]),
        "heat_map": heat_map,
        "scatter": scatter,
        "shortened": shortened,
        "uri": _uri,
    }
    style, script = (loader.get_source(page, name)[0] for name in ("report.css", "report.js"))
    # No script but this one may run, and nothing may be fetched, whatever a label or a file name says.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    curves = facts["curves"]
    return page.get_template("report.html").render(
        facts,
        figures=FIGURES,
        json_name=json_name,
        # As a path below this folder, so that a colon in the name makes no scheme.
        json_link="./" + Path("/", json_name).as_uri().removeprefix("file:///"),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "media-src file: 'self'",
        style=style,
        script=script,
        loss=curves and line_chart(curves["epochs"], curves["loss"], from_zero=True),
        precision=curves and line_chart(curves["epochs"], curves["mean_average_precision"], mark_best=True),
    )


def _uri(path: str) -> str:
    return Path(os.path.abspath(path)).as_uri()


def _short_names(encoders: Sequence[Facts]) -> Callable[[str], str]:
    """Make short names of the clips shown: what lies below the folder that all have in common."""
    try:
        common = os.path.commonpath(os.path.dirname(os.path.abspath(path)) for path in _paths(encoders))  # noqa: PTH120
    except ValueError:  # on several drives
        return lambda path: Path(path).name
    return lambda path: os.path.relpath(path, common)


def _paths(encoders: Sequence[Facts]) -> Iterable[str]:
    for encoder in encoders:
        for query in (query for kind in encoder["samples"].values() for query in kind):
            yield query["path"]
            yield from (found["path"] for found in query["nearest"])
        if encoder["map"] is not None:
            yield from (point["path"] for point in encoder["map"]["points"])
