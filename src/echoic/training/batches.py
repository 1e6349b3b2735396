"""Batches of spectrograms, each a pure function of the seed and the number of the step.

So a training that was killed goes on with the very batches that it would have seen, and a thread may make the
next ones while the network works on this one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from echoic.audio.spectrogram import LogMel
from echoic.training.augment import Augmenter, mixup, stretch
from echoic.training.augment.spectrogram import SILENCE_DB
from echoic.training.samplers import PKSampler
from echoic.training.targets import Targets
from echoic.types import Float32

__all__ = ["Batch", "Batches", "Crop", "Sound"]

_AUDIBLE_DB = 40.0  # a crop is placed around a moment at most this far below the loudest of the clip
_LEVEL_HOP = 0.02  # s
_AHEAD = 2  # batches made before they are asked for


class Sound(Protocol):
    """Decoded audio that can be read in part: a cached file, or a stretch of one."""

    @property
    def n_samples(self) -> int: ...

    def read(self, start: int = 0, stop: int | None = None) -> Float32:
        """Read samples ``start`` to ``stop``, shape (n,)."""
        ...


class Batch(NamedTuple):
    """What the network and the objective see in one step.

    Parameters
    ----------
    log_mel : ndarray of float32, shape (n, frames, n_mels)
        Decibels.
    labels, partner_labels : ndarray of int64, shape (n,)
        Where two windows are mixed, the label of the other; elsewhere twice the same.
    share : ndarray of float32, shape (n,)
        What part of the window is the first label's, .5 … 1.
    targets : ndarray of float32, shape (n, dim of the teacher)
        What the teacher makes of the window, of length 1; a row of 0 where that is not known. Without a
        teacher, dim is 0.
    """

    log_mel: Float32
    labels: npt.NDArray[np.int64]
    partner_labels: npt.NDArray[np.int64]
    share: Float32
    targets: Float32


@dataclass(frozen=True, slots=True)
class Crop:
    """How windows are cut out of clips.

    Parameters
    ----------
    short : float
        Share of the crops that are cut shorter than they could be, so that short spans and short clips find
        what whole ones would.
    shortest : float
        Seconds that such a crop keeps at least.
    rotate : float
        Share of the clips used whole whose end is moved to their beginning.
    stretch : float
        Largest change of tempo, as the logarithm of the factor; half of the crops are left as they are.
    """

    short: float = 0.4
    shortest: float = 0.24
    rotate: float = 0.5
    stretch: float = 0.15


class Batches:
    """Draws, crops, augments and mixes.

    Parameters
    ----------
    audio : sequence of Sound
        One a clip.
    labels : sequence of int
        The class of each clip.
    sampler : PKSampler
    front_end : LogMel
    augmenter : Augmenter
    mixed : float
        Share of each batch in which two windows are mixed: 0 unless a classifier is trained as well.
    seed : int
    targets : Targets, optional
        A teacher's vectors of the clips.
    """

    def __init__(
        self,
        audio: Sequence[Sound],
        labels: Sequence[int],
        sampler: PKSampler,
        *,
        front_end: LogMel,
        augmenter: Augmenter,
        crop: Crop,
        mixed: float,
        seed: int,
        targets: Targets | None = None,
    ) -> None:
        self._audio = audio
        self._labels = np.asarray(labels, np.int64)
        self._sampler = sampler
        self._front_end = front_end
        self._augmenter = augmenter
        self._crop = crop
        self._mixed = mixed
        self._seed = seed
        self._targets = targets
        self._level_of = lru_cache(maxsize=50_000)(self._level)

    def draw(self, step: int, n_frames: int) -> Batch:
        """Make the batch of a step, of windows of ``n_frames``."""
        rng = np.random.default_rng([self._seed, step])
        clips = self._sampler.draw(step)
        windows, starts, ends = zip(*(self._window(clip, n_frames, rng) for clip in clips), strict=True)
        log_mel = np.stack(windows)
        targets = self._taught(clips, starts, ends)
        labels = self._labels[clips]
        log_mel = self._augmenter.spectrogram(log_mel, rng)

        n = len(clips)
        share, partner = np.ones(n, np.float32), np.arange(n)
        mixed = rng.permutation(n)[: round(self._mixed * n)]
        if len(mixed):
            drawn = rng.beta(0.4, 0.4, len(mixed)).astype(np.float32)
            share[mixed] = np.maximum(drawn, 1 - drawn)
            partner[mixed] = rng.permutation(n)[: len(mixed)]
            log_mel[mixed] = mixup(log_mel, share, partner)[mixed]
            targets = _mixed_targets(targets, share, partner)
        log_mel = self._augmenter.mask(log_mel, rng)
        return Batch(log_mel, labels, labels[partner], share, targets)

    def _taught(
        self, clips: npt.NDArray[np.int64], starts: Sequence[float], ends: Sequence[float]
    ) -> Float32:
        if self._targets is None:
            return np.empty((len(clips), 0), np.float32)
        spans = zip(clips.tolist(), starts, ends, strict=True)
        return np.stack([self._targets.of(*span) for span in spans])

    @contextmanager
    def ahead(self, first: int, lengths: Iterable[int]) -> Iterator[Iterator[Batch]]:
        """Give the batches from step ``first`` on, one for each of ``lengths`` (frames), made in a thread."""
        pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
        try:
            yield self._pipelined(pool, first, lengths)
        finally:
            pool.shutdown(cancel_futures=True)

    def _pipelined(self, pool: ThreadPoolExecutor, first: int, lengths: Iterable[int]) -> Iterator[Batch]:
        waiting: list[Future[Batch]] = []
        for step, n_frames in enumerate(lengths, first):
            waiting.append(pool.submit(self.draw, step, n_frames))
            if len(waiting) > _AHEAD:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()

    def _window(self, clip: int, n_frames: int, rng: np.random.Generator) -> tuple[Float32, float, float]:
        """Cut one window out of a clip, padded with silence at its end.

        Returns the spectrogram, (n_frames, n_mels), and the seconds where the window begins and ends.
        """
        audio, crop, mel = self._audio[clip], self._crop, self._front_end
        rate = float(np.exp(rng.uniform(-crop.stretch, crop.stretch))) if rng.random() < 0.5 else 1.0
        window = (n_frames - 1) * mel.hop_length + mel.n_fft
        longest = min(audio.n_samples, int(window * rate))
        length = longest
        if rng.random() < crop.short:
            shortest = min(longest, round(crop.shortest * mel.sample_rate))
            length = int(np.exp(rng.uniform(np.log(shortest), np.log(longest))))
        level = self._level_of(clip)
        hop = round(_LEVEL_HOP * mel.sample_rate)
        inside = rng.choice(np.flatnonzero(level >= level.max() - _AUDIBLE_DB)) * hop
        start = int(np.clip(inside - rng.integers(length), 0, audio.n_samples - length))
        samples = self._augmenter.waveform(audio.read(start, start + length), rng)
        # Frames count while they hold at least one sample, as they do when a window is padded with zeros.
        frames = mel(np.pad(samples, (0, mel.n_fft))[None])[0]
        if length == audio.n_samples and rng.random() < crop.rotate:
            frames = np.roll(frames, rng.integers(len(frames)), axis=0)
        if rate != 1:
            frames = stretch(frames, rate)
        out = np.full((n_frames, mel.n_mels), SILENCE_DB, np.float32)
        out[: len(frames)] = frames[:n_frames]
        return out, start / mel.sample_rate, (start + length) / mel.sample_rate

    def _level(self, clip: int) -> Float32:
        """Measure a clip's loudness over time: dB, one value for each 20 ms."""
        audio = self._audio[clip]
        hop = round(_LEVEL_HOP * self._front_end.sample_rate)
        levels = []
        block = hop * 10_000
        for at in range(0, audio.n_samples, block):
            samples = audio.read(at, min(at + block, audio.n_samples))
            padded = np.pad(samples, (0, -len(samples) % hop)).reshape(-1, hop)
            levels.append(10 * np.log10(np.maximum(np.square(padded).mean(axis=1), 1e-12)))
        return np.concatenate(levels).astype(np.float32)


def _mixed_targets(targets: Float32, share: Float32, partner: npt.NDArray[np.integer]) -> Float32:
    """Mix targets as the windows are; a window of which one part has no target has none either."""
    known = np.linalg.norm(targets, axis=1) > 0
    mixed: Float32 = share[:, None] * targets + (1 - share)[:, None] * targets[partner]
    mixed /= np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), np.float32(1e-6))
    mixed *= (known & known[partner])[:, None]
    return mixed
