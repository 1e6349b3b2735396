"""How two recordings of one event lie in time: what they share, on which lines, and how sure that is.

Landmarks tell the passages of long recordings whose sound is the same but for its format. Few fingerprints of
each, laid against each other, tell those of the rest, however different the two microphones are. Many
fingerprints at a few places tell whether to believe it. The waveforms then tell where exactly each passage
lies, how the two clocks drift apart, and where something was cut or a recorder paused.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.audio.levels import SILENCE, Loudest
from echoic.encoders.base import Encoder
from echoic.errors import AudioError, quoted
from echoic.machine import one_thread_for_algebra
from echoic.recordings.decision import Decision
from echoic.recordings.timing.agreement import Agreement, ends_found, without_gaps
from echoic.recordings.timing.chains import Chain, find_chains, hits_between
from echoic.recordings.timing.clocks import Line, Piece, joined, measured, on_one_clock
from echoic.recordings.timing.judging import Judge, Judged, encoded
from echoic.recordings.timing.landmarks import landmark_hits
from echoic.recordings.timing.result import SharedStretch, TimeAlignment
from echoic.recordings.timing.waveforms import Waveform
from echoic.types import Note, Progress

__all__ = ["Passage", "Synchronised", "is_enough", "synchronise"]

Float64 = npt.NDArray[np.float64]

# Hops of the second's windows, in quarters of those of the first, and the hours up to which each is taken. No
# multiple of 4: then every passage has windows that lie right beside those of the first.
_HOPS = ((1, 0.25), (3, 0.75), (5, np.inf))
_LONG = 900.0  # s of the second from which on landmarks are looked for: fingerprints would take a while
_SAME_RECORDING = 0.08  # of a passage's landmarks, from which on landmarks can be trusted to tell the others
_MOST_CHAINS = 60
# s: what fingerprints must tell where the waveforms of other passages agree, and theirs do not
_BESIDE_EXACT = 30.0
_BRIEF = 3.0  # s: one tone can be the same in two pieces
_PASSING, _MOST = 15.0, 2 / 3  # s, and of what lies beside each other, for which music can be alike
# Seconds of a passage whose windows are the same, for each tenfold of the pairs of windows compared: the more
# there are, the longer passages agree by chance.
_BY_CHANCE, _TENFOLD = 0.3, 0.25
_FEW_PAIRS = 1e4
_SHORT = 60.0  # s: files up to which are laid against the other window by window
_TOO_SHORT = 1.0  # s: what is shorter has too little to be known by
_CLICK = 0.05  # s
_COARSE = 0.25  # s within which fingerprints tell a place
_BESIDE_GAP = 1.0  # s around a gap that are looked at with it


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


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # is told when it is opened
        return 0


class _Reporter:
    """Tells how much of two files has been decoded and encoded: half of the way each."""

    def __init__(self, paths: tuple[Path, Path], progress: Callable[[Progress], None] | None) -> None:
        self._progress = progress
        self._sizes = [_size(path) for path in paths]
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
    *,
    noted: Callable[[Path, Note], None] = lambda *_: None,
    progress: Callable[[Progress], None] | None = None,
) -> Synchronised | None:
    """Lay the second file against the first; None if they have nothing in common.

    ``noted`` is called with a file and what a person should know of it, once it has been decoded.

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
            for note in waveforms[-1].notes:
                noted(path, note)
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


def _passages(
    first: Waveform, second: Waveform, encoder: Encoder, decision: Decision, reporter: _Reporter
) -> list[Judged]:
    """Give the passages that are to be believed, in order of time."""
    if second.duration >= _LONG:
        chains = find_chains(landmark_hits(first, second))[:_MOST_CHAINS]
        if chains and _share(max(chains, key=_share)) >= _SAME_RECORDING:
            found = Judge(first, second, None, encoder, decision).believed(chains)
            if found:
                for number in range(2):
                    reporter.encoding(number, 1.0)
                return found
    hop = encoder.spec.hop
    known = encoded(first, encoder, hop, lambda share: reporter.encoding(0, share))
    hops = next(n for n, hours in _HOPS if second.duration <= 3600 * hours)
    query = encoded(second, encoder, hops * hop / 4, lambda share: reporter.encoding(1, share))
    judge = Judge(first, second, known, encoder, decision)
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


def _placed(judged: list[Judged], first: Waveform, second: Waveform, encoder: Encoder) -> list[Passage]:
    """Measure passages on the waveforms, find their ends, and say within what they hold."""
    pieces: list[Piece] = []
    speeds: list[float] = []
    unmeasured: list[Judged] = []
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
    found = _once_each(ends_found(parts, first, second, encoder), judged, first.duration)
    waveforms_tell = any(piece.exact for piece in found)
    return [
        Passage(piece.start, piece.end, piece.line, piece.bound, piece.exact, _score(piece, judged))
        for piece in found
        if is_enough(piece, waveforms_tell, first.duration, second.duration)
    ]


def is_enough(piece: Piece, waveforms_tell: bool, first: float, second: float) -> bool:
    """Say whether a piece of recordings so long, in seconds, can be no coincidence.

    Where the waveforms have nothing in common anywhere, two microphones heard one event: most of what lies
    beside each other. Music can be alike for a while, as it is to its own reverse in long tones.
    """
    length = piece.end - piece.start
    if length >= min(first, second) / 2:
        return True
    if piece.exact or waveforms_tell:
        return length >= _BRIEF
    beside = (min(piece.line.place(second), first) - max(piece.line.place(0.0), 0.0)) / piece.line.speed
    return length >= min(_BESIDE_EXACT, max(_PASSING, _MOST * beside))


def _is_told_coarsely(passage: Judged, speed: float) -> bool:
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


def _once_each(pieces: list[Piece], judged: list[Judged], duration: float) -> list[Piece]:
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


def _score(piece: Piece, judged: list[Judged]) -> float:
    """Take the probability of the passage that a piece is of."""

    def shared(passage: Judged) -> float:
        return min(piece.end, passage.end) - max(piece.start, passage.start)

    return max(judged, key=shared).score
