"""The transcripts of a library's files: read from subtitles where there are some, else made.

Each is written by itself, so that a run that is stopped has lost the file that it was at, and the next goes
on from there. A file is not transcribed again while its content, its subtitles and what transcribes are as
they were.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from echoic.addresses import told
from echoic.errors import AudioError, quoted
from echoic.heard.cuts import displaced
from echoic.heard.recogniser import NAME, Recogniser, load_recogniser
from echoic.heard.stretches import Chances
from echoic.heard.subtitles import Beside, carried_transcript
from echoic.storage.catalog import Catalog
from echoic.storage.transcripts import Transcripts
from echoic.types import Note, Progress, TrackChoice, Transcript

__all__ = ["Transcribed", "transcribe_files"]

_NOBODY = (
    "it has no subtitles, and nothing here writes down speech; fetch it with: echoic models add transcripts"
)


class Transcribed(NamedTuple):
    """What giving files transcripts did.

    Parameters
    ----------
    n : int
        Files that were given one.
    missing : list of (path, message)
        Files that have none, with one sentence each.
    notes : list of (path, Note)
        Subtitles that were not used.
    """

    n: int
    missing: list[tuple[str, str]]
    notes: list[tuple[str, Note]]


def transcribe_files(
    catalog: Catalog,
    paths: Sequence[Path],
    *,
    track: TrackChoice | None = None,
    leave: Collection[Path] = (),
    progress: Callable[[Progress], None] | None = None,
) -> Transcribed:
    """Give the files of a library under some paths the transcripts that they lack.

    Must run inside :meth:`~echoic.storage.catalog.Catalog.writing`.
    """
    begun = time.perf_counter()
    transcripts, beside, recogniser = Transcripts(catalog), Beside(), load_recogniser()
    left = frozenset(map(os.path.abspath, leave))
    files = {one.id: one for path in paths for one in transcripts.files(path) if str(one.path) not in left}
    missing: list[tuple[str, str]] = []
    notes: list[tuple[str, Note]] = []
    n, audio = 0, 0.0

    def tell(name: str, number: int) -> None:
        if progress is not None:
            elapsed = time.perf_counter() - begun
            progress(Progress(name, number, len(files), number, len(files), audio, elapsed))

    for number, file in enumerate(files.values(), start=1):
        name = told(str(file.path))

        def refused(why: str, name: str = name) -> None:
            notes.append((name, Note("subtitles", f"{why}, and is not used")))

        def heard(seconds: float, name: str = name, number: int = number) -> None:
            nonlocal audio
            audio += seconds
            tell(name, number - 1)

        try:
            found = beside.transcript(file.path, file.duration, refused)
            if found is not None and found.source != file.source and recogniser is not None:
                wrong = _of_another_cut(found, recogniser.voice(file.path))
                if wrong:
                    refused(f"of {quoted(name)}, {wrong}")
                    found = None
            if found is None and not _is_as_made(file.source, recogniser):
                found = carried_transcript(file.path, file.duration)
                if found is None and recogniser is not None:
                    found = recogniser.transcribe(file.path, track=track, progress=heard)
                if found is None and file.source is None:
                    missing.append((name, f"{quoted(name)} has no transcript: {_NOBODY}"))
        except AudioError as error:
            missing.append((name, str(error)))
            continue
        # By what strangers wrote, or what runs Whisper: it costs this file alone.
        except (MemoryError, RuntimeError, ValueError) as error:
            missing.append((name, f"{quoted(name)} cannot be given a transcript ({error})"))
            continue
        if found is not None and found.source != file.source:
            with catalog.transaction():
                transcripts.put(file.id, found)
            n += 1
        tell(name, number)
    return Transcribed(n, missing, notes)


def _is_as_made(source: str | None, recogniser: Recogniser | None) -> bool:
    """Tell whether a transcript need not be made: it was by this recogniser, or by subtitles."""
    if source is None or recogniser is None:
        return source is not None
    return source == recogniser.key or not source.startswith(f"{NAME}@")


def _of_another_cut(found: Transcript, voice: Chances) -> str:
    """Say which subtitles are not where somebody speaks; empty where they are."""
    cut = displaced(found.cues, voice)
    if cut is None:
        return ""
    begin, shift = cut
    name, when = found.source.rpartition(" ")[0], "later" if shift > 0 else "earlier"
    return (
        f"{name} would fit what is said {abs(shift):.0f} s {when} from {begin:.0f} s on: it is of another cut"
    )
