"""From how likely each class is at each moment to spans: what is heard from when to when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.types import Float32

__all__ = ["BRIDGED", "Heard", "find_spans", "most_specific", "with_silence"]

#: Seconds of pause in which a sound is taken to go on.
BRIDGED = 1.0
_ENDS = 0.3  # of the probability from which on a class is told: where it falls below, its span ends
_AS_SURE = 0.7  # of a span's probability: how likely a more specific class must be to tell it as well
_COVERED = 0.5  # of a span: what more specific classes must tell of it that it need not be told


class Heard(NamedTuple):
    """A class, from when to when in seconds, and how likely it is heard there."""

    label: int
    start: float
    end: float
    probability: float


def with_silence(
    times: npt.NDArray[np.float64],
    probabilities: Float32,
    *,
    step: float,
    reach: float,
    edges: tuple[float, float],
) -> tuple[npt.NDArray[np.float64], Float32]:
    """Put moments at which nothing is heard where there are none, since nothing sounds there.

    Parameters
    ----------
    times : ndarray of float64, shape (n,)
        The middles of windows, in seconds, in order; at least one.
    probabilities : ndarray of float32, shape (n, classes)
    step : float
        Seconds between two windows where there is sound.
    reach : float
        Half a window, in seconds.
    edges : (float, float)
        Where the sound begins and ends, in seconds.
    """
    gaps = np.flatnonzero(np.diff(times) > 1.5 * step)
    before = times[:1] - step if times[0] - reach > edges[0] + step / 2 else times[:0]
    after = times[-1:] + step if times[-1] + reach < edges[1] - step / 2 else times[:0]
    silent = np.unique(np.concatenate([before, times[gaps] + step, times[gaps + 1] - step, after]))
    if not len(silent):
        return times, probabilities
    at = np.searchsorted(times, silent)
    return np.insert(times, at, silent), np.insert(probabilities, at, 0, axis=0)


def find_spans(
    times: npt.NDArray[np.float64], edges: tuple[float, float], probabilities: Float32, least: float
) -> list[Heard]:
    """Find where classes are heard, in order of class and time.

    A class is told where its probability reaches ``least``, and around it for as long as it is .3 of that;
    between two moments the probability is taken to go in a straight line. Spans that are at most
    :data:`BRIDGED` seconds apart are one.

    Parameters
    ----------
    times : ndarray of float64, shape (n,)
        The moments, in seconds, in order.
    edges : (float, float)
        Where the first begins, and where the last ends.
    probabilities : ndarray of float32, shape (n, classes)
    least : float
        Above 0, up to 1.
    """
    found: list[Heard] = []
    if not len(times):
        return found
    for label in np.nonzero(probabilities.max(axis=0) >= least)[0]:
        found += _of_class(int(label), times, edges, probabilities[:, label], least)
    return found


def _of_class(
    label: int,
    times: npt.NDArray[np.float64],
    edges: tuple[float, float],
    likely: Float32,
    least: float,
) -> list[Heard]:
    floor = least * _ENDS
    is_on = np.concatenate([[False], likely >= floor, [False]])
    changes = np.nonzero(is_on[1:] != is_on[:-1])[0]
    spans: list[Heard] = []
    for first, past in zip(changes[::2], changes[1::2], strict=True):
        top = float(likely[first:past].max())
        if top < least:
            continue
        start = edges[0] if first == 0 else _crossing(times, likely, first - 1, floor)
        end = edges[1] if past == len(times) else _crossing(times, likely, past - 1, floor)
        if spans and start - spans[-1].end <= BRIDGED:
            before = spans.pop()
            start, top = before.start, max(top, before.probability)
        spans.append(Heard(label, start, end, top))
    return spans


def _crossing(times: npt.NDArray[np.float64], likely: Float32, at: int, level: float) -> float:
    """Say when between a moment and the next the probability passes a level."""
    here, there = float(likely[at]), float(likely[at + 1])
    return float(times[at] + (level - here) / (there - here) * (times[at + 1] - times[at]))


def most_specific(spans: Sequence[Heard], kinds: Mapping[int, Set[int]]) -> list[Heard]:
    """Leave out what more specific classes tell already: no "Animal" and "Dog" where a bark is heard.

    Parameters
    ----------
    kinds : mapping of int to set of int
        Of a class, all that are kinds of it, and kinds of those.
    """
    by_label: dict[int, list[Heard]] = {}
    for span in spans:
        by_label.setdefault(span.label, []).append(span)
    below = {
        label: [one for kind in kinds.get(label, set()) & by_label.keys() for one in by_label[kind]]
        for label in by_label
    }

    def is_told_by_others(span: Heard) -> bool:
        as_sure = [one for one in below[span.label] if one.probability >= _AS_SURE * span.probability]
        return _overlap(span, as_sure) >= _COVERED * (span.end - span.start)

    return [span for span in spans if not is_told_by_others(span)]


def _overlap(span: Heard, others: Sequence[Heard]) -> float:
    """Measure how many seconds of a span are in one of some others, or more."""
    covered, past = 0.0, span.start
    for other in sorted(others, key=lambda other: other.start):
        start, end = max(past, other.start), min(span.end, other.end)
        if end > start:
            covered += end - start
            past = end
    return covered
