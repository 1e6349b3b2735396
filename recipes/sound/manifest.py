"""Write the manifest that ``sound`` is trained on: which clips, taught as what, drawn how often.

::

    python recipes/sound/manifest.py --data DIR -o sound.tsv

``DIR`` (default: $ECHOIC_DATA) holds the audio and a ``manifest.tsv`` (tab-separated) with the columns
``path, dataset, split, label, licence``. Only clips whose own licence allows commercial use are taken.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections import defaultdict
from pathlib import Path, PurePosixPath

# Every licence that may train what ships. What is not listed there does not.
COMMERCIAL = set(Path(__file__).parents[1].joinpath("licences.txt").read_text("utf-8").splitlines())

# Share of the batches that each set has; its classes share it evenly.
SHARES = {
    "esc50": 0.65,
    "noise": 0.04,
    "music": 0.10,
    "instruments": 0.09,
    "words_arabic": 0.04,
    "phrases_english": 0.02,
    "digits_english": 0.02,
    "prompts_english": 0.02,
    "speech_librispeech": 0.02,
}

# Ambiences that show the same thing as a class of ESC-50 belong to it; the others are classes of their own.
AMBIENCE_IS = {
    "birds": "chirping_birds",
    "fireplace": "crackling_fire",
    "forest-rain": "rain",
    "heavy-rain": "rain",
    "rain": "rain",
    "storm": "thunderstorm",
    "thunderstorm": "thunderstorm",
    "train": "train",
    "waves": "sea_waves",
    "wind": "wind",
    "summer-night": "crickets",
}

Row = dict[str, str]


def taught_as(row: Row) -> str:
    """Name the class that a clip is taught as."""
    name = PurePosixPath(row["path"]).stem
    if row["dataset"] == "noise":
        return AMBIENCE_IS.get(name, f"ambience {name}")
    if row["dataset"] == "music":
        return f"track {row['path']}"
    if row["dataset"] in ("prompts_english", "speech_librispeech"):
        return row["dataset"]
    return row["label"] if row["dataset"] == "esc50" else f"{row['dataset']} {row['label']}"


def held_out_note(path: str) -> bool:
    """Tell whether a note is held out: D and A of every octave, so that no take of a note is on both sides.

    benchmarks/retrieval.py asks with the same notes, and says so in its own words: a script here finds only
    what lies beside it, and the benchmarks measure any encoder, whoever trained it.
    """
    return PurePosixPath(path).stem.split("_")[1].rstrip("0123456789") in ("D", "A")


def may_train(row: Row, folds: set[str]) -> bool:
    """Tell whether a clip may be trained on: by its licence, and by not being held out."""
    if row["dataset"] not in SHARES or row["licence"] not in COMMERCIAL or row["split"] == "test":
        return False
    if row["dataset"] == "esc50":
        return row["split"] in folds
    return not (row["dataset"] == "instruments" and held_out_note(row["path"]))


def esc50_classes(rows: list[Row]) -> list[str]:
    """List the classes of ESC-50 in their order: five themes of ten."""
    number = {row["label"]: int(PurePosixPath(row["path"]).stem.split("-")[3]) for row in rows}
    return sorted(number, key=number.__getitem__)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("ECHOIC_DATA"), help="default: $ECHOIC_DATA"
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--folds", default="fold1,fold2,fold3", help="folds of ESC-50 to train on")
    parser.add_argument(
        "--unseen",
        action="store_true",
        help="leave out every fifth class of ESC-50, two of each theme, to measure on what was never taught",
    )
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the training data lies: --data DIR or the environment variable ECHOIC_DATA")
    data = Path(options.data).absolute()
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    clips = [row for row in rows if may_train(row, set(options.folds.split(",")))]
    if options.unseen:
        unseen = set(esc50_classes([row for row in rows if row["dataset"] == "esc50"])[4::5])
        clips = [row for row in clips if taught_as(row) not in unseen]
        print("left out:", ", ".join(sorted(unseen)))

    classes: dict[str, set[str]] = defaultdict(set)
    for row in clips:
        classes[row["dataset"]].add(taught_as(row))
    of_esc50 = SHARES["esc50"] / len(classes["esc50"])
    with options.output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["path", "label", "licence", "weight"])
        for row in clips:
            name, weight = taught_as(row), SHARES[row["dataset"]] / len(classes[row["dataset"]])
            if name in classes["esc50"]:
                weight = of_esc50
            writer.writerow([data / row["path"], name, row["licence"], f"{weight:.6g}"])
    print(f"{len(clips)} clips of {len(set(map(taught_as, clips)))} classes in {options.output}")


if __name__ == "__main__":
    main()
