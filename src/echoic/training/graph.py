"""From a network in torch to an ONNX graph, in float32 or with weights and activations of 8 bits.

The graph is what :mod:`echoic.encoders.onnx` takes. It also notes what the network must be fed, so that a
digest of its file stands for all that decides on a vector.

Eight bits are made statically: the ranges of activations are measured once, on clips of the training split.
Ranges measured anew on each batch would make a vector depend on its neighbours in the batch, and convolutions
so made ran at a quarter of the speed of float32. They are means over batches, since outliers would leave few
steps to all other numbers. The first layer and the last stay in float32: that costs no time, and vectors move
a third as far. Weights get 7 of the 8 bits: on processors without VNNI sums of two products of full ones
saturate, and vectors would differ from machine to machine.

References
----------
Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
CVPR 2018.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from echoic.audio.synthesis import FAMILIES, make_sound, noise, tone
from echoic.encoders.onnx import import_onnxruntime
from echoic.errors import ModelError
from echoic.nn.graph import FED, described, first_line, interruptible, quiet, traced
from echoic.types import Float32

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from echoic.nn.checkpoint import Checkpoint

__all__ = ["example_log_mels", "quantize", "to_onnx"]

_BATCH = 16  # windows
_LAYERS = ("Conv", "Gemm", "MatMul")


def example_log_mels(member: Checkpoint) -> Float32:
    """Make spectrograms of every kind: sounds, steady ones, quiet ones, clips that zeros follow, silence."""
    rate, n_samples = member.front_end.sample_rate, round(member.window * member.front_end.sample_rate)
    audible = max(rate, 8_000)  # below it the sounds cannot be made; then they are only deeper
    sounds = [make_sound(family, 0, sample_rate=audible) for family in FAMILIES]
    sounds += [tone(440, member.window, rate), noise(member.window, rate), 1e-3 * noise(member.window, rate)]
    sounds += [noise(0.05, rate), np.ones(1, np.float32), np.zeros(1, np.float32)]
    windows = np.zeros((len(sounds), n_samples), np.float32)
    for window, sound in zip(windows, sounds, strict=True):
        window[: len(sound)] = sound[:n_samples]
    log_mels: Float32 = member.front_end(windows)
    return log_mels


def to_onnx(network: nn.Module, examples: Float32, members: Sequence[Checkpoint]) -> onnx.ModelProto:
    """Write the network as a graph, its weights and what it must be fed inside."""
    first = members[0]
    fed = {"front_end": asdict(first.front_end), "window": first.window, "hop": first.hop}
    what = " + ".join(member.architecture for member in members)
    return traced(network, examples, what, input_name="log_mel", fed=json.dumps(fed, sort_keys=True))


def quantize(model: Path, log_mel: Float32) -> onnx.ModelProto:
    """Give a graph weights and activations of 8 bits, the ranges being those that spectrograms lead to."""
    import onnx

    import_onnxruntime()
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_static

    prepared, quantized = model.with_name("prepared.onnx"), model.with_name("quantized.onnx")
    try:
        with interruptible(), quiet():
            quant_pre_process(model, prepared, skip_symbolic_shape=True)
            layers = [node.name for node in onnx.load(prepared).graph.node if node.op_type in _LAYERS]
            quantize_static(
                prepared,
                quantized,
                _Batches(log_mel),
                # Where the time goes. All else stays: the weight of a silent frame must be exactly 0.
                op_types_to_quantize=[*_LAYERS],
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=layers[:1] + layers[-1:],
                extra_options={
                    "CalibMovingAverage": True,
                    "CalibMovingAverageConstant": 0.1,
                    "MatMulConstBOnly": True,  # not the products of attention
                },
            )
    except OSError:
        raise
    except Exception as error:
        raise ModelError(
            f"the model cannot be written as int8 ({first_line(error)}); export it as fp32"
        ) from error
    [fed] = [prop.value for prop in onnx.load(model).metadata_props if prop.key == FED]
    return described(onnx.load(quantized), fed)


class _Batches:
    """Feeds a calibration; ONNX Runtime asks for the next batch until there is none."""

    def __init__(self, log_mel: Float32) -> None:
        self._batches = iter([log_mel[at : at + _BATCH] for at in range(0, len(log_mel), _BATCH)])

    def get_next(self) -> dict[str, Float32] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"log_mel": batch}
