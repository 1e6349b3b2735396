"""Stops work in a thread that nobody waits for any more.

It is stopped as Ctrl-C stops a command: by an exception at whatever it is at, once the call into C that it is
in comes back. What tidies up after Ctrl-C does here. An exception may be lost, where C calls Python and takes
no notice of it, so that others follow until the work has ended.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

__all__ = ["Stoppable", "StoppedError"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_PAUSE = 0.3  # s, in which what is stopped tidies up


class StoppedError(Exception):
    """Raised in a thread whose work nobody wants; an Exception, since PyAV loses what is none."""


class Stoppable(Generic[_P, _R]):
    """A function to be called once, in any thread, and to be stopped from another.

    Parameters
    ----------
    work : callable
    """

    def __init__(self, work: Callable[_P, _R]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._is_stopped = self._has_ended = False

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            with self._lock:
                if self._is_stopped:
                    raise StoppedError
                self._thread = threading.get_ident()
            return self._work(*args, **kwargs)
        finally:
            self._has_ended = True  # first, and nothing can come between: none is raised from here on
            with self._lock:
                # The last one may not have come yet, and must not stop what this thread does next.
                _raise_in(self._thread, None)

    def stop(self) -> None:
        """End the work, now or before it begins; nothing if it is over."""
        with self._lock:
            self._is_stopped = True
        if self._thread is not None:
            threading.Thread(target=self._insist, name="echoic-stop", daemon=True).start()

    def _insist(self) -> None:
        while not self._has_ended:
            with self._lock:
                if not self._has_ended:
                    _raise_in(self._thread, StoppedError)
            time.sleep(_PAUSE)


def _raise_in(thread: int | None, error: type[Exception] | None) -> None:
    what = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread or 0), what)
