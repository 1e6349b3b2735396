"""What of the machine this process uses."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

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
    them and 55 without, at half of the processor's time. Contexts of several threads may overlap: the last
    that ends gives NumPy its threads back.
    """
    global _within
    with _lock:
        if _within == 0:
            from threadpoolctl import threadpool_limits

            _limit.enter_context(threadpool_limits(limits=1, user_api="blas"))
        _within += 1
    try:
        yield
    finally:
        with _lock:
            _within -= 1
            if _within == 0:
                _limit.close()
