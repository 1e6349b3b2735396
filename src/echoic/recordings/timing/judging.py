"""Which passages that two recordings seem to share are believed, by their fingerprints at a few places."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from echoic.analysis.excerpts import embed_blocks
from echoic.encoders.base import Encoder
from echoic.recordings.alignment import Comparison, Place
from echoic.recordings.decision import Decision
from echoic.recordings.stretches import QUERY_HOP, stretches
from echoic.recordings.timing.chains import Chain, fit_line
from echoic.recordings.timing.clocks import Line
from echoic.recordings.timing.waveforms import Waveform
from echoic.storage.vectors.memory import MemoryStore
from echoic.types import Segments

__all__ = ["Judge", "Judged", "encoded"]

Float64 = npt.NDArray[np.float64]

_JUDGED = 10.0  # s of a passage that are judged at a time
_JUDGEMENTS = 4  # of a passage
_AROUND = 20.0  # s of the first beside the place, into which it may fall
_AGREE = 0.6  # s by which a judgement may miss the place
_PLAUSIBLE = 0.5  # probability of a judgement that may speak for a passage
_FASTEST = 0.1  # by which one may play faster or slower
_ONE_LINE = 0.3  # s by which two chains may differ to be of one line
_GAP = 2.5  # s
_BRIDGED = 120.0  # s between two passages of one line that may be one


@dataclass(frozen=True, slots=True)
class Judged:
    """A passage as fingerprints have it."""

    line: Line
    start: float
    end: float
    score: float
    gaps: tuple[tuple[float, float], ...] = ()


def encoded(
    waveform: Waveform,
    encoder: Encoder,
    hop: float,
    tell: Callable[[float], None],
    start: float = 0.0,
    end: float | None = None,
) -> Segments:
    """Encode a waveform, or the part between two times, with its windows ``hop`` seconds apart."""
    parts = []
    for part in embed_blocks(waveform.blocks(start, end), waveform.rate, encoder, hop):
        parts.append(part)
        if len(part):
            tell(min(1.0, float(part.ends[-1]) / waveform.duration))
    tell(1.0)
    starts, ends, vectors = (
        np.concatenate(column) for column in zip(*((p.starts, p.ends, p.vectors) for p in parts), strict=True)
    )
    begin = round(start * waveform.rate) / waveform.rate
    return Segments(starts + begin, ends + begin, vectors)


class Judge:
    """Says by fingerprints how sure passages are.

    Of the first, those are taken that are ``known``; or else as many are made as are needed.
    """

    def __init__(
        self, first: Waveform, second: Waveform, known: Segments | None, encoder: Encoder, decision: Decision
    ) -> None:
        self.first, self.second, self.known = first, second, known
        self.encoder, self.decision = encoder, decision

    def believed(self, chains: list[Chain]) -> list[Judged]:
        """Give the passages that are to be believed, in order of time."""
        found = [judged for chain in chains if (judged := self._judged(chain)) is not None]
        return _on_lines(sorted(found, key=lambda judged: judged.start))

    def _judged(self, chain: Chain) -> Judged | None:
        offset, speed, near = fit_line(chain.times, chain.places)
        line = Line(offset, speed)
        if not near.any() or abs(speed - 1) > _FASTEST:
            return None
        half = self.encoder.spec.window / 2
        start = max(0.0, float(chain.times[near].min()) - half)
        end = min(self.second.duration, float(chain.times[near].max()) + half)
        probabilities = []
        n = int(np.clip((end - start) / _JUDGED, 1, _JUDGEMENTS))
        for at in np.linspace(start, max(start, end - _JUDGED), n):
            until = min(end, at + _JUDGED)
            place = line.place(float(at + until) / 2)
            part = self._around(place)
            stretch = encoded(self.second, self.encoder, QUERY_HOP, lambda _: None, float(at), until)
            for middle, found, probability in self._laid([stretch], part, line):
                if abs(found - line.place(middle)) < _AGREE:
                    probabilities.append(probability)
        plausible = [p for p in probabilities if p >= _PLAUSIBLE]
        if len(plausible) < 2 and max(probabilities, default=0.0) < self.decision.threshold:
            return None
        return Judged(line, start, end, max(probabilities), _gaps(chain.times[near]))

    def _around(self, place: float) -> Segments:
        """Give the fingerprints of the first around a place."""
        if self.known is None:
            hop = self.encoder.spec.hop
            start = max(0.0, hop * np.floor((place - _AROUND) / hop))
            return encoded(self.first, self.encoder, hop, lambda _: None, start, max(start, place + _AROUND))
        around = np.abs((self.known.starts + self.known.ends) / 2 - place) < _AROUND
        return Segments(*(getattr(self.known, name)[around] for name in ("starts", "ends", "vectors")))

    def window_by_window(self, known: Segments) -> list[Judged]:
        """Lay all of a short file against the other: noise may leave no window that stands out."""
        query = encoded(self.second, self.encoder, QUERY_HOP, lambda _: None)
        laid = [one for one in self._laid((s for s, _ in stretches([query])), known) if one[2] >= _PLAUSIBLE]
        if not laid:
            return []
        times, places, probabilities = (np.array(column) for column in zip(*laid, strict=True))
        offset, speed, near = fit_line(times, places)
        score = float(probabilities[near].max())
        if score < self.decision.threshold and near.sum() < 2:
            return []
        half = _JUDGED / 2
        start = max(0.0, float(times[near].min()) - half)
        end = min(self.second.duration, float(times[near].max()) + half)
        return [Judged(Line(offset, speed), start, end, score)]

    def _laid(
        self, parts: Iterable[Segments], known: Segments, line: Line | None = None
    ) -> list[tuple[float, float, float]]:
        """Lay parts of the second against some of the first: (time, place, probability) of each.

        Where music repeats itself, that is where a line has it, if that fits about as well.
        """
        spec, laid = self.encoder.spec, []
        if not len(known):
            return []
        store = MemoryStore(spec.dim)
        store.replace(0, known)
        for part in parts:
            middle = float(part.starts.mean() + spec.window / 2)
            expected = []
            if line is not None:  # a short one tells little of its speed
                speeds = (1.0, line.speed)
                expected = [Place(0, line.place(middle) - speed * middle, speed) for speed in speeds]
            beside = Comparison(part, store, self.decision.cohort, window=spec.window, hop=spec.hop)
            for found in beside.align(known=expected):
                place = found.start + found.speed * middle
                laid.append((middle, place, self.decision.probability(found.evidence)))
        return laid


def _gaps(times: Float64) -> tuple[tuple[float, float], ...]:
    """Give the spans that a passage goes on without a window that speaks for it."""
    wide = np.flatnonzero(np.diff(times) > _GAP)
    return tuple((float(times[at]), float(times[at + 1])) for at in wide)


def _on_lines(judged: list[Judged]) -> list[Judged]:
    """Join passages that follow each other on one line."""
    joined: list[Judged] = []
    for new in judged:
        if joined and (line := _common_line(joined[-1], new)) is not None:
            old = joined.pop()
            gaps = (
                (*old.gaps, (old.end, new.start), *new.gaps) if new.start > old.end else old.gaps + new.gaps
            )
            new = Judged(line, old.start, max(old.end, new.end), max(old.score, new.score), gaps)
        joined.append(new)
    return joined


def _common_line(one: Judged, other: Judged) -> Line | None:
    """Give the line that two passages share, if the time between them may be theirs as well."""
    if other.start - one.end > _BRIDGED:
        return None
    longer = max(one, other, key=lambda judged: judged.end - judged.start)
    shorter = other if longer is one else one
    middle = (shorter.start + shorter.end) / 2
    doubt = _ONE_LINE * (1 + abs(middle - (longer.start + longer.end) / 2) / (longer.end - longer.start))
    if abs(longer.line.place(middle) - shorter.line.place(middle)) > doubt:
        return None
    return longer.line
