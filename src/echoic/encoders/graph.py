"""What an ONNX file says of its graph, read without running anything and without the ``onnx`` package.

Only the few fields of the protobuf that are asked for are followed. Weights may lie in other files, which no
digest of this one covers and whose path the file chooses: such graphs are refused.

References
----------
ONNX, ``onnx.proto3``. Protocol Buffers, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Graph", "Tensor", "read_graph"]

_NOT_ONNX = "it is not an ONNX model, or a damaged one"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types
_FLOAT = 1  # TensorProto.DataType
_NAME, _EXTERNAL_DATA, _DATA_LOCATION = 8, 13, 14  # fields of TensorProto
_DEEPEST = 100  # messages inside of messages, as protobuf itself has it
_MOST_DIMS = 16

# Of each message the fields that lead to tensors, inputs or outputs, by number, and what they are.
_FIELDS: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "graph": {1: "node", 5: "tensor", 11: "input", 12: "output", 15: "sparse"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """What a graph takes or gives.

    Parameters
    ----------
    name : str
    is_float : bool
        Whether its numbers are float32.
    shape : tuple of int or None, or None
        The lengths that are fixed, None for one that is free; None as a whole where nothing is said.
    """

    name: str
    is_float: bool
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True, slots=True)
class Graph:
    """What a model takes and gives; ``inputs`` without those that have a value already."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


class _Field(NamedTuple):
    number: int
    wire: int
    value: int  # of a number
    data: memoryview  # of all else


def read_graph(model: bytes) -> Graph:
    """Read what a model takes and gives.

    Raises
    ------
    ValueError
        If this is no ONNX model, or some of its weights lie in another file.
    """
    found: dict[str, list[Tensor]] = {"input": [], "output": []}
    valued: set[str] = set()
    for kind, message in _parts("model", memoryview(model), 0):
        if kind == "tensor":
            valued.add(_text(message, _NAME))
        else:
            found[kind].append(_tensor(message))
    if not found["output"]:
        raise ValueError(_NOT_ONNX)
    return Graph(tuple(t for t in found["input"] if t.name not in valued), tuple(found["output"]))


def _parts(kind: str, message: memoryview, depth: int) -> Iterator[tuple[str, memoryview]]:
    """Look at all tensors of a message; yield those of the outermost graph, and its inputs and outputs."""
    if depth > _DEEPEST:
        raise ValueError(_NOT_ONNX)
    for field in _fields(message):
        inner = _FIELDS[kind].get(field.number)
        if inner is None or field.wire != _BYTES:
            continue
        if inner in _FIELDS:
            yield from _parts(inner, field.data, depth + 1)
            continue
        if inner == "tensor":
            _check_tensor(field.data)
        if depth == 1:
            yield inner, field.data


def _check_tensor(tensor: memoryview) -> None:
    for field in _fields(tensor):
        if field.number == _EXTERNAL_DATA or (field.number == _DATA_LOCATION and field.value):
            raise ValueError(
                "it keeps weights in another file, which its card does not cover; "
                "write it as one file (in Python: onnx.save(onnx.load(PATH), PATH))"
            )


def _tensor(info: memoryview) -> Tensor:
    """Read a ValueInfoProto: a name, and of a type the tensor's element and shape."""
    tensor = _joined(_joined(info, 2), 1)
    elements = [field.value for field in _fields(tensor) if field.number == 1]
    shape: list[int | None] = []
    for dim in [field.data for field in _fields(_joined(tensor, 2)) if field.number == 1]:
        lengths = [field.value for field in _fields(dim) if (field.number, field.wire) == (1, _VARINT)]
        shape.append(lengths[-1] if lengths else None)
    if len(shape) > _MOST_DIMS:
        raise ValueError(_NOT_ONNX)
    has_shape = any(field.number == 2 for field in _fields(tensor))
    return Tensor(_text(info, 1), elements == [_FLOAT], tuple(shape) if has_shape else None)


def _joined(message: memoryview, number: int) -> memoryview:
    """Return a field of bytes; protobuf joins what a message says of one in several places."""
    return memoryview(b"".join(field.data for field in _fields(message) if field.number == number))


def _text(message: memoryview, number: int) -> str:
    found = [bytes(field.data) for field in _fields(message) if field.number == number]
    return found[-1].decode("utf-8", "replace") if found else ""


def _fields(message: memoryview) -> Iterator[_Field]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        value = length = 0
        if wire == _VARINT:
            value, at = _varint(message, at)
        elif wire == _BYTES:
            length, at = _varint(message, at)
        elif wire in (_FIXED32, _FIXED64):
            length = 4 if wire == _FIXED32 else 8
        else:
            raise ValueError(_NOT_ONNX)
        if length > len(message) - at:
            raise ValueError(_NOT_ONNX)
        yield _Field(number, wire, value, message[at : at + length])
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Read a number of up to 64 bits; return it, and where what follows begins."""
    number = 0
    for i, byte in enumerate(message[at : at + 10]):
        number |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return number, at + i + 1
    raise ValueError(_NOT_ONNX)
