"""What a library was taught: names, and what persons said of spans of sound.

A concept is no more than its answers, each with the vector of its span, so that nothing goes stale: what
tells a concept from all else is learnt from them when it is asked for (:mod:`echoic.search.concepts`). The
vector notes the encoder's revision; after another has come, it is made anew from the span.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from echoic.audio.tags import folded
from echoic.errors import LibraryError
from echoic.storage.catalog import Catalog
from echoic.types import Float32
from echoic.untrusted import shown

__all__ = ["SAME", "Answer", "Answers"]

#: Of the longer of two spans: what they share from which on an answer on one is an answer on the other.
SAME = 0.5
_EQUAL = 1 - 1e-5  # cosine of vectors of the very same sound


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a person said of a span.

    Parameters
    ----------
    path : str
        Absolute.
    start, end : float or None
        Seconds; None where all of the file is meant from its begin, or to its end.
    is_it : bool
        Whether it is what the concept is of.
    collection : str
        Key of the encoder that made the vector.
    length : float
        Seconds of what is heard in the span.
    vector : ndarray of float32, shape (dim,)
        Unit length.
    """

    path: str
    start: float | None
    end: float | None
    is_it: bool
    collection: str
    length: float
    vector: Float32

    def is_of_same(self, other: Answer) -> bool:
        """Tell whether another answer is on as good as the same span."""
        if self.path != other.path:
            return False
        spans = [(one.start or 0.0, np.inf if one.end is None else one.end) for one in (self, other)]
        if spans[0] == spans[1]:
            return True
        shared = min(spans[0][1], spans[1][1]) - max(spans[0][0], spans[1][0])
        if shared > 0 and self.collection == other.collection and self.vector @ other.vector > _EQUAL:
            return True  # a whole file, and all of it by its times
        return bool(shared > SAME * max(end - start for start, end in spans))


class Answers:
    """The answers that a library keeps, by the name of their concept; what writes needs a transaction."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def names(self) -> list[str]:
        """Return the names of all concepts, as they were first spelt, in order."""
        rows = self._catalog.connection.execute("SELECT name FROM concepts ORDER BY folded")
        return [name for (name,) in rows]

    def of(self, name: str) -> list[Answer]:
        """Return the answers on a concept, in the order in which they were given; none if it is not known.

        Raises
        ------
        LibraryError
            If a vector is damaged.
        """
        return [answer for _, answer in self._rows(name)]

    def _rows(self, name: str) -> list[tuple[int, Answer]]:
        rows = self._catalog.connection.execute(
            "SELECT answers.id, path, start, finish, is_it, collection, length, vector FROM answers"
            " JOIN concepts ON concept_id = concepts.id WHERE folded = ? ORDER BY answers.id",
            (folded(name),),
        )
        found = []
        for number, path, start, end, is_it, collection, length, blob in rows:
            try:
                vector = np.frombuffer(blob, np.float32)
                is_whole = len(vector) > 0 and bool(np.isfinite(vector).all())
            except (TypeError, ValueError):
                is_whole = False
            if not is_whole:
                raise LibraryError(
                    f"what the library {self._catalog.folder} was taught of {shown(name)} is damaged; "
                    f"forget it, and teach it again: echoic teach NAME --forget"
                )
            answer = Answer(os.fsdecode(path), start, end, bool(is_it), collection, length, vector)
            found.append((number, answer))
        return found

    def add(self, name: str, answers: Sequence[Answer]) -> list[Answer]:
        """Keep answers on a concept, new or known; of several on one span the last counts.

        Returns
        -------
        list of Answer
            Those that said the contrary before, and are forgotten.
        """
        connection = self._catalog.connection
        connection.execute(
            "INSERT INTO concepts (folded, name) VALUES (?, ?) ON CONFLICT (folded) DO NOTHING",
            (folded(name), name),
        )
        kept = self._rows(name)
        contrary: list[Answer] = []
        for answer in answers:
            same = [(number, one) for number, one in kept if answer.is_of_same(one)]
            contrary += [one for _, one in same if one.is_it != answer.is_it]
            connection.executemany("DELETE FROM answers WHERE id = ?", [(number,) for number, _ in same])
            number = connection.execute(
                "INSERT INTO answers (concept_id, path, start, finish, is_it, collection, length, vector)"
                " VALUES ((SELECT id FROM concepts WHERE folded = ?), ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (
                    folded(name),
                    os.fsencode(answer.path),
                    answer.start,
                    answer.end,
                    answer.is_it,
                    answer.collection,
                    answer.length,
                    np.ascontiguousarray(answer.vector, np.float32).tobytes(),
                ),
            ).fetchone()[0]
            gone = {number for number, _ in same}
            kept = [(n, one) for n, one in kept if n not in gone] + [(number, answer)]
        return contrary

    def forget(self, name: str) -> None:
        """Forget a concept with its answers."""
        self._catalog.connection.execute("DELETE FROM concepts WHERE folded = ?", (folded(name),))
