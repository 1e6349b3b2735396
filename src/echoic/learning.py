"""What of :class:`echoic.library.Library` learns concepts from examples and answers, and finds them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from echoic.arguments import checked
from echoic.opening import Globs, Opened, explained
from echoic.search.query import Filters, Part
from echoic.storage.catalog import unusable
from echoic.types import Hit, StrPath

if TYPE_CHECKING:
    from echoic.search.result import Concept, Taught

__all__ = ["Learner"]

#: A part of a file: path, start and end in seconds.
Span = tuple[StrPath, float | None, float | None]


class Learner(Opened):
    """Learns what to find; parameters and errors as of :class:`echoic.finding.Finder`."""

    @checked
    def instances(
        self,
        name: str,
        k: int | None = None,
        *,
        every: bool = False,
        min_score: float | None = None,
        path: Globs = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        tags: Sequence[str] = (),
    ) -> Iterator[Hit]:
        """Find where a concept is heard that the library was taught; see :meth:`Library.teach`.

        Parameters
        ----------
        name : str
        k, every, min_score
            As of :meth:`voices`.

        Yields
        ------
        Hit
            The surest first; with ``every`` and without ``k`` file by file, in order of time. What was
            answered is certain: what is of it scores 1, and what is not is left out.
        """
        from echoic.search.concepts import find_instances

        filters = Filters(path, min_duration, max_duration, tags)
        k = 10 if k is None and not every else k
        try:
            yield from find_instances(
                *self._open(), name, k, filters, every=every, min_score=min_score, noted=self._note
            )
        except sqlite3.Error as error:  # while they are read: explained() would only see it begin
            raise unusable(self.folder, error) from error

    @explained
    @checked
    def teach(
        self, name: str, yes: Sequence[StrPath | Span] = (), no: Sequence[StrPath | Span] = ()
    ) -> Taught:
        """Teach the library a concept by examples: what it is, and what it is not.

        They add up over calls; of two answers on one span the later counts. It is then found by
        :meth:`instances`, in what is heard in the library's files (``index(..., encoders=["events"])``), or
        else in the windows of ``sound``. The files need not be in the library.

        Parameters
        ----------
        name : str
            Of the concept, new or known; in any case.
        yes, no : sequence of path or (path, start, end)
            Files, and parts of files in seconds. Of what :meth:`proposals` chose, start and end are those of
            it.

        Returns
        -------
        Taught
            Of several examples, files that cannot be used are told there, and all others are kept.

        Raises
        ------
        UsageError
            If nothing is there that the concept is, or a span is none.
        AudioError
            If no file can be used.
        """
        from echoic.search.concepts import teach

        spans = [[_part(one) for one in given] for given in (yes, no)]
        return teach(*self._open(), name, *spans, noted=self._note)

    @explained
    @checked
    def proposals(
        self,
        name: str,
        k: int = 10,
        *,
        path: Globs = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        tags: Sequence[str] = (),
    ) -> list[Hit]:
        """Choose spans whose answer would help most to find a concept.

        They are to be listened to, and given to :meth:`teach` as what is, or is not, of it.

        Returns
        -------
        list of Hit
            At most ``k``, in the order in which to ask: in turn what is surest and what is most in doubt.
            None where nothing is near enough.
        """
        from echoic.search.concepts import propose

        filters = Filters(path, min_duration, max_duration, tags)
        return propose(*self._open(), name, k, filters, noted=self._note)

    @explained
    def concepts(self) -> list[Concept]:
        """Return what the library was taught, in order of name."""
        from echoic.search.concepts import known

        return known(*self._open(), noted=self._note)

    @explained
    @checked
    def concept(self, name: str) -> Concept:
        """Return what the library was taught of one concept.

        Raises
        ------
        UsageError
            If it was taught nothing of that name.
        """
        from echoic.search.concepts import known

        return known(*self._open(), name, noted=self._note)[0]

    @explained
    @checked
    def forget_concept(self, name: str) -> None:
        """Forget a concept with all that was said of it."""
        from echoic.search.concepts import forget

        forget(self._open()[0], name)


def _part(given: StrPath | Span) -> Part:
    return Part(Path(given[0]), *given[1:]) if isinstance(given, tuple) else Part(Path(given))
