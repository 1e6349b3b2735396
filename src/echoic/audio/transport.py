"""Where the programme of a broadcast (MPEG-TS) changes: from there on its sound has another place or codec.

ffmpeg looks at what a file holds once. What begins on the way, as where one recording follows another or a
station changes its codec, it would not play.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np

from echoic.audio.source import Source

__all__ = ["PACKET", "find_changes", "is_transport"]

PACKET = 188  # bytes
_SYNC = 0x47
_READ = 8_192  # packets at a time
_ASSOCIATIONS, _MAP = 0, 2  # tables: of programmes, and of what belongs to one of them
_SOUND = frozenset({0x03, 0x04, 0x0F, 0x11, 0x81, 0x87})  # MPEG, AAC, AC-3
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))

Entries = frozenset[tuple[int, int]]


def is_transport(source: Source) -> bool:
    """Tell whether a file consists of such packets."""
    head = source.look(0, 4 * PACKET + 1)
    return len(head) > 4 * PACKET and all(head[at] == _SYNC for at in range(0, len(head), PACKET))


def find_changes(source: Source) -> Iterator[int]:
    """Yield the places in a file from which on a programme, or its sound, is no longer where it was."""
    tables: dict[int, Entries] = {}
    at = associations = 0
    while data := source.look(at, _READ * PACKET):
        packets = np.frombuffer(data, np.uint8, len(data) // PACKET * PACKET).reshape(-1, PACKET)
        ids = (packets[:, 1] & 0x1F).astype(np.uint16) << 8 | packets[:, 2]
        begins = (packets[:, 0] == _SYNC) & (packets[:, 1] & 0x40 > 0)
        for number in np.flatnonzero(begins):
            identity = int(ids[number])
            if identity and all(identity != place for _, place in tables.get(0, ())):
                continue
            place = at + int(number) * PACKET
            entries = _entries(packets[number].tobytes(), _MAP if identity else _ASSOCIATIONS)
            if entries is None:
                continue
            if not identity:
                associations = place
            if not tables.get(identity, entries) <= entries:
                tables = {} if not identity else {0: tables[0]}
                yield associations
            tables[identity] = entries
        at += max(PACKET, len(packets) * PACKET)


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
