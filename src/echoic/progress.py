"""How far a walk over a library's files has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from echoic.types import FileRecord, Progress

__all__ = ["reported"]


def reported(
    records: Sequence[FileRecord], progress: Callable[[Progress], None] | None
) -> Iterator[FileRecord]:
    """Yield files one after the other, and say after each how many are done.

    Parameters
    ----------
    records : sequence of FileRecord
    progress : callable, optional
        Called once what was yielded has been dealt with.
    """
    begun, total_bytes = time.monotonic(), sum(record.size for record in records)
    done_bytes, audio = 0, 0.0
    for done, record in enumerate(records, start=1):
        yield record
        done_bytes += record.size
        audio += record.duration
        if progress is not None:
            elapsed = time.monotonic() - begun
            progress(Progress(record.path, done, len(records), done_bytes, total_bytes, audio, elapsed))
