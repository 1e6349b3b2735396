"""A library that is served elsewhere, with the methods of one that is at hand.

>>> from echoic.client import Client
>>> with Client("http://127.0.0.1:8765") as library:  # doctest: +SKIP
...     for hit in library.search("door.wav", k=5):
...         print(hit.path, hit.start, hit.end, hit.score)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from echoic.addresses import held
from echoic.arguments import checked
from echoic.client.finding import Finder
from echoic.client.learning import Learner
from echoic.client.recognising import Heard, Recogniser
from echoic.client.wire import as_record, fields_of, path_of, uri_of
from echoic.errors import UsageError, quoted
from echoic.heard.result import HeardSpan
from echoic.spec import EncoderSpec
from echoic.types import FileRecord, StrPath

__all__ = ["Client", "Heard"]

_PAGE = 1_000  # files that are asked for at a time


class Client(Finder, Recogniser, Learner):
    """A library behind ``echoic serve``; it may be used from many threads.

    The methods are those of :class:`echoic.library.Library`, and raise what those raise. A file that the
    served library has, at the same path and with the same content, is asked about as that; any other is
    sent. Files that are given as ``like`` or ``unlike``, or to teach by, are not sent, and must be the
    library's.

    Parameters
    ----------
    address : str
        ``http://`` or ``https://``, with the path that the service lies under, if any.
    key : str, optional
        One of the service's keys.
    noted : callable, optional
        Called with the path of a query, or its words, and with a :class:`~echoic.types.Note` on it.

    Raises
    ------
    UsageError
        If it is no such address.

    Notes
    -----
    Each method raises ServiceError if the service cannot be reached, does not know the key, or has too much
    to do.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: each call has a connection of its own."""

    @checked
    def describe(self, file: StrPath) -> list[HeardSpan]:
        """Return what is heard in a file of the library, and when; see :meth:`Library.describe`."""
        record = self._record(file)
        if record is None:
            raise UsageError(f"{quoted(file)} is not in the library that is served")
        told = self._get("/v1/describe", {"file": record["id"]})
        return [HeardSpan(path=path_of(record), **span) for span in told["spans"]]

    @checked
    def files(self, under: StrPath | None = None, *, tags: Sequence[str] = ()) -> list[FileRecord]:
        """Return what is known of all files, in order of path, or of some; see :meth:`Library.files`."""
        asked = {"under": None if under is None else uri_of(under), "tag": tags, "limit": _PAGE}
        found: list[FileRecord] = []
        after = 0
        while after is not None:
            page = self._get("/v1/files", {**asked, "after": after})
            found += map(as_record, page["files"])
            after = page["next"]
        return sorted(found, key=lambda record: os.fsencode(held(record.path)))

    def encoders(self) -> dict[str, EncoderSpec]:
        """Return the library's encoders, by the name or path that they are loaded by."""
        return {
            told["source"]: EncoderSpec(
                **fields_of(told, EncoderSpec)
                | {name: frozenset(told[name]) for name in ("inputs", "purposes")}
            )
            for told in self._get("/v1/encoders", {})
        }
