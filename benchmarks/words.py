"""Go on from ``sound`` with a few words, and measure how well others are found, by speakers never heard.

::

    python -m benchmarks.words [--data DIR] [--steps N] [--seeds N] [--recipe NAME]…

DIR (default: $ECHOIC_DATA, or ``../shared/data`` beside the checkout) holds the spoken words of
``words_arabic``. Each seed draws five of the 30 words and 40 clips of each, by the speakers of the training
split. Then the words by the speakers of the test split search each other, never among a speaker's own: the
25 not trained on, and the five. Every recipe takes as many steps, on the very same batches, so that the
figures do not depend on what else the machine does. ``sound`` itself was taught all 30 words by the training
split's speakers, and begins with that in every row.
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

from benchmarks.retrieval import Row, data_folder
from benchmarks.tables import load, machine, print_table
from echoic.evaluation import retrieval
from echoic.nn.checkpoint import Checkpoint
from echoic.training.cache import AudioCache
from echoic.training.loop import Examples, Settings, embed_clips, fit
from echoic.training.recipes import find_recipe
from echoic.training.train import starting_point

RECIPES = ("cnn-supcon", "hybrid-triplet")
N_WORDS, N_CLIPS = 5, 40
N_TAKES = 4  # of the ten of each word and speaker that search: enough for some 480 queries
STEPS_PER_EPOCH = 10  # of so few clips
NOTHING = Examples([], [], [], [])


def drawn(rows: Sequence[Row], seed: int) -> tuple[list[Row], set[str]]:
    """Draw the words to train on and clips of each; return the clips and the words."""
    rng = np.random.default_rng(seed)
    words = set(rng.permutation(sorted({row["label"] for row in rows}))[:N_WORDS].tolist())
    clips = []
    for word in sorted(words):
        of_word = [row for row in rows if row["label"] == word and row["split"] == "train"]
        clips += [of_word[place] for place in rng.permutation(len(of_word))[:N_CLIPS]]
    return clips, words


def found(
    checkpoint: Checkpoint, settings: Settings, asking: Examples, words: set[str]
) -> tuple[float, float]:
    """Measure the mAP of the words not trained on, and of those trained on."""
    vectors = embed_clips(checkpoint.embedder(), asking.audio, settings)
    labels, speakers = np.array(asking.labels), np.array(asking.groups)
    trained = np.isin(labels, sorted(words))
    values = []
    for part in (~trained, trained):
        same_speaker = speakers[part][:, None] == speakers[part]
        of_part = vectors[part]
        values.append(
            retrieval.mean_average_precision(
                of_part @ of_part.T, labels[part], labels[part], excluded=same_speaker
            )
        )
    return values[0], values[1]


def main(data: Path, recipes: Sequence[str], steps: int, seeds: int) -> None:
    print(f"{machine()}\n", flush=True)
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["dataset"] == "words_arabic"]
    sound = starting_point("sound")
    rate = sound.front_end.sample_rate
    test = [row for row in rows if row["split"] == "test" and int(Path(row["path"]).stem[-2:]) <= N_TAKES]
    asking = by_speaker(data, test, rate)
    figures: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(seeds):
        clips, words = drawn(rows, seed)
        learning = by_speaker(data, clips, rate)
        for name in ("sound", *recipes):
            begun = time.process_time()
            recipe = find_recipe(recipes[0] if name == "sound" else name)
            settings = Settings(
                recipe=recipe,
                epochs=steps // STEPS_PER_EPOCH,
                patience=0,
                dim=sound.dim,
                front_end=sound.front_end,
                seed=seed,
            )
            checkpoint = sound
            if name != "sound":
                with tempfile.TemporaryDirectory() as folder:
                    checkpoint, _ = fit(learning, NOTHING, settings, Path(folder, "m.echoic"), start=sound)
            seconds = time.process_time() - begun
            others, own = found(checkpoint, settings, asking, words)
            figures.setdefault(name, []).append((others, own, seconds))
            print(f"seed {seed}  {name:<16}  {others:.4f}  {own:.4f}  {seconds:.0f} s", flush=True)
    print()
    table = [
        [
            name,
            f"{np.mean([value[0] for value in values]):.3f}",
            " ".join(f"{value[0]:.3f}" for value in values),
            f"{np.mean([value[1] for value in values]):.3f}",
            f"{np.mean([value[2] for value in values]):.0f}",
        ]
        for name, values in figures.items()
    ]
    header = ["recipe, from sound", "other words: mAP", "each seed", "the five words: mAP", "CPU seconds"]
    print_table(f"{N_WORDS} words, {steps} steps, speakers never heard", header, table, f"{load()}.")


def by_speaker(data: Path, rows: Sequence[Row], rate: int) -> Examples:
    paths = [data / row["path"] for row in rows]
    audio, failed = AudioCache().fill(paths, rate)
    if failed:
        raise RuntimeError(f"{len(failed)} files could not be read: {next(iter(failed.values()))}")
    labels, speakers = ([row[name] for row in rows] for name in ("label", "speaker"))
    return Examples([audio[path] for path in paths], labels, speakers, [1.0] * len(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.words", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipe", action="append")
    options = parser.parse_args()
    where = data_folder(options.data)
    if where is None:
        sys.exit(1)
    main(where, options.recipe or RECIPES, options.steps, options.seeds)
