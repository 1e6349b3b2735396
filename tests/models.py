"""A tiny model in ONNX with its card, whole or as somebody would spoil it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

N_MELS = 16


def mean_level(**changed: Any) -> onnx.ModelProto:
    """Make a graph that gives the normalised mean over time of the spectrogram; its shapes may be changed."""
    takes = changed.get("log_mel", ["n", "frames", N_MELS])
    gives = changed.get("embedding", ["n", N_MELS])
    nodes = [
        helper.make_node("ReduceMean", ["log_mel", "time"], ["mean"], keepdims=0),
        helper.make_node("Sub", ["mean", "offset"], ["level"]),
        helper.make_node("LpNormalization", ["level"], ["embedding"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        nodes,
        "mean",
        [helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, takes)],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, gives)],
        [
            helper.make_tensor("time", TensorProto.INT64, [1], [1]),
            helper.make_tensor("offset", TensorProto.FLOAT, [1], [-101.0]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def write_model(path: Path, graph: onnx.ModelProto | None = None, **card: Any) -> Path:
    """Write a model and its card, with some of the card's fields changed."""
    content = (mean_level() if graph is None else graph).SerializeToString()
    path.write_bytes(content)
    whole = {
        "name": "mean-level",
        "revision": "1",
        "sample_rate": 8_000,
        "window": 1.0,
        "hop": 0.5,
        "dim": N_MELS,
        "inputs": ["audio"],
        "licence": "Apache-2.0",
        "reference": "",
        "description": "mean level of each band",
        "front_end": {"n_fft": 512, "hop_length": 160, "n_mels": N_MELS, "fmin": 50, "fmax": 4_000},
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    path.with_suffix(".json").write_text(json.dumps(whole | card), "utf-8")
    return path
