"""What is said in a file, word for word, whether it is in a library or not."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from echoic.arguments import checked
from echoic.errors import quoted
from echoic.types import Note, StrPath, Transcript

__all__ = ["transcribe"]

_LONGER = 1.05  # times what a container says, as long as its sound may be


@checked
def transcribe(file: StrPath, *, noted: Callable[[Note], None] = lambda _: None) -> Transcript:
    """Tell what is said in a file, word for word: by the subtitles beside it or in it, or else by listening.

    Parameters
    ----------
    file : str or path
    noted : callable, optional
        Called with what a person should know of the file.

    Returns
    -------
    Transcript

    Raises
    ------
    AudioError
        If the file cannot be read.
    MissingDependencyError
        If there are no subtitles, and what runs Whisper is not installed.
    WeightsError
        If there are none, and no Whisper was added (``echoic models add transcripts``).
    """
    from echoic.audio.container import guessed_duration, open_container
    from echoic.audio.source import Source
    from echoic.heard.recogniser import need_recogniser
    from echoic.heard.subtitles import Beside, carried_transcript

    path = Path(os.path.abspath(file))
    with closing(Source(path)) as source, open_container(source, quoted(file)) as container:
        duration = _LONGER * (guessed_duration(container) or math.inf)

    def refused(why: str) -> None:
        noted(Note("subtitles", f"{why}, and is not used"))

    found = next(Beside().transcripts(path, duration, refused), None) or carried_transcript(path, duration)
    return found if found is not None else need_recogniser(quoted(file)).transcribe(path)
