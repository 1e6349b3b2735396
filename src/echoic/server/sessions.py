"""Sessions of browsers: a key is shown once, then a cookie stands for it, as players send no header.

The cookie is no key, is kept as a hash, and is forgotten when the service ends. Scripts cannot read it, and
no browser sends it along with what a page of another site asks for.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import Headers

from echoic.server.keys import Role, digest
from echoic.server.problems import refusals, refuse
from echoic.server.settings import Settings
from echoic.server.shapes import SessionShape

__all__ = ["Session", "Sessions", "key_in", "router"]

router = APIRouter(prefix="/v1/session")

_SECONDS = 12 * 3600.0
_MOST = 10_000  # then the oldest one ends


class Session(NamedTuple):
    """What a key that was shown allows, until when, and a digest of it, which tells clients apart."""

    role: Role
    client: bytes
    until: float


class Sessions:
    """Who has shown a key, and until when that holds.

    Parameters
    ----------
    seconds : float
        How long a session lasts.
    clock : callable
        Tells seconds.
    """

    def __init__(self, seconds: float = _SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, Session] = OrderedDict()

    def begin(self, role: Role, key: str) -> str:
        """Begin a session of a key; return what its cookie says."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._kept[digest(token)] = Session(role, digest(key), self._clock() + self.seconds)
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        return token

    def get(self, token: str) -> Session | None:
        """Return the session of a cookie; None if it is over, or there was none."""
        with self._lock:
            session = self._kept.get(digest(token))
        return session if session is not None and self._clock() < session.until else None

    def end(self, token: str) -> None:
        """End a session."""
        with self._lock:
            self._kept.pop(digest(token), None)

    def of(self, headers: Headers) -> Session | None:
        """Return the session of the cookie among some headers."""
        return self.get(_token(headers))


def key_in(headers: Headers) -> str | None:
    """Return the key among some headers, however it is spelt; None if there is none."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return None if not scheme else key.strip() if scheme.lower() == "bearer" else ""


@router.post("", responses=refusals(413, 415))
async def begin_session(request: Request, response: Response) -> SessionShape:
    """Begin a session: whoever shows a key in ``Authorization`` gets a cookie that stands for it."""
    if _settings(request).keys is not None:
        key = key_in(request.headers)
        if key is None:  # a cookie begets no other, or a session would never end
            refuse(401, "a session is begun with a key; send it as Authorization: Bearer KEY")
        sessions: Sessions = request.app.state.sessions
        response.set_cookie(
            _name(request.headers),
            sessions.begin(request.scope["state"]["role"], key),
            max_age=int(sessions.seconds),
            path="",  # left out, so that a service under a path of its own is alone in being sent it
            httponly=True,
            samesite="strict",
            secure=request.headers.get("origin", "").startswith("https:"),
        )
    return _told(request)


@router.get("", responses=refusals())
async def look_at_session(request: Request) -> SessionShape:
    """Tell what whoever asks may do, and what is taken."""
    return _told(request)


@router.delete("", responses=refusals())
async def end_session(request: Request, response: Response) -> SessionShape:
    """End the session of the cookie."""
    sessions: Sessions = request.app.state.sessions
    sessions.end(_token(request.headers))
    response.delete_cookie(_name(request.headers), path="", httponly=True, samesite="strict")
    return _told(request)


def _told(request: Request) -> SessionShape:
    settings, role = _settings(request), request.scope["state"]["role"]
    return SessionShape(
        role=role,
        has_keys=settings.keys is not None,
        may_index=role == "admin" and bool(settings.folders),
        max_upload=settings.max_upload,
        max_seconds=settings.max_seconds,
    )


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _name(headers: Headers) -> str:
    """Name the cookie: browsers keep those of all services of a machine together, whatever their ports."""
    port = headers.get("host", "").rpartition(":")[2]
    return f"echoic-{port}" if port.isdecimal() else "echoic"


def _token(headers: Headers) -> str:
    name = _name(headers)
    for one in headers.get("cookie", "").split(";"):
        key, _, value = one.strip().partition("=")
        if key == name:
            return value
    return ""
