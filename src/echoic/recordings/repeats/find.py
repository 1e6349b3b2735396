"""What is heard again and again in files: what a Python user calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from echoic.arguments import checked
from echoic.errors import AudioError
from echoic.recordings.result import Repeat
from echoic.types import Note, Progress, StrPath

__all__ = ["find_repeats"]


@checked
def find_repeats(
    files: Sequence[StrPath],
    *,
    min_length: float = 2.0,
    apart: float = 300.0,
    min_score: float | None = None,
    noted: Callable[[str, Note], None] = lambda *_: None,
    failed: Callable[[AudioError], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[tuple[Repeat, ...]]:
    """Find what is heard again and again within long recordings and across them, without any reference.

    Jingles, advertisements, songs: at other levels, a little fast or slow, under speech. Every moment is
    compared with every other by its fingerprint. Silence, noise and long tones are nothing that is repeated.
    Ten hours take minutes; an hour takes some 30 MB, as fingerprints are kept and waveforms are not.

    Parameters
    ----------
    files : sequence of path
    min_length : float
        Seconds that it lasts at least.
    apart : float
        Seconds from the first place of a group to its last, if it is in one file: what comes again sooner may
        be the bars of one song.
    min_score : float, optional
        Probability from which on two places are told to be the same, .5 by default.
    noted : callable, optional
        Called with a file and what a person should know of it.
    failed : callable, optional
        Called with why a file cannot be read, which is left out then.
    progress : callable, optional
        Called as files are decoded, and then compared.

    Returns
    -------
    list of tuple of Repeat
        Groups in order of their first places; of a group the surest place first. Each place is told once, its
        ends within about half a second.

    Raises
    ------
    AudioError
        If a file cannot be read, unless ``failed`` is given.
    UsageError
        If a number makes no sense.
    """
    from echoic.encoders.registry import bundled_for, load_encoder
    from echoic.recordings.repeats.repetition import files_repeats

    return files_repeats(
        [Path(file) for file in files],
        load_encoder(bundled_for("recordings")[0]),
        min_length=min_length,
        apart=apart,
        min_score=min_score,
        noted=noted,
        failed=failed,
        progress=progress,
    )
