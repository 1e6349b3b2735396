"""From a network in torch to an ONNX graph in float32, as :mod:`echoic.encoders.onnx` takes it."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from echoic.errors import ModelError
from echoic.types import Float32

if TYPE_CHECKING:
    import onnx
    from torch import nn

__all__ = ["FED", "described", "first_line", "interruptible", "quiet", "traced"]

_OPSET = 18
#: Key under which a graph notes what the network must be fed.
FED = "echoic"


def traced(
    network: nn.Module,
    examples: Float32 | npt.NDArray[np.int64],
    what: str,
    *,
    input_name: str,
    fed: str,
    output_name: str = "embedding",
    free: Sequence[str] = ("n",),
) -> onnx.ModelProto:
    """Write a network as a graph for any number of windows, its weights inside.

    Parameters
    ----------
    network : torch.nn.Module
        In evaluation mode; takes features of shape (n, …).
    examples : ndarray, shape (n, …)
        At least two windows, as an axis of one would be taken for fixed.
    what : str
        Name of the network, for what is raised.
    input_name, output_name : str
        Of the graph.
    fed : str
        What the graph notes of what it must be fed: its digest stands for all that decides on a vector.
    free : sequence of str
        Names of the first axes, which may have any length.

    Raises
    ------
    ModelError
        If it cannot be written so.
    """
    import torch

    try:
        with interruptible(), quiet():
            program = torch.onnx.export(
                network,
                (torch.from_numpy(examples),),
                input_names=[input_name],
                output_names=[output_name],
                dynamic_shapes=({i: torch.export.Dim(name, min=1) for i, name in enumerate(free)},),
                opset_version=_OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        assert program is not None
        graph = program.model_proto
    except Exception as error:
        raise ModelError(f"{what} cannot be written as an ONNX graph: {first_line(error)}") from error
    return described(graph, fed)


def described(graph: onnx.ModelProto, fed: str) -> onnx.ModelProto:
    """Note what the network must be fed, in place of what the tools noted: stack traces with paths."""
    import onnx

    main = graph.graph
    tensors = (*main.input, *main.output, *main.value_info, *main.initializer)
    for noted in (graph, main, *main.node, *tensors):
        noted.ClearField("metadata_props")
        noted.ClearField("doc_string")
    onnx.helper.set_model_props(graph, {FED: fed})
    return graph


@contextmanager
def interruptible() -> Iterator[None]:
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
def quiet() -> Iterator[None]:
    """Keep to itself what tools say of their own insides: deprecated calls, packages they could also use."""
    loggers = [logging.getLogger("torch.onnx"), logging.getLogger()]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for kind in (FutureWarning, UserWarning):
            warnings.simplefilter("ignore", kind)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
