"""From a file that plays, of any length, to the recordings heard in it.

A long query is looked at in stretches that overlap by half. Stretches that agree on a recording and a place
in it become one match; where each begins and ends is where its windows fit it better than anything else.
Memory does not grow with the query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from echoic.fingerprint.alignment import Alignment, align, realign
from echoic.fingerprint.decision import Decision
from echoic.stores.base import VectorStore
from echoic.types import EncoderSpec, Segments

__all__ = ["QUERY_HOP", "Heard", "identify", "stretches"]

#: Seconds between the windows of a query, a quarter of those between a recording's.
QUERY_HOP = 0.128

_STRETCH = 10.0  # s
_LONGEST = 14.0  # s, that is still looked at as a whole
_AGREE = 1.0  # s that two stretches may differ by in where they lie in a recording
_SURE = 0.98  # probability from which one stretch among many is believed alone


@dataclass(frozen=True, slots=True)
class Heard:
    """A recording heard in a query; times are seconds, see :class:`echoic.types.Match`."""

    file_id: int
    query_start: float
    query_end: float
    start: float
    end: float
    score: float
    tempo: float


@dataclass(frozen=True, slots=True)
class _Detection:
    """What one stretch, or several that agree, say.

    ``first`` and ``last`` are the middles of the outermost stretches: a time of the query, and its place in
    the recording. They tell the speed better than a single stretch does.
    """

    heard: Heard
    n_stretches: int
    first: tuple[float, float]
    last: tuple[float, float]

    def place(self, time: float) -> float:
        """Where in the recording the query is at some time."""
        at, place = self.last
        return place + self.heard.tempo * (time - at)


def identify(
    segments: Iterable[Segments],
    store: VectorStore,
    spec: EncoderSpec,
    starts_of: Callable[[int], npt.NDArray[np.float64]],
    decision: Decision,
    *,
    at_speed: Callable[[float, float, float], Segments] | None = None,
    least: float | None = None,
    without: int | None = None,
) -> Iterator[Heard]:
    """Find the recordings that are heard in a query, in order of time, while it is read.

    Parameters
    ----------
    segments : iterable of Segments
        The query's windows, ``QUERY_HOP`` seconds apart, as they come.
    store : VectorStore
        Holds the recordings.
    spec : EncoderSpec
        Of the encoder that made both.
    starts_of : callable
        Gives the start of each stored window of a file, in seconds.
    decision : Decision
    at_speed : callable, optional
        Encodes the query between two times as :func:`~echoic.fingerprint.alignment.realign` asks for it at a
        speed, the third argument. What can be heard once only has none.
    least : float, optional
        Probability from which on a match is told; by default the decision's own threshold.
    without : int, optional
        A file not to look into: the query's own.
    """
    least = decision.threshold if least is None else least
    current: list[_Detection] = []
    several = False
    for stretch, is_last in stretches(segments):
        several = several or not is_last
        found = align(
            stretch, store, starts_of, decision.cohort, window=spec.window, hop=spec.hop, without=without
        )
        time = float(stretch.starts.mean() + spec.window / 2)
        for alignment in found:
            probability = decision.probability(alignment.evidence)
            if probability >= least:
                if at_speed is not None:
                    begin, end = float(stretch.starts[0]), float(stretch.ends[-1])
                    alignment = realign(alignment, partial(at_speed, begin, end), spec.window)
                middle = time, alignment.start + alignment.speed * time
                new = _Detection(_heard(alignment, stretch, probability), 1, middle, middle)
                current = _joined(current, new)
        believed = [d for d in current if _is_believed(d, several) and not _is_repeat(d, current)]
        over = [d for d in current if is_last or d.heard.query_end < stretch.starts[0]]
        yield from (d.heard for d in over if d in believed)
        current = [d for d in current if d not in over]


def _is_believed(detection: _Detection, several: bool) -> bool:
    """Among many stretches some go wrong: one alone must be sure, two that agree need not be."""
    return not several or detection.n_stretches > 1 or detection.heard.score >= _SURE


def _is_repeat(detection: _Detection, others: list[_Detection]) -> bool:
    """Tell a stretch that was laid against a passage's other occurrence, where music repeats itself."""
    one = detection.heard
    for other in others:
        overlap = min(one.query_end, other.heard.query_end) - max(one.query_start, other.heard.query_start)
        if (
            other.heard.file_id == one.file_id
            and other.n_stretches > detection.n_stretches
            and overlap > (one.query_end - one.query_start) / 3
        ):
            return True
    return False


def stretches(segments: Iterable[Segments]) -> Iterator[tuple[Segments, bool]]:
    """Gather windows into stretches that overlap by half; tell which is the last."""
    kept: Segments | None = None
    for more in segments:
        kept = more if kept is None else _concatenated(kept, more)
        while len(kept) and kept.ends[-1] - kept.starts[0] > _LONGEST:
            until = kept.starts[0] + _STRETCH
            yield _part(kept, kept.ends <= until), False
            kept = _part(kept, kept.starts >= kept.starts[0] + _STRETCH / 2)
    if kept is not None and len(kept):
        yield kept, True


def _concatenated(one: Segments, other: Segments) -> Segments:
    return Segments(
        np.concatenate([one.starts, other.starts]),
        np.concatenate([one.ends, other.ends]),
        np.concatenate([one.vectors, other.vectors]),
    )


def _part(segments: Segments, rows: npt.NDArray[np.bool_]) -> Segments:
    return Segments(segments.starts[rows], segments.ends[rows], segments.vectors[rows])


def _heard(alignment: Alignment, stretch: Segments, probability: float) -> Heard:
    """Take the span of a stretch over which an alignment is ahead of all else."""
    first, last = _best_run(np.where(alignment.covered, alignment.margins, -1.0))
    begin = max(float(stretch.starts[first]), -alignment.start / alignment.speed)  # not before it begins
    finish = float(stretch.ends[last])
    return Heard(
        file_id=alignment.file_id,
        query_start=begin,
        query_end=finish,
        start=alignment.start + alignment.speed * begin,
        end=alignment.start + alignment.speed * finish,
        score=probability,
        tempo=alignment.speed,
    )


def _best_run(values: npt.NDArray[np.float64]) -> tuple[int, int]:
    """Find the first and last index of the run with the largest sum (Kadane's algorithm)."""
    best, span, total, begin = -np.inf, (0, 0), 0.0, 0
    for at, value in enumerate(values):
        if total <= 0:
            total, begin = 0.0, at
        total += float(value)
        if total > best:
            best, span = total, (begin, at)
    return span


def _joined(detections: list[_Detection], new: _Detection) -> list[_Detection]:
    """Add a detection, or extend the one that it goes on from."""
    for number, old in enumerate(detections):
        time, place = new.first
        if old.heard.file_id != new.heard.file_id or abs(old.place(time) - place) > _AGREE:
            continue
        query_start = min(old.heard.query_start, new.heard.query_start)
        query_end = max(old.heard.query_end, new.heard.query_end)
        start = min(old.heard.start, new.heard.start)
        end = max(old.heard.end, new.heard.end)
        (time_then, place_then), span = old.first, time - old.first[0]
        heard = replace(
            new.heard,
            query_start=query_start,
            query_end=query_end,
            start=start,
            end=end,
            score=max(old.heard.score, new.heard.score),
            tempo=(place - place_then) / span if span > _STRETCH else new.heard.tempo,
        )
        joined = _Detection(heard, old.n_stretches + 1, (time_then, place_then), new.last)
        return [*detections[:number], joined, *detections[number + 1 :]]
    return [*detections, new]
