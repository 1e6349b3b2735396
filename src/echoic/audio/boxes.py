"""How files begin, and how long the boxes are of which some kinds are made.

Where such a file ends, and another begins, is told by going from box to box, and nothing between is read. A
file whose head states its length is one box.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

__all__ = ["HEAD", "PACK", "Boxed", "boxed", "find_begins", "find_packs", "is_begin"]

#: Bytes of a box by which its kind and length are told; of a few kinds it takes more.
HEAD = 64
#: With what the packs of an MPEG programme (.mpg, .vob) begin.
PACK = b"\0\0\1\xba"

_BEYOND = 1 << 62  # bytes: what does not state its length, or a damaged one, goes on to the end
_MOST_FRAMES = 1 << 17  # of a table of lengths that is believed
_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0"
_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
_NAME = re.compile(rb"[ -~\xa9]{4}")  # of a box of MP4 or CAF

# Each tells by six bytes or more, most by eight, which hardly stand in a file by chance.
_BEGINS = re.compile(
    b"|".join(
        (
            rb"RIFF.{4}(?:WAVE|AVI )",
            rb"(?:RF64|BW64).{4}WAVE",
            rb"FORM.{4}(?:AIF[FC]|8SVX|16SV)",
            rb"FRM8.{8}DSD ",
            rb"DSD \x1c\x00{7}",
            re.escape(_W64),
            rb"\x00\x00\x00[\x08-\x7f]ftyp[ -~]{4}",
            rb"\x1a\x45\xdf\xa3(?:[\x80-\xff]|\x01\x00{3}.{4}|[\x40-\x7f].|\x10.{3})\x42[\x82\x86\xf2\xf3\xf7]",
            rb"caff\x00[\x01\x02]\x00\x00",
            rb"FLV\x01[\x01\x04\x05]\x00\x00\x00\x09",
            re.escape(_ASF),
            rb"\.snd\x00\x00.{6}\x00\x00\x00[\x01-\x1f]",
            rb"Creative Voice File\x1a",
            rb"TTA1[\x01\x02]\x00[\x01-\x10]\x00",
            rb"wvpk.{4}[\x02-\x10]\x04\x00.{5}\x00{4}.{4}.[\x08-\x0f\x18-\x1f]",
            rb"fLaC[\x00\x80]\x00\x00\x22",
            rb"OggS\x00\x02\x00{8}",
            rb"nut/multimedia container",
            rb"\.RMF\x00\x00\x00\x12",
            rb"MAC [\x3c-\xa0]\x0f",
            rb"#!AMR(?:-WB)?\n",
            rb"\x80\x00.{2}\x03\x12\x04[\x01\x02]",  # ADX
            rb"\xb7\xd8\x00\x20\x37\x49\xda\x11\xa6\x4e\x00\x07\xe9\x5e\xad\x8d",  # WTV
        )
    ),
    re.DOTALL,
)

# With the header that comes in the first pack, and in some others.
_FIRST_PACK = re.compile(PACK + rb"(?:[\x44-\x7f].{9}|[\x21-\x2f].{7})\x00\x00\x01\xbb", re.DOTALL)

#: Gives so many of the bytes that come next, fewer only before the end.
Look = Callable[[int], bytes]


def is_begin(head: bytes) -> bool:
    """Tell whether a file begins with these bytes, ``HEAD`` or more."""
    return _BEGINS.match(head) is not None


def find_begins(data: bytes) -> Iterator[int]:
    """Yield where files begin in data."""
    return (found.start() for found in _BEGINS.finditer(data))


def find_packs(data: bytes) -> Iterator[int]:
    """Yield where an MPEG programme may begin in data that are of no other."""
    return (found.start() for found in _FIRST_PACK.finditer(data))


class Boxed(NamedTuple):
    """A kind of file that is made of boxes.

    Parameters
    ----------
    begins : callable
        Tells by its head whether a file of the kind begins.
    size : callable
        Returns the length of the box that comes next, head and all; 0 if there is none.
    """

    begins: Callable[[bytes], bool]
    size: Callable[[Look], int]


def boxed(head: bytes) -> Boxed | None:
    """Return the kind of which a file begins with these bytes, ``HEAD`` or more; None if it has no boxes."""
    return next((kind for kind in _KINDS if kind.begins(head)), None)


def _stated(size: int, least: int) -> int:
    """Return a length that a head states, and one beyond any end if that cannot be."""
    return size if least <= size < _BEYOND else _BEYOND


def _riff(look: Look) -> int:
    """Return the length of a WAV or AVI, or of what is put to a long AVI; 0 in a WAV is not known yet."""
    head = look(12)
    if head[:4] != b"RIFF" or head[8:] not in (b"WAVE", b"AVI ", b"AVIX"):
        return 0
    return _stated(8 + int.from_bytes(head[4:8], "little"), 12)


def _rf64(look: Look) -> int:
    head = look(28)
    if head[4:8] != b"\xff\xff\xff\xff" or head[12:16] != b"ds64":
        return _stated(8 + int.from_bytes(head[4:8], "little"), 12)
    return _stated(8 + int.from_bytes(head[20:28], "little"), 12)


def _w64(look: Look) -> int:
    size = int.from_bytes(look(24)[16:], "little")
    return _stated(size + -size % 8, 24)


def _mp4(look: Look) -> int:
    head = look(16)
    if not _NAME.fullmatch(head[4:8]):
        return 0
    size = int.from_bytes(head[:4], "big")
    if size == 1:  # a long one
        size = int.from_bytes(head[8:], "big")
    return _stated(size, 8)


def _caf(look: Look) -> int:
    head = look(12)
    if head[:4] == b"caff":
        return 8
    size = int.from_bytes(head[4:], "big", signed=True)
    return _stated(12 + size, 12) if _NAME.fullmatch(head[:4]) else 0


def _ebml(look: Look) -> int:
    """Return the length of an element of Matroska; of one of no length, as of streams, its head's."""
    head = look(12)
    n_id = 9 - head[0].bit_length() if head else 9
    if n_id > 4 or len(head) <= n_id or not head[n_id]:
        return 0
    n_size = 9 - head[n_id].bit_length()
    if len(head) < n_id + n_size:
        return 0
    size = int.from_bytes(head[n_id : n_id + n_size], "big") - (1 << 7 * n_size)
    return n_id + n_size + (0 if size == (1 << 7 * n_size) - 1 else size)


def _flv(look: Look) -> int:
    head = look(11)
    if head[:3] == b"FLV":
        return 9 + 4  # and the length of no tag
    return 11 + int.from_bytes(head[1:4], "big") + 4 if head[:1] in (b"\x08", b"\x09", b"\x12") else 0


def _asf(look: Look) -> int:
    return _stated(int.from_bytes(look(24)[16:], "little"), 24)


def _au(look: Look) -> int:
    head = look(12)
    size = int.from_bytes(head[8:], "big")
    return _BEYOND if size in (0, 0xFFFFFFFF) else int.from_bytes(head[4:8], "big") + size


def _voc(look: Look) -> int:
    head = look(22)
    if head.startswith(b"Creative"):
        return _stated(int.from_bytes(head[20:], "little"), 22)
    if head[:1] == b"\0":  # the end
        return 1
    return 4 + int.from_bytes(head[1:4], "little") if head and head[0] < 10 else 0


def _tta(look: Look) -> int:
    """Return the length of a TTA, which is told by a table of those of its frames."""
    head = look(22)
    rate, n_samples = int.from_bytes(head[10:14], "little"), int.from_bytes(head[14:18], "little")
    n = -(-n_samples // max(1, rate * 256 // 245))
    if n > _MOST_FRAMES:
        return _BEYOND
    table = look(22 + 4 * n)[22:]
    sizes = (int.from_bytes(table[at : at + 4], "little") for at in range(0, len(table), 4))
    return 22 + 4 * n + 4 + sum(sizes)


def _wavpack(look: Look) -> int:
    head = look(8)
    return 8 + int.from_bytes(head[4:], "little") if head[:4] == b"wvpk" else 0


def _made_of(begins: bytes, size: Callable[[Look], int]) -> Boxed:
    pattern = re.compile(begins, re.DOTALL)
    return Boxed(lambda head: pattern.match(head) is not None, size)


def _whole(begins: bytes, size: Callable[[Look], int]) -> Boxed:
    """Make a kind of which a file is one box."""
    kind = _made_of(begins, size)
    return Boxed(kind.begins, lambda look: size(look) if kind.begins(look(HEAD)) else 0)


_KINDS = (
    _made_of(rb"RIFF.{4}(?:WAVE|AVI )", _riff),
    _whole(rb"(?:RF64|BW64).{4}WAVE", _rf64),
    _whole(rb"FORM", lambda look: _stated(8 + int.from_bytes(look(8)[4:], "big"), 12)),
    _whole(rb"FRM8", lambda look: _stated(12 + int.from_bytes(look(12)[4:], "big"), 12)),
    _whole(rb"DSD ", lambda look: _stated(int.from_bytes(look(20)[12:], "little"), 28)),
    _whole(re.escape(_W64), _w64),
    _made_of(rb".{4}ftyp", _mp4),
    _made_of(rb"\x1a\x45\xdf\xa3", _ebml),
    _made_of(rb"caff\0", _caf),
    _made_of(rb"FLV\x01", _flv),
    _made_of(re.escape(_ASF), _asf),
    _whole(rb"\.snd", _au),
    _made_of(rb"Creative Voice File", _voc),
    _whole(rb"TTA1", _tta),
    _made_of(rb"wvpk", _wavpack),
)
