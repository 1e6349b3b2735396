"""How far a walk over a library's files has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from echoic.types import FileRecord, Progress

__all__ = ["Reporter", "reported"]


class Reporter:
    """Says how many files are done, and how far the work within a long one has come.

    Parameters
    ----------
    records : sequence of FileRecord
        All that will be done, in any order.
    progress : callable, optional
        Called each time.
    """

    def __init__(self, records: Sequence[FileRecord], progress: Callable[[Progress], None] | None) -> None:
        self._progress = progress
        self._begun = time.monotonic()
        self._total, self._total_bytes = len(records), sum(record.size for record in records)
        self._done, self._done_bytes, self._audio = 0, 0, 0.0

    def done(self, record: FileRecord) -> None:
        """Count a file as done."""
        self._done += 1
        self._done_bytes += record.size
        self._audio += record.duration
        self._say(record, 0.0)

    def inside(self, record: FileRecord) -> Callable[[float], None]:
        """Return what is to be called with the share of the work on a file, 0 … 1, that is done."""
        return lambda share: self._say(record, share)

    def _say(self, record: FileRecord, share: float) -> None:
        if self._progress is not None:
            done_bytes = self._done_bytes + round(share * record.size)
            audio = self._audio + share * record.duration
            elapsed = time.monotonic() - self._begun
            self._progress(
                Progress(record.path, self._done, self._total, done_bytes, self._total_bytes, audio, elapsed)
            )


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
    reporter = Reporter(records, progress)
    for record in records:
        yield record
        reporter.done(record)
