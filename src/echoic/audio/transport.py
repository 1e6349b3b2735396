"""Where the programme of a broadcast (MPEG-TS) changes: from there on its sound has another place or codec.

ffmpeg looks at what a file holds once. What begins on the way, as where one recording follows another or a
station changes its codec, it would not play.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from echoic.audio.source import Source

__all__ = ["HEAD", "StreamChanges", "find_changes", "find_packets", "packet_size"]

_PACKET = 188  # bytes
_SIZES = (_PACKET, 192, 204)  # to the next: bare, with a time in front (Blu-ray, cameras), or a code behind
_TIME = 4  # bytes of the time in front
_IN_A_ROW = 5  # packets that tell such a file from others
HEAD = (_IN_A_ROW + 1) * max(_SIZES)  # bytes that do so
_SYNC = 0x47
_READ = 8_192  # packets at a time
_HELD = 1 << 20  # bytes, at most, that wait for the maps of programmes
_LIST = 0  # of programmes: where it is
_LISTED = b"\x47\x40\x00"  # with what a packet of it begins
_ASSOCIATIONS, _MAP = 0, 2  # tables: of programmes, and of what belongs to one of them
_SOUND = frozenset({0x03, 0x04, 0x0F, 0x11, 0x81, 0x87})  # MPEG, AAC, AC-3
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

Entries = frozenset[tuple[int, int]]


def packet_size(head: bytes) -> int:
    """Return the bytes from one packet to the next of what begins with these, up to ``HEAD``; else 0.

    It may begin in the middle of a packet, as what was cut out of a broadcast does.
    """
    for size in _SIZES:
        if _next_packet(head, 0, size, _IN_A_ROW) is not None:
            return size
    return 0


def find_packets(data: bytes) -> int | None:
    """Return where a broadcast begins in data that are of something else, if one does.

    A list of programmes stands in it: in samples that hardly change, bytes alone come again and again.
    """
    places = []
    for size in _SIZES:
        place = _next_packet(data, 0, size, _IN_A_ROW)
        if place is not None and any(data.startswith(_LISTED, at) for at in range(place, len(data), size)):
            places.append(place)
    return min(places, default=None)


def _next_packet(data: bytes, at: int, size: int, in_a_row: int) -> int | None:
    """Find the first place from which on so many packets begin one after another."""
    bytes_ = np.frombuffer(data, np.uint8)[at:]
    n = len(bytes_) - (in_a_row - 1) * size
    if n <= 0:
        return None
    begins = np.logical_and.reduce([bytes_[i * size : i * size + n] == _SYNC for i in range(in_a_row)])
    place = int(begins.argmax())
    return at + place if begins[place] else None


def _packets(data: bytes, size: int) -> tuple[list[int], int]:
    """Find the packets in data that may begin, or be joined to others, anywhere.

    Returns
    -------
    list of int
        Where packets begin behind which another does, and what may be one at the end is none yet.
    int
        How much of the data has been looked at for good.
    """
    found: list[int] = []
    at = 0
    while at + size < len(data):
        syncs = np.frombuffer(data, np.uint8)[at::size] == _SYNC
        n = len(syncs) - 1 if syncs.all() else max(0, int(syncs.argmin()) - 1)  # each with its successor
        found += range(at, at + n * size, size)
        at += n * size
        if n < len(syncs) - 1:
            place = _next_packet(data, at + 1, size, 2)
            at = max(at + 1, len(data) - size) if place is None else place
    return found, at


class _Tables:
    """What the tables of a broadcast have said so far.

    Attributes
    ----------
    awaited : set of int
        Where maps are that have not come since the list of programmes was last sent.
    """

    def __init__(self) -> None:
        self._said: dict[int, Entries] = {}
        self.awaited: set[int] = set()

    def take(self, identity: int, packet: bytes) -> bool | None:
        """Read a packet in which something begins; tell whether it is a table that takes something back.

        Returns
        -------
        bool or None
            None if it is no table, or damaged.
        """
        places = {place for _, place in self._said.get(_LIST, ())}
        if identity != _LIST and identity not in places:
            return None
        entries = _entries(packet, _MAP if identity else _ASSOCIATIONS)
        if entries is None:
            return None
        is_change = not self._said.get(identity, entries) <= entries
        if is_change:
            self._said = {} if identity == _LIST else {_LIST: self._said[_LIST]}
        self._said[identity] = entries
        self.awaited = {place for _, place in entries} if identity == _LIST else self.awaited - {identity}
        return is_change


def _beginnings(data: bytes, size: int) -> tuple[list[tuple[int, int, bytes]], int]:
    """Find the packets in which something begins.

    Returns
    -------
    list of (int, int, bytes)
        The place of each, of what it is, and its bytes.
    int
        As :func:`_packets` tells it.
    """
    places, end = _packets(data, size)
    lead = _TIME if size == _PACKET + _TIME else 0
    bytes_ = np.frombuffer(data, np.uint8)
    starts = np.array(places, np.int64)
    starts = starts[bytes_[starts + 1] & 0x40 > 0]
    ids = (bytes_[starts + 1] & 0x1F).astype(np.uint16) << 8 | bytes_[starts + 2]
    found = [
        (max(0, place - lead), identity, data[place : place + _PACKET])
        for place, identity in zip(starts.tolist(), ids.tolist(), strict=True)
    ]
    return found, max(0, end - lead)


def find_changes(source: Source, size: int) -> Iterator[int]:
    """Yield the places in a file from which on a programme, or its sound, is no longer where it was."""
    tables = _Tables()
    at = listed = 0
    while data := source.look(at, _READ * size):
        found, end = _beginnings(data, size)
        for place, identity, packet in found:
            is_change = tables.take(identity, packet)
            if is_change is not None and identity == _LIST:
                listed = at + place
            if is_change:
                yield listed
        at += end or len(data)


class StreamChanges:
    """Where programmes change in bytes that come.

    A list of programmes is held back until its maps are there, by which a change may be told.

    Parameters
    ----------
    size : int
        Bytes from one packet to the next.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._tables = _Tables()
        self._is_next = False

    def told(self, ahead: bytes) -> int | None:
        """Tell how much of what comes next is of the same programme.

        Returns
        -------
        int or None
            Bytes, 0 where a programme changes; None if only more of them can tell.
        """
        if self._is_next:
            self._is_next = False
            return 0
        listed: int | None = None
        found, end = _beginnings(ahead, self.size)
        for place, identity, packet in found:
            is_change = self._tables.take(identity, packet)
            if is_change is not None and identity == _LIST:
                listed = place
            if is_change:
                begin = place if listed is None else listed
                self._is_next = begin > 0
                return begin
            if not self._tables.awaited:
                listed = None
        if listed is not None and len(ahead) - listed < _HELD:
            return listed or None
        return end or None


def _entries(packet: bytes, kind: int) -> Entries | None:
    """Read the table that begins in a packet, if all of it is there and sound.

    Returns
    -------
    frozenset of (int, int), or None
        Numbers of programmes and where their maps are; or the kinds of what sounds and where it is.
    """
    payload = packet[5 + packet[4] :] if packet[3] & 0x20 else packet[4:]
    section = payload[1 + payload[0] :] if payload else b""
    size = 3 + ((section[1] & 0x0F) << 8 | section[2]) if len(section) > 3 else 0
    section = section[:size]
    if size < 12 or len(section) < size or section[0] != kind or not _is_sound(section):
        return None
    if kind == _ASSOCIATIONS:
        body = section[8:-4]
        return frozenset(
            (body[at] << 8 | body[at + 1], (body[at + 2] & 0x1F) << 8 | body[at + 3])
            for at in range(0, len(body) - 3, 4)
        )
    found = set()
    at = 12 + ((section[10] & 0x0F) << 8 | section[11])
    while at + 5 <= size - 4:
        if section[at] in _SOUND:
            found.add((section[at], (section[at + 1] & 0x1F) << 8 | section[at + 2]))
        at += 5 + ((section[at + 3] & 0x0F) << 8 | section[at + 4])
    return frozenset(found)


def _is_sound(section: bytes) -> bool:
    """Tell whether a table is as it was written, by its checksum."""
    # zlib's is that of mirrored bytes, turned at the end.
    mirrored = zlib.crc32(section[:-4].translate(_REVERSED)) ^ 0xFFFFFFFF
    return mirrored.to_bytes(4, "little").translate(_REVERSED) == section[-4:]
