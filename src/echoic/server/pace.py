"""How often somebody may ask: so often a second on average, and some more for a moment."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Pace"]

_BURST = 10.0  # s whose requests may come at once
_MOST = 10_000  # who are kept in mind; then who was quiet the longest is forgotten


class Pace:
    """Spaces requests of each who asks (generic cell rate algorithm, ITU-T I.371).

    Parameters
    ----------
    rate : float
        Requests a second.
    clock : callable
        Tells seconds.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._gap = 1 / rate
        self._slack = max(0.0, _BURST - self._gap)
        self._clock = clock
        self._lock = threading.Lock()
        self._due: OrderedDict[str, float] = OrderedDict()  # when the next request would come at an even pace

    def wait(self, who: str) -> float:
        """Count a request; return 0, or the seconds until one may be made, in which case none is counted."""
        now = self._clock()
        with self._lock:
            due = max(now, self._due.get(who, now))
            if due - now > self._slack:
                return due - now - self._slack
            self._due[who] = due + self._gap
            self._due.move_to_end(who)
            while len(self._due) > _MOST:
                self._due.popitem(last=False)
        return 0.0
