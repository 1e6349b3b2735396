"""How two clocks run beside each other: where exactly a shared passage lies, measured on the waveforms.

At spots along a line that fingerprints found, generalised cross-correlation tells to a fraction of a sample
where one waveform lies in the other. The speed is found first, as waveforms that drift apart within a spot do
not correlate. Most spots must lie on one line then, or on a few that are as steep: there something was cut.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from echoic.recordings.timing.waveforms import Waveform, delay_between, resampled

__all__ = ["Line", "Piece", "joined", "measured", "on_one_clock"]

Float64 = npt.NDArray[np.float64]

_SEARCHED = 1.0  # s to either side
_EDGE = 0.02  # s of that in which a peak is the slope of another
# Spots at which the speed is looked for; more where something was cut so often that few lie on a line.
_PROBES, _MANY_PROBES = 10, 40
# Seconds of a probe, the steps of the speeds that are tried for it, and how far those may lie from 1. Long
# probes find what noise hides, but only where the speed is nearly right.
_PROBED = ((0.5, 2e-3, 0.1), (3.0, 2e-4, 1.5e-3))
_BLUR = 5e-4  # s that two sounds run apart within a spot, from which on it stands out less
_SPOT = 2.0  # s
_SPOTS = 160
_REST = 4.0  # s of a passage that are measured by themselves
_ENDS = 10.0  # s at either end that have spots closer together
_CLEAR = 5.5  # deviations by which the peak at a spot must stand out; the highest of noise reaches 4.5
_ON_LINE = 0.01  # s that a spot may lie from its line
_FEWEST = 3  # spots that make a line beside another
_ENOUGH = 5  # spots that make a first one: a few agree by chance where many speeds are tried
_UNSURE = 0.3  # s by which fingerprints may tell the two ends of a passage wrongly
# Spots that are left out: those farther off than so many times the median, if nearly all of them stay.
_TRIMMED, _TRIMMINGS, _MOSTLY = 6.0, 3, 0.85
_STILL = 5e-5  # s: no spot is measured better than that
_JUMP = 3.0  # bounds that two lines lie apart, where something was cut
_DOUBTS = 3  # standard errors that a bound leaves room for
_LEAST_BOUND = 1e-3  # s: no bound is told below it


@dataclass(frozen=True, slots=True)
class Line:
    """Where the second recording's time lies in the first: ``offset + speed × time``, in seconds."""

    offset: float
    speed: float

    def place(self, time: float) -> float:
        """Say where in the first some time of the second lies."""
        return self.offset + self.speed * time


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Part of a passage that lies on one line.

    Parameters
    ----------
    line : Line
    start, end : float
        Seconds of the second between which it was seen to hold.
    bound : float
        Seconds within which it holds there.
    times, places : ndarray of float64, shape (spots,)
        What was measured, in seconds; nothing if the line comes from fingerprints alone.
    """

    line: Line
    start: float
    end: float
    bound: float
    times: Float64 = field(default_factory=lambda: np.empty(0))
    places: Float64 = field(default_factory=lambda: np.empty(0))

    @property
    def exact(self) -> bool:
        """Whether the waveforms told it."""
        return len(self.times) > 0


def measured(
    coarse: Line, start: float, end: float, first: Waveform, second: Waveform, speeds: list[float]
) -> list[Piece]:
    """Find the lines on which a passage lies, in order of time; none if the waveforms have little in common.

    Parameters
    ----------
    coarse : Line
        As fingerprints have it.
    start, end : float
        Seconds of the second between which it holds.
    first, second : Waveform
    speeds : list of float
        Those of other passages, which are tried first.
    """
    found = _speed_found(coarse, start, end, first, second, speeds)
    if found is None:
        return []
    path, speed = found
    length = float(np.clip((end - start) / 4, 0.25, _SPOT))
    # Cuts at even distances look as a speed does; not so what lies between them.
    others = [other for other in (1.0, *speeds) if abs(other - speed) * length > _BLUR]
    if others:
        some = np.linspace(start, end - length, _PROBES)
        speed = max(
            (speed, *others),
            key=lambda tried: float(np.sum(_spots(path, tried, some, length, first, second)[2])),
        )
    pieces = _along(path, speed, start, end, first, second)
    edges = [start, *(edge for piece in pieces for edge in (piece.start, piece.end)), end]
    for begin, until in zip(edges[::2], edges[1::2], strict=True):
        # Too far from the path, where that is one of several lines.
        if pieces and until - begin > max(_REST, (end - start) / _SPOTS * _FEWEST):
            pieces = pieces + _along(coarse, speed, begin, until, first, second)
    return sorted(pieces, key=lambda piece: piece.start)


def _along(
    path: Line, speed: float, start: float, end: float, first: Waveform, second: Waveform
) -> list[Piece]:
    """Find the lines of a speed that lie near a path, in order of time."""
    span = end - start
    length = float(np.clip(span / 4, 0.25, _SPOT))
    n_spots = int(np.clip(2 * span / length, 6, _SPOTS))
    at = np.linspace(start, end - length, n_spots)
    if n_spots == _SPOTS:  # too far apart to tell where it begins and ends
        ends = np.arange(0, min(_ENDS, span / 2), 1.0)
        at = np.unique(np.concatenate([at, start + ends, end - length - ends]))
    times, places = _clear_spots(path, speed, at, length, first, second)
    labels = _labelled(times, places, speed)
    if (labels >= 0).sum() < max(_ENOUGH, len(at) / 4, len(times) / 2):
        return []
    return _apart(times, places, _runs(labels), length)


def _apart(times: Float64, places: Float64, runs: list[npt.NDArray[np.int64]], length: float) -> list[Piece]:
    """Lay a line through each run of spots; through two together, where they scatter and nothing was cut."""

    def fitted(rows: npt.NDArray[np.int64]) -> Piece:
        return _fitted(times[rows], places[rows], float(times[rows[-1]]) + length)

    pieces = [fitted(rows) for rows in runs]
    while len(pieces) > 1:
        jumps = [
            abs(after.line.place(after.start) - before.line.place(after.start)) / (before.bound + after.bound)
            for before, after in itertools.pairwise(pieces)
        ]
        least = int(np.argmin(jumps))
        if jumps[least] > _JUMP:
            break
        runs = [*runs[:least], np.concatenate(runs[least : least + 2]), *runs[least + 2 :]]
        pieces[least : least + 2] = [fitted(runs[least])]
    return pieces


def _speed_found(
    coarse: Line, start: float, end: float, first: Waveform, second: Waveform, speeds: list[float]
) -> tuple[Line, float] | None:
    """Find the speed at which most waveforms correlate best, and agree on a line, or on some of that speed.

    Returns
    -------
    path : Line
        Where spots are best looked for: the line, if most agree on one.
    speed : float
    """
    span = end - start
    unsure = _UNSURE / max(span, 1.0)
    for n_probes, (length, step, most) in itertools.product((_PROBES, _MANY_PROBES), _PROBED):
        length = min(length, span / 2)
        at = np.linspace(start, end - length, n_probes)
        # How little speeds may differ is a matter of how long a probe is.
        step = min(step * 0.5 / length, 0.01) if length < 0.5 else step
        low, high = max(coarse.speed - unsure, 1 - most), min(coarse.speed + unsure, 1 + most)
        # Many short pieces are of the devices that recorded the rest: their speeds are known.
        n_tried = (np.floor((high - 1) / step) + 1) * (n_probes == _PROBES)
        grid = np.arange(np.ceil((low - 1) / step), n_tried) * step + 1
        best: tuple[int, Line, float] | None = None
        # What fingerprints have of a long passage may lie between two of the grid, and be nearer than either.
        for speed in (*speeds, 1.0, coarse.speed, *(float(speed) for speed in grid)):
            times, places = _clear_spots(coarse, speed, at, length, first, second)
            labels = _grouped(times, places, speed, 2 * step)
            # Where something was cut, some lines as steep explain what one slanted line would. Each must be
            # worth it.
            agreeing = int((labels >= 0).sum() - max(0, labels.max(initial=0)))
            if agreeing < _ENOUGH or (best is not None and agreeing <= best[0]):
                continue
            most_of = labels == 0
            pace, offset = np.polyfit(times[most_of], places[most_of], 1)
            line = Line(float(offset), float(pace))
            best = agreeing, line if most_of.sum() >= len(at) / 2 else coarse, line.speed
            if agreeing >= 0.7 * len(at):
                break
        if best is not None:
            return best[1:]
    return None


def _clear_spots(
    path: Line, speed: float, at: Float64, length: float, first: Waveform, second: Waveform
) -> tuple[Float64, Float64]:
    """Measure where the second lies in the first, near a path: (times, places) of what stands out clearly."""
    times, places, prominences = _spots(path, speed, at, length, first, second)
    clear = prominences >= _CLEAR
    return times[clear], places[clear]


def _spots(
    path: Line, speed: float, at: Float64, length: float, first: Waveform, second: Waveform
) -> tuple[Float64, Float64, Float64]:
    """Measure where the second lies in the first, near a path: (times, places, prominences)."""
    n, most = round(length * second.rate), round(2 * _SEARCHED * second.rate)
    edge = _EDGE * second.rate
    times, places, prominences = [], [], []
    for wanted in at:
        begin = round(float(wanted) * second.rate)
        time = begin / second.rate
        here = second.part(begin, begin + n)
        # The first is read from a whole sample on, so that nothing is rounded.
        since = round((path.place(time) - speed * _SEARCHED) * first.rate) / first.rate
        delay = delay_between(resampled(first, since, speed, n + most), here, most)
        if delay is not None and edge < delay.samples < most - edge:
            times.append(time)
            places.append(since + speed * delay.samples / second.rate)
            prominences.append(delay.prominence)
    return np.array(times), np.array(places), np.array(prominences)


def _consensus(times: Float64, places: Float64, speed: float, slack: float) -> npt.NDArray[np.bool_]:
    """Say which spots lie on the line that most lie on, its speed within ``slack`` of one."""
    n = len(times)
    if n < 2:
        return np.zeros(n, bool)
    one, other = np.triu_indices(n, 1)
    if len(one) > 2000:
        kept = np.random.default_rng(0).choice(len(one), 2000, replace=False)
        one, other = one[kept], other[kept]
    slopes = (places[other] - places[one]) / (times[other] - times[one])
    fit = np.abs(slopes - speed) <= slack
    slopes, one = np.append(slopes[fit], np.full(n, speed)), np.append(one[fit], np.arange(n))
    offsets = places[one] - slopes * times[one]
    distances = np.abs(places[None] - offsets[:, None] - slopes[:, None] * times[None])
    value = (distances < _ON_LINE).sum(axis=1) - np.minimum(distances, _ON_LINE).mean(axis=1) / _ON_LINE
    near: npt.NDArray[np.bool_] = distances[int(np.argmax(value))] < _ON_LINE
    return near


def _labelled(times: Float64, places: Float64, speed: float) -> npt.NDArray[np.int64]:
    """Number the lines that the spots lie on, -1 for none: first that of most, then those as steep."""
    labels = _grouped(times, places, speed, 4e-4, most=1)
    on_first = labels == 0
    if on_first.any():
        speed = float(np.polyfit(times[on_first], places[on_first], 1)[0])
        labels[~on_first] = _grouped(times[~on_first], places[~on_first], speed, 1e-5)
        labels[~on_first & (labels >= 0)] += 1
    return labels


def _grouped(
    times: Float64, places: Float64, speed: float, slack: float, most: int | None = None
) -> npt.NDArray[np.int64]:
    """Number the lines of a speed, within ``slack``, that spots lie on, that of most first; -1 for none."""
    labels = np.full(len(times), -1)
    left = np.arange(len(times))
    while len(left) >= _FEWEST and labels.max() + 1 != most:
        near = _consensus(times[left], places[left], speed, slack)
        if near.sum() < _FEWEST:
            break
        labels[left[near]] = labels.max() + 1
        left = left[~near]
    return labels


def _runs(labels: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """Give the rows of each run of spots on one line, in order; a few astray among others are passed over."""
    rows = np.flatnonzero(labels >= 0)
    while True:
        runs = np.split(rows, np.flatnonzero(np.diff(labels[rows])) + 1)
        lengths = [len(run) for run in runs]
        if min(lengths) >= _FEWEST or len(runs) == 1:
            return runs
        rows = np.concatenate([run for run in runs if run is not runs[int(np.argmin(lengths))]])


def _fitted(times: Float64, places: Float64, end: float) -> Piece:
    """Lay a line through spots by least squares; the clocks run alike if nothing says otherwise."""
    start = float(times[0])
    for _ in range(_TRIMMINGS):  # a few spots go wrong by milliseconds, in music that repeats itself
        speed, offset = np.polyfit(times, places, 1)
        off = np.abs(places - offset - speed * times)
        kept = off <= max(_STILL, _TRIMMED * float(np.median(off)))
        if kept.sum() < max(_FEWEST, _MOSTLY * len(times)):
            break
        times, places = times[kept], places[kept]
    speed = float(np.polyfit(times, places, 1)[0])
    _, doubt = _doubts(times, places, speed)
    alike = abs(speed - 1) <= 2 * doubt
    piece = Piece(Line(0.0, speed), start, end, 0.0, times, places)
    return _at_speed(piece, 1.0 if alike else speed, doubt)


def _doubts(times: Float64, places: Float64, speed: float) -> tuple[float, float]:
    """Give the standard errors of a line's place in the middle of its spots, and of its speed."""
    off = places - speed * times
    deviation = max(_STILL, float(off.std()) * np.sqrt(len(times) / max(1, len(times) - 2)))
    spread = float(np.sqrt(np.square(times - times.mean()).sum())) or 1.0
    return deviation / np.sqrt(len(times)), deviation / spread


def _at_speed(piece: Piece, speed: float, doubt: float) -> Piece:
    """Move a piece's line to a speed whose standard error is ``doubt``."""
    times, places = piece.times, piece.places
    offset = float(np.mean(places - speed * times))
    middle, _ = _doubts(times, places, speed)
    farthest = max(abs(piece.start - times.mean()), abs(piece.end - times.mean()))
    bound = np.abs(places - offset - speed * times).max() + _DOUBTS * (middle + doubt * farthest)
    return replace(piece, line=Line(offset, speed), bound=max(_LEAST_BOUND, float(bound)))


def on_one_clock(pieces: list[Piece]) -> list[Piece]:
    """Give pieces of one recording one speed, where that fits them about as well as their own.

    The longest tells it best; the place of a short piece is the surer the less must be learnt from it.
    """
    exact = [piece for piece in pieces if piece.exact]
    if len(exact) < 2:
        return pieces
    longest = max(exact, key=lambda piece: float(np.ptp(piece.times)))
    speed = longest.line.speed
    _, doubt = _doubts(longest.times, longest.places, speed)
    held = []
    for piece in pieces:
        if piece.exact:
            same = _at_speed(piece, speed, doubt)
            if same.bound <= 1.5 * piece.bound:
                piece = same
        held.append(piece)
    return held


def joined(pieces: list[Piece]) -> tuple[list[Piece], list[tuple[float, float]]]:
    """Make those of the pieces, in order of time, that follow each other on one line one piece.

    Returns
    -------
    pieces : list of Piece
    gaps : list of tuple of float
        From when to when nothing was measured between two that are one now: something else may play there.
    """
    whole: list[Piece] = []
    gaps = []
    for piece in pieces:
        if whole and _on_one_line(whole[-1], piece):
            before = whole.pop()
            gaps.append((min(before.end, piece.start), max(before.end, piece.start)))
            times, places = (
                np.concatenate([getattr(one, name) for one in (before, piece)])
                for name in ("times", "places")
            )
            order = np.argsort(times, kind="stable")
            piece = _fitted(times[order], places[order], max(before.end, piece.end))
        whole.append(piece)
    return whole, gaps


def _on_one_line(one: Piece, other: Piece) -> bool:
    """Say whether the two lie as near to each other as each is known."""
    if not (one.exact and other.exact):
        return False
    middle = (one.end + other.start) / 2
    return abs(one.line.place(middle) - other.line.place(middle)) <= one.bound + other.bound
