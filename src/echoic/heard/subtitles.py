"""Subtitles that lie beside a file, or inside it, as its transcript."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from echoic.errors import quoted
from echoic.interchange.subtitles import SUFFIXES, cue_of, read_subtitles, without_repeats
from echoic.types import Cue, Transcript
from echoic.untrusted import read_file

__all__ = ["Beside", "carried_transcript", "within"]

# What a transcript is by that was in the file itself.
_CARRIED = "subtitles in the file"

_LARGEST = 1 << 24  # bytes
_BEYOND = 2.0  # s behind the end of the sound that a line may begin: what does later is of another film
_DIGITS = 12  # of a digest
# film.srt, film.en.srt, film.en-GB.sdh.srt; those that are for a part of what is said alone are not meant.
_LANGUAGE = re.compile(r"(?:\.([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{2,8})*)?(?:\.(?:sdh|cc|hi|default))?")


class Beside:
    """Finds subtitles beside files, a folder at a time."""

    def __init__(self) -> None:
        self._names = lru_cache(maxsize=1)(_subtitles_in)

    def transcript(self, path: Path, duration: float, refused: Callable[[str], None]) -> Transcript | None:
        """Read the subtitles that lie beside a file; None where there are none that can be its own.

        Parameters
        ----------
        path : Path
        duration : float
            Seconds of its sound.
        refused : callable
            Told, in one sentence, why subtitles that are there are not used.
        """
        for file, language in self._of(path):
            try:
                content = read_file(file, _LARGEST)
            except OSError as error:
                refused(f"{quoted(file)} cannot be read ({error.strerror})")
                continue
            cues = [replace(cue, language=language) for cue in read_subtitles(content)]
            name = os.fsencode(file.name).decode("utf-8", "replace")
            source = f"{name} {hashlib.sha256(content).hexdigest()[:_DIGITS]}"
            if not cues:
                refused(f"{quoted(file)} holds no subtitles that can be read")
            elif not _fits(cues, duration):
                refused(
                    f"{quoted(file)} goes on until {cues[-1].start:.0f} s and the sound ends at "
                    f"{duration:.0f} s: it is of another cut"
                )
            else:
                return Transcript(within(cues, duration), source)
        return None

    def _of(self, path: Path) -> list[tuple[Path, str]]:
        """List subtitles that are named as a file is, with their languages, those without one first."""
        found = []
        for name in self._names(path.parent):
            stem = next(name[: -len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix))
            for own in (path.name, path.stem):
                more = _LANGUAGE.fullmatch(stem[len(own) :]) if stem.startswith(own) else None
                if more is not None:
                    found.append((len(stem), name, (more[1] or "").lower()))
                    break
        return [(path.parent / name, language) for _, name, language in sorted(found)]


def _subtitles_in(folder: Path) -> list[str]:
    try:
        return sorted(one.name for one in folder.iterdir() if one.name.lower().endswith(SUFFIXES))
    except OSError:
        return []


def carried_transcript(path: Path, duration: float) -> Transcript | None:
    """Read the subtitles that a file carries; None where it carries none that are text.

    Raises
    ------
    AudioError
        If the file cannot be read.
    """
    from echoic.audio.subtitles import carried_subtitles  # loads the decoder, which an indexing run does not

    lines, language = carried_subtitles(path)
    cues = without_repeats([cue_of(*line) for line in lines])
    cues = [replace(cue, language=language) for cue in cues]
    if not cues or not _fits(cues, duration):
        return None
    return Transcript(within(cues, duration), _CARRIED)


def _fits(cues: list[Cue], duration: float) -> bool:
    return cues[-1].start <= duration + _BEYOND


def within(cues: list[Cue], duration: float) -> tuple[Cue, ...]:
    """Bring times into a file of some seconds, in order; what lies before or behind it is left out."""

    def inside(seconds: float) -> float:
        return min(max(seconds, 0.0), duration)

    return tuple(
        replace(
            cue,
            start=inside(cue.start),
            end=inside(cue.end),
            words=tuple(replace(word, start=inside(word.start), end=inside(word.end)) for word in cue.words),
        )
        for cue in cues
        if cue.start < duration and cue.end > 0
    )
