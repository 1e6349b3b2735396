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

from echoic.errors import AudioError, quoted
from echoic.heard.subtitles import CARRIED, Beside, carried_transcript
from echoic.storage.catalog import Catalog
from echoic.storage.transcripts import Transcripts
from echoic.types import Progress

__all__ = ["transcribe_files"]

_NOBODY = "it has no subtitles, and nothing transcribes speech here"


def transcribe_files(
    catalog: Catalog,
    paths: Sequence[Path],
    *,
    leave: Collection[Path] = (),
    progress: Callable[[Progress], None] | None = None,
) -> tuple[int, list[tuple[str, str]]]:
    """Give the files of a library under some paths the transcripts that they lack.

    Must run inside :meth:`~echoic.storage.catalog.Catalog.writing`.

    Returns
    -------
    int
        How many were given one.
    list of (str, str)
        Paths of those that have none, and why, in one sentence each.
    """
    begun = time.perf_counter()
    transcripts, beside = Transcripts(catalog), Beside()
    left = frozenset(map(os.path.abspath, leave))
    files = {one.id: one for path in paths for one in transcripts.files(path) if str(one.path) not in left}
    n, audio = 0, 0.0
    missing: list[tuple[str, str]] = []
    for done, file in enumerate(files.values(), start=1):
        name = str(file.path)
        refused: list[str] = []
        try:
            found = beside.transcript(file.path, file.duration, refused.append)
            if found is None and file.source != CARRIED:
                found = carried_transcript(file.path, file.duration)
            why = (
                f"{refused[0]}, and is not used"
                if refused
                else f"{quoted(name)} has no transcript: {_NOBODY}"
            )
            if refused or (found is None and file.source is None):
                missing.append((name, why))
        except AudioError as error:
            missing.append((name, str(error)))
            continue
        if found is not None and found.source != file.source:
            with catalog.transaction():
                transcripts.put(file.id, found)
            n += 1
            audio += file.duration
        if progress is not None:
            elapsed = time.perf_counter() - begun
            progress(Progress(name, done, len(files), done, len(files), audio, elapsed))
    return n, missing
