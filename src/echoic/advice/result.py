"""What :func:`echoic.recommend` tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Advice", "Candidate", "Index", "Measure"]

#: What finding was measured by: the labels that were given, or copies and cuts of what has none.
Measure = Literal["labels", "copies"]
#: How the segments are kept and searched: one by one, by an index beside the database, or by a server.
Index = Literal["exact", "index", "milvus"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An encoder, tried on the sample.

    Parameters
    ----------
    encoder : str
        As it was named.
    purposes : tuple of str
        What it may be asked for; only of those for ``"sounds"`` it was measured how well they find.
    mean_average_precision, precision_at_1 : float, optional
        0 … 1: by labels, how well each file of the sample finds others of its label; without any, how well
        cuts and degraded copies find where they are from.
    speed : float
        Seconds of sound that one core indexes in a second, decoding included.
    indexing : float
        Seconds that indexing all of the collection by this encoder takes, with all workers.
    latency : float
        Seconds from an example, as long as a cut of the sample, to its hits.
    memory : float, optional
        Megabytes that a search takes: the process, the network, and what is searched. None of what was tried
        for speed alone, and where no system tells.
    disk : float
        Megabytes of the library.
    segments : int
        Vectors of the whole collection.
    store : {"exact", "index", "milvus"}
        What these are best kept in.
    taught : int
        Files of the sample that the encoder was taught, or chosen by: they flatter it.
    against : str
        Why it is not advised: a part of a sentence; empty of what was chosen.
    """

    encoder: str
    purposes: tuple[str, ...]
    mean_average_precision: float | None
    precision_at_1: float | None
    speed: float
    indexing: float
    latency: float
    memory: float | None
    disk: float
    segments: int
    store: Index
    taught: int = 0
    against: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """Which encoders and which store suit a collection.

    Parameters
    ----------
    folder : str
        The folder or manifest, as it was named.
    files : int
    hours : float
        Of sound in all files, told by their sizes and by how long those of the sample are; or as planned for.
    sample : int
        Files that were listened to.
    sample_seconds : float
        Of sound in the sample.
    kinds : dict of str to float
        Shares of the sample that are ``"speech"``, ``"music"`` and, whatever is neither, ``"environment"``.
    measure : {"labels", "copies"}
        What finding was measured by.
    labels : int
        Classes in the sample; 0 without labels.
    jobs : int
        Worker processes that indexing was reckoned with.
    candidates : tuple of Candidate
        The best first, then what was tried for speed alone.
    encoder : str, optional
        The encoder that is advised; None if none keeps to what was asked for.
    also : tuple of str
        Encoders that the kind of sound suggests beside it: for recordings and versions of music.
    store : {"exact", "index", "milvus"}
    indexing : float
        Seconds that indexing takes by all that are advised.
    command : str
        What to run next.
    sentence : str
        The advice.
    failed : dict of str to str
        Files of the sample that could not be read, with one sentence each.
    """

    folder: str
    files: int
    hours: float
    sample: int
    sample_seconds: float
    kinds: dict[str, float]
    measure: Measure
    labels: int
    jobs: int
    candidates: tuple[Candidate, ...]
    encoder: str | None
    also: tuple[str, ...]
    store: Index
    indexing: float
    command: str
    sentence: str
    failed: dict[str, str] = field(default_factory=dict)
