"""A folder of broken, odd and malicious files, made on the spot, and what a run over it must make of each.

``EXPECTED`` names every file: ``"indexed"`` is sound and must be read without complaint, ``"partial"`` must
give what can be decoded and say what is lost, ``"failed"`` must give one clear sentence.
"""

from __future__ import annotations

import os
import socket
import struct
import zlib
from pathlib import Path

import numpy as np

from echoic.audio.encode import write_audio
from echoic.types import FileState
from tests.media import sound

EXPECTED: dict[str, FileState] = {
    "empty": "failed",
    "text": "failed",
    "picture": "failed",
    "script": "failed",
    "header_only": "failed",
    "zero_length_wav": "failed",
    "zero_length_flac": "failed",
    "truncated_wav": "partial",
    "truncated_mp3": "partial",
    "truncated_flac": "partial",
    "truncated_ogg": "partial",
    "truncated_opus": "partial",
    "truncated_m4a": "failed",
    "corrupt_mp3": "partial",
    "corrupt_flac": "partial",
    "corrupt_ogg": "partial",
    "corrupt_opus": "partial",
    "corrupt_m4a": "partial",
    "not_finite": "partial",
    "absurd_memory": "failed",
    "absurd_rate": "failed",
    "absurd_length": "indexed",
    "eight_channels": "indexed",
    "eight_channels_aiff": "indexed",
    "rate_8000": "indexed",
    "rate_192000": "indexed",
    "unreadable": "failed",
    "dangling_link": "failed",
    "link_loop": "failed",
    "fifo": "failed",
    "socket": "failed",
    "directory": "failed",
    "playlist_m3u8": "failed",
    "playlist_ffconcat": "failed",
    "name_newline": "indexed",
    "name_not_utf8": "indexed",
    "name_dash": "indexed",
    "name_pattern": "indexed",
    "name_protocol": "indexed",
}

SECONDS = 6.0
_RATE = 44_100


def flip(data: bytes, start: float, end: float, *, seed: int = 0) -> bytes:
    """Replace every eighth byte or so of a part of ``data``, given as fractions of its length."""
    rng = np.random.default_rng(seed)
    array = np.frombuffer(data, np.uint8).copy()
    part = array[int(start * len(array)) : int(end * len(array))]
    part ^= np.where(rng.random(len(part)) < 1 / 8, rng.integers(1, 256, len(part)), 0).astype(np.uint8)
    return array.tobytes()


def wav_header(sample_rate: int, n_bytes: int, *, n_channels: int = 1) -> bytes:
    """Build the 44 bytes in front of 16-bit samples, true or not."""
    align = 2 * n_channels
    bytes_per_second = min(sample_rate * align, 2**32 - 1)
    layout = struct.pack("<IHHIIHH", 16, 1, n_channels, sample_rate, bytes_per_second, align, 16)
    size = struct.pack("<I", min(36 + n_bytes, 2**32 - 1))
    return b"RIFF" + size + b"WAVEfmt " + layout + b"data" + struct.pack("<I", n_bytes)


def png() -> bytes:
    """Build a picture of one black pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def make_hostile(folder: Path) -> dict[str, Path]:
    """Write the files into ``folder`` and return the path of each, by its name in ``EXPECTED``."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, Path] = {}

    def add(name: str, filename: str, data: bytes) -> None:
        paths[name] = folder / filename
        paths[name].write_bytes(data)

    samples = sound(SECONDS, _RATE)
    whole = {}
    for suffix in (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a"):
        path = folder / f"whole{suffix}"
        write_audio(path, samples, _RATE)
        whole[suffix] = path.read_bytes()
        path.unlink()

    add("empty", "empty.wav", b"")
    add("text", "text.wav", b"It was a dark and stormy night; the rain fell in torrents.\n" * 40)
    add("picture", "picture.mp3", png())
    add("script", "script.mp3", b"-SE\nbase: 200+2/40\nNOW base\n")  # ffmpeg would synthesise hours of tones
    add("header_only", "header_only.wav", whole[".wav"][:44])
    add("zero_length_wav", "zero_length.wav", wav_header(_RATE, 0))
    stream_info = struct.pack(">HH", 4096, 4096) + bytes(6) + struct.pack(">Q", 44100 << 44 | 15 << 36)
    add("zero_length_flac", "zero_length.flac", b"fLaC\x80\0\0\x22" + stream_info + bytes(16))
    for suffix, data in whole.items():
        add(f"truncated_{suffix[1:]}", f"truncated{suffix}", data[: int(0.55 * len(data)) + 7])
    for suffix in (".mp3", ".flac", ".ogg", ".opus", ".m4a"):
        add(f"corrupt_{suffix[1:]}", f"corrupt{suffix}", flip(whole[suffix], 0.4, 0.6))

    spoilt = samples.copy()
    spoilt[1000:1010] = np.nan
    spoilt[2000:2005] = np.inf
    paths["not_finite"] = folder / "not_finite.wav"
    write_audio(paths["not_finite"], spoilt, _RATE, codec="pcm_f32le")
    noise = (samples[:, 0] * 30_000).astype("<i2").tobytes()
    info = b"LIST" + struct.pack("<I", 0x7000_0000) + b"INFOINAM" + struct.pack("<I", 0x6000_0000)
    add("absurd_memory", "absurd_memory.wav", wav_header(_RATE, len(noise))[:36] + info + bytes(2000))
    add("absurd_rate", "absurd_rate.wav", wav_header(2**31 - 1, len(noise)) + noise)
    add("absurd_length", "absurd_length.wav", wav_header(_RATE, 2**31 - 2) + noise)
    for name, filename, rate, n_channels in (
        ("eight_channels", "eight_channels.flac", _RATE, 8),
        ("eight_channels_aiff", "eight_channels.aiff", _RATE, 8),
        ("rate_8000", "rate_8000.wav", 8_000, 1),
        ("rate_192000", "rate_192000.flac", 192_000, 2),
    ):
        paths[name] = folder / filename
        write_audio(paths[name], sound(3.0, rate, n_channels), rate)

    if os.geteuid() == 0:  # root may read everything, so what is refused to others is gone for it
        paths["unreadable"] = folder / "unreadable.wav"
        paths["unreadable"].symlink_to(folder / "forbidden" / "nothing.wav")
    else:
        add("unreadable", "unreadable.wav", whole[".wav"])
        paths["unreadable"].chmod(0)
    paths["dangling_link"] = folder / "dangling_link.wav"
    paths["dangling_link"].symlink_to(folder / "gone.wav")
    paths["link_loop"] = folder / "link_loop.wav"
    paths["link_loop"].symlink_to(paths["link_loop"])
    paths["fifo"] = folder / "fifo.wav"
    os.mkfifo(paths["fifo"])
    paths["socket"] = folder / "socket.wav"
    _make_socket(paths["socket"])
    paths["directory"] = folder / "directory.wav"
    paths["directory"].mkdir()

    secret = folder / "secret" / "secret.wav"
    secret.parent.mkdir()
    secret.write_bytes(whole[".wav"])
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\n{secret.as_uri()}\n#EXT-X-ENDLIST\n"
    add("playlist_m3u8", "playlist.mp3", playlist.encode())
    add("playlist_ffconcat", "concat.mp3", b"ffconcat version 1.0\nfile secret/secret.wav\n")

    for name, filename in (
        ("name_newline", "new\nline.wav"),
        ("name_not_utf8", os.fsdecode(b"caf\xe9.wav")),
        ("name_dash", "-i.wav"),
        ("name_pattern", "frame%03d.wav"),
        ("name_protocol", "concat:secret.wav|x.wav"),
    ):
        add(name, filename, whole[".wav"])
    return paths


def _make_socket(path: Path) -> None:
    # Bound under a short relative name: the address of a socket has 108 bytes at most.
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(path.name)
    finally:
        os.chdir(here)
