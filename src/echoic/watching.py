"""Follows folders as they change: the system's events tell when to look, and a look tells what changed.

Events come late, or not at all: a network's file system sends none, nor does a file elsewhere that a link
leads to, and no system watches folders without end. So an event means no more than that it is time to look,
and from time to time a look is taken without one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import watchfiles

from echoic.errors import LibraryBusyError
from echoic.scanning import Found, Problem, scan
from echoic.types import IndexReport

__all__ = ["watch"]

_UNASKED = 60.0  # s after which a look is taken though no event came


def watch(paths: Sequence[Path], update: Callable[..., IndexReport], pause: float) -> Iterator[IndexReport]:
    """Run ``update`` whenever something under ``paths`` has changed and come to rest; never ends.

    A file that is still being copied or recorded changes from one look to the next. It is left, by
    ``update(leave=…)``, until two looks, a pause apart, agree on it; so is one that is gone, which may turn
    up under another name.
    """
    events = _Events(paths, pause)
    done: set[Found | Problem] | None = None
    before: set[Found | Problem] | None = None
    restless, look_by = True, 0.0
    while True:
        begun = time.monotonic()
        # Asked for before the look: what comes during it is then told the next time.
        if not (events.came() or restless or begun > look_by):
            time.sleep(pause)
            continue
        now = set(scan(paths))
        looked = time.monotonic() - begun
        restless = now != before
        if restless:
            events.begin_anew()
        if before is not None:
            resting = now & before
            if done is None or resting - done or done - now - before:
                restless = True
                with suppress(LibraryBusyError):  # another process is at it: the next look tries again
                    yield update(leave={Path(item.path) for item in now ^ before})
                    done = resting | ((done or set()) & before - now)
        before = now
        # Looking at a huge folder takes long itself: spend at most a tenth of the time on it while something
        # happens, a hundredth while nothing does.
        look_by = time.monotonic() + max(_UNASKED, 99 * looked)
        time.sleep(max(pause, 9 * looked))


class _Events:
    """Whether the system has told of any change since it was last asked."""

    def __init__(self, paths: Sequence[Path], pause: float) -> None:
        self._paths = paths
        self._pause = pause
        self._changes: Iterator[set[watchfiles.main.FileChange]] | None = None

    def begin_anew(self) -> None:
        """Look for what is to be watched once more: a change may be a link to another folder, or a disk."""
        self._changes = None

    def came(self) -> bool:
        """Ask, without waiting; True also where the system cannot tell, and when this is just beginning."""
        begins = self._changes is None
        try:
            if self._changes is None:
                self._changes = watchfiles.watch(
                    *self._paths,
                    watch_filter=None,
                    # Answers at once. To wait in there instead would turn whatever a signal raises into a
                    # KeyboardInterrupt.
                    rust_timeout=1,
                    step=1,
                    yield_on_timeout=True,
                    poll_delay_ms=round(1000 * self._pause),
                )
            return bool(next(self._changes)) or begins
        except (OSError, RuntimeError, UnicodeError):
            # A folder that is not there or closed, more folders than may be watched, a name that is no text.
            self._changes = None
            return True
