"""What may be asked of a library: the half of :class:`echoic.library.Library` that finds things.

Wiring only: it hands what is open (:mod:`echoic.opening`) to the parts that do the work.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from echoic.arguments import checked
from echoic.errors import UsageError
from echoic.opening import Opening, default_folder, explained
from echoic.search.query import Filters, Query, read_examples
from echoic.storage.catalog import Catalog, unusable
from echoic.storage.spaces import Spaces
from echoic.types import Duplicate, Hit, LiveSound, Match, Note, Progress, Repeat, SourceStatus, StrPath

if TYPE_CHECKING:
    from echoic.recordings.recognition import Recognition

__all__ = ["Finder", "Report"]

Globs = str | Sequence[str] | None
Report = Callable[[Progress], None] | None


class Finder:
    """Finds sounds, versions, recordings and duplicates; see :class:`echoic.library.Library`.

    Notes
    -----
    Some parameters mean the same in every method:

    * ``start``, ``end``: seconds; only this part of the query is used.
    * ``path``: only files whose path fits this glob, or one of several; ``min_duration``, ``max_duration``:
      only files of that length, in seconds; ``tags``: only files with all of these, ``VALUE`` or
      ``NAME=VALUE``.
    * ``include_query``: let the query, if it is indexed, be found itself.
    * Of several paths, texts or tags, one need not be a list.
    * ``progress``: called with a :class:`~echoic.types.Progress` after each file.

    Each raises LibraryError if there is no library or it cannot be used, UnknownEncoderError if it has no
    encoder for what is asked, AudioError if a query cannot be read or nothing can be heard in it, and
    UsageError if an argument makes no sense.
    """

    @checked
    def __init__(
        self, folder: StrPath | None = None, *, noted: Callable[[str, Note], None] | None = None
    ) -> None:
        self.folder = default_folder() if folder is None else Path(folder)
        self._noted = noted
        self._opening = Opening(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release files, connections and worker processes. The library opens itself again when used."""
        self._opening.close()

    @explained
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
        """Find the files that sound most like an example, or that fit words.

        Parameters
        ----------
        query : path, optional
            An audio file, in the library or not. Without it there must be ``text`` or ``like``.
        k : int
            Files wanted.
        text : str, optional
            Words for what is wanted, by an encoder that takes them, as ``sound`` does. Beside an example they
            are one more thing to be like.
        encoder : str, optional
            The space to compare in; by default the library's ``sound``, or else its first.
        like, unlike : sequence of path
            Further examples of what is wanted, and of what is not; or words for it, ``"text:rain on tin"``.

        Returns
        -------
        list of Hit
            At most ``k``, best first, one for each file.
        """
        from echoic.search.sounds import find_sounds

        asked = Query(
            path=None if query is None else Path(query),
            text=text,
            start=start,
            end=end,
            like=read_examples(like),
            unlike=read_examples(unlike),
        )
        filters = Filters(path, min_duration, max_duration, tags)
        return find_sounds(
            *self._open(), asked, k, filters, encoder=encoder, include_query=include_query, noted=self._note
        )

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
        """Find every place where something is heard, in files of any length, with its begin and end.

        Needs what is heard in the library's files: ``index(..., encoders=["events"])``. Memory does not grow
        with the library.

        Parameters
        ----------
        query, text, like, unlike
            As of :meth:`search`; of an example its loudest parts count.
        k : int, optional
            Hits wanted, by default all.
        min_score : float, optional
            Probability from which on an occurrence is told, .5 by default. It is judged by what is usual in
            the library, so that one serves all examples.

        Yields
        ------
        Hit
            File by file, in order of time; with ``k`` the surest, the best first.
        """
        from echoic.search.occurrences import find_occurrences

        asked = Query(
            path=None if query is None else Path(query),
            text=text,
            start=start,
            end=end,
            like=read_examples(like),
            unlike=read_examples(unlike),
        )
        filters = Filters(path, min_duration, max_duration, tags)
        try:
            yield from find_occurrences(
                *self._open(),
                asked,
                k,
                filters,
                encoder=encoder,
                min_score=min_score,
                include_query=include_query,
                noted=self._note,
            )
        except sqlite3.Error as error:  # while they are read: explained() would only see it begin
            raise unusable(self.folder, error) from error

    @explained
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
    ) -> list[Hit]:
        """Find where words are said that are typed, or spoken in a file.

        Typed words are found by an encoder such as ``phonemes``, spoken ones by one such as ``speech``.

        Parameters
        ----------
        phrase : str or Path
            English words, and numbers, from three sounds to some fifteen words; or, as a path, a
            recording in which somebody says what is looked for, .3 to 6 s of speech in any language. It is
            found whoever else says it.
        k : int, optional
            Hits wanted; by default 10, or with ``every`` all.
        every : bool
            Tell every occurrence, of which a file may have many, not only the surest of each file.
        min_score : float, optional
            Probability from which on an occurrence is told, .5 by default.
        include_query : bool
            Tell, too, where the example itself lies in a file of the library.

        Returns
        -------
        list of Hit
            Best first, each with the begin and end of the phrase.
        """
        from echoic.search.phrases import find_phrases, find_spoken

        filters = Filters(path, min_duration, max_duration, tags)
        k = 10 if k is None and not every else k
        if not isinstance(phrase, str):
            example = Query(Path(phrase), start=start, end=end)
            return find_spoken(
                *self._open(),
                example,
                k,
                filters,
                encoder=encoder,
                every=every,
                min_score=min_score,
                include_query=include_query,
                noted=self._note,
            )
        if (start, end) != (None, None) or include_query:
            raise UsageError("start, end and include_query go with a phrase that is spoken in a file")
        return find_phrases(
            *self._open(), phrase, k, filters, encoder=encoder, every=every, min_score=min_score
        )

    @explained
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
        """Find where somebody speaks, whatever is said, by an encoder such as ``voice``.

        Parameters
        ----------
        query : path
            A recording in which one person speaks, for a second at least; five make it surer.
        k : int, optional
            Hits wanted; by default 10, or with ``every`` all.
        every : bool
            Tell every stretch of speech, of which a file may have many, not only the surest of each file.
        min_score : float, optional
            Probability from which on it is told that the voice is the same, .5 by default.
        include_query : bool
            Tell, too, where the example itself lies in a file of the library.

        Returns
        -------
        list of Hit
            Surest first, each with the begin and end of what is spoken.
        """
        from echoic.search.voices import find_voices

        return find_voices(
            *self._open(),
            Query(Path(query), start=start, end=end),
            10 if k is None and not every else k,
            Filters(path, min_duration, max_duration, tags),
            encoder=encoder,
            every=every,
            min_score=min_score,
            include_query=include_query,
            noted=self._note,
        )

    @explained
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
        """Find other versions of a piece of music: other takes, arrangements, keys and tempi.

        What is compared is the harmony over time, so recordings that share a long passage of chords come
        first. Every file is looked at: some thousand pieces take seconds. Of a long query the first ten
        minutes count.

        Returns
        -------
        list of Hit
            At most ``k``, best first, each with the passage that both have. From a score of about .6 on it is
            likely the same music.
        """
        from echoic.search.versions import find_versions

        asked = Query(Path(query), start=start, end=end)
        filters = Filters(path, min_duration, max_duration, tags)
        return find_versions(
            *self._open(), asked, k, filters, include_query=include_query, noted=self._note, progress=progress
        )

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
        except sqlite3.Error as error:  # while it is read: _explained would only see it begin
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
            Called with a :class:`~echoic.types.SourceStatus` whenever it changes what has become of a source.
        """
        from echoic.recordings.many import listen

        try:
            scope = Filters(path, tags=tags).scope(self._open()[0])
            names = [os.fspath(source) for source in sources]
            yield from listen(self._recognition(min_score), names, scope, told, self._note)
        except sqlite3.Error as error:  # while it is read: _explained would only see it begin
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

    # Wiring

    def _open(self, *, create: bool = False) -> tuple[Catalog, Spaces]:
        return self._opening.get(create=create)

    def _recognition(self, min_score: float | None) -> Recognition:
        from echoic.recordings.recognition import Recognition

        return Recognition(*self._open(), min_score, noted=self._note)

    def _note(self, query: Path | str, note: Note) -> None:
        """Pass on what a person should know of a query."""
        if self._noted is not None:
            self._noted(os.fspath(query), note)
