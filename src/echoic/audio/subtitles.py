"""The subtitles that a film carries beside its sound, as text and times."""

from __future__ import annotations

from contextlib import closing
from typing import NamedTuple

import av
import av.error

from echoic.audio.container import open_container
from echoic.audio.source import Source, StrPath
from echoic.errors import NotAudioError, quoted

__all__ = ["CarriedLine", "carried_subtitles"]

# Codecs whose packets are text; others are pictures of it.
_TEXT, _MP4_TEXT, _STYLED = {"subrip", "srt", "webvtt", "text"}, "mov_text", {"ass", "ssa"}
_BEFORE_TEXT = 8  # fields of a line of Advanced SubStation
_MOST_LINES, _MOST_BYTES = 200_000, 1 << 21
_DAMAGE = (av.error.FFmpegError, OSError, ValueError, MemoryError)


class CarriedLine(NamedTuple):
    """A line of subtitles: seconds of the sound, and text with whatever marks it."""

    start: float
    end: float
    text: str


def carried_subtitles(path: StrPath) -> tuple[list[CarriedLine], str]:
    """Read the subtitles that a file carries.

    Of several, those in the language of the sound are read, or else the first; those that are forced
    are for a part of what is said.

    Returns
    -------
    lines : list of CarriedLine
        Empty where it carries none that are text.
    language : str
        As the file has it, of three letters; may be empty.

    Raises
    ------
    AudioError
        If the file cannot be read.
    """
    lines: list[CarriedLine] = []
    language = ""
    with closing(Source(path)) as source:
        try:
            with open_container(source, quoted(path)) as container:
                sounds, texts = container.streams.audio, container.streams.subtitles
                known = _TEXT | _STYLED | {_MP4_TEXT}
                forced = av.stream.Disposition.forced
                usable = [
                    one for one in texts if one.codec_context.name in known and not one.disposition & forced
                ]
                if not usable or not sounds:
                    return [], ""
                spoken = sounds[0].language
                chosen = min(usable, key=lambda one: (one.language != spoken, one.index))
                language = chosen.language or ""
                begun = float((sounds[0].start_time or 0) * (sounds[0].time_base or 0))
                n_bytes = 0
                for packet in container.demux(chosen):
                    if packet.pts is None or not packet.size or packet.time_base is None:
                        continue
                    n_bytes += packet.size
                    if n_bytes > _MOST_BYTES or len(lines) > _MOST_LINES:
                        break
                    start = float(packet.pts * packet.time_base) - begun
                    end = start + float((packet.duration or 0) * packet.time_base)
                    text = _text(chosen.codec_context.name, bytes(packet))
                    if text.strip() and end > 0:
                        lines.append(CarriedLine(max(0.0, start), end, text))
        except NotAudioError:
            raise
        except _DAMAGE:
            pass  # what came before the damage is read
    return sorted(lines), "" if language == "und" else language


def _text(codec: str, packet: bytes) -> str:
    if codec == _MP4_TEXT:  # its length comes first, and how it looks comes after
        packet = packet[2 : 2 + int.from_bytes(packet[:2], "big")]
    text = packet.decode("utf-8", "replace")
    if codec in _STYLED:
        text = text.split(",", _BEFORE_TEXT)[-1].replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
    return text.replace("\0", "")
