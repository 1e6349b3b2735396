"""How a query is cut: how densely, and into which stretches that are judged one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from echoic.recordings.line import STRETCH
from echoic.types import Segments

__all__ = ["LONGEST", "QUERY_HOP", "Gathering", "query_hop", "stretches", "weight"]

#: Seconds between the windows of a query, a quarter of those between a recording's; see :func:`query_hop`.
QUERY_HOP = 0.128

#: Seconds that are still looked at as a whole.
LONGEST = 14.0

_SHORT = 8.0  # s of a query in which every window counts


def query_hop(seconds: float) -> float:
    """Say how far apart the windows of a query of some length need to lie.

    Of one stretch that is judged as a whole, half as many tell as much. In a shorter one each counts, and in
    a longer one for where a recording takes over from another.

    Examples
    --------
    >>> query_hop(5.0), query_hop(10.0), query_hop(60.0)
    (0.128, 0.256, 0.128)
    """
    return 2 * QUERY_HOP if _SHORT <= seconds <= LONGEST else QUERY_HOP


def weight(stretch: Segments) -> int:
    """Count the windows ``QUERY_HOP`` seconds apart, as decisions are fitted, that one stands for."""
    apart = float(np.median(np.diff(stretch.starts))) if len(stretch) > 1 else QUERY_HOP
    return max(1, round(apart / QUERY_HOP))


class Gathering:
    """Gathers windows, as they come, into stretches that overlap by half."""

    def __init__(self) -> None:
        self._kept: Segments | None = None

    def push(self, more: Segments) -> Iterator[Segments]:
        """Take further windows, and give the stretches that are full; none of them is the last."""
        self._kept = more if self._kept is None else _concatenated(self._kept, more)
        while len(self._kept) and self._kept.ends[-1] - self._kept.starts[0] > LONGEST:
            begin = self._kept.starts[0]
            yield _part(self._kept, self._kept.ends <= begin + STRETCH)
            self._kept = _part(self._kept, self._kept.starts >= begin + STRETCH / 2)

    def last(self) -> Segments | None:
        """Give what is left, if there is something."""
        return self._kept if self._kept is not None and len(self._kept) else None


def stretches(segments: Iterable[Segments]) -> Iterator[tuple[Segments, bool]]:
    """Gather windows into stretches that overlap by half; tell which is the last."""
    gathering = Gathering()
    for more in segments:
        for stretch in gathering.push(more):
            yield stretch, False
    if (last := gathering.last()) is not None:
        yield last, True


def _concatenated(one: Segments, other: Segments) -> Segments:
    return Segments(
        np.concatenate([one.starts, other.starts]),
        np.concatenate([one.ends, other.ends]),
        np.concatenate([one.vectors, other.vectors]),
    )


def _part(segments: Segments, rows: npt.NDArray[np.bool_]) -> Segments:
    return Segments(segments.starts[rows], segments.ends[rows], segments.vectors[rows])
