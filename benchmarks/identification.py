"""Measure how well recordings are identified from degraded excerpts.

::

    python -m benchmarks.identification SET [--peers] [--readme]

SET holds ``ref/`` (the recordings of the library), ``queries/`` (excerpts) and ``truth.tsv`` with the columns
``query, track, start_s, length_s, condition, speed``; a track of ``-`` is a recording that is not in
``ref/``. Excerpts go through ``Library.identify``. An excerpt is right if the best match is its own recording
and scores above a threshold, the same for all, that 2 % of the unknown ones reach. ``--peers`` asks the
systems of ``benchmarks.peers`` the same, each with a threshold of its own.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers import Chromaprint, Constellation, Peer
from benchmarks.tables import load, machine, print_table, write_table
from echoic.encoders.registry import load_encoder
from echoic.library import Library
from echoic.recordings.decision import Decision
from echoic.recordings.result import Match

FALSE_ACCEPTS = 0.02
MOST_OFFSET = (0.05, 0.25)  # s, median and 95th percentile

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked and the best that was found."""

    row: Row
    name: str
    score: float
    match: Match | None = None

    @classmethod
    def of(cls, row: Row, found: list[Match]) -> Answer:
        best = max(found, key=lambda match: match.score, default=None)
        return cls(row, Path(best.path).stem, best.score, best) if best else cls(row, "", -1.0)

    @property
    def known(self) -> bool:
        return self.row["track"] != "-"

    @property
    def right(self) -> bool:
        return self.name == self.row["track"]

    @property
    def offset(self) -> float:
        """Seconds between where the excerpt was found to begin and where it does."""
        assert self.match is not None
        return abs(self.match.start - self.match.tempo * self.match.query_start - float(self.row["start_s"]))


def ask(folder: Path, rows: list[Row]) -> tuple[list[Answer], float, float]:
    """Index the recordings and ask for each excerpt.

    Returns
    -------
    answers : list of Answer
    realtime : float
        Seconds of sound indexed in one second of one core.
    per_query : float
        Seconds of one core for a query.
    """
    with tempfile.TemporaryDirectory() as temporary, Library(temporary) as library:
        report = library.index([folder / "ref"], encoders=["fingerprint"], jobs=1)
        answers = []
        begun = time.process_time()
        for number, row in enumerate(rows):
            found = library.identify(folder / "queries" / f"{row['query']}.wav", min_score=0.0)
            answers.append(Answer.of(row, found))
            if number % 250 == 249:
                print(f"{number + 1} of {len(rows)} excerpts", file=sys.stderr, flush=True)
        return answers, report.audio / report.elapsed, (time.process_time() - begun) / len(rows)


def ask_peer(peer: Peer, folder: Path, rows: list[Row]) -> list[Answer]:
    """Ask another system the same."""
    peer.index(sorted((folder / "ref").iterdir()))
    return [Answer(row, *peer.ask(folder / "queries" / f"{row['query']}.wav")) for row in rows]


def threshold_of(answers: list[Answer]) -> float:
    """Find the least score above which no more than FALSE_ACCEPTS of the unknown excerpts are."""
    unknown = sorted((a.score for a in answers if not a.known), reverse=True)
    return unknown[int(FALSE_ACCEPTS * len(unknown))]


def rates_of(answers: list[Answer]) -> dict[tuple[str, str], np.ndarray]:
    """Give the shares of known excerpts that are right, with the threshold and without.

    By condition and length.
    """
    threshold = threshold_of(answers)
    cells: dict[tuple[str, str], list[tuple[bool, bool]]] = defaultdict(list)
    for answer in answers:
        if answer.known:
            key = answer.row["condition"], answer.row["length_s"]
            cells[key].append((answer.right and answer.score > threshold, answer.right))
    return {key: np.mean(values, axis=0) for key, values in cells.items()}


def main(folder: Path, peers: bool, readme: bool) -> None:
    print(f"{machine()}\n")
    with (folder / "truth.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    answers, realtime, per_query = ask(folder, rows)
    threshold = threshold_of(answers)
    rates = rates_of(answers)
    conditions = list(dict.fromkeys(condition for condition, _ in rates))
    lengths = sorted({length for _, length in rates}, key=float)
    table = [[c, *(f"{rates[c, n][0]:.2f} / {rates[c, n][1]:.2f}" for n in lengths)] for c in conditions]
    means = [np.mean([rates[c, n] for c in conditions], axis=0) for n in lengths]
    table.append(["mean", *(f"{accepted:.3f} / {first:.3f}" for accepted, first in means)])
    right = [a for a in answers if a.known and a.right and a.score > threshold]
    offsets = np.array([a.offset for a in right])
    speeds = [
        abs(a.match.tempo / float(a.row["speed"]) - 1)
        for a in right
        if a.match and a.row["length_s"] == lengths[-1]
    ]
    n_known = sum(a.known for a in answers)
    usual = Decision.load(load_encoder("fingerprint")).threshold
    answered = sum(not a.known and a.score >= usual for a in answers)
    print_table(
        f"{n_known} excerpts of known recordings and {len(answers) - n_known} of unknown ones: right / right "
        "without a threshold",
        ["condition", *(f"{length} s" for length in lengths)],
        table,
        f"Threshold {threshold:.3f}, reached by {FALSE_ACCEPTS:.0%} of the unknown; the default, "
        f"{usual:.3f}, by {answered} of them, {answered / max(1, len(answers) - n_known):.1%}.",
        f"Start found within {1e3 * np.median(offsets):.0f} ms (median), "
        f"{1e3 * np.percentile(offsets, 95):.0f} ms (95 %). Speed of excerpts of {lengths[-1]} s within "
        f"{100 * np.median(speeds):.2f} % (median), .5 % in {np.mean(np.array(speeds) < 0.005):.0%}.",
        f"Indexed at {realtime:.0f}x realtime; {1e3 * per_query:.0f} ms of one core for a query; {load()}.",
    )
    rows_of_means = [
        ["right, with 2 % of unknown ones accepted", *(f"{accepted:.2f}" for accepted, _ in means)],
        ["right, of all that are known", *(f"{first:.2f}" for _, first in means)],
    ]
    for peer in (Constellation(), Chromaprint()) if peers else ():
        theirs = rates_of(ask_peer(peer, folder, rows))
        their_means = [np.mean([theirs[c, n] for c in conditions], axis=0) for n in lengths]
        rows_of_means.append(
            [f"{peer.name}: both", *(f"{accepted:.2f} / {first:.2f}" for accepted, first in their_means)]
        )
        print_table(
            f"{peer.name}: right / right without a threshold",
            ["condition", *(f"{length} s" for length in lengths)],
            [[c, *(f"{theirs[c, n][0]:.2f} / {theirs[c, n][1]:.2f}" for n in lengths)] for c in conditions],
        )
    if readme:
        header = ["identifying excerpts of", *(f"{length} s" for length in lengths)]
        write_table("identification", header, rows_of_means)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.identification", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", metavar="SET", type=Path)
    parser.add_argument("--readme", action="store_true", help="write the main figures into README.md")
    parser.add_argument("--peers", action="store_true", help="measure systems without a network, too")
    options = parser.parse_args()
    main(options.folder, options.peers, options.readme)
