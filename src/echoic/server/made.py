"""Media that is made of a library's files, kept while the service runs; what is least used goes first."""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from itertools import count
from pathlib import Path

from echoic.server.sending import Content

__all__ = ["Made"]

_MOST_BYTES = 1 << 30


class Made:
    """Keeps what was made, by what it was made of and how.

    Parameters
    ----------
    most_bytes : int
        Of all that is kept.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="echoic-made-")
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._paths: OrderedDict[Hashable, Path] = OrderedDict()
        self._sizes: dict[Path, int] = {}
        self._numbers = count()

    def find(self, key: Hashable, media_type: str) -> Content | None:
        """Open what is kept, if it is."""
        with self._lock:
            path = self._paths.get(key)
            if path is None:
                return None
            self._paths.move_to_end(key)
            return Content.of(path, media_type, key)

    def make(self, key: Hashable, suffix: str, media_type: str, make: Callable[[Path], None]) -> Content:
        """Have something made at a path, and open it."""
        with self._lock:
            path = Path(self._folder.name) / f"{next(self._numbers)}{suffix}"
        try:
            make(path)
            with self._lock:
                content = Content.of(path, media_type, key)
                before = self._paths.pop(key, None)  # somebody else had it made meanwhile
                self._paths[key], self._sizes[path] = path, content.size
                if before is not None:
                    self._drop(before)
                while len(self._paths) > 1 and sum(self._sizes.values()) > self._most_bytes:
                    self._drop(self._paths.popitem(last=False)[1])
        except BaseException:  # which may come at any place, where work is stopped
            with self._lock:
                if self._paths.get(key) == path:
                    del self._paths[key]
                self._sizes.pop(path, None)
            path.unlink(missing_ok=True)
            raise
        return content

    def close(self) -> None:
        """Remove all of it."""
        self._folder.cleanup()

    def _drop(self, path: Path) -> None:
        del self._sizes[path]
        path.unlink(missing_ok=True)  # who is reading it has it open
