"""Listening to a sample: every cut is decoded once and handed to every encoder in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from echoic.advice.collection import Collection, draw
from echoic.advice.cuts import Cut, read_cuts
from echoic.advice.likeness import Likeness
from echoic.advice.trial import Trial
from echoic.datasets import Clip
from echoic.encoders.base import mean_vector
from echoic.encoders.head import Head
from echoic.errors import AudioError, DatasetError
from echoic.types import Float32, Progress

__all__ = ["KINDS", "Sample"]

#: What a collection may be of. What is neither speech nor music is the environment's.
KINDS = ("speech", "music", "environment")
_HEARD = ("Speech", "Music")  # as a head calls the first two
_LIKELY = 0.5

_FILES = 160  # that are listened to, where labels tell what is to be found
_CUTS = 80  # and where none do: each is encoded five times more
_SEED = 1


class Sample:
    """What was heard in some files of a collection.

    Parameters
    ----------
    collection : Collection
    trials : sequence of Trial
        The encoders.
    measured : sequence of Trial
        Those of which it is to be measured how well they find.
    listener : tuple of Trial and Head, optional
        What tells kinds of sound.

    Attributes
    ----------
    durations : dict of Path to float
        Seconds of each file that was listened to.
    failed : dict of str to str
        Files that could not be read, with one sentence each.
    clips : list of Clip
        Those that were heard, with a row each in ``points``.
    points : dict of str to list of ndarray, shape (dim,)
        By encoder, of each clip.
    """

    def __init__(
        self,
        collection: Collection,
        trials: Sequence[Trial],
        measured: Sequence[Trial],
        listener: tuple[Trial, Head],
    ) -> None:
        self.durations: dict[Path, float] = {}
        self.failed: dict[str, str] = {}
        self.clips: list[Clip] = []
        self.points: dict[str, list[Float32]] = {trial.name: [] for trial in measured}
        self.likeness = None if collection.labelled else Likeness([trial.name for trial in measured])
        self.seconds = 0.0
        self.decoding = 0.0
        self._collection = collection
        self._trials, self._measured, self._listener = trials, measured, listener
        self._windows = dict.fromkeys(KINDS, 0)
        self._rng = np.random.default_rng(_SEED)

    @property
    def kinds(self) -> dict[str, float]:
        """Shares of the windows heard that are speech, music and environment."""
        n = max(1, sum(self._windows.values()))
        return {kind: round(count / n, 3) for kind, count in self._windows.items()}

    def listen(self, progress: Callable[[Progress], None] | None) -> None:
        """Go through the sample.

        Raises
        ------
        DatasetError
            If nothing of the collection can be heard.
        """
        wanted = _FILES if self._collection.labelled else _CUTS
        total = min(wanted, len(self._collection.clips))
        a_file = 1 if self._collection.labelled else -(-wanted // len(self._collection.clips))
        begun, done, n_bytes = time.perf_counter(), 0, 0
        for clip in draw(self._collection, wanted):
            if len(self.durations) >= wanted:
                break
            try:
                cuts, self.durations[clip.path] = read_cuts(clip.path, a_file, self._rng)
            except AudioError as error:
                self.failed[str(clip.path)] = str(error)
                continue
            for cut in cuts:
                self._hear(clip, cut)
            done = min(done + 1, total)
            n_bytes += self._collection.sizes[clip.path]
            if progress is not None:
                elapsed = time.perf_counter() - begun
                # By files, not by their sizes: of a large one no more is heard than of a small one.
                progress(Progress(str(clip.path), done, total, done, total, self.seconds, elapsed))
        if self.likeness is not None and self.likeness.n_cuts == 1:
            raise DatasetError(
                "only one stretch of sound is there, and encoders are compared by what they tell apart; "
                "add files"
            )
        if not self.clips:
            raise DatasetError(
                f"nothing is heard in the {len(self.durations) + len(self.failed)} files that were tried; "
                + next(iter(self.failed.values()), "all of them are silent")
            )

    def _hear(self, clip: Clip, cut: Cut) -> None:
        if not cut.is_sound:
            return
        found = {trial.name: trial.timed(cut) for trial in self._trials}
        if not all(len(found[trial.name]) for trial in self._measured):
            return  # silence to one is nothing to compare by
        self.seconds += cut.seconds
        self.decoding += cut.decoding
        self.clips.append(clip)
        for trial in self._measured:
            self.points[trial.name].append(mean_vector(found[trial.name]))
        trial, head = self._listener
        heard = found.get(trial.name)
        self._tell_kinds(head, trial.vectors(cut.samples, cut.sample_rate) if heard is None else heard)
        if self.likeness is not None:
            self.likeness.hear(cut, self._measured, self._rng)

    def _tell_kinds(self, head: Head, vectors: Float32) -> None:
        columns = [head.labels.index(label) for label in _HEARD]
        likely = head.of_windows(vectors)[:, columns]
        for window in likely:
            kind = int(window.argmax()) if window.max() >= _LIKELY else len(_HEARD)
            self._windows[KINDS[kind]] += 1
