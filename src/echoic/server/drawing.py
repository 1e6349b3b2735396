"""What a page shows and plays of a file: a cut that any browser plays, the waveform, a spectrogram."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from echoic.arguments import check_part
from echoic.audio.decode import open_audio
from echoic.audio.encode import write_blocks
from echoic.errors import NotAudioError, PartError, quoted
from echoic.server.shapes import Peaks
from echoic.types import FileRecord, Float32

__all__ = ["cut", "peaks", "spectrogram"]

_HIGHEST_RATE = 48_000  # Hz, that every browser plays
_WINDOW = 0.04  # s, about
_FRAMES_A_COLUMN = 8
_FLOOR_DB = -90.0  # is black; a sine of full scale is 0
_AT_ONCE = 64  # frames
# From black over violet, red and orange to a pale yellow: equal steps look equal, also without colours.
_COLOURS = np.array([(0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191)])


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
    n_samples = max(1, round((finish - begin) * record.sample_rate))
    n_fft = 2 ** max(4, round(np.log2(_WINDOW * record.sample_rate)))
    hop = max(1, n_samples // width)
    if hop > n_fft // 2:
        hop = max(n_fft // 2, n_samples // (_FRAMES_A_COLUMN * width))
    taper = np.hanning(n_fft).astype(np.float32)
    taper /= taper.sum() / 2  # so that a sine of full scale has a power of 1
    n_bins = n_fft // 2 + 1
    rows = np.arange(height) * n_bins // height
    powers, is_told = np.zeros((width, height), np.float32), np.zeros(width, bool)
    for number, frames in _frames(_sound(record, start, end), n_fft, hop):
        spectra = np.abs(np.fft.rfft(frames * taper, axis=1)) ** 2
        columns = np.minimum((np.arange(number, number + len(frames)) * hop) * width // n_samples, width - 1)
        is_told[columns] = True
        np.maximum.at(powers, columns, np.maximum.reduceat(spectra, rows, axis=1).astype(np.float32))
    told = np.flatnonzero(is_told)  # of very short sounds, not all columns
    powers[: told[-1]] = powers[told[np.searchsorted(told, np.arange(told[-1]), "right") - 1]]
    decibels = 10 * np.log10(np.maximum(powers.T[::-1], 10 ** (_FLOOR_DB / 10)))
    shades = 1 - decibels / _FLOOR_DB
    steps = np.linspace(0, 1, len(_COLOURS))
    picture = np.stack([np.interp(shades, steps, _COLOURS[:, i]) for i in range(3)], axis=2)
    target.write_bytes(_png(np.clip(picture, 0, 255).astype(np.uint8)))


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


def _frames(blocks: Iterator[Float32], n_fft: int, hop: int) -> Iterator[tuple[int, Float32]]:
    """Cut sound into frames centred on each multiple of the hop; yield the number of the first, and some."""
    ahead = np.zeros(n_fft // 2, np.float32)  # before the first sample there is silence
    number, skip = 0, 0
    ends = iter([np.zeros(n_fft // 2, np.float32)])
    for block in (one for source in (blocks, ends) for one in source):
        ahead = np.concatenate([ahead, block])
        dropped = min(skip, len(ahead))
        ahead, skip = ahead[dropped:], skip - dropped
        while len(ahead) >= n_fft:
            n = min(_AT_ONCE, 1 + (len(ahead) - n_fft) // hop)
            yield number, np.lib.stride_tricks.sliding_window_view(ahead, n_fft)[::hop][:n]
            number += n
            dropped = min(n * hop, len(ahead))
            ahead, skip = ahead[dropped:], n * hop - dropped


def _png(picture: npt.NDArray[np.uint8]) -> bytes:
    height, width, _ = picture.shape
    codec = av.VideoCodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, "rgb24", Fraction(1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
    out = io.BytesIO()
    for packet in (*codec.encode(frame), *codec.encode(None)):
        out.write(bytes(packet))
    return out.getvalue()
