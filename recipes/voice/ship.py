"""Put a trained ``voice`` among what ships: its weights in 8 bits, and its card.

::

    python recipes/voice/ship.py voice.pt --data DATA --minutes M --command C [--out FOLDER]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from clips import is_used, rows_of
from network import FRONT_END, RATE, SAMPLES, Voice

from echoic.encoders.onnx import BUNDLED
from echoic.nn.graph import traced

HOP = 0.8  # s
STEPS = 127
LARGE = 500  # numbers of a weight that is kept in 8 bits


def in_eight_bits(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Keep weights in 8 bits, a scale for each output, which are made 32 again when the graph is loaded."""
    nodes = []
    made = []
    for one in list(graph.graph.initializer):
        weights = onnx.numpy_helper.to_array(one)
        if weights.dtype != np.float32 or weights.size <= LARGE or weights.ndim < 2:
            continue
        scale = np.maximum(np.abs(weights).max(axis=-1, keepdims=True), 1e-9) / STEPS
        steps = np.rint(weights / scale).astype(np.int8)
        name = one.name
        graph.graph.initializer.remove(one)
        made += [
            onnx.numpy_helper.from_array(steps, f"{name}/8"),
            onnx.numpy_helper.from_array(scale.astype(np.float32), f"{name}/scale"),
        ]
        nodes += [
            onnx.helper.make_node("Cast", [f"{name}/8"], [f"{name}/32"], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Mul", [f"{name}/32", f"{name}/scale"], [name]),
        ]
    graph.graph.initializer.extend(made)
    nodes += graph.graph.node
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    onnx.checker.check_model(graph)
    return graph


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--command", required=True, help="how it was trained")
    parser.add_argument("--out", type=Path, default=BUNDLED)
    options = parser.parse_args()
    torch.set_num_threads(1)
    network = Voice()
    network.load_state_dict(torch.load(options.weights, weights_only=True))
    network.eval()
    rng = np.random.default_rng(0)
    examples = FRONT_END((0.05 * rng.normal(size=(4, SAMPLES))).astype(np.float32))
    fed = json.dumps({"front_end": {"n_mels": FRONT_END.n_mels, "n_fft": FRONT_END.n_fft}}, sort_keys=True)
    graph = traced(network, examples, "voice", input_name="log_mel", fed=fed)
    with torch.no_grad():
        due = network(torch.from_numpy(examples)).numpy()
    content = in_eight_bits(graph).SerializeToString(deterministic=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    found = session.run(["embedding"], {"log_mel": examples})[0]
    print("cosine with float32, at least", (due * found).sum(axis=1).min())
    licences = Counter(row["licence"] for row in rows_of(options.data) if is_used(row))
    digest = hashlib.sha256(content).hexdigest()
    card = {
        "format": 2,
        "name": "voice",
        "revision": digest[:12],
        "sample_rate": RATE,
        "window": SAMPLES / RATE,
        "hop": HOP,
        "dim": due.shape[1],
        "inputs": ["audio"],
        "purposes": ["voices"],
        "storage": "int8",
        "licence": "Apache-2.0",
        "reference": "recipes/voice; begun as Resemblyzer 0.1.4 (Apache-2.0)",
        "description": "who speaks, whatever is said, in noise and over telephones, too",
        "front_end": {
            "kind": "log_mel",
            "n_fft": FRONT_END.n_fft,
            "hop_length": FRONT_END.hop_length,
            "n_mels": FRONT_END.n_mels,
            "fmin": FRONT_END.fmin,
            "fmax": FRONT_END.fmax,
            "mel_scale": FRONT_END.mel_scale,
        },
        "sha256": {"graph": digest},
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "precision": "int8",
        "training": {
            "architecture": "recurrent, three layers",
            "begun_as": "Resemblyzer 0.1.4, pretrained.pt, Apache-2.0",
            "data": {
                "name": "200 people and 160 voices of espeak-ng; noises, music and rooms",
                "clips": sum(licences.values()),
                "licences": dict(sorted(licences.items())),
            },
            "licences": ["Apache-2.0", *sorted(licences)],
            "seed": options.seed,
            "command": options.command,
            "minutes": options.minutes,
            "hardware": f"one core of {platform.machine()}",
        },
        "figures": {},
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "voice.onnx").write_bytes(content)
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    (options.out / "voice.json").write_text(text, encoding="utf-8")
    print(options.out / "voice.onnx", len(content))


if __name__ == "__main__":
    main()
