"""Laying two recordings of one event side by side in time: what a Python user calls."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from echoic.arguments import checked
from echoic.errors import UsageError, quoted
from echoic.interchange.places import check_free
from echoic.recordings.timing.result import TimeAlignment
from echoic.types import Note, Progress, StrPath

__all__ = ["align"]


@checked
def align(
    first: StrPath,
    second: StrPath,
    *,
    write: StrPath | None = None,
    noted: Callable[[str, Note], None] = lambda *_: None,
    progress: Callable[[Progress], None] | None = None,
) -> TimeAlignment | None:
    """Tell how two recordings of one event lie in time, to milliseconds.

    The sound tracks of videos will do. The microphones, rooms and formats may be different, and so may
    the clocks. Where something was cut or put in, or a recorder paused, the two share several stretches.

    Parameters
    ----------
    first, second : path
    write : path, optional
        Where to put the second's sound as it lies in the first's time: both begin at the same moment,
        each stretch lies where the first has it, and the drift is taken out. The suffix chooses the
        format. Nothing may be there yet.
    noted : callable, optional
        Called with one of them and what a person should know of it: what could not be decoded, say.
    progress : callable, optional
        Called as both are read and encoded.

    Returns
    -------
    TimeAlignment or None
        None if they have nothing in common; then nothing is written.

    Raises
    ------
    AudioError
        If one of them cannot be read, or nothing was found and one is silent or shorter than a second.
    UsageError
        If ``write`` is one of them, is there already, or cannot be written.
    """
    from echoic.audio.encode import check_writable
    from echoic.encoders.registry import bundled_for, load_encoder
    from echoic.recordings.decision import Decision
    from echoic.recordings.timing.laying import write_laid
    from echoic.recordings.timing.synchronisation import synchronise

    if write is not None:
        check_writable(Path(write))
        inputs = [Path(one) for one in (first, second) if Path(one).exists()]
        if Path(write).exists() and any(one.samefile(write) for one in inputs):
            raise UsageError(f"{quoted(write)} would be overwritten; write to another file")
        check_free(Path(write))
    encoder = load_encoder(bundled_for("recordings")[0])
    found = synchronise(
        Path(first),
        Path(second),
        encoder,
        Decision.load(encoder),
        noted=lambda path, note: noted(os.fspath(path), note),
        progress=progress,
    )
    if found is not None and write is not None:
        write_laid(Path(second), Path(write), found.passages)
    return None if found is None else found.told(os.fspath(first), os.fspath(second))
