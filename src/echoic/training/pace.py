"""How far a training is, by its steps or by the clock, and how fast it learns there."""

from __future__ import annotations

import math
import time

__all__ = ["Clock", "learning_rate_share"]

_WARM_UP = 0.04  # share of the run in which the learning rate rises


class Clock:
    """Tells what share of the budget is used: of the minutes if there are any, else of the steps.

    Parameters
    ----------
    minutes : float, optional
    n_steps : int
    spent : float
        Seconds of earlier sittings.
    """

    def __init__(self, minutes: float | None, n_steps: int, spent: float) -> None:
        self._budget = minutes * 60 if minutes is not None else None
        self._n_steps = n_steps
        self._begin = time.monotonic() - spent

    def spent(self) -> float:
        """Return the seconds spent, over all sittings."""
        return time.monotonic() - self._begin

    def done(self, step: int) -> float:
        """Return the share of the budget used when ``step`` steps are done; above 1 when it is over."""
        return step / self._n_steps if self._budget is None else self.spent() / self._budget


def learning_rate_share(done: float) -> float:
    """Give the learning rate as a share of its peak: a linear rise, then half a cosine down to zero."""
    if done < _WARM_UP:
        return max(done / _WARM_UP, 0.01)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - _WARM_UP) / (1 - _WARM_UP))))
