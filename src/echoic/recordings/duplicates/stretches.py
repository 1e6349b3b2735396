"""The parts that two recordings share, found from their stored windows; nothing is decoded.

Windows of the one that are similar to windows of the other lie, where the two hold the same sound, on a line:
place = tempo × time + offset. Few similar windows tell where a line may be; it is then followed both ways,
window by window, for as long as the two stay similar, which also tells its tempo to within
what half a hop is over its length. Whether it is believed is not decided here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from echoic.types import Segments

__all__ = ["EDGE", "FASTEST", "SIMILAR", "SLOWEST", "Part", "same_clip", "shared_parts"]

Float64 = npt.NDArray[np.float64]

#: Changes of speed that are looked for, as everywhere in identification.
SLOWEST, FASTEST = 0.9, 1.1
#: Cosine of windows that may be of one moment. Cut .256 s apart, the most there is between two files, those
#: of one moment have .8 and more; those of other music seldom reach .6.
SIMILAR = 0.6

_SPEEDS = np.round(np.arange(SLOWEST, FASTEST + 0.001, 0.01), 2)
_BLOCK = 20.0  # s of a file in which a line is looked for: so short that tempi in steps of .01 will do
_BIN = 0.5  # s
_LINES_A_BLOCK = 4  # a jingle may be in the other file several times
_ENOUGH = 3  # similar windows that begin a line
_ON = 0.5  # mean cosine of a few windows beside each other from which on a line goes on
_SMOOTHED = 5  # windows
_GAP = 8  # windows that a line may be off: a voice over it, a dropout
_AROUND = 3  # windows either side of where a line is expected
_NEAR = 1.0  # s
# Mean cosine of windows that begin at the same moments of two files: half of those with it are one recording.
_SAME, _SAME_SCATTER = 0.984, 0.002
# So short a sound, in a window that is padded with zeros, is like any other: noise of 250 ms has a cosine of
# .989 with other noise, of 20 ms .997. The same samples have 1, to the last bits.
_TOLD, _IDENTICAL = 0.3, 0.9999  # s
_MOMENT, _LAST_MOMENT = 0.02, 0.1  # s; the last window ends with the file, whose end codecs move
#: Seconds of sound that one of two equal files may have more at its end, as windows tell it: the last window
#: may be half silent, and a change of speed that is less than its error adds a little.
EDGE = 0.8
_NEW = 0.8  # share of a part that must not have been told already
_ALL = 0.9  # share of the windows of a loop that must be like its other turns


@dataclass(frozen=True, slots=True)
class Part:
    """What two files share: from ``start`` to ``end`` of the first, in seconds, the second is at

    ``other_start + tempo × (time - start)``.

    Parameters
    ----------
    start, end, other_start : float
        Seconds.
    tempo : float
        1.04: the first plays 4 % fast.
    weight : float
        What speaks for it: how much more similar its windows are than they must be, summed up.
    """

    start: float
    end: float
    other_start: float
    tempo: float
    weight: float

    def place(self, time: float) -> float:
        """Where in the second file the first is at some time."""
        return self.other_start + self.tempo * (time - self.start)

    @property
    def other_end(self) -> float:
        return self.place(self.end)


def shared_parts(one: Segments, other: Segments, times: Float64, places: Float64) -> list[Part]:
    """Find the parts that two files share, from windows that are similar.

    Parameters
    ----------
    one, other : Segments
    times, places : ndarray of float64, shape (n,)
        Similar windows: where they start in the first, and in the second, in seconds.

    Returns
    -------
    list of Part
        What speaks most for comes first. Each is new for one of the files at least, and no second place in
        looping music: what repeats itself is similar to itself at other places too.
    """
    parts: list[Part] = []
    for time, place, tempo, begin, end in _beginnings(times, places, min(len(one), len(other))):
        if any(p.start <= time <= p.end and abs(p.place(time) - place) < _NEAR for p in parts):
            continue
        part = _followed(one, other, time, place, tempo, begin, end)
        if part is not None and not any(_is_same(part, known) for known in parts):
            parts.append(part)
    parts.sort(key=lambda part: -part.weight)
    told: list[Part] = []
    for part in parts:
        ours = _covered(part.start, part.end, [(p.start, p.end) for p in told])
        theirs = _covered(part.other_start, part.other_end, [(p.other_start, p.other_end) for p in told])
        if min(ours, theirs) < 1 - _NEW and not any(_loops(one, other, part, known) for known in told):
            told.append(part)
    return told


def _loops(one: Segments, other: Segments, part: Part, known: Part) -> bool:
    """Tell whether a part is a known one at another turn of the same loop.

    They overlap in one file, and in neither lies anything from the begin of the first to the end of the last
    but what the known part has. A jingle that comes again has other sound before it.
    """
    sides = [
        (one, (part.start, part.end), (known.start, known.end)),
        (other, (part.other_start, part.other_end), (known.other_start, known.other_end)),
    ]
    return any(_meet(mine, theirs) for _, mine, theirs in sides) and all(
        _is_all_of(file, mine, theirs) for file, mine, theirs in sides
    )


def _meet(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return min(one[1], other[1]) > max(one[0], other[0])


def _is_all_of(file: Segments, span: tuple[float, float], known: tuple[float, float]) -> bool:
    """Tell whether a file holds, from a known span to another, nothing that is not like the known one."""
    middles = (file.starts + file.ends) / 2
    is_known = (middles >= known[0]) & (middles <= known[1])
    between = (middles >= min(span[0], known[0])) & (middles <= max(span[1], known[1])) & ~is_known
    if not between.any():
        return True
    like = (file.vectors[between] @ file.vectors[is_known].T).max(axis=1, initial=-1.0)
    return bool((like >= SIMILAR).mean() >= _ALL)


def _beginnings(
    times: Float64, places: Float64, n_shorter: int
) -> Iterator[tuple[float, float, float, float, float]]:
    """Give (time, place, tempo, begin, end) of short lines that many windows lie on, in order of time."""
    needed = max(1, min(_ENOUGH, n_shorter // 2))
    blocks = np.floor(times / (_BLOCK / 2)).astype(np.int64)
    for block in np.unique(np.concatenate([blocks, blocks - 1])):
        inside = np.flatnonzero((blocks == block) | (blocks == block + 1))
        for _ in range(_LINES_A_BLOCK):
            if len(np.unique(times[inside])) < needed:
                break
            middle = float(np.median(times[inside]))
            offsets = places[inside] - _SPEEDS[:, None] * (times[inside] - middle)
            bins = np.round(offsets / _BIN).astype(np.int64)
            # Each time counts once for a tempo and a place, with those of the place beside it.
            bins = np.stack([bins, bins + 1])
            low, width = int(bins.min()), int(np.ptp(bins)) + 1
            which, at = np.unique(times[inside], return_inverse=True)
            keys = (np.arange(len(_SPEEDS))[:, None] * width + bins - low) * len(which) + at
            cells, counts = np.unique(np.unique(keys) // len(which), return_counts=True)
            most = counts.max()
            if most < needed:
                break
            candidates = cells[counts == most]
            tempi = _SPEEDS[candidates // width]
            best = int(np.argmin(np.abs(tempi - 1)))
            tempo = float(tempi[best])
            place = float((candidates[best] % width + low - 0.5) * _BIN)
            distances = np.abs(places[inside] - tempo * (times[inside] - middle) - place)
            on = distances <= _BIN
            place += float(np.median((places[inside] - tempo * (times[inside] - middle) - place)[on]))
            mine = times[inside][on]
            yield middle, place, tempo, float(mine.min()), float(mine.max())
            inside = inside[distances > _NEAR]


def _followed(
    one: Segments, other: Segments, time: float, place: float, tempo: float, begin: float, end: float
) -> Part | None:
    """Follow a line both ways from where it was met, until the two files are no longer similar."""
    hop = float(np.median(np.diff(other.starts))) if len(other) > 1 else 1.0
    found: tuple[int, int] | None = None
    on_line = np.empty(0)
    first = 0
    for _ in range(40):
        reach = max(_BLOCK, end - begin)
        first, last = np.searchsorted(one.starts, [begin - reach, end + reach + 1e-6])
        times = one.starts[first:last]
        places = place + tempo * (times - time)
        middle = np.searchsorted(other.starts, places)
        columns = np.clip(middle[:, None] + np.arange(-_AROUND, _AROUND), 0, len(other) - 1)
        away = other.starts[columns] - places[:, None]
        cosines = np.einsum("nd,nkd->nk", one.vectors[first:last], other.vectors[columns]).astype(np.float64)
        on_line = np.where(np.abs(away) <= 1.05 * hop, cosines, -0.2).max(axis=1)
        span = _run_at(on_line, times, begin, end)
        if span is None:
            return None
        run = slice(span[0], span[1] + 1)
        begin, end = float(times[span[0]]), float(times[span[1]])
        # Where each window's place is: between those of the other that it is similar to.
        trust = np.square(np.clip(np.where(np.abs(away) <= 2 * _NEAR, cosines, 0) - _ON, 0, None))[run]
        total = trust.sum(axis=1)
        sure = total > 0
        if sure.any():
            off = (trust * away[run]).sum(axis=1)[sure] / total[sure]
            when, weights = times[run][sure] - time, total[sure]
            change, shift = _fitted(when, off, weights)
            tempo, place = tempo + change, place + shift
        now = (int(first) + span[0], int(first) + span[1])
        if now == found:
            break
        found = now
    if found is None:
        return None
    span = found[0] - int(first), found[1] - int(first)
    similar = on_line[span[0] : span[1] + 1]
    start, finish = float(one.starts[found[0]]), float(one.ends[found[1]])
    weight = float(np.clip(similar - _ON, 0, None).sum())
    return Part(start, finish, place + tempo * (start - time), tempo, weight)


def _fitted(when: Float64, off: Float64, weights: Float64) -> tuple[float, float]:
    """Fit off = change × when + shift by weighted least squares; the change is 0 where little tells it."""
    mean_when, mean_off = np.average(when, weights=weights), np.average(off, weights=weights)
    spread = np.average(np.square(when - mean_when), weights=weights)
    if len(when) < 6 or spread < 1:
        return 0.0, float(mean_off)
    change = np.average((when - mean_when) * (off - mean_off), weights=weights) / spread
    return float(change), float(mean_off - change * mean_when)


def _run_at(similar: Float64, times: Float64, begin: float, end: float) -> tuple[int, int] | None:
    """Find the first and last window of the run, around a span, along which the two files are similar."""
    if not len(similar):
        return None
    width = min(_SMOOTHED, len(similar))
    kernel = np.ones(width)
    smooth = np.convolve(similar, kernel, "same") / np.convolve(np.ones(len(similar)), kernel, "same")
    on = np.flatnonzero((smooth >= _ON) & (similar >= _ON))
    if not len(on):
        return None
    cuts = np.flatnonzero(np.diff(on) > _GAP) + 1
    runs = np.split(on, cuts)
    best = max(runs, key=lambda run: min(times[run[-1]], end) - max(times[run[0]], begin))
    return int(best[0]), int(best[-1])


def _is_same(one: Part, other: Part) -> bool:
    middle = (max(one.start, other.start) + min(one.end, other.end)) / 2
    return (
        min(one.end, other.end) > max(one.start, other.start)
        and abs(one.place(middle) - other.place(middle)) < _NEAR
    )


def _covered(start: float, end: float, spans: list[tuple[float, float]]) -> float:
    """Tell what share of a span others cover together."""
    total, at = 0.0, start
    for first, last in sorted(spans):
        total += max(0.0, min(last, end) - max(first, at))
        at = max(at, min(last, end))
    return total / (end - start) if end > start else 1.0


def same_clip(one: Segments, other: Segments) -> float:
    """Give the probability that two files are one recording from end to end, neither moved nor sped up.

    Their windows begin at the same moments then, and hold the same sound; no other recording is needed to
    tell, which few windows are not enough for. Of 116 one-shots coded as FLAC, MP3, Vorbis or Opus at
    96 kbit/s the least similar had a cosine of .986; of 9,197 pairs of different ones the most similar .981.
    Of less than .3 s, which one window cannot tell apart, only the same samples are.
    """
    n = min(len(one), len(other))
    if not n or (len(one) != len(other) and abs(one.ends[-1] - other.ends[-1]) > EDGE):
        return 0.0
    apart = np.abs(one.starts[:n] - other.starts[:n])
    if apart[:-1].max(initial=0.0) > _MOMENT or apart[-1] > _LAST_MOMENT:
        return 0.0
    similar = np.einsum("nd,nd->n", one.vectors[:n], other.vectors[:n])
    if min(one.ends[-1], other.ends[-1]) < _TOLD:
        return float(similar.min() >= _IDENTICAL)
    odds = min((_SAME - float(similar.mean())) / _SAME_SCATTER, 700.0)  # else it overflows
    return 1 / (1 + math.exp(odds))
