"""From when to when two recordings agree along a line: the ends of passages, and the cuts between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from echoic.embedding import embed_blocks
from echoic.encoders.base import Encoder
from echoic.fingerprint.clocks import Piece
from echoic.fingerprint.waveforms import FRAME, Waveform, likeness, resampled
from echoic.types import Float32

__all__ = ["Agreement", "ends_found", "without_gaps"]

Float64 = npt.NDArray[np.float64]

_LOOKED_AT = 20.0  # s of a passage that tell how much it agrees; half of that an end is followed at a time
_LOST = 10.0  # s without agreement after which an end is passed
_ELSEWHERE = (2.7, -4.3)  # s beside the line, where nothing agrees but what repeats itself
_TELLING = 0.1  # what agreement must be over that of unrelated sound
_OVERSHOT = 8.0  # s by which what fingerprints and spots tell may lie beyond an end
_REST = 1.5  # s before a file ends that belong to what goes before, though they may be too quiet to tell
_SHORT = 1.5  # s of neither between two passages that are taken for a cut


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

        Where both are silent it is just above 0; outside of one of them, below.
        """
        by_waveform, level, _ = self._level
        values = self._values(by_waveform, start, end, 0.0) - level
        values[np.isnan(values)] = 1e-6
        times = start + FRAME * (np.arange(len(values)) + 0.5)
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
        return self._level[2]

    @cached_property
    def _level(self) -> tuple[bool, float, bool]:
        """Whether waveforms are compared, the value half way to other sound, and whether those differ."""
        piece = self.piece
        middle = (piece.start + piece.end) / 2
        half = min(_LOOKED_AT, piece.end - piece.start) / 2

        def usual(by_waveform: bool, off: float) -> float:
            values = self._values(by_waveform, middle - half, middle + half, off)
            return float(np.median(values[~np.isnan(values)])) if (~np.isnan(values)).any() else 0.0

        for by_waveform in (True, False)[not piece.exact :]:
            inside = usual(by_waveform, 0.0)
            beside = min(usual(by_waveform, off) for off in _ELSEWHERE)
            if inside - beside > _TELLING:
                break
        return by_waveform, max((inside + beside) / 2, beside + 0.02), inside - beside > _TELLING / 2

    def _values(self, by_waveform: bool, start: float, end: float, off: float) -> Float64:
        line, rate = self.piece.line, self.second.rate
        if by_waveform:
            begin, n = round(start * rate), round((end - start) * rate)
            here = self.second.part(begin, begin + n)
            there = resampled(self.first, line.place(begin / rate) + off, line.speed, n)
            return likeness(there, here, rate, min(0.01, self.piece.bound + FRAME / 100))
        reach = self.encoder.spec.window / 2 - FRAME / 2  # the middle of a window is that of a frame
        begin, n = round((start - reach) * rate), round((end - start + 2 * reach) * rate)
        here = self.second.part(begin, begin + n)
        there = resampled(self.first, line.place(begin / rate) + off, line.speed, n)
        return self._cosines(there, here, round((end - start) / FRAME))

    def _cosines(self, there: Float32, here: Float32, n_frames: int) -> Float64:
        """Compare fingerprints frame by frame: 0 where one is silent, NaN where both are."""
        vectors = np.zeros((2, n_frames, self.encoder.spec.dim), np.float32)
        heard = np.zeros((2, n_frames), bool)
        for number, samples in enumerate((there, here)):
            for segments in embed_blocks([samples], self.second.rate, self.encoder, FRAME):
                rows = np.round(segments.starts / FRAME).astype(np.int64)
                inside = rows < n_frames
                vectors[number, rows[inside]] = segments.vectors[inside]
                heard[number, rows[inside]] = np.abs(samples).max(initial=0) > 0
        cosines: Float64 = (vectors[0] * vectors[1]).sum(axis=1).astype(np.float64)
        cosines[~heard.any(axis=0)] = np.nan
        return cosines


def without_gaps(agreement: Agreement, gaps: list[tuple[float, float]]) -> list[Piece]:
    """Cut a piece at those of the gaps in which the two do not agree: something else plays in both there."""
    pieces = [agreement.piece]
    for start, end in gaps:
        whole = pieces[-1]
        if whole.start < start and end < whole.end and agreement.over(start, end).sum() < 0:
            pieces[-1:] = [replace(whole, end=start), replace(whole, start=end)]
    return pieces


def ends_found(pieces: list[Piece], first: Waveform, second: Waveform, encoder: Encoder) -> list[Piece]:
    """Move the ends of pieces, in order of time, to where the two cease to agree."""
    agreements = [Agreement(piece, first, second, encoder) for piece in pieces]
    moved: list[Piece] = []
    for number, (piece, agreement) in enumerate(zip(pieces, agreements, strict=True)):
        lowest = pieces[number - 1].end if number else 0.0
        highest = pieces[number + 1].start if number + 1 < len(pieces) else second.duration
        start = _walked(agreement, piece.start, max(0.0, min(lowest, piece.start)), -1)
        end = _walked(agreement, piece.end, min(second.duration, max(highest, piece.end)), 1)
        moved.append(replace(piece, start=start, end=end))
    for number in range(1, len(moved)):
        before, after = moved[number - 1], moved[number]
        if after.start - before.end < _SHORT:
            low = max(before.start, min(before.end, after.start) - 1)
            high = min(after.end, max(before.end, after.start) + 1)
            cut = _cut(agreements[number - 1], agreements[number], low, high)
            moved[number - 1], moved[number] = replace(before, end=cut), replace(after, start=cut)
    return [piece for piece in moved if piece.end > piece.start]


def _walked(agreement: Agreement, since: float, limit: float, way: int) -> float:
    """Follow a piece from a time on, forwards or backwards, for as long as the two agree."""
    # What was measured may end a little beyond the end itself.
    since -= way * min(_OVERSHOT, (agreement.piece.end - agreement.piece.start) / 3)
    at, total, best, reached = since, 0.0, 0.0, since
    while (limit - at) * way >= FRAME and (at - reached) * way <= _LOST:
        until = at + way * min(_LOOKED_AT / 2, abs(limit - at))
        values = agreement.over(min(at, until), max(at, until))[::way]
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
