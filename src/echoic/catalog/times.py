"""Times of segments as the database keeps them."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

__all__ = ["SIZE_OF_NONE", "pack_times", "unpack_times"]

# In a second. A multiple of all usual sample rates, so that times of samples are kept exactly; "flicks".
_TICKS = 705_600_000


def pack_times(seconds: npt.NDArray[np.float64]) -> bytes:
    """Write times by their distances, which hardly differ and take next to no room."""
    ticks = np.rint(seconds * _TICKS).astype("<i8")
    return zlib.compress(np.diff(ticks, prepend=np.int64(0)).astype("<i8").tobytes())


def unpack_times(blob: bytes) -> npt.NDArray[np.float64]:
    """Read what :func:`pack_times` wrote."""
    ticks = np.cumsum(np.frombuffer(zlib.decompress(blob), "<i8"))
    seconds: npt.NDArray[np.float64] = ticks / _TICKS
    return seconds


#: Bytes that no time at all takes; any takes more.
SIZE_OF_NONE = len(pack_times(np.empty(0)))
