"""From a network in torch to an ONNX graph, in float32 or with weights and activations of 8 bits.

The graph is what :mod:`echoic.encoders.onnx` takes. It also notes what the network must be fed, so that a
digest of its file stands for all that decides on a vector.

Eight bits are made statically: the ranges of activations are measured once, on clips of the training split.
Ranges measured anew on each batch would make a vector depend on its neighbours in the batch, and convolutions
so made ran at a quarter of the speed of float32. Weights get 7 of the 8 bits: on processors without VNNI sums
of two products of full ones saturate, and vectors would differ from machine to machine.

References
----------
Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
CVPR 2018.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from echoic.audio.synthesis import FAMILIES, make_sound, noise, tone
from echoic.encoders.onnx import import_onnxruntime
from echoic.errors import ModelError
from echoic.types import Float32

if TYPE_CHECKING:
    import onnx
    from torch import nn

    from echoic.nn.checkpoint import Checkpoint

__all__ = ["example_log_mels", "quantize", "to_onnx"]

_OPSET = 18
_FED = "echoic"  # key under which a graph notes what the network must be fed
_BATCH = 16  # windows


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
    import torch

    try:
        with _interruptible(), _quiet():
            program = torch.onnx.export(
                network,
                (torch.from_numpy(examples),),
                input_names=["log_mel"],
                output_names=["embedding"],
                dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
                opset_version=_OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        assert program is not None
        graph = program.model_proto
    except Exception as error:
        kinds = " + ".join(member.architecture for member in members)
        raise ModelError(f"{kinds} cannot be written as an ONNX graph: {_first_line(error)}") from error
    first = members[0]
    fed = {"front_end": asdict(first.front_end), "window": first.window, "hop": first.hop}
    return _described(graph, json.dumps(fed, sort_keys=True))


def quantize(model: Path, log_mel: Float32) -> onnx.ModelProto:
    """Give a graph weights and activations of 8 bits, the ranges being those that spectrograms lead to."""
    import onnx

    import_onnxruntime()
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_static

    prepared, quantized = model.with_name("prepared.onnx"), model.with_name("quantized.onnx")
    try:
        with _interruptible(), _quiet():
            quant_pre_process(model, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                quantized,
                _Batches(log_mel),
                # Where the time goes. All else stays: the weight of a silent frame must be exactly 0.
                op_types_to_quantize=["Conv", "Gemm", "MatMul"],
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                extra_options={"MatMulConstBOnly": True},  # not the products of attention
            )
    except OSError:
        raise
    except Exception as error:
        raise ModelError(
            f"the model cannot be written as int8 ({_first_line(error)}); export it as fp32"
        ) from error
    [fed] = [prop.value for prop in onnx.load(model).metadata_props if prop.key == _FED]
    return _described(onnx.load(quantized), fed)


class _Batches:
    """Feeds a calibration; ONNX Runtime asks for the next batch until there is none."""

    def __init__(self, log_mel: Float32) -> None:
        self._batches = iter([log_mel[at : at + _BATCH] for at in range(0, len(log_mel), _BATCH)])

    def get_next(self) -> dict[str, Float32] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"log_mel": batch}


@contextmanager
def _interruptible() -> Iterator[None]:
    """Stop when asked to, even where a tool takes that for an error of its own, as torch.export does."""
    stops: list[KeyboardInterrupt] = []

    def noting(handle: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], None]:
        def note(number: int, frame: FrameType | None) -> None:
            try:
                handle(number, frame)
            except KeyboardInterrupt as stop:
                stops.append(stop)
                raise

        return note

    # Signals are ours to handle in the main thread alone, and where they are neither ignored nor deadly.
    in_main = threading.current_thread() is threading.main_thread()
    kinds = [signal.SIGINT, signal.SIGTERM] if in_main else []
    handlers = {kind: handle for kind in kinds if callable(handle := signal.getsignal(kind))}
    for kind, handle in handlers.items():
        signal.signal(kind, noting(handle))
    try:
        yield
    except Exception as error:
        if stops:
            raise stops[0] from error
        raise
    finally:
        for kind, handle in handlers.items():
            signal.signal(kind, handle)
    if stops:
        raise stops[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what tools say of their own insides: deprecated calls, packages they could also use."""
    loggers = [logging.getLogger("torch.onnx"), logging.getLogger()]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _described(graph: onnx.ModelProto, fed: str) -> onnx.ModelProto:
    """Note what the network must be fed, in place of what the tools noted: stack traces with paths."""
    import onnx

    main = graph.graph
    tensors = (*main.input, *main.output, *main.value_info, *main.initializer)
    for noted in (graph, main, *main.node, *tensors):
        noted.ClearField("metadata_props")
        noted.ClearField("doc_string")
    onnx.helper.set_model_props(graph, {_FED: fed})
    return graph


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
