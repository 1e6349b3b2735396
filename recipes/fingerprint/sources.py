"""What ``fingerprint`` is trained on: which rows of a manifest are music, and which degrade it."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

Row = dict[str, str]

FOLDS = ("fold1", "fold2", "fold3", "fold4")
UNCLEAR = "see repo"
FREE = "CC0 or CC-BY"  # of the clips of ESC-50, those that may train what ships


def rows(data: Path) -> Iterator[tuple[str, Row]]:
    """Give the rows to train on, each with its part: ``music``, ``noise`` or ``room``."""
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            match row["dataset"]:
                case "music" if row["split"] == "train" and row["licence"] != UNCLEAR:
                    yield "music", row
                case "noise" | "speech_librispeech":
                    yield "noise", row
                case "esc50" if row["split"] in FOLDS and row["licence"] == FREE:
                    yield "noise", row
                case "impulse_responses":
                    yield "room", row


def licences(data: Path) -> Iterator[str]:
    """Give the licence of every recording that is trained on."""
    for _, row in rows(data):
        yield row["licence"]
