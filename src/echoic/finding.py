"""What of :class:`echoic.library.Library` finds sounds, phrases, voices and versions.

Wiring only, as all of its parts: it hands what is open (:mod:`echoic.opening`) to those that do the work.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from echoic.arguments import checked
from echoic.errors import UsageError
from echoic.opening import Globs, Opened, Report, explained
from echoic.search.query import Filters, Query, read_examples
from echoic.storage.catalog import unusable
from echoic.types import Hit, PhraseHit, StrPath

__all__ = ["Finder"]


class Finder(Opened):
    """Finds sounds, phrases, voices and versions; see :class:`echoic.library.Library`.

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

    @explained
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
        """Find the files that sound most like what a picture shows, or a film, at frames spread over it.

        ``encoder`` is by default the library's first that takes pictures, as ``pe-av`` does; ``start`` and
        ``end`` choose a part of a film. The rest is as in :meth:`search`.
        """
        from echoic.search.pictures import find_pictured

        part = {"start": start, "end": end}
        more: dict[str, Any] = {"encoder": encoder, "include_query": include_query} | part
        filters = Filters(path, min_duration, max_duration, tags)
        return find_pictured(*self._open(), Path(picture), k, filters, **more)

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
    ) -> list[PhraseHit]:
        """Find where words are said that are typed, or spoken in a file.

        Typed words are found by an encoder such as ``phonemes``, and in transcripts where the library has
        them; spoken ones by an encoder such as ``speech``.

        Parameters
        ----------
        phrase : str or Path
            Words and numbers; for an encoder such as ``phonemes`` they must be English, from three sounds to
            some fifteen words. In transcripts neither case, accents nor signs matter, nor how numbers are
            written. Or, as a path, a recording in which somebody says what is looked for, .3 to 6 s of
            speech in any language. It is found whoever else says it.
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
        list of PhraseHit
            Best first, each with the begin and end of the phrase, what found it, and, where there is a
            transcript, what is said there and around it. ``encoder="transcripts"`` asks these alone.
        """
        from echoic.search.said import find_phrases, find_spoken

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
