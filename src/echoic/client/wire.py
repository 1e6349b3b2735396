"""A connection for each question, what is asked by it, and what is made of the answers."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from echoic import addresses, errors
from echoic.addresses import held
from echoic.arguments import WORDS
from echoic.errors import EchoicError, ServiceError, UsageError, quoted, unopened
from echoic.recordings.result import Match
from echoic.types import FileRecord, Hit, Note, StrPath

__all__ = [
    "Globs",
    "Wire",
    "as_hits",
    "as_match",
    "as_record",
    "encoded",
    "fields_of",
    "path_of",
    "refusal",
    "uri_of",
]

AnyHit = TypeVar("AnyHit", bound=Hit)
Globs = str | Sequence[str] | None
_PATIENCE = 120.0  # s for an answer


class Wire:
    """Asks a service; see :class:`echoic.client.Client`."""

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
        self._host, self._port = parts.hostname, parts.port
        self._under = parts.path.rstrip("/")
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._noted = noted

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
            raise unopened(query, error) from None

    def _record(self, file: StrPath) -> Any:
        """Return what is known of a file of the library, or None."""
        found = self._get("/v1/files", {"uri": uri_of(file)})["files"]
        return found[0] if found else None

    def _example(self, one: StrPath) -> str:
        """Spell an example as the service takes it."""
        spelt = os.fspath(one)
        if not spelt.startswith(WORDS) and self._record(spelt) is None:
            raise UsageError(
                f"{quoted(spelt)} is not in the library that is served; like and unlike are files "
                "of it, or words"
            )
        return spelt if spelt.startswith(WORDS) else uri_of(spelt)

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
                    target = f"{self._under}{route}?{encoded(asked)}"
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
            raise refusal(self.address, told)
        return told


def encoded(asked: Mapping[str, Any]) -> str:
    """Spell parameters, without those that are left out."""
    spelt: dict[str, Any] = {}
    for name, value in asked.items():
        if isinstance(value, bool):
            spelt[name] = "true" if value else []
        elif value is not None:
            spelt[name] = value if isinstance(value, (str, list, tuple)) else str(value)
    return urlencode(spelt, doseq=True)


def refusal(address: str, told: Any) -> EchoicError:
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
    try:
        size = Path(file).stat().st_size
    except OSError as error:
        raise unopened(file, error) from None
    return bool(size == record["size"] and digest_of(Path(file)) == record["digest"])


def uri_of(path: StrPath) -> str:
    return addresses.uri_of(os.path.abspath(held(os.fspath(path))))


def path_of(told: Mapping[str, Any]) -> str:
    return addresses.path_of(told["uri"])


def fields_of(told: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    return {field.name: told[field.name] for field in fields(kind) if field.name in told}


def as_hits(told: Any, kind: type[AnyHit]) -> list[AnyHit]:
    return [kind(**fields_of(hit, kind) | {"path": path_of(hit)}) for hit in told["hits"]]


def as_match(told: Mapping[str, Any], query: StrPath, begun: float = 0.0) -> Match:
    """Make a match of what is told; ``begun`` is when that began which the times in the query count from."""
    times = {name: told[name] + begun for name in ("query_start", "query_end")}
    return Match(**fields_of(told, Match) | times | {"query": os.fspath(query), "path": path_of(told)})


def as_record(told: Mapping[str, Any]) -> FileRecord:
    return FileRecord(
        **fields_of(told, FileRecord)
        | {
            "path": path_of(told),
            "encoders": tuple(told["encoders"]),
            "tags": {name: tuple(values) for name, values in told["tags"].items()},
            "notes": tuple(Note(**note) for note in told["notes"]),
        }
    )
