"""Recordings that follow each other in one file or stream: its links.

Recorders of web radio write a new Ogg or FLAC file into the old one at each song; others put files behind
each other. Each link is shown to ffmpeg as a file of its own, which it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from echoic.audio.ogg import CAPTURE, HEADER_SIZE, Chain, OggLink, find_links, is_sound, page_size
from echoic.audio.source import ByteStream, Source

__all__ = ["Link", "StreamLinks", "links_of", "tag_size"]

_FLAC = b"fLaC"
_FLAC_BEGINS = (
    b"fLaC\0\0\0\x22",
    b"fLaC\x80\0\0\x22",
)  # the marker, and the header of the block that must follow
_RATE_AT = 18  # bytes behind the marker, in 20 bits
_SEARCHED = 1 << 20  # bytes at a time
_HIGHEST_RATE = 192_000  # Hz
_REMEMBERED = 16  # files


@dataclass(slots=True)
class Link:
    """One recording of a file.

    Parameters
    ----------
    begin, end : int
        Its bytes.
    rates : tuple of int
        Hz, where they are known before it is opened.
    ogg : OggLink, optional
        What the page headers of an Ogg link tell.
    length : float, optional
        Seconds that it is known to last, once it has been opened.
    """

    begin: int
    end: int
    rates: tuple[int, ...] = ()
    ogg: OggLink | None = None
    length: float | None = None


def tag_size(head: bytes) -> int:
    """Return the length of the ID3 tag that a file begins with, by its first ten bytes, or 0."""
    if head[:3] != b"ID3" or len(head) < 10:  # its size has seven bits to a byte
        return 0
    return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])


_known: dict[tuple[int, int, int, int], list[Link]] = {}


def links_of(source: Source) -> list[Link]:
    """Find the links of a file, at least one; those of a file that has not changed are remembered.

    A part of a long file is asked for again and again, and its pages would be gone through each time.
    """
    if source.stamp not in _known:
        while len(_known) >= _REMEMBERED:
            del _known[next(iter(_known))]
        _known[source.stamp] = list(_found(source))
    return _known[source.stamp]


def _found(source: Source) -> Iterator[Link]:
    begin = tag_size(source.look(0, 10))
    head = source.look(begin, 12)
    if head[:4] == CAPTURE:
        for link in find_links(source):
            rates = tuple(track.rate for track in link.tracks if 0 < track.rate <= _HIGHEST_RATE)
            yield Link(link.begin, link.end, rates, link)
    elif head[:4] == _FLAC:
        begins = [0, *(at for at in _flac_markers(source) if at > begin)]
        for at, end in zip(begins, [*begins[1:], source.size], strict=True):
            rate = int.from_bytes(source.look((at or begin) + _RATE_AT, 3), "big") >> 4
            yield Link(at, end, (rate,) if 0 < rate <= _HIGHEST_RATE else ())
    else:
        yield Link(0, source.size)


def _flac_markers(source: Source) -> Iterator[int]:
    overlap = len(_FLAC_BEGINS[0]) - 1
    at = 0
    while at < source.size:
        data = source.look(at, _SEARCHED)
        yield from (at + place for place in _places(data))
        if len(data) <= overlap:
            break
        at += len(data) - overlap


def _places(data: bytes) -> Iterator[int]:
    """Yield where FLAC begins in data."""
    place = data.find(_FLAC)
    while place >= 0:
        if data.startswith(_FLAC_BEGINS, place):
            yield place
        place = data.find(_FLAC, place + 1)


class StreamLinks:
    """The links of bytes that come, one after another, each to be read to its end as a file of its own.

    Parameters
    ----------
    stream : ByteStream

    Attributes
    ----------
    ogg : OggLink or None
        What the pages of this link have told so far.
    """

    name = ByteStream.name

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        skipped = tag_size(stream.peek(10))
        head = stream.peek(skipped + 4)[skipped:] if skipped < _SEARCHED else b""
        self._chain = Chain() if head == CAPTURE else None
        self._is_flac = head == _FLAC
        self._allowed = skipped + len(head) if self._is_flac else skipped  # bytes to hand on without a look
        self._at_end = False

    @property
    def ogg(self) -> OggLink | None:
        return None if self._chain is None else self._chain.links[-1]

    def read(self, size: int) -> bytes:
        """Return what comes next of this link; none at its end."""
        if self._at_end:
            return b""
        if not self._allowed:
            self._allowed = self._look_ahead(size)
        data = self._stream.read(min(size, self._allowed)) if self._allowed else b""
        self._allowed -= len(data)
        self._at_end = not data
        return data

    def next(self) -> bool:
        """Go on to the next link, past what is left of this one; tell whether there is one."""
        while self.read(_SEARCHED):
            pass
        if not self._stream.peek(1):
            return False
        self._at_end = False
        if self._is_flac:
            self._allowed = len(_FLAC)
        elif self._chain is not None:
            self._allowed = page_size(self._stream.peek(HEADER_SIZE))
        return True

    def _look_ahead(self, size: int) -> int:
        """Return how many bytes may be handed on before one has to look again; 0 at the end of the link."""
        if self._chain is not None:
            header = self._stream.peek(HEADER_SIZE)
            size = page_size(header)
            page = self._stream.peek(size)
            whole = is_sound(page)
            if size and self._chain.page(0, header, lambda: page, whole=whole):
                return 0
            if whole:
                return size
            # Damage: on to where the next page might begin, within this one if it was cut off.
            ahead = self._stream.ahead
            found = ahead.find(CAPTURE, 1)
            return found if found > 0 else max(min(1, len(ahead)), len(ahead) - len(CAPTURE) + 1)
        if self._is_flac:
            self._stream.peek(len(_FLAC_BEGINS[0]) + 1)
            ahead = self._stream.ahead
            place = next(_places(ahead), None)
            least = min(1, len(ahead))
            return max(least, len(ahead) - len(_FLAC_BEGINS[0]) + 1) if place is None else place
        return size
