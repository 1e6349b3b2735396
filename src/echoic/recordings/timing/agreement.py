"""From when to when two recordings agree along a line: the ends of passages, and the cuts between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.analysis.excerpts import embed_blocks
from echoic.encoders.base import Encoder
from echoic.recordings.timing.clocks import Piece
from echoic.recordings.timing.noise import Noise, levels
from echoic.recordings.timing.waveforms import FRAME, Likeness, Waveform, likeness, resampled
from echoic.types import Float32

__all__ = ["Agreement", "ends_found", "without_gaps"]

Float64 = npt.NDArray[np.float64]

_LOOKED_AT = 20.0  # s of a passage that tell how much it agrees; half of that an end is followed at a time
_LOST = 10.0  # s without agreement after which an end is passed
_ELSEWHERE = (2.7, -4.3)  # s beside the line, where nothing agrees but what repeats itself
_PLACES = 8  # of a passage that are looked at for that, if it is longer
_GLANCES = 200  # at a passage, of half a second, that tell what noise there is
_TELLING = 0.05  # what fingerprints' agreement must be over that of unrelated sound
# Deviations from which on a second's waveforms have something in common; 2.8 is usual by chance.
_PROMINENT = 4.0
_MORE = 1.3  # times those of unrelated sound
_AROUND = 1.0  # s before and after a frame that tell what it has in common
_HIDDEN = 0.02  # what a frame counts for where noise may hide that they agree
# Seconds of a spot at most, between three that go on, and between two of those.
_SPOT, _THREE, _CLOSE = 2.0, 4.0, 5.0
_AT_A_TIME = 400  # frames that are looked at together
_BRIEF = 0.5  # s for which what is not the same may seem to be
_OVERSHOT = 8.0  # s by which what fingerprints and spots tell may lie beyond an end
_REST = 1.5  # s before a file ends that belong to what goes before, though they may be too quiet to tell
_SHORT = 1.5  # s of neither between two passages that are taken for a cut


class _Usual(NamedTuple):
    """How a piece is on the whole.

    Attributes
    ----------
    by_waveform : bool
        Whether the waveforms tell it, or fingerprints.
    level : float
        The value half way between that of the piece and that of other sound.
    tells : bool
        Whether those two differ.
    """

    by_waveform: bool
    level: float
    tells: bool


@dataclass(frozen=True, eq=False)
class Agreement:
    """How much two recordings agree along the line of a piece, frame by frame.

    By their waveforms, if those have enough in common; by fingerprints otherwise.
    """

    piece: Piece
    first: Waveform
    second: Waveform
    encoder: Encoder

    def over(self, start: float, end: float) -> Float64:
        """Say for each frame between two times of the second whether the two agree: above 0, by how much.

        A little where noise may hide what they have in common, or leaves it to be told by the waveforms of a
        second; just above 0 where both are silent; below 0 outside of one of the recordings.
        """
        n_frames = round((end - start) / FRAME)
        parts = [
            self._part_over(start + FRAME * at, min(_AT_A_TIME, n_frames - at))
            for at in range(0, n_frames, _AT_A_TIME)
        ]
        return np.concatenate(parts) if parts else np.empty(0)

    def along(self, start: float, end: float) -> Float64:
        """Say what :meth:`over` does; yet where spots that lie on the line go on, nothing disagrees.

        A tenth of a second of a quiet passage may have little in common; the two of a spot have enough.
        """
        values = self.over(start, end)
        times = np.sort(self.piece.times)  # of a piece that gaps divided: those of the others as well
        times = times[(times >= self.piece.start) & (times <= self.piece.end)]
        threes = np.flatnonzero(times[2:] - times[:-2] <= _THREE)  # one may lie on the line by chance
        times = times[np.unique(threes[:, None] + np.arange(3))]
        if len(times):
            middles = start + FRAME * (np.arange(len(values)) + 0.5)
            following = np.searchsorted(times, middles).clip(1, len(times) - 1)
            # The first may have its time before what it was measured on.
            seen = (middles >= times[0] + _SPOT) & (middles < times[following])
            seen &= times[following] - times[following - 1] <= _CLOSE
            values[seen & (values < 0)] = _HIDDEN
        return values

    def _part_over(self, start: float, n_frames: int) -> Float64:
        usual, rate = self._usual, self.second.rate
        end = start + FRAME * n_frames
        there, here = self._sounds(start - _AROUND, end + _AROUND, 0.0)
        inner = slice(round(_AROUND / FRAME), round(_AROUND / FRAME) + n_frames)
        same = self._noise.hides(levels(there, rate), levels(here, rate))[inner]
        if usual.by_waveform:
            found = self._likeness(there, here)
            values = found.peak[inner] - usual.level
            same |= found.prominence[inner] >= _PROMINENT
        else:
            values = self._cosines(start, end, 0.0) - usual.level
        values[same & (values < 0)] = _HIDDEN
        values[np.isnan(values)] = 1e-6
        times = start + FRAME * (np.arange(n_frames) + 0.5)
        places = self.piece.line.offset + self.piece.line.speed * times
        outside = (times < 0) | (times > self.second.duration)
        outside |= (places < 0) | (places > self.first.duration)
        values[outside] = -1.0
        return values

    def edge(self, way: int) -> float:
        """Say from when on, or until when, there is sound of both that could agree."""
        line = self.piece.line
        if way < 0:
            return max(0.0, -line.offset / line.speed)
        return min(self.second.duration, (self.first.duration - line.offset) / line.speed)

    @property
    def tells(self) -> bool:
        """Whether the two agree along the line more than beside it."""
        return self._usual.tells

    @cached_property
    def _usual(self) -> _Usual:
        piece = self.piece
        length = min(_LOOKED_AT, piece.end - piece.start)
        if length == _LOOKED_AT:
            length /= _PLACES
        spots = np.linspace(
            piece.start, piece.end - length, _PLACES if length < piece.end - piece.start else 1
        )
        sounds = {
            off: [self._sounds(float(at), float(at) + length, off) for at in spots]
            for off in (0.0, *_ELSEWHERE)
        }
        if piece.exact:
            found = {off: [self._likeness(*sound) for sound in sounds[off]] for off in sounds}
            peak = {off: _median([one.peak for one in found[off]]) for off in found}
            prominence = {off: _median([one.prominence for one in found[off]]) for off in found}
            beside = min(peak[off] for off in _ELSEWHERE)
            unrelated = min(prominence[off] for off in _ELSEWHERE)
            if prominence[0.0] >= max(_PROMINENT, _MORE * unrelated):
                return _Usual(True, max((peak[0.0] + beside) / 2, beside + 0.02), True)
        cosine = {
            off: _median([self._cosines(float(at), float(at) + length, off) for at in spots])
            for off in sounds
        }
        beside = min(cosine[off] for off in _ELSEWHERE)
        tells = cosine[0.0] - beside > _TELLING
        return _Usual(False, max((cosine[0.0] + beside) / 2, beside + 0.02), tells)

    @cached_property
    def _noise(self) -> Noise:
        piece = self.piece
        spots = np.linspace(piece.start, max(piece.start, piece.end - _BRIEF), _GLANCES).tolist()
        glances = [self._sounds(at, min(piece.end, at + _BRIEF), 0.0) for at in spots]
        return Noise(glances, self.second.rate)

    def _sounds(self, start: float, end: float, off: float) -> tuple[Float32, Float32]:
        """Give both waveforms between two times of the second, the first ``off`` seconds beside the line."""
        line, rate = self.piece.line, self.second.rate
        begin, n = round(start * rate), round((end - start) * rate)
        there = resampled(self.first, line.place(begin / rate) + off, line.speed, n)
        return there, self.second.part(begin, begin + n)

    def _likeness(self, there: Float32, here: Float32) -> Likeness:
        return likeness(there, here, self.second.rate, min(0.01, self.piece.bound + FRAME / 100))

    def _cosines(self, start: float, end: float, off: float) -> Float64:
        """Compare fingerprints frame by frame: 0 where one is silent, NaN where both are."""
        encoder = self.encoder
        reach = encoder.spec.window / 2 - FRAME / 2  # the middle of a window is that of a frame
        n_frames = round((end - start) / FRAME)
        vectors = np.zeros((2, n_frames, encoder.spec.dim), np.float32)
        heard = np.zeros((2, n_frames), bool)
        for number, samples in enumerate(self._sounds(start - reach, end + reach, off)):
            for segments in embed_blocks([samples], self.second.rate, encoder, FRAME):
                rows = np.round(segments.starts / FRAME).astype(np.int64)
                inside = rows < n_frames
                vectors[number, rows[inside]] = segments.vectors[inside]
                heard[number, rows[inside]] = np.abs(samples).max(initial=0) > 0
        cosines: Float64 = (vectors[0] * vectors[1]).sum(axis=1).astype(np.float64)
        cosines[~heard.any(axis=0)] = np.nan
        return cosines


def _median(parts: list[Float64]) -> float:
    values = np.concatenate(parts)
    values = values[~np.isnan(values)]
    return float(np.median(values)) if len(values) else 0.0


def without_gaps(agreement: Agreement, gaps: list[tuple[float, float]]) -> list[Piece]:
    """Cut a piece where, in some of the gaps, the two do not agree: something else plays in both there."""
    pieces = [agreement.piece]
    for start, end in sorted(gaps):
        whole = pieces[-1]
        if whole.start < start and end < whole.end:
            begin, values = _looked_at(agreement, start, end, whole)
            for since, until in _apart(values):
                pieces[-1:] = [
                    replace(pieces[-1], end=begin + FRAME * since),
                    replace(pieces[-1], start=begin + FRAME * until),
                ]
    return [piece for piece in pieces if piece.end > piece.start]


def _looked_at(agreement: Agreement, start: float, end: float, whole: Piece) -> tuple[float, Float64]:
    """Give what there is over a gap, and around it for as long as the two do not agree, and from when on."""
    values, brief = agreement.over(start, end), round(_BRIEF / FRAME)
    while start > whole.start and (values[:brief] < 0).all():
        earlier = max(whole.start, start - _LOOKED_AT / 2)
        values = np.concatenate([agreement.over(earlier, start), values])
        start = earlier
    while end < whole.end and (values[-brief:] < 0).all():
        later = min(whole.end, end + _LOOKED_AT / 2)
        values = np.concatenate([values, agreement.over(end, later)])
        end = later
    return start, values


def _apart(values: Float64) -> list[tuple[int, int]]:
    """Give the frames, from and to, between which two recordings do not agree for long; single ones may."""
    found: list[tuple[int, int]] = []
    apart = np.flatnonzero(np.diff(np.concatenate([[0], values < 0, [0]])))
    for since, until in apart.reshape(-1, 2).tolist():
        if found and since - found[-1][1] < _BRIEF / FRAME:
            found[-1] = found[-1][0], until
        else:
            found.append((since, until))
    return [(since, until) for since, until in found if until - since >= _SHORT / FRAME]


def ends_found(pieces: list[Piece], first: Waveform, second: Waveform, encoder: Encoder) -> list[Piece]:
    """Move the ends of pieces, in order of time, to where the two cease to agree."""
    agreements = [Agreement(piece, first, second, encoder) for piece in pieces]
    moved: list[Piece] = []
    for number, (piece, agreement) in enumerate(zip(pieces, agreements, strict=True)):
        lowest, highest = 0.0, second.duration
        if number:
            before = pieces[number - 1]
            lowest = before.end - _beyond(before) * (before.line != piece.line)
        if number + 1 < len(pieces):
            after = pieces[number + 1]
            highest = after.start + _beyond(after) * (after.line != piece.line)
        start = _walked(agreement, piece.start, max(0.0, min(lowest, piece.start)), -1)
        end = _walked(agreement, piece.end, min(second.duration, max(highest, piece.end)), 1)
        moved.append(replace(piece, start=start, end=end))
    apart: list[Piece] = []
    for number, after in enumerate(moved):
        if apart and after.start - apart[-1].end < _SHORT:
            before = apart.pop()
            if before.line == after.line:
                after = replace(after, start=before.start, end=max(before.end, after.end))
            else:
                low = max(before.start, min(before.end, after.start) - 1)
                high = min(after.end, max(before.end, after.start) + 1)
                cut = _cut(agreements[number - 1], agreements[number], low, high)
                apart.append(replace(before, end=cut))
                after = replace(after, start=cut)
        apart.append(after)
    return [piece for piece in apart if piece.end > piece.start]


def _beyond(piece: Piece) -> float:
    """Say by how many seconds what was measured may lie beyond the ends of a piece."""
    return min(_OVERSHOT, (piece.end - piece.start) / 3)


def _walked(agreement: Agreement, since: float, limit: float, way: int) -> float:
    """Follow a piece from a time on, forwards or backwards, for as long as the two agree."""
    since -= way * _beyond(agreement.piece)
    at, total, best, reached = since, 0.0, 0.0, since
    while (limit - at) * way >= FRAME and (at - reached) * way <= _LOST:
        until = at + way * min(_LOOKED_AT / 2, abs(limit - at))
        values = agreement.along(min(at, until), max(at, until))[::way]
        if not len(values):
            break
        sums = total + np.cumsum(values)
        top = int(np.argmax(sums))
        if sums[top] > best:
            best, reached = float(sums[top]), at + way * FRAME * (top + 1)
        total, at = float(sums[-1]), until
    edge = agreement.edge(way)
    if 0 <= (edge - reached) * way < _REST and (limit - edge) * way >= 0:
        return edge
    return max(limit, reached) if way < 0 else min(limit, reached)


def _cut(before: Agreement, after: Agreement, low: float, high: float) -> float:
    """Find the time between two at which one line gives way to another."""
    one, other = before.over(low, high), after.over(low, high)
    n = min(len(one), len(other))
    gains = np.concatenate([[0.0], np.cumsum(one[:n] - other[:n])])
    return low + FRAME * int(np.argmax(gains))
