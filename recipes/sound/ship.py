"""Put a trained ``sound`` among the bundled models: its graph, its card, and weights to fine-tune from.

::

    python recipes/sound/ship.py sound.echoic [--figures FIGURES.json]

The figures, measured on clips that it was not trained on, go into the card.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

import torch

from echoic.encoders.onnx import BUNDLED
from echoic.nn.checkpoint import load_checkpoint, save_checkpoint
from echoic.training.export import export

DESCRIPTION = "sounds by what makes them: nature, animals, people, machines, music"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="the .echoic file of recipes/sound")
    parser.add_argument("--figures", type=Path, help="JSON")
    options = parser.parse_args()
    target = BUNDLED / "sound.onnx"
    exported = export([options.model], target, name="sound")
    training = exported.card["training"]
    command = (
        f"echoic train {training['data']['name']}.tsv --recipe {training['recipe']} "
        f"--classify {training['classify']:g} --validation 0 --dim {training['config']['dim']} "
        f"--minutes {training['minutes']:.0f} --threads 1 --seed {training['seed']}"
    )
    training |= {
        "licences": sorted(training["data"]["licences"]),
        "command": command,
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
    checkpoint = load_checkpoint(options.model)
    for kept in (checkpoint.training, checkpoint.training["data"]):
        kept.pop("path", None)  # where the audio lay is nobody's business
    save_checkpoint(checkpoint, target.with_suffix(".echoic"), half=True)


if __name__ == "__main__":
    main()
