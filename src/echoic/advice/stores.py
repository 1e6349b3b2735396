"""What the segments of a collection take, and which store suits so many."""

from __future__ import annotations

import os
import time

import numpy as np

from echoic.advice.result import Index
from echoic.encoders.base import normalize
from echoic.spec import EncoderSpec
from echoic.storage.vectors.ann import nearest
from echoic.storage.vectors.snapshot import FLAT_LIMIT

__all__ = ["bytes_on_disk", "bytes_searched", "index_for", "machine_memory", "search_seconds"]

_ROWS = 20_000  # that are searched to measure how long it takes
_HITS = 10
_TIMES = 5
_OF_MEMORY = 0.5  # of the machine's, which a library may fill: the rest is for what else runs
_CODES_IN_DATABASE = 4  # numbers a byte: the product codes of vectors that are kept in 8 bits


def index_for(spec: EncoderSpec, n_segments: int, room: float) -> Index:
    """Choose how so many segments are kept and searched, in so many bytes of memory."""
    if bytes_searched(spec, n_segments) > room:
        return "milvus"
    return "exact" if n_segments <= FLAT_LIMIT else "index"


def bytes_searched(spec: EncoderSpec, n_segments: int) -> float:
    """Tell the bytes that a search of the embedded store goes through: the vectors, or their codes."""
    numbers = n_segments * spec.dim
    if spec.storage == "int8":
        return numbers if n_segments <= FLAT_LIMIT else numbers / _CODES_IN_DATABASE
    return 4 * numbers if n_segments <= FLAT_LIMIT else numbers


def bytes_on_disk(spec: EncoderSpec, n_segments: int) -> float:
    """Tell the bytes of so many segments in a library: its database, and what is searched."""
    numbers = n_segments * spec.dim
    if spec.storage == "int8":
        return numbers + (bytes_searched(spec, n_segments) if n_segments > FLAT_LIMIT else 0)
    return 8 * numbers + (numbers if n_segments > FLAT_LIMIT else 0)


def search_seconds(spec: EncoderSpec, n_segments: int, n_queries: int) -> float:
    """Measure how long so many segments are searched.

    It is measured on some thousand random vectors, and grows with their number as far as they are compared
    one by one; beyond, an index takes less than the most that are so compared.
    """
    n = max(1, min(n_segments, FLAT_LIMIT))
    rng = np.random.default_rng(0)
    rows = normalize(rng.normal(size=(min(n, _ROWS), spec.dim)).astype(np.float32))
    queries = rows[rng.integers(len(rows), size=n_queries)]
    nearest(rows, queries, _HITS)  # the first time, more is loaded
    times = []
    for _ in range(_TIMES):
        begun = time.process_time()
        nearest(rows, queries, _HITS)
        times.append(time.process_time() - begun)
    return float(np.median(times)) * n / len(rows)


def machine_memory() -> float:
    """Tell the bytes of memory that a library may take on this machine; infinite where no system tells."""
    try:
        return _OF_MEMORY * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return float("inf")
