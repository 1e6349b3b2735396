"""Train as a new user would, on little data for a minute or two, beside what needs no training.

::

    python -m benchmarks.own_training [--data DIR]

First three kinds of sound, 20 clips each, made by the project itself: ``echoic train`` until it stops by
itself, then 20 other clips of each ask each other. Then, where DIR (default: $ECHOIC_DATA, or
``../shared/data`` beside the checkout) holds the spoken words of ``words_arabic``, five of them by the
speakers of its training split for 90 seconds; the speakers of its test split, who are others, are measured.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.retrieval import data_folder
from benchmarks.tables import load, machine, print_table, verdict
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import make_sound

KINDS = ("bubbles", "plucks", "voices")
PER_KIND = 20
RATE = 16_000
N_WORDS = 5
GOAL_SECONDS, GOAL_RATIO = 120.0, 1.5


def echoic(*words: str | Path) -> list[dict[str, Any]]:
    """Run the command line in a process of its own; return the lines of its ``--json``."""
    run = [sys.executable, "-m", "echoic", *map(str, words)]
    said = subprocess.run(run, check=True, stdout=subprocess.PIPE, text=True).stdout
    return [json.loads(line) for line in said.splitlines()] if "--json" in words else []


def measured(folder: Path, train: Path, test: Path, *words: str) -> tuple[float, dict[str, float]]:
    """Train, export and evaluate; return the seconds of training and the mAP of each encoder."""
    begun = time.monotonic()
    echoic("train", train, *words, "-o", folder / "m.echoic")
    seconds = time.monotonic() - begun
    echoic("export", folder / "m.echoic", "-o", folder / "m.onnx")
    encoders = ("--encoder", "spectral", "--encoder", folder / "m.onnx")
    untrained, trained = echoic("evaluate", test, *encoders, "--json")
    return seconds, {
        name: each["mean_average_precision"]["value"]
        for name, each in (("spectral", untrained), ("m", trained))
    }


def make_clips(folder: Path, seed: int) -> Path:
    for kind in KINDS:
        (folder / kind).mkdir(parents=True)
        for take in range(PER_KIND):
            sound = make_sound(kind, take, sample_rate=RATE, seed=seed)
            write_audio(folder / kind / f"{take:02}.wav", sound, RATE)
    return folder


def write_manifest(path: Path, data: Path, split: str) -> Path:
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["dataset"] == "words_arabic"]
    words = sorted({row["label"] for row in rows})[:N_WORDS]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["path", "label", "group"])
        for row in rows:
            if row["label"] in words and row["split"] == split:
                writer.writerow([data / row["path"], row["label"], row["speaker"]])
    return path


def main(data: Path | None) -> None:
    print(f"{machine()}\n", flush=True)
    rows = []

    def tell(name: str, seconds: float, figures: dict[str, float], goal: str) -> None:
        untrained, trained = figures["spectral"], figures["m"]
        ratio = f"{trained / untrained:.2f}"
        rows.append([name, f"{seconds:.0f} s", f"{untrained:.3f}", f"{trained:.3f}", ratio, goal])
        print(*rows[-1], flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["ECHOIC_CACHE"] = str(folder / "cache")
        train, test = make_clips(folder / "train", 0), make_clips(folder / "test", 1)
        seconds, figures = measured(folder, train, test)
        better = verdict(figures["m"] - figures["spectral"], 0.0)
        in_time = verdict(seconds, GOAL_SECONDS, at_most=True)
        tell(f"{len(KINDS)} kinds × {PER_KIND}", seconds, figures, f"time {in_time}, better {better}")
        if data is not None:
            train, test = (
                write_manifest(folder / f"{split}.tsv", data, split) for split in ("train", "test")
            )
            seconds, figures = measured(folder, train, test, "--minutes", "1.5")
            enough = verdict(figures["m"] / figures["spectral"], GOAL_RATIO)
            tell(f"{N_WORDS} words, other speakers", seconds, figures, f"{GOAL_RATIO} × {enough}")
    header = ["clips", "training", "mAP of spectral", "mAP of the model", "ratio", "goal"]
    print_table("Trained as a new user would", header, rows, f"{load()}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.own_training", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path)
    main(data_folder(parser.parse_args().data))
