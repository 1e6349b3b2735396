"""How decoded audio lies on disk: blocks of 16-bit samples, each with the value that stands for 1.

A block is some 16 thousand samples, scaled to its own peak: a quiet passage keeps its precision, and the
scale is known as soon as the block is, long before the file ends. Where a block starts in the data file, and
its scale, are for others to remember.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from echoic.audio.decode import Resampler, open_audio
from echoic.audio.levels import SILENCE, Loudest
from echoic.errors import NotAudioError, quoted
from echoic.types import Float32

__all__ = ["BlockFile", "CachedAudio", "Int16", "Int64", "decoded_blocks", "map_samples", "quantise"]

Int16 = npt.NDArray[np.int16]
Int64 = npt.NDArray[np.int64]

_BLOCK = 1 << 14  # samples with one scale: about a second, so that a window of 5 s is a handful
_FULL_SCALE = 32_767
_SILENCE = 1e-30  # peak below which a block is zeros: its scale would not be a normal float32


@dataclass(frozen=True, slots=True, eq=False)
class CachedAudio:
    """The sound of one file, mono at the sample rate it was decoded to; made by :meth:`AudioCache.fill`."""

    n_samples: int
    _data: Int16 = field(repr=False)
    _places: Int64 = field(repr=False)
    _scales: Float32 = field(repr=False)

    def read(self, start: int = 0, stop: int | None = None) -> Float32:
        """Read samples ``start`` to ``stop``, as far as there are any.

        Each is within 1/32767 of its block's peak of what was decoded.

        Returns
        -------
        ndarray of float32, shape (n,)

        Raises
        ------
        ValueError
            If ``start`` or ``stop`` is negative.
        """
        if start < 0 or (stop is not None and stop < 0):
            raise ValueError(f"samples are counted from the start, so not from {start} to {stop}")
        stop = self.n_samples if stop is None else min(stop, self.n_samples)
        samples = np.empty(max(0, stop - start), np.float32)
        at = start
        while at < stop:
            block, skip = divmod(at, _BLOCK)
            n = min(_BLOCK - skip, stop - at)
            first = self._places[block] + skip
            np.multiply(
                self._data[first : first + n],
                self._scales[block],
                out=samples[at - start : at - start + n],
                dtype=np.float32,
            )
            at += n
        return samples


def decoded_blocks(path: Path, sample_rate: int) -> Iterator[Float32]:
    """Decode a file into blocks of one length, the last excepted.

    Raises
    ------
    AudioError
        If it cannot be decoded, or at the end, if there was no sound in it.
    """
    with open_audio(path) as stream:
        resampler = Resampler(stream.sample_rate, sample_rate)
        kept = np.empty(0, np.float32)
        loudest = Loudest(stream.sample_rate)
        for block in stream:
            if loudest.power < SILENCE:
                loudest.push(block)
            kept = np.concatenate([kept, resampler.push(block)])
            whole = len(kept) - len(kept) % _BLOCK
            yield from kept[:whole].reshape(-1, _BLOCK)
            kept = kept[whole:]
        kept = np.concatenate([kept, resampler.finish()])
        if loudest.power < SILENCE:
            raise NotAudioError(f"{quoted(path)} is nothing to learn from: no sound in it; leave it out")
        for at in range(0, len(kept), _BLOCK):
            yield kept[at : at + _BLOCK]


def quantise(block: Float32) -> tuple[Int16, np.float32]:
    """Scale a block to 16 bits: the integers, and the value of 1."""
    peak = float(np.abs(block).max())
    if peak < _SILENCE:
        return np.zeros(len(block), np.int16), np.float32(0)
    scale = np.float32(peak / _FULL_SCALE)
    return np.rint(block / scale).clip(-_FULL_SCALE, _FULL_SCALE).astype(np.int16), scale


class BlockFile:
    """The data file as it is written, by several threads at once.

    Parameters
    ----------
    path : Path
    stop : int
        Samples of it that are in use.
    """

    def __init__(self, path: Path, stop: int) -> None:
        path.touch()
        self._file: IO[bytes] = path.open("r+b", buffering=0)
        self._lock = threading.Lock()
        self.stop = stop

    def append(self, samples: Int16) -> int:
        """Write samples at the end and return where they start."""
        rest = memoryview(samples.tobytes())
        with self._lock:
            place = self.stop
            self._file.seek(2 * place)
            while rest:  # a disk that fills takes a part, and refuses the next
                rest = rest[self._file.write(rest) :]
            self.stop += len(samples)
        return place

    def sync(self) -> None:
        """See that what was appended is on the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def map_samples(path: Path) -> Int16:
    """Map the samples of a data file, as many as there are."""
    try:
        n_samples = path.stat().st_size // 2
        if n_samples:  # an empty file cannot be mapped
            # A view of it as a plain array: slicing a memmap takes five times as long.
            return np.memmap(path, np.int16, "r", shape=(n_samples,)).view(np.ndarray)
    except FileNotFoundError:  # deleted by somebody: all is to be decoded again
        pass
    return np.empty(0, np.int16)
