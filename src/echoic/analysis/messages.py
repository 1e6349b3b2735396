"""What a worker process and its parent tell each other: JSON, and the bytes of arrays.

A worker has read files of anybody's making, so what it sends is data and nothing else: it is neither
unpickled nor believed. A message is the length of its header, the header, and the arrays that it lists.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from echoic import errors
from echoic.analysis.parts import Parts
from echoic.errors import EchoicError, MissingDependencyError
from echoic.types import AudioInfo, Note, Segments, TrackChoice
from echoic.untrusted import check_number, check_whole_number, shown

__all__ = ["Analysis", "Task", "as_analysis", "as_error", "as_segments", "as_task", "read", "told", "write"]

_LENGTH = struct.Struct("<I")
_LARGEST_HEADER = 16 << 20  # bytes
_TYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in ("<f4", "<f8")}
_MOST_DIMS = 2
_LONGEST_TEXT = 1 << 20  # characters, of tags, which some programs fill with lyrics and more

Array = npt.NDArray[Any]  # of float32 or float64


@dataclass(frozen=True, slots=True)
class Task:
    """A file and the encoders due on it, each by what it is loaded by and the ``name@revision`` it must be.

    A worker may still have an encoder loaded that has changed on disk since. ``track`` is as in
    :func:`~echoic.analysis.pipeline.embed_file`.
    """

    path: Path
    encoders: tuple[tuple[str, str], ...]
    track: TrackChoice | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What a worker found: ``segments`` by ``name@revision``, and of a long file those ``before`` them."""

    info: AudioInfo
    digest: str
    segments: dict[str, Segments]
    before: dict[str, Parts] = field(default_factory=dict)


def write(pipe: IO[bytes], header: Mapping[str, Any], arrays: Sequence[Array] = ()) -> None:
    """Send a message; names that are no text go as Python spells them."""
    rows = [np.ascontiguousarray(array) for array in arrays]
    listed = [[row.dtype.newbyteorder("<").str, list(row.shape)] for row in rows]
    text = json.dumps([header, listed]).encode("ascii")
    pipe.write(_LENGTH.pack(len(text)))
    pipe.write(text)
    for row in rows:
        pipe.write(row.astype(row.dtype.newbyteorder("<"), copy=False).ravel().view(np.uint8).data)
    pipe.flush()


def read(pipe: IO[bytes], most: int) -> tuple[dict[str, Any], list[Array]]:
    """Receive a message whose arrays have no more than ``most`` bytes.

    Raises
    ------
    EOFError
        If the other side is gone.
    ValueError
        If this is no message, or one that is too large.
    """
    (length,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))
    if length > _LARGEST_HEADER:
        raise ValueError(f"a header of {length:,} bytes")
    try:
        header, listed = json.loads(_exactly(pipe, length))
        shapes = [(_TYPES[kind], [int(n) for n in shape]) for kind, shape in listed]
    except (LookupError, RecursionError, TypeError) as error:
        raise ValueError("no header") from error
    sizes = [kind.itemsize * math.prod(shape) for kind, shape in shapes]
    if (
        not isinstance(header, dict)
        or any(len(shape) > _MOST_DIMS or any(n < 0 for n in shape) for _, shape in shapes)
        or sum(sizes) > most
    ):
        raise ValueError("arrays that cannot be")
    arrays: list[Array] = [
        np.frombuffer(_exactly(pipe, size), kind).reshape(shape)
        for size, (kind, shape) in zip(sizes, shapes, strict=True)
    ]
    return header, arrays


def _exactly(pipe: IO[bytes], size: int) -> bytearray:
    data = bytearray(size)  # read() would have it twice for a moment
    view, at = memoryview(data), 0
    while at < size:
        n = pipe.readinto(view[at:])  # type: ignore[attr-defined]
        if not n:
            raise EOFError
        at += n
    return data


def told(result: Task | Analysis | EchoicError) -> tuple[dict[str, Any], list[Array]]:
    """Put into a message what is to be done, what was found, or why nothing was."""
    if isinstance(result, Task):
        return {"path": str(result.path), "encoders": result.encoders, "track": result.track}, []
    if isinstance(result, Analysis):
        arrays: list[Array] = []
        for segments in result.segments.values():
            arrays += [segments.starts, segments.ends, segments.vectors]
        return {"info": asdict(result.info), "digest": result.digest, "keys": list(result.segments)}, arrays
    return {"error": type(result).__name__, "said": [str(arg) for arg in result.args]}, []


def as_task(header: Mapping[str, Any]) -> Task:
    """Take a task out of a message of the parent's."""
    encoders = tuple((source, key) for source, key in header["encoders"])
    return Task(Path(header["path"]), encoders, header["track"])


def as_error(header: Mapping[str, Any]) -> EchoicError:
    """Take an error out of a message.

    Raises
    ------
    ValueError
        If there is no such error.
    """
    kinds = {name: getattr(errors, name) for name in errors.__all__ if name.endswith("Error")}
    kind, said = kinds.get(header.get("error", "")), header.get("said")
    if kind is None or not isinstance(said, list) or not all(isinstance(part, str) for part in said):
        raise ValueError("no error")
    if len(said) != (3 if kind is MissingDependencyError else 1):
        raise ValueError("no error")
    error: EchoicError = kind(*(part if part.isprintable() else repr(part) for part in said))
    return error


def as_analysis(header: Mapping[str, Any], arrays: Sequence[Array], keys: Collection[str]) -> Analysis:
    """Take an analysis by these encoders out of a message.

    Raises
    ------
    ValueError
        If it is none: other encoders, times or vectors that do not go together, what no file can have.
    """
    info, digest = header.get("info"), header.get("digest")
    if header.get("keys") != list(keys) or len(arrays) != 3 * len(keys) or not isinstance(info, dict):
        raise ValueError("another analysis than was due")
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"digest is {shown(digest)}")
    segments = {}
    for at, key in enumerate(keys):
        segments[key] = as_segments(key, arrays[3 * at : 3 * at + 3])
    return Analysis(_as_info(info), digest, segments)


def as_segments(key: str, arrays: Sequence[Array]) -> Segments:
    """Take the segments of one encoder out of a message.

    Raises
    ------
    ValueError
        If times and vectors do not go together, or are what no file can have.
    """
    if len(arrays) != 3:
        raise ValueError(f"segments of {shown(key)} that cannot be")
    starts, ends, vectors = arrays
    n = len(starts)
    if (
        [starts.dtype.char, ends.dtype.char, vectors.dtype.char] != ["d", "d", "f"]
        or (starts.shape, ends.shape, vectors.shape[:-1]) != ((n,), (n,), (n,))
        or not np.isfinite(vectors).all()
        or not (np.isfinite(ends) & (starts >= 0) & (starts <= ends)).all()
    ):
        raise ValueError(f"segments of {shown(key)} that cannot be")
    return Segments(
        starts.astype(np.float64), ends.astype(np.float64), vectors.astype(np.float32, copy=False)
    )


def _as_info(fields: dict[str, Any]) -> AudioInfo:
    try:
        info = AudioInfo(**fields | {"notes": tuple(Note(**note) for note in fields["notes"])})
    except (LookupError, TypeError) as error:
        raise ValueError("no information of a file") from error
    check_number("duration", info.duration, 0, math.inf)
    check_whole_number("sample_rate", info.sample_rate, 1, 1 << 31)
    check_whole_number("channels", info.channels, 1, 1 << 16)
    texts = [info.codec, info.lost]
    texts += [*info.tags.keys(), *info.tags.values()] if isinstance(info.tags, dict) else [None]
    if not all(isinstance(text, str) and len(text) <= _LONGEST_TEXT for text in texts):
        raise ValueError("information of a file that is no text")
    return info
