"""A model on its way out: graph and card written, compared with the network, and moved to their place."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from echoic.encoders.card import SUFFIXES
from echoic.encoders.onnx import OnnxEncoder, load_model
from echoic.errors import ModelError
from echoic.types import Float32

if TYPE_CHECKING:
    import onnx
    from torch import nn

__all__ = ["check_parity", "check_same", "publish", "staged", "write_card"]

_TOLERANCE = 1e-4  # of any component of a vector, between torch and ONNX Runtime


def staged(graph: onnx.ModelProto, about: Mapping[str, Any], path: Path) -> OnnxEncoder:
    """Write a graph and its card, force the graph to the disk, and load both as a search would.

    What else belongs to the model lies there already, and its digests are in what is told ``about`` it.
    """
    weights = graph.SerializeToString(deterministic=True)
    with path.open("wb") as file:
        file.write(weights)
        file.flush()
        os.fsync(file.fileno())
    digest = hashlib.sha256(weights).hexdigest()
    dim = graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    digests = about.get("sha256", {}) | {"graph": digest}
    write_card(dict(about) | {"revision": digest[:12], "dim": dim, "sha256": digests}, path)
    return load_model(path)


def write_card(card: Mapping[str, Any], model: Path) -> None:
    """Write the card of a model beside it, and force it to the disk."""
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    # A folder of clips may be named by bytes that are no characters: so they stand in JSON.
    with model.with_suffix(".json").open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def publish(staged: Path, output: Path) -> None:
    """Move a model to its place, its card last; whoever meets one without the other is told so."""
    for suffix in SUFFIXES.values():
        if (part := staged.with_suffix(suffix)).exists():
            part.replace(output.with_suffix(suffix))
    staged.with_suffix(".json").replace(output.with_suffix(".json"))


def check_parity(
    network: nn.Module, encoder: OnnxEncoder, examples: Float32, tolerance: float = _TOLERANCE
) -> float:
    """Make sure that the graph gives what the network does → how far they are apart in any number.

    Raises
    ------
    ModelError
        If it does not.
    """
    import torch

    with torch.no_grad():
        expected = network(torch.from_numpy(examples)).numpy()
    return check_same(encoder.encode(examples), expected, tolerance)


def check_same(vectors: Float32, expected: Float32, tolerance: float = _TOLERANCE) -> float:
    """Make sure that a graph's vectors are those that a network gave → how far they are apart in any number.

    Raises
    ------
    ModelError
        If that is more than the tolerance.
    """
    difference = float(np.abs(vectors - expected).max())
    if not difference <= tolerance:
        raise ModelError(
            f"the ONNX graph gives vectors that differ from the network's by {difference:.1e}, more than "
            f"{tolerance:g}; nothing was written, please report it"
        )
    return difference
