"""Runs models in ONNX: the bundled ones, and those that users export.

A model is two files side by side: ``NAME.onnx``, and ``NAME.json``, its card (:mod:`echoic.encoders.card`).
The graph takes ``log_mel`` (n, frames, n_mels) in dB and gives ``embedding`` (n, dim) of unit length; all of
its weights lie in that one file.
"""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from echoic.encoders.base import check_vectors
from echoic.encoders.card import Card, load_card
from echoic.encoders.graph import Graph, Tensor, read_graph
from echoic.errors import EncoderError, quoted
from echoic.types import Float32
from echoic.untrusted import read_file

__all__ = ["BUNDLED", "OnnxEncoder", "import_onnxruntime"]

BUNDLED = Path(__file__).parents[1] / "bundled"

# Windows given to the model at a time: more does not make it faster, and memory grows with it.
_BATCH = 32
_LARGEST = 2 << 30  # bytes of a model: protobuf itself ends there


def import_onnxruntime() -> Any:
    """Import ONNX Runtime and have it tell nobody: since 1.29 it reports to its maker by default."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when it is loaded
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows does not look at the environment
    return onnxruntime


class OnnxEncoder:
    """An encoder whose network is an ONNX graph over log-mel spectrograms.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file; its card lies beside it. The weights are checked against the card's SHA-256.

    Attributes
    ----------
    path : Path
    n_threads : int
        Threads of ONNX Runtime, to be set before it first encodes. One is fastest overall when several worker
        processes run.

    Raises
    ------
    EncoderError
        If a file is missing or damaged, the card says what cannot be meant, the graph is another than the
        card describes, or some of its weights lie in another file; when it first encodes, if ONNX Runtime
        cannot load it.
    """

    def __init__(self, path: Path) -> None:
        card = load_card(path)
        try:
            weights = read_file(path, _LARGEST)
        except OSError as error:
            raise EncoderError(f"the model {quoted(path)} cannot be read ({error.strerror})") from error
        if hashlib.sha256(weights).hexdigest() != card.sha256:
            raise EncoderError(
                f"the model {quoted(path)} is not the file that its card describes; export or install it anew"
            )
        try:
            _check_graph(read_graph(weights), card)
        except ValueError as error:
            raise EncoderError(f"the model {quoted(path)} cannot be used: {error}") from error
        self.spec = card.spec
        self.log_mel = card.log_mel
        self.path = path
        self._weights = weights
        self.n_threads = 1

    @cached_property
    def _session(self) -> Any:
        # Made when first used: who only asks what an encoder is spares the runtime's time and memory.
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.n_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what it finds wrong it also raises
        # The file was read as ONNX, so it must not be taken for anything else.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        # Threads that wait for the next batch leave the cores to others.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without the arena a worker's memory stays that of the weights and one batch.
        options.enable_cpu_mem_arena = False
        weights, self._weights = self._weights, b""  # the session has a copy
        try:
            return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            said = " ".join(str(error).split())[:300]
            raise EncoderError(
                f"the model {quoted(self.path)} cannot be loaded by ONNX Runtime: {said}"
            ) from error

    def encode(self, windows: Float32) -> Float32:
        return self.encode_log_mel(self.log_mel(windows))

    def encode_log_mel(self, mels: Float32) -> Float32:
        batches = [
            self._session.run(["embedding"], {"log_mel": mels[at : at + _BATCH]})[0]
            for at in range(0, len(mels), _BATCH)
        ]
        vectors = np.concatenate(batches) if batches else np.empty((0, self.spec.dim), np.float32)
        return check_vectors(self.spec, len(mels), vectors)


def _check_graph(graph: Graph, card: Card) -> None:
    """Compare what a graph takes and gives with what its card says; raise ValueError where they differ."""
    log_mel, spec = card.log_mel, card.spec
    n_frames = log_mel.n_frames(spec.window_samples)
    names = [tensor.name for tensor in graph.inputs]
    if names != ["log_mel"]:
        raise ValueError(f"its graph takes {' and '.join(names) or 'nothing'}, not log_mel")
    _check_shape(graph.inputs[0], {"frames": n_frames, "n_mels": log_mel.n_mels})
    found = [tensor for tensor in graph.outputs if tensor.name == "embedding"]
    if not found:
        raise ValueError(f"its graph gives {' and '.join(t.name for t in graph.outputs)}, not embedding")
    _check_shape(found[0], {"dim": spec.dim})


def _check_shape(tensor: Tensor, due: dict[str, int]) -> None:
    if not tensor.is_float:
        raise ValueError(f"the numbers of its {tensor.name} are not float32")
    if tensor.shape is None:
        return  # the first windows will show it
    if len(tensor.shape) != 1 + len(due):
        raise ValueError(f"its {tensor.name} has {len(tensor.shape)} dimensions, not (n, {', '.join(due)})")
    if tensor.shape[0] is not None:
        raise ValueError(f"its {tensor.name} is for {tensor.shape[0]} windows at a time, not for any number")
    for length, (name, wanted) in zip(tensor.shape[1:], due.items(), strict=True):
        if length is not None and length != wanted:
            raise ValueError(f"its {tensor.name} has {length} {name} where its card makes {wanted}")
