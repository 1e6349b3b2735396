"""Who may ask: looked at before anything of a request's body is read.

A page in somebody's browser can reach a service on the same machine. So the name that the service is called
by must be one of its own, or else a site could give its name this machine's address (DNS rebinding); what a
browser says comes from another site is refused; and a body must be called sound or a picture, which a foreign
page cannot do without being asked for leave, which is never given.
"""

from __future__ import annotations

import re
from collections.abc import Hashable

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from echoic.server.keys import Role, digest
from echoic.server.limits import Rate
from echoic.server.page import PREFIX
from echoic.server.problems import problem, refuse
from echoic.server.sessions import Sessions, key_in
from echoic.server.settings import Settings

__all__ = ["Guard", "is_media", "need_admin"]

# Asked by what watches over services, which has no key, and by whoever is about to show one.
_OPEN = frozenset({"/healthz", "/"})
_COUNTED = "/v1/"  # what takes work: neither the page nor what watches over services
_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:@/\s]+)(:\d{1,5})?", re.ASCII)
_MEDIA = re.compile(r"(audio|video|image)/[\w.+-]+|application/(octet-stream|ogg)", re.ASCII)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}


def is_media(content_type: str) -> bool:
    """Tell whether a body is said to be sound or a picture."""
    return _MEDIA.fullmatch(content_type.partition(";")[0].strip().lower()) is not None


def need_admin(request: Request) -> None:
    """Refuse what changes the library to whoever may only look: 403."""
    if request.scope["state"]["role"] != "admin":
        refuse(403, "this key may look and search; what changes the library takes an admin's")


class Guard:
    """Lets through to an application what may ask it, and notes the role in ``scope["state"]``.

    Parameters
    ----------
    app : ASGI application
    settings : Settings
    sessions : Sessions
    """

    def __init__(self, app: ASGIApp, settings: Settings, sessions: Sessions) -> None:
        self._app = app
        self._settings = settings
        self._sessions = sessions
        self._rate = None if settings.rate is None else Rate(settings.rate)
        self._hosts = settings.hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            scope.setdefault("state", {})["role"] = self._let_in(scope)
        except HTTPException as error:
            # The body stays unread, so that nothing more can come by this connection.
            headers = {**(error.headers or {}), "Connection": "close"}
            response = problem(error.status_code, error.detail, headers=headers)
            await response(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _let_in(self, scope: Scope) -> Role:
        """Return what whoever asks may do.

        Raises
        ------
        HTTPException
            If they may not ask.
        """
        headers = Headers(scope=scope)
        self._check_names(headers, is_visit=scope.get("path") == "/" and scope.get("method") == "GET")
        role, client = self._who(scope, headers)
        if self._rate is not None and str(scope.get("path")).startswith(_COUNTED):
            self._rate.take(client)
        if scope.get("method") in ("POST", "PUT", "PATCH"):
            self.check_body(headers)
        return role

    def _check_names(self, headers: Headers, *, is_visit: bool) -> None:
        named = headers.getlist("host")
        host = _HOST.fullmatch(named[0]) if len(named) == 1 else None
        if host is None or host[1].strip("[]").lower() not in self._hosts:
            refuse(421, "this service has another name; call it by the address that it told, or add --name")
        origin = headers.get("origin")
        # A proxy that ends TLS changes the scheme, so that names and ports alone are compared.
        if origin is not None and origin.partition("://")[2].lower() != named[0].lower():
            refuse(403, "pages of other sites may not ask this service")
        # A link on another site may lead to the page, which tells nothing by itself.
        is_visit = is_visit and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not is_visit:
            refuse(403, "pages of other sites may not ask this service")

    def _who(self, scope: Scope, headers: Headers) -> tuple[Role, Hashable]:
        """Return what whoever asks may do, and what tells them from others: their key, or their address."""
        keys, address = self._settings.keys, (scope.get("client") or ("", 0))[0]
        if keys is None:
            return "admin", address
        key = key_in(headers)
        if key is None:
            session = self._sessions.of(headers)
            role, client = (None, None) if session is None else (session.role, session.client)
        else:
            role, client = keys.role(key), digest(key)
        if role is not None:
            return role, client
        path = str(scope.get("path"))
        if path not in _OPEN and not path.startswith(PREFIX):
            refuse(
                401,
                "this service wants a key; send it as Authorization: Bearer KEY",
                WWW_Authenticate='Bearer realm="echoic"',
            )
        return "read", address

    def check_body(self, headers: Headers) -> None:
        """Refuse a body by what is said of it.

        Raises
        ------
        HTTPException
            413, 415.
        """
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._settings.max_upload:
            refuse(413, f"the sound has more than {self._settings.max_upload:,} bytes")
        has_body = "transfer-encoding" in headers or length not in ("", "0")
        if "content-encoding" in headers:
            refuse(415, "the body is compressed; send the sound as it is")
        content_type = headers.get("content-type")
        if (has_body or content_type is not None) and not is_media(content_type or ""):
            refuse(415, "a body is sound or a picture; say so with Content-Type: application/octet-stream")
