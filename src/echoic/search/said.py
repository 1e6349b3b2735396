"""Finding where a phrase is said, by all that a library knows of its speech.

What is typed is looked for among the sounds that an encoder heard, and in transcripts; what both find is one
hit, and the surer for it. Of each hit it is told what found it, and what is said around it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from echoic.errors import UnknownEncoderError, UsageError
from echoic.search.phrases import LIKELY, heard_phrases, spoken_phrases
from echoic.search.query import Filters, Query, checked_limits
from echoic.search.ranking import FileMatch
from echoic.search.written import AROUND, TRANSCRIPTS, Written, find_written, spelt
from echoic.storage.catalog import Catalog
from echoic.storage.spaces import Spaces
from echoic.storage.transcripts import Transcripts
from echoic.types import Note, PhraseHit

__all__ = ["find_phrases", "find_spoken"]

_LONGEST = 2_000  # characters
_APART = 1.0  # s between the middles of what two ways take for one occurrence


class _Said(NamedTuple):
    match: FileMatch
    by: str
    words: str = ""


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
) -> list[PhraseHit]:
    """Find where a phrase is said that is typed; see :meth:`echoic.library.Library.phrases`."""
    least = checked_limits(k, min_score, LIKELY)
    if not phrase.strip():
        raise UsageError("the phrase to look for is empty")
    if len(phrase) > _LONGEST:
        raise UsageError(f"the phrase to look for is {len(phrase):,} characters; a few words are enough")
    transcripts = Transcripts(catalog)
    is_written = encoder in (None, TRANSCRIPTS) and transcripts.any()
    if encoder == TRANSCRIPTS and not is_written:
        raise UnknownEncoderError(
            f"the library {catalog.folder} has no transcripts; make them with: echoic index FOLDER "
            "--transcripts"
        )
    said: list[_Said] = []
    if encoder != TRANSCRIPTS:
        try:
            name, matches = heard_phrases(
                catalog, spaces, phrase, least, filters, encoder=encoder, every=every or is_written
            )
            said = [_Said(match, name) for match in matches]
        except UsageError:  # it has no such encoder, or the phrase is nothing to this one
            if not is_written:
                raise
    if is_written:
        said = _fused(said, find_written(transcripts, phrase, filters.scope(catalog), least))
    return _hits(catalog, transcripts, said if every else _surest(said), k)


def find_spoken(
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
) -> list[PhraseHit]:
    """Find where a phrase is said that is spoken; see :meth:`echoic.library.Library.phrases`."""
    least = checked_limits(k, min_score, LIKELY)
    name, matches = spoken_phrases(
        catalog,
        spaces,
        example,
        least,
        filters,
        encoder=encoder,
        every=every,
        include_query=include_query,
        noted=noted,
    )
    return _hits(catalog, Transcripts(catalog), [_Said(match, name) for match in matches], k)


def _fused(heard: Sequence[_Said], written: Iterable[Written]) -> list[_Said]:
    """Make one of what is heard and what is written, where both are the same occurrence.

    Its times are those of what is heard, which subtitles tell by the line alone.
    """
    left: dict[int, list[_Said]] = defaultdict(list)
    for one in heard:
        left[one.match.file_id].append(one)
    told = []
    for match, words in written:
        middle = match.start + match.end
        near = min(
            left[match.file_id],
            key=lambda one: abs(one.match.start + one.match.end - middle),
            default=None,
        )
        if near is None or abs(near.match.start + near.match.end - middle) > 2 * _APART:
            told.append(_Said(match, TRANSCRIPTS, words))
            continue
        left[match.file_id].remove(near)
        score = 1 - (1 - near.match.score) * (1 - match.score)
        told.append(_Said(replace(near.match, score=score), f"{near.by}+{TRANSCRIPTS}", words))
    return [*told, *(one for some in left.values() for one in some)]


def _surest(said: Iterable[_Said]) -> list[_Said]:
    best: dict[int, _Said] = {}
    for one in said:
        known = best.setdefault(one.match.file_id, one)
        if (-one.match.score, one.match.start) < (-known.match.score, known.match.start):
            best[one.match.file_id] = one
    return list(best.values())


def _hits(
    catalog: Catalog, transcripts: Transcripts, said: Iterable[_Said], k: int | None
) -> list[PhraseHit]:
    """Name the files of the ``k`` surest, or of all, and tell what is said around them."""
    best = sorted(said, key=lambda one: (-one.match.score, one.match.file_id, one.match.start))[:k]
    paths = catalog.paths([one.match.file_id for one in best])
    hits: list[PhraseHit] = []
    for match, by, words in best:
        if match.file_id in paths:  # else it has left the library
            around = words or spelt(transcripts.around(match.file_id, match.start, match.end, AROUND))
            span = (match.start, match.end, match.score)
            hits.append(PhraseHit(len(hits) + 1, paths[match.file_id], *span, by, around))
    return hits
