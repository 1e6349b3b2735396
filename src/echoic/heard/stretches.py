"""Where somebody speaks, as a recogniser of words takes it: stretches of some seconds, cut in pauses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from echoic.types import Cue, Word

__all__ = ["FRAME", "LONGEST", "lines", "spoken", "trimmed"]

Chances = npt.NDArray[np.float32]

#: Seconds of a frame of which it is known how likely somebody speaks.
FRAME = 0.032
#: Seconds of a stretch.
LONGEST = 28.0
_ON, _OFF = 0.5, 0.35  # chance from which on somebody speaks, and until which
_LEAST = 0.2  # s of speech
_PAUSE = 2.0  # s: what is closer is one stretch
_AROUND = 0.5  # s of a stretch before and after its speech
_VOICED = 0.1  # chance of a frame that a word may begin or end with
_LONGEST_WORD = 2.0  # s
_NO_TIME, _FEWEST_REPEATED = 0.05, 3  # s for as many words
_LINE, _LONGEST_LINE = 84, 7.0  # characters and seconds of a line of subtitles
_APART = 0.7  # s between lines
_ENDS = tuple(".!?…。！？")


def spoken(chances: Chances) -> list[tuple[int, int]]:
    """Find where somebody speaks → the first frame of each stretch and what is past its last, in order.

    Parameters
    ----------
    chances : ndarray of float32, shape (n,)
        How likely somebody speaks in each frame.
    """
    pad, pause, longest = (round(seconds / FRAME) for seconds in (_AROUND, _PAUSE, LONGEST))
    joined: list[tuple[int, int]] = []
    for first, past in _runs(chances):
        if past - first < _LEAST / FRAME:
            continue
        if joined and first - joined[-1][1] < pause:
            joined[-1] = joined[-1][0], past
        else:
            joined.append((first, past))
    found = []
    for first, past in joined:
        first, past = max(0, first - pad), min(len(chances), past + pad)
        while past - first > longest:
            # In the quietest fifth of a second of the last half.
            late = chances[first + longest // 2 : first + longest]
            width = round(_LEAST / FRAME)
            quiet = np.convolve(late, np.ones(width) / width, "same")
            cut = first + longest // 2 + int(quiet.argmin())
            found.append((first, cut))
            first = cut
        found.append((first, past))
    return found


def _runs(chances: Chances) -> list[tuple[int, int]]:
    """Find runs of frames that begin with one that is likely and go on until one that is unlikely."""
    marks = np.zeros(len(chances), np.int8)
    marks[chances >= _ON] = 1
    marks[chances < _OFF] = -1
    known = np.flatnonzero(marks)
    if not len(known):
        return []
    # What is in between is as what comes before it.
    place = np.maximum.accumulate(np.where(marks != 0, np.arange(len(marks)), known[0]))
    is_on = np.concatenate([[False], marks[place] > 0, [False]])
    is_on[1 : known[0] + 1] = False
    edges = np.flatnonzero(np.diff(is_on.astype(np.int8)))
    return [(int(first), int(past)) for first, past in zip(edges[::2], edges[1::2], strict=True)]


def trimmed(words: Sequence[Word], chances: Chances, origin: float) -> list[Word]:
    """Bring words to where somebody speaks; those that nobody says are left out.

    Parameters
    ----------
    words : sequence of Word
        In order of time.
    chances : ndarray of float32, shape (n,)
        As of :func:`spoken`.
    origin : float
        When their first frame begins, in seconds.
    """
    told: list[Word] = []
    at = origin
    for word in _timed(words):
        start, end = max(word.start, at), max(word.end, at)
        first = max(0, int((start - origin) / FRAME))
        past = min(len(chances), max(first + 1, round((end - origin) / FRAME)))
        voiced = np.flatnonzero(chances[first:past] >= _VOICED)
        if not len(voiced):
            continue
        start = max(start, origin + (first + int(voiced[0])) * FRAME)
        end = min(end, origin + (first + int(voiced[-1]) + 1) * FRAME, start + _LONGEST_WORD)
        at = max(start, end)
        told.append(replace(word, start=start, end=at))
    return told


def _timed(words: Sequence[Word]) -> list[Word]:
    """Leave out words for which there is no time: what repeats itself has no sound left to do so in."""
    kept: list[Word] = []
    run: list[Word] = []
    for word in words:
        if word.end - (run[0].start if run else word.start) < _NO_TIME:
            run.append(word)
            continue
        kept += run if len(run) < _FEWEST_REPEATED else []
        run = []
        kept.append(word)
    return kept + (run if len(run) < _FEWEST_REPEATED else [])


def lines(words: Sequence[Word], language: str) -> list[Cue]:
    """Make lines of words, as subtitles have them: a sentence each, less where it is long or has a pause."""
    told: list[Cue] = []
    line: list[Word] = []
    for word in words:
        length = sum(len(one.text) for one in line) + len(word.text)
        is_over = line and (
            word.start - line[-1].end > _APART
            or line[-1].text.endswith(_ENDS)
            or length > _LINE
            or word.end - line[0].start > _LONGEST_LINE
        )
        if is_over:
            told.append(_cue(line, language))
            line = []
        line.append(word)
    if line:
        told.append(_cue(line, language))
    return told


def _cue(words: Sequence[Word], language: str) -> Cue:
    first = replace(words[0], text=words[0].text.strip())
    return Cue(first.start, words[-1].end, (first, *words[1:]), language)
