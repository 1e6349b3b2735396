"""Finding where a phrase is said that is typed, or spoken as an example."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.encoders.base import PhraseEncoder, SpokenEncoder
from echoic.errors import NotAudioError, PartError, UnknownEncoderError, UsageError, quoted
from echoic.machine import one_thread_for_algebra
from echoic.search.keyword import FRAMES_A_SOUND, PIECE, join, looked_over, outline, spot
from echoic.search.query import Examples, Filters, Query, ids_at
from echoic.search.ranking import FileMatch
from echoic.search.spoken import Background, Heard, Outline, Phrase, heard_in, least_score, outlined
from echoic.search.spoken import probability as spoken_probability
from echoic.spec import EncoderSpec, Purpose
from echoic.storage.catalog import Catalog
from echoic.storage.frames import Frames, SmallInts, SpokenFrames, SpokenStore, SymbolStore, whole_frames
from echoic.storage.spaces import Spaces
from echoic.types import Float32, Note
from echoic.untrusted import shown

__all__ = ["LIKELY", "heard_phrases", "probability", "spoken_phrases"]

Ints = npt.NDArray[np.int64]

#: Score from which on a phrase is told.
LIKELY = 0.5
_FEWEST, _MOST = 3, 80  # sounds of a phrase
_SLOWEST = 0.3  # s of a sound, the mean of a phrase: what takes longer is not speech
_SHORTEST, _LONGEST_SPOKEN = 0.3, 6.0  # s of speech of an example
_AROUND = 1.0  # s beside a part of a file that are listened to
_NOTHING_SAID = round(0.95**0.5 * 127)  # of the last of a frame's numbers
_AT_ONCE = 400_000  # frames that are looked at at once: some 100 MB

# Of a logistic regression on read books and telephone prompts: the logarithm of the odds that a phrase is
# said, by what its best path costs for each of its sounds, and by how many those are, of which more than
# enough tell no more.
_OFFSET, _OF_COST, _OF_SOUNDS, _ENOUGH = 1.17, 3.9, 0.34, 12


def heard_phrases(
    catalog: Catalog,
    spaces: Spaces,
    phrase: str,
    least: float,
    filters: Filters,
    *,
    encoder: str | None = None,
    every: bool = False,
) -> tuple[str, list[FileMatch]]:
    """Find where a phrase is heard that is typed.

    Returns
    -------
    str
        Name of the encoder that heard it.
    list of FileMatch
        What is ``least`` likely or more: all, or the surest of each file.
    """
    source, spec = _chosen(spaces, encoder, "phrases")
    loaded, store = spaces.encoder(source, spec), spaces.store(spec)
    if not isinstance(loaded, PhraseEncoder) or not isinstance(store, SymbolStore):
        raise UnknownEncoderError(f"encoder {spec.name} cannot spell phrases")
    sounds = loaded.spell(phrase)
    if len(sounds) < _FEWEST:
        raise UsageError(
            f"{shown(phrase)} is too short to be told from other words; use {_FEWEST} sounds or more"
        )
    if len(sounds) > _MOST:
        raise UsageError(f"the phrase has {len(sounds)} sounds; use {_MOST} at most, some fifteen words")
    scope = filters.scope(catalog)
    ids = scope.among(store.file_ids())
    outlines = store.remembered(ids, lambda _, frames, __: outline(frames, spec.dim))
    possible = looked_over(outlines, sounds, _least_cost(least, len(sounds)))
    found = [
        one
        for some in _portions(store, possible, len(sounds))
        for one in _occurrences(some, sounds, least, every=every)
    ]
    return spec.name, found


def spoken_phrases(
    catalog: Catalog,
    spaces: Spaces,
    example: Query,
    least: float,
    filters: Filters,
    *,
    encoder: str | None = None,
    every: bool = False,
    include_query: bool = False,
    noted: Callable[[Path | str, Note], None] = lambda *_: None,
) -> tuple[str, list[FileMatch]]:
    """Find where a phrase is heard that is spoken; see :func:`heard_phrases`."""
    source, spec = _chosen(spaces, encoder, "spoken")
    loaded, store = spaces.encoder(source, spec), spaces.store(spec)
    if not isinstance(loaded, SpokenEncoder) or not isinstance(store, SpokenStore):
        raise UnknownEncoderError(f"encoder {spec.name} cannot compare spoken phrases")
    assert spec.frame_rate is not None
    assert example.path is not None
    rate = spec.frame_rate
    phrase, (start, end) = _spoken(Examples(spaces, source, spec, noted), example, spec)
    itself = set() if include_query else ids_at(catalog, example.path)
    background = Background(loaded.read_background(), rate)
    level, axes, odds = background.level(phrase), background.axes(), background.odds

    def laid(file_id: int, frames: SpokenFrames, is_kept: bool) -> Heard | Outline:
        heard = heard_in(frames, rate)
        return outlined(heard, axes, _File(store, file_id)) if is_kept else heard

    scope = filters.scope(catalog)
    ids = scope.among(store.file_ids())
    found = []
    files = store.remembered(ids, laid)
    with one_thread_for_algebra():  # there is a thread a core already
        for file_id, heard, places in phrase.find(files, least_score(least, level, len(phrase), odds)):
            for place in places:
                chance = spoken_probability(place.score, level, len(phrase), odds)
                if chance < least:
                    break
                begin, finish = heard.span(place.first, place.last)
                if file_id in itself and begin < end and finish > start:
                    continue  # the example itself
                found.append(FileMatch(file_id, begin, finish, chance))
                if not every:
                    break
    return spec.name, found


class _File(NamedTuple):
    """Where the frames of a file are read."""

    store: SpokenStore
    file_id: int

    def read_between(self, first: int, last: int) -> SpokenFrames:
        return self.store.read_between(self.file_id, first, last)

    def numbers_between(self, first: int, last: int) -> SmallInts:
        return self.store.numbers_between(self.file_id, first, last)


def _spoken(examples: Examples, example: Query, spec: EncoderSpec) -> tuple[Phrase, tuple[float, float]]:
    """Listen to an example → what is said in it, and its begin and end in the file."""
    assert example.path is not None
    assert spec.frame_rate is not None
    start, end = example.start or 0.0, np.inf if example.end is None else example.end
    if example.start is None and example.end is None:
        segments = examples.sound(example.path)
    else:  # what is around a part tells what is in it, too
        around = max(0.0, start - _AROUND), None if example.end is None else end + _AROUND
        try:
            segments = examples.sound(example.path, *around)
        except PartError:  # said of the part that was asked for
            examples.sound(example.path, example.start, example.end)
            raise
    middles = (segments.starts + segments.ends) / 2
    frames = whole_frames(segments)
    here = (middles >= start) & (middles < end) & (frames.numbers[:, -1] < _NOTHING_SAID)
    heard = heard_in(type(frames)(*(column[here] for column in frames)), spec.frame_rate)
    n = len(heard.places)
    if not n:
        raise NotAudioError(
            f"{quoted(example.path)} is nothing to search by: nobody speaks in it; choose another example"
        )
    if n / spec.frame_rate < _SHORTEST:
        raise NotAudioError(
            f"{quoted(example.path)} has {n / spec.frame_rate:.1f} s of speech, and less than {_SHORTEST} s "
            "cannot be told from other words; choose a longer example"
        )
    if n / spec.frame_rate > _LONGEST_SPOKEN:
        raise UsageError(
            f"{quoted(example.path)} has {n / spec.frame_rate:.0f} s of speech, and a phrase has "
            f"{_LONGEST_SPOKEN:g} s at most; choose a part of it: --phrase FILE@START-END"
        )
    return Phrase(heard), (start, end)


def _chosen(spaces: Spaces, encoder: str | None, purpose: Purpose) -> tuple[str, EncoderSpec]:
    source, spec = spaces.chosen(encoder, purpose)
    if purpose not in spec.purposes:
        kind = "typed" if purpose == "phrases" else "spoken"
        raise UsageError(f"encoder {spec.name} knows no phrases that are {kind}; leave --encoder out")
    return source, spec


class _Excerpt(NamedTuple):
    """Stretches of a file in which a phrase may be said, each with what lies before it.

    Parameters
    ----------
    file_id : int
    stretches : list of Frames
    counts : ndarray of bool, shape (n,)
        At which of their frames a path may end.
    """

    file_id: int
    stretches: list[Frames]
    counts: npt.NDArray[np.bool_]


def _portions(
    store: SymbolStore, possible: Iterable[tuple[int, Ints]], n_sounds: int
) -> Iterator[list[_Excerpt]]:
    """Read where a phrase may be said, about as many frames at a time as are looked at at once."""
    some: list[_Excerpt] = []
    n = 0
    for file_id, ends in possible:
        excerpt = _excerpt(store, file_id, ends, n_sounds)
        some.append(excerpt)
        n += len(excerpt.counts)
        if n >= _AT_ONCE:
            yield some
            some, n = [], 0
    if some:
        yield some


def _excerpt(store: SymbolStore, file_id: int, ends: Ints, n_sounds: int) -> _Excerpt:
    """Read whole pieces of a file, so that what is found in one does not depend on what else is read."""
    before = -(-FRAMES_A_SOUND * n_sounds // PIECE)
    pieces = np.unique(ends // PIECE)
    runs = np.split(pieces, np.flatnonzero(np.diff(pieces) > before) + 1)
    stretches, counts = [], []
    for run in runs:
        first, last = max(0, int(run[0]) - before) * PIECE, (int(run[-1]) + 1) * PIECE
        stretch = store.read_between(file_id, first, last)
        stretches.append(stretch)
        counts.append(np.isin(np.arange(first, first + len(stretch.starts)) // PIECE, run))
    return _Excerpt(file_id, stretches, np.concatenate(counts))


def _occurrences(
    excerpts: list[_Excerpt], sounds: Float32, least: float, *, every: bool
) -> Iterator[FileMatch]:
    spoken = join([frames for one in excerpts for frames in one.stretches], sounds.shape[1])
    scores, firsts = spot(spoken, sounds, _least_cost(least, len(sounds)))
    chances = probability(scores, len(sounds))
    at = 0
    for file_id, stretches, counts in excerpts:
        here = slice(at, at + len(counts))
        began = firsts[here] - at
        starts, ends = (np.concatenate([frames[i] for frames in stretches]) for i in (0, 1))
        is_said = counts & (ends - starts[began] <= _SLOWEST * len(sounds))
        for first, last in _apart(chances[here] * is_said, began, least, every=every):
            yield FileMatch(file_id, float(starts[first]), float(ends[last]), float(chances[at + last]))
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
