"""How a query is cut: how densely, and into which stretches that are judged one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from echoic.recordings.line import STRETCH
from echoic.types import Segments

__all__ = ["LONGEST", "QUERY_HOP", "query_hop", "stretches", "weight"]

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


def stretches(segments: Iterable[Segments]) -> Iterator[tuple[Segments, bool]]:
    """Gather windows into stretches that overlap by half; tell which is the last."""
    kept: Segments | None = None
    for more in segments:
        kept = more if kept is None else _concatenated(kept, more)
        while len(kept) and kept.ends[-1] - kept.starts[0] > LONGEST:
            until = kept.starts[0] + STRETCH
            yield _part(kept, kept.ends <= until), False
            kept = _part(kept, kept.starts >= kept.starts[0] + STRETCH / 2)
    if kept is not None and len(kept):
        yield kept, True


def _concatenated(one: Segments, other: Segments) -> Segments:
    return Segments(
        np.concatenate([one.starts, other.starts]),
        np.concatenate([one.ends, other.ends]),
        np.concatenate([one.vectors, other.vectors]),
    )


def _part(segments: Segments, rows: npt.NDArray[np.bool_]) -> Segments:
    return Segments(segments.starts[rows], segments.ends[rows], segments.vectors[rows])
