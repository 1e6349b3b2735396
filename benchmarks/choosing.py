"""Train networks and losses on few and on more clips of several kinds, and measure what each finds.

::

    python -m benchmarks.choosing [--data DIR] [--steps N] [--task NAME]… [--recipe NAME]…

All clips are such as ``sound`` was never taught (DIR as for ``benchmarks.retrieval``): words by speakers
never heard, notes of instruments, sounds of the environment. Each collection is divided by speaker, note or
recording: one part is learnt from, the other searches itself, never within a speaker, note or recording.
Every training takes as many steps on one thread, so that figures do not depend on what else the machine
does. Milliseconds are CPU time of one core for a second of sound, spectrogram included.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.recipes import milliseconds
from benchmarks.recommend import FOLDERS
from benchmarks.retrieval import Row, data_folder, note
from benchmarks.tables import machine, print_table
from echoic.encoders.onnx import OnnxEncoder
from echoic.evaluation.labelled import measure
from echoic.nn.checkpoint import Checkpoint, save_checkpoint
from echoic.training.cache import AudioCache
from echoic.training.export import export
from echoic.training.loop import Examples, Settings, embed_clips, fit
from echoic.training.recipes import find_recipe
from echoic.training.train import starting_point

SCRATCH = " from scratch"
RECIPES = (
    *("cnn-supcon", "cnn-contrastive", "cnn-triplet", "hybrid-triplet"),
    *("cnn-supcon from scratch", "cnn-contrastive from scratch", "cnn-triplet from scratch"),
    *("hybrid-triplet from scratch", "transformer-supcon from scratch"),
)
TASKS = ("words, 2 a class", "words, 20 a class", "notes", "environment")
FEW = 2
STEPS_PER_EPOCH = 10
NOTHING = Examples([], [], [], [])


def is_learnt(kind: str, row: Row, group: str) -> bool:
    """Tell whether a clip may be learnt from: two speakers of four, notes D, every second recording."""
    if kind == "words":
        return row["speaker"] in ("ar19", "ar20")
    if kind == "notes":
        return note(row).rpartition(" ")[2].startswith("D")
    return int(group) % 2 == 0


def divided(rows: Sequence[Row], task: str) -> tuple[list[Row], list[Row]]:
    """Divide a collection into what is learnt from and what is searched."""
    kind = task.partition(",")[0]
    chosen, group = FOLDERS[kind]
    learnt: list[Row] = []
    searched: list[Row] = []
    for row in filter(chosen, rows):
        (learnt if is_learnt(kind, row, group(row)) else searched).append(row)
    if f"{FEW} a class" in task:
        first = {(row["label"], row["speaker"]): row for row in reversed(learnt)}  # a take of each speaker
        learnt = list(first.values())
    return learnt, searched


def examples(data: Path, rows: Sequence[Row], task: str, rate: int) -> Examples:
    _, group = FOLDERS[task.partition(",")[0]]
    paths = [data / row["path"] for row in rows]
    audio, failed = AudioCache().fill(paths, rate)
    if failed:
        raise RuntimeError(f"{len(failed)} files could not be read: {next(iter(failed.values()))}")
    labels = [row["label"] for row in rows]
    return Examples([audio[path] for path in paths], labels, [*map(group, rows)], [1.0] * len(rows))


def trained(name: str, learning: Examples, start: Checkpoint, steps: int, seed: int) -> Checkpoint:
    """Train a recipe, from what ``sound`` knows or from scratch."""
    recipe = find_recipe(name.removesuffix(SCRATCH))
    batch = recipe.n_classes_per_batch * recipe.n_per_class
    an_epoch = max(STEPS_PER_EPOCH, -(-len(learning) // batch))
    settings = Settings(
        recipe=recipe,
        epochs=max(1, round(steps / an_epoch)),
        patience=0,
        dim=start.dim,
        front_end=start.front_end,
        seed=seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        first = None if name.endswith(SCRATCH) else start
        return fit(learning, NOTHING, settings, Path(folder, "m.echoic"), start=first)[0]


def average_precision(checkpoint: Checkpoint, asking: Examples) -> float:
    """Measure the mAP of clips that search each other, never in their own group."""
    settings = Settings(recipe=find_recipe("cnn-supcon"), dim=checkpoint.dim, front_end=checkpoint.front_end)
    vectors = embed_clips(checkpoint.embedder(), asking.audio, settings)
    names = [str(number) for number in range(len(asking))]
    return measure(vectors, asking.labels, asking.groups, names).mean_average_precision.value


def exported(checkpoint: Checkpoint, folder: Path) -> float:
    """Measure the milliseconds of a network as it runs in a library."""
    save_checkpoint(checkpoint, folder / "m.echoic")
    return milliseconds(OnnxEncoder(export([folder / "m.echoic"], folder / "m.onnx").path))


def main(data: Path, tasks: Sequence[str], recipes: Sequence[str], steps: int, seed: int) -> None:
    print(f"{machine()}\n", flush=True)
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    sound = starting_point("sound")
    table: dict[str, list[str]] = {name: [] for name in ("sound", *recipes)}
    paces: dict[str, float] = {}
    header = []
    for task in tasks:
        learnt, searched = divided(rows, task)
        learning, asking = (
            examples(data, part, task, sound.front_end.sample_rate) for part in (learnt, searched)
        )
        header.append(f"{task.partition(',')[0]}, {len(learning)} clips")
        for name, cells in table.items():
            begun = time.process_time()
            checkpoint = sound if name == "sound" else trained(name, learning, sound, steps, seed)
            took = time.process_time() - begun
            network = name.partition("-")[0]
            if network not in paces:
                with tempfile.TemporaryDirectory() as folder:
                    paces[network] = exported(checkpoint, Path(folder))
            cells.append(f"{average_precision(checkpoint, asking):.3f}")
            print(f"{task}: {name}  {cells[-1]}  {took:.0f} s of training", flush=True)
    print()
    rows_told = [[name, *cells, f"{paces[name.partition('-')[0]]:.2f}"] for name, cells in table.items()]
    print_table(f"mAP after {steps} steps, seed {seed}", ["", *header, "ms per second"], rows_told)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.choosing", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--task", action="append", choices=TASKS)
    parser.add_argument("--recipe", action="append")
    options = parser.parse_args()
    where = data_folder(options.data)
    if where is None:
        sys.exit(1)
    main(where, options.task or TASKS, options.recipe or RECIPES, options.steps, options.seed)
