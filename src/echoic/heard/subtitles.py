"""Subtitles that lie beside a file, or inside it, as its transcript."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from echoic.errors import quoted
from echoic.interchange.subtitles import SUFFIXES, cue_of, read_subtitles, without_repeats
from echoic.scanning import SUFFIXES as SOUNDS
from echoic.scanning import suffix_of
from echoic.types import Cue, Transcript
from echoic.untrusted import read_file

__all__ = ["CARRIED", "Beside", "carried_transcript", "digest_in", "within"]

#: What a transcript is by that was in the file itself.
CARRIED = "subtitles in the file"

_LARGEST = 1 << 21  # bytes
_FEW, _WORDS_A_SECOND = 500, 30  # words that a short file may have; of scripts without spaces, characters
_BEYOND = 2.0  # s behind the end of the sound that a line may begin: what does later is of another film
_DIGITS = 12  # of a digest
# film.srt, film.en.srt, film.en-GB.sdh.srt; those that are for a part of what is said alone are not meant.
_LANGUAGE = re.compile(r"(?:\.([A-Za-z]{2,3})(?:[-_][A-Za-z0-9]{2,8})*)?(?:\.(?:sdh|cc|hi|default))?")


class Beside:
    """Finds subtitles beside files, a folder at a time."""

    def __init__(self) -> None:
        # In order of path, a folder comes back after those in it.
        self._names = lru_cache(maxsize=16)(_names_in)

    def transcripts(
        self, path: Path, duration: float, refused: Callable[[str], None]
    ) -> Iterator[Transcript]:
        """Read the subtitles that lie beside a file and can be its own, one after another.

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
            if why := _unfit(cues, duration):
                refused(f"{quoted(file)} {why}")
            else:
                yield Transcript(within(cues, duration), source)

    def _of(self, path: Path) -> list[tuple[Path, str]]:
        """List subtitles that are named as a file is, with their languages, those without one first."""
        found = []
        subtitles, sounds = self._names(path.parent)
        for name in subtitles:
            stem = next(name[: -len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix))
            for own in (path.name, path.stem):
                more = _LANGUAGE.fullmatch(stem[len(own) :]) if stem.startswith(own) else None
                if more is not None:
                    # What another file's longer name begins, too, is that one's.
                    if sounds.isdisjoint(stem[:n] for n in range(len(own) + 1, len(stem) + 1)):
                        found.append((len(stem), name, (more[1] or "").lower()))
                    break
        return [(path.parent / name, language) for _, name, language in sorted(found)]


def _names_in(folder: Path) -> tuple[list[str], frozenset[str]]:
    """List the subtitles in a folder, and the names of its files of sound, with and without suffix."""
    try:
        names = sorted(one.name for one in folder.iterdir())
    except OSError:
        return [], frozenset()
    sounds = [name for name in names if suffix_of(name) in SOUNDS]
    stems = (name.rpartition(".")[0] for name in sounds)
    return [name for name in names if name.lower().endswith(SUFFIXES)], frozenset((*sounds, *stems))


def digest_in(source: str) -> str:
    """Return the digest of the subtitles beside a file that a transcript is by; empty of any other."""
    name, _, digest = source.rpartition(" ")
    return digest if name and len(digest) == _DIGITS else ""


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
    if _unfit(cues, duration):
        return None
    return Transcript(within(cues, duration), CARRIED)


def _unfit(cues: Sequence[Cue], duration: float) -> str:
    """Say why lines cannot be of a sound of some seconds; empty if they can."""
    n = sum(len(cue.words) for cue in cues)
    if not n:
        return "holds no subtitles that can be read"
    if cues[-1].start > duration + _BEYOND:
        end = f"goes on until {cues[-1].start:.0f} s and the sound ends at {duration:.0f} s"
        return f"{end}: it is of another cut"
    return f"has {n:,} words for {duration:.0f} s of sound" if n > _FEW + _WORDS_A_SECOND * duration else ""


def within(cues: Sequence[Cue], duration: float) -> tuple[Cue, ...]:
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
