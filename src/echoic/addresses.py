"""Addresses on the web, as opposed to paths: what they are told by, and what of them may be shown."""

from __future__ import annotations

import re

__all__ = ["as_opened", "is_url", "without_login"]

_ON_THE_WEB = re.compile(r"(https?|icy)://", re.ASCII | re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^/?#]*@")


def is_url(source: str) -> bool:
    """Tell an address on the web from a path.

    Examples
    --------
    >>> is_url("HTTPS://radio.example.org/stream.mp3"), is_url("ftp://example.org/a.mp3"), is_url("http.mp3")
    (True, False, False)
    """
    return _ON_THE_WEB.match(source) is not None


def as_opened(url: str) -> str:
    """Spell an address as ffmpeg takes it: the scheme in small letters, and ``icy``, which is HTTP, as that.

    Examples
    --------
    >>> as_opened("Icy://radio.example.org/Stream")
    'http://radio.example.org/Stream'
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    return f"{'http' if scheme == 'icy' else scheme}://{rest}"


def without_login(url: str) -> str:
    """Leave out of an address who logs in and with what, so that it may be shown.

    Examples
    --------
    >>> without_login("http://me:secret@radio.example.org/news@ten.mp3")
    'http://radio.example.org/news@ten.mp3'
    """
    return _LOGIN.sub("", url, count=1)
