"""Compare what ``echoic recommend`` chooses by a sample with what all of each folder says.

::

    python -m benchmarks.recommend [--data DIR] [--encoder NAME]… [--folder NAME]…

Four collections of different kinds, of clips that no bundled model was taught: sounds of the environment,
words by speakers never heard, notes of instruments, and effects of games. Each is a manifest of files in DIR
(default: $ECHOIC_DATA, or ``../shared/data`` beside the checkout). ``recommend`` goes by a sample of it, once
with its labels and once without; then all of it is measured by each encoder, every file asking for all others
that are not of its own recording, speaker or note. By default all encoders are compared that are installed;
``echoic models add aisfx`` and ``resemblyzer`` add two.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.retrieval import FREE, Row, data_folder, is_held_out, note, recording, speaker
from benchmarks.tables import machine, print_table, verdict
from echoic.advice.recommending import recommend
from echoic.analysis.files import embed
from echoic.encoders.base import mean_vector
from echoic.encoders.registry import available
from echoic.evaluation.labelled import measure

NEAR = 0.02  # of the best mAP: the choice is as good

FOLDERS: dict[str, tuple[Callable[[Row], bool], Callable[[Row], str]]] = {
    "environment": (lambda row: row["dataset"] == "esc50" and row["licence"] != FREE, recording),
    "words": (lambda row: row["dataset"] == "words_arabic" and row["split"] == "test", speaker),
    "notes": (lambda row: row["dataset"] == "instruments" and is_held_out(row), note),
    "effects": (lambda row: row["dataset"] == "sfx", lambda row: row["path"]),
}


def write_manifest(path: Path, data: Path, rows: Sequence[Row], group: Callable[[Row], str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["path", "label", "group"])
        writer.writerows((data / row["path"], row["label"], group(row)) for row in rows)
    return path


def measured(data: Path, rows: Sequence[Row], group: Callable[[Row], str], encoder: str) -> float:
    """Tell the mAP of all files, each asking for all others but those of its group."""
    paths = [str(data / row["path"]) for row in rows]
    found, _ = embed(paths, encoder=encoder)
    heard = [(row, path) for row, path in zip(rows, paths, strict=True) if path in found]
    vectors = np.stack([mean_vector(found[path].vectors) for _, path in heard])
    labels, groups = [row["label"] for row, _ in heard], [group(row) for row, _ in heard]
    return measure(vectors, labels, groups, [path for _, path in heard]).mean_average_precision.value


def main(data: Path, encoders: Sequence[str], folders: Sequence[str]) -> None:
    print(f"{machine()}\n", flush=True)
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    table, n_right = [], {True: 0, False: 0}
    for name in folders:
        chosen, group = FOLDERS[name]
        some = [row for row in rows if chosen(row)]
        with tempfile.TemporaryDirectory() as folder:
            manifest = write_manifest(Path(folder, f"{name}.tsv"), data, some, group)
            advice = {}
            for labels in (True, False):
                begun = time.process_time()
                advice[labels] = recommend(manifest, encoders=encoders, labels=labels)
                took = time.process_time() - begun
                sample = advice[labels]
                print(f"{name}, labels {labels}: {took:.0f} s for {sample.sample} files; {sample.sentence}")
        full = {encoder: measured(data, some, group, encoder) for encoder in encoders}
        best = max(full.values())
        for encoder, figure in full.items():
            cells = [f"{figure:.3f}"]
            for told in advice.values():
                [candidate] = [one for one in told.candidates if one.encoder == encoder]
                spelled = f"{candidate.mean_average_precision:.3f}"
                cells.append(f"**{spelled}**" if told.encoder == encoder else spelled)
            table.append([f"{name}, {len(some)} files" if encoder == encoders[0] else "", encoder, *cells])
            print(*table[-1], flush=True)
        for labels, told in advice.items():
            assert told.encoder is not None
            n_right[labels] += full[told.encoder] >= best - NEAR
    print()
    header = ["collection", "encoder", "mAP of all files", "of a sample, by labels", "guessed without"]
    for labels, n in n_right.items():
        of = f"{'by labels' if labels else 'without'}: within {NEAR} of the best {n} of {len(folders)} times"
        print(f"{of}, goal {verdict(n, len(folders))}")
    print()
    print_table("What is chosen (bold)", header, table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recommend", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--encoder", action="append", help="[default: all that find sounds]")
    parser.add_argument("--folder", action="append", choices=FOLDERS, help="[default: each]")
    options = parser.parse_args()
    registry = available()
    every = [entry.name for entry in registry if "sounds" in registry.load(entry.name).spec.purposes]
    folder = data_folder(options.data)
    if folder is None:
        sys.exit(1)
    main(folder, options.encoder or every, options.folder or [*FOLDERS])
