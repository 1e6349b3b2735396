"""Measure how well ``echoic describe`` tells what is heard, and when.

::

    python -m benchmarks.describe [--data DIR] [--tagger DIR] [--readme]

DIR of the data (default: $ECHOIC_DATA, or ``../shared/data`` beside the checkout) holds ESC-50. Described
are 40 mixes of 20 s, each of three clips of different kinds, over noise 40 dB below them. The clips are the
199 whose licence lets nothing train on them: neither ``sound`` nor its head has heard them. A clip's true
spans are where it is less than 35 dB below its loudest 20 ms, pauses of up to a second within. A span is
right if one of the same kind begins and ends within half a second of it; kinds are the 50 of ESC-50, each by
the classes of AudioSet that stand for it in ``recipes/text/phrases.tsv``.

``--tagger`` names a folder with ``mn04_as.onnx`` (EfficientAT, AudioSet mAP .432), its front end
``teachers.py`` and ``audioset_527_labels.csv``. It judges windows of 2 s every half second; its spans are
made by the same rule, with the threshold that suits it best on these very mixes, as they are
and with their edges moved.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.retrieval import FREE, Row, data_folder
from benchmarks.tables import load, machine, print_table, write_table
from echoic import describe
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.heard.changes import Changes
from echoic.heard.result import HeardSpan
from echoic.heard.spans import BRIDGED, find_spans
from echoic.types import Float32

N_MIXES, N_SOUNDS = 40, 3
RATE = 32_000  # Hz of the mixes
LENGTH = 20.0  # s
MARGIN = 0.5  # s before the first sound and after the last
NOISE_DB, LEVEL = -40.0, 0.05
FAINT_DB, FAINTEST_DB = -35.0, -70.0  # below a clip's loudest 20 ms; of full scale
COLLAR = 0.5  # s
SHORTEST = 0.1  # s of a true span
WINDOW, HOP = 2.0, 0.5  # s, of the tagger
BINS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)

Kinds = dict[str, list[str]]  # the classes that stand for each kind
Span = tuple[str, float, float]  # kind, start, end
Told = Sequence[Sequence[Span]]  # of each mix


def kinds() -> Kinds:
    """Read which classes of AudioSet stand for each kind of ESC-50."""
    path = Path(__file__).parents[1] / "recipes" / "text" / "phrases.tsv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["esc50"] != "-"]
    return {row["esc50"]: row["audioset"].split(";") for row in rows}


def audible(samples: Float32) -> list[tuple[float, float]]:
    """Find where a clip is heard, in seconds."""
    frame = RATE // 50
    powers = np.square(samples[: len(samples) // frame * frame]).reshape(-1, frame).mean(axis=1)
    level = 10 * np.log10(powers + 1e-12)
    spans: list[tuple[float, float]] = []
    for at in np.flatnonzero(level > max(level.max() + FAINT_DB, FAINTEST_DB)):
        start, end = at * frame / RATE, (at + 1) * frame / RATE
        spans.append((spans.pop()[0] if spans and start - spans[-1][1] < BRIDGED else start, end))
    return [span for span in spans if span[1] - span[0] >= SHORTEST]


def mixes(data: Path, rows: Sequence[Row], seed: int = 0) -> list[tuple[Float32, list[Span]]]:
    """Mix clips, each with the true spans of its sounds."""
    rng = np.random.default_rng(seed)
    waiting = [rows[at] for at in rng.permutation(len(rows))]
    made = []
    for _ in range(N_MIXES):
        chosen: list[Row] = []
        while len(chosen) < N_SOUNDS:
            row = waiting.pop()
            if row["label"] in {other["label"] for other in chosen}:
                waiting.insert(0, row)
            else:
                chosen.append(row)
        spectrum = np.fft.rfft(rng.standard_normal(round(LENGTH * RATE)))
        noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))))
        mix = (noise / noise.std() * LEVEL * 10 ** (NOISE_DB / 20)).astype(np.float32)
        truth: list[Span] = []
        for row in chosen:
            samples, _ = read_audio(data / row["path"], RATE)
            heard = audible(samples)
            first, last = heard[0][0], heard[-1][1]
            loud = np.concatenate([samples[round(RATE * a) : round(RATE * b)] for a, b in heard])
            part = samples[round(RATE * first) : round(RATE * last)]
            part = part / np.sqrt(np.square(loud).mean()) * LEVEL * 10 ** (rng.uniform(-3, 3) / 20)
            at = round(RATE * rng.uniform(MARGIN, LENGTH - MARGIN - len(part) / RATE))
            mix[at : at + len(part)] += part.astype(np.float32)
            truth += [(row["label"], at / RATE + a - first, at / RATE + b - first) for a, b in heard]
        made.append((np.asarray(mix / max(1.0, 1.01 * np.abs(mix).max()), np.float32), truth))
    return made


def of_kinds(spans: Sequence[tuple[str, float, float]], of: Kinds) -> list[Span]:
    """Say which kinds spans of classes tell; those of one kind that touch are one."""
    told: list[Span] = []
    for kind, classes in of.items():
        own: list[Span] = []
        for _, start, end in sorted((s for s in spans if s[0] in classes), key=lambda s: s[1]):
            if own and start - own[-1][2] <= BRIDGED:
                own[-1] = (kind, own[-1][1], max(end, own[-1][2]))
            else:
                own.append((kind, start, end))
        told += own
    return told


def scores(
    told: Told, truth: Told, *, ends: bool = True, collar: float = COLLAR
) -> tuple[float, float, float]:
    """Compute precision, recall and F1 of spans."""
    right = 0
    for spans, true in zip(told, truth, strict=True):
        left = list(true)
        for kind, start, end in sorted(spans, key=lambda span: span[1]):
            same = [one for one in left if one[0] == kind and abs(one[1] - start) <= collar]
            fit = [one for one in same if not ends or abs(one[2] - end) <= collar]
            if fit:
                left.remove(min(fit, key=lambda one: abs(one[1] - start)))
                right += 1
    n_told, n_true = sum(map(len, told)), sum(map(len, truth))
    return right / max(1, n_told), right / n_true, 2 * right / (n_told + n_true)


def kinds_alone(told: Told, truth: Told) -> float:
    """Compute F1 of which kinds are in a mix, whenever that is."""
    pairs = [({s[0] for s in spans}, {s[0] for s in true}) for spans, true in zip(told, truth, strict=True)]
    right = sum(len(one & other) for one, other in pairs)
    return 2 * right / sum(len(one) + len(other) for one, other in pairs)


def tagged(folder: Path, sounds: Sequence[Float32]) -> tuple[list[str], list[Float32], float]:
    """Have the tagger judge windows → its classes, (windows, classes) of each sound, and CPU seconds."""
    found = importlib.util.spec_from_file_location("teachers", folder / "teachers.py")
    if found is None or found.loader is None:
        raise FileNotFoundError(folder / "teachers.py")
    teachers = importlib.util.module_from_spec(found)
    found.loader.exec_module(teachers)
    tagger = teachers.session("mn04_as.onnx")
    with (folder / "audioset_527_labels.csv").open(newline="", encoding="utf-8") as file:
        labels = [row["display_name"] for row in csv.DictReader(file)]
    begun = time.process_time()
    judged = []
    for sound in sounds:
        starts = np.arange(0, len(sound) / RATE - WINDOW + 1e-6, HOP)
        windows = (sound[round(at * RATE) : round((at + WINDOW) * RATE)] for at in starts)
        logits = [tagger.run(None, {"mel": teachers.mn04_input(window)})[0][0] for window in windows]
        judged.append(np.asarray(1 / (1 + np.exp(-np.stack(logits))), np.float32))
    return labels, judged, time.process_time() - begun


def spans_of(
    labels: Sequence[str], likely: Float32, least: float, mix: Float32 | None
) -> list[tuple[str, float, float]]:
    """Make spans of what the tagger gave for windows as ``describe`` does; edges are moved in a mix."""
    centres = WINDOW / 2 + HOP * np.arange(len(likely), dtype=np.float64)
    edges = 0.0, LENGTH
    spans = find_spans(centres, edges, likely, least)
    if mix is not None:
        changes = Changes(RATE)
        changes.push(mix)
        spans = changes.moved(spans, edges)
    return [(labels[span.label], span.start, span.end) for span in spans]


def row_of(name: str, told: Told, truth: Told, speed: float) -> list[str]:
    exact, begins = scores(told, truth), scores(told, truth, ends=False)
    figures = (*exact, begins[2], scores(told, truth, collar=LENGTH)[2], kinds_alone(told, truth))
    return [name, *(f"{figure:.2f}" for figure in figures), f"{speed:.0f}x"]


def measure(data: Path, tagger: Path | None, readme: bool) -> None:
    of = kinds()
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["dataset"] == "esc50"]
    made = mixes(data, [row for row in rows if row["licence"] != FREE])
    truth = [spans for _, spans in made]
    told: list[list[HeardSpan]] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.wav") for number in range(len(made))]
        for path, (mix, _) in zip(paths, made, strict=True):
            write_audio(path, mix, RATE)
        describe(paths[0])  # all is loaded
        begun = time.process_time()
        for path in paths:
            told.append(describe(path))
        speed = len(paths) * LENGTH / (time.process_time() - begun)
        doubtful = [describe(path, min_probability=BINS[0]) for path in paths]
    ours = [of_kinds([(s.label, s.start, s.end) for s in spans], of) for spans in told]
    table = [row_of("echoic describe", ours, truth, speed)]
    if tagger is not None:
        labels, judged, seconds = tagged(tagger, [mix for mix, _ in made])
        speed = len(made) * LENGTH / seconds
        sounds = [mix for mix, _ in made]
        for name, within in (("mn04", [None] * len(made)), ("mn04, edges moved", sounds)):
            tries = []
            for least in np.arange(0.05, 0.75, 0.1):
                pairs = zip(judged, within, strict=True)
                spans = [of_kinds(spans_of(labels, some, float(least), mix), of) for some, mix in pairs]
                row = row_of(f"{name}, from {least:.2f} on", spans, truth, speed)
                tries.append((scores(spans, truth)[2], row))
            table.append(max(tries)[1])
    header = ["", "precision", "recall", "F1", "F1 of begins", "F1, any time", "kinds", "speed"]
    notes = f"{sum(map(len, truth))} true spans; load {load()}; {machine()}"
    print_table("What is heard, and when: 40 mixes of three sounds", header, table, notes)
    if readme:
        write_table("describe", header, table)
    print_table("How sure: spans of the 50 kinds by their probability", *reliability(doubtful, truth, of))


def reliability(
    told: Sequence[Sequence[HeardSpan]], truth: Told, of: Kinds
) -> tuple[list[str], list[list[str]]]:
    """Compare how likely spans are said to be with how many of them have their kind within them."""
    kinds_of: dict[str, set[str]] = {}
    for kind, classes in of.items():
        for label in classes:
            kinds_of.setdefault(label, set()).add(kind)

    def is_there(span: HeardSpan, true: Sequence[Span]) -> bool:
        fit = (one for one in true if one[0] in kinds_of[span.label])
        return any(start < span.end and end > span.start for _, start, end in fit)

    pairs = [
        (span.probability, is_there(span, true))
        for spans, true in zip(told, truth, strict=True)
        for span in spans
        if span.label in kinds_of
    ]
    said, right = np.array([p for p, _ in pairs]), np.array([is_right for _, is_right in pairs])
    rows = []
    for low, high in pairwise(BINS):
        some = (said >= low) & (said < high + 1e-9)
        figures = [f"{said[some].mean():.2f}", f"{right[some].mean():.2f}"] if some.any() else ["–", "–"]
        rows.append([f"{low:g} to {high:g}", str(some.sum()), *figures])
    brier = float(np.square(said - right).mean())
    rows.append(["Brier score", str(len(said)), f"{brier:.3f}", "–"])
    return ["said", "spans", "on average", "right"], rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the data")
    parser.add_argument("--tagger", type=Path, help="folder of mn04")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    options = parser.parse_args()
    data = data_folder(options.data)
    if data is None:
        sys.exit(1)
    measure(data, options.tagger, options.readme)


if __name__ == "__main__":
    main()
