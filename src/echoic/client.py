"""A library that is served elsewhere, with the methods of one that is at hand.

>>> from echoic.client import Client
>>> with Client("http://127.0.0.1:8765") as library:  # doctest: +SKIP
...     for hit in library.search("door.wav", k=5):
...         print(hit.path, hit.start, hit.end, hit.score)
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote_to_bytes, urlencode, urlsplit

from echoic import errors
from echoic.arguments import WORDS, checked
from echoic.errors import EchoicError, ServiceError, UnreadableError, UsageError, quoted
from echoic.heard.result import HeardSpan
from echoic.recordings.result import Match
from echoic.types import FileRecord, Hit, Note, PhraseHit, Progress, StrPath

__all__ = ["Client"]

Globs = str | Sequence[str] | None
Report = Callable[[Progress], None] | None
_PAGE = 1_000  # files that are asked for at a time
_PATIENCE = 120.0  # s for an answer


class Client:
    """A library behind ``echoic serve``; it may be used from many threads.

    The methods are those of :class:`echoic.library.Library`, and raise what those raise. A file that the
    served library has, at the same path and with the same content, is asked about as that; any other is
    sent. Files that are given as ``like`` or ``unlike`` are not sent, and must be the library's.

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

    def __init__(
        self, address: str, *, key: str | None = None, noted: Callable[[str, Note], None] | None = None
    ) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(f"{address} is no address of a service, as http://127.0.0.1:8765 is")
        if key is not None and not (key.isascii() and key.isprintable()):
            raise UsageError("the key has signs that none has, as a line break at its end; leave them out")
        self.address = address.rstrip("/")
        self._is_safe = parts.scheme == "https"
        self._place = parts.netloc.rpartition("@")[2]
        self._under = parts.path.rstrip("/")
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._noted = noted

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: each call has a connection of its own."""

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
        return _hits(told)

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
        yield from _hits(told)

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
        return _phrase_hits(told)

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
        return _hits(told)

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
        return _hits(told)

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
        """Tell which recordings of the library are heard in a file; see :meth:`Library.identify`."""
        told = self._ask(
            "/v1/identify",
            query,
            start=start,
            end=end,
            min_score=min_score,
            path=path,
            tag=tags,
            include_query=include_query,
        )
        self._tell(told, query)
        return [
            Match(**_fields(match, Match) | {"query": os.fspath(query), "path": _path(match)})
            for match in told["matches"]
        ]

    @checked
    def describe(self, file: StrPath) -> list[HeardSpan]:
        """Return what is heard in a file of the library, and when; see :meth:`Library.describe`."""
        record = self._record(file)
        if record is None:
            raise UsageError(f"{quoted(file)} is not in the library that is served")
        told = self._get("/v1/describe", {"file": record["id"]})
        return [HeardSpan(path=_path(record), **span) for span in told["spans"]]

    @checked
    def files(self, under: StrPath | None = None, *, tags: Sequence[str] = ()) -> list[FileRecord]:
        """Return what is known of all files, in order of path, or of some; see :meth:`Library.files`."""
        asked = {"under": None if under is None else _uri(under), "tag": tags, "limit": _PAGE}
        found: list[FileRecord] = []
        after = 0
        while after is not None:
            page = self._get("/v1/files", {**asked, "after": after})
            found += map(_as_record, page["files"])
            after = page["next"]
        return sorted(found, key=lambda record: os.fsencode(record.path))

    # What is asked about

    def _ask(self, route: str, query: StrPath | None, **asked: Any) -> Any:
        """Ask about a file of the library, or else send it."""
        if query is None:
            return self._get(route, asked)
        record = self._record(query)
        if record is not None and _is_same(query, record):
            return self._get(route, {**asked, "file": record["id"]})
        name = os.fsencode(query).decode("utf-8", "replace")
        asked["name"] = name.rpartition(os.sep)[2][-255:]
        try:
            with Path(query).open("rb") as sound:
                size = os.fstat(sound.fileno()).st_size
                headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
                return self._request("POST", route, asked, sound, headers)
        except OSError as error:
            raise UnreadableError(f"{quoted(query)} cannot be read ({error.strerror or error})") from None

    def _record(self, file: StrPath) -> Any:
        """Return what is known of a file of the library, or None."""
        found = self._get("/v1/files", {"uri": _uri(file)})["files"]
        return found[0] if found else None

    def _example(self, one: StrPath) -> str:
        """Spell an example as the service takes it."""
        spelt = os.fspath(one)
        if not spelt.startswith(WORDS) and self._record(spelt) is None:
            raise UsageError(
                f"{quoted(spelt)} is not in the library that is served; like and unlike are files "
                "of it, or words"
            )
        return spelt if spelt.startswith(WORDS) else _uri(spelt)

    def _tell(self, told: Any, query: StrPath | None) -> None:
        if self._noted is not None and query is not None:
            for note in told["notes"]:
                self._noted(os.fspath(query), Note(**note))

    # Over the wire

    def _get(self, route: str, asked: Mapping[str, Any]) -> Any:
        return self._request("GET", route, asked, None, {})

    def _request(
        self, method: str, route: str, asked: Mapping[str, Any], body: Any, headers: Mapping[str, str]
    ) -> Any:
        kind = http.client.HTTPSConnection if self._is_safe else http.client.HTTPConnection
        connection = kind(self._place, timeout=_PATIENCE)
        try:
            try:
                # What refuses a body before it is read closes the connection; what it said may be there.
                with suppress(BrokenPipeError, ConnectionResetError):
                    target = f"{self._under}{route}?{_encoded(asked)}"
                    connection.request(method, target, body, {**self._headers, **headers})
                response = connection.getresponse()
                status, content = response.status, response.read()
            except (OSError, http.client.HTTPException) as error:
                raise ServiceError(
                    f"{self.address} does not answer ({error}); is it served there?"
                ) from error
        finally:
            connection.close()
        try:
            told = json.loads(content)
        except ValueError:
            raise ServiceError(f"{self.address} answers {status}, and not as a library does") from None
        if status != 200:
            raise _refusal(self.address, told)
        return told


def _encoded(asked: Mapping[str, Any]) -> str:
    """Spell parameters, without those that are left out."""
    spelt: dict[str, Any] = {}
    for name, value in asked.items():
        if isinstance(value, bool):
            spelt[name] = "true" if value else []
        elif value is not None:
            spelt[name] = value if isinstance(value, (str, list, tuple)) else str(value)
    return urlencode(spelt, doseq=True)


def _refusal(address: str, told: Any) -> EchoicError:
    """Make of a problem what Echoic raises for it."""
    detail = str(told.get("detail", "")) if isinstance(told, dict) else ""
    kind = getattr(errors, str(told.get("error")), None) if isinstance(told, dict) else None
    if isinstance(kind, type) and issubclass(kind, EchoicError) and kind is not errors.MissingDependencyError:
        return kind(detail)
    return ServiceError(f"{address} refuses: {detail}")


def _is_same(file: StrPath, record: Mapping[str, Any]) -> bool:
    """Tell whether a file here is the library's; where there is none here, that is meant."""
    from echoic.analysis.workers import digest_of

    if not os.path.lexists(file):
        return True
    return bool(Path(file).stat().st_size == record["size"] and digest_of(Path(file)) == record["digest"])


def _uri(path: StrPath) -> str:
    return Path(os.path.abspath(path)).as_uri()


def _path(told: Mapping[str, Any]) -> str:
    return os.fsdecode(unquote_to_bytes(told["uri"].removeprefix("file://")))


def _fields(told: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    return {field.name: told[field.name] for field in fields(kind) if field.name in told}


def _hits(told: Any) -> list[Hit]:
    return [Hit(**_fields(hit, Hit) | {"path": _path(hit)}) for hit in told["hits"]]


def _phrase_hits(told: Any) -> list[PhraseHit]:
    return [PhraseHit(**_fields(hit, PhraseHit) | {"path": _path(hit)}) for hit in told["hits"]]


def _as_record(told: Mapping[str, Any]) -> FileRecord:
    return FileRecord(
        **_fields(told, FileRecord)
        | {
            "path": _path(told),
            "encoders": tuple(told["encoders"]),
            "tags": {name: tuple(values) for name, values in told["tags"].items()},
            "notes": tuple(Note(**note) for note in told["notes"]),
        }
    )
