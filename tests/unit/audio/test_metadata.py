"""Tags of files, in the forms that taggers write."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.audio import metadata
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.audio.tags import _GENRES, tag_values
from tests.media import sound

RATE = 16_000


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A file of each suffix, with one genre if any."""
    folder = tmp_path_factory.mktemp("plain")
    made = {}
    for suffix in (".mp3", ".flac", ".ogg", ".m4a", ".wav", ".aiff", ".webm"):
        made[suffix] = folder / f"plain{suffix}"
        write_audio(made[suffix], sound(0.3, RATE), RATE, tags={"genre": "Rock"})
    return made


def tags_of(path: Path) -> dict[str, str]:
    return read_audio(path, RATE)[1].tags


def seven_bits(number: int) -> bytes:
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def id3(version: int, *frames: tuple[bytes, bytes], flags: int = 0, status: int = 0) -> bytes:
    """Make a tag of text frames; ``status`` are the flags of each frame."""
    body = b""
    for name, content in frames:
        if version == 2:
            body += name + len(content).to_bytes(3, "big") + content
        else:
            size = seven_bits(len(content)) if version == 4 else len(content).to_bytes(4, "big")
            body += name + size + bytes([0, status]) + content
    if flags & 0x80:
        body = body.replace(b"\xff", b"\xff\0")
    body += bytes(20)
    return b"ID3" + bytes([version, 0, flags]) + seven_bits(len(body)) + body


def without_id3(mp3: bytes) -> bytes:
    size = sum((mp3[9 - place] & 0x7F) << 7 * place for place in range(4))
    return mp3[10 + size :] if mp3[:3] == b"ID3" else mp3


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        (id3(4, (b"TCON", b"\x03Jazz\0Funk")), {"genre": "Jazz; Funk"}),
        (id3(4, (b"TCON", b"\x03Jazz\0Funk\0")), {"genre": "Jazz; Funk"}),
        (id3(3, (b"TCON", b"\x01" + "Jazz\0Blüe".encode("utf-16"))), {"genre": "Jazz; Blüe"}),
        (
            id3(3, (b"TCON", b"\x01" + "Jazz\0".encode("utf-16") + "Fünk".encode("utf-16"))),
            {"genre": "Jazz; Fünk"},
        ),
        (id3(4, (b"TCON", b"\x02" + "Jazz\0Fünk".encode("utf-16-be"))), {"genre": "Jazz; Fünk"}),
        (id3(3, (b"TCON", b"\x01" + "Jazz\0Funk".encode("utf-16")), flags=0x80), {"genre": "Jazz; Funk"}),
        (id3(2, (b"TCO", b"\0Jazz\0Funk")), {"genre": "Jazz; Funk"}),
        (id3(4, (b"TCON", b"\x03Jazz"), (b"TCON", b"\x03Funk")), {"genre": "Jazz; Funk"}),
        (id3(3, (b"TCON", b"\0(8)(5)Latin")), {"genre": "(8)(5)Latin"}),
        (id3(4, (b"TCON", b"\x038\x005")), {"genre": "8; 5"}),
        (id3(4, (b"TCON", b"\x0380s")), {"genre": "80s"}),  # for ffmpeg it is Folk, the 80th
        (id3(4, (b"TPE1", b"\x03AC/DC\0Abba")), {"artist": "AC/DC; Abba"}),
        (id3(4, (b"TXXX", b"\x03Mood\0dark\0deep")), {"mood": "dark; deep"}),
        (id3(4, (b"TIT2", b"\x03One; two")), {"title": "One; two"}),
        (id3(4, (b"TSSE", b"\x03LAME 3.100"), (b"TCON", b"\x03Jazz")), {"genre": "Jazz"}),
        # A length indicator before the content, as frames have it that could be unsynchronised.
        (id3(4, (b"TCON", seven_bits(10) + b"\x03Jazz\0Funk"), status=0x01), {"genre": "Jazz; Funk"}),
        # An attached picture between.
        (
            id3(3, (b"APIC", b"\0image/png\0\x03\0" + bytes(5000)), (b"TCON", b"\0Jazz\0Funk")),
            {"genre": "Jazz; Funk"},
        ),
    ],
)
def test_id3(plain, tmp_path, tag, expected):
    path = tmp_path / "t.mp3"
    path.write_bytes(tag + without_id3(plain[".mp3"].read_bytes()))
    assert tags_of(path) == expected


@pytest.mark.parametrize("suffix", [".wav", ".aiff"])
def test_id3_in_a_chunk(plain, tmp_path, suffix):
    order = "little" if suffix == ".wav" else "big"
    tag = id3(4, (b"TCON", b"\x03Jazz\0Funk"))
    whole = plain[suffix].read_bytes() + b"ID3 " + len(tag).to_bytes(4, order) + tag
    path = tmp_path / f"t{suffix}"
    path.write_bytes(whole[:4] + (len(whole) - 8).to_bytes(4, order) + whole[8:])
    assert tags_of(path)["genre"] == "Jazz; Funk"


def test_comments_that_a_flac_repeats(plain, tmp_path):
    data, at, blocks = plain[".flac"].read_bytes(), 4, []
    while True:
        kind, size = data[at], int.from_bytes(data[at + 1 : at + 4], "big")
        blocks.append((kind & 0x7F, data[at + 4 : at + 4 + size]))
        at += 4 + size
        if kind & 0x80:
            break
    comments = [b"GENRE=Jazz", b"genre=Funk", b"ARTIST=A", b"Artist=B", b"ENCODER=me"]
    listed = struct.pack("<I", 0) + struct.pack("<I", len(comments))
    listed += b"".join(struct.pack("<I", len(comment)) + comment for comment in comments)
    blocks = [block for block in blocks if block[0] != 4] + [(4, listed)]
    head = b"".join(
        bytes([kind | 0x80 * (number == len(blocks))]) + len(content).to_bytes(3, "big") + content
        for number, (kind, content) in enumerate(blocks, start=1)
    )
    path = tmp_path / "t.flac"
    path.write_bytes(b"fLaC" + head + data[at:])
    tags = tags_of(path)
    assert tags.keys() == {"genre", "artist"}
    assert tag_values("genre", tags["genre"]) == ["Jazz", "Funk"]
    assert tag_values("artist", tags["artist"]) == ["A", "B"]


@pytest.mark.parametrize("trailer", [b"", b"TAG" + bytes(125)])
def test_ape(plain, tmp_path, trailer):
    items = [(b"Genre", b"Jazz\0Funk", 0), (b"Cover", b"Genre\0\xff", 2), (b"Artist", "Ä".encode(), 0)]
    body = b"".join(struct.pack("<II", len(v), flags) + name + b"\0" + v for name, v, flags in items)
    foot = b"APETAGEX" + struct.pack("<IIII", 2000, len(body) + 32, len(items), 0) + bytes(8)
    path = tmp_path / "t.mp3"
    path.write_bytes(without_id3(plain[".mp3"].read_bytes()) + body + foot + trailer)
    assert tags_of(path)["genre"] == "Jazz; Funk"


def box(name: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + name + content


def put_into_mp4(path: Path, place: tuple[bytes, ...], extra: bytes) -> None:
    """Add bytes at the end of the box at a place, and to the sizes of those around it."""
    data, at, around = path.read_bytes(), 0, []
    for name in place:
        while data[at + 4 : at + 8] != name:
            at += int.from_bytes(data[at : at + 4], "big")
        around.append(at)
        at += 12 if name == b"meta" else 8
    sizes = [int.from_bytes(data[begin : begin + 4], "big") for begin in around]
    end = around[-1] + sizes[-1]
    data = data[:end] + extra + data[end:]
    for begin, size in zip(around, sizes, strict=True):
        data = data[:begin] + (size + len(extra)).to_bytes(4, "big") + data[begin + 4 :]
    path.write_bytes(data)


def text(value: str) -> bytes:
    return box(b"data", struct.pack(">II", 1, 0) + value.encode())


ITEMS = (b"moov", b"udta", b"meta", b"ilst")


@pytest.mark.parametrize(
    ("place", "extra", "expected"),
    [
        ((*ITEMS, b"\xa9gen"), text("Fünk"), {"genre": "Rock; Fünk"}),
        (ITEMS, box(b"\xa9gen", text("Jazz") + text("Funk")), {"genre": "Rock; Jazz; Funk"}),
        (
            ITEMS,
            box(b"----", box(b"mean", bytes(4)) + box(b"name", bytes(4) + b"MOOD") + text("a") + text("b")),
            {"genre": "Rock", "mood": "a; b"},
        ),
    ],
)
def test_mp4(plain, tmp_path, place, extra, expected):
    path = tmp_path / "t.m4a"
    path.write_bytes(plain[".m4a"].read_bytes())
    put_into_mp4(path, place, extra)
    assert tags_of(path) == expected


@pytest.mark.parametrize("suffix", [".mp3", ".flac", ".ogg", ".m4a", ".wav", ".webm"])
def test_what_the_muxer_notes_is_no_tag(plain, suffix):
    assert tags_of(plain[suffix]) == {"genre": "Rock"}


def test_the_numbers_of_genres_are_those_of_ffmpeg(plain, tmp_path):
    sound = without_id3(plain[".mp3"].read_bytes())
    path = tmp_path / "t.mp3"
    for number, name in enumerate(_GENRES):
        path.write_bytes(id3(3, (b"TCON", b"\0(%d)" % number)) + sound)
        with av.open(str(path)) as container:
            if number != 133:  # which has another name now
                assert name == container.metadata["genre"]


class Memory:
    """Bytes in the place of a file."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = data, len(data)

    def look(self, at: int, size: int) -> bytes:
        assert at >= 0
        assert size >= 0
        return self.data[at : at + size]


WHOLE = [
    id3(4, (b"TCON", b"\x03Jazz\0Funk"), (b"TXXX", b"\x03Mood\0dark\0deep"), flags=0x40),
    id3(2, (b"TCO", b"\0Jazz\0Funk")),
    box(b"ftyp", bytes(8)) + box(b"moov", box(b"udta", box(b"meta", bytes(4) + box(b"ilst", text("a"))))),
    b"RIFF" + bytes(8) + b"id3 " + bytes([60, 0, 0, 0]) + id3(3, (b"TCON", b"\0Jazz\0Funk")),
    b"x" * 9 + b"APETAGEX" + struct.pack("<IIII", 2000, 40, 1 << 31, 0) + bytes(8),
]


@given(st.sampled_from(WHOLE), st.data())
def test_bytes_that_are_damaged_give_text_or_nothing(whole, data):
    damaged = bytearray(whole)
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=8)):
        damaged[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for name, value in metadata._listed(Memory(bytes(damaged[:cut]))):
        assert isinstance(name, str)
        assert isinstance(value, str)


@given(st.binary(max_size=200), st.sampled_from([b"", b"ID3\x04\0\0", b"\0\0\0\x08ftyp", b"RIFF", b"FORM"]))
def test_any_bytes_give_text_or_nothing(data, head):
    assert all(isinstance(part, str) for pair in metadata._listed(Memory(head + data)) for part in pair)
