"""What of the machine this process uses."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

__all__ = ["n_cores", "one_thread_for_algebra"]


def n_cores() -> int:
    """Count the cores that this process may use, which in a container are fewer than the machine's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_thread_for_algebra() -> AbstractContextManager[object]:
    """Have NumPy multiply matrices in one thread while the context lasts.

    Between many small products its threads wait by spinning: on two cores an identification took 70 ms with
    them and 55 without, at half of the processor's time.
    """
    limited: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limited


@cache
def _controller() -> ThreadpoolController:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
