"""What of the machine this process uses."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

__all__ = ["n_cores", "one_thread_for_algebra"]

_lock = threading.Lock()
_limit = ExitStack()
_within = 0  # contexts that are open, in all threads


def n_cores() -> int:
    """Count the cores that this process may use, which in a container are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_thread_for_algebra() -> Iterator[None]:
    """Have NumPy multiply matrices in one thread while the context lasts, in the whole process.

    Between many small products its threads wait by spinning: on two cores an identification took 70 ms with
    them and 55 without, at half of the processor's time. FAISS, which multiplies large matrices, keeps its
    threads: without them an exact search among five hours took 81 ms instead of 56.

    Contexts of several threads may overlap: the last that ends gives NumPy its threads back.
    """
    global _within
    with _lock:
        if _within == 0:
            _limit.enter_context(_algebra().limit(limits=1))
        _within += 1
    try:
        yield
    finally:
        with _lock:
            _within -= 1
            if _within == 0:
                _limit.close()


@cache
def _algebra() -> ThreadpoolController:
    """Find the libraries that multiply matrices, but for FAISS's own."""
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas")
    others = [library.filepath for library in found.lib_controllers if "faiss" not in library.filepath]
    return found.select(filepath=others)
