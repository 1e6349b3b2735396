"""The parts of files that are listened to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from echoic.types import Float32

__all__ = ["CUT", "Cut", "read_cuts"]

#: Seconds of a file that are listened to at once, at most.
CUT = 10.0
# How far into a file: what lies before a cut is decoded, too, which tells better how long decoding takes.
_REACH = 120.0  # s, for one cut
_REACH_EACH = 40.0  # s, for each of several
_APART = 2 * CUT  # s from one to the next, at least
_LEAST = 0.05  # s: of less, halves are no sounds


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A part of a file, as it was decoded.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
    sample_rate : int
        The file's own, in Hz.
    decoding : float
        CPU seconds that decoding took for as much sound of the file: waiting for a disk does not count.
    """

    samples: Float32
    sample_rate: int
    decoding: float

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate

    @property
    def is_sound(self) -> bool:
        """Whether there is something to be heard, and to be cut in two."""
        return self.seconds >= 2 * _LEAST and bool(np.any(self.samples))


def read_cuts(path: Path, n: int, rng: np.random.Generator) -> tuple[list[Cut], float]:
    """Decode up to so many cuts of a file, one from somewhere in each part of what lies within reach.

    Returns
    -------
    cuts : list of Cut
    duration : float
        Of the whole file in seconds, as its container says, or else counted.

    Raises
    ------
    AudioError
        If the file cannot be decoded.
    """
    from echoic.audio.decode import open_audio

    with open_audio(path) as stream:
        rate, duration = stream.sample_rate, stream.stated_duration
        if duration is None:
            duration = sum(len(block) for block in stream.blocks()) / rate
    reach = min(duration, max(_REACH, n * _REACH_EACH))
    n = max(1, min(n, int(reach / _APART)))
    starts = reach / n * np.arange(n) + max(0.0, reach / n - CUT) * rng.random(n)
    firsts = np.rint(starts * rate).astype(np.int64)
    length = round(CUT * rate)
    parts: list[list[Float32]] = [[] for _ in firsts]
    at = 0
    begun = time.process_time()
    with open_audio(path) as stream:
        for block in stream.blocks():
            for first, gathered in zip(firsts, parts, strict=True):
                gathered.append(block[max(0, first - at) : max(0, first + length - at)])
            at += len(block)
            if at >= firsts[-1] + length:
                break
    pace = (time.process_time() - begun) / max(1, at)
    cuts = [np.concatenate([np.empty(0, np.float32), *gathered]) for gathered in parts]
    return [Cut(samples, rate, pace * len(samples)) for samples in cuts], max(duration, at / rate)
