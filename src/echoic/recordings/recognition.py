"""Recordings of a library, recognised in files and in streams."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from echoic.addresses import is_url
from echoic.analysis.excerpts import Excerpt, embed_blocks, embed_densely
from echoic.audio.live import connections
from echoic.machine import one_thread_for_algebra
from echoic.recordings.decision import Decision, check_probability
from echoic.recordings.identification import Heard, Identifying, identify, in_order
from echoic.recordings.result import Match
from echoic.recordings.stretches import QUERY_HOP, query_hop
from echoic.search.query import Scope
from echoic.storage.catalog import Catalog
from echoic.storage.spaces import Spaces
from echoic.types import Float32, LiveSound, Note, Segments

__all__ = ["Ear", "Recognition"]

_SPEED_HOP = 2 * QUERY_HOP  # s: half the windows tell the speed as well; a quarter do not
_KEPT = 60.0  # s of sound that comes once, of which what is judged now are the last few


class _Recent:
    """What was last heard of sound that comes once; silence, however long, takes no place."""

    def __init__(self, sample_rate: int, seconds: float) -> None:
        self._sample_rate = sample_rate
        self._most = seconds * sample_rate
        self._blocks: deque[tuple[int, Float32]] = deque()  # with the sample that each begins at
        self._n_kept = 0

    def keep(self, blocks: Iterable[Float32]) -> Iterator[Float32]:
        """Pass blocks on, shape (n,), and keep them for a while."""
        begin = 0
        for block in blocks:
            if block.any():
                self._blocks.append((begin, block))
                self._n_kept += len(block)
            while self._n_kept > self._most:
                self._n_kept -= len(self._blocks.popleft()[1])
            begin += len(block)
            yield block

    def between(self, start: float, end: float) -> Float32:
        """Return the samples between two times in seconds, with silence for what is not kept."""
        first, last = round(start * self._sample_rate), round(end * self._sample_rate)
        samples = np.zeros(last - first, np.float32)
        for begin, block in self._blocks:
            to = max(0, begin - first)
            part = block[max(0, first - begin) : max(0, last - begin)]
            samples[to : to + len(part)] = part
        return samples


class Ear:
    """One sound that comes, and what was heard of it so far; it is handed blocks, whoever decodes them.

    Parameters
    ----------
    encode : callable
        Gives the windows of blocks as they come, some or none for each, and at last those of the rest.
    identifying : Identifying
    named : callable
        Makes matches of what was heard.
    """

    def __init__(
        self,
        encode: Callable[[Iterable[Float32]], Iterator[Segments]],
        identifying: Identifying,
        named: Callable[[Iterable[Heard]], list[Match]],
    ) -> None:
        self._blocks: deque[Float32] = deque()
        self._segments = encode(self._taken())
        self._identifying, self._named = identifying, named

    def _taken(self) -> Iterator[Float32]:
        while self._blocks:
            yield self._blocks.popleft()

    def push(self, block: Float32) -> Iterator[Match]:
        """Take the next samples, mono, shape (n,); tell what is over by now."""
        self._blocks.append(block)
        yield from self._told(self._identifying.push(next(self._segments)))

    def finish(self) -> Iterator[Match]:
        """Tell what was heard last, the sound being over."""
        for rest in self._segments:
            yield from self._told(self._identifying.push(rest))
        yield from self._told(self._identifying.finish())

    def _told(self, heard: Iterator[Heard]) -> Iterator[Match]:
        for one in heard:
            yield from self._named([one])


class Recognition:
    """The space that recordings are recognised in, and what is needed to do so.

    Parameters
    ----------
    catalog : Catalog
    spaces : Spaces
    min_score : float, optional
        Probability from which on something is told; by default one that unknown recordings rarely reach.
    noted : callable, optional
        Called with a query and what a person should know of it.

    Raises
    ------
    LibraryError
        If the library is empty, or its fingerprints are of another revision.
    UnknownEncoderError
        If the library was made without fingerprints.
    UsageError
        If ``min_score`` is no probability.
    """

    def __init__(
        self,
        catalog: Catalog,
        spaces: Spaces,
        min_score: float | None,
        noted: Callable[[Path, Note], None] = lambda *_: None,
    ) -> None:
        check_probability(min_score)
        source, self._spec = spaces.chosen(None, "recordings")
        self._catalog = catalog
        self._encoder = spaces.encoder(source, self._spec)
        self._store = spaces.store(self._spec)
        self._decision = Decision.load(self._encoder)
        self._min_score = min_score
        self._noted = noted

    @property
    def sample_rate(self) -> int:
        """Hz, of what the encoder takes."""
        return self._spec.sample_rate

    def identify(self, query: Path, start: float | None, end: float | None, scope: Scope) -> list[Match]:
        """Tell what is heard in a file, or a part of it, in order of time; of copies the nearest first."""
        options = {**scope._asdict(), "every_place": True}
        with one_thread_for_algebra():
            heard = list(self._listen(self._densely(query, start, end), self._at_speed(query), **options))
        return self._matches(os.fspath(query), in_order(heard))

    def monitor(self, source: str | LiveSound, scope: Scope) -> Iterator[Match]:
        """Tell what is heard in a file, or as it comes, each recording once it is over."""
        if isinstance(source, LiveSound):
            yield from self._heard(source, scope)
        elif is_url(source):
            for connection in connections(source):
                yield from self._heard(connection, scope)
        else:
            query = Path(source)
            for heard in self._listen(self._densely(query), self._at_speed(query), **scope._asdict()):
                yield from self._matches(source, [heard])

    def _at_speed(self, query: Path) -> Callable[[float, float, float], Segments]:
        """Return what encodes parts of a file at a speed, as :func:`identify` asks for it."""
        # Speeds are tried one after the other, of one part of the query.
        excerpt = lru_cache(maxsize=1)(partial(Excerpt.read, query))

        def at_speed(begin: float, finish: float, speed: float) -> Segments:
            return excerpt(begin, finish).at_speed(self._encoder, speed, _SPEED_HOP)

        return at_speed

    def _densely(
        self, query: Path, start: float | None = None, end: float | None = None
    ) -> Iterator[Segments]:
        noted = partial(self._noted, query)
        return embed_densely(query, self._encoder, query_hop, start=start, end=end, noted=noted)

    def ear(self, sound: LiveSound, scope: Scope, *, hop: float = QUERY_HOP, kept: float = _KEPT) -> Ear:
        """Make what listens to sound as it comes; see :class:`Ear`."""
        recent = _Recent(sound.sample_rate, kept)

        def at_speed(begin: float, finish: float, speed: float) -> Segments:
            return Excerpt(recent.between(begin, finish), sound.sample_rate, begin).at_speed(
                self._encoder, speed, _SPEED_HOP
            )

        identifying = Identifying(
            self._store,
            self._spec,
            self._decision,
            at_speed=at_speed,
            min_score=self._min_score,
            **scope._asdict(),
        )
        return Ear(
            lambda blocks: embed_blocks(recent.keep(blocks), sound.sample_rate, self._encoder, hop),
            identifying,
            lambda heard: self._matches(sound.name, heard, sound.begun),
        )

    def _heard(self, connection: LiveSound, scope: Scope) -> Iterator[Match]:
        ear = self.ear(connection, scope)
        for block in connection.blocks:
            yield from ear.push(block)
        yield from ear.finish()
        for note in connection.notes():
            self._noted(Path(connection.name), note)

    def _listen(
        self,
        segments: Iterable[Segments],
        at_speed: Callable[[float, float, float], Segments],
        **options: Any,
    ) -> Iterator[Heard]:
        return identify(
            segments,
            self._store,
            self._spec,
            self._decision,
            at_speed=at_speed,
            min_score=self._min_score,
            **options,
        )

    def _matches(self, query: str, heard: Iterable[Heard], begun: float = 0.0) -> list[Match]:
        """Name the files of what was heard; one that is gone since its vectors were read is left out.

        ``begun`` is when that began which the times count from.
        """
        heard = list(heard)
        paths = self._catalog.paths([one.file_id for one in heard])
        return [
            Match(
                query=query,
                path=paths[one.file_id],
                query_start=one.query_start + begun,
                query_end=one.query_end + begun,
                start=one.start,
                end=one.end,
                score=one.score,
                tempo=one.tempo,
            )
            for one in heard
            if one.file_id in paths
        ]
