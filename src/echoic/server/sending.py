"""Files over HTTP: parts of them by ranges, and not again what a browser has (RFC 9110, 13 and 14)."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import re
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from echoic.server.problems import refuse

__all__ = ["Content", "send"]

_CHUNK = 1 << 18
_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent: an open file, and what it is known by.

    Parameters
    ----------
    file : FileIO
    size : int
        Bytes.
    tag : str
        Differs wherever the content does.
    modified : float
        Seconds since 1970.
    media_type : str
    """

    file: io.FileIO
    size: int
    tag: str
    modified: float
    media_type: str

    @classmethod
    def of(cls, path: Path, media_type: str, key: Hashable) -> Content:
        """Open a file, which is known by a key that has a spelling of its own.

        Raises
        ------
        OSError
            If it cannot be opened; a pipe is not waited for.
        """
        file = io.FileIO(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)))
        status = os.fstat(file.fileno())
        tag = hashlib.sha256(repr(key).encode()).hexdigest()[:32]
        return cls(file, status.st_size, tag, status.st_mtime, media_type)


def send(request: Request, content: Content) -> Response:
    """Answer a GET or HEAD with a file, or the part of it that is asked for.

    Of several parts none is sent by itself: the whole is, as a server may.

    Raises
    ------
    HTTPException
        416, if the file has no such part.
    """
    tag, date = f'"{content.tag}"', formatdate(content.modified, usegmt=True)
    headers = {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",  # kept, but asked for again: it may have changed
        "ETag": tag,
        "Last-Modified": date,
    }
    is_sent = False
    try:
        if _is_known(request, tag, content.modified):
            return Response(status_code=304, headers=headers)
        first, last = 0, content.size - 1
        status = 200
        part = _part(request, content.size) if request.headers.get("if-range", tag) in (tag, date) else None
        if part is not None:
            first, last = part
            status = 206
            headers["Content-Range"] = f"bytes {first}-{last}/{content.size}"
        headers |= {"Content-Length": str(last - first + 1), "Content-Type": content.media_type}
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        is_sent = True
        return StreamingResponse(_read(content.file, first, last + 1), status, headers)
    finally:
        if not is_sent:
            content.file.close()


def _is_known(request: Request, tag: str, modified: float) -> bool:
    """Tell whether who asks has the file as it is."""
    known = request.headers.get("if-none-match")
    if known is not None:
        tags = [one.strip().removeprefix("W/") for one in known.split(",")]
        return "*" in tags or tag in tags
    try:
        since = parsedate_to_datetime(request.headers.get("if-modified-since", ""))
        return int(modified) <= since.timestamp()
    except (ValueError, TypeError, OverflowError):
        return False


def _part(request: Request, size: int) -> tuple[int, int] | None:
    """Return the first and the last byte that are asked for, or None for all."""
    asked = _RANGE.fullmatch(request.headers.get("range", "")) if request.method == "GET" else None
    if asked is None or asked[1] == asked[2] == "":
        return None
    if asked[1] == "":
        first, last = max(0, size - int(asked[2])), size - 1
    else:
        first = int(asked[1])
        last = min(size - 1, int(asked[2] or size - 1))
        if asked[2] != "" and int(asked[2]) < first:
            return None
    if first > last:
        refuse(416, f"the file has {size:,} bytes, and none of those", Content_Range=f"bytes */{size}")
    return first, last


async def _read(file: io.FileIO, begin: int, end: int) -> AsyncIterator[bytes]:
    try:
        file.seek(begin)
        while begin < end:
            chunk = await asyncio.to_thread(file.read, min(_CHUNK, end - begin))
            if not chunk:
                raise OSError(f"a file became shorter while it was sent: {end - begin} bytes are missing")
            begin += len(chunk)
            yield chunk
    finally:
        file.close()
