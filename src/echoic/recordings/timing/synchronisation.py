"""How two recordings of one event lie in time: what they share, on which lines, and how sure that is.

Landmarks tell the passages of long recordings whose sound is the same but for its format. Few fingerprints of
each, laid against each other, tell those of the rest, however different the two microphones are. Many
fingerprints at a few places tell whether to believe it. The waveforms then tell where exactly each passage
lies, how the two clocks drift apart, and where something was cut or a recorder paused.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.analysis.excerpts import embed_blocks
from echoic.audio.levels import SILENCE, Loudest
from echoic.encoders.base import Encoder
from echoic.errors import AudioError, quoted
from echoic.machine import one_thread_for_algebra
from echoic.recordings.alignment import Comparison, Place
from echoic.recordings.decision import Decision
from echoic.recordings.stretches import QUERY_HOP, stretches
from echoic.recordings.timing.agreement import Agreement, ends_found, without_gaps
from echoic.recordings.timing.chains import Chain, find_chains, fit_line, hits_between
from echoic.recordings.timing.clocks import Line, Piece, joined, measured, on_one_clock
from echoic.recordings.timing.landmarks import landmark_hits
from echoic.recordings.timing.waveforms import Waveform
from echoic.storage.vectors.memory import MemoryStore
from echoic.types import Progress, Segments, SharedStretch, TimeAlignment

__all__ = ["Passage", "Synchronised", "synchronise"]

Float64 = npt.NDArray[np.float64]

# Hops of the second's windows, in quarters of those of the first, and the hours up to which each is taken. No
# multiple of 4: then every passage has windows that lie right beside those of the first.
_HOPS = ((1, 0.25), (3, 0.75), (5, np.inf))
_LONG = 900.0  # s of the second from which on landmarks are looked for: fingerprints would take a while
_SAME_RECORDING = 0.08  # of a passage's landmarks, from which on landmarks can be trusted to tell the others
_JUDGED = 10.0  # s of a passage that are judged at a time
_JUDGEMENTS = 4  # of a passage
_AROUND = 20.0  # s of the first beside the place, into which it may fall
_AGREE = 0.6  # s by which a judgement may miss the place
_PLAUSIBLE = 0.5  # probability of a judgement that may speak for a passage
_MOST_CHAINS = 60
_FASTEST = 0.1  # by which one may play faster or slower
_BESIDE_EXACT = (
    30.0  # s: what fingerprints must tell where the waveforms of other passages agree, and theirs do not
)
# Seconds of a passage whose windows are the same, for each tenfold of the pairs of windows compared: the more
# there are, the longer passages agree by chance.
_BY_CHANCE, _TENFOLD = 0.3, 0.25
_FEW_PAIRS = 1e4
_SHORT = 60.0  # s: files up to which are laid against the other window by window
_TOO_SHORT = 1.0  # s: what is shorter has too little to be known by
_CLICK = 0.05  # s
_COARSE = 0.25  # s within which fingerprints tell a place
_ONE_LINE = 0.3  # s by which two chains may differ to be of one line
_GAP = 2.5  # s
_BESIDE_GAP = 1.0  # s around a gap that are looked at with it
_BRIDGED = 120.0  # s between two passages of one line that may be one


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of the second that the first has as well; times are seconds.

    Parameters
    ----------
    start, end : float
        Of the second.
    line : Line
        Where it lies in the first.
    bound : float
        Seconds within which the line holds.
    exact : bool
        Whether the waveforms told it, or the fingerprints alone.
    score : float
        Probability that the two have it in common.
    """

    start: float
    end: float
    line: Line
    bound: float
    exact: bool
    score: float


@dataclass(frozen=True, slots=True)
class Synchronised:
    """What two recordings share, in order of the second's time, and how long both are, in seconds."""

    passages: tuple[Passage, ...]
    first_duration: float
    second_duration: float

    def told(self, first: str, second: str) -> TimeAlignment:
        """Give it as it is told, with the names of the two."""
        stretches = tuple(
            SharedStretch(
                start=passage.start,
                end=passage.end,
                first_start=max(0.0, passage.line.place(passage.start)),
                first_end=min(self.first_duration, passage.line.place(passage.end)),
                offset=passage.line.offset,
                drift_ppm=1e6 * (passage.line.speed - 1),
                deviation=passage.bound,
                exact=passage.exact,
                score=passage.score,
            )
            for passage in self.passages
        )
        longest = max(stretches, key=lambda stretch: stretch.end - stretch.start)
        return TimeAlignment(
            first=first,
            second=second,
            offset=longest.offset,
            drift_ppm=longest.drift_ppm,
            deviation=longest.deviation,
            start=longest.start,
            end=longest.end,
            score=longest.score,
            stretches=stretches,
            first_share=_covered([(s.first_start, s.first_end) for s in stretches]) / self.first_duration,
            second_share=_covered([(s.start, s.end) for s in stretches]) / self.second_duration,
        )


def _covered(spans: list[tuple[float, float]]) -> float:
    """Add up spans, what several cover once."""
    total, reached = 0.0, 0.0
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


@dataclass(frozen=True, slots=True)
class _Judged:
    """A passage as fingerprints have it."""

    line: Line
    start: float
    end: float
    score: float
    gaps: tuple[tuple[float, float], ...] = ()


class _Reporter:
    """Tells how much of two files has been decoded and encoded: half of the way each."""

    def __init__(self, paths: tuple[Path, Path], progress: Callable[[Progress], None] | None) -> None:
        self._progress = progress
        self._sizes = [path.stat().st_size if path.exists() else 0 for path in paths]
        self._paths, self._begun = paths, time.monotonic()
        self._audio = 0.0

    def decoding(self, number: int) -> Callable[[float], None]:
        def tell(seconds: float) -> None:
            self._tell(number, 0.0 if number == 0 else 0.5 * self._sizes[0], 0, self._audio + seconds)

        return tell

    def encoding(self, number: int, share: float) -> None:
        done = 0.5 * sum(self._sizes) + 0.5 * (sum(self._sizes[:number]) + share * self._sizes[number])
        self._tell(number, done, number + (share >= 1), self._audio)

    def decoded(self, seconds: float) -> None:
        self._audio += seconds

    def _tell(self, number: int, done_bytes: float, done: int, audio: float) -> None:
        if self._progress is not None:
            elapsed = time.monotonic() - self._begun
            path, total = str(self._paths[number]), sum(self._sizes)
            self._progress(Progress(path, done, 2, round(done_bytes), total, audio, elapsed))


def synchronise(
    first: Path,
    second: Path,
    encoder: Encoder,
    decision: Decision,
    progress: Callable[[Progress], None] | None = None,
) -> Synchronised | None:
    """Lay the second file against the first; None if they have nothing in common.

    Raises
    ------
    AudioError
        If one of them cannot be read, or is too short to be known by anything, or silent.
    """
    spec = encoder.spec
    with ExitStack() as scratch:
        reporter = _Reporter((first, second), progress)
        waveforms = []
        for number, path in enumerate((first, second)):
            file = scratch.enter_context(tempfile.TemporaryFile())
            waveforms.append(Waveform(path, spec.sample_rate, file, reporter.decoding(number)))
            reporter.decoded(waveforms[-1].duration)
        one, other = waveforms
        with one_thread_for_algebra():
            passages = _passages(one, other, encoder, decision, reporter)
            placed = _placed(passages, one, other, encoder) if passages else []
        if not placed:
            for waveform in waveforms:
                _check(waveform)
            return None
        return Synchronised(tuple(placed), one.duration, other.duration)


def _check(waveform: Waveform) -> None:
    """Refuse what nothing could have in common with anything."""
    if waveform.duration < _TOO_SHORT:
        raise AudioError(
            f"{quoted(waveform.path)} is {waveform.duration:.3f} s long: too short to be laid "
            "beside another; give a second of sound or more"
        )
    heard = Loudest(waveform.rate)
    # A recorder's offset, resampled, begins and ends with a click.
    for block in waveform.blocks(_CLICK, waveform.duration - _CLICK):
        heard.push(block)
    if heard.power < SILENCE:
        raise AudioError(
            f"{quoted(waveform.path)} is silent: nothing in it can be laid beside another; "
            "give a recording with sound"
        )


def _encoded(
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


def _passages(
    first: Waveform, second: Waveform, encoder: Encoder, decision: Decision, reporter: _Reporter
) -> list[_Judged]:
    """Give the passages that are to be believed, in order of time."""
    if second.duration >= _LONG:
        chains = find_chains(landmark_hits(first, second))[:_MOST_CHAINS]
        if chains and _share(max(chains, key=_share)) >= _SAME_RECORDING:
            found = _Judge(first, second, None, encoder, decision).believed(chains)
            if found:
                for number in range(2):
                    reporter.encoding(number, 1.0)
                return found
    hop = encoder.spec.hop
    known = _encoded(first, encoder, hop, lambda share: reporter.encoding(0, share))
    hops = next(n for n, hours in _HOPS if second.duration <= 3600 * hours)
    query = _encoded(second, encoder, hops * hop / 4, lambda share: reporter.encoding(1, share))
    judge = _Judge(first, second, known, encoder, decision)
    pairs = max(1.0, len(query) * len(known) / _FEW_PAIRS)
    least = (_BY_CHANCE + _TENFOLD * float(np.log10(pairs))) / (hops * hop / 4)
    chains = find_chains(hits_between(query, known))[:_MOST_CHAINS]
    found = judge.believed([chain for chain in chains if chain.weight >= least])
    if not found and second.duration <= _SHORT:
        found = judge.window_by_window(known)
    return found


def _share(chain: Chain) -> float:
    """Say how much of the landmarks of a passage the two have in common: of those in each of its seconds."""
    return chain.weight / float(chain.times[-1] - chain.times[0] + 1)


class _Judge:
    """Says by fingerprints how sure passages are.

    Of the first, those are taken that are ``known``; or else as many are made as are needed.
    """

    def __init__(
        self, first: Waveform, second: Waveform, known: Segments | None, encoder: Encoder, decision: Decision
    ) -> None:
        self.first, self.second, self.known = first, second, known
        self.encoder, self.decision = encoder, decision

    def believed(self, chains: list[Chain]) -> list[_Judged]:
        """Give the passages that are to be believed, in order of time."""
        found = [judged for chain in chains if (judged := self._judged(chain)) is not None]
        return _on_lines(sorted(found, key=lambda judged: judged.start))

    def _judged(self, chain: Chain) -> _Judged | None:
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
            stretch = _encoded(self.second, self.encoder, QUERY_HOP, lambda _: None, float(at), until)
            for middle, found, probability in self._laid([stretch], part, line):
                if abs(found - line.place(middle)) < _AGREE:
                    probabilities.append(probability)
        plausible = [p for p in probabilities if p >= _PLAUSIBLE]
        if len(plausible) < 2 and max(probabilities, default=0.0) < self.decision.threshold:
            return None
        return _Judged(line, start, end, max(probabilities), _gaps(chain.times[near]))

    def _around(self, place: float) -> Segments:
        """Give the fingerprints of the first around a place."""
        if self.known is None:
            hop = self.encoder.spec.hop
            start = max(0.0, hop * np.floor((place - _AROUND) / hop))
            return _encoded(self.first, self.encoder, hop, lambda _: None, start, max(start, place + _AROUND))
        around = np.abs((self.known.starts + self.known.ends) / 2 - place) < _AROUND
        return Segments(*(getattr(self.known, name)[around] for name in ("starts", "ends", "vectors")))

    def window_by_window(self, known: Segments) -> list[_Judged]:
        """Lay all of a short file against the other: noise may leave no window that stands out."""
        query = _encoded(self.second, self.encoder, QUERY_HOP, lambda _: None)
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
        return [_Judged(Line(offset, speed), start, end, score)]

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


def _on_lines(judged: list[_Judged]) -> list[_Judged]:
    """Join passages that follow each other on one line."""
    joined: list[_Judged] = []
    for new in judged:
        if joined and (line := _common_line(joined[-1], new)) is not None:
            old = joined.pop()
            gaps = (
                (*old.gaps, (old.end, new.start), *new.gaps) if new.start > old.end else old.gaps + new.gaps
            )
            new = _Judged(line, old.start, max(old.end, new.end), max(old.score, new.score), gaps)
        joined.append(new)
    return joined


def _common_line(one: _Judged, other: _Judged) -> Line | None:
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


def _placed(judged: list[_Judged], first: Waveform, second: Waveform, encoder: Encoder) -> list[Passage]:
    """Measure passages on the waveforms, find their ends, and say within what they hold."""
    pieces: list[Piece] = []
    speeds: list[float] = []
    unmeasured: list[_Judged] = []
    for passage in sorted(judged, key=lambda passage: passage.start - passage.end):
        found = measured(passage.line, passage.start, passage.end, first, second, speeds)
        speeds += [piece.line.speed for piece in found if piece.line.speed not in (1.0, *speeds)][:1]
        pieces += found
        unmeasured += [] if found else [passage]
    if pieces:
        speed = pieces[0].line.speed
        left_out = [passage for passage in unmeasured if not _is_told_coarsely(passage, speed)]
        judged = [passage for passage in judged if passage not in left_out]
    for passage in judged:
        if passage in unmeasured:
            pieces.append(Piece(passage.line, passage.start, passage.end, _COARSE))
    pieces, between = joined(on_one_clock(_unrivalled(sorted(pieces, key=lambda piece: piece.start))))
    parts = []
    gaps = _widened([*between, *(gap for passage in judged for gap in passage.gaps)])
    for piece in pieces:
        agreement = Agreement(piece, first, second, encoder)
        if agreement.tells or not piece.exact:
            parts += without_gaps(agreement, gaps)
    return [
        Passage(piece.start, piece.end, piece.line, piece.bound, piece.exact, _score(piece, judged))
        for piece in _once_each(ends_found(parts, first, second, encoder), judged, first.duration)
    ]


def _is_told_coarsely(passage: _Judged, speed: float) -> bool:
    """Say whether to believe fingerprints alone, where the waveforms of other passages agree at some speed.

    The same devices recorded all of it: this one's should agree as well.
    """
    length = passage.end - passage.start
    return length > _BESIDE_EXACT and abs(passage.line.speed - speed) * length <= 2 * _COARSE


def _widened(gaps: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Give gaps with a little of what is around them, those that then touch as one."""
    wide: list[tuple[float, float]] = []
    for start, end in sorted(gaps):
        if wide and start - _BESIDE_GAP <= wide[-1][1]:
            wide[-1] = wide[-1][0], max(wide[-1][1], end + _BESIDE_GAP)
        else:
            wide.append((start - _BESIDE_GAP, end + _BESIDE_GAP))
    return wide


def _unrivalled(pieces: list[Piece]) -> list[Piece]:
    """Leave out short pieces in whose place a far longer one lies, as in music that repeats itself."""

    def is_taken(piece: Piece, by: Piece) -> bool:
        length = piece.end - piece.start
        begin = max(piece.line.place(piece.start), by.line.place(by.start))
        end = min(piece.line.place(piece.end), by.line.place(by.end))
        believed = by.exact or not piece.exact
        return believed and by.end - by.start > 2 * length and end - begin > length / 2

    return [piece for piece in pieces if not any(is_taken(piece, by) for by in pieces)]


def _once_each(pieces: list[Piece], judged: list[_Judged], duration: float) -> list[Piece]:
    """Leave out pieces that play again what a better one has: each recording has a moment of the event once.

    No two lie at one time of the second as it is; in music that repeats itself, several can lie at one time
    of the first, which is ``duration`` seconds long.
    """
    # Where one piece gives way to another, the latter may have been begun before the first recording begins.
    pieces = [
        replace(
            piece,
            start=max(piece.start, -piece.line.offset / piece.line.speed),
            end=min(piece.end, (duration - piece.line.offset) / piece.line.speed),
        )
        for piece in pieces
    ]
    kept: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: -(piece.end - piece.start) * _score(piece, judged)):
        begin, end = piece.line.place(piece.start), piece.line.place(piece.end)
        taken = [
            (max(begin, by.line.place(by.start)), max(begin, min(end, by.line.place(by.end)))) for by in kept
        ]
        if end > begin and _covered(taken) <= (end - begin) / 2:
            kept.append(piece)
    return sorted(kept, key=lambda piece: piece.start)


def _score(piece: Piece, judged: list[_Judged]) -> float:
    """Take the probability of the passage that a piece is of."""

    def shared(passage: _Judged) -> float:
        return min(piece.end, passage.end) - max(piece.start, passage.start)

    return max(judged, key=shared).score
