"""``echoic evaluate`` from files to figures."""

import csv
import json
import re

import numpy as np
import pytest

from echoic import embed
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.encoders.base import mean_vector
from echoic.evaluation.labelled import compare, measure
from tests.integration.conftest import RATE, CommandsWithin, write_clip

TAKES = {"hum": 6, "hiss": 7}


def write_take(path, label, seed):
    """Write a low tone or noise, another for each seed, and some of them hard to tell."""
    rng = np.random.default_rng(seed)
    time = np.arange(RATE) / RATE
    tone = 0.5 * np.sin(2 * np.pi * rng.uniform(90, 300) * time)
    noise = rng.normal(0, 0.15, len(time))
    share = rng.uniform(0.3, 1)
    samples = share * tone + (1 - share) * noise if label == "hum" else share * noise + (1 - share) * tone
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, samples.astype(np.float32), RATE)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A folder with a sub-folder for each class, and a manifest of its own words beside it."""
    folder = tmp_path_factory.mktemp("evaluate")
    rows = []
    for label, n in TAKES.items():
        for take in range(n):
            write_take(folder / "sounds" / label / f"{take}.wav", label, take)
            fold = "held out" if take < 2 else "rest"
            rows.append((f"sounds/{label}/{take}.wav", label, fold, f"{label} {take // 2}"))
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "kind", "fold", "take"), *rows])
    return folder


@pytest.fixture
def within(tmp_path):
    return CommandsWithin(tmp_path / "no-library")


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def computed(folder, encoder, *, groups=None, queries=None):
    """Measure without the command line: the paths in the order of the folder."""
    paths = sorted((folder / "sounds").rglob("*.wav"))
    found, _ = embed(paths, encoder=encoder, jobs=1)
    names = [str(path) for path in paths]
    asking = None if queries is None else np.array([queries(path) for path in paths])
    return measure(
        np.stack([mean_vector(found[name].vectors) for name in names]),
        [path.parent.name for path in paths],
        names if groups is None else [groups(path) for path in paths],
        names,
        queries=asking,
        searched=None if asking is None else ~asking,
    )


def test_two_encoders_side_by_side(within, sounds, model, tmp_path):
    words = ("evaluate", sounds / "sounds", "--encoder", "spectral", "--encoder", model, "--jobs", 1)
    result = within(*words, "--report", tmp_path / "out.html")
    spectral, other = computed(sounds, "spectral"), computed(sounds, str(model))
    for figures in (spectral, other):
        for estimate in (figures.precision_at_1, figures.knn_accuracy, figures.mean_average_precision):
            assert f"{estimate.value:.3f}" in result.stdout
            assert f"{estimate.low:.3f}–{estimate.high:.3f}" in result.stdout
    difference = compare(other, spectral)
    assert f"P@1 {difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})" in result.stdout
    assert "13 of 13 clips have something to find among 13" in result.stdout
    assert result.stderr.startswith("report: ")
    facts = json.loads((tmp_path / "out.figures.json").read_text("utf-8"))
    assert [of["mean_average_precision"]["value"] for of in facts["encoders"]] == pytest.approx(
        [spectral.mean_average_precision.value, other.mean_average_precision.value]
    )
    assert facts["data"] == "sounds"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", facts["date"])
    page = (tmp_path / "out.html").read_text("utf-8")
    assert (sounds / "sounds" / "hum" / "0.wav").as_uri() in page
    assert not (tmp_path / "no-library").exists()


def test_json_has_a_line_for_each_encoder(within, sounds, model):
    result = within("evaluate", sounds / "sounds", "--encoder", "spectral", "--encoder", model, "--json")
    first, second = lines(result)
    figures = computed(sounds, "spectral")
    assert (first["name"], first["n_queries"], first["n_groups"]) == ("spectral", 13, 13)
    assert first["precision_at_5"]["value"] == pytest.approx(figures.precision_at_5.value)
    assert first["difference_of_precision_at_1"] is None
    assert second["difference_of_precision_at_1"]["from"] == "spectral"
    assert second["dim"] == 16
    assert second["speed"] is None  # 13 s of audio tell nothing


def test_a_split_asks_the_rest_by_the_columns_of_a_manifest(within, sounds):
    columns = (
        "--path-column",
        "file",
        "--label-column",
        "kind",
        "--split-column",
        "fold",
        "--group-column",
        "take",
    )
    words = ("evaluate", sounds / "clips.csv", "--encoder", "spectral", "--json", *columns)
    [row] = lines(within(*words, "--queries", "held out"))
    assert (row["n_queries"], row["n_searched"], row["n_groups"]) == (4, 9, 2)
    expected = computed(sounds, "spectral", queries=lambda path: int(path.stem) < 2)
    assert row["mean_average_precision"]["value"] == pytest.approx(expected.mean_average_precision.value)
    [row] = lines(within(*words))
    grouped = computed(sounds, "spectral", groups=lambda path: f"{path.parent.name} {int(path.stem) // 2}")
    assert (row["n_queries"], row["n_groups"]) == (13, 7)
    assert row["mean_average_precision"]["value"] == pytest.approx(grouped.mean_average_precision.value)


def test_a_bad_file_is_named_once_and_left_out(within, sounds, model, tmp_path):
    folder = tmp_path / "with a bad one"
    for label in TAKES:
        for take in range(3):
            write_take(folder / label / f"{take}.wav", label, take)
    (folder / "hum" / "bad.wav").write_text("not audio")
    write_clip(folder / "stray.wav", 0)  # of no class
    words = ("evaluate", folder, "--encoder", "spectral", "--encoder", model, "--report", tmp_path / "r.html")
    result = within(*words, code=1)
    assert "6 of 6 clips" in result.stdout
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert str(folder / "hum" / "bad.wav") in warnings[0]
    note = f"1 file lies directly in {folder}, beside its 2 class folders: without a label, so left out"
    assert f"note: {note}\n" in result.stderr
    facts = json.loads((tmp_path / "r.figures.json").read_text("utf-8"))
    assert facts["facts"] == {"Left out": "1 file that cannot be read", "Note": note}


def test_nothing_that_can_be_read(within, tmp_path):
    for label in TAKES:
        for take in range(2):
            path = tmp_path / "bad" / label / f"{take}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("not audio")
    result = within("evaluate", tmp_path / "bad", "--encoder", "spectral", code=1)
    assert "none of the clips can be compared" in result.stderr
    assert result.stdout == ""


def test_what_cannot_be_measured_is_said_in_a_sentence(within, sounds, tmp_path):
    def said(*words, code):
        [line] = within("evaluate", *words, "--encoder", "spectral", code=code).stderr.splitlines()
        return line

    for take in range(3):
        write_clip(tmp_path / "bare" / f"{take}.wav", take)
        write_clip(tmp_path / "one" / "cat" / f"{take}.wav", take)
    write_clip(tmp_path / "single" / "cat" / "0.wav")
    write_clip(tmp_path / "single" / "dog" / "0.wav")
    assert "none of the clips has a label" in said(tmp_path / "bare", code=1)
    assert "all 3 clips are labelled 'cat'" in said(tmp_path / "one", code=1)
    assert "no label has clips of two groups" in said(tmp_path / "single", code=1)
    folder = sounds / "sounds"
    assert "'fold 9'; it has no splits" in said(folder, "--queries", "fold 9", code=2)
    columns = ("--path-column", "file", "--label-column", "kind", "--split-column", "fold")
    line = said(sounds / "clips.csv", *columns, "--queries", "fold 9", code=2)
    assert "its splits are 'held out', 'rest'" in line
    assert "does not exist" in said(folder, "--report", tmp_path / "no" / "r.html", code=2)
    (tmp_path / "mine.figures.json").write_text("{}")
    assert "something else" in said(folder, "--report", tmp_path / "mine.html", code=2)
    assert (tmp_path / "mine.figures.json").read_text() == "{}"
    for name in ("take.wav", "birds.onnx", "birds.json", "birds.echoic"):
        assert "ends in .html" in said(folder, "--report", tmp_path / name, code=2)


def test_an_encoder_that_is_not_there_is_met_before_the_work(within, sounds):
    words = ("evaluate", sounds / "sounds", "--encoder", "spectral", "--encoder", "no-such")
    result = within(*words, code=2)
    assert "no-such" in result.stderr
    assert result.stdout == ""


def test_parts_of_files_are_measured_as_files_of_their_own_are(tmp_path, within):
    rows = ["path,label,group"]
    (tmp_path / "long").mkdir()
    for number in range(4):
        parts = []
        for label in ("hum", "hiss"):
            path = tmp_path / "cut" / f"{label}{number}.wav"
            write_take(path, label, number)
            parts.append(read_audio(path, RATE)[0])
            rows.append(f"cut/{path.name},{label},{number}")
        write_audio(tmp_path / "long" / f"{number}.wav", np.concatenate(parts), RATE)
        (tmp_path / "long" / f"{number}.wav.txt").write_text("0\t1\thum\n1\t2\thiss\n", "utf-8")
    (tmp_path / "cut.csv").write_text("\n".join(rows), "utf-8")
    [whole] = lines(within("evaluate", tmp_path / "cut.csv", "--encoder", "spectral", "--json", "--jobs", 1))
    [parts] = lines(within("evaluate", tmp_path / "long", "--encoder", "spectral", "--json", "--jobs", 1))
    for figure in ("precision_at_1", "mean_average_precision"):
        assert parts[figure] == pytest.approx(whole[figure], abs=1e-6), figure
    (tmp_path / "long" / "0.wav.txt").write_text("0\t1\thum\n5\t6\thiss\n", "utf-8")
    said = within("evaluate", tmp_path / "long", "--encoder", "spectral", "--json", "--jobs", 1, code=1)
    assert "0.wav ends before 5.0 s" in said.stderr
    assert "advice is on whole ones" in within("recommend", tmp_path / "long" / "1.wav.txt", code=1).stderr


def test_what_was_told_is_measured_against_labels(tmp_path, within):
    for name in ("a", "b"):
        write_audio(tmp_path / f"{name}.wav", np.full(36 * RATE, 0.1, np.float32), RATE)
    (tmp_path / "a.wav.txt").write_text("1\t2\tOwl\n5\t6\tjay\n10\t12\towl\n", "utf-8")
    hits = [("a", 1.05, 2.0, 0.9), ("b", 3, 4, 0.8), ("a", 5, 6, 0.7), ("a", 10, 12.1, 0.6)]
    told = [
        json.dumps({"path": str(tmp_path / f"{name}.wav"), "start": start, "end": end, "score": score})
        for name, start, end, score in hits
    ]
    (tmp_path / "hits.json").write_text("\n".join(told), "utf-8")
    asked = ["evaluate", tmp_path / "a.wav.txt", "--spans", tmp_path / "hits.json"]
    [figures] = lines(within(*asked, "--label", "owl", "--json"))
    assert (figures["n_calls"], figures["n_hits"], figures["hours"]) == (2, 4, 0.02)
    assert (figures["recall"]["value"], figures["threshold"]) == (0.5, 0.8)
    assert figures["f1"] == pytest.approx(2 / 3)
    said = within(*asked, "--label", "owl", "--false-alarms", 200).stdout
    assert "recall 1.000 (0.342–1.000) at 200 false alarms an hour, of all that was told" in said
    assert "say which is meant: --label NAME" in within(*asked, code=2).stderr
    assert "nothing is labelled 'hen'" in within(*asked, "--label", "hen", code=2).stderr
    assert "--spans goes with neither" in within(*asked, "--queries", "test", code=2).stderr
    assert "--label goes with --spans" in within("evaluate", tmp_path, "--label", "owl", code=2).stderr
    (tmp_path / "a.wav.txt").write_text("1\t2\towl\n36.5\t37.5\towl\n", "utf-8")
    said = within(*asked, code=2).stderr
    assert "goes from 36.5 s to 37.5 s, and" in said
    assert "a.wav lasts 36.00 s" in said
    (tmp_path / "a.wav.txt").write_text("1\t36.9\towl\n", "utf-8")  # drawn by hand
    within(*asked)
    (tmp_path / "late.json").write_text(told[1].replace('"end": 4', '"end": 40'), "utf-8")
    assert "a hit in" in within(*asked[:-1], tmp_path / "late.json", code=2).stderr
    (tmp_path / "b.wav").unlink()
    assert "b.wav does not exist" in within(*asked, "--label", "owl", code=2).stderr
    (tmp_path / "hits.json").write_text('{"path": "a", "start": 1, "end": 2, "score": "x"}', "utf-8")
    assert "line 1 is no hit" in within(*asked, "--label", "owl", code=2).stderr
    (tmp_path / "whole.csv").write_text(f"path\n{tmp_path / 'a.wav'}\n", "utf-8")
    said = within("evaluate", tmp_path / "whole.csv", "--spans", tmp_path / "hits.json", code=2)
    assert "says not from when to when" in said.stderr
