"""Measure how well encoders find sounds of the same kind, on real recordings.

::

    python -m benchmarks.retrieval [--data DIR] [--encoder NAME]… [--unseen]

DIR holds audio and ``manifest.tsv`` (columns ``path, dataset, split, label, speaker``); by default it is
$ECHOIC_DATA, or ``../shared/data`` beside the checkout. Files go through the pipeline that indexing uses; a
file's vector is the mean of its segments, and the similarity of two files is the cosine. Intervals are 95 %
bootstrap intervals over what is independent: recordings, notes, speakers.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from benchmarks.tables import machine, print_table, write_table
from echoic.analysis.files import embed as embed_files
from echoic.encoders.base import mean_vector
from echoic.encoders.card import read_card
from echoic.encoders.onnx import BUNDLED
from echoic.encoders.registry import bundled_for
from echoic.evaluation import retrieval
from echoic.types import Float32

QUERY_FOLD = "fold4"
COLLECTION_FOLDS = ("fold1", "fold2", "fold3")
FREE = "CC0 or CC-BY"  # the licence of the clips that what ships may be trained on
K_VOTES = 5
K_PRECISION = 10
HEARD = ["trained on", "–", "–", "–"]

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Task:
    """Who asks, where is searched, and what is left out because it is the query's own source.

    ``folds`` are those of ESC-50 that no model may have been trained on that is measured.
    """

    name: str
    queries: list[Row]
    searched: list[Row]
    source: Callable[[Row], str]
    folds: frozenset[str] = frozenset()

    def heard_by(self, encoder: str) -> bool:
        """Tell whether a model says that it was trained on clips that ask here: its figures mean nothing."""
        return not self.folds.isdisjoint(card_of(encoder).get("data", {}).get("folds_of_esc50", []))


def card_of(encoder: str) -> dict[str, Any]:
    """Read what the card of a model says of its training; nothing if it has none."""
    path = Path(encoder) if encoder.endswith(".onnx") else (BUNDLED / encoder).with_suffix(".onnx")
    training: dict[str, Any] = read_card(path).get("training", {}) if path.exists() else {}
    return training


def recording(row: Row) -> str:
    """Name the recording that a clip of ESC-50 was cut from: the second field of its name."""
    return PurePosixPath(row["path"]).stem.split("-")[1]


def note(row: Row) -> str:
    """Name the note that an instrument plays: the second field, after the instrument's."""
    return f"{row['label']} {PurePosixPath(row['path']).stem.split('_')[1]}"


def is_held_out(row: Row) -> bool:
    """Tell whether no model was trained on a note: D and A of every octave, see recipes/sound."""
    return note(row).rpartition(" ")[2].rstrip("0123456789") in ("D", "A")


def unseen(clips: Sequence[Row]) -> list[Row]:
    """Keep the clips of every fifth class, which recipes/sound leaves out where it is told --unseen."""
    number = {row["label"]: int(PurePosixPath(row["path"]).stem.split("-")[3]) for row in clips}
    chosen = sorted(number, key=number.__getitem__)[4::5]
    return [row for row in clips if row["label"] in chosen]


def speaker(row: Row) -> str:
    return row["speaker"]


def make_tasks(rows: Sequence[Row]) -> list[Task]:
    clips = [row for row in rows if row["dataset"] == "esc50"]
    fold = [row for row in clips if row["split"] == QUERY_FOLD]
    others = [row for row in clips if row["split"] in COLLECTION_FOLDS]
    free = [row for row in clips if row["licence"] == FREE]
    rest = [row for row in clips if row["licence"] != FREE]
    asking = frozenset({QUERY_FOLD})
    notes = [row for row in rows if row["dataset"] == "instruments" and is_held_out(row)]
    words = [row for row in rows if row["dataset"] == "words_arabic" and row["split"] == "test"]
    tasks = [
        Task("ESC-50: fold 4 asks, folds 1 to 3 are searched", fold, others, recording, asking),
        Task("ESC-50: clips not free for all uses ask, the free ones are searched", rest, free, recording),
        Task("ESC-50: within fold 4, not in the clip's own recording", fold, fold, recording, asking),
        Task("ESC-50: the same with every fifth class alone", unseen(fold), unseen(fold), recording, asking),
        Task("Instruments: notes D and A, other notes than the query's", notes, notes, note),
        Task("Words of speakers never heard, spoken by the others of them", words, words, speaker),
    ]
    return [task for task in tasks if task.queries and task.searched]


def make_tasks_of_unseen_classes(rows: Sequence[Row]) -> list[Task]:
    """Let classes ask that a model was never taught, if it was trained on a manifest made with --unseen."""
    folds = frozenset({*COLLECTION_FOLDS, QUERY_FOLD})
    tasks = []
    for where, among in (("folds 1 to 4", folds), ("fold 4", {QUERY_FOLD})):
        clips = [row for row in rows if row["dataset"] == "esc50" and row["split"] in among]
        asking = unseen(clips)
        tasks += [
            Task(
                f"ESC-50, {where}: every fifth class asks, all are searched", asking, clips, recording, folds
            ),
            Task(f"ESC-50, {where}: every fifth class alone", asking, asking, recording, folds),
        ]
    return tasks


def embed(data: Path, tasks: Sequence[Task], encoder: str) -> dict[str, Float32]:
    """Compute the mean vector of every file of the tasks, by its path in the manifest."""
    names = sorted({row["path"] for task in tasks for row in (*task.queries, *task.searched)})
    found, failed = embed_files([data / name for name in names], encoder=encoder)
    if failed:
        raise RuntimeError(f"{len(failed)} files could not be read: {next(iter(failed.values()))}")
    return {name: mean_vector(found[str(data / name)].vectors) for name in names}


def measure(task: Task, vectors: dict[str, Float32]) -> list[str]:
    """Score one encoder on a task.

    Returns
    -------
    list of str
        The number of queries that have something to find, accuracy of the vote, mean average precision,
        precision of the first.
    """

    def stack(rows: list[Row]) -> Float32:
        return np.stack([vectors[row["path"]] for row in rows])

    def column(of: Callable[[Row], str], rows: list[Row]) -> np.ndarray:
        return np.array([of(row) for row in rows])

    similarities = stack(task.queries) @ stack(task.searched).T
    labels, searched_labels = (
        column(lambda row: row["label"], rows) for rows in (task.queries, task.searched)
    )
    sources, searched_sources = (column(task.source, rows) for rows in (task.queries, task.searched))
    excluded = sources[:, None] == searched_sources[None, :]
    values = (
        retrieval.knn_correct(similarities, labels, searched_labels, K_VOTES, excluded=excluded),
        retrieval.average_precision(similarities, labels, searched_labels, K_PRECISION, excluded=excluded),
        retrieval.precision_at_k(similarities, labels, searched_labels, 1, excluded=excluded),
    )
    n_queries = np.count_nonzero(~np.isnan(values[0]))
    return [str(n_queries), *(spell(of_queries, sources) for of_queries in values)]


def spell(values: np.ndarray, groups: np.ndarray) -> str:
    low, high = retrieval.bootstrap_interval(values, groups)
    return f"{np.nanmean(values):.3f} ({low:.3f} to {high:.3f})"


def without_interval(spelled: str) -> str:
    return spelled.partition(" ")[0]


def provenance(encoder: str) -> str:
    """Say what a model was trained on, as far as its card tells; no figure means much without."""
    training = card_of(encoder)
    if not training:
        return f"{encoder} is not trained."
    members = training.get("members", [training])
    names = sorted({str(member.get("data", {}).get("name", "data without a name")) for member in members})
    return f"{encoder} was trained on {', '.join(names)}."


def main(data: Path, encoders: Sequence[str], readme: bool, of_unseen_classes: bool) -> None:
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    tasks = make_tasks_of_unseen_classes(rows) if of_unseen_classes else make_tasks(rows)
    print(f"{machine()}\n")
    vectors = {}
    for encoder in encoders:
        begun = time.perf_counter()
        vectors[encoder] = embed(data, tasks, encoder)
        elapsed = time.perf_counter() - begun
        print(
            f"{encoder}: {len(vectors[encoder])} files in {elapsed:.0f} s. {provenance(encoder)}", flush=True
        )
    print()
    header = ["", "queries", f"vote of {K_VOTES}", f"mAP@{K_PRECISION}", "P@1"]
    digest = []
    for task in tasks:
        measured = [
            [encoder, *(HEARD if task.heard_by(encoder) else measure(task, vectors[encoder]))]
            for encoder in encoders
        ]
        print_table(task.name, header, measured)
        digest += [[task.name, f"`{name}`", *map(without_interval, cells)] for name, _, *cells in measured]
    if readme:
        write_table("retrieval", ["who asks, and what is searched", "encoder", *header[2:]], digest)


def data_folder(given: Path | None) -> Path | None:
    """Find the audio to measure with: where it is said to be, in $ECHOIC_DATA, or beside the checkout."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    data = given or Path(os.environ.get("ECHOIC_DATA") or beside)
    if (data / "manifest.tsv").is_file():
        return data
    print(
        f"no audio to measure with: {data / 'manifest.tsv'} is not there; "
        "say where it is with --data DIR or $ECHOIC_DATA",
        file=sys.stderr,
    )
    return None


def _command_line() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.retrieval", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument(
        "--encoder", action="append", help="a name or an .onnx file [default: the bundled ones to search by]"
    )
    parser.add_argument("--readme", action="store_true", help="write the figures into README.md")
    parser.add_argument(
        "--unseen",
        action="store_true",
        help="let classes ask that recipes/sound leaves out where told --unseen",
    )
    options = parser.parse_args()
    if options.readme and options.unseen:
        parser.error("the README tells of the models that ship, which were taught every class: no --unseen")
    data = data_folder(options.data)
    if data is None:
        return 1
    bundled = bundled_for("sounds")
    main(data, options.encoder or bundled, options.readme, options.unseen)
    return 0


if __name__ == "__main__":
    sys.exit(_command_line())
