"""The page of a report, parsed as a browser would, against the figures it was made of."""

import base64
import hashlib
import json
import math
import os
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import numpy as np
import pytest
from jinja2 import UndefinedError

from echoic.errors import EchoicError, UsageError
from echoic.evaluation import charts, projection
from echoic.evaluation.labelled import compare, measure
from echoic.evaluation.page import render
from echoic.evaluation.projection import project
from echoic.evaluation.report import Curves, Measured, Report, check_target, write_report

HOSTILE = "<script>alert('x')</script>"
QUOTED = '" onmouseover="alert(1)" x=\'&amp;'
TEMPLATED = "{{ 7 * 7 }}{% raw %}{# no comment #}"
LABELS = (HOSTILE, QUOTED, "new\nline", TEMPLATED, "dog & cat", "owl")
VOID = {"meta", "link", "br", "img", "input", "circle", "line", "polyline", "rect"}


class Page(HTMLParser):
    """The elements of a page in order, each with its attributes and all text within."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements = []
        self._open = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} has an attribute twice: {attrs}"
        element = {"tag": tag, "text": "", **{name: value or "" for name, value in attrs}}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open, f"{tag} was never opened"
            assert self._open.pop()["tag"] == tag

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, tag, kind=None):
        return [
            element
            for element in self.elements
            if element["tag"] == tag and (kind is None or kind in element.get("class", "").split())
        ]

    def texts(self, tag, kind=None):
        """Return what a browser would show, which makes one space of any white space."""
        return [" ".join(element["text"].split()) for element in self.all(tag, kind)]


def make_measured(name, noise, n=60, labels=LABELS, folder="/sounds", groups=None, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % len(labels)
    vectors = np.eye(max(8, len(labels)))[codes] + noise * np.random.default_rng(len(name)).normal(
        size=(n, max(8, len(labels)))
    )
    paths = [f'{folder}/a "b"/{number:03d}\'<i>.wav' for number in range(n)]
    groups = groups or [f"take {code}" for code in rng.integers(0, n // 2, n)]
    figures = measure(vectors.astype(np.float32), [labels[code] for code in codes], groups, paths)
    return Measured(name, vectors.shape[1], figures, vectors.astype(np.float32), speed=123.4)


CURVES = Curves((1, 2, 3, 4), (2.5, 1.25, 0.75, 0.5), (math.nan, 0.25, 0.625, 0.5))


@pytest.fixture(scope="module")
def encoders():
    return [make_measured("<b>ours</b>", 0.5), make_measured("theirs", 1.5)]


@pytest.fixture(scope="module")
def written(encoders, tmp_path_factory):
    """A report with all its parts: its path, its JSON and its page."""
    path = tmp_path_factory.mktemp("report") / "out's.html"
    facts = {"Recipe": "cnn-supcon <&>"}
    write_report(path, Report(HOSTILE, "2026-01-31", "Each asks.", encoders, CURVES, facts))
    return path, json.loads(path.with_suffix(".json").read_text("utf-8")), Page(path.read_text("utf-8"))


def values(page, name):
    """Return the full values of a figure and what is shown of each, in order of the page."""
    return [(float(element["value"]), element["text"]) for element in page.all("data", name)]


# Page, JSON and figures agree


def test_overall_figures_are_those_computed(written, encoders):
    _, facts, page = written
    assert [of["name"] for of in facts["encoders"]] == ["<b>ours</b>", "theirs"]
    for name in (
        "precision_at_1",
        "precision_at_5",
        "knn_accuracy",
        "mean_average_precision",
        "mean_average_precision_at_10",
    ):
        computed = [getattr(encoder.figures, name) for encoder in encoders]
        told = [of[name] for of in facts["encoders"]]
        assert told == [{"value": of.value, "low": of.low, "high": of.high} for of in computed]
        # The first ones of the page are those of the comparison; tables of classes follow.
        assert values(page, name)[:2] == [(of.value, f"{of.value:.3f}") for of in computed]
        for of in computed:
            assert f"{of.low:.3f} – {of.high:.3f}" in page.texts("span", "interval")
    assert values(page, "dim") == [(8, "8"), (8, "8")]
    assert values(page, "speed") == [(123.4, "123×"), (123.4, "123×")]


def test_difference_is_the_paired_one(written, encoders):
    _, facts, page = written
    difference = compare(encoders[1].figures, encoders[0].figures)
    assert facts["encoders"][0]["difference_of_precision_at_1"] is None
    told = facts["encoders"][1]["difference_of_precision_at_1"]
    assert (told["value"], told["low"], told["high"]) == (difference.value, difference.low, difference.high)
    assert told["finding"] == difference.finding == "beyond chance"
    [(value, shown)] = values(page, "difference")
    assert value == difference.value
    assert shown == f"−{-100 * value:.1f}"
    [verdict] = page.texts("li")[:1]
    assert verdict.startswith("theirs finds worse than <b>ours</b>, beyond chance")


def test_what_may_be_chance_is_called_so(encoders, tmp_path):
    same = Measured("same", 8, encoders[0].figures)
    write_report(tmp_path / "r.html", Report("d", "today", "p", [encoders[0], same]))
    page = Page((tmp_path / "r.html").read_text("utf-8"))
    assert any("cannot be told apart" in words for words in page.texts("li"))
    assert len(page.all("svg", "scatter")) == 1


def test_a_clear_difference_over_few_groups_is_called_so(tmp_path):
    groups = [str(number // 15) for number in range(60)]
    both = [make_measured(name, noise, groups=groups) for name, noise in (("ours", 0.5), ("theirs", 1.5))]
    difference = compare(both[1].figures, both[0].figures)
    assert difference.high < 0
    assert difference.finding == "few groups"
    write_report(tmp_path / "r.html", Report("d", "today", "p", both))
    page = Page((tmp_path / "r.html").read_text("utf-8"))
    assert page.texts("li")[0].startswith("theirs finds worse than ours here, but too few groups")


def test_classes_come_worst_first(written, encoders):
    _, facts, page = written
    for encoder, told in zip(encoders, facts["encoders"], strict=True):
        precisions = [of["average_precision"] for of in told["classes"]]
        assert precisions == sorted(of.average_precision for of in encoder.figures.classes)
    shown = [
        (value, text)
        for value, text in values(page, "average_precision")
        if any(value == of["average_precision"] for told in facts["encoders"] for of in told["classes"])
    ]
    expected = [of["average_precision"] for told in facts["encoders"] for of in told["classes"]]
    assert shown[: len(LABELS)] == [(value, f"{value:.2f}") for value in expected[: len(LABELS)]]
    widths = [element["style"] for element in page.all("i") if element.get("style", "").startswith("width")]
    assert widths[0] == f"width:{expected[0]:.1%}"


def test_confusion_is_that_of_the_votes(written, encoders):
    _, facts, page = written
    counts = encoders[0].figures.confusion
    assert facts["encoders"][0]["confusion"]["counts"] == counts.tolist()
    drawn = page.all("svg", "heat")[0]["text"]
    label = charts.printable(LABELS[3])
    row = encoders[0].figures.labels.index(LABELS[3])
    assert f"{label} → {label}: {counts[row, row]} of {counts[row].sum()}" in drawn
    n_cells = np.count_nonzero(counts) + np.count_nonzero(encoders[1].figures.confusion)
    assert len(page.all("rect", "hit")) + len(page.all("rect", "miss")) == n_cells
    pairs = [pair for told in facts["encoders"] for pair in told["most_confused"]]
    assert [value for value, _ in values(page, "count")] == [pair["count"] for pair in pairs]
    assert pairs


def test_samples_are_the_worst_the_median_and_the_best(written, encoders):
    _, facts, page = written
    for encoder, told in zip(encoders, facts["encoders"], strict=True):
        samples = told["samples"]
        assert [len(samples[kind]) for kind in ("worst", "median", "best")] == [6, 3, 3]
        paths = [query["path"] for kind in samples.values() for query in kind]
        assert len(set(paths)) == 12
        ranked = sorted(query.average_precision for query in encoder.figures.queries)
        assert samples["worst"][0]["average_precision"] == ranked[0]
        assert samples["best"][0]["average_precision"] == ranked[-1]
        middle = samples["median"][0]["average_precision"]
        assert ranked[len(ranked) // 3] <= middle <= ranked[-len(ranked) // 3]
        assert len({query["label"] for query in samples["worst"]}) == len(LABELS)
    assert len(page.all("article", "query")) == 24
    first = facts["encoders"][0]["samples"]["worst"][0]
    marks = page.all("span", "mark")[:5]
    assert [mark["text"] for mark in marks] == [
        "✓" if found["label"] == first["label"] else "✗" for found in first["nearest"]
    ]
    kinds = [element["class"] for element in page.all("li") if element.get("class") in ("right", "wrong")][:5]
    assert kinds == ["right" if mark["text"] == "✓" else "wrong" for mark in marks]
    assert [shown for _, shown in values(page, "score")][:5] == [
        f"{found['score']:.2f}" for found in first["nearest"]
    ]


def test_curves_are_drawn_and_told(written):
    _, facts, page = written
    assert facts["curves"]["loss"] == [2.5, 1.25, 0.75, 0.5]
    assert facts["curves"]["mean_average_precision"] == [None, 0.25, 0.625, 0.5]
    loss, precision = page.all("svg", "curve")
    assert "0.500" in loss["text"]
    assert "0.625" in precision["text"]
    assert [len(line["points"].split()) for line in page.all("polyline")] == [4, 3]
    assert any("best after epoch 3" in caption for caption in page.texts("figcaption"))


def test_header_tells_the_counts_and_the_date(written, encoders):
    _, facts, page = written
    listed = dict(zip(page.texts("dt"), page.texts("dd"), strict=True))
    figures = encoders[0].figures
    assert listed["Clips"] == str(figures.n_queries)
    assert listed["Groups"] == str(figures.n_groups)
    assert listed["Classes"] == str(len(LABELS))
    assert listed["Measured on"] == facts["date"] == "2026-01-31"
    assert listed["Recipe"] == "cnn-supcon <&>"


# Safe and self-contained


def test_hostile_names_stay_text(written):
    _, facts, page = written
    assert len(page.all("script")) == 1
    assert page.texts("h1") == [HOSTILE]
    assert all("style" in element for element in page.all("b"))  # the page's own marks have one
    assert not any(name.startswith("on") for element in page.elements for name in element)
    shown = {HOSTILE, QUOTED, "new\\nline", TEMPLATED}
    assert shown <= set(page.texts("td", "name"))
    assert shown <= set(page.texts("button"))
    samples = [query for of in facts["encoders"] for kind in of["samples"].values() for query in kind]
    paths = [path for of in samples for path in (of["path"], *(found["path"] for found in of["nearest"]))]
    assert '"' in paths[0]
    assert [file["title"] for file in page.all("span", "file")] == paths


def test_sounds_are_linked_by_file_uri(written, encoders):
    _, facts, page = written
    sounds = page.all("audio")
    with_source = [sound for sound in sounds if "src" in sound]
    assert all({"controls", "preload"} <= set(sound) and sound["preload"] == "none" for sound in sounds)
    samples = [query for told in facts["encoders"] for kind in told["samples"].values() for query in kind]
    expected = [path for of in samples for path in (of["path"], *(found["path"] for found in of["nearest"]))]
    linked = [unquote_to_bytes(urlsplit(sound["src"]).path).decode() for sound in with_source]
    assert linked == expected
    dots = [
        unquote_to_bytes(urlsplit(dot["data-src"]).path).decode()
        for dot in page.all("circle")
        if "data-src" in dot
    ]
    assert set(dots) == {query.path for query in encoders[0].figures.queries}


def test_page_needs_no_network(written):
    path, _, page = written
    text = path.read_text("utf-8")
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert not page.all("link") + page.all("img") + page.all("iframe")
    for element in page.elements:
        for name in ("src", "href", "data-src"):
            assert element.get(name, "file:").startswith(("file:", "#", "./"))


def test_only_the_own_script_may_run(written):
    path, _, page = written
    [policy] = [
        meta["content"] for meta in page.all("meta") if "content" in meta and "default-src" in meta["content"]
    ]
    script = path.read_text("utf-8").partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}';" in policy


def test_link_leads_to_the_json(written):
    path, _, page = written
    [link] = [element["href"] for element in page.all("a") if not element["href"].startswith("#")]
    assert unquote_to_bytes(link.removeprefix("./")).decode() == path.with_suffix(".json").name


def test_names_that_are_no_characters(tmp_path):
    folder = os.fsdecode(b"/sounds\xff")
    measured = make_measured("ours", 1.0, folder=folder)
    write_report(tmp_path / "r.html", Report("d\udcff", "today", "p", [measured]))
    page = Page((tmp_path / "r.html").read_text("utf-8"))
    assert page.texts("h1") == ["d\\udcff"]
    [first, *_] = [sound["src"] for sound in page.all("audio") if "src" in sound]
    assert unquote_to_bytes(urlsplit(first).path).startswith(b"/sounds\xff/")
    facts = json.loads((tmp_path / "r.json").read_text("ascii"))
    assert facts["encoders"][0]["map"]["points"][0]["path"].startswith(folder)


def test_a_fact_that_is_missing_is_never_shown_as_nothing(written):
    _, facts, _ = written
    with pytest.raises(UndefinedError, match="'protocol' is undefined"):
        render({name: value for name, value in facts.items() if name != "protocol"}, "r.json")


def test_the_same_report_is_the_same_to_the_byte(encoders, tmp_path):
    report = Report("d", "today", "p", encoders, CURVES)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_report(tmp_path / name / "r.html", report)
    for name in ("r.html", "r.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


# Size


def test_many_classes_are_cut_to_those_with_most_mistakes(tmp_path):
    labels = tuple(f"class {number:02d}" for number in range(70))
    measured = make_measured(
        "ours", 0.55, n=210, labels=labels, groups=[str(number) for number in range(210)]
    )
    write_report(tmp_path / "r.html", Report("d", "today", "p", [measured]))
    page = Page((tmp_path / "r.html").read_text("utf-8"))
    [heat] = page.all("svg", "heat")
    assert heat["aria-label"] == "confusion matrix of 60 classes"
    assert any("Of 70 classes, the 60 with most mistakes" in words for words in page.texts("p"))
    counts = measured.figures.confusion
    worst = measured.figures.labels[int(np.argmin(np.diag(counts) / counts.sum(axis=1)))]
    assert worst in heat["text"]
    assert page.texts("summary") == ["The other 55, which do better"]
    assert len(page.texts("td", "name")) == 1 + 70
    assert not page.all("nav")


def test_a_map_of_many_clips_shows_some_of_all_classes(monkeypatch, tmp_path):
    monkeypatch.setattr("echoic.evaluation.report._MOST_MAPPED", 20)
    measured = make_measured("ours", 1.0)
    write_report(tmp_path / "r.html", Report("d", "today", "p", [measured]))
    points = json.loads((tmp_path / "r.json").read_text("utf-8"))["encoders"][0]["map"]["points"]
    assert len({point["path"] for point in points}) == len(points) == 20
    assert {point["label"] for point in points} == set(LABELS)
    assert "Map of 20 clips" in Page((tmp_path / "r.html").read_text("utf-8")).texts("h3")


def test_clips_with_nothing_to_find_are_told(tmp_path):
    labels, groups = ["cat", "cat", "dog", "dog", "owl"], list("abcde")
    vectors = np.eye(5, dtype=np.float32) + np.float32(0.1)
    figures = measure(vectors, labels, groups, [f"/s/{group}.wav" for group in groups])
    write_report(tmp_path / "r.html", Report("d", "today", "p.", [Measured("ours", 5, figures, vectors)]))
    facts = json.loads((tmp_path / "r.json").read_text("utf-8"))
    assert facts["encoders"][0]["classes"][-1]["average_precision"] is None
    page = Page((tmp_path / "r.html").read_text("utf-8"))
    assert any("1 clips have nothing to find" in words for words in page.texts("p"))
    assert "nothing to find" in page.texts("span", "soft")
    assert len(page.all("article", "query")) == 4


# The plane


def clouds(n=40, n_clouds=2):
    rng = np.random.default_rng(0)
    codes = np.arange(n) % n_clouds
    return (np.eye(6)[codes] + 0.05 * rng.normal(size=(n, 6))).astype(np.float32), codes


@pytest.mark.parametrize("method", ["t-SNE", "PCA"])
def test_neighbours_lie_together_the_same_way_each_time(method, monkeypatch):
    vectors, codes = clouds()
    if method == "PCA":
        monkeypatch.setattr(projection, "find_spec", lambda name: None)
    else:
        pytest.importorskip("sklearn")
    laid = project(vectors)
    assert laid.method == method
    np.testing.assert_array_equal(laid.points, project(vectors).points)
    centres = np.stack([laid.points[codes == code].mean(axis=0) for code in (0, 1)])
    nearest = np.linalg.norm(laid.points[:, None] - centres, axis=2).argmin(axis=1)
    np.testing.assert_array_equal(nearest, codes)


def test_principal_components_are_those_of_the_covariance(monkeypatch):
    monkeypatch.setattr(projection, "find_spec", lambda name: None)
    vectors, _ = clouds(30, 3)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    variances = np.linalg.eigvalsh(np.cov(directions.T))[::-1]
    np.testing.assert_allclose(project(vectors).points.var(axis=0, ddof=1), variances[:2], rtol=1e-4)


@pytest.mark.parametrize("vectors", [np.ones((1, 3)), np.ones((40, 3)), np.eye(4), np.ones((5, 1))])
def test_few_different_vectors_are_laid_out_by_pca(vectors):
    laid = project(vectors.astype(np.float32))
    assert laid.method == "PCA"
    assert laid.points.shape == (len(vectors), 2)
    assert np.isfinite(laid.points).all()


def test_page_says_how_the_map_came_about(encoders, monkeypatch, tmp_path):
    monkeypatch.setattr(projection, "find_spec", lambda name: None)
    write_report(tmp_path / "r.html", Report("d", "today", "p", encoders[:1]))
    page = Page((tmp_path / "r.html").read_text("utf-8"))
    assert any(words.startswith("By PCA") for words in page.texts("p"))
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["encoders"][0]["map"]["method"] == "PCA"


# Charts


@pytest.mark.parametrize("n", [1, 2, 3, 5, 24, 50])
def test_each_class_has_a_hue_of_its_own(n):
    hues = sorted(charts.hue(number, n) for number in range(n))
    assert len(set(hues)) == n
    gaps = np.diff([*hues, hues[0] + 360])
    assert gaps.min() >= 360 // n - 1


@pytest.mark.parametrize("values", [(1.0,), (3.0, 3.0), (0.0, 0.0), (1e-7, 2e-7), (-4.0, 1500.0)])
def test_a_curve_stays_within_its_frame(values):
    chart = charts.line_chart(range(len(values)), values)
    for x, y in chart.points:
        assert 46 <= x <= 446
        assert 14 <= y <= 192


def test_a_curve_leaves_out_what_was_not_measured_and_marks_its_best():
    chart = charts.line_chart([1, 2, 3, 4], [None, 0.5, 0.75, 0.25], mark_best=True)
    assert chart.epochs == (2, 4)
    assert len(chart.points) == 3
    assert chart.marked == (3, 0.75, *chart.points[1])
    assert charts.line_chart([1, 2], [0.75, 0.5]).marked[:2] == (2, 0.5)


def test_a_curve_of_nothing_is_not_drawn():
    assert charts.line_chart([1, 2], [None, None]) is None


# Files


def test_nothing_half_written_is_left(encoders, monkeypatch, tmp_path):
    path = tmp_path / "r.html"
    write_report(path, Report("first", "today", "p", encoders[:1]))
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    def full(self, *_):
        with self.open("w") as file:
            file.write("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(EchoicError, match=r"cannot be written to .* \(No space left on device\)"):
        write_report(path, Report("second", "today", "p", encoders[:1]))
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_another_file_is_not_lost(encoders, tmp_path):
    card = tmp_path / "model.json"
    for content in ('{"name": "model"}', "[1]", "not json"):
        card.write_text(content)
        with pytest.raises(UsageError, match=r"model\.json, which is something else"):
            write_report(tmp_path / "model.html", Report("d", "today", "p", encoders[:1]))
        assert card.read_text() == content
    assert not (tmp_path / "model.html").exists()


@pytest.mark.parametrize(("name", "said"), [("no/r.html", "does not exist"), ("r.json", "ends in .html")])
def test_a_place_that_cannot_be_written_to_is_refused_first(name, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        check_target(tmp_path / name)


def test_vectors_must_be_those_of_the_queries(encoders):
    with pytest.raises(ValueError, match="do not fit"):
        Measured("ours", 8, encoders[0].figures, np.ones((3, 8), np.float32))
