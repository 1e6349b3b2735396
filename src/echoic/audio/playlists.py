"""Playlists that name where web radio is (M3U, PLS), and other text that comes where sound was expected.

On disk they name files, and are sound no more than there.

Playlists of HLS, which list a sound's parts, are ffmpeg's to read.
"""

from __future__ import annotations

import re

from echoic.addresses import is_url
from echoic.audio.source import ByteStream

__all__ = ["address_in", "is_hls", "is_markup", "is_playlist", "peek_text"]

_HEAD = 16  # bytes that tell text from sound
_LONGEST = 1 << 16  # bytes of text that are looked at
_BEGINS = ("#extm3u", "[playlist]", "http://", "https://", "icy://", "<")
_SUFFIXES = (".asx", ".b4s", ".cue", ".m3u", ".m3u8", ".pls", ".ram", ".wax", ".wpl", ".wvx", ".xspf", ".zpl")
_KINDS = re.compile(
    r"#extm3u|\[playlist\]|ffconcat version|(<\?xml[^>]*>\s*)?<(playlist|asx)\b|<\?wpl|"
    r"((rem|performer|title|catalog|songwriter|cdtextfile)\b[^\n]*\n\s*)*"  # of a CUE sheet
    r"file[ \t][^\n]*[ \t](wave|mp3|aiff|flac|binary)\b",
    re.IGNORECASE,
)
_ENTRY = re.compile(r"(?:File\d+[ \t]*=)?[ \t]*(\S+)", re.IGNORECASE)


def peek_text(stream: ByteStream) -> str:
    """Return what is a playlist or markup by its first characters, up to 64 KiB of it; else nothing."""
    if not _plain(stream.peek(_HEAD)).lower().startswith(_BEGINS):
        return ""
    return _plain(stream.peek(_LONGEST))


def _plain(data: bytes) -> str:
    return data.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")


def is_hls(text: str) -> bool:
    """Tell a playlist of HLS from other M3U."""
    return text.startswith("#EXTM3U") and "#EXT-X-" in text


def is_markup(text: str) -> bool:
    """Tell a web page, or XML."""
    return text.startswith("<")


def is_playlist(head: bytes, name: str) -> bool:
    """Tell a playlist or CUE sheet by how it begins, or what is text by the name of its file."""
    text = _plain(head)
    return bool(_KINDS.match(text)) or (name.lower().endswith(_SUFFIXES) and "\0" not in text)


def address_in(text: str) -> str | None:
    """Return the first entry of a playlist that is an address on the web; nothing else that it names counts.

    Examples
    --------
    >>> address_in("[playlist]\\nFile1=file:///etc/passwd\\nFile2=http://radio.example.org/stream\\n")
    'http://radio.example.org/stream'
    """
    entries = (_ENTRY.fullmatch(line.strip()) for line in text.splitlines())
    return next((entry[1] for entry in entries if entry and is_url(entry[1])), None)
