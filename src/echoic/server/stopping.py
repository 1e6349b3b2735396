"""Stops work in a thread that nobody waits for any more.

It is stopped as Ctrl-C stops a command: by an exception at whatever it is at, once the call into C that it is
in comes back. What tidies up after Ctrl-C does here.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

__all__ = ["Stoppable"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _StoppedError(BaseException):
    """Raised in a thread whose work nobody wants; no Exception, so that none takes it for its own."""


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
        self._is_stopped = False

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with self._lock:
            if self._is_stopped:
                raise _StoppedError
            self._thread = threading.get_ident()
        try:
            return self._work(*args, **kwargs)
        finally:
            with self._lock:
                # What was to stop it and has not come yet must not stop what this thread does next.
                _raise_in(self._thread, None)
                self._thread = None

    def stop(self) -> None:
        """End the work, now or before it begins; nothing if it is over."""
        with self._lock:
            self._is_stopped = True
            _raise_in(self._thread, _StoppedError)


def _raise_in(thread: int | None, error: type[BaseException] | None) -> None:
    if thread is not None:
        what = None if error is None else ctypes.py_object(error)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), what)
