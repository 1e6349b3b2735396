"""Put a trained head of ``speech``, and speech that phrases are compared with, among what ships.

::

    python recipes/speech/ship.py WEIGHTS.pt --data DATA --minutes M --command C
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import torch
from clips import HELD_PHRASES, is_held, rows_of
from network import SpeechHead

from echoic.nn.graph import traced
from echoic.pretrained.spoken import ABOUT, BACKGROUND, HEAD

OF_SPLITS = ("words_arabic", "noise", "impulse_responses", "music")
PIECE, N_PIECES = 10, 48  # s; people
USED = (
    "words_arabic",
    "digits_english",
    "phrases_english",
    "speech_librispeech",
    "noise",
    "impulse_responses",
)


def licences(rows: list[dict[str, str]]) -> dict[str, int]:
    """Count the clips that were trained on by licence."""
    counted: Counter[str] = Counter()
    for row in rows:
        dataset = row["dataset"]
        if dataset == "esc50":
            is_used = row["licence"] == "CC0 or CC-BY"
        elif dataset == "speech_librispeech":
            is_used = not is_held(row)
        elif dataset == "phrases_english":
            is_used = row["label"] not in HELD_PHRASES
        elif dataset == "digits_english":
            is_used = True
        else:
            is_used = dataset in OF_SPLITS and row["split"] == "train"
        if is_used:
            counted[f"{dataset}: {row['licence']}"] += 1
    return dict(sorted(counted.items()))


def halved(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Keep the weights in 16 bits, which are made 32 again when the graph is loaded."""
    nodes = []
    for one in graph.graph.initializer:
        weights = onnx.numpy_helper.to_array(one)
        if weights.dtype == np.float32 and weights.size > 500:
            name = one.name
            one.CopyFrom(onnx.numpy_helper.from_array(weights.astype(np.float16), f"{name}/16"))
            nodes.append(onnx.helper.make_node("Cast", [f"{name}/16"], [name], to=onnx.TensorProto.FLOAT))
    nodes += graph.graph.node
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return graph


def written(arrays: dict[str, np.ndarray]) -> bytes:
    """Write an archive that is the same whenever it is written."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            one = io.BytesIO()
            np.save(one, array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), one.getvalue())
    return content.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--command", required=True, help="how it was trained")
    options = parser.parse_args()
    network = SpeechHead()
    network.load_state_dict(torch.load(options.weights, weights_only=True))
    network.eval()
    rows = rows_of(options.data)
    examples = np.random.default_rng(0).normal(0, 15, (2, 60, 96)).astype(np.float32)
    names = {"input_name": "frames", "output_name": "vectors", "free": ("n", "frames")}
    graph = halved(traced(network, examples, "the head of speech", fed="", **names))
    about = {
        "data": "words, digits, phrases and running speech by people; words said by espeak-ng in 48 voices "
        "and 19 languages (word list: Debian's wamerican); noises, rooms and music",
        "licences": licences(rows),
        "seed": options.seed,
        "command": options.command,
        "minutes": options.minutes,
        "hardware": f"one core of {platform.machine()}",
        "parameters": sum(weight.numel() for weight in network.parameters()),
    }
    onnx.helper.set_model_props(graph, {ABOUT: json.dumps(about)})
    HEAD.write_bytes(graph.SerializeToString(deterministic=True))
    print(HEAD, HEAD.stat().st_size)

    from echoic.analysis.excerpts import embed_part
    from echoic.encoders.registry import load_encoder
    from echoic.pretrained import add
    from echoic.storage.frames import whole_frames

    BACKGROUND.write_bytes(written({"numbers": np.zeros((1, 2), np.int8)}))
    add("speech")
    encoder = load_encoder("speech")
    books = [row for row in rows if row["dataset"] == "speech_librispeech" and not is_held(row)]
    people = list({row["speaker"] or row["path"]: row for row in books}.values())[:N_PIECES]
    numbers, starts, pieces, n = [], [], [], 0
    for row in people:
        segments = embed_part(options.data / row["path"], encoder, 1.0, 1.0 + PIECE)
        frames = whole_frames(segments)
        said = frames.numbers[:, -1] < round(0.95**0.5 * 127)
        pieces.append(n)
        numbers.append(frames.numbers[said])
        starts.append(frames.starts[said])
        n += int(said.sum())
    arrays = {
        "numbers": np.concatenate(numbers),
        "starts": np.concatenate(starts),
        "pieces": np.array(pieces),
    }
    BACKGROUND.write_bytes(written(arrays))
    print(BACKGROUND, BACKGROUND.stat().st_size)
    add("speech")


if __name__ == "__main__":
    main()
