"""The page of a report: HTML made of its facts alone, which are what the JSON beside it holds.

Every word that comes from outside goes through :func:`echoic.evaluation.charts.text`.
"""

from __future__ import annotations

import base64
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from echoic.evaluation.charts import Dot, heat_map, hue, line_chart, printable, scatter, text

__all__ = ["FIGURES", "render"]

Facts = Mapping[str, Any]

_MOST_IN_MATRIX = 60
_CLASSES_SHOWN = 15

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
    style = _resource("report.css")
    script = _resource("report.js")
    # No script but this one may run, and nothing may be fetched, whatever a label or a file name says.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; media-src file: 'self'"
    )
    encoders = facts["encoders"]
    name_of = _names(_paths(encoders))
    parts = [
        _header(facts),
        _comparison(facts),
        "" if facts["curves"] is None else _curves(facts["curves"], encoders[0]["name"]),
        _tabs(encoders) if len(encoders) > 1 else "",
        *(_details(number, encoder, name_of) for number, encoder in enumerate(encoders)),
        _terms(facts),
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(facts["data"])} – how well sounds are found</title>
<style>
{style}</style>
</head>
<body>
<main>
{"".join(part + chr(10) for part in parts if part)}</main>
<footer>All figures of this page are in <a href="{_link(json_name)}">{text(json_name)}</a>.
Sounds play from where they lie on the computer that made the page.</footer>
<script>{script}</script>
</body>
</html>
"""


def _resource(name: str) -> str:
    return files("echoic.evaluation").joinpath(name).read_text("utf-8")


def _link(name: str) -> str:
    # As a path below this folder, so that a colon in the name makes no scheme.
    return "./" + text(Path("/", name).as_uri().removeprefix("file:///"))


def _header(facts: Facts) -> str:
    counts = facts["encoders"][0]
    asked, searched = _counted(counts["n_queries"]), _counted(counts["n_collection"])
    lines = {
        **({"Clips": asked} if asked == searched else {"Clips that ask": asked, "Clips searched": searched}),
        "Classes": _counted(facts["n_classes"]),
        "Groups": _counted(counts["n_groups"]),
        "Encoders": ", ".join(encoder["name"] for encoder in facts["encoders"]),
        "Measured on": facts["date"],
        **facts["facts"],
    }
    listed = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in lines.items()
    )
    protocol = facts["protocol"]
    if counts["n_measured"] < counts["n_queries"]:
        without = counts["n_queries"] - counts["n_measured"]
        protocol += f" {_counted(without)} clips have nothing to find and are not counted."
    return (
        '<header><p class="eyebrow">Echoic · how well sounds are found</p>'
        f'<h1>{text(facts["data"])}</h1><p class="soft">{text(protocol)}</p>'
        f'<dl class="facts">{listed}</dl></header>'
    )


def _comparison(facts: Facts) -> str:
    encoders = facts["encoders"]
    best = {
        name: max(encoder[name]["value"] for encoder in encoders) if len(encoders) > 1 else None
        for name in FIGURES
    }
    head = "".join(
        f'<th scope="col"><abbr title="{text(meaning)}">{text(short)}</abbr></th>'
        for short, meaning in FIGURES.values()
    )
    rows = []
    for encoder in encoders:
        cells = []
        for name, (short, _) in FIGURES.items():
            is_best = ' class="best"' if encoder[name]["value"] == best[name] else ""
            cells.append(f'<td data-name="{text(short)}"{is_best}>{_with_interval(name, encoder[name])}</td>')
        speed = "–" if encoder["speed"] is None else _data("speed", encoder["speed"], "{:.0f}×")
        rows.append(
            f'<tr><td class="name">{text(encoder["name"])}</td>{"".join(cells)}'
            f'<td class="number" data-name="dimensions">{_data("dim", encoder["dim"], "{}")}</td>'
            f'<td class="number" data-name="speed">{speed}</td></tr>'
        )
    lead = encoders[0]
    p1 = lead["precision_at_1"]
    told = (
        f"With <strong>{text(lead['name'])}</strong>, the nearest clip is of the same class "
        f"<strong>{_percent(p1['value'])}</strong> of the time"
    )
    if len(encoders) > 1 and p1["value"] < (best["precision_at_1"] or 0):
        winner = max(encoders, key=lambda encoder: encoder["precision_at_1"]["value"])
        told += (
            f"; with <strong>{text(winner['name'])}</strong>, {_percent(winner['precision_at_1']['value'])}"
        )
    verdicts = "".join(
        f"<li>{_verdict(encoder)}</li>" for encoder in encoders if encoder["difference_of_precision_at_1"]
    )
    listed = f'<ul class="verdicts">{verdicts}</ul>' if verdicts else ""
    return (
        f'<section><p class="lead">{told}.</p><div class="card wide"><table class="stack comparison">'
        f'<thead><tr><th scope="col">Encoder</th>{head}<th scope="col" class="number">dim</th>'
        '<th scope="col" class="number">'
        '<abbr title="seconds of audio handled in a second, decoding included">speed</abbr></th>'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>{listed}"
        '<p class="soft">Small figures and bands are 95 % intervals.</p></section>'
    )


def _verdict(encoder: Facts) -> str:
    difference = encoder["difference_of_precision_at_1"]
    points = 100 * difference["value"]
    interval = f"95 % interval {_signed(100 * difference['low'])} to {_signed(100 * difference['high'])}"
    other = text(difference["from"])
    finds = "finds better" if points > 0 else "finds worse"
    words = {
        "beyond chance": f"{finds} than {other}, beyond chance",
        "few groups": f"{finds} than {other} here, but too few groups were asked to rule out chance",
        "chance": f"and {other} cannot be told apart on these clips",
    }[difference["finding"]]
    value = _data("difference", difference["value"], f"{_signed(points)}")
    return (
        f"<strong>{text(encoder['name'])}</strong> {words}: {value} points of P@1 "
        f'<span class="soft">({interval}, clip by clip)</span>'
    )


def _curves(curves: Facts, name: str) -> str:
    epochs = curves["epochs"]
    loss, precision = (
        [math.nan if value is None else value for value in curves[key]]
        for key in ("loss", "mean_average_precision")
    )
    measured = [number for number, value in enumerate(precision) if not math.isnan(value)]
    drawn = [("Loss", line_chart(epochs, loss, name="loss by epoch", from_zero=True))]
    if measured:
        best = max(measured, key=lambda number: precision[number])
        chart = line_chart(epochs, precision, name="validation mAP by epoch", best=best)
        drawn.append((f"mAP on the validation clips; best after epoch {epochs[best]}", chart))
    figures = "".join(
        f"<figure><figcaption>{caption}</figcaption>{chart}</figure>" for caption, chart in drawn if chart
    )
    return (
        f'<section><h2>Training</h2><p class="soft">How {text(name)} was learnt.</p>'
        f'<div class="card curves">{figures}</div></section>'
    )


def _tabs(encoders: Sequence[Facts]) -> str:
    links = "".join(
        f'<a href="#encoder-{number}">{text(encoder["name"])}</a>' for number, encoder in enumerate(encoders)
    )
    return f'<nav class="tabs" aria-label="encoder">{links}</nav>'


def _details(number: int, encoder: Facts, name_of: Callable[[str], str]) -> str:
    return (
        f'<section class="encoder" id="encoder-{number}"><h2>{text(encoder["name"])} in detail</h2>'
        f"{_classes(encoder['classes'])}{_confusion(encoder)}{_listening(encoder['samples'], name_of)}"
        f"{_mapped(encoder['map'], name_of)}</section>"
    )


def _classes(classes: Sequence[Facts]) -> str:
    titles = {
        "AP": "how near the top their like stand, the mean over its clips",
        "P@1": FIGURES["precision_at_1"][1],
        "P@5": FIGURES["precision_at_5"][1],
    }
    head = "".join(
        f'<th scope="col"{" class=optional" if short == "P@5" else ""}>'
        f'<abbr title="{text(meaning)}">{short}</abbr></th>'
        for short, meaning in titles.items()
    )

    def table(of: Sequence[Facts]) -> str:
        rows = "".join(
            f'<tr><td class="name">{text(row["label"])}</td>'
            f'<td class="number">{_data("n_queries", row["n_queries"], "{}")}</td>'
            f"<td>{_bar('average_precision', row['average_precision'])}</td>"
            f"<td>{_bar('precision_at_1', row['precision_at_1'])}</td>"
            f'<td class="optional">{_bar("precision_at_5", row["precision_at_5"])}</td></tr>'
            for row in of
        )
        return (
            '<table class="classes"><thead><tr><th scope="col" class="label">Class</th>'
            f'<th scope="col" class="number clips">clips</th>{head}</tr></thead><tbody>{rows}</tbody></table>'
        )

    rest = classes[_CLASSES_SHOWN:]
    more = (
        f"<details><summary>The other {_counted(len(rest))}, which do better</summary>{table(rest)}</details>"
        if rest
        else ""
    )
    return f'<h3>Classes, worst first</h3><div class="card">{table(classes[:_CLASSES_SHOWN])}{more}</div>'


def _confusion(encoder: Facts) -> str:
    labels, counts = encoder["confusion"]["labels"], np.array(encoder["confusion"]["counts"])
    n = len(labels)
    shown = np.arange(n)
    what = "Row: what a clip is. Column: what the five nearest clips say it is. Darker is more."
    if n > _MOST_IN_MATRIX:
        errors = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
        shown = np.sort(np.argsort(-errors, kind="stable")[:_MOST_IN_MATRIX])
        what += f" Of {n} classes, the {_MOST_IN_MATRIX} with most mistakes."
    chart = heat_map([labels[place] for place in shown], counts[np.ix_(shown, shown)])
    pairs = "".join(
        f'<li><span>{text(pair["label"])} <span class="arrow" aria-label="taken for">→</span> '
        f"{text(pair['voted'])}</span><span>{_data('count', pair['count'], '{}')} "
        f"of {round(pair['count'] / pair['share'])}</span></li>"
        for pair in encoder["most_confused"]
    )
    listed = f'<ul class="pairs">{pairs}</ul>' if pairs else '<p class="soft">Nothing was mistaken.</p>'
    return (
        f'<h3>What is taken for what</h3><p class="soft">{what}</p>'
        f'<div class="card"><div class="wide">{chart}</div></div><h3>Most often mistaken</h3>{listed}'
    )


def _listening(samples: Mapping[str, Sequence[Facts]], name_of: Callable[[str], str]) -> str:
    heads = {
        "worst": ("Where it does worst", "The clips whose like stand farthest from the top."),
        "median": ("Where it is as good as usual", "Clips from the middle of all."),
        "best": ("Where it does best", "Clips whose like stand nearest to the top."),
    }
    return "".join(
        f'<h3>{title}</h3><p class="soft">{explained}</p>'
        f'<div class="queries">{"".join(_query(query, name_of) for query in samples[kind])}</div>'
        for kind, (title, explained) in heads.items()
        if samples[kind]
    )


def _query(query: Facts, name_of: Callable[[str], str]) -> str:
    rows = []
    for found in query["nearest"]:
        right = found["label"] == query["label"]
        kind, sign, said = ("right", "✓", "same class") if right else ("wrong", "✗", "another class")
        rows.append(
            f'<li class="{kind}"><span class="mark" title="{said}">{sign}</span>'
            f'<div><span class="label">{text(found["label"])}</span>{_file(found["path"], name_of)}</div>'
            f'<span class="score">{_data("score", found["score"], "{:.2f}")}</span>'
            f"{_audio(found['path'])}</li>"
        )
    precision = _data("average_precision", query["average_precision"], "{:.2f}")
    return (
        f'<article class="query"><div class="top"><span class="name">{text(query["label"])}</span>'
        f'<span class="score">AP {precision}</span></div>'
        f"{_file(query['path'], name_of)}{_audio(query['path'])}<ol>{''.join(rows)}</ol></article>"
    )


def _mapped(of: Facts | None, name_of: Callable[[str], str]) -> str:
    if of is None:
        return ""
    points = of["points"]
    labels = sorted({point["label"] for point in points})
    dots = [
        Dot(
            point["x"],
            point["y"],
            point["label"],
            f"{point['label']} · {name_of(point['path'])}"
            + ("" if point["voted"] in ("", point["label"]) else f" · taken for {point['voted']}"),
            _uri(point["path"]),
            hollow=point["voted"] not in ("", point["label"]),
        )
        for point in points
    ]
    chips = "".join(
        f'<button type="button" data-class="{number}" aria-pressed="false"'
        f' style="--h:{hue(number, len(labels))}">{text(label)}</button>'
        for number, label in enumerate(labels)
    )
    ways = {
        "t-SNE": "t-SNE: neighbours in the encoder's space lie together; far distances mean little",
        "PCA": "PCA: the two directions in which the vectors differ most",
    }
    return (
        f'<h3>Map of {_counted(len(points))} clips</h3><p class="soft">By {ways[of["method"]]}. '
        "Hollow: taken for another class. Click a dot to hear it, a name to see only that class.</p>"
        '<div class="card map">'
        f'{scatter(dots)}<div class="player"><audio controls preload="none" hidden></audio>'
        f'<span class="heard"></span></div><div class="legend">{chips}</div></div>'
    )


def _terms(facts: Facts) -> str:
    n_groups = _counted(facts["encoders"][0]["n_groups"])
    terms = {
        short: f"{meaning[0].upper()}{meaning[1:]}; 1 is perfect." for short, meaning in FIGURES.values()
    }
    terms["95 % interval"] = (
        "Where a figure would fall with other recordings of the same kind. Clips of one group, a recording "
        f"or a speaker, stand or fall together: it is {n_groups} groups that were drawn again and again."
    )
    terms["Beyond chance"] = (
        "The interval of the difference, taken clip by clip, leaves out zero. It may do so although the "
        "intervals of the two figures overlap."
    )
    listed = "".join(f"<dt>{text(term)}</dt><dd>{text(meaning)}</dd>" for term, meaning in terms.items())
    return f'<section><h2>How to read this</h2><dl class="terms">{listed}</dl></section>'


# Small parts


def _data(name: str, value: float | None, shape: str) -> str:
    """Show a figure with its full value for machines: ``name`` is what the JSON calls it."""
    if value is None:
        return "–"
    return f'<data class="{name}" value="{value!r}">{shape.format(value)}</data>'


def _with_interval(name: str, estimate: Mapping[str, float]) -> str:
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    return (
        f'{_data(name, value, "{:.3f}")}<span class="interval">{low:.3f} – {high:.3f}</span>'
        f'<span class="range"><i style="left:{low:.1%};width:{high - low:.1%}"></i>'
        f'<b style="left:{value:.1%}"></b></span>'
    )


def _bar(name: str, value: float | None) -> str:
    if value is None:
        return '<span class="soft">nothing to find</span>'
    return f'<span class="bar"><i style="width:{value:.1%}"></i></span>{_data(name, value, "{:.2f}")}'


def _audio(path: str) -> str:
    return f'<audio controls preload="none" src="{text(_uri(path))}"></audio>'


def _file(path: str, name_of: Callable[[str], str]) -> str:
    return f'<span class="file" title="{text(path)}">{text(name_of(path))}</span>'


def _uri(path: str) -> str:
    return Path(os.path.abspath(path)).as_uri()


def _paths(encoders: Sequence[Facts]) -> Iterable[str]:
    for encoder in encoders:
        for query in (query for kind in encoder["samples"].values() for query in kind):
            yield query["path"]
            yield from (found["path"] for found in query["nearest"])
        if encoder["map"] is not None:
            yield from (point["path"] for point in encoder["map"]["points"])


def _names(paths: Iterable[str]) -> Callable[[str], str]:
    """Make short names of paths: what lies below the folder that all have in common."""
    try:
        common = os.path.commonpath({os.path.dirname(os.path.abspath(path)) for path in paths})  # noqa: PTH120
    except ValueError:  # on several drives
        return lambda path: printable(Path(path).name)

    def name_of(path: str) -> str:
        return printable(os.path.relpath(os.path.abspath(path), common))

    return name_of


def _counted(n: int) -> str:
    return f"{n:,}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _signed(points: float) -> str:
    return f"{points:+.1f}".replace("-", "−")
