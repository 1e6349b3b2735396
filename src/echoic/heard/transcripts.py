"""The transcripts of a library's files: read from subtitles where there are some, else made.

Each is written by itself, so that a run that is stopped has lost the file that it was at, and the next goes
on from there. A file is not transcribed again while its content, its subtitles and what transcribes are as
they were.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from echoic.addresses import told
from echoic.errors import AudioError, MissingDependencyError, WeightsError, quoted
from echoic.heard.cuts import displaced
from echoic.heard.recogniser import NAME, NOBODY, Recogniser, load_recogniser
from echoic.heard.stretches import Chances
from echoic.heard.subtitles import Beside, carried_transcript, digest_in
from echoic.scanning import suffix_of
from echoic.storage.catalog import Catalog
from echoic.storage.transcripts import Laid, TranscribedFile, Transcripts
from echoic.types import Note, Progress, TrackChoice, Transcript

__all__ = ["Transcribed", "transcribe_files"]


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
    read : Counter of str
        Subtitles beside files that transcripts are by, by suffix.
    """

    n: int
    missing: list[tuple[str, str]]
    notes: list[tuple[str, Note]]
    read: Counter[str]


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
    transcripts, beside, why = Transcripts(catalog), Beside(), NOBODY
    try:
        recogniser = load_recogniser()
    except (MissingDependencyError, WeightsError) as error:  # what is indexed stays, and subtitles are read
        recogniser, why = None, str(error)
    left = frozenset(map(os.path.abspath, leave))
    files = {one.id: one for path in paths for one in transcripts.files(path) if str(one.path) not in left}
    missing: list[tuple[str, str]] = []
    notes: list[tuple[str, Note]] = []
    read: set[tuple[Path, str]] = set()
    n, audio = 0, 0.0

    def tell(name: str, number: int) -> None:
        if progress is not None:
            elapsed = time.perf_counter() - begun
            progress(Progress(name, number, len(files), number, len(files), audio, elapsed))

    for number, file in enumerate(files.values(), start=1):
        name = told(str(file.path))
        refusals: list[str] = []

        def heard(seconds: float, name: str = name, number: int = number) -> None:
            nonlocal audio
            audio += seconds
            tell(name, number - 1)

        def is_other(one: Transcript, file: TranscribedFile = file, refusals: list[str] = refusals) -> bool:
            if recogniser is None or one.source == file.source:
                return False
            wrong = _of_another_cut(one, recogniser.voice(file.path, track))
            if wrong:
                refusals.append(f"of {quoted(file.path)}, {wrong}")
            return bool(wrong)

        is_gone = False
        try:
            found, unfit = _fitting(
                beside.transcripts(file.path, file.duration, refusals.append), file.refused, is_other
            )
            is_refused = bool(refusals) and bool(digest_in(file.source or ""))
            if found is None and (is_refused or not _is_as_made(file.source, recogniser)):
                found = carried_transcript(file.path, file.duration)
                if found is None and recogniser is not None:
                    found = recogniser.transcribe(file.path, track=track, progress=heard)
                if found is None:
                    is_gone = is_refused
                    missing.append((name, f"{quoted(name)} has no subtitles, and {why}"))
            laid = None if found is None or found.source == file.source else Laid.of(found)
        except AudioError as error:
            missing.append((name, str(error)))
            continue
        # By what strangers wrote, or what runs Whisper: it costs this file alone.
        except (MemoryError, RuntimeError, ValueError) as error:
            missing.append((name, f"{quoted(name)} cannot be given a transcript ({error})"))
            continue
        finally:
            notes += [(name, Note("subtitles", f"{refusal}, and is not used")) for refusal in refusals]
        if found is not None and digest_in(found.source):
            read.add((file.path.parent, found.source))
        if laid is not None or is_gone or unfit != file.refused:
            with catalog.transaction():
                if laid is not None:
                    transcripts.put(file.id, laid)
                elif is_gone:
                    transcripts.drop(file.id)
                transcripts.refuse(file.id, unfit)
        n += laid is not None
        tell(name, number)
    suffixes = Counter(suffix_of(source.rpartition(" ")[0]) for _, source in read)
    return Transcribed(n, missing, notes, suffixes)


def _fitting(
    some: Iterable[Transcript], refused: str, is_other: Callable[[Transcript], bool]
) -> tuple[Transcript | None, str]:
    """Choose the first subtitles that are of this cut → them, and the digests of those that are not."""
    for one in some:
        digest = digest_in(one.source)
        if digest not in refused.split():
            if not is_other(one):
                return one, refused
            refused = f"{refused} {digest}".strip()
    return None, refused


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
