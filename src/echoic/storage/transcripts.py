"""What is said in the files of a library, word for word, and where some words are among it.

A transcript is kept line by line, and once more as it is searched: in passages of some hundred words, folded
(:mod:`echoic.storage.folding`), each with the words that follow it, so that no phrase lies across an edge. An
index of full text tells which passages may have a phrase (SQLite's FTS5; in PostgreSQL all are looked
through), and the letters of these, where.
"""

from __future__ import annotations

import json
import os
import sqlite3
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from echoic.storage.catalog import Catalog
from echoic.storage.catalog.conditions import under as at_or_under
from echoic.storage.folding import Token, fold, keys_asked, keys_of
from echoic.types import Cue, Transcript, Word

__all__ = ["LONGEST", "Laid", "Place", "TranscribedFile", "Transcripts"]

#: Words, folded, that a phrase may have.
LONGEST = 64
_OWN = 256  # words of a passage


class TranscribedFile(NamedTuple):
    """A file, how many seconds of sound it has, and what its transcript is by, if it has one."""

    id: int
    path: Path
    duration: float
    source: str | None
    refused: str  # digests of subtitles beside it that are of another cut


class Place(NamedTuple):
    """Where a phrase is written in a transcript: its words, from the first to the last, and some around."""

    file_id: int
    words: list[Word]
    before: list[Word]
    after: list[Word]
    is_parted_so: bool  # as it was asked for
    voice: str  # who says the first of them, where that is known


class Laid(NamedTuple):
    """A transcript as rows to be kept; made before a transaction begins, for it may take a while."""

    source: str
    cues: list[tuple[object, ...]]
    passages: list[tuple[object, ...]]

    @classmethod
    def of(cls, transcript: Transcript) -> Laid:
        """Lay out a transcript."""
        cues: list[tuple[object, ...]] = []
        texts: list[str] = []
        for cue in transcript.cues:
            words = [
                (round(word.start, 3), round(word.end, 3), word.text, round(word.probability, 3))
                for word in cue.words
            ]
            spelt = json.dumps(words, ensure_ascii=False, separators=(",", ":"))
            times = round(cue.start, 3), round(cue.end, 3)
            cues.append((len(texts), *times, cue.language, cue.voice, spelt))
            texts += [word.text for word in cue.words]
        tokens = fold(texts)
        passages: list[tuple[object, ...]] = []
        for at in range(0, len(tokens), _OWN):
            some = tokens[at : at + _OWN + LONGEST]
            folded = [token.text for token in some]
            places = np.array([(token.first, token.last) for token in some], "<u4").tobytes()
            n_own = min(_OWN, len(tokens) - at)
            passages.append((n_own, " ".join(folded), places, " ".join(keys_of(folded))))
        return cls(transcript.source, cues, passages)


class Transcripts:
    """The transcripts that a library keeps, by file; what writes needs a transaction."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def put(self, file_id: int, laid: Laid) -> None:
        """Keep what is said in a file, in place of what was kept of it."""
        connection = self._catalog.connection
        self.drop(file_id)
        connection.execute("INSERT INTO transcripts (file_id, source) VALUES (?, ?)", (file_id, laid.source))
        connection.executemany(
            "INSERT INTO cues (file_id, first, start, finish, language, voice, words)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((file_id, *row) for row in laid.cues),
        )
        connection.executemany(
            "INSERT INTO passages (file_id, n, folded, places, keys) VALUES (?, ?, ?, ?, ?)",
            ((file_id, *row) for row in laid.passages),
        )

    def refuse(self, file_id: int, digests: str) -> None:
        """Note which subtitles beside a file are of another cut; it goes with the file's transcript."""
        self._catalog.connection.execute(
            "UPDATE transcripts SET refused = ? WHERE file_id = ?", (digests, file_id)
        )

    def drop(self, file_id: int) -> None:
        """Forget what is said in a file."""
        self._catalog.connection.execute("DELETE FROM transcripts WHERE file_id = ?", (file_id,))

    def files(self, under: Path) -> list[TranscribedFile]:
        """List the files at or under a path that can be heard, in order of path."""
        condition, values = at_or_under(under)
        rows = self._catalog.connection.execute(
            "SELECT id, path, duration, source, coalesce(refused, '') FROM files"
            f" LEFT JOIN transcripts ON file_id = id WHERE state <> 'failed' AND {condition} ORDER BY path",
            values,
        )
        return [TranscribedFile(i, Path(os.fsdecode(path)), *rest) for i, path, *rest in rows]

    def any(self) -> bool:
        """Tell whether the library has any."""
        query = "SELECT EXISTS (SELECT 1 FROM transcripts)"
        return bool(self._catalog.connection.execute(query).fetchone()[0])

    def source(self, file_id: int) -> str | None:
        """Return what the transcript of a file is by; None where it has none."""
        row = self._catalog.connection.execute(
            "SELECT source FROM transcripts WHERE file_id = ?", (file_id,)
        ).fetchone()
        return None if row is None else str(row[0])

    def of(self, file_id: int) -> Transcript | None:
        """Return the transcript of a file, or None."""
        source = self.source(file_id)
        if source is None:
            return None
        rows = self._catalog.connection.execute(
            "SELECT start, finish, language, voice, words FROM cues WHERE file_id = ? ORDER BY first",
            (file_id,),
        )
        cues = (
            Cue(start, end, tuple(_words(words)), language, voice)
            for start, end, language, voice, words in rows
        )
        return Transcript(tuple(cues), source)

    def find(self, phrase: Sequence[Token], around: int) -> Iterator[Place]:
        """Find where a phrase is written, in order of file and time, and so many words around it.

        Parameters
        ----------
        phrase : sequence of Token
            As :func:`~echoic.storage.folding.fold` makes it; 1 to ``LONGEST``.
        around : int
        """
        texts = [token.text for token in phrase]
        letters = "".join(texts)
        connection = self._catalog.connection
        rows = connection.stream(
            "SELECT file_id, n, folded, places FROM passages"
            f" WHERE {connection.MAY_HOLD} ORDER BY file_id, id",
            (keys_asked(texts), letters),
        )
        for file_id, n_own, folded, places in rows:
            words = folded.split(" ")
            if len(places) != 8 * len(words):
                raise sqlite3.DatabaseError("its transcripts do not fit their index")
            numbers = np.frombuffer(places, "<u4").reshape(-1, 2)
            spans = [
                (int(numbers[first, 0]), int(numbers[past - 1, 1]) + 1, words[first:past] == texts)
                for first, past in _occurrences(words, letters, n_own)
            ]
            if spans:
                yield from self._places(file_id, spans, around)

    def around(self, file_id: int, start: float, end: float, around: int) -> list[Word]:
        """Return what is said in a part of a file, and so many words before and after it."""
        rows = self._catalog.connection.execute(
            "SELECT words FROM cues WHERE file_id = ? AND finish > ? AND start < ? ORDER BY first",
            (file_id, start - _NEAR, end + _NEAR),
        )
        words = [word for (text,) in rows for word in _parted(text)]
        here = [at for at, word in enumerate(words) if word.end > start and word.start < end]
        return words[max(0, here[0] - around) : here[-1] + 1 + around] if here else []

    def _places(self, file_id: int, spans: Sequence[tuple[int, int, bool]], around: int) -> Iterator[Place]:
        """Read words of a file by their numbers: the first, what is past the last, how they are parted."""
        least, most = max(0, spans[0][0] - around), max(past for _, past, _ in spans) + around
        rows = self._catalog.connection.execute(
            "SELECT first, words, voice FROM cues WHERE file_id = ?1 AND first < ?3 AND first >="
            " (SELECT max(first) FROM cues WHERE file_id = ?1 AND first <= ?2) ORDER BY first",
            (file_id, least, most),
        ).fetchall()
        words = [word for _, text, _ in rows for word in _parted(text)]
        begins = [number for number, *_ in rows]
        for first, past, is_parted_so in spans:
            at, after = first - begins[0] if begins else -1, past - begins[0] if begins else -1
            if not 0 <= at < after <= len(words):
                raise sqlite3.DatabaseError("its transcripts do not fit their index")
            yield Place(
                file_id,
                words[at:after],
                words[max(0, at - around) : at],
                words[after : after + around],
                is_parted_so,
                rows[bisect_right(begins, first) - 1][2],
            )


_NEAR = 30.0  # s: of the lines around a part


def _occurrences(words: Sequence[str], letters: str, n_own: int) -> Iterator[tuple[int, int]]:
    """Find letters in words that begin and end where words do → the first, and what is past the last.

    What begins after the first ``n_own`` words is another passage's.
    """
    begins = np.cumsum([0, *map(len, words)])
    number_of = {int(begin): number for number, begin in enumerate(begins)}
    whole = "".join(words)
    at = whole.find(letters)
    while at >= 0:
        first, past = number_of.get(at), number_of.get(at + len(letters))
        if first is not None and first >= n_own:
            return
        if first is not None and past is not None:
            yield first, past
            at = whole.find(letters, at + len(letters))
        else:
            at = whole.find(letters, at + 1)


def _parted(text: str) -> list[Word]:
    """Read the words of a line, with a space before it, to be joined with the line before."""
    first, *others = _words(text)
    return [first if first.text[:1].isspace() else replace(first, text=f" {first.text}"), *others]


def _words(text: str) -> list[Word]:
    try:
        words = [
            Word(float(start), float(end), str(word), float(p)) for start, end, word, p in json.loads(text)
        ]
        if not words:
            raise ValueError("a line has no words")
    except (RecursionError, TypeError, ValueError) as error:
        raise sqlite3.DatabaseError(f"its transcripts are damaged: {error}") from error
    return words
