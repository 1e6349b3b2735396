"""What all requests share: the library with its encoders and index warm, threads, and media that was made."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Hashable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from fastapi.responses import Response

from echoic.addresses import path_of, place
from echoic.arguments import WORDS
from echoic.buckets import stamp_of
from echoic.errors import AudioError, EchoicError, UsageError
from echoic.heard.files import describe
from echoic.heard.result import HeardSpan
from echoic.library import Library
from echoic.server.answers import Answers
from echoic.server.asked import MOST_HITS, Asked, Describe, Doubts, Filters, Identify, Listed, Sound, Teach
from echoic.server.holdings import Holdings
from echoic.server.limits import Pool, Uploads, check_part_length, listening_at_most
from echoic.server.made import Made
from echoic.server.saving import saved
from echoic.server.sending import Content
from echoic.server.settings import Settings
from echoic.server.shapes import (
    ConceptShape,
    Described,
    Found,
    HitShape,
    Identified,
    MatchShape,
    NoteShape,
    SpanShape,
    TaughtShape,
)
from echoic.storage.catalog.sqlite import FILE
from echoic.types import Hit, Note

__all__ = ["Service"]

_R = TypeVar("_R")
_Q = TypeVar("_Q", bound=Sound)


class Service:
    """One library, open for as long as it is served.

    Parameters
    ----------
    settings : Settings

    Attributes
    ----------
    work : Pool
        For what listens, encodes and draws.
    looks : Pool
        For what looks something up, which must not wait for the others.
    listeners : Semaphore
        As many as may listen at once, less those that do.

    Raises
    ------
    LibraryError
        If there is no library, or it cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.library = Library(settings.library, noted=self._note)
        self.library.encoders()  # raises if it cannot be used
        self.holdings = Holdings(settings.library)
        self.work = Pool(settings.n_threads, settings.n_waiting)
        self.looks = Pool(4, 256)
        self.listeners = threading.Semaphore(settings.n_listeners)
        self.uploads = Uploads(settings.max_upload, settings.upload_seconds)
        self.made = Made()
        self.answers = Answers(settings.library / FILE)
        self._noted = threading.local()

    def close(self) -> None:
        """Let what is running come to its end, then release everything."""
        for pool in (self.work, self.looks):
            pool.close()
        self.made.close()
        self.answers.close()
        self.uploads.close()
        self.holdings.close()
        self.library.close()

    def warm(self) -> None:
        """Load the encoder and the index that most searches use, so that none has to wait for them."""
        try:
            for file in self.holdings.page(Listed(limit=1, min_duration=0.1)).files:
                self.library.search(path_of(file.uri), 1, start=0, end=min(1.0, file.duration))
        except EchoicError:
            return  # whoever searches will be told

    def once(self, answer: Callable[[_Q, Path | None], _R], asked: _Q, sound: Path | None = None) -> _R:
        """Answer what is asked, or as it was answered before about files and a library that are as they were.

        Raises
        ------
        UsageError, HTTPException
            If a file is named that the library lacks; and what ``answer`` raises.
        """
        about: list[Hashable] = []
        if sound is not None:
            with sound.open("rb") as file:
                about.append(hashlib.file_digest(file, "sha256").digest())
        named = [asked.file, *getattr(asked, "like", ()), *getattr(asked, "unlike", ())]
        for reference in named:
            if reference is not None and not reference.startswith(WORDS):
                about.append(_stamp(self.holdings.named(reference).path))
        question = (answer.__name__, asked.model_dump_json(), *about)
        return self.answers.of(question, lambda: answer(asked, sound))

    def search(self, asked: Asked, sound: Path | None = None) -> Found | Response:
        """Find what is asked for, and tell it as is asked; ``sound`` is what a request brought."""
        if asked.format != "json":
            return saved(self._hits(asked, sound)[0], asked.format)
        return self.find(asked, sound)

    def find(self, asked: Asked, sound: Path | None = None) -> Found:
        """Find what is asked for."""
        return self._shaped(*self._hits(asked, sound))

    def _shaped(self, hits: Sequence[Hit], notes: list[NoteShape]) -> Found:
        ids = self.holdings.ids(hit.path for hit in hits)
        return Found(hits=[HitShape.of(hit, ids.get(hit.path)) for hit in hits], notes=notes)

    def _hits(self, asked: Asked, sound: Path | None) -> tuple[Sequence[Hit], list[NoteShape]]:
        query = self._query(asked, sound)
        _check_search(asked, has_sound=query is not None)
        is_heard = asked.by == "sound"
        if is_heard and (asked.start, asked.end) != (None, None):
            self._check_length(asked, sound)
        hits, notes = self._told(lambda: self._found(asked, query), sound, asked, is_heard=is_heard)
        if len(hits) > MOST_HITS:
            raise UsageError(
                f"there are more than {MOST_HITS:,} hits; ask for fewer with k, min_score or a filter"
            )
        return hits, notes

    def _found(self, asked: Asked, query: str | None) -> Sequence[Hit]:
        """Call what finds it; ``query`` is the path of the sound that is asked about."""
        filters = _filters(asked)
        part: dict[str, Any] = {"start": asked.start, "end": asked.end}
        common: dict[str, Any] = {"include_query": asked.include_query} | part | filters
        judged: dict[str, Any] = {"min_score": asked.min_score, "encoder": asked.encoder}
        if asked.phrase is not None:
            return self.library.phrases(asked.phrase, asked.k, every=asked.every, **judged, **common)
        if asked.concept is not None:
            judging: dict[str, Any] = {"every": asked.every, "min_score": asked.min_score}
            instances = self.library.instances(asked.concept, asked.k, **judging, **filters)
            return list(islice(instances, MOST_HITS + 1))
        if query is not None and asked.by == "picture":
            return self.library.pictured(query, asked.k or 10, encoder=asked.encoder, **common)
        if query is not None and asked.spoken:
            return self.library.phrases(Path(query), asked.k, every=asked.every, **judged, **common)
        if query is not None and asked.voice:
            return self.library.voices(query, asked.k, every=asked.every, **judged, **common)
        if query is not None and asked.versions:
            return self.library.versions(query, asked.k or 10, **common)
        examples: dict[str, Any] = {
            "text": asked.text,
            "like": self._examples(asked.like),
            "unlike": self._examples(asked.unlike),
        }
        if asked.every:
            occurrences = self.library.occurrences(query, asked.k, **examples, **judged, **common)
            return list(islice(occurrences, MOST_HITS + 1))
        return self.library.search(query, asked.k or 10, encoder=asked.encoder, **examples, **common)

    def identify(self, asked: Identify, sound: Path | None = None) -> Identified:
        """Tell which recordings are heard in a file of the library, or in what a request brought."""
        query = self._needed(asked, sound)
        self._check_length(asked, sound)
        matches, notes = self._told(
            lambda: self.library.identify(
                query,
                start=asked.start,
                end=asked.end,
                min_score=asked.min_score,
                path=asked.path or None,
                tags=asked.tag,
                include_query=asked.include_query,
            ),
            sound,
            asked,
        )
        ids = self.holdings.ids(match.path for match in matches)
        told = [MatchShape.of(match, ids.get(match.path)) for match in matches]
        return Identified(matches=told, notes=notes)

    def describe(self, asked: Describe, sound: Path | None = None) -> Described:
        """Tell what the library knows is heard in one of its files, or listen to what a request brought."""
        query = self._needed(asked, sound)
        if sound is None and (asked.start, asked.end, asked.min_probability) != (None, None, None):
            raise UsageError(
                "what is heard in a file of the library was told when it was indexed; start, end and "
                "min_probability go with a sound in the body"
            )

        def listen() -> list[HeardSpan]:
            if sound is None:
                return self.library.describe(query)
            return describe(
                sound,
                start=asked.start,
                end=asked.end,
                min_probability=asked.min_probability,
                noted=lambda note: self._note("", note),
            )

        spans, notes = self._told(listen, sound, asked)
        return Described(spans=[SpanShape.of(span) for span in spans], notes=notes)

    # Concepts

    def concepts(self, name: str | None = None) -> list[ConceptShape]:
        """Tell what the library was taught, or what of one concept."""
        known = self.library.concepts() if name is None else [self.library.concept(name)]
        return [ConceptShape.of(concept) for concept in known]

    def teach(self, asked: Teach) -> TaughtShape:
        """Teach the library by files that it has, and parts of them."""
        yes, no = ([self._part(one) for one in given] for given in (asked.yes, asked.no))
        taught = self.library.teach(asked.name, yes, no)
        paths = [*(path for path, *_ in taught.changed), *(path for path, _ in taught.failed)]
        return TaughtShape.of(taught, self.holdings.ids(paths))

    def _part(self, reference: str) -> tuple[Path, float | None, float | None]:
        record, start, end = self.holdings.spanned(reference)
        if (start, end) != (None, None):
            check_part_length(record, start, end, self.settings.max_seconds)
        return place(record.path), start, end

    def forget(self, name: str) -> ConceptShape:
        """Forget a concept, and tell what it was."""
        concept = self.library.concept(name)
        self.library.forget_concept(name)
        return ConceptShape.of(concept)

    def doubts(self, asked: Doubts) -> Found:
        """Choose spans whose answer would help most to find a concept."""
        hits, notes = self._told(
            lambda: self.library.proposals(asked.name, asked.k, **_filters(asked)), None, Sound()
        )
        return self._shaped(hits, notes)

    # What is made of files

    async def make(
        self, key: Hashable, suffix: str, media_type: str, make: Callable[[Path], None]
    ) -> Content:
        """Return what was made before by this key, or else have it made at a path."""
        found = await self.looks.run(self.made.find, key, media_type)
        if found is not None:
            return found
        return await self.work.run(self.made.make, key, suffix, media_type, make)

    # What is asked about

    def _query(self, asked: Sound, sound: Path | None) -> str | None:
        if sound is not None and asked.file is not None:
            raise UsageError("there is a sound in the body and file names another; give one of them")
        if sound is not None:
            return os.fspath(sound)
        return None if asked.file is None else self.holdings.named(asked.file).path

    def _needed(self, asked: Sound, sound: Path | None) -> str:
        query = self._query(asked, sound)
        if query is None:
            raise UsageError("name a file of the library with file, or send a sound in the body")
        return query

    def _check_length(self, asked: Sound, sound: Path | None) -> None:
        """Refuse to listen to too much of a file of the library; one that came is looked at as it is told."""
        if sound is None and asked.file is not None:
            record = self.holdings.named(asked.file)
            check_part_length(record, asked.start, asked.end, self.settings.max_seconds)

    def _examples(self, given: Sequence[str]) -> list[str]:
        return [one if one.startswith(WORDS) else self.holdings.named(one).path for one in given]

    def _told(
        self, work: Callable[[], Sequence[_R]], sound: Path | None, asked: Sound, *, is_heard: bool = True
    ) -> tuple[Sequence[_R], list[NoteShape]]:
        """Return what some work finds, and what is noted meanwhile; a sound that came is told by its name."""
        self._noted.notes = []
        try:
            if sound is not None and is_heard:
                with listening_at_most(asked.start, asked.end, self.settings.max_seconds):
                    found = work()
            else:
                found = work()
        except (AudioError, UsageError) as error:
            if sound is None:
                raise
            raise type(error)(str(error).replace(os.fspath(sound), asked.name)) from None
        return found, [NoteShape.of(note) for note in self._noted.notes]

    def _note(self, query: str, note: Note) -> None:
        notes: list[Note] | None = getattr(self._noted, "notes", None)
        if notes is not None and note not in notes:
            notes.append(note)


def _check_search(asked: Asked, *, has_sound: bool) -> None:
    """Refuse to look for several things at once, or for one by what does not go with it.

    Raises
    ------
    UsageError
    """
    wanted = [name for name in ("phrase", "spoken", "voice", "versions", "concept") if getattr(asked, name)]
    if asked.by == "picture":
        wanted.append("by=picture")
    if len(wanted) > 1:
        raise UsageError(f"{' and '.join(wanted)} are looked for one at a time")
    if wanted and (asked.text or asked.like or asked.unlike):
        raise UsageError(f"{wanted[0]} goes with neither text, like nor unlike")
    if asked.concept is not None:
        alone = ("start", "end", "encoder", "include_query")
        besides = [*(["a sound"] if has_sound else []), *(name for name in alone if getattr(asked, name))]
        if besides:
            raise UsageError(f"concept goes without {' and '.join(besides)}; leave that out")
    elif wanted and asked.phrase is None and not has_sound:
        what = "picture" if asked.by == "picture" else "sound"
        raise UsageError(f"{wanted[0]} goes with a file or a {what} in the body")
    if asked.phrase is not None and has_sound:
        raise UsageError("a phrase is typed, or spoken in a sound: give one of them")
    if asked.versions and (asked.every or asked.encoder is not None):
        raise UsageError("versions goes with neither every nor encoder")
    if asked.by == "picture" and asked.every:
        raise UsageError("by=picture finds the files that fit best, and not every place; leave every out")
    is_cosine = asked.versions or asked.by == "picture" or not (wanted or asked.every)
    if asked.min_score is not None and is_cosine:
        raise UsageError("min_score goes with every, a phrase, a voice or a concept")


def _stamp(path: str) -> tuple[int, int] | None:
    """Return what changes whenever a file is written; None if it is gone."""
    try:
        return stamp_of(path)
    except OSError:
        return None


def _filters(asked: Filters) -> dict[str, Any]:
    return {
        "path": asked.path or None,
        "min_duration": asked.min_duration,
        "max_duration": asked.max_duration,
        "tags": asked.tag,
    }
