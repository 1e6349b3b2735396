"""Finding where a phrase is said that is typed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from echoic.encoders.base import PhraseEncoder
from echoic.errors import UnknownEncoderError, UsageError
from echoic.search.keyword import join, spot
from echoic.search.query import Filters, check_k
from echoic.storage.catalog import Catalog
from echoic.storage.frames import Frames, FrameStore
from echoic.storage.spaces import Spaces
from echoic.types import Float32, Hit
from echoic.untrusted import check_number, shown

__all__ = ["LIKELY", "find_phrases", "probability"]

#: Score from which on a phrase is told.
LIKELY = 0.5
_FEWEST, _MOST = 3, 80  # sounds of a phrase
_LONGEST = 2_000  # characters
_SLOWEST = 0.3  # s of a sound, the mean of a phrase: what takes longer is not speech
_AT_ONCE = 400_000  # frames that are looked at at once: some 100 MB

# Of a logistic regression on read books and telephone prompts: the logarithm of the odds that a phrase is
# said, by what its best path costs for each of its sounds, and by how many those are, of which more than
# enough tell no more.
_OFFSET, _OF_COST, _OF_SOUNDS, _ENOUGH = 1.17, 3.9, 0.34, 12


@dataclass(frozen=True, slots=True)
class _Occurrence:
    file_id: int
    start: float
    end: float
    score: float


def find_phrases(
    catalog: Catalog,
    spaces: Spaces,
    phrase: str,
    k: int | None,
    filters: Filters,
    *,
    encoder: str | None = None,
    every: bool = False,
    min_score: float | None = None,
) -> list[Hit]:
    """Find where a phrase is said; see :meth:`echoic.library.Library.phrases`."""
    if k is not None:
        check_k(k)
    if min_score is not None:
        try:
            check_number("min_score", min_score, 0, 1)
        except ValueError as error:
            raise UsageError(str(error)) from error
    if not phrase.strip():
        raise UsageError("the phrase to look for is empty")
    if len(phrase) > _LONGEST:
        raise UsageError(f"the phrase to look for is {len(phrase):,} characters; a few words are enough")
    source, spec = spaces.chosen(encoder, "phrases")
    if "phrases" not in spec.purposes:
        raise UsageError(f"encoder {spec.name} knows no phrases; leave --encoder out")
    loaded, store = spaces.encoder(source, spec), spaces.store(spec)
    if not isinstance(loaded, PhraseEncoder) or not isinstance(store, FrameStore):
        raise UnknownEncoderError(f"encoder {spec.name} cannot spell phrases")
    sounds = loaded.spell(phrase)
    if len(sounds) < _FEWEST:
        raise UsageError(
            f"{shown(phrase)} is too short to be told from other words; use {_FEWEST} sounds or more"
        )
    if len(sounds) > _MOST:
        raise UsageError(f"the phrase has {len(sounds)} sounds; use {_MOST} at most, some fifteen words")
    scope = filters.scope(catalog)
    ids = [file_id for file_id in store.file_ids().tolist() if scope.holds(file_id)]
    least = LIKELY if min_score is None else min_score
    found = [one for some in _portions(store, ids) for one in _occurrences(some, sounds, least, every=every)]
    found.sort(key=lambda one: (-one.score, one.file_id, one.start))
    paths = catalog.paths([one.file_id for one in found[:k]])
    there = [one for one in found[:k] if one.file_id in paths]  # the others are gone since
    return [
        Hit(rank, paths[one.file_id], one.start, one.end, one.score, spec.name)
        for rank, one in enumerate(there, start=1)
    ]


def _portions(store: FrameStore, ids: list[int]) -> Iterator[list[tuple[int, Frames]]]:
    """Read the frames of files, about as many at a time as are looked at at once."""
    some: list[tuple[int, Frames]] = []
    n = 0
    for file_id, frames in store.read(ids):
        some.append((file_id, frames))
        n += len(frames.starts)
        if n >= _AT_ONCE:
            yield some
            some, n = [], 0
    if some:
        yield some


def _occurrences(
    files: list[tuple[int, Frames]], sounds: Float32, least: float, *, every: bool
) -> Iterator[_Occurrence]:
    spoken = join([frames for _, frames in files], sounds.shape[1])
    scores, firsts = spot(spoken, sounds, _least_cost(least, len(sounds)))
    chances = probability(scores, len(sounds))
    at = 0
    for file_id, frames in files:
        here = slice(at, at + len(frames.starts))
        began = firsts[here] - at
        is_said = frames.ends - frames.starts[began] <= _SLOWEST * len(sounds)
        for first, last in _apart(chances[here] * is_said, began, least, every=every):
            score = float(chances[at + last])
            yield _Occurrence(file_id, float(frames.starts[first]), float(frames.ends[last]), score)
        at = here.stop


def _apart(
    chances: npt.NDArray[np.float64], firsts: npt.NDArray[np.int64], least: float, *, every: bool
) -> Iterator[tuple[int, int]]:
    """Choose, best first, the ends of paths that share no frame; yield the first and last frame of each."""
    likely = np.flatnonzero((chances >= least) & (chances > 0))
    is_taken = np.zeros(len(chances), np.bool_)
    # Of equally likely ends the last, so that all of the last sound is in the span.
    for last in likely[np.lexsort((-likely, -chances[likely].round(6)))].tolist():
        first = int(firsts[last])
        if not is_taken[first : last + 1].any():
            is_taken[first : last + 1] = True
            yield first, last
            if not every:
                return


def _least_cost(chance: float, n_sounds: int) -> float:
    """Say what a path may cost that is as likely as this; a little more, for what rounding takes."""
    if chance <= 0:
        return -np.inf
    odds = np.log(chance / (1 - chance)) if chance < 1 else 700.0
    return float(odds - _OFFSET - _OF_SOUNDS * min(n_sounds, _ENOUGH)) / _OF_COST * n_sounds - 1e-3


def probability(scores: Float32, n_sounds: int) -> npt.NDArray[np.float64]:
    """Turn what paths through a phrase of so many sounds cost, (n,), into how sure it is that it is said."""
    cost = np.maximum(scores.astype(np.float64), -100) / n_sounds
    odds = _OFFSET + _OF_COST * cost + _OF_SOUNDS * min(n_sounds, _ENOUGH)
    chances: npt.NDArray[np.float64] = np.isfinite(scores) / (1 + np.exp(-odds))
    return chances
