"""Opening files with ffmpeg, and what their containers say about themselves.

A file to be indexed may come from anywhere, so it is opened at arm's length. Only regular files are read:
a pipe or device could hang for ever. ffmpeg gets an open file and never the name, which it would read as an
address or a pattern (``concat:``, ``%03d``). Formats that point to other files are refused, and so is any
attempt of a demuxer to open one.
"""

from __future__ import annotations

import ctypes
import errno
import io
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import av
import av.error

from echoic.errors import NotAudioError, UnreadableError, quoted

if TYPE_CHECKING:
    from av.audio.stream import AudioStream as Track
    from av.container import InputContainer

__all__ = ["Source", "breaks_off", "claimed_duration", "open_container"]

StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

# Demuxers that read devices, other files or addresses, or make up sound.
_DEVICES = {"alsa", "fbdev", "kmsgrab", "lavfi", "oss", "v4l2", "video4linux2,v4l2", "x11grab"}
_LISTS = {"concat", "dash", "hds", "hls", "image2", "vobsub", "webm_dash_manifest"}
_STREAMS = {"rtp", "rtsp", "sap", "sdp"}
_SCRIPTS = {"sbg"}
_ACCEPTED = ",".join(sorted(av.formats_available - _DEVICES - _LISTS - _STREAMS - _SCRIPTS))
_READ_SIZE = 1 << 16
_MAX_ALLOCATION = 1 << 28  # bytes; a packet of sound has some thousands, cover art some millions
_PIPE = "a pipe, socket or device; save its sound to a file first"


def _limit_memory() -> None:
    """Keep ffmpeg from believing sizes that damaged files state; PyAV has no way to say so."""
    folders = (Path(av.__file__).parent.parent / "av.libs", Path(av.__file__).parent / ".dylibs")
    for library in (path for folder in folders for path in folder.glob("*avutil*")):
        ctypes.CDLL(str(library)).av_max_alloc(ctypes.c_size_t(_MAX_ALLOCATION))


_limit_memory()


class Source:
    """An open regular file, as PyAV reads it and as this package looks at it beside PyAV.

    Parameters
    ----------
    path : str, bytes or path

    Raises
    ------
    UnreadableError
        If it cannot be opened or is not a regular file; a pipe is not waited for.
    """

    def __init__(self, path: StrPath) -> None:
        self._file = _open_regular(path)
        self.size = os.fstat(self._file.fileno()).st_size
        # The suffix helps to tell raw formats apart; nothing else of the name is shown to ffmpeg.
        suffix = re.search(r"\.[A-Za-z0-9]{1,8}$", os.fsdecode(path))
        self.name = "audio" + (suffix[0] if suffix else "")
        self.error: OSError | None = None  # that the disk gave, as opposed to ffmpeg

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes; none at the end of the file and where the disk fails."""
        try:
            return self._file.read(size) or b""
        except OSError as error:
            self.error = error
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, or return a negative number where ffmpeg tries out one that does not exist."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return -errno.EINVAL

    def tell(self) -> int:
        """Return the place from which is read next."""
        return self._file.tell()

    def look(self, at: int, size: int) -> bytes:
        """Read elsewhere without moving the place from which ffmpeg reads on."""
        before = self.tell()
        self.seek(at)
        data = self.read(size)
        self.seek(before)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _open_regular(path: StrPath) -> io.FileIO:
    name = quoted(path)
    # O_NONBLOCK: a pipe that nobody writes to then opens at once, to be refused below.
    flags = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_NONBLOCK", "O_BINARY", "O_CLOEXEC"))
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise UnreadableError(f"{name} does not exist, or is a link to nothing; check the path") from None
    except PermissionError:
        raise UnreadableError(f"{name} may not be read; allow it and try again") from None
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENXIO:  # a socket
            raise UnreadableError(f"{name} is {_PIPE}") from None
        if isinstance(error, OSError) and error.errno == errno.ELOOP:
            raise UnreadableError(f"{name} is a loop of symbolic links; remove the link") from None
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UnreadableError(f"{name} cannot be opened ({reason}); check the path and the disk") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        if stat.S_ISDIR(mode):
            raise UnreadableError(f"{name} is a directory; give the files in it")
        raise UnreadableError(f"{name} is {_PIPE}")
    return io.FileIO(descriptor, "rb")


def open_container(path: StrPath) -> tuple[InputContainer, Source]:
    """Open a file with ffmpeg.

    Returns
    -------
    container : av.container.InputContainer
    source : Source
        What the container reads from; to be closed after it.

    Raises
    ------
    UnreadableError
        If the file cannot be opened or read.
    NotAudioError
        If ffmpeg does not know what it is.
    """
    source = Source(path)
    name = quoted(path)
    try:
        if source.size == 0:
            raise NotAudioError(f"{name} holds no sound: it is empty; get a new copy or remove it")
        return av.open(
            source,
            "r",
            container_options={"format_whitelist": _ACCEPTED, "protocol_whitelist": ""},
            metadata_errors="replace",
            buffer_size=_READ_SIZE,
            io_open=_refuse,
        ), source
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError, MemoryError):
        source.close()
        if source.error is not None:
            raise UnreadableError(
                f"{name} cannot be read ({source.error.strerror}); check the disk"
            ) from None
        raise NotAudioError(
            f"{name} holds no sound: it is damaged at its start or in a format that is not read; "
            "get a new copy or convert it to WAV"
        ) from None
    except BaseException:
        source.close()
        raise


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError(errno.EACCES, "a sound file may not open other files", url)


# Formats whose headers or last pages state the length; others guess it from the bit rate.
_STATES_DURATION = frozenset(
    {"aiff", "ape", "asf", "au", "caf", "flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2"}
    | {"mp3", "ogg", "tta", "w64", "wav", "wv"}
)


def claimed_duration(container: InputContainer, track: Track, source: Source) -> float | None:
    """Return how many seconds the track should last by its container, or None where that would be a guess."""
    name = container.format.name
    if name not in _STATES_DURATION or (name == "mp3" and not _counts_frames(source)):
        return None
    if track.duration is not None and track.time_base is not None:
        return float(track.duration * track.time_base) * (_wav_excess(source) if name == "wav" else 1)
    for key, value in track.metadata.items():  # how Matroska states the length of each track
        clock = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d*)?)", value)
        if key.upper().startswith("DURATION") and clock:
            return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
    pictures = av.stream.Disposition.attached_pic
    alone = all(stream is track or stream.disposition & pictures for stream in container.streams)
    return container.duration / av.time_base if alone and container.duration is not None else None


def _counts_frames(source: Source) -> bool:
    """Tell whether an mp3 starts with a Xing, Info or VBRI header, which counts its frames."""
    id3 = source.look(0, 10)
    skip = 0
    if id3[:3] == b"ID3" and len(id3) == 10:  # its size has seven bits to a byte
        skip = 10 + (id3[6] << 21 | id3[7] << 14 | id3[8] << 7 | id3[9])
    first_frame = source.look(skip, 2048)
    return any(mark in first_frame for mark in (b"Xing", b"Info", b"VBRI"))


_WAV_UNKNOWN = 0x7FFF_0000  # from here on, sizes are what programs write that do not know yet


def _wav_excess(source: Source) -> float:
    """Return how much longer the samples of a wav should be than they are, as a factor.

    ffmpeg goes by what is there, and so does not notice a file that was cut short.
    """
    at = 12
    for _ in range(64):  # chunks
        header = source.look(at, 8)
        length = int.from_bytes(header[4:], "little")
        if len(header) < 8:
            break
        if header[:4] == b"data":
            there = source.size - at - 8
            return length / there if 0 < there < length < _WAV_UNKNOWN else 1
        at += 8 + length + length % 2
    return 1


_OGG_PAGE_HEADER = 27
_OGG_TAIL = 1 << 17  # more than the longest page, which has 65,307 bytes


def breaks_off(source: Source) -> bool:
    """Tell whether an Ogg file ends within a page: it does not state how long it should be."""
    tail = source.look(max(0, source.size - _OGG_TAIL), _OGG_TAIL)
    page = tail.rfind(b"OggS")
    if page < 0:
        return True
    header = tail[page : page + _OGG_PAGE_HEADER]
    if len(header) < _OGG_PAGE_HEADER:
        return True
    table = tail[page + _OGG_PAGE_HEADER : page + _OGG_PAGE_HEADER + header[26]]
    return page + _OGG_PAGE_HEADER + header[26] + sum(table) > len(tail)
