"""Train networks and losses on the same clips for the same time, and measure what each finds.

::

    python -m benchmarks.recipes [--data DIR] [--minutes M] [--recipe NAME]…

Trains on folds 1–3 of ESC-50, one thread and ``--minutes`` each, and lets fold 4 search folds 1–3. DIR holds
audio and ``manifest.tsv``, as for ``benchmarks.retrieval``. The machine must have nothing else to do: the
budget is wall-clock time.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.retrieval import COLLECTION_FOLDS, QUERY_FOLD, Row, data_folder, recording
from benchmarks.tables import machine, print_table
from echoic.encoders.base import encode_windows
from echoic.encoders.onnx import OnnxEncoder
from echoic.evaluation import retrieval
from echoic.training.cache import AudioCache
from echoic.training.export import export
from echoic.training.loop import Examples, Settings, embed_clips, fit
from echoic.training.recipes import find_recipe
from echoic.types import Float32

NETWORKS = ("cnn", "transformer", "hybrid")
LOSSES = ("contrastive", "triplet", "ntxent")
CLASSIFIER = "cnn-supcon + classifier"  # how the bundled model is trained


def examples(data: Path, rows: Sequence[Row], rate: int) -> Examples:
    paths = [data / row["path"] for row in rows]
    audio, failed = AudioCache().fill(paths, rate)
    if failed:
        raise RuntimeError(f"{len(failed)} files could not be read: {next(iter(failed.values()))}")
    return Examples(
        [audio[path] for path in paths],
        [row["label"] for row in rows],
        [recording(row) for row in rows],
        [1.0] * len(rows),
    )


def milliseconds(encoder: OnnxEncoder) -> float:
    """Measure the CPU time for a second of audio, spectrogram and network, on one thread."""
    spec = encoder.spec
    windows = np.random.default_rng(0).normal(0, 0.1, (16, spec.window_samples)).astype(np.float32)
    times = []
    for _ in range(12):
        begun = time.process_time()
        encode_windows(encoder, windows)
        times.append(time.process_time() - begun)
    return 1000 * float(np.median(times)) / (len(windows) * spec.window)


def score(queries: Float32, collection: Float32, asking: Examples, searched: Examples) -> list[float]:
    similarities = queries @ collection.T
    labels, searched_labels = np.array(asking.labels), np.array(searched.labels)
    return [
        float(np.nanmean(retrieval.precision_at_k(similarities, labels, searched_labels, 1))),
        retrieval.mean_average_precision(similarities, labels, searched_labels, 10),
        retrieval.knn_accuracy(similarities, labels, searched_labels, 5),
    ]


def main(data: Path, names: Sequence[str], minutes: float, seed: int) -> None:
    print(f"{machine()}\n", flush=True)
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        clips = [row for row in csv.DictReader(file, delimiter="\t") if row["dataset"] == "esc50"]
    rate = Settings(recipe=find_recipe("cnn-supcon")).front_end.sample_rate
    asking = examples(data, [row for row in clips if row["split"] == QUERY_FOLD], rate)
    searched = examples(data, [row for row in clips if row["split"] in COLLECTION_FOLDS], rate)
    nothing = Examples([], [], [], [])
    rows = []
    for name in names:
        named, _, classifier = name.partition(" + ")
        recipe = find_recipe(named)
        settings = Settings(recipe=recipe, minutes=minutes, classify=2.0 if classifier else 0.0, seed=seed)
        with tempfile.TemporaryDirectory() as folder:
            model = Path(folder, "model.echoic")
            checkpoint, history = fit(searched, nothing, settings, model)
            encoder = OnnxEncoder(export([model], model.with_suffix(".onnx")).path)
        network = checkpoint.embedder()
        queries, collection = (embed_clips(network, part.audio, settings) for part in (asking, searched))
        figures = score(queries, collection, asking, searched)
        parameters = sum(weight.numel() for weight in network.parameters()) / 1e6
        windows = history[-1].steps * recipe.n_classes_per_batch * recipe.n_per_class
        rows.append(
            [
                name,
                *(f"{figure:.3f}" for figure in figures),
                f"{windows:,}",
                f"{parameters:.2f} M",
                f"{milliseconds(encoder):.2f}",
            ]
        )
        print(*rows[-1], flush=True)
    print()
    header = ["recipe", "P@1", "mAP@10", "vote of 5", "windows seen", "parameters", "ms per second"]
    print_table(f"ESC-50, {minutes:g} minutes of training on one thread, seed {seed}", header, rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--recipe", action="append", help='may end in " + classifier"')
    options = parser.parse_args()
    chosen = options.recipe or [*(f"{net}-{loss}" for net in NETWORKS for loss in LOSSES), CLASSIFIER]
    folder = data_folder(options.data)
    if folder is None:
        sys.exit(1)
    main(folder, chosen, options.minutes, options.seed)
