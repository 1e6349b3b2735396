"""Pictures and what films show are read as they are seen, and nothing else is."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from echoic import AudioError
from echoic.audio import pictures
from echoic.audio.encode import write_audio
from echoic.audio.pictures import read_pictures
from echoic.errors import PartError
from tests.media import write_picture, write_pictures

FILM = 40  # frames, at 10 a second


@pytest.fixture(scope="module")
def picture():
    """Red at the upper left, blue at the lower right."""
    seen = np.zeros((40, 64, 3), np.uint8)
    seen[:20, :32], seen[20:, 32:] = [250, 0, 0], [0, 0, 250]
    return seen


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Every frame is brighter than the one before."""
    frames = [np.full((32, 32, 3), 20 + 5 * i, np.uint8) for i in range(FILM)]
    return write_pictures(tmp_path_factory.mktemp("film") / "film.mkv", frames, "ffv1", "matroska")


def frames_of(found):
    return [round((seen.mean() - 20) / 5) for seen in found]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("png", "png"), ("jpg", "mjpeg"), ("bmp", "bmp"), ("tif", "tiff"), ("webp", "libwebp"), ("gif", "gif")],
)
def test_a_picture_is_read_whatever_its_format_and_name(tmp_path, picture, suffix, codec):
    for name in (f"a.{suffix}", "nameless"):
        found = list(read_pictures(write_picture(tmp_path / name, picture, codec), 5))
        assert len({seen.shape for seen in found}) == 1
        assert np.abs(found[0].astype(int) - picture).mean() < 8


def test_a_photograph_is_turned_upright(tmp_path, picture):
    path = write_picture(tmp_path / "a.jpg", picture, "mjpeg")
    tag = struct.pack("<HHII", 0x112, 3, 1, 6) + struct.pack("<I", 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + tag
    content = path.read_bytes()
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:])
    [seen] = read_pictures(path, 1)
    assert np.abs(seen.astype(int) - np.rot90(picture, -1)).mean() < 8


def test_frames_are_spread_from_the_first_to_the_last(film):
    assert frames_of(read_pictures(film, 4)) == [0, 13, 26, 39]
    assert frames_of(read_pictures(film, 1)) == [0]
    assert frames_of(read_pictures(film, FILM)) == list(range(FILM))


def test_frames_are_those_of_the_part(film):
    assert frames_of(read_pictures(film, 3, 1, 2)) == [10, 14, 19]
    assert frames_of(read_pictures(film, 2, 3.5)) == [35, 39]
    with pytest.raises(PartError, match=r"ends at 4\.00 s"):
        list(read_pictures(film, 2, 4.5))


def test_a_long_film_is_jumped_through(film, monkeypatch):
    monkeypatch.setattr(pictures, "_AHEAD", 0.3)
    assert frames_of(read_pictures(film, 4)) == [0, 13, 26, 39]
    monkeypatch.setattr(pictures, "_AHEAD", 4.0)
    monkeypatch.setattr(pictures, "_MOST_FRAMES", 20)
    with pytest.raises(AudioError, match="too many frames"):
        list(read_pictures(film, 4))


def test_a_picture_has_no_parts(tmp_path, picture):
    path = write_picture(tmp_path / "a.png", picture)
    with pytest.raises(PartError, match="has no parts"):
        list(read_pictures(path, 2, 1, 2))


def huge_png(width=20_000, height=20_000):
    """Make a PNG of few bytes that claims far more pixels than would fit."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(20_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it is empty"),
        (b"no picture at all, but words", "is no picture or film"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "no picture"),
        (
            b"<svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/passwd'/></svg>",
            "is no picture or film",
        ),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "is no picture or film"),
        (huge_png(), r"20,000 × 20,000 pixels|no picture"),
        (huge_png(1_000_000, 10), r"a side of 1,000,000 pixels"),
    ],
)
def test_what_is_no_picture_is_said_in_a_sentence(tmp_path, content, told):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=told) as raised:
        list(read_pictures(path, 4))
    assert "a.png" in str(raised.value)


def test_a_picture_that_breaks_off_is_damaged_or_seen_in_part(tmp_path, picture):
    path = write_picture(tmp_path / "a.jpg", picture, "mjpeg")
    content = path.read_bytes()
    for n in range(0, len(content), 50):
        path.write_bytes(content[:n])
        try:
            found = list(read_pictures(path, 2))
        except AudioError:
            continue
        assert [seen.shape for seen in found] == [picture.shape]


def test_sound_alone_shows_nothing(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros(8_000, np.float32), 8_000)
    with pytest.raises(AudioError, match="it holds sound alone"):
        list(read_pictures(tmp_path / "a.wav", 1))
