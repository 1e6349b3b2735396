"""Where the events of a library are kept: read from end to end by each search for every occurrence.

They lie where what is said does, in 8 bits a number: an index would hand out the nearest, and what is asked
for is all that are near enough, in order of time, which takes a file's vectors one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.errors import UsageError
from echoic.storage.frames import SpokenStore
from echoic.storage.vectors.base import VectorStore
from echoic.storage.vectors.neighbours import Neighbours
from echoic.types import Float32

__all__ = ["EventStore", "Heard", "read_heard"]

_AT_ONCE = 20  # files whose windows are read together


class Heard(NamedTuple):
    """What is heard in a file, in order of time: its events, or its windows.

    Parameters
    ----------
    starts, ends : ndarray of float64, shape (n,)
        Seconds.
    vectors : ndarray of float32 or int8, shape (n, dim)
        Of unit length, or in 8 bits a number.
    """

    starts: npt.NDArray[np.float64]
    ends: npt.NDArray[np.float64]
    vectors: Float32 | npt.NDArray[np.int8]


class EventStore(SpokenStore):
    """The events of one encoder revision in one library."""

    def search(self, queries: Float32, k: int, *, within: Set[int] | None = None) -> Neighbours:
        """Refuse to find the nearest alone.

        Raises
        ------
        UsageError
            Always.
        """
        name = self.collection.partition("@")[0]
        raise UsageError(f"encoder {name} finds every place where something is heard; ask it with --every")


def read_heard(store: VectorStore, file_ids: Sequence[int]) -> Iterator[tuple[int, Heard]]:
    """Read what is heard in files, in order of their ids, in memory that does not grow with them.

    Files of which nothing is stored are left out.
    """
    if isinstance(store, EventStore):
        yield from ((file_id, Heard(*events)) for file_id, events in store.read(file_ids))
        return
    for _, some in groupby(enumerate(sorted(file_ids)), lambda item: item[0] // _AT_ONCE):
        for file_id, windows in sorted(store.fetch([file_id for _, file_id in some]).items()):
            yield file_id, Heard(windows.starts, windows.ends, windows.vectors)
