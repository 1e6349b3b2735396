"""Addresses, as opposed to paths: what they are told by, how those of buckets are held, what may be shown.

What lies in a bucket is a file as any other, and has a path as any other: ``s3://sounds/a.wav`` is held as
``/s3:/sounds/a.wav``, by the catalog, by what workers are told, in every ``Path``. So folders, globs and
what lies under what are the same for all, and :func:`held` and :func:`told` stand where something comes
from a person, or goes to one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = [
    "as_opened",
    "bucket_of",
    "held",
    "in_bucket",
    "is_url",
    "path_of",
    "place",
    "told",
    "uri_of",
    "without_login",
]

#: The schemes of buckets, as fsspec calls them.
_BUCKETS = "s3|gs|az"
_TOLD = re.compile(rf"({_BUCKETS}):/+(?=[^/])", re.ASCII | re.IGNORECASE)  # Path makes one slash of two
_HELD = re.compile(rf"/({_BUCKETS}):/([^/]+)", re.ASCII)
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


def held(path: str) -> str:
    """Spell the address of a bucket as the path that it is held as; any other path stays as it is.

    Examples
    --------
    >>> held("s3://sounds/owls/1.wav"), held("owls/1.wav")
    ('/s3:/sounds/owls/1.wav', 'owls/1.wav')
    """
    match = _TOLD.match(path)
    return path if match is None else f"/{match[1].lower()}:/{path[match.end() :]}"


def told(path: str) -> str:
    """Spell a path for a person: what lies in a bucket by its address.

    Examples
    --------
    >>> told("/s3:/sounds/owls/1.wav"), told("/owls/1.wav")
    ('s3://sounds/owls/1.wav', '/owls/1.wav')
    """
    match = _HELD.match(path)
    return path if match is None else f"{match[1]}:/{path[match.start(2) - 1 :]}"


def place(path: str) -> Path:
    """Make a Path of a path or of the address of a bucket."""
    return Path(held(path))


def in_bucket(path: str) -> bool:
    """Tell whether a path, however it is spelled, is that of something in a bucket."""
    return _HELD.match(held(path)) is not None


def bucket_of(path: str) -> str:
    """Return the address of the bucket that something lies in.

    Examples
    --------
    >>> bucket_of("/s3:/sounds/owls/1.wav")
    's3://sounds'
    """
    match = _HELD.match(held(path))
    if match is None:
        raise ValueError(f"{path!r} lies in no bucket")
    return f"{match[1]}://{match[2]}"


def uri_of(path: str) -> str:
    """Spell an absolute path as a URI, its bytes percent-encoded.

    Examples
    --------
    >>> uri_of("/sounds/50% #1.wav"), uri_of("s3://sounds/50% #1.wav")
    ('file:///sounds/50%25%20%231.wav', 's3://sounds/50%25%20%231.wav')
    """
    if not in_bucket(path):
        return Path(path).as_uri()
    from urllib.parse import quote_from_bytes

    bucket = bucket_of(path)
    return bucket + quote_from_bytes(os.fsencode(told(held(path)).removeprefix(bucket)))


def path_of(uri: str) -> str:
    """Return the path that a URI spells, byte for byte.

    Raises
    ------
    ValueError
        If it is no URI of a file.
    """
    from urllib.parse import unquote_to_bytes

    if not (in_bucket(uri) or uri.startswith("file:///")):
        raise ValueError("a URI of a file begins with file:///")
    return held(os.fsdecode(unquote_to_bytes(uri.removeprefix("file://"))))
