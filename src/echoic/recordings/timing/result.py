"""How two recordings lie in time, as :func:`echoic.align` returns it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SharedStretch", "TimeAlignment"]


@dataclass(frozen=True, slots=True)
class SharedStretch:
    """A stretch of sound that two recordings share, on one line of time.

    Parameters
    ----------
    start, end : float
        Seconds of the second recording.
    first_start, first_end : float
        The same of the first.
    offset : float
        Seconds: where in the first the second's own time 0 lies by this stretch; below 0 if it lies before.
    drift_ppm : float
        How much faster time passes in the first while the second plays, in parts per million.
    deviation : float
        Seconds within which ``offset + (1 + drift_ppm / 1e6) × time`` is right all along the stretch.
    exact : bool
        Whether the waveforms told it. If they have too little in common, fingerprints alone did.
    score : float
        Probability, 0 … 1, that the two share it.
    """

    start: float
    end: float
    first_start: float
    first_end: float
    offset: float
    drift_ppm: float
    deviation: float
    exact: bool
    score: float


@dataclass(frozen=True, slots=True)
class TimeAlignment:
    """How two recordings of one event lie in time.

    Parameters
    ----------
    first, second : str
        The files, as they were named.
    offset : float
        Seconds: where in the first the second begins; below 0 if it began before. This and what follows, up
        to the score, are those of the longest stretch that the two share.
    drift_ppm : float
        How much faster time passes in the first while the second plays, in parts per million: what two clocks
        differ by. 40,000: the second plays 4 % fast.
    deviation : float
        Seconds within which ``offset + (1 + drift_ppm / 1e6) × time`` is right all along that stretch.
    start, end : float
        The span of the second that was found in the first, in seconds.
    score : float
        Probability, 0 … 1, that the two are of one event.
    stretches : tuple of SharedStretch
        All that they share, in order of the second's time: several where something was cut out of one of
        them, put in or replaced, or where a recorder paused.
    first_share, second_share : float
        How much of each is shared, 0 … 1.
    """

    first: str
    second: str
    offset: float
    drift_ppm: float
    deviation: float
    start: float
    end: float
    score: float
    stretches: tuple[SharedStretch, ...]
    first_share: float
    second_share: float
