"""Recordings that follow each other in one file or stream: its links.

Recorders of web radio write a new Ogg, FLAC or MP3 file into the old one at each song; others put files, WAV
too, behind each other; the programme of a broadcast changes. Each link is shown to ffmpeg as a file of its
own, which it is. MP3 and AAC without tags are mere frames, one after another, which ffmpeg can go on with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from heapq import merge

from echoic.audio.boxes import HEAD as BOX_HEAD
from echoic.audio.boxes import PACK, Boxed, boxed, find_begins, find_packs, is_begin
from echoic.audio.mpeg import frame_size
from echoic.audio.ogg import CAPTURE, HEADER_SIZE, Chain, OggLink, find_links, is_sound, page_size
from echoic.audio.source import ByteStream, Source
from echoic.audio.transport import HEAD, StreamChanges, find_changes, find_packets, packet_size

__all__ = ["Link", "StreamLinks", "further_begin", "links_of", "tag_size", "with_link_at"]

_FLAC, _TAG = b"fLaC", b"ID3"
_PACKETS = 1 << 16  # bytes by which a broadcast is told
_NEAR = 4096  # bytes that may lie between recordings: tags, padding
_MARK_SIZE = 10  # bytes by which the begin of a file is told from the same letters in the middle of one
_RATE_AT = 18  # bytes behind FLAC's mark, in 20 bits
_WAV_RATE_AT = 24  # bytes, in 32 bits
_SEARCHED = 1 << 20  # bytes at a time
_WINDOW = 1 << 14  # bytes that are read at once, of boxes
_MOST_BEHIND = 1 << 18  # bytes from the begin of the last packet in which a further recording is sought
_MOST_BOXES = 1 << 22  # gone through in a file: a day of packets, and no more of a hostile one
_HIGHEST_RATE = 192_000  # Hz
_FRAME_HEAD = 6  # bytes of a frame of MPEG that tell its length
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


def further_begin(source: Source, last: int, end: int, *, of_frames: bool) -> int | None:
    """Find where another recording begins, and not only a tag or an index, behind what ffmpeg could read.

    Parameters
    ----------
    last, end : int
        Where the last packet that gave sound begins and ends. It may hold what follows, too.
    of_frames : bool
        Whether bare frames of MP3 or AAC may follow, of which a few bits tell.
    """
    last = max(last, 1)
    if page := page_size(source.look(last, HEADER_SIZE)):  # in Ogg the place of a packet is that of its page
        end = last + page
    near = source.look(last, min(end - last + _NEAR, _MOST_BEHIND))
    places = [last + place for place in _begins_in(near, behind=source.look(0, HEAD))]
    if of_frames:
        near = source.look(end, _NEAR)
        places += [end + place for place in (0, *_places(_TAG, near)) if _is_mpeg(source, end + place)]
    return min(places, default=None)


def _begins_in(data: bytes, *, behind: bytes) -> Iterator[int]:
    """Yield where files begin in data, behind one that begins so.

    The packets of a broadcast, and the packs of a programme, all begin alike: they tell behind other kinds.
    """
    yield from find_begins(data)
    if not packet_size(behind) and (place := find_packets(data)) is not None:
        yield place
    if not behind.startswith(PACK):
        yield from find_packs(data)


def _is_mpeg(source: Source, at: int) -> bool:
    """Tell whether a frame of MP3 or AAC begins at a place, or behind a tag there, and another behind it."""
    at = _behind_tags(source, at)
    head = source.look(at, _FRAME_HEAD)
    size = frame_size(head)
    return size > 0 and (at + size == source.size or _is_frame(source.look(at + size, 4)))


def _is_frame(head: bytes) -> bool:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    if not head[1] & 0x06:  # no layer: AAC, whose rate has four bits
        return head[1] & 0xF0 == 0xF0 and head[2] & 0x3C < 0x34
    return head[1] & 0x18 != 0x08 and 0x10 <= head[2] < 0xF0 and head[2] & 0x0C != 0x0C


_known: dict[tuple[object, ...], list[Link]] = {}


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
    size = packet_size(source.look(0, HEAD)) if boxed(source.look(begin, BOX_HEAD)) is None else 0
    # A broadcast, whatever it begins with, which may be the rest of a packet.
    further = find_changes(source, size) if size else _further(source)
    begins = sorted({0, *further})
    for at, end in zip(begins, [*begins[1:], source.size], strict=True):
        rate = _rate_at(source, _behind_tags(source, at))
        yield Link(at, end, (rate,) if 0 < rate <= _HIGHEST_RATE else ())


def with_link_at(source: Source, links: list[Link], number: int, place: int) -> list[Link]:
    """Divide a link of a file at a place, counted from its begin, where another recording has been found."""
    link = links[number]
    at = link.begin + place
    parts = [replace(link, end=at), Link(at, link.end)]
    _known[source.stamp] = [*links[:number], *parts, *links[number + 1 :]]
    return _known[source.stamp]


def _rate_at(source: Source, at: int) -> int:
    """Return the sample rate of a WAV or FLAC that begins at a place, else 0."""
    head = source.look(at, BOX_HEAD)
    if head[:4] == _FLAC:
        return int.from_bytes(head[_RATE_AT : _RATE_AT + 3], "big") >> 4
    return int.from_bytes(head[_WAV_RATE_AT : _WAV_RATE_AT + 4], "little") if head[12:16] == b"fmt " else 0


def _behind_tags(source: Source, at: int) -> int:
    while size := tag_size(source.look(at, _MARK_SIZE)):
        at += size
    return at


def _further(source: Source) -> Iterator[int]:
    """Yield where files begin behind the begin of the first."""
    at: int | None = 0
    while at is not None:
        first = _behind_tags(source, at)
        kind = boxed(source.look(first, BOX_HEAD))
        if kind is not None:
            at = _behind_boxes(source, kind, first)
        else:
            head = source.look(first, BOX_HEAD)
            mark = _mark_of(head)
            if mark is not None:
                at = _next_marked(source, mark, first)
            else:
                at = _next_begin(source, first) if is_begin(head) else None
        if at is not None:
            yield at


def _behind_boxes(source: Source, kind: Boxed, at: int) -> int | None:
    """Return where another file begins behind that of boxes which begins at a place; None if none does."""
    begin, window = 0, b""

    def look(size: int) -> bytes:
        nonlocal begin, window
        if not begin <= at <= at + size <= begin + len(window):
            begin, window = at, source.look(at, max(_WINDOW, size))
        return window[at - begin : at - begin + size]

    for _ in range(_MOST_BOXES):
        size = kind.size(look)
        if not size:
            break
        at += size
        if at >= source.size:
            return None
        if is_begin(look(BOX_HEAD)):
            return at
    if _is_mpeg(source, at):
        return at
    return min((at + place for place in _begins_in(look(_NEAR), behind=b"")), default=None)


def _next_begin(source: Source, first: int) -> int | None:
    """Return where a file of any kind begins behind the begin of the first, by its mark alone."""
    at = first + 1
    while len(data := source.look(at, _SEARCHED)) >= BOX_HEAD:
        # Of many small recordings each is looked for, so hardly more is looked at than up to the next.
        first_one = next(find_begins(data), None)
        near = data if first_one is None else data[: first_one + _PACKETS]
        places = first_one, next(find_packs(near), None), find_packets(near)
        if any(place is not None for place in places):
            return at + min(place for place in places if place is not None)
        at += len(data) - BOX_HEAD + 1
    return None


def _next_marked(source: Source, mark: bytes, first: int) -> int | None:
    """Return where a file begins behind the begin of the first, but not where only tags are left."""
    # Little is looked at first, and no tag twice: of many small recordings each is looked for.
    at, passed, size = first, first, _NEAR
    marks = {mark, _TAG}  # an mp3 may have been put behind any
    while len(data := source.look(at, size)) >= _MARK_SIZE:
        for place in merge(*(_places(one, data) for one in marks)):
            if at + place <= passed:
                continue
            if mark == _FLAC and data.startswith(_TAG, place) and not _is_mpeg(source, at + place):
                continue
            passed = max(at + place, _behind_tags(source, at + place))
            if passed + _OLD_TAG < source.size:
                return at + place
        at, size = at + len(data) - _MARK_SIZE + 1, min(2 * size, _SEARCHED)
    return None


class StreamLinks:
    """The links of bytes that come, one after another, each to be read to its end as a file of its own.

    Parameters
    ----------
    stream : ByteStream
    """

    name = ByteStream.name

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._chain: Chain | None = None
        self._kind: Boxed | None = None
        self._changes: StreamChanges | None = None
        self._at_end = False
        self._begin()

    def _begin(self) -> None:
        """Find out of what kind the link is that comes next."""
        tags = self._tags()
        head = self._head = self._stream.peek(tags + HEAD)[tags:]
        self._chain = Chain() if head[:4] == CAPTURE else None
        self._kind = boxed(head)
        is_other = self._chain is not None or self._kind is not None
        size = 0 if is_other else packet_size(self._stream.peek(HEAD))
        self._changes = StreamChanges(size) if size else None
        # Bytes to hand on without a look: what this link begins with begins no other.
        self._allowed = tags + (not size and self._chain is None)
        if self._kind is not None:
            self._allowed = tags + self._kind.size(lambda n: self._stream.peek(tags + n)[tags:])

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
        if self._chain is not None and self._stream.peek(len(CAPTURE)) == CAPTURE:
            self._allowed = page_size(self._stream.peek(HEADER_SIZE))
        elif self._changes is not None and not self._is_begin():
            self._allowed = self._changes.size
        else:
            self._begin()
        return True

    def _look_ahead(self, size: int) -> int:
        """Return how many bytes may be handed on before one has to look again; 0 at the end of the link."""
        if self._chain is not None:
            return self._look_at_page(self._chain)
        if self._changes is not None:
            return self._look_at_packets(self._changes)
        if self._kind is not None and not self._is_begin():
            box = self._kind.size(self._stream.peek)
            if box:
                return box
        return self._look_for_begin()

    def _is_begin(self) -> bool:
        """Tell whether another file begins with what comes next."""
        head = self._stream.peek(HEAD)
        if 0 in _begins_in(head, behind=self._head):
            return True
        return _is_mark(_TAG, head[:_MARK_SIZE]) and self._is_mp3(0)

    def _look_for_begin(self) -> int:
        self._stream.peek(BOX_HEAD)
        ahead = self._stream.ahead
        nothing = max(min(1, len(ahead)), len(ahead) - BOX_HEAD + 1)
        return min(self._begins(ahead), default=nothing)

    def _begins(self, ahead: bytes) -> Iterator[int]:
        yield from _begins_in(ahead, behind=self._head)
        yield from (place for place in _places(_TAG, ahead) if self._is_mp3(place))

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
                return min([told, *self._begins(ahead)])
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
        if self._is_begin():
            return 0
        # Damage: on to where the next page might begin, within this one if it was cut off.
        ahead = self._stream.ahead
        found = ahead.find(CAPTURE, 1)
        return found if found > 0 else max(min(1, len(ahead)), len(ahead) - len(CAPTURE) + 1)
