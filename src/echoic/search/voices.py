"""Finding where somebody speaks whose voice is heard in an example."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from echoic.errors import NotAudioError, UsageError, quoted
from echoic.heard.voices import LEAST_SPEECH, LIKELY, Speech, level, probability
from echoic.search.query import Examples, Filters, Query, checked_limits, ids_at
from echoic.search.ranking import FileMatch, as_hits
from echoic.storage.catalog import Catalog
from echoic.storage.spaces import Spaces
from echoic.storage.vectors.base import VectorStore
from echoic.types import Hit, Note, Segments

__all__ = ["find_voices", "spans_of"]

_AROUND = 0.9  # s around the middle of a window that are looked at together: its neighbours
_BELOW = 0.05  # what a window's cosine may be less than the best of those it goes on with
_AT_ONCE = 64  # files whose vectors are read at once


def find_voices(
    catalog: Catalog,
    spaces: Spaces,
    example: Query,
    k: int | None,
    filters: Filters,
    *,
    encoder: str | None = None,
    every: bool = False,
    min_score: float | None = None,
    include_query: bool = False,
    noted: Callable[[Path | str, Note], None] = lambda *_: None,
) -> list[Hit]:
    """Find where somebody speaks; see :meth:`echoic.library.Library.voices`."""
    least = checked_limits(k, min_score, LIKELY)
    source, spec = spaces.chosen(encoder, "voices")
    if "voices" not in spec.purposes:
        raise UsageError(f"encoder {spec.name} knows no voices; leave --encoder out")
    assert example.path is not None
    segments = Examples(spaces, source, spec, noted).sound(example.path, example.start, example.end)
    asked = _asked(example.path, segments, Speech.of(segments, spec.window))
    part = example.start or 0.0, np.inf if example.end is None else example.end
    itself = set() if include_query else ids_at(catalog, example.path)
    scope, store = filters.scope(catalog), spaces.store(spec)
    found = []
    for file_id, speech in _read(store, scope.among(store.file_ids()), spec.window):
        spans = spans_of(speech, asked, least)
        if file_id in itself:
            spans = [span for span in spans if span[1] >= part[1] or span[2] <= part[0]]
        told = spans if every else spans[:1]
        found += [FileMatch(file_id, start, end, score) for score, start, end in told]
    return as_hits(catalog, spec, found, k)


def _asked(path: Path, segments: Segments, speech: Speech) -> Speech:
    """Make sure that there is enough speech to tell a voice by."""
    seconds = segments.ends.max() - segments.starts.min() if len(segments) else 0.0
    if 0 < seconds < LEAST_SPEECH:
        raise NotAudioError(
            f"what was chosen of {quoted(path)} lasts {seconds:.1f} s, which is too short: it takes "
            f"{LEAST_SPEECH:g} s of speech to tell a voice from others; choose a longer part"
        )
    if not speech.seconds:
        raise NotAudioError(
            f"{quoted(path)} is nothing to search by: nobody speaks in it; choose another example"
        )
    if speech.seconds < LEAST_SPEECH:
        raise NotAudioError(
            f"{quoted(path)} has {speech.seconds:.1f} s of speech, which is too short: it takes "
            f"{LEAST_SPEECH:g} s to tell a voice from others; choose a longer example"
        )
    return speech


def _read(store: VectorStore, ids: list[int], window: float) -> Iterator[tuple[int, Speech]]:
    for at in range(0, len(ids), _AT_ONCE):
        some = store.fetch(ids[at : at + _AT_ONCE])
        for file_id in sorted(some):
            yield file_id, Speech.of(some[file_id], window)


def spans_of(speech: Speech, asked: Speech, least: float) -> list[tuple[float, float, float]]:
    """Find where in a file somebody speaks: how surely, and from when to when in seconds, the surest first.

    Parameters
    ----------
    speech : Speech
        Of the file.
    asked : Speech
        Of the one who is looked for.
    least : float
        What is less sure is not told.
    """
    if not len(speech):
        return []
    voice = asked.voice
    seconds = min(asked.seconds, 2 * _AROUND)
    near = speech.around(_AROUND) @ voice
    spans = []
    is_told = np.zeros(len(speech), np.bool_)
    # What is surest comes first, so that to ask for less adds to it and takes nothing away.
    for chance_of_each in sorted({LIKELY, min(least, LIKELY)}, reverse=True):
        is_near = (near >= level(chance_of_each, seconds)) & ~is_told
        for run in speech.spans(is_near):  # of one recording, a voice is about as near everywhere
            here = slice(run.first, run.past)
            is_near[here] &= near[here] >= near[here].max() - _BELOW
        for span in speech.spans(is_near):
            part = speech[span.first : span.past]
            chance = float(probability(part.voice @ voice, min(asked.seconds, part.seconds)))
            if chance >= least:
                spans.append((chance, span.start, span.end))
                is_told[span.first : span.past] = True
    return sorted(spans, key=lambda span: (-span[0], span[1]))
