"""What a page shows and plays of a file: a cut that any browser plays, the waveform, a spectrogram."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from echoic.arguments import check_part
from echoic.audio.decode import open_audio
from echoic.audio.encode import write_blocks
from echoic.audio.picture import as_png, draw_spectrogram
from echoic.errors import NotAudioError, PartError, quoted
from echoic.server.shapes import Peaks
from echoic.types import FileRecord, Float32

__all__ = ["cut", "peaks", "spectrogram"]

_HIGHEST_RATE = 48_000  # Hz, that every browser plays


def cut(record: FileRecord, start: float | None, end: float | None, target: Path) -> None:
    """Write a part of a file's sound, as it is heard by a search: one channel, FLAC, at 48 kHz at most.

    Raises
    ------
    AudioError
        If it cannot be decoded.
    """
    with open_audio(record.path) as stream:
        rate = min(stream.sample_rate, _HIGHEST_RATE)
        blocks = stream.span(rate, start or 0.0, end)
        write_blocks(target, (block for block in blocks if len(block)), rate, 1)


def peaks(record: FileRecord, start: float | None, end: float | None, n: int, target: Path) -> None:
    """Write the least and the greatest sample of each of ``n`` stretches of equal length, as JSON.

    Raises
    ------
    AudioError
        If it cannot be decoded.
    """
    begin, finish = _part(record, start, end)
    n_samples = max(1, round((finish - begin) * record.sample_rate))
    n = min(n, n_samples)
    lows, highs = np.full(n, np.inf, np.float32), np.full(n, -np.inf, np.float32)
    at = 0
    for block in _sound(record, start, end):
        places = np.minimum(np.arange(at, at + len(block)) * n // n_samples, n - 1)
        firsts = np.concatenate([[0], np.flatnonzero(np.diff(places)) + 1])
        told = places[firsts]
        lows[told] = np.minimum(lows[told], np.minimum.reduceat(block, firsts))
        highs[told] = np.maximum(highs[told], np.maximum.reduceat(block, firsts))
        at += len(block)
    lows[~np.isfinite(lows)] = 0  # damaged, so that it ends before it should
    highs[~np.isfinite(highs)] = 0
    low, high = ([round(value, 5) for value in side.tolist()] for side in (lows, highs))
    told_peaks = Peaks(start=begin, end=finish, lows=low, highs=high)
    target.write_text(told_peaks.model_dump_json(), "ascii")


def spectrogram(
    record: FileRecord, start: float | None, end: float | None, width: int, height: int, target: Path
) -> None:
    """Write a picture of the spectrum over time, as PNG.

    Time runs from left to right over just the part, frequency evenly from 0 at the bottom to half the file's
    sample rate at the top.

    Raises
    ------
    AudioError
        If it cannot be decoded.
    """
    begin, finish = _part(record, start, end)
    picture = draw_spectrogram(_sound(record, start, end), record.sample_rate, finish - begin, width, height)
    target.write_bytes(as_png(picture))


def _part(record: FileRecord, start: float | None, end: float | None) -> tuple[float, float]:
    """Return the begin and end of a part of a file, as far as there is any."""
    check_part(start, end)
    begin = start or 0.0
    finish = record.duration if end is None else min(end, record.duration)
    if not record.sample_rate:
        raise NotAudioError(f"{quoted(record.path)} could not be read when it was indexed")
    if begin >= finish:
        raise PartError(f"{quoted(record.path)} ends before {begin:g} s; ask for an earlier part")
    return begin, finish


def _sound(record: FileRecord, start: float | None, end: float | None) -> Iterator[Float32]:
    with open_audio(record.path) as stream:
        for block in stream.span(record.sample_rate, start or 0.0, end):
            if len(block):
                yield block
