"""Where in a recording a query lies while it plays, from what its stretches say."""

from __future__ import annotations

import numpy as np

from echoic.recordings.overlay import possible

__all__ = ["STRETCH", "Line"]

#: Seconds of a query that are looked at as one.
STRETCH = 10.0

# Seconds by which a place is known to lie, in one stretch; what ten seconds tell the speed to; and seconds
# that tell none.
_PLACE_ERROR, _SPEED_ERROR, _TELLS_SPEED = 0.1, 0.005, 2.5


class Line:
    """The line through the middles of stretches: a time of the query, and its place in the recording.

    The speed is its slope where it is long, else what the stretches say on average.
    """

    def __init__(self) -> None:
        self._n, self._time, self._place, self._speed = 0, 0.0, 0.0, 0.0
        self._times, self._both = 0.0, 0.0  # sums of squares and products around the means
        self._first, self.last = np.inf, -np.inf

    def add(self, time: float, place: float, speed: float) -> None:
        """Take a further stretch into account (Welford, "Note on a method…", Technometrics 4, 1962)."""
        self._n += 1
        before = time - self._time
        self._time += before / self._n
        self._place += (place - self._place) / self._n
        self._speed += (speed - self._speed) / self._n
        self._times += before * (time - self._time)
        self._both += before * (place - self._place)
        self._first, self.last = min(self._first, time), max(self.last, time)

    def speed(self, length: float = STRETCH) -> float:
        """1.04: 4 % fast; 1 where it may as well be 1, of what was heard for some seconds."""
        speed, error = self.measured(length)
        return 1.0 if abs(speed - 1) <= error else possible(speed)

    def measured(self, length: float = STRETCH) -> tuple[float, float]:
        """Tell the speed, and by how much it may be wrong."""
        span = self.last - self._first
        error = _SPEED_ERROR * max(1.0, (STRETCH / length) ** 1.5) if length > _TELLS_SPEED else np.inf
        if span > 0 and _PLACE_ERROR / span < error:
            return self._both / self._times, _PLACE_ERROR / span
        return self._speed, error

    def go_on(self, other: Line) -> None:
        """Take over what another line says on average."""
        self.add(other._time, other._place, other._speed)

    def shift(self, by: float) -> None:
        """Move to another place in the recording."""
        self._place += by

    def place(self, time: float, speed: float | None = None) -> float:
        """Where in the recording the query is at some time."""
        return self._place + (self.speed() if speed is None else speed) * (time - self._time)
