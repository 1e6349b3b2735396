"""One encoder, tried on cuts: what it takes, and the vectors that it gives."""

from __future__ import annotations

import math
import time

import numpy as np
import numpy.typing as npt

from echoic.advice.cuts import Cut
from echoic.encoders.base import Encoder, mean_vector
from echoic.machine import one_thread_for_algebra
from echoic.spec import EncoderSpec
from echoic.types import Float32

__all__ = ["Trial", "windows_of"]

_UNCOVERED = 0.1  # s at a file's end that no window needs to cover


class Trial:
    """An encoder, what it took so far, and its vectors of whatever it was given.

    Parameters
    ----------
    name : str
        As it was named.
    encoder : Encoder
    memory : float, optional
        Megabytes that a process takes which encodes by it; None where that is not known.

    Attributes
    ----------
    latencies : list of float
        Seconds that each cut took, decoding included.
    """

    def __init__(self, name: str, encoder: Encoder, memory: float | None = None) -> None:
        self.name = name
        self.encoder = encoder
        self.memory = memory
        self.latencies: list[float] = []
        self._seconds, self._windows = 0.0, 0
        self._n_segments, self._n_cuts = 0, 0

    @property
    def spec(self) -> EncoderSpec:
        return self.encoder.spec

    @property
    def queries(self) -> int:
        """Vectors that a cut has as a query, in the mean."""
        return max(1, round(self._n_segments / max(1, self._n_cuts)))

    def timed(self, cut: Cut) -> Float32:
        """Encode a cut, (n, dim), and note the time."""
        begun = time.process_time()
        vectors = self.vectors(cut.samples, cut.sample_rate)
        took = time.process_time() - begun
        if len(vectors):
            self._seconds += took
            self._windows += int(windows_of(self.spec, np.array([cut.seconds]))[0])
            self._n_segments += len(vectors)
            self._n_cuts += 1
            self.latencies.append(took + cut.decoding)
        return vectors

    def vectors(self, samples: Float32, sample_rate: int) -> Float32:
        """Encode sound, (n,) → (segments, dim)."""
        from echoic.analysis.pipeline import embed_samples

        # As a worker of the index does, which keeps to one thread.
        with one_thread_for_algebra():
            return embed_samples([samples], sample_rate, {"": self.encoder})[""].vectors

    def point(self, samples: Float32, sample_rate: int) -> Float32 | None:
        """Encode sound into one vector, (dim,); None where there is nothing to be heard."""
        vectors = self.vectors(samples, sample_rate)
        return mean_vector(vectors) if len(vectors) else None

    def indexing(self, durations: npt.NDArray[np.float64]) -> float:
        """Reckon the seconds that encoding files of so many seconds takes on one core."""
        return self._seconds / max(1, self._windows) * float(windows_of(self.spec, durations).sum())

    def segments(self, durations: npt.NDArray[np.float64]) -> int:
        """Reckon the vectors of files of so many seconds."""
        a_window = self._n_segments / max(1, self._windows)
        return math.ceil(a_window * float(windows_of(self.spec, durations).sum()))


def windows_of(spec: EncoderSpec, durations: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Count the windows of files of so many seconds, (n,) → (n,), as they are cut."""
    beyond = np.maximum(0, np.rint(durations * spec.sample_rate).astype(np.int64) - spec.window_samples)
    uncovered = beyond % spec.hop_samples
    return 1 + beyond // spec.hop_samples + (uncovered > _UNCOVERED * spec.sample_rate)
