"""The bytes of an address as they come, and why they do not."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import av.error

from echoic.audio.boxes import Boxed, boxed, is_begin
from echoic.audio.container import receive
from echoic.audio.source import ByteStream

__all__ = ["FAILURES", "Download", "begins_as", "gives_parts", "has_host", "is_followed", "reason_of"]

_COMPARED = 1 << 20  # bytes by which a file that comes again is told: radios begin with an announcement, too
_LOOKED_AT = 1 << 12  # of them, at first
_MOST_BOXES = 16  # that are looked at, by a request each
_PAUSES = (1.0, 2.0, 4.0)  # s before the rest of a file is asked for, again without a byte
FAILURES = (av.error.FFmpegError, OSError, ValueError)


class Download:
    """The bytes of an address; where those of a file break off, the rest is asked for.

    Attributes
    ----------
    size : int
        Bytes that the file has; not positive for a stream without an end, and where the server does not say.
    n_bytes : int
        Bytes that came so far.
    head : bytearray
        The first of them.
    """

    def __init__(self, url: str, pause: Callable[[float], None]) -> None:
        self._url = url
        self._pause = pause
        self._container = receive(url)
        self._packets = self._container.demux()
        self.size = self._container.size
        self.n_bytes = 0
        self.head = bytearray()

    def __call__(self) -> bytes:
        """Return what comes next; none at the end.

        Raises
        ------
        OSError
            If a file broke off, and its rest is not to be had.
        """
        failure: Exception = OSError(errno.EIO, "it ended early")
        for wait in (0.0, *_PAUSES):
            try:
                if wait:
                    self._pause(wait)
                    data = self._again()
                else:
                    data = self._next()
            except FAILURES as error:
                failure, data = error, b""
            self.n_bytes += len(data)
            self.head += data[: max(0, _COMPARED - len(self.head))]
            if data or self.n_bytes >= self.size:  # a stream without an end is for others to connect to again
                return data
        raise OSError(errno.EIO, reason_of(failure))

    def _next(self) -> bytes:
        return next((data for packet in self._packets if (data := bytes(packet))), b"")

    def _again(self) -> bytes:
        """Connect again and return what follows the bytes that were handed on."""
        self.close()
        passed = self.n_bytes
        try:
            self._container = receive(self._url, self.n_bytes)
        except FAILURES:  # of a server that knows no other place than the begin
            self._container = receive(self._url)
            passed = 0
        if self._container.size != self.size:
            raise OSError(errno.ESTALE, "it has changed")
        self._packets = self._container.demux()
        while data := self._next():
            passed += len(data)
            if passed > self.n_bytes:
                return data[self.n_bytes - passed :] if passed - self.n_bytes < len(data) else data
        return b""

    def close(self) -> None:
        """Close the connection."""
        self._container.close()


def begins_as(stream: ByteStream, head: bytearray) -> bool:
    """Tell whether bytes begin as others did; of radio no more is waited for than tells that it does not."""
    size = 0
    while size < len(head):
        size = min(len(head), max(_LOOKED_AT, 2 * size))
        ahead = stream.peek(size)
        if not head.startswith(ahead):
            return False
        if len(ahead) < size:
            break
    return True


def is_followed(url: str, size: int) -> bool | None:
    """Tell whether another file begins behind the first of so many bytes that an address leads to.

    Returns
    -------
    bool or None
        None where that takes more than a few requests, or the server knows no place but the begin.
    """
    at = 0
    kind: Boxed | None = None
    for _ in range(_MOST_BOXES):
        try:
            with receive(url, at) as container:
                head = next((data for packet in container.demux() if (data := bytes(packet))), b"")
        except FAILURES:
            return None
        if at and is_begin(head):
            return True
        kind = kind or boxed(head)
        box = 0 if kind is None else kind.size(partial(_first, head))
        at += box
        if not box or at >= size:
            return False
    return None


def gives_parts(url: str) -> bool:
    """Tell whether a server gives what an address leads to from a place on."""
    try:
        with receive(url, 1) as container:
            return any(bytes(packet) for packet in container.demux())
    except FAILURES:
        return False


def _first(data: bytes, size: int) -> bytes:
    return data[:size]


def has_host(url: str) -> bool:
    """Tell whether the network knows the host of an address."""
    try:
        socket.getaddrinfo(urlsplit(url).hostname, None)
    except (OSError, ValueError):  # ValueError: what can be no host's name
        return False
    return True


def reason_of(error: Exception) -> str:
    """Spell why bytes do not come, so that it can stand in brackets."""
    if isinstance(error, av.error.ExitError):  # by which ffmpeg says that it was told to wait no longer
        return "the server does not answer"
    return getattr(error, "strerror", None) or str(error)
