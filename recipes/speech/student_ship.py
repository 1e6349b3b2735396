"""Put a trained ``spoken``, and speech that phrases are compared with, among what ships.

::

    python recipes/speech/student_ship.py WEIGHTS.pt --data DATA --minutes M --command C
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from clips import is_held
from ship import halved, written
from student import DIM, RATE, STEP, Spoken
from student_clips import chosen

from echoic.analysis.excerpts import embed_part
from echoic.encoders.onnx import BUNDLED
from echoic.encoders.registry import load_encoder
from echoic.nn.graph import traced
from echoic.search.spoken import Odds
from echoic.storage.frames import whole_frames

WINDOW, HOP = 20.0, 18.0  # s; the hop is a whole number of frames
PIECE, N_PIECES = 10, 24  # s; people


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--odds", type=float, nargs=4, default=Odds(), help="by benchmarks.spoken --fit")
    parser.add_argument("--command", required=True, help="how it was trained")
    options = parser.parse_args()
    network = Spoken()
    network.load_state_dict(torch.load(options.weights, weights_only=True))
    network.eval()
    examples = (0.05 * np.random.default_rng(0).normal(size=(2, 2 * RATE))).astype(np.float32)
    names = {"input_name": "waveform", "output_name": "vectors", "free": ("n", "samples")}
    graph = halved(traced(network, examples, "spoken", fed="", **names)).SerializeToString(deterministic=True)
    rows = [row for some in chosen(options.data) for row in some]
    licences = Counter(row["licence"] for row in rows)
    digest = hashlib.sha256(graph).hexdigest()
    card = {
        "format": 2,
        "name": "spoken",
        "revision": digest[:12],
        "sample_rate": RATE,
        "window": WINDOW,
        "hop": HOP,
        "dim": DIM,
        "by": "frame",
        "frame_rate": RATE / STEP,
        "inputs": ["audio"],
        "purposes": ["spoken"],
        "licence": "Apache-2.0",
        "reference": "recipes/speech; taught by speech, whose embedding is Google's (Apache-2.0)",
        "description": "what is said, whoever says it; small, and less sure than speech",
        "front_end": {"kind": "waveform"},
        "graph": {"input": "waveform", "output": "vectors"},
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "precision": "float16",
        "training": {
            "architecture": "convolutions, five layers",
            "teacher": "speech",
            "data": {
                "name": "read books, prompts, words, digits and phrases by people; noises, music",
                "clips": sum(licences.values()),
                "licences": dict(sorted(licences.items())),
            },
            "licences": sorted(licences),
            "seed": options.seed,
            "command": options.command,
            "minutes": options.minutes,
            "hardware": f"one core of {platform.machine()}, shared",
        },
        "figures": {},
    }
    model = BUNDLED / "spoken.onnx"
    model.write_bytes(graph)

    def put(background: bytes) -> None:
        card["sha256"] = {"graph": digest, "background": hashlib.sha256(background).hexdigest()}
        model.with_suffix(".background.npz").write_bytes(background)
        model.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")

    put(b"")  # the encoder makes it
    encoder = load_encoder("spoken")
    books = [row for row in rows if row["dataset"] == "speech_librispeech" and not is_held(row)]
    people = list({row["speaker"] or row["path"]: row for row in books}.values())[:N_PIECES]
    numbers, starts, pieces, n = [], [], [], 0
    for row in people:
        frames = whole_frames(embed_part(options.data / row["path"], encoder, 1.0, 1.0 + PIECE))
        said = frames.numbers[:, -1] < round(0.95**0.5 * 127)
        pieces.append(n)
        numbers.append(frames.numbers[said])
        starts.append(frames.starts[said])
        n += int(said.sum())
    background = written(
        {
            "numbers": np.concatenate(numbers),
            "starts": np.concatenate(starts),
            "pieces": np.array(pieces),
            "odds": np.array(options.odds),
        }
    )
    put(background)
    print(model, len(graph), len(background))


if __name__ == "__main__":
    main()
