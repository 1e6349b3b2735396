"""Recordings that follow each other in one file or stream: its links.

Recorders of web radio write a new Ogg, FLAC or MP3 file into the old one at each song; others put files, WAV
too, behind each other; the programme of a broadcast changes. Each link is shown to ffmpeg as a file of its
own, which it is. MP3 and AAC without tags are mere frames, one after another, which ffmpeg can go on with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from echoic.audio.ogg import CAPTURE, HEADER_SIZE, Chain, OggLink, find_links, is_sound, page_size
from echoic.audio.source import ByteStream, Source
from echoic.audio.transport import HEAD, StreamChanges, find_changes, packet_size

__all__ = ["Link", "StreamLinks", "begins_recording", "links_of", "tag_size"]

_FLAC, _TAG = b"fLaC", b"ID3"
_WAV_HEAD = 12  # bytes: a mark, the size of what follows the first eight, another mark
_FILM = b"ftyp"
_BOX_HEAD = 16  # bytes
_BEGINS = frozenset({_FLAC, b"RIFF", b"RF64", b"FORM", b"TTA1", b"wvpk", b"OpusHead", b"\x01vorbis"})
_NEAR = 4096  # bytes that may lie between recordings: tags, padding
_MARK_SIZE = 10  # bytes by which the begin of a file is told from the same letters in the middle of one
_RATE_AT = 18  # bytes behind FLAC's mark, in 20 bits
_SEARCHED = 1 << 20  # bytes at a time
_HIGHEST_RATE = 192_000  # Hz
_REMEMBERED = 16  # files
_OLD_TAG = 128  # bytes of an ID3v1 tag, which stands at the end


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
    is_steady : bool, optional
        Whether its frames all have one sample rate, once that has been looked at.
    """

    begin: int
    end: int
    rates: tuple[int, ...] = ()
    ogg: OggLink | None = None
    length: float | None = None
    is_steady: bool | None = None


def tag_size(head: bytes) -> int:
    """Return the length of the ID3 tag that begins with these ten bytes, or 0."""
    if not _is_mark(_TAG, head):  # its size has seven bits to a byte
        return 0
    return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])


def _is_mark(mark: bytes, head: bytes) -> bool:
    """Tell whether a file, or its tag, begins with these ten bytes."""
    if len(head) < _MARK_SIZE or not head.startswith(mark):
        return False
    if mark == _FLAC:  # the header of the block that must come first, and whether it is the only one
        return head[4] & 0x7F == 0 and head[5:8] == b"\0\0\x22"
    return 2 <= head[3] <= 4 and head[4] < 0xFF and not head[5] & 0x0F and max(head[6:10]) < 0x80


def _places(mark: bytes, data: bytes) -> Iterator[int]:
    """Yield where files begin in data."""
    place = data.find(mark)
    while place >= 0:
        if _is_mark(mark, data[place : place + _MARK_SIZE]):
            yield place
        place = data.find(mark, place + 1)


def _mark_of(head: bytes) -> bytes | None:
    """Return by what further files begin, from how the first does, without its tag."""
    if head[:4] == _FLAC:
        return _FLAC
    # Frames of MPEG, which in MP3 have a layer.
    is_mp3 = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06
    return _TAG if is_mp3 else None


def begins_recording(source: Source, at: int) -> bool:
    """Tell whether another recording, and not only a tag or an index, begins shortly behind a place."""
    near = source.look(at, _NEAR)
    return (
        _is_mpeg(source, at)
        or any(mark in near for mark in _BEGINS)
        or any(_is_mpeg(source, at + place) for place in _places(_TAG, near))
    )


def _is_mpeg(source: Source, at: int) -> bool:
    """Tell whether a frame of MP3 or AAC begins at a place, or behind a tag there."""
    return _is_frame(source.look(_behind_tags(source, at), 4))


def _is_frame(head: bytes) -> bool:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    if not head[1] & 0x06:  # no layer: AAC, whose rate has four bits
        return head[1] & 0xF0 == 0xF0 and head[2] & 0x3C < 0x34
    return head[1] & 0x18 != 0x08 and 0x10 <= head[2] < 0xF0 and head[2] & 0x0C != 0x0C


def _is_wav(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:_WAV_HEAD] == b"WAVE"


def _wav_size(head: bytes) -> int:
    """Return the length of a wav by its head; where that was not known, it is beyond any end."""
    return 8 + int.from_bytes(head[4:8], "little")


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
    begin = _behind_tags(source, 0)
    head = source.look(begin, _MARK_SIZE)
    if head[:4] == CAPTURE:
        for link in find_links(source):
            rates = tuple(track.rate for track in link.tracks if 0 < track.rate <= _HIGHEST_RATE)
            yield Link(link.begin, link.end, rates, link)
        return
    rate_of = _rate_of_flac
    if _is_wav(source.look(begin, _WAV_HEAD)):
        further, rate_of = _further_wavs(source, begin), _rate_of_wav
    elif source.look(4, 4) == _FILM:
        further = _further_films(source)
    elif _is_aiff(source.look(0, _WAV_HEAD)):
        further = _further_aiffs(source)
    else:
        mark, size = _mark_of(head), packet_size(source.look(0, HEAD))
        if size:  # whatever it begins with, which may be the rest of a packet
            further = find_changes(source, size)
        else:
            further = iter(()) if mark is None else _further(source, mark, begin)
    begins = sorted({0, *further})
    for at, end in zip(begins, [*begins[1:], source.size], strict=True):
        rate = rate_of(source, at or begin)
        yield Link(at, end, (rate,) if 0 < rate <= _HIGHEST_RATE else ())


def _rate_of_wav(source: Source, at: int) -> int:
    fields = source.look(at + _WAV_HEAD, 16)
    return int.from_bytes(fields[12:], "little") if fields[:4] == b"fmt " else 0


def _rate_of_flac(source: Source, at: int) -> int:
    """Return the sample rate of FLAC that begins at a place, else 0."""
    is_flac = source.look(at, 4) == _FLAC
    return int.from_bytes(source.look(at + _RATE_AT, 3), "big") >> 4 if is_flac else 0


def _behind_tags(source: Source, at: int) -> int:
    while size := tag_size(source.look(at, _MARK_SIZE)):
        at += size
    return at


def _further(source: Source, mark: bytes, first: int) -> Iterator[int]:
    """Yield where files begin behind the begin of the first, but not where only tags are left."""
    at, begun = 0, first
    while len(data := source.look(at, _SEARCHED)) >= _MARK_SIZE:
        places = set(_places(mark, data))
        if mark == _FLAC:  # behind which an mp3 may have been put
            places |= {place for place in _places(_TAG, data) if _is_mpeg(source, at + place)}
        for place in sorted(places):
            if at + place > begun:
                begun = max(at + place, _behind_tags(source, at + place))
                if begun + _OLD_TAG < source.size:
                    yield at + place
        at += len(data) - _MARK_SIZE + 1


def _further_wavs(source: Source, first: int) -> Iterator[int]:
    """Yield where wavs begin, each at the end that the one before states, or a byte of padding behind it."""
    at: int | None = first
    while at is not None:
        end = at + _wav_size(source.look(at, _WAV_HEAD))
        at = next((to for to in (end, end + 1) if _is_wav(source.look(to, _WAV_HEAD))), None)
        if at is not None:
            yield at


def _further_films(source: Source) -> Iterator[int]:
    """Yield where files of the MP4 family begin behind the first: with a second box that says so."""
    at = 0
    while at < source.size and len(head := source.look(at, _BOX_HEAD)) >= 8:
        if at and head[4:8] == _FILM:
            yield at
        at += _box_size(head)


def _box_size(head: bytes) -> int:
    """Return the length of a box by its head; of one to the end, or a damaged one, beyond any end."""
    size = int.from_bytes(head[:4], "big")
    if size == 1:  # a long one
        size = int.from_bytes(head[8:], "big")
    return size if size >= 8 else 1 << 62


def _is_aiff(head: bytes) -> bool:
    return head[:4] == b"FORM" and head[8:_WAV_HEAD] in (b"AIFF", b"AIFC")


def _aiff_size(head: bytes) -> int:
    return 8 + int.from_bytes(head[4:8], "big")


#: Kinds whose heads, of twelve bytes, state how long they are.
_SIZED = ((_is_wav, _wav_size), (_is_aiff, _aiff_size))


def _further_aiffs(source: Source) -> Iterator[int]:
    """Yield where aiffs begin, each at the end that the one before states, or a byte of padding behind it."""
    at: int | None = 0
    while at is not None:
        end = at + _aiff_size(source.look(at, _WAV_HEAD))
        at = next((to for to in (end, end + 1) if _is_aiff(source.look(to, _WAV_HEAD))), None)
        if at is not None:
            yield at


class StreamLinks:
    """The links of bytes that come, one after another, each to be read to its end as a file of its own.

    Parameters
    ----------
    stream : ByteStream
    """

    name = ByteStream.name

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        tags = self._tags()
        head = stream.peek(tags + _MARK_SIZE)[tags:]
        self._chain = Chain() if head[:4] == CAPTURE else None
        sized = stream.peek(tags + _WAV_HEAD)[tags:]
        self._sized = next((kind for kind in _SIZED if kind[0](sized)), None)
        self._are_films = stream.peek(_BOX_HEAD)[4:8] == _FILM
        is_other = self._chain is not None or self._sized is not None or self._are_films
        size = 0 if is_other else packet_size(stream.peek(HEAD))
        self._changes = StreamChanges(size) if size else None
        self._mark = None if size else _mark_of(head)
        # Bytes to hand on without a look: what this link begins with begins no other.
        self._allowed = tags + (self._mark is not None)
        if self._sized is not None:
            self._allowed = tags + self._sized[1](sized)
        if self._are_films:
            self._allowed = _box_size(stream.peek(_BOX_HEAD))
        self._at_end = False

    def _tags(self) -> int:
        """Return the length of the tags that come next."""
        tags = 0
        while tags < _SEARCHED and (size := tag_size(self._stream.peek(tags + _MARK_SIZE)[tags:])):
            tags += size
        return tags

    @property
    def ogg(self) -> OggLink | None:
        """What the pages of this link have told so far."""
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
        if self._chain is not None:
            self._allowed = page_size(self._stream.peek(HEADER_SIZE))
        elif self._sized is not None:
            self._allowed = self._sized[1](self._stream.peek(_WAV_HEAD))
        elif self._are_films:
            self._allowed = _box_size(self._stream.peek(_BOX_HEAD))
        elif self._changes is not None:
            self._allowed = self._changes.size
        else:
            self._allowed = self._tags() + 1
        return True

    def _look_ahead(self, size: int) -> int:
        """Return how many bytes may be handed on before one has to look again; 0 at the end of the link."""
        if self._chain is not None:
            return self._look_at_page(self._chain)
        if self._sized is not None:
            begins, _ = self._sized
            ahead = self._stream.peek(_WAV_HEAD + 1)
            if begins(ahead):
                return 0
            return min(len(ahead), 1) if begins(ahead[1:]) else size
        if self._are_films:
            ahead = self._stream.peek(_BOX_HEAD)
            return 0 if ahead[4:8] == _FILM else _box_size(ahead)
        if self._changes is not None:
            return self._look_at_packets(self._changes)
        if self._mark is None:
            return size
        self._stream.peek(_MARK_SIZE)
        ahead = self._stream.ahead
        places = list(_places(self._mark, ahead))[:1]
        if self._mark == _FLAC:  # behind which an mp3 may have been put
            places += [place for place in _places(_TAG, ahead) if self._is_mp3(place)][:1]
        place = min(places, default=None)
        return max(min(1, len(ahead)), len(ahead) - _MARK_SIZE + 1) if place is None else place

    def _is_mp3(self, at: int) -> bool:
        """Tell whether a frame of MPEG stands behind the tag that begins at a place."""
        frame = at + tag_size(self._stream.peek(at + _MARK_SIZE)[at:])
        return frame - at < _SEARCHED and _is_frame(self._stream.peek(frame + 4)[frame:])

    def _look_at_packets(self, changes: StreamChanges) -> int:
        ahead = self._stream.peek(changes.size + 1)
        while ahead:
            ahead = self._stream.ahead
            told = changes.told(ahead)
            if told is not None:
                return told
            if len(self._stream.peek(len(ahead) + 1)) == len(ahead):
                return len(ahead)
        return 0

    def _look_at_page(self, chain: Chain) -> int:
        header = self._stream.peek(HEADER_SIZE)
        size = page_size(header)
        page = self._stream.peek(size)
        whole = is_sound(page)
        if size and chain.page(0, header, lambda: page, whole=whole):
            return 0
        if whole:
            return size
        # Damage: on to where the next page might begin, within this one if it was cut off.
        ahead = self._stream.ahead
        found = ahead.find(CAPTURE, 1)
        return found if found > 0 else max(min(1, len(ahead)), len(ahead) - len(CAPTURE) + 1)
