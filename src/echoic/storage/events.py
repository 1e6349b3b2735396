"""Where the events of a library are kept: read from end to end by each search for every occurrence.

They lie where what is said does, in 8 bits a number: an index would hand out the nearest, and what is asked
for is all that are near enough, in order of time, which takes a file's vectors one after the other.
"""

from __future__ import annotations

from collections.abc import Set

from echoic.errors import UsageError
from echoic.storage.frames import SpokenStore
from echoic.storage.vectors.neighbours import Neighbours
from echoic.types import Float32

__all__ = ["EventStore"]


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
