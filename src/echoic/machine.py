"""What of the machine this process uses."""

from __future__ import annotations

import ctypes
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

__all__ = ["ahead", "give_back_memory", "n_cores", "one_thread_for_algebra"]

Item = TypeVar("Item")
Made = TypeVar("Made")

_lock = threading.Lock()
_limit = ExitStack()
_within = 0  # contexts that are open, in all threads


def n_cores() -> int:
    """Count the cores that this process may use, which in a container are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ahead(work: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[tuple[Item, Made]]:
    """Do work on each of some items in threads, one a core and some items ahead; yield them in their order.

    Worth it where the work is NumPy's, which lets other threads go on. The thread that asks takes the items.
    """
    with ThreadPoolExecutor(n_cores(), "ahead") as pool:
        begun: deque[tuple[Item, Future[Made]]] = deque()
        try:
            for item in items:
                begun.append((item, pool.submit(work, item)))
                if len(begun) > n_cores():
                    done, made = begun.popleft()
                    yield done, made.result()
            while begun:
                done, made = begun.popleft()
                yield done, made.result()
        finally:
            for _, made in begun:
                made.cancel()


def give_back_memory() -> None:
    """Return to the system what has been freed, where the C library (glibc) would keep it for later.

    It keeps whatever lies below something that stays: after a file of three hours 20 MB of a worker's 145.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


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
