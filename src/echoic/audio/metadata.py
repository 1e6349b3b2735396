"""What a file says about its sound, with every value of a tag that has several.

ffmpeg reads the tags of all formats, but where ID3v2, APEv2 or MP4 list several values under one name it
keeps one of them, and a genre that begins with digits, ``80s``, it takes for the number of another. These
three are therefore read here as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, Protocol

from echoic.audio.tags import folded, is_mark

if TYPE_CHECKING:
    from av.audio.stream import AudioStream as Track
    from av.container import InputContainer

__all__ = ["text_tags"]

_MAX_TAGS = 64
_MAX_TAG_LENGTH = 1000
_MAX_READ = 1 << 22  # bytes of a tag; pictures come within, text comes first
_MAX_BOXES = 10_000

Pairs = Iterator[tuple[str, str]]  # name and value, in order; of several values, one pair each


class Bytes(Protocol):
    """A file to look into, apart from where it is read."""

    size: int

    def look(self, at: int, size: int) -> bytes: ...


def text_tags(container: InputContainer, track: Track, source: Bytes) -> dict[str, str]:
    """Return the metadata of a container and of its track (where Ogg keeps it), keys folded.

    Several values of a key are parted by ``;``. What the program that wrote the file noted about itself is
    left out.
    """
    tags: dict[str, str] = {}
    for key, value in [*track.metadata.items(), *container.metadata.items()]:
        _keep(tags, key, value.replace("\0", "; "))
    lists: dict[str, list[str]] = {}
    for key, value in _listed(source):
        lists.setdefault(folded(key), []).append(value)
    for key, values in lists.items():
        if len(values) > 1 or key == "genre":
            _keep(tags, key, "; ".join(dict.fromkeys(values)))
    return tags


def _keep(tags: dict[str, str], key: str, value: str) -> None:
    name, text = folded(key[: _MAX_TAG_LENGTH + 1]), value.strip()[:_MAX_TAG_LENGTH]
    if not text or not name or len(name) > _MAX_TAG_LENGTH or is_mark(name, text):
        return
    if name in tags or len(tags) < _MAX_TAGS:
        tags[name] = text


def _listed(source: Bytes) -> Pairs:
    head = source.look(0, 12)
    if head[:3] == b"ID3":
        yield from _id3(source.look(0, _MAX_READ))
    elif head[4:8] == b"ftyp":
        yield from _mp4(source)
    elif head[:4] in {b"RIFF", b"FORM"}:
        for at, size, name in _chunks(source, "little" if head[:4] == b"RIFF" else "big"):
            if name.upper() == b"ID3 ":
                yield from _id3(source.look(at, min(size, _MAX_READ)))
    else:
        yield from _ape(source)


# ID3v2 (https://id3.org/id3v2.4.0-structure, https://id3.org/id3v2.3.0, https://id3.org/id3v2-00)

_ID3_NAMES = {
    **{"TCON": "genre", "TPE1": "artist", "TPE2": "album_artist", "TPE3": "performer", "TCOM": "composer"},
    **{"TIT2": "title", "TALB": "album", "TLAN": "language", "TPUB": "publisher", "TMOO": "mood"},
    **{"TEXT": "lyricist", "TCO": "genre", "TP1": "artist", "TP2": "album_artist", "TP3": "performer"},
    **{"TCM": "composer", "TXT": "lyricist", "TT2": "title", "TAL": "album", "TPB": "publisher"},
}
_ID3_CODINGS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_UNSYNCHRONISED, _EXTENDED = 0x80, 0x40


def _id3(data: bytes) -> Pairs:
    """Read the text frames that lie in a tag's first bytes."""
    if len(data) < 10 or data[:3] != b"ID3" or data[3] not in (2, 3, 4):
        return
    version, flags = data[3], data[5]
    body = data[10 : 10 + _seven_bits(data[6:10])]
    if flags & _UNSYNCHRONISED and version < 4:
        body = body.replace(b"\xff\0", b"\xff")
    at = 0
    if flags & _EXTENDED and version > 2:
        at = 4 + int.from_bytes(body[:4], "big") if version == 3 else _seven_bits(body[:4])
    id_size, head_size = (3, 6) if version == 2 else (4, 10)
    while at + head_size <= len(body):
        name = body[at : at + id_size]
        if not re.fullmatch(rb"[A-Z][A-Z0-9]+", name):  # padding
            return
        sized = body[at + id_size : at + 2 * id_size]
        size = _seven_bits(sized) if version == 4 else int.from_bytes(sized, "big")
        frame = body[at + head_size : at + head_size + size]
        status = body[at + 9] if version > 2 else 0
        at += head_size + size
        if name[:1] == b"T" and len(frame) == size:
            text = _id3_text(frame, version, status)
            if text is not None:
                yield from _id3_values(name.decode("ascii"), text)


def _id3_text(frame: bytes, version: int, status: int) -> str | None:
    """Decode a frame; None if it is compressed, encrypted or empty."""
    if version == 4:
        closed, grouped, counted = status & 0x0C, status & 0x40, status & 0x01
        if status & 0x02:
            frame = frame.replace(b"\xff\0", b"\xff")
    else:
        closed, grouped, counted = status & 0xC0, status & 0x20, 0
    frame = frame[(1 if grouped else 0) + (4 if counted else 0) :]
    if closed or not frame or frame[0] >= len(_ID3_CODINGS):
        return None
    # Each value of a list may have its own mark of the byte order.
    return frame[1:].decode(_ID3_CODINGS[frame[0]], "replace").replace("\ufeff", "")


def _id3_values(frame: str, text: str) -> Pairs:
    values = text.split("\0")
    name = values.pop(0) if frame in {"TXXX", "TXX"} else _ID3_NAMES.get(frame, frame)
    for value in values:
        if value.strip():
            yield name, value


def _seven_bits(data: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(reversed(data), (0, 7, 14, 21), strict=False))


# RIFF, AIFF


def _chunks(source: Bytes, order: Literal["little", "big"]) -> Iterator[tuple[int, int, bytes]]:
    """List the chunks of a RIFF or AIFF file: where the content begins, its size, the name."""
    at = 12
    for _ in range(_MAX_BOXES):
        head = source.look(at, 8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[4:], order)
        yield at + 8, size, head[:4]
        at += 8 + size + size % 2


# APEv2 (https://wiki.hydrogenaud.io/index.php?title=APEv2_specification), at the end


def _ape(source: Bytes) -> Pairs:
    for before_end in (32, 32 + 128):  # ID3v1 may follow
        foot = source.look(max(0, source.size - before_end), 32)
        if foot[:8] == b"APETAGEX" and len(foot) == 32:
            break
    else:
        return
    size, count = (int.from_bytes(foot[at : at + 4], "little") for at in (12, 16))
    size = min(size, _MAX_READ, source.size - before_end + 32)
    data = source.look(source.size - before_end + 32 - size, size)
    at = 0
    for _ in range(min(count, _MAX_BOXES)):
        length, flags = (int.from_bytes(data[at + i : at + i + 4], "little") for i in (0, 4))
        end = data.find(b"\0", at + 8)
        if end < 0 or end + 1 + length > len(data):
            return
        value = data[end + 1 : end + 1 + length]
        name, at = data[at + 8 : end].decode("ascii", "replace"), end + 1 + length
        if not flags & 0x06:  # text in UTF-8
            yield from ((name, text) for text in value.decode("utf-8", "replace").split("\0") if text.strip())


# MP4 (https://developer.apple.com/documentation/quicktime-file-format/metadata_item_list_atom)

_MP4_NAMES = {
    **{b"\xa9gen": "genre", b"\xa9ART": "artist", b"aART": "album_artist", b"\xa9wrt": "composer"},
    **{b"\xa9nam": "title", b"\xa9alb": "album", b"\xa9grp": "grouping", b"keyw": "keywords"},
}
_MP4_PLACE = (b"moov", b"udta", b"meta", b"ilst")


def _mp4(source: Bytes) -> Pairs:
    begin, end = 0, source.size
    for wanted in _MP4_PLACE:
        found = next((box for box in _boxes(source.look, begin, end) if box[2] == wanted), None)
        if found is None:
            return
        begin, end = found[0] + (4 if wanted == b"meta" else 0), found[1]
    data = source.look(begin, min(end - begin, _MAX_READ))

    def look(at: int, size: int) -> bytes:
        return data[at : at + size]

    for item_begin, item_end, kind in _boxes(look, 0, len(data)):
        name = _MP4_NAMES.get(kind, "")
        for box_begin, box_end, part in _boxes(look, item_begin, item_end):
            content = data[box_begin:box_end]
            if part == b"name" and kind == b"----":
                name = content[4:].decode("utf-8", "replace")
            elif part == b"data" and name and content[:4] == b"\0\0\0\x01":  # UTF-8
                yield name, content[8:].decode("utf-8", "replace")


def _boxes(look: Callable[[int, int], bytes], begin: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """List the boxes within a part of an MP4 file: where the content begins and ends, and the name."""
    at = begin
    for _ in range(_MAX_BOXES):
        head = look(at, 16)
        if at + 8 > end or len(head) < 8:
            return
        size, head_size = int.from_bytes(head[:4], "big"), 8
        if size == 1:
            size, head_size = int.from_bytes(head[8:], "big"), 16
        elif size == 0:  # up to the end
            size = end - at
        if size < head_size:
            return
        yield at + head_size, min(at + size, end), head[4:8]
        at += size
