"""What of :class:`echoic.client.Client` finds sounds, pictures' sounds, phrases, voices and versions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from echoic.arguments import checked
from echoic.client.wire import Globs, Wire, as_hits
from echoic.types import Hit, PhraseHit, Progress, StrPath

__all__ = ["Finder"]

Report = Callable[[Progress], None] | None


class Finder(Wire):
    """Finds sounds, phrases, voices and versions; see :class:`echoic.finding.Finder`."""

    @checked
    def search(
        self,
        query: StrPath | None = None,
        k: int = 10,
        *,
        text: str | None = None,
        encoder: str | None = None,
        start: float | None = None,
        end: float | None = None,
        like: Sequence[StrPath] = (),
        unlike: Sequence[StrPath] = (),
        path: Globs = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        tags: Sequence[str] = (),
        include_query: bool = False,
    ) -> list[Hit]:
        """Find the files that sound most like an example, or that fit words; see :meth:`Library.search`."""
        told = self._ask(
            "/v1/search",
            query,
            k=k,
            text=text,
            encoder=encoder,
            start=start,
            end=end,
            like=[self._example(one) for one in like],
            unlike=[self._example(one) for one in unlike],
            path=path,
            min_duration=min_duration,
            max_duration=max_duration,
            tag=tags,
            include_query=include_query,
        )
        self._tell(told, text if query is None else query)
        return as_hits(told, Hit)

    @checked
    def pictured(
        self,
        picture: StrPath,
        k: int = 10,
        *,
        encoder: str | None = None,
        start: float | None = None,
        end: float | None = None,
        path: Globs = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        tags: Sequence[str] = (),
        include_query: bool = False,
    ) -> list[Hit]:
        """Find the files that sound most like what a picture or film shows; see :meth:`Library.pictured`."""
        told = self._ask(
            "/v1/search",
            picture,
            by="picture",
            k=k,
            encoder=encoder,
            start=start,
            end=end,
            path=path,
            min_duration=min_duration,
            max_duration=max_duration,
            tag=tags,
            include_query=include_query,
        )
        return as_hits(told, Hit)

    @checked
    def occurrences(
        self,
        query: StrPath | None = None,
        k: int | None = None,
        *,
        text: str | None = None,
        encoder: str | None = None,
        start: float | None = None,
        end: float | None = None,
        like: Sequence[StrPath] = (),
        unlike: Sequence[StrPath] = (),
        min_score: float | None = None,
        path: Globs = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        tags: Sequence[str] = (),
        include_query: bool = False,
    ) -> Iterator[Hit]:
        """Find every place where something is heard, 10,000 at most; see :meth:`Library.occurrences`."""
        told = self._ask(
            "/v1/search",
            query,
            every=True,
            k=k,
            text=text,
            encoder=encoder,
            start=start,
            end=end,
            like=[self._example(one) for one in like],
            unlike=[self._example(one) for one in unlike],
            min_score=min_score,
            path=path,
            min_duration=min_duration,
            max_duration=max_duration,
            tag=tags,
            include_query=include_query,
        )
        self._tell(told, text if query is None else query)
        yield from as_hits(told, Hit)

    @checked
    def phrases(
        self,
        phrase: str | os.PathLike[str],
        k: int | None = None,
        *,
        start: float | None = None,
        end: float | None = None,
        every: bool = False,
        min_score: float | None = None,
        encoder: str | None = None,
        include_query: bool = False,
        path: Globs = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        tags: Sequence[str] = (),
    ) -> list[PhraseHit]:
        """Find where words are said that are typed, or spoken in a file; see :meth:`Library.phrases`."""
        is_typed = isinstance(phrase, str)
        told = self._ask(
            "/v1/search",
            None if is_typed else phrase,
            phrase=phrase if is_typed else None,
            spoken=not is_typed,
            k=k,
            start=start,
            end=end,
            every=every,
            min_score=min_score,
            encoder=encoder,
            include_query=include_query,
            path=path,
            min_duration=min_duration,
            max_duration=max_duration,
            tag=tags,
        )
        self._tell(told, phrase)
        return as_hits(told, PhraseHit)

    @checked
    def voices(
        self,
        query: StrPath,
        k: int | None = None,
        *,
        start: float | None = None,
        end: float | None = None,
        every: bool = False,
        min_score: float | None = None,
        encoder: str | None = None,
        include_query: bool = False,
        path: Globs = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        tags: Sequence[str] = (),
    ) -> list[Hit]:
        """Find where somebody speaks, whatever is said; see :meth:`Library.voices`."""
        told = self._ask(
            "/v1/search",
            query,
            voice=True,
            k=k,
            start=start,
            end=end,
            every=every,
            min_score=min_score,
            encoder=encoder,
            include_query=include_query,
            path=path,
            min_duration=min_duration,
            max_duration=max_duration,
            tag=tags,
        )
        self._tell(told, query)
        return as_hits(told, Hit)

    @checked
    def versions(
        self,
        query: StrPath,
        k: int = 10,
        *,
        start: float | None = None,
        end: float | None = None,
        path: Globs = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        tags: Sequence[str] = (),
        include_query: bool = False,
        progress: Report = None,
    ) -> list[Hit]:
        """Find other versions of a piece of music; see :meth:`Library.versions`.

        How far it has come is not told over HTTP: ``progress`` is never called.
        """
        told = self._ask(
            "/v1/search",
            query,
            versions=True,
            k=k,
            start=start,
            end=end,
            path=path,
            min_duration=min_duration,
            max_duration=max_duration,
            tag=tags,
            include_query=include_query,
        )
        self._tell(told, query)
        return as_hits(told, Hit)
