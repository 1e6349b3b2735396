"""What is told of recordings that are heard again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from echoic.types import Told

__all__ = ["Duplicate", "Match", "Repeat", "SourceStatus"]


@dataclass(frozen=True, slots=True)
class Match(Told):
    """A known recording that is heard in a query.

    Parameters
    ----------
    query : str
        The file that was asked about, as it was named.
    path : str
        Absolute path of the recording.
    query_start, query_end : float
        Where in the query it is heard, in seconds.
    start, end : float
        What part of the recording that is, in seconds.
    score : float
        Probability, 0 … 1, that it is this recording.
    tempo : float
        1.04: the query plays it 4 % fast.
    """

    query: str
    path: str
    query_start: float
    query_end: float
    start: float
    end: float
    score: float
    tempo: float


@dataclass(frozen=True, slots=True)
class Duplicate(Told):
    """The same recording in two files, whole or in part.

    Parameters
    ----------
    path, other : str
        Absolute paths.
    start, end, other_start, other_end : float
        The part of each that is the same, in seconds.
    score : float
        Probability, 0 … 1, that it is.
    tempo : float
        1.04: the first plays it 4 % faster than the other; 1 if they differ by less than can be measured.
    whole : bool
        Whether that part is at least 85 % of what sounds in both files, and neither has .8 s of sound
        more around it. Silence does not count, but half a second of it is not told from sound.
    group : int or None
        Where ``whole``, the number, from 1, of the group of copies that both belong to.
    """

    path: str
    other: str
    start: float
    end: float
    other_start: float
    other_end: float
    score: float
    tempo: float
    whole: bool
    group: int | None = None


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What has become of one of many sources that are listened to.

    Parameters
    ----------
    source : str
        Its path, or its address without user and password.
    state : {"heard", "lost", "back", "over", "failed"}
        ``heard``: sound comes from it; ``lost``: the connection is over, and is tried again unless the sound
        is, too; ``back``: sound comes again; ``over``: it has come to its end; ``failed``: it is given up.
    message : str
        Why it failed, one sentence.
    """

    source: str
    state: Literal["heard", "lost", "back", "over", "failed"]
    message: str = ""


@dataclass(frozen=True, slots=True)
class Repeat(Told):
    """One of the places at which the same is heard.

    Parameters
    ----------
    group : int
        From 1; the places of one group are the same recording.
    path : str
    start, end : float
        Seconds.
    score : float
        Probability, 0 … 1, that it is the same as another place of its group.
    level : float or None
        By how many dB it is louder than the group's first place, of which most is sure; None where that
        cannot be told, as something else is heard besides, or only fingerprints are at hand.
    tempo : float
        1.02: it plays 2 % faster than the group's first place; 1 where that cannot be told.
    """

    group: int
    path: str
    start: float
    end: float
    score: float
    level: float | None
    tempo: float
