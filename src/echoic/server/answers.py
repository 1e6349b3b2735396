"""Answers that were given, kept for whoever asks the same, until the library is another.

A page that is opened again, a second tab, a link that was passed on: the same is asked again and again, and
most of an answer's time goes to decode and encode what is asked about.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

__all__ = ["Answers"]

_MOST = 512
_LARGEST = 1 << 17  # characters of an answer that is kept
_A = TypeVar("_A")


class Answers:
    """Keeps the answers that were asked for last.

    Parameters
    ----------
    database : Path
        The library's: whatever is committed to it, by any process, ends the time of all answers. Where there
        is none, as of a catalog elsewhere, nothing is kept.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._watching: tuple[sqlite3.Connection, Hashable] | None = None
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()

    def of(self, question: Hashable, work: Callable[[], _A]) -> _A:
        """Return what was answered before, or else what some work answers."""
        state = self._state()
        if state is None:
            return work()
        key = (state, question)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                kept: _A = self._kept[key]
                return kept
        answer = work()
        if _size(answer) <= _LARGEST:
            with self._lock:
                self._kept[key] = answer
                while len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
        return answer

    def close(self) -> None:
        """Forget them."""
        with self._lock:
            self._kept.clear()
            if self._watching is not None:
                self._watching[0].close()
                self._watching = None

    def _state(self) -> Hashable | None:
        """Tell states of the library apart, by what a connection that writes nothing sees of others.

        None where that cannot be told, as of a library that nothing can be written to.
        """
        try:
            with self._lock:
                status = self._database.stat()
                file = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
                if self._watching is None or self._watching[1] != file:  # the library may be another
                    if self._watching is not None:
                        self._watching[0].close()
                    self._watching = sqlite3.connect(self._database, check_same_thread=False), file
                    self._kept.clear()  # each connection counts the changes that it sees anew
                with closing(self._watching[0].execute("PRAGMA data_version")) as found:
                    return file, found.fetchone()[0]
        except (OSError, sqlite3.Error):
            return None


def _size(answer: object) -> float:
    """Count the characters of an answer; what is no shape, nor several, is kept by nobody."""
    if isinstance(answer, BaseModel):
        return len(answer.model_dump_json())
    return sum(map(_size, answer)) if isinstance(answer, list) else math.inf
