"""Opening files, pipes and addresses with ffmpeg, and what their containers say about themselves.

What is to be heard may come from anywhere, so it is opened at arm's length, everywhere by the same rules.
Only formats of a list are read, which holds none that points to other files, reads a device, or makes up
sound; any attempt of a demuxer to open a file of its own is refused. What an address leads to, by a
redirection or a playlist, is on the web as well.
"""

from __future__ import annotations

import ctypes
import errno
import re
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import av
import av.error

from echoic.audio.links import StreamLinks, tag_size
from echoic.audio.source import Source
from echoic.errors import NotAudioError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream as Track
    from av.container import InputContainer

__all__ = [
    "claimed_duration",
    "guessed_duration",
    "open_address",
    "open_container",
    "open_pictures",
    "receive",
]

# ffmpeg's names of the formats that are read: sound, and films for the sake of their sound. Not raw samples,
# whose rate nobody could know.
_ACCEPTED = """
    aa aac ac3 ac4 aiff amr amrnb amrwb ape aptx aptx_hd asf asf_o au caf codec2 daud dfpwm dsf dss dts dtshd
    eac3 epaf flac g722 g723_1 g726 g726le g728 g729 gsm iamf iff ilbc ircam laf lc3 loas matroska mlp mp3 mpc
    mpc8 nistsphere nsp ogg oma osq pvf qcp qoa rka rso sbc sds sdx shn sln sox spdif tak truehd tta voc vqf
    w64 wav wavarc wsd wv wve xwma
    avi dhav dv flv gxf ivr kux live_flv lvf lxf mov mpeg mpegts mxf nsv nut nuv pva rm swf ty wtv
    3dostr aax acm act ace adp ads adx aea afc aix alp apac apc apm argo_asf argo_brp argo_cvg ast avr bfstm
    bink binka bit boa bonk brstm dcstr derf ea film_cpk fsb fwse genh hca hcom kvag mca mmf msf mtaf musx paf
    pmp pp_bnk psxstr redspark roq rsd scd sdns siff smjpeg smk sol svag svs thp usm vag vpk wady wsaud xa
    xmd xmv xvag
""".split()  # fmt: skip
_FORMATS = ",".join(_ACCEPTED)
_PICTURES = "jpeg_pipe,png_pipe,webp_pipe,bmp_pipe,tiff_pipe,gif,apng"
_PROTOCOLS = "http,https,tcp,tls,crypto,httpproxy"  # the last four are what the first two are made of
_READ_SIZE = 1 << 16
_MAX_ALLOCATION = 1 << 28  # bytes; a packet of sound has some thousands, cover art some millions
_CANNOT_OPEN = (av.error.FFmpegError, OSError, ValueError, RuntimeError, MemoryError)
_TIMEOUT = 15.0  # s without a byte from an address
# Of a file that breaks off, ffmpeg itself asks for the rest, up to three times in a row.
_GO_ON = {"reconnect": "1", "reconnect_delay_max": "4", "reconnect_max_retries": "3"}


def _limit_memory() -> None:
    """Keep ffmpeg from believing sizes that damaged files state; PyAV has no way to say so."""
    folders = (Path(av.__file__).parent.parent / "av.libs", Path(av.__file__).parent / ".dylibs")
    for library in (path for folder in folders for path in folder.glob("*avutil*")):
        ctypes.CDLL(str(library)).av_max_alloc(ctypes.c_size_t(_MAX_ALLOCATION))


_limit_memory()


def open_container(source: Source | StreamLinks, name: str) -> InputContainer:
    """Open a file, or bytes that come; messages call it by a name.

    Raises
    ------
    NotAudioError
        If ffmpeg does not know what it is, or may not read it.
    """
    try:
        return _opened(source, _FORMATS)
    except _CANNOT_OPEN:
        raise _unknown(name) from None


def open_pictures(source: Source, name: str) -> InputContainer:
    """Open a picture, or a film for the sake of what it shows, by the same rules.

    Raises
    ------
    NotAudioError
        As :func:`open_container`.
    """
    try:
        return _opened(source, f"{_PICTURES},{_FORMATS}")
    except _CANNOT_OPEN:
        raise NotAudioError(
            f"{name} is no picture or film: it is damaged at its start or in a format that is not read; "
            "convert it to JPEG or PNG"
        ) from None


def _opened(source: Source | StreamLinks, formats: str) -> InputContainer:
    return av.open(
        source,
        "r",
        container_options={"format_whitelist": formats, "protocol_whitelist": ""},
        metadata_errors="replace",
        buffer_size=_READ_SIZE,
        io_open=_refuse,
    )


def open_address(url: str, name: str) -> InputContainer:
    """Open what needs more than its bytes from front to back: a playlist (HLS), or a file to be searched.

    Raises
    ------
    NotAudioError
        As :func:`open_container`, and if the server does not answer.
    """
    try:
        return av.open(
            url,
            "r",
            container_options={"format_whitelist": f"{_FORMATS},hls", "protocol_whitelist": _PROTOCOLS},
            options=_GO_ON,
            metadata_errors="replace",
            timeout=_TIMEOUT,
        )
    except _CANNOT_OPEN:
        raise _unknown(name) from None


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError(errno.EACCES, "a sound file may not open other files", url)


def _unknown(name: str) -> NotAudioError:
    return NotAudioError(
        f"{name} holds no sound: it is damaged at its start or in a format that is not read; "
        "get a new copy or convert it to WAV"
    )


def receive(url: str, at: int = 0) -> InputContainer:
    """Open the bytes of an address themselves, from a place on; its packets are what comes.

    Radio is told from files by the container's size, which is then negative.

    Raises
    ------
    FFmpegError, OSError
        If the server does not answer, or not from there on.
    """
    return av.open(
        url,
        "r",
        format="data",
        container_options={"format_whitelist": "data", "protocol_whitelist": _PROTOCOLS, "offset": str(at)},
        options={"raw_packet_size": "4096"},
        metadata_errors="replace",
        timeout=_TIMEOUT,
    )


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


def guessed_duration(container: InputContainer) -> float | None:
    """Return about how many seconds a container lasts, as ffmpeg guesses; None where it cannot."""
    guess = container.duration
    return guess / av.time_base if guess is not None and guess > 0 else None


def _counts_frames(source: Source) -> bool:
    """Tell whether an mp3 starts with a Xing, Info or VBRI header, which counts its frames."""
    first_frame = source.look(tag_size(source.look(0, 10)), 2048)
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
