"""Put a head beside the bundled ``sound``, and say in its card how it came about.

::

    python recipes/heard/ship.py sound.heard.npz pieces.npz --minutes M --figures FIGURES.json

The vectors of sounds stay what they are, and so does ``sound``'s revision: no library is encoded anew.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from collections import Counter
from pathlib import Path

import numpy as np

from echoic.encoders.card import SUFFIXES
from echoic.encoders.head import Head
from echoic.encoders.onnx import BUNDLED

TAUGHT_BY = [
    "F. Schmid, K. Koutini and G. Widmer, Efficient large-scale audio tagging via transformer-to-CNN "
    "knowledge distillation, ICASSP 2023; mn04; MIT",
    "AudioSet's ontology, Google; CC-BY-SA-4.0",
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("head", type=Path, help="what train.py wrote")
    parser.add_argument("pieces", type=Path, help="what pieces.py wrote")
    parser.add_argument("--minutes", type=float, required=True, help="of CPU that all steps took")
    parser.add_argument("--figures", type=Path, help="JSON: what benchmarks.describe measured")
    options = parser.parse_args()
    path = BUNDLED / "sound.json"
    card = json.loads(path.read_text("utf-8"))
    content = options.head.read_bytes()
    head = Head(content, card["dim"])  # it can be read
    with np.load(options.pieces) as pieces:
        is_taught = [
            name != "esc50" or Path(file).name[0] in "123"
            for name, file in zip(pieces["dataset"], pieces["path"], strict=True)
        ]
        licences = dict(zip(pieces["path"][is_taught], pieces["licence"][is_taught], strict=True))
    with np.load(options.head) as saved:
        layers = ("first_weight", "first_bias", "second_weight", "second_bias")
        n_numbers = sum(saved[name].size for name in layers)
    counts = Counter(map(str, licences.values()))
    card["sha256"]["heard"] = hashlib.sha256(content).hexdigest()
    card["training"]["heard"] = {
        "data": {
            "clips": len(licences),
            "licences": dict(sorted(counts.items())),
            "classes": len(head.labels),
            "folds_of_esc50": ["fold1", "fold2", "fold3"],
        },
        "licences": sorted(counts),
        "taught_by": TAUGHT_BY,
        "parameters": n_numbers,
        "seed": 0,
        "command": "python recipes/heard/train.py pieces.npz mixes.npz held_out.npz --classes DIR "
        "-o sound.heard.npz",
        "minutes": options.minutes,
        "hardware": f"CPU ({platform.machine()})",
    }
    if options.figures is not None:
        card["figures"]["heard"] = json.loads(options.figures.read_text("utf-8"))
    path.with_name("sound" + SUFFIXES["heard"]).write_bytes(content)
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
