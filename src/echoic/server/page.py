"""The page of the service: files of this package, sent as they are.

What they hold is public, so that they take no key; all that they show comes by the routes that do. Addresses
within them are relative, so that the service may lie under a path of its own behind a proxy.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from types import MappingProxyType

from fastapi import APIRouter, Request
from fastapi.responses import Response

from echoic import __version__
from echoic.server.problems import refuse
from echoic.server.sending import Content, send

__all__ = ["PREFIX", "router"]

router = APIRouter(include_in_schema=False)

PREFIX = "/page/"
_FOLDER = Path(__file__).parent / "web"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    "": "text/plain; charset=utf-8",
}
_START = "index.html"
_FILES = MappingProxyType(
    {
        path.relative_to(_FOLDER).as_posix(): path
        for path in sorted(_FOLDER.rglob("*"))
        if path.is_file() and path.suffix in _TYPES
    }
)
_NONCE = "{nonce}"  # in the page, for the one style that wavesurfer.js writes into it
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self'; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@router.get("/")
@router.head("/")
async def start(request: Request) -> Response:
    """Return the page."""
    nonce = secrets.token_urlsafe(16)
    text = (_FOLDER / _START).read_text("utf-8").replace(_NONCE, nonce)
    headers = {"Content-Security-Policy": _POLICY.format(nonce=nonce), "Cache-Control": "no-store"}
    return Response(text, 200, headers, "text/html; charset=utf-8")


@router.get(PREFIX + "{name:path}")
@router.head(PREFIX + "{name:path}")
async def part(request: Request, name: str) -> Response:
    """Return one of the files that the page is made of."""
    path = _FILES.get(name)
    if path is None:
        refuse(404, "the page has no such part; load it anew")
    key = (__version__, name, path.stat().st_mtime_ns)
    return send(request, Content.of(path, _TYPES[path.suffix], key))
