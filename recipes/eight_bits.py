"""Put the 8-bit form of a graph among the bundled models: half the time, a quarter of the size.

::

    python recipes/eight_bits.py fingerprint recipes/fingerprint/fingerprint.onnx --data DIR

The ranges of its activations are measured on windows of clips of DIR that may train what ships, half of them
quieter and under noise. The card beside the bundled graph gets the new revision; all else in it stays.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import onnxruntime

from echoic.audio.decode import read_audio
from echoic.encoders.base import EncoderSpec
from echoic.encoders.card import load_card
from echoic.encoders.onnx import BUNDLED
from echoic.training.graph import quantize
from echoic.types import Float32

COMMERCIAL = set(Path(__file__).with_name("licences.txt").read_text("utf-8").splitlines())
SPLITS = ("train", "fold1", "fold2", "fold3", "")
MOST_OF_A_SET = 48  # clips
NOISE = (-6.0, 12.0)  # dB that the sound lies above it
LEVEL = (-30.0, 0.0)  # dB
LEAST_COSINE = 0.99  # with the graph in float32, at the hundredth part that fares worst


def windows(data: Path, spec: EncoderSpec, rng: np.random.Generator) -> Float32:
    """Draw a window of each of some clips, (n, samples)."""
    clips = defaultdict(list)
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["split"] in SPLITS and row["licence"] in COMMERCIAL:
                clips[row["dataset"]].append(data / row["path"])
    drawn = []
    for paths in clips.values():
        for at in rng.permutation(len(paths))[:MOST_OF_A_SET]:
            samples, _ = read_audio(paths[at], spec.sample_rate)
            samples = np.pad(samples, (0, max(0, spec.window_samples - len(samples))))
            begin = rng.integers(0, len(samples) - spec.window_samples + 1)
            drawn.append(samples[begin : begin + spec.window_samples])
    sounds = np.stack(drawn).astype(np.float32)
    half = sounds[::2]
    noise = rng.normal(size=half.shape) * np.sqrt(np.square(half).mean(axis=1, keepdims=True))
    noise *= 10 ** (-rng.uniform(*NOISE, (len(half), 1)) / 20)
    sounds[::2] = (half + noise) * 10 ** (rng.uniform(*LEVEL, (len(half), 1)) / 20)
    return sounds


def put_in_eight_bits(name: str, graph: bytes, data: Path) -> None:
    """Write ``NAME.onnx`` and its card, if its vectors lie where those of the graph do."""
    target = BUNDLED / f"{name}.onnx"
    card = load_card(target)
    features = card.front_end(windows(data, card.spec, np.random.default_rng(0)))
    features = np.random.default_rng(1).permutation(features)
    measured, asked = np.array_split(features, 2)
    with tempfile.TemporaryDirectory() as folder:
        original = Path(folder) / "graph.onnx"
        original.write_bytes(graph)
        content = quantize(original, measured).SerializeToString()
    before, after = (
        onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(
            [card.output], {card.input: asked}
        )[0]
        for model in (graph, content)
    )
    cosines = np.percentile((before * after).sum(axis=1), [1, 50])
    if cosines[0] < LEAST_COSINE:
        raise SystemExit(
            f"{name} as int8 lies too far from float32: cosine {cosines[0]:.4f}; nothing written"
        )
    target.write_bytes(content)
    text = json.loads(target.with_suffix(".json").read_text("utf-8"))
    text["sha256"]["graph"] = hashlib.sha256(content).hexdigest()
    text |= {"revision": text["sha256"]["graph"][:12], "precision": "int8"}
    target.with_suffix(".json").write_text(
        json.dumps(text, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(
        f"{target.name}: {len(content) / 1e6:.2f} MB, cosine with float32 {cosines[1]:.4f} (median of "
        f"{len(asked)} windows), {cosines[0]:.4f} (1 %)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="of the bundled model")
    parser.add_argument("graph", type=Path, help="in float32")
    parser.add_argument("--data", type=Path, required=True, help="holds manifest.tsv")
    options = parser.parse_args()
    put_in_eight_bits(options.name, options.graph.read_bytes(), options.data)


if __name__ == "__main__":
    main()
