"""Sessions of browsers: a key is shown once, then a cookie stands for it, as players send no header.

The cookie is no key, is kept as a hash, and is forgotten when the service ends. Scripts cannot read it, and
no browser sends it along with what a page of another site asks for.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.datastructures import Headers

from echoic.server.keys import Role
from echoic.server.problems import refusals
from echoic.server.settings import Settings
from echoic.server.shapes import SessionShape

__all__ = ["Sessions", "router"]

router = APIRouter(prefix="/v1/session")

_SECONDS = 12 * 3600.0
_MOST = 10_000  # then the oldest one ends


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
        self._roles: OrderedDict[bytes, tuple[Role, float]] = OrderedDict()

    def begin(self, role: Role) -> str:
        """Begin a session; return what its cookie says."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._roles[_digest(token)] = role, self._clock() + self.seconds
            while len(self._roles) > _MOST:
                self._roles.popitem(last=False)
        return token

    def role(self, token: str) -> Role | None:
        """Return what who has a cookie may do; None if the session is over, or there was none."""
        with self._lock:
            role, until = self._roles.get(_digest(token), (None, 0.0))
        return role if self._clock() < until else None

    def end(self, token: str) -> None:
        """End a session."""
        with self._lock:
            self._roles.pop(_digest(token), None)

    def of(self, headers: Headers) -> Role | None:
        """Return what the cookie among some headers allows."""
        return self.role(_token(headers))

    def shown(self, headers: Headers) -> str:
        """Return what the cookie among some headers says; nothing if there is none."""
        return _token(headers)


@router.post("", responses=refusals(413, 415))
async def begin_session(request: Request, response: Response) -> SessionShape:
    """Begin a session: whoever shows a key in ``Authorization`` gets a cookie that stands for it."""
    if _settings(request).keys is not None:
        sessions: Sessions = request.app.state.sessions
        response.set_cookie(
            _name(request.headers),
            sessions.begin(request.scope["state"]["role"]),
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


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
