"""What is told of what is heard in files."""

from __future__ import annotations

from dataclasses import dataclass

from echoic.types import Told

__all__ = ["HeardSpan", "VoiceSpan"]


@dataclass(frozen=True, slots=True)
class HeardSpan(Told):
    """A kind of sound that is heard in a file, and when.

    Parameters
    ----------
    path : str
        The file, as it was named.
    start, end : float
        Seconds.
    label : str
        One of AudioSet's classes, as its ontology names it.
    probability : float
        0 … 1, that it is heard there.
    """

    path: str
    start: float
    end: float
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class VoiceSpan(Told):
    """Somebody who speaks in a file, and when.

    Parameters
    ----------
    path : str
        The file, as it was named.
    start, end : float
        Seconds.
    voice : str
        A for who speaks first in this file, B for who speaks next, and so on.
    """

    path: str
    start: float
    end: float
    voice: str
