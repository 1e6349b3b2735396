"""What a worker has told of a file so far, in a scratch file, until all of it is written at once."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterator

import numpy as np

from echoic.types import Segments

__all__ = ["Parts"]


class Parts:
    """Segments of one encoder, in order of time, of which one part at a time is held in memory."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it goes with this object
        weakref.finalize(self, self._file.close)
        self._lengths: list[tuple[int, int]] = []  # of each part: segments, and numbers of a vector

    def add(self, segments: Segments) -> None:
        """Put the next part behind what is there."""
        for array in (segments.starts, segments.ends, segments.vectors):
            self._file.write(np.ascontiguousarray(array).data)
        self._lengths.append(segments.vectors.shape)

    def __len__(self) -> int:
        return sum(n for n, _ in self._lengths)

    def __iter__(self) -> Iterator[Segments]:
        self._file.seek(0)
        for n, dim in self._lengths:
            starts, ends = (np.frombuffer(self._file.read(8 * n), np.float64) for _ in range(2))
            vectors = np.frombuffer(self._file.read(4 * n * dim), np.float32).reshape(n, dim)
            yield Segments(starts, ends, vectors)
