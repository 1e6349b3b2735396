"""What of :class:`echoic.library.Library` recognises recordings: in files, in streams and in each other."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from echoic.arguments import checked
from echoic.opening import Globs, Opened, Report, explained
from echoic.search.query import Filters, Query
from echoic.storage.catalog import unusable
from echoic.types import LiveSound, StrPath

if TYPE_CHECKING:
    from echoic.recordings.recognition import Recognition
    from echoic.recordings.result import Duplicate, Match, Repeat, SourceStatus

__all__ = ["Recogniser"]


class Recogniser(Opened):
    """Tells which recordings are heard; parameters and errors as of :class:`echoic.finding.Finder`."""

    @explained
    @checked
    def identify(
        self,
        query: StrPath,
        *,
        start: float | None = None,
        end: float | None = None,
        min_score: float | None = None,
        path: Globs = None,
        tags: Sequence[str] = (),
        include_query: bool = False,
    ) -> list[Match]:
        """Tell which recordings of the library are heard in a file, and where; none if it is none of them.

        Noise, rooms, telephones, codecs and changes of speed or tempo up to 10 % are seen through. The file
        may be of any length, and several recordings may be heard in it; of one that is indexed, its other
        copies are found.

        Parameters
        ----------
        min_score : float, optional
            Probability from which on a match is told; by default one that unknown recordings rarely reach.

        Returns
        -------
        list of Match
            In order of time; each airing once. All of a query, a jingle say, is told at every place of a
            recording where it lies, the nearest first, as copies of a recording are.
        """
        asked = Query(Path(query), start=start, end=end)
        recognition = self._recognition(min_score)
        scope = Filters(path, tags=tags).scope(self._open()[0], () if include_query else asked.examples)
        return recognition.identify(Path(query), start, end, scope)

    @checked
    def monitor(
        self,
        source: StrPath | LiveSound,
        *,
        min_score: float | None = None,
        path: Globs = None,
        tags: Sequence[str] = (),
    ) -> Iterator[Match]:
        """Listen to a stream, or a long file, and tell each recording of the library once it is over.

        Memory does not grow.

        Parameters
        ----------
        source : path, str or LiveSound
            A file; an ``http://``, ``https://`` or ``icy://`` address: web radio, a playlist (M3U, PLS) whose
            first address is listened to, or a file; or sound that comes in some other way, such as
            :func:`~echoic.audio.live.microphone`. A stream that breaks off is connected to again; times are
            seconds since listening began. Matches name an address without its user and password.
        min_score : float, optional
            As of :meth:`identify`.
        """
        try:
            yield from self._recognition(min_score).monitor(
                source if isinstance(source, LiveSound) else os.fspath(source),
                Filters(path, tags=tags).scope(self._open()[0]),
            )
        except sqlite3.Error as error:  # while it is read: explained would only see it begin
            raise unusable(self.folder, error) from error

    @checked
    def monitor_all(
        self,
        sources: Sequence[StrPath],
        *,
        min_score: float | None = None,
        path: Globs = None,
        tags: Sequence[str] = (),
        told: Callable[[SourceStatus], None] = lambda _: None,
    ) -> Iterator[Match]:
        """Listen to many sources at once, and tell each recording of the library once it is over.

        They take one process, and some 4 MB each. Each is connected to again by itself when it breaks off;
        one that fails for good stops no other. A match's ``query`` is its source.

        Parameters
        ----------
        sources : sequence of path or str
            Addresses as of :meth:`monitor` are listened to all at once, and ``"-"``, standard input; files
            one after the other.
        min_score : float, optional
            As of :meth:`identify`.
        told : callable, optional
            Called with a :class:`~echoic.recordings.result.SourceStatus` whenever it changes what has become
            of a source.
        """
        from echoic.recordings.many import listen

        try:
            scope = Filters(path, tags=tags).scope(self._open()[0])
            names = [os.fspath(source) for source in sources]
            yield from listen(self._recognition(min_score), names, scope, told, self._note)
        except sqlite3.Error as error:  # while it is read: explained would only see it begin
            raise unusable(self.folder, error) from error

    @explained
    @checked
    def duplicates(self, *, min_score: float | None = None, progress: Report = None) -> list[Duplicate]:
        """Find all recordings that the library holds twice; see :meth:`duplicates_as_found`.

        Returns
        -------
        list of Duplicate
            Each pair of files once for each part that they share.
        """
        found = self.duplicates_as_found(min_score=min_score, progress=progress)
        return [duplicate for finding in found for duplicate in finding]

    @checked
    def duplicates_as_found(
        self, *, min_score: float | None = None, progress: Report = None
    ) -> Iterator[tuple[Duplicate, ...]]:
        """Tell the recordings that the library holds twice, while they are looked for.

        Whole or in part, in any format and level. What was found is kept beside the library until that
        changes: a search that was stopped goes on where it was, after it has told the same again.

        Parameters
        ----------
        min_score : float, optional
            Probability from which on two files are told.

        Yields
        ------
        tuple of Duplicate
            What belongs together: all pairs of a group of copies, or the parts that one file shares with
            others.
        """
        from echoic.recordings.duplicates import Duplication

        try:
            yield from Duplication(*self._open(), min_score).findings(progress)
        except (OSError, sqlite3.Error) as error:
            raise unusable(self.folder, error) from error

    @explained
    @checked
    def repeats(
        self,
        *,
        min_length: float = 2.0,
        apart: float = 300.0,
        min_score: float | None = None,
        progress: Report = None,
    ) -> list[tuple[Repeat, ...]]:
        """Find what is heard again and again within the library's files and across them.

        By their fingerprints: nothing is decoded. It needs no reference; :func:`echoic.find_repeats` finds
        more of what is short, since it encodes files twice as densely.

        Parameters
        ----------
        min_length, apart, min_score
            As of :func:`echoic.find_repeats`.

        Returns
        -------
        list of tuple of Repeat
            Groups in order of their first places; of a group the surest place first.
        """
        from echoic.recordings.repeats.repetition import library_repeats

        return library_repeats(
            *self._open(), min_length=min_length, apart=apart, min_score=min_score, progress=progress
        )

    def _recognition(self, min_score: float | None) -> Recognition:
        from echoic.recordings.recognition import Recognition

        return Recognition(*self._open(), min_score, noted=self._note)
