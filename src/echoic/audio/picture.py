"""The spectrum of sound over time, as a picture."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

from echoic.types import Float32

__all__ = ["Picture", "as_png", "draw_spectrogram"]

_WINDOW = 0.04  # s, about
_FRAMES_A_COLUMN = 8
_FLOOR_DB = -90.0  # is black; a sine of full scale is 0
_AT_ONCE = 64  # frames
# From black over violet, red and orange to a pale yellow: equal steps look equal, also without colours.
_COLOURS = np.array([(0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191)])

#: Shape (height, width, 3): red, green and blue.
Picture = npt.NDArray[np.uint8]


def draw_spectrogram(
    blocks: Iterable[Float32], sample_rate: int, seconds: float, width: int, height: int
) -> Picture:
    """Draw the spectrum over time, in memory that does not grow with the sound.

    Time runs from left to right, frequency evenly from 0 at the bottom to half the sample rate at the top.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, shape (n,)
    sample_rate : int
        Hz.
    seconds : float
        That the picture shows.
    width, height : int
        Pixels.
    """
    n_samples = max(1, round(seconds * sample_rate))
    n_fft = 2 ** max(4, round(np.log2(_WINDOW * sample_rate)))
    hop = max(1, n_samples // width)
    if hop > n_fft // 2:
        hop = max(n_fft // 2, n_samples // (_FRAMES_A_COLUMN * width))
    taper = np.hanning(n_fft).astype(np.float32)
    taper /= taper.sum() / 2  # so that a sine of full scale has a power of 1
    n_bins = n_fft // 2 + 1
    rows = np.arange(height) * n_bins // height
    powers, is_told = np.zeros((width, height), np.float32), np.zeros(width, bool)
    for number, frames in _frames(iter(blocks), n_fft, hop):
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
    drawn: Picture = np.clip(picture, 0, 255).astype(np.uint8)
    return drawn


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


def as_png(picture: Picture) -> bytes:
    """Write a picture as PNG."""
    height, width, _ = picture.shape
    codec = av.VideoCodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = width, height, "rgb24", Fraction(1)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
    out = io.BytesIO()
    for packet in (*codec.encode(frame), *codec.encode(None)):
        out.write(bytes(packet))
    return out.getvalue()
