"""What of :class:`echoic.client.Client` has a library learn concepts, and finds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from echoic.arguments import check_part, checked
from echoic.client.wire import Globs, Wire, as_hits, path_of, uri_of
from echoic.errors import UsageError, quoted
from echoic.search.result import Concept, Taught
from echoic.types import Hit, StrPath

__all__ = ["Learner"]

#: A part of a file: path, start and end in seconds.
Span = tuple[StrPath, float | None, float | None]


class Learner(Wire):
    """Has a library learn what to find; see :class:`echoic.learning.Learner`."""

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
        """Find where a concept is heard, in 10,000 places at most; see :meth:`Library.instances`."""
        told = self._get(
            "/v1/search",
            {
                "concept": name,
                "k": k,
                "every": every,
                "min_score": min_score,
                **_among(path, min_duration, max_duration, tags),
            },
        )
        self._tell(told, name)
        yield from as_hits(told, Hit)

    @checked
    def teach(
        self, name: str, yes: Sequence[StrPath | Span] = (), no: Sequence[StrPath | Span] = ()
    ) -> Taught:
        """Teach a concept by files of the library, with an admin's key; see :meth:`Library.teach`."""
        asked = {
            "name": name,
            "yes": [self._spanned(one) for one in yes],
            "no": [self._spanned(one) for one in no],
        }
        told = self._request("POST", "/v1/concepts", asked, None, {})
        return Taught(
            _as_concept(told["concept"]),
            tuple((path_of(one), one["start"], one["end"]) for one in told["changed"]),
            tuple((path_of(one), one["message"]) for one in told["failed"]),
        )

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
        """Choose spans whose answer would help most, 100 at most; see :meth:`Library.proposals`."""
        asked = {"name": name, "k": k, **_among(path, min_duration, max_duration, tags)}
        told = self._get("/v1/concepts/proposals", asked)
        self._tell(told, name)
        return as_hits(told, Hit)

    def concepts(self) -> list[Concept]:
        """Return what the library was taught, in order of name."""
        return [_as_concept(one) for one in self._get("/v1/concepts", {})]

    @checked
    def concept(self, name: str) -> Concept:
        """Return what the library was taught of one concept; see :meth:`Library.concept`."""
        return _as_concept(self._get("/v1/concepts", {"name": name})[0])

    @checked
    def forget_concept(self, name: str) -> None:
        """Forget a concept with all that was said of it. It takes an admin's key."""
        self._request("DELETE", "/v1/concepts", {"name": name}, None, {})

    def _spanned(self, one: StrPath | Span) -> str:
        """Spell a file, or a part of it, as the service takes it."""
        path, start, end = one if isinstance(one, tuple) else (one, None, None)
        check_part(start, end)
        if self._record(path) is None:
            raise UsageError(
                f"{quoted(path)} is not in the library that is served; teach it by files that it has"
            )
        part = "" if start is None and end is None else f"@{_plain(start)}-{_plain(end)}"
        return uri_of(path) + part


def _plain(seconds: float | None) -> str:
    """Spell a time without an exponent."""
    return "" if seconds is None else f"{seconds:.9f}".rstrip("0").rstrip(".")


def _among(
    path: Globs, min_duration: float | None, max_duration: float | None, tags: Sequence[str]
) -> dict[str, Any]:
    return {"path": path, "min_duration": min_duration, "max_duration": max_duration, "tag": tags}


def _as_concept(told: dict[str, Any]) -> Concept:
    shares = {name: tuple(told[name]) if told[name] else None for name in ("precision", "recall")}
    return Concept(**told | shares)
