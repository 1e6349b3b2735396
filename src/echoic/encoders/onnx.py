"""Runs models in ONNX: the bundled ones, and those that users export.

A model is two files side by side: ``NAME.onnx``, and ``NAME.json``, its card, which says what it must be
fed and how it came about. The graph takes ``log_mel`` (n, frames, n_mels) in dB and gives ``embedding``
(n, dim) of unit length.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np

from echoic.audio.spectrogram import LogMel
from echoic.encoders.base import check_vectors
from echoic.errors import EncoderError, quoted
from echoic.types import EncoderSpec, Float32, Precision

__all__ = ["BUNDLED", "OnnxEncoder", "import_onnxruntime", "read_card"]

BUNDLED = Path(__file__).parents[1] / "bundled"

# Windows given to the model at a time: more does not make it faster, and memory grows with it.
_BATCH = 32


def read_card(path: Path) -> dict[str, Any]:
    """Read the card of a model, given the path of its ``.onnx`` file.

    Raises
    ------
    EncoderError
        If the card is missing or is not JSON.
    """
    card_path = path.with_suffix(".json")
    try:
        card = json.loads(card_path.read_text("utf-8"))
    except FileNotFoundError as error:
        if path.exists():
            raise EncoderError(
                f"the model {quoted(path)} lacks its card, {card_path.name} in the same folder; put it there "
                "or export the model again"
            ) from error
        raise EncoderError(
            f"there is no model {quoted(path)}, nor its card {card_path.name}; put both back, "
            "or name the place where they are now with --encoder"
        ) from error
    except (OSError, ValueError) as error:
        raise EncoderError(f"the card {quoted(card_path)} of the model cannot be read ({error})") from error
    if not isinstance(card, dict):
        raise EncoderError(f"the card {quoted(card_path)} of the model does not hold a JSON object")
    return card


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
    n_threads : int
        Threads of ONNX Runtime, to be set before it first encodes. One is fastest overall when several worker
        processes run.

    Raises
    ------
    EncoderError
        If a file is missing or damaged, or the card lacks a field; when it first encodes, if ONNX Runtime
        cannot load the model.
    """

    def __init__(self, path: Path) -> None:
        card = read_card(path)
        try:
            weights = path.read_bytes()
        except OSError as error:
            raise EncoderError(f"the model {quoted(path)} cannot be read ({error.strerror})") from error
        storage = card.get("storage", "float32")
        try:
            if storage not in get_args(Precision):
                raise TypeError(f"storage {storage!r}")
            if hashlib.sha256(weights).hexdigest() != card["sha256"]:
                raise EncoderError(
                    f"the model {quoted(path)} is not the file that its card describes; "
                    "export or install it anew"
                )
            self.spec = EncoderSpec(
                name=card["name"],
                revision=card["revision"],
                sample_rate=card["sample_rate"],
                window=card["window"],
                hop=card["hop"],
                dim=card["dim"],
                inputs=frozenset(card["inputs"]),
                licence=card["licence"],
                reference=card["reference"],
                description=card["description"],
                storage=storage,
            )
            self.log_mel = LogMel(sample_rate=card["sample_rate"], **card["front_end"])
        except (KeyError, TypeError) as error:
            raise EncoderError(
                f"the card of the model {quoted(path)} lacks or misstates a field: {error}"
            ) from error
        self._path = path
        self._weights = weights
        self.n_threads = 1

    @cached_property
    def _session(self) -> Any:
        # Made when first used: who only asks what an encoder is spares the runtime's time and memory.
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.n_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Threads that wait for the next batch leave the cores to others.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without the arena a worker's memory stays that of the weights and one batch.
        options.enable_cpu_mem_arena = False
        weights, self._weights = self._weights, b""  # the session has a copy
        try:
            return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise EncoderError(
                f"the model {quoted(self._path)} cannot be loaded by ONNX Runtime: {error}"
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
