"""Pretrained networks added to an installation, and taken from it again."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from echoic.encoders.card import FORMAT
from echoic.encoders.families import FAMILIES, Family, models_folder
from echoic.encoders.onnx import OnnxEncoder
from echoic.encoders.weights import fetched
from echoic.errors import MissingDependencyError, UnknownEncoderError
from echoic.types import Float32

__all__ = ["Added", "add", "remove"]

_EXAMPLES = 4  # windows that graph and network must agree on
_TIMED = 3


@dataclass(frozen=True, slots=True)
class Added:
    """A model that was added.

    Parameters
    ----------
    path : Path
        Of its graph; its card lies beside it.
    times_real_time : float
        Seconds of sound that it encodes in a second of one core.
    size_bytes : int
    """

    path: Path
    times_real_time: float
    size_bytes: int


def add(name: str) -> Added:
    """Fetch a pretrained network, turn it into a model and put that among the installation's encoders.

    Raises
    ------
    UnknownEncoderError
        If no network has that name.
    WeightsError
        If its weights cannot be fetched, or are not those that were pinned.
    ModelError
        If the graph does not give what the network does; nothing is kept.
    MissingDependencyError
        If torch is not installed.
    """
    family = _family(name)
    try:
        from echoic.nn.graph import traced
        from echoic.training.publish import check_parity, publish, staged

        module = import_module(f"echoic.pretrained.{family.module}")
    except ImportError as error:
        raise MissingDependencyError(f"turning the weights of {name} into a model", "train") from error
    built = module.build([fetched(file) for file in family.files])
    examples = _windows(round(built.window * built.sample_rate))
    graph = traced(built.network, examples, name, input_name="waveform", fed=f"{built.sample_rate} Hz")
    folder = models_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as place:
        encoder = staged(graph, _about(family, built), Path(place) / f"{name}.onnx")
        check_parity(built.network, encoder, examples)
        speed = _speed(encoder, examples)
        publish(encoder.path, folder / f"{name}.onnx")
    return Added(folder / f"{name}.onnx", speed, (folder / f"{name}.onnx").stat().st_size)


def remove(name: str) -> None:
    """Delete an added model; what was encoded by it stays in the libraries.

    Raises
    ------
    UnknownEncoderError
        If it was not added.
    """
    _family(name)
    model = models_folder() / f"{name}.onnx"
    if not model.exists() and not model.with_suffix(".json").exists():
        raise UnknownEncoderError(f"{name} is not on this machine: there is nothing to remove")
    # The card last: as long as it is there, somebody who looks for the model is told what is wrong.
    model.unlink(missing_ok=True)
    model.with_suffix(".json").unlink(missing_ok=True)


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise UnknownEncoderError(
            f"there is no pretrained network named {name!r}; choose from {', '.join(sorted(FAMILIES))}"
        )
    return FAMILIES[name]


def _about(family: Family, built: object) -> dict[str, object]:
    """Fill in the card, but for what only the written graph tells."""
    from echoic.pretrained.built import Built

    assert isinstance(built, Built)
    return {
        "format": FORMAT,
        "name": family.name,
        "revision": "",
        "sample_rate": built.sample_rate,
        "window": built.window,
        "hop": built.hop,
        "dim": 0,
        "inputs": ["audio"],
        "purposes": ["sounds"],
        "licence": family.licence,
        "reference": family.reference,
        "description": family.description,
        "front_end": {"kind": "waveform"},
        "graph": {"input": "waveform", "output": "embedding"},
        "sha256": {},
        "parameters": sum(weight.numel() for weight in built.network.parameters()),
        "training": {"weights": [str(file) for file in family.files]},
    }


def _windows(n_samples: int) -> Float32:
    """Make windows of every kind: noise, loud and quiet, a tone, silence."""
    noise = np.random.default_rng(0).normal(0, 0.1, (2, n_samples))
    tone = 0.5 * np.sin(np.arange(n_samples) * 0.1)
    return np.stack([noise[0], 1e-3 * noise[1], tone, np.zeros(n_samples)]).astype(np.float32)


def _speed(encoder: OnnxEncoder, windows: Float32) -> float:
    times = []
    for _ in range(_TIMED):
        begun = time.process_time()
        encoder.encode(windows)
        times.append(time.process_time() - begun)
    return len(windows) * encoder.spec.window / max(min(times), 1e-9)
