"""How much of a file is decoded, where whoever sends it is not trusted.

What a file says of its length is not believed, and to measure it first would take as long as what is asked
for. So whatever is decoded within a block of :func:`at_most`, by its thread, ends with an error once it has
come to that place.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from echoic.errors import UsageError
from echoic.types import Float32

__all__ = ["at_most", "within_limit"]

_limit: ContextVar[tuple[float, UsageError] | None] = ContextVar("limit", default=None)


@contextmanager
def at_most(seconds: float, error: UsageError) -> Iterator[None]:
    """Raise an error where a file is decoded beyond so many seconds from its begin, while the block lasts."""
    token = _limit.set((seconds, error))
    try:
        yield
    finally:
        _limit.reset(token)


def within_limit(blocks: Iterator[Float32], at: int, sample_rate: int) -> Iterator[Float32]:
    """Pass blocks on, the first of which begins at a sample of the file, as long as they may be decoded."""
    limit = _limit.get()
    if limit is None:
        yield from blocks
        return
    seconds, error = limit
    for block in blocks:
        at += len(block)
        if at > seconds * sample_rate:
            raise error
        yield block
