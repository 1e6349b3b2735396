"""Ogg pages: where the links of a chain begin, and from when to when each plays.

An Ogg file may hold several recordings, one after another, as recorders of web radio write it: a chain. Each
link begins with pages that are marked so, one for each of its tracks, and may differ from the last in
everything. ffmpeg reads a chain as one recording and goes wrong in most ways there are, so each link is
shown to it as a file of its own. Only page headers are gone through here: 40,000 of them for three hours.

References
----------
RFC 3533, "The Ogg encapsulation format version 0"; RFC 7845 (Opus), and xiph.org/flac/ogg_mapping.html.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from echoic.audio.source import Source

__all__ = ["CAPTURE", "HEADER_SIZE", "Chain", "OggLink", "OggTrack", "find_links", "is_sound", "page_size"]

CAPTURE = b"OggS"
HEADER_SIZE = 27 + 255  # the most that a page's header has
_FIXED = struct.Struct("<4sBBqIIIB")  # capture, version, flags, position, serial, number, checksum, segments
_CONTINUED, _BEGINS = 1, 2
_IDENTIFICATION = 4096  # bytes that the page which begins a track may have
_LONGEST_PAGE = 60.0  # s that one page may hold
_WINDOW = 1 << 14  # bytes read at a time: four pages of the usual length
_SEARCHED = 1 << 16  # bytes at a time


@dataclass(slots=True)
class OggTrack:
    """What page headers tell of one track of a link; its times are ffmpeg's, in seconds.

    Parameters
    ----------
    rate : int
        Hz, that positions count in; 0 where the codec is not known.
    skipped : int
        Samples in front that are not part of the sound.
    begin : float or None
        When the first sample plays, where ffmpeg cannot know: in FLAC.
    end : float or None
        When the last sample has been played.
    regular : bool
        Whether no page is missing, so that what is stated is what can be decoded.
    """

    rate: int
    skipped: int = 0
    begin: float | None = None
    end: float | None = None
    regular: bool = True
    _block: int = 0
    _last: int = 0
    _number: int = -1

    def page(self, flags: int, position: int, number: int, completed: int) -> None:
        """Take note of a page that ends some packets, or none."""
        follows = number == self._number + 1
        self._number = number
        if self.end is not None and not follows:
            self.regular = False
        if position <= 0 or not completed or not self.rate:
            return
        if self.end is None:
            # Who starts to record in the middle gets the headers, and then the page that is due.
            decodable = completed - (bool(flags & _CONTINUED) and not follows)
            if self._block:
                self.begin = max(0, position - decodable * self._block) / self.rate
        elif not self._last <= position <= self._last + _LONGEST_PAGE * self.rate:
            self.regular = False
        self._last = position
        self.end = (position - self.skipped) / self.rate


@dataclass(slots=True)
class OggLink:
    """One link of a chain.

    Parameters
    ----------
    begin, end : int
        Its bytes in the file.
    tracks : list of OggTrack
        In the order in which they begin, which is that of ffmpeg's streams.
    complete : bool
        Whether its last page is whole.
    """

    begin: int
    end: int = 0
    tracks: list[OggTrack] = field(default_factory=list)
    complete: bool = True


class Chain:
    """The links of a chain, as its pages are gone through.

    Attributes
    ----------
    links : list of OggLink
        Those begun so far, at least one.
    """

    def __init__(self) -> None:
        self.links = [OggLink(0)]
        self._by_serial: dict[int, OggTrack] = {}
        self._begun = False  # whether pages have come that do not begin a track

    def page(self, at: int, header: bytes, look: Callable[[], bytes], *, whole: bool = True) -> bool:
        """Go on with the page at a place in the file; ``look`` returns all of it.

        Returns
        -------
        bool
            Whether a new link begins with it.
        """
        _, _, flags, position, serial, number, _, n_segments = _FIXED.unpack_from(header)
        new = False
        if flags & _BEGINS and page_size(header) <= _IDENTIFICATION and is_sound(page := look()):
            if self._begun:
                new = True
                self.links[-1].end = at
                self.links.append(OggLink(at))
                self._by_serial, self._begun = {}, False
            track = _track(page[_FIXED.size + n_segments :])
            self.links[-1].tracks.append(track)
            self._by_serial[serial] = track
        else:
            self._begun = True
        self.links[-1].complete = whole
        if whole and serial in self._by_serial:
            lengths = header[_FIXED.size : _FIXED.size + n_segments]
            completed = sum(length < 255 for length in lengths)
            self._by_serial[serial].page(flags, position, number, completed)
        return new


def page_size(header: bytes) -> int:
    """Return the bytes of the page that begins so; 0 if there is none, or too little of its header."""
    if len(header) < _FIXED.size or header[:5] != CAPTURE + b"\0":
        return 0
    n_segments = header[26]
    if len(header) < _FIXED.size + n_segments:
        return 0
    return _FIXED.size + n_segments + sum(header[_FIXED.size : _FIXED.size + n_segments])


def find_links(source: Source) -> list[OggLink]:
    """Find the links of an Ogg file, at least one."""
    chain = Chain()
    look = _Window(source).look
    at = 0
    while header := look(at, HEADER_SIZE):
        size = page_size(header)
        # A page that was cut off runs into the next link.
        whole = 0 < size <= source.size - at and (
            CAPTURE.startswith(look(at + size, HEADER_SIZE)[: len(CAPTURE)]) or is_sound(look(at, size))
        )
        if size:
            chain.page(at, header, partial(look, at, size), whole=whole)
        elif CAPTURE.startswith(header[: len(CAPTURE)]):  # a part of a header, at the end
            chain.links[-1].complete = False
        at = at + size if whole else _search(source, at + 1)
    chain.links[-1].end = source.size
    return chain.links


class _Window:
    """A file looked at from front to back, a few small pages at a time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._at = 0
        self._data = b""

    def look(self, at: int, size: int) -> bytes:
        """Return the bytes from a place on, fewer only at the end of the file."""
        begin = at - self._at
        if not 0 <= begin <= len(self._data) - size:
            self._data = self._source.look(at, max(size, _WINDOW))
            self._at, begin = at, 0
        return self._data[begin : begin + size]


def _search(source: Source, at: int) -> int:
    """Return where the next page may begin, or the end of the file."""
    while data := source.look(at, _SEARCHED):
        found = data.find(CAPTURE)
        if found >= 0:
            return at + found
        at += max(1, len(data) - len(CAPTURE) + 1)
    return at


def _track(identification: bytes) -> OggTrack:
    """Read from the first packet of a track what its positions count."""
    if identification[:7] == b"\x01vorbis" and len(identification) >= 16:
        return OggTrack(int.from_bytes(identification[12:16], "little"))
    if identification[:8] == b"OpusHead" and len(identification) >= 12:
        return OggTrack(48_000, int.from_bytes(identification[10:12], "little"))
    if identification[:8] == b"Speex   " and len(identification) >= 40:
        return OggTrack(int.from_bytes(identification[36:40], "little"))
    if identification[:5] == b"\x7fFLAC" and len(identification) >= 31:
        shortest, longest = struct.unpack_from(">HH", identification, 17)
        rate = int.from_bytes(identification[27:30], "big") >> 4
        return OggTrack(rate, _block=longest if shortest == longest else 0)
    return OggTrack(0)


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def is_sound(page: bytes) -> bool:
    """Tell whether a page is as it was written: damage may have set any mark."""
    return 0 < len(page) == page_size(page) and _checksum(page) == page[22:26]


def _checksum(page: bytes) -> bytes:
    """Return a page's checksum as it would stand in its header."""
    # zlib's is that of mirrored bytes, with ones put in at the begin and turned at the end.
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_REVERSED)
    return (zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF).to_bytes(4, "big").translate(_REVERSED)
