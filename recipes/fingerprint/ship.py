"""Put a trained ``fingerprint`` among the bundled models: its graph, in 8 bits, and its card.

::

    python recipes/fingerprint/ship.py WEIGHTS.pt --data DIR [--minutes M --steps N --seed S] [--command C]

WEIGHTS.pt is what ``train.py`` saves: a dict with ``c``, the widths, and ``ema``, the weights to ship. The
graph is compared with torch on sounds of every kind before it is written; in float32 it stays beside this
script, to train on from.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parent))

from eight_bits import put_in_eight_bits
from network import HOP, LOG_MEL, WINDOW, FingerprintNet
from sources import licences

from echoic.encoders.card import FORMAT
from echoic.encoders.onnx import BUNDLED
from echoic.nn.checkpoint import Checkpoint
from echoic.training.graph import example_log_mels, to_onnx

DESCRIPTION = "the very same recording, through noise, rooms, codecs and changes of speed"
TOLERANCE = 1e-4


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="holds manifest.tsv")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--command", required=True, help="how it was trained")
    parser.add_argument("--figures", type=Path, help="JSON")
    options = parser.parse_args()

    saved = torch.load(options.weights, weights_only=True)
    network = FingerprintNet(saved["c"])
    network.load_state_dict(saved["ema"])
    network.eval()
    member = Checkpoint("fingerprint", {}, {}, LOG_MEL, WINDOW, HOP, (), {}, {})
    examples = example_log_mels(member)
    graph = to_onnx(network, examples, [member]).SerializeToString()
    with torch.no_grad():
        wanted = network(torch.from_numpy(examples)).numpy()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    difference = np.abs(session.run(["embedding"], {"log_mel": examples})[0] - wanted).max()
    if difference > TOLERANCE:
        raise SystemExit(f"the graph differs from torch by {difference:.1e}; nothing was written")

    digest = hashlib.sha256(graph).hexdigest()
    front_end = asdict(LOG_MEL)
    del front_end["sample_rate"]
    counted = Counter(licences(options.data))
    card = {
        "format": FORMAT,
        "name": "fingerprint",
        "revision": digest[:12],
        "sample_rate": LOG_MEL.sample_rate,
        "window": WINDOW,
        "hop": HOP,
        "dim": wanted.shape[1],
        "inputs": ["audio"],
        "purposes": [],  # decide.py says that recordings can be told by it
        "licence": "Apache-2.0",
        "reference": "recipes/fingerprint",
        "description": DESCRIPTION,
        "storage": "int8",
        "front_end": {"kind": "log_mel"} | front_end,
        "sha256": {"graph": digest},
        "parameters": sum(weights.numel() for weights in network.parameters()),
        "training": {
            "architecture": "strided convolutions",
            "config": {"widths": list(saved["c"])},
            "data": {
                "name": "music, with noise, speech and rooms to degrade it",
                "clips": sum(counted.values()),
                "licences": dict(sorted(counted.items())),
            },
            "licences": sorted(counted),
            "seed": options.seed,
            "steps": int(saved["step"]),
            "minutes": options.minutes,
            "command": options.command,
            "hardware": f"CPU ({platform.machine()}), torch {torch.__version__.split('+')[0]}",
        },
        "precision": "fp32",
        "figures": json.loads(options.figures.read_text("utf-8")) if options.figures else {},
    }
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    (BUNDLED / "fingerprint.json").write_text(text, "utf-8")
    target = Path(__file__).with_name("fingerprint.onnx")
    target.write_bytes(graph)
    print(f"{target}: {len(graph) / 1e6:.2f} MB, within {difference:.0e} of torch")
    put_in_eight_bits("fingerprint", graph, options.data)


if __name__ == "__main__":
    main()
