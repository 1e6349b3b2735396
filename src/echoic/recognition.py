"""Recordings of a library, recognised in files and in streams."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.audio.live import connections, is_url
from echoic.catalog import Catalog
from echoic.embedding import embed_blocks, embed_densely, embed_part
from echoic.encoders.registry import IDENTIFIES
from echoic.fingerprint.decision import Decision
from echoic.fingerprint.identification import QUERY_HOP, identify
from echoic.machine import one_thread_for_algebra
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

    Raises
    ------
    LibraryError
        If the library is empty, or its fingerprints are of another revision.
    UnknownEncoderError
        If the library was made without fingerprints.
    """

    def __init__(self, catalog: Catalog, spaces: Spaces, least: float | None) -> None:
        source, self._spec = spaces.chosen(IDENTIFIES)
        self._catalog = catalog
        self._encoder = spaces.encoder(source, self._spec)
        self._store = spaces.store(self._spec)
        self._decision = Decision.load(self._spec)
        self._least = least

    def identify(self, query: Path, start: float | None, end: float | None) -> list[Match]:
        """Tell what is heard in a file, or a part of it, in order of time."""

        def at_speed(begin: float, finish: float, speed: float) -> Segments:
            # Half the windows tell the speed as well.
            return embed_part(query, self._encoder, begin, finish, hop=2 * QUERY_HOP, speed=speed)

        if start is None and end is None:
            segments = embed_densely(query, self._encoder, QUERY_HOP)
        else:
            segments = iter([embed_part(query, self._encoder, start, end, hop=QUERY_HOP)])
        with one_thread_for_algebra():
            matches = list(self._matches(os.fspath(query), segments, at_speed))
        return sorted(matches, key=lambda match: (match.query_start, -match.score))

    def monitor(self, source: str | LiveSound) -> Iterator[Match]:
        """Tell what is heard in a file, or as it comes, each recording once it is over."""
        if isinstance(source, LiveSound):
            yield from self._heard(source)
        elif is_url(source):
            for connection in connections(source):
                yield from self._heard(connection)
        else:
            yield from self._matches(source, embed_densely(Path(source), self._encoder, QUERY_HOP))

    def _heard(self, connection: LiveSound) -> Iterator[Match]:
        segments = embed_blocks(connection.blocks, connection.sample_rate, self._encoder, QUERY_HOP)
        for match in self._matches(connection.name, segments):
            yield replace(
                match,
                query_start=match.query_start + connection.begun,
                query_end=match.query_end + connection.begun,
            )

    def _matches(
        self,
        query: str,
        segments: Iterable[Segments],
        at_speed: Callable[[float, float, float], Segments] | None = None,
    ) -> Iterator[Match]:
        for heard in identify(
            segments,
            self._store,
            self._spec,
            self._starts_of,
            self._decision,
            at_speed=at_speed,
            least=self._least,
        ):
            path = self._catalog.paths([heard.file_id]).get(heard.file_id)
            if path is not None:  # gone since its vectors were read
                yield Match(
                    query=query,
                    path=path,
                    query_start=heard.query_start,
                    query_end=heard.query_end,
                    start=heard.start,
                    end=heard.end,
                    score=heard.score,
                    tempo=heard.tempo,
                )

    def _spans_of(self, file_id: int) -> npt.NDArray[np.float64]:
        return self._catalog.spans(file_id, self._spec.key)

    def _starts_of(self, file_id: int) -> npt.NDArray[np.float64]:
        return self._spans_of(file_id)[:, 0]
