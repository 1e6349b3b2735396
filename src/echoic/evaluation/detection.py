"""How well what a search tells fits what is known to be there: spans against spans.

A hit is *right* if it and a call share more than half of the shorter and a quarter of the longer; of several
hits of one call the surest is, and the others are false alarms, as all else is. By that, recall is told at
so many false alarms an hour, for any threshold. How exact begins and ends are, the event-based F1 says:
there a hit is right if it begins within a collar of the call's begin, and ends within the collar, or a fifth
of the call, of its end, and as many hits are matched with calls as can be.

References
----------
Mesaros, Heittola and Virtanen, "Metrics for polyphonic sound event detection", Applied Sciences 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.evaluation.labelled import Estimate
from echoic.search.concepts import share

__all__ = ["COLLAR", "Call", "Detection", "Told", "detect"]

#: Seconds within which a begin is right.
COLLAR = 0.2
_OF_LENGTH = 0.2  # of a call: within that its end is right
_OF_SHORTER, _OF_LONGER = 0.5, 0.25  # what a hit and a call share at least
_DRAWS = 1_000  # of files, for intervals

Float64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Call(NamedTuple):
    """What is known to be heard: file, begin and end in seconds."""

    path: str
    start: float
    end: float


class Told(NamedTuple):
    """What was told: file, begin, end, and how sure it is."""

    path: str
    start: float
    end: float
    score: float


@dataclass(frozen=True, slots=True)
class Detection:
    """Figures of what was told.

    Parameters
    ----------
    n_calls, n_hits : int
    hours : float
    recall : Estimate
        Share of the calls that are told at so many false alarms an hour, and its 95 % interval: by drawing
        other files (bootstrap), and no shorter than Wilson's.
    threshold : float
        Score above which that is told; -inf where all that was told has fewer false alarms.
    average_precision : float
        Mean over all calls of the precision at their hits' scores; 0 for those that are not told.
    f1, precision_of_f1, recall_of_f1 : float
        Event-based, at the score that makes the F1 highest.
    threshold_of_f1 : float
        That score.
    ends : float
        Median error of the begins and ends of right hits at ``threshold``, in seconds; NaN of none.
    """

    n_calls: int
    n_hits: int
    hours: float
    recall: Estimate
    threshold: float
    average_precision: float
    f1: float
    precision_of_f1: float
    recall_of_f1: float
    threshold_of_f1: float
    ends: float


def detect(
    calls: Sequence[Call],
    hits: Sequence[Told],
    hours: float,
    *,
    false_alarms: float = 1.0,
    collar: float = COLLAR,
    seed: int = 0,
) -> Detection:
    """Compare what was told with what is known.

    Parameters
    ----------
    calls : sequence of Call
        One at least.
    hits : sequence of Told
    hours : float
        Of all that was listened to; above 0.
    false_alarms : float
        An hour.
    collar : float
        Seconds.
    """
    hits = sorted(hits, key=lambda hit: (-hit.score, hit.path, hit.start, hit.end))
    scores = np.array([hit.score for hit in hits], np.float64)
    which = _which(calls, hits)
    right = which >= 0
    threshold = _threshold(scores, ~right, false_alarms * hours)
    is_told = np.zeros(len(calls), bool)
    is_told[which[right & (scores > threshold)]] = True
    # Hits of one score come together.
    last = np.searchsorted(-scores, -scores, side="right")
    at_hits = np.cumsum(right)[last - 1] / last if len(hits) else np.empty(0)
    f1 = _best_f1(calls, hits, scores, collar)
    errors = [
        error
        for hit, at in zip(hits, which.tolist(), strict=True)
        if at >= 0 and hit.score > threshold
        for error in (abs(hit.start - calls[at].start), abs(hit.end - calls[at].end))
    ]
    return Detection(
        n_calls=len(calls),
        n_hits=len(hits),
        hours=hours,
        recall=_over_files(is_told, [call.path for call in calls], seed),
        threshold=threshold,
        average_precision=float(at_hits[right].sum() / len(calls)),
        f1=f1[0],
        precision_of_f1=f1[1],
        recall_of_f1=f1[2],
        threshold_of_f1=f1[3],
        ends=float(np.median(errors)) if errors else float("nan"),
    )


def _which(calls: Sequence[Call], hits: Sequence[Told]) -> Ints:
    """Say of each hit, the surest first, which call it is → (n,); -1 for none."""
    by_file: dict[str, list[int]] = {}
    for at, call in enumerate(calls):
        by_file.setdefault(call.path, []).append(at)
    is_told = np.zeros(len(calls), bool)
    which = np.full(len(hits), -1, np.int64)
    for row, hit in enumerate(hits):
        best = 0.0
        for at in by_file.get(hit.path, ()):
            call = calls[at]
            shared = min(hit.end, call.end) - max(hit.start, call.start)
            shorter, longer = sorted((hit.end - hit.start, call.end - call.start))
            fits = shared > _OF_SHORTER * shorter and shared > _OF_LONGER * longer
            if fits and not is_told[at] and shared / longer > best:
                best, which[row] = shared / longer, at
        if which[row] >= 0:
            is_told[which[row]] = True
    return which


def _threshold(scores: Float64, is_false: npt.NDArray[np.bool_], most: float) -> float:
    """Find the score above which there are at most so many false alarms; scores descend."""
    n_false = np.cumsum(is_false)
    at = int(np.searchsorted(n_false, most, side="right"))
    return float(scores[at]) if at < len(scores) else -np.inf


def _best_f1(
    calls: Sequence[Call], hits: Sequence[Told], scores: Float64, collar: float
) -> tuple[float, float, float, float]:
    """Find the highest event-based F1 of all thresholds → F1, precision, recall, threshold.

    Hits are added one by one, the surest first, each by an augmenting path (Kuhn), so that at each threshold
    as many as can be are matched.
    """
    by_file: dict[str, list[int]] = {}
    for at, call in enumerate(calls):
        by_file.setdefault(call.path, []).append(at)
    fitting = [
        [
            at
            for at in by_file.get(hit.path, ())
            if abs(hit.start - calls[at].start) <= collar + 1e-9
            and abs(hit.end - calls[at].end)
            <= max(collar, _OF_LENGTH * (calls[at].end - calls[at].start)) + 1e-9
        ]
        for hit in hits
    ]
    matched: dict[int, int] = {}  # hits by call
    held: dict[int, int] = {}  # calls by hit

    def augment(first: int) -> bool:
        came: dict[int, int] = {}  # calls that may be taken, by the hit that would take each
        queue = [first]
        for row in queue:
            for at in fitting[row]:
                if at in came:
                    continue
                came[at] = row
                if at in matched:
                    queue.append(matched[at])
                    continue
                while True:  # each hit on the way takes this call, and leaves its own
                    taker, left = came[at], held.get(came[at])
                    matched[at], held[taker] = taker, at
                    if left is None:
                        return True
                    at = left
        return False

    best = (0.0, 0.0, 0.0, np.inf)
    n_right = 0
    for row in range(len(hits)):
        n_right += augment(row)
        is_last = row + 1 == len(hits) or scores[row + 1] < scores[row]
        f1 = 2 * n_right / (row + 1 + len(calls))
        if is_last and f1 > best[0]:
            best = (f1, n_right / (row + 1), n_right / len(calls), float(scores[row]))
    return best


def _over_files(is_told: npt.NDArray[np.bool_], paths: Sequence[str], seed: int) -> Estimate:
    """Estimate a share of calls, with the interval that drawing other files would give."""
    _, files = np.unique(paths, return_inverse=True)
    told = np.bincount(files, weights=is_told)
    due = np.bincount(files)
    drawn = np.random.default_rng(seed).integers(len(due), size=(_DRAWS, len(due)))
    low, high = np.quantile(told[drawn].sum(axis=1) / due[drawn].sum(axis=1), [0.025, 0.975])
    value = float(is_told.mean())
    # Of few files, or where all or none is told, drawing others shows no spread: a count has one.
    _, least, most = share(int(is_told.sum()), len(is_told))
    return Estimate(value, min(float(low), least), max(float(high), most))
