"""Recordings of a library, recognised in files and in streams."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from echoic.audio.live import connections, is_url
from echoic.catalog import Catalog
from echoic.embedding import Excerpt, embed_blocks, embed_densely
from echoic.fingerprint.decision import Decision, check_probability
from echoic.fingerprint.identification import QUERY_HOP, Heard, identify, in_order, query_hop
from echoic.machine import one_thread_for_algebra
from echoic.search.query import Scope
from echoic.spaces import Spaces
from echoic.types import LiveSound, Match, Segments

__all__ = ["Recognition"]


class Recognition:
    """The space that recordings are recognised in, and what is needed to do so.

    Parameters
    ----------
    catalog : Catalog
    spaces : Spaces
    least : float, optional
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
        If ``least`` is no probability.
    """

    def __init__(
        self,
        catalog: Catalog,
        spaces: Spaces,
        least: float | None,
        noted: Callable[[Path, str], None] = lambda *_: None,
    ) -> None:
        check_probability(least)
        source, self._spec = spaces.chosen(None, "recordings")
        self._catalog = catalog
        self._encoder = spaces.encoder(source, self._spec)
        self._store = spaces.store(self._spec)
        self._decision = Decision.load(self._encoder)
        self._least = least
        self._noted = noted

    def identify(self, query: Path, start: float | None, end: float | None, scope: Scope) -> list[Match]:
        """Tell what is heard in a file, or a part of it, in order of time; of copies the nearest first."""

        # Speeds are tried one after the other, of one part of the query.
        excerpt = lru_cache(maxsize=1)(partial(Excerpt.read, query))

        def at_speed(begin: float, finish: float, speed: float) -> Segments:
            # Half the windows tell the speed as well; a quarter do not.
            return excerpt(begin, finish).at_speed(self._encoder, speed, 2 * QUERY_HOP)

        options = {"at_speed": at_speed, **scope._asdict(), "every_place": True}
        with one_thread_for_algebra():
            heard = list(self._listen(self._densely(query, start, end), **options))
        return self._matches(os.fspath(query), in_order(heard))

    def monitor(self, source: str | LiveSound, scope: Scope) -> Iterator[Match]:
        """Tell what is heard in a file, or as it comes, each recording once it is over."""
        if isinstance(source, LiveSound):
            yield from self._heard(source, scope)
        elif is_url(source):
            for connection in connections(source):
                yield from self._heard(connection, scope)
        else:
            for heard in self._listen(self._densely(Path(source)), **scope._asdict()):
                yield from self._matches(source, [heard])

    def _densely(
        self, query: Path, start: float | None = None, end: float | None = None
    ) -> Iterator[Segments]:
        noted = partial(self._noted, query)
        return embed_densely(query, self._encoder, query_hop, start=start, end=end, noted=noted)

    def _heard(self, connection: LiveSound, scope: Scope) -> Iterator[Match]:
        segments = embed_blocks(connection.blocks, connection.sample_rate, self._encoder, QUERY_HOP)
        for heard in self._listen(segments, **scope._asdict()):
            for match in self._matches(connection.name, [heard]):
                yield replace(
                    match,
                    query_start=match.query_start + connection.begun,
                    query_end=match.query_end + connection.begun,
                )

    def _listen(self, segments: Iterable[Segments], **options: Any) -> Iterator[Heard]:
        return identify(segments, self._store, self._spec, self._decision, least=self._least, **options)

    def _matches(self, query: str, heard: Iterable[Heard]) -> list[Match]:
        """Name the files of what was heard; one that is gone since its vectors were read is left out."""
        heard = list(heard)
        paths = self._catalog.paths([one.file_id for one in heard])
        return [
            Match(
                query=query,
                path=paths[one.file_id],
                query_start=one.query_start,
                query_end=one.query_end,
                start=one.start,
                end=one.end,
                score=one.score,
                tempo=one.tempo,
            )
            for one in heard
            if one.file_id in paths
        ]
