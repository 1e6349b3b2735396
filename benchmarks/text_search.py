"""Measure whether words find the sounds that they name, and how long that takes.

::

    python -m benchmarks.text_search [--data DIR] [--encoder NAME] [--all-misses] [--readme]
    python -m benchmarks.text_search --speed

DIR (default: $ECHOIC_DATA, or ``../shared/data`` beside the checkout) holds ESC-50. Asked are the names of
its 50 classes and the 100 phrases of ``phrases.tsv``, a plain and a hard one for each class; right is a clip
of that class. Searched are the 400 clips of fold 4, which the words were not taught by, though ``sound``
itself was by those of them that are free; and the clips of all folds whose licence lets nothing train on
them, which neither has heard: there only classes are asked for that have some. ``--speed`` asks a library of
100,000 segments, in words and by an indexed example, in turn.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.cold_start import fill_library, write_query
from benchmarks.retrieval import FREE, QUERY_FOLD, Row, data_folder
from benchmarks.tables import load, machine, print_table, verdict, write_table
from echoic import Library
from echoic.analysis.files import embed
from echoic.encoders.base import TextEncoder, mean_vector
from echoic.encoders.registry import DEFAULT_ENCODERS, load_encoder
from echoic.errors import UsageError
from echoic.types import Float32

PHRASES = Path(__file__).with_name("phrases.tsv")
GOAL_NAMES, GOAL_PHRASES = 0.90, 0.70
GOAL_TIME = 1.2  # times as long as an example
N_FILES = 33_334  # of three segments each
N_TIMES = 200

Answer = tuple[str, str, np.ndarray]  # the class that is meant, the words, the clips' classes, best first


def asked() -> dict[str, list[tuple[str, str]]]:
    """List what is asked, by kind: the class that is meant, and the words."""
    with PHRASES.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    names = [(label, label.replace("_", " ")) for label in dict.fromkeys(row["label"] for row in rows)]
    kinds = {
        kind: [(row["label"], row["phrase"]) for row in rows if row["kind"] == kind]
        for kind in ("plain", "hard")
    }
    return {"names": names, "phrases": kinds["plain"] + kinds["hard"], **kinds}


def found(
    encoder: TextEncoder, questions: Sequence[tuple[str, str]], clips: list[Row], sounds: Float32
) -> list[Answer]:
    """Answer questions by all clips, those of whose class there is one."""
    labels = np.array([row["label"] for row in clips])
    answers = []
    for label, words in questions:
        if label in labels:
            try:
                [vector] = encoder.encode_text([words])
                order = np.argsort(-(sounds @ vector))
            except UsageError:
                order = np.argsort(labels == label)  # no word of it is known: as bad as can be
            answers.append((label, words, labels[order]))
    return answers


def figures(answers: Sequence[Answer]) -> tuple[float, float]:
    """Compute P@1 and the mean average precision."""
    first = [ranked[0] == label for label, _, ranked in answers]
    precise = []
    for label, _, ranked in answers:
        places = np.nonzero(ranked == label)[0]
        precise.append(np.mean(np.arange(1, len(places) + 1) / (places + 1)))
    return float(np.mean(first)), float(np.mean(precise))


def measure(data: Path, name: str, all_misses: bool, readme: bool) -> None:
    encoder = load_encoder(name)
    if not isinstance(encoder, TextEncoder):
        sys.exit(f"{name} takes no words")
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        clips = [row for row in csv.DictReader(file, delimiter="\t") if row["dataset"] == "esc50"]
    searched = {
        "fold 4, 400 clips": [row for row in clips if row["split"] == QUERY_FOLD],
        "not free, 199 clips": [row for row in clips if row["licence"] != FREE],
    }
    needed = sorted({row["path"] for rows in searched.values() for row in rows})
    heard, failed = embed([data / path for path in needed], encoder=name, jobs=1)
    if failed:
        raise RuntimeError(f"{len(failed)} files could not be read: {next(iter(failed.values()))}")
    table, missed = [], []
    for where, rows in searched.items():
        sounds = np.stack([mean_vector(heard[str(data / row["path"])].vectors) for row in rows])
        for kind, questions in asked().items():
            answers = found(encoder, questions, rows, sounds)
            first, precise = figures(answers)
            goal = {"names": GOAL_NAMES, "phrases": GOAL_PHRASES}.get(kind)
            met = "–" if goal is None else f"{goal:.2f} {verdict(first, goal)}"
            table.append([where, kind, str(len(answers)), f"{first:.2f}", f"{precise:.2f}", met])
            if kind in ("names", "phrases"):
                missed += [(where, label, words, r[0]) for label, words, r in answers if r[0] != label]
    header = ["searched", "asked", "questions", "P@1", "mAP", "goal (P@1)"]
    print_table(f"Words find sounds: {encoder.spec.key}", header, table)
    if readme:
        write_table("words", header[:-1], [row[:-1] for row in table])
    if all_misses:
        print("\n".join(f"{where}: {words!r} ({label}) finds {got}" for where, label, words, got in missed))


def median_time(ask: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Compute the median seconds of CPU that two questions take, asked in turn."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(N_TIMES):
        for which, question in enumerate((ask, other)):
            begun = time.process_time()
            question()
            times[which].append(time.process_time() - begun)
    return statistics.median(times[0]), statistics.median(times[1])


def measure_speed() -> None:
    source = DEFAULT_ENCODERS[0]
    with tempfile.TemporaryDirectory() as folder:
        example = Path(folder, "example.wav")
        write_query(example, "birds")
        fill_library(Path(folder, "library"), source, load_encoder(source).spec, N_FILES, example)
        with Library(Path(folder, "library")) as lib:
            phrases = [words for _, words in asked()["plain"]]
            for words in phrases[:3]:
                lib.search(text=words, k=10)  # the index is made, the words are loaded
            lib.search(example, k=10)
            turn = iter(phrases * N_TIMES)
            in_words, by_example = median_time(
                lambda: lib.search(text=next(turn), k=10), lambda: lib.search(example, k=10)
            )
            n_segments = sum(lib.status().segments.values())
    ratio = in_words / by_example
    rows = [
        ["by an indexed example", f"{1e3 * by_example:.1f}", "–"],
        ["in words", f"{1e3 * in_words:.1f}", f"{ratio:.2f} {verdict(ratio, GOAL_TIME, at_most=True)}"],
    ]
    header = ["search", "CPU ms, median", f"times as long (goal: {GOAL_TIME})"]
    print_table(f"{n_segments:,} segments, ten files wanted", header, rows, f"{load()}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.text_search", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--encoder", default=DEFAULT_ENCODERS[0])
    parser.add_argument(
        "--all-misses", action="store_true", help="print every question that found another class"
    )
    parser.add_argument("--readme", action="store_true", help="write the figures into README.md")
    parser.add_argument("--speed", action="store_true", help="measure the time of a search instead")
    options = parser.parse_args()
    print(f"{machine()}\n", flush=True)
    if options.speed:
        measure_speed()
    elif (where := data_folder(options.data)) is None:
        sys.exit(1)
    else:
        measure(where, options.encoder, options.all_misses, options.readme)
