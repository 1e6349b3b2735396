"""Routes of a file's sound and what is drawn of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.responses import Response

from echoic.arguments import check_part
from echoic.buckets import stamp_of
from echoic.errors import UnreadableError, quoted
from echoic.server import drawing
from echoic.server.asked import Part, Picture, Waveform
from echoic.server.limits import check_part_length
from echoic.server.problems import refusals
from echoic.server.sending import Content, send
from echoic.server.service import Service
from echoic.server.shapes import Peaks
from echoic.types import FileRecord

__all__ = ["CUT_TYPE", "FileId", "cut", "router"]

router = APIRouter(prefix="/v1/files")

FileId = Annotated[int, InPath(ge=1, le=2**63 - 1, description="The id of a file of the library.")]

# By suffix: the media type, and which codecs in it every browser plays. Python's own table lacks half.
_PLAYED = {
    ".mp3": ("audio/mpeg", {"mp3", "mp3float"}),
    ".flac": ("audio/flac", {"flac"}),
    ".wav": ("audio/wav", {"pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_f32le"}),
    ".ogg": ("audio/ogg", {"vorbis", "opus"}),
    ".oga": ("audio/ogg", {"vorbis", "opus"}),
    ".opus": ("audio/ogg", {"opus"}),
    ".webm": ("audio/webm", {"vorbis", "opus"}),
    ".m4a": ("audio/mp4", {"aac"}),
}
#: The media type of what is cut or converted.
CUT_TYPE = "audio/flac"
_HIGHEST_RATE = 96_000  # Hz; what has more is converted
_NOT_AS_HEARD = frozenset({"tracks", "phase"})  # a browser would play another track, or channels that cancel

_BINARY = {"schema": {"type": "string", "format": "binary"}}
_TYPES = dict.fromkeys(sorted({kind for kind, _ in _PLAYED.values()} | {CUT_TYPE}), _BINARY)
_PARTLY = {"description": "The bytes that were asked for."}
_AS_IT_WAS = {"description": "It is as it was."}
_SENT: dict[int, dict[str, Any]] = {
    200: {"description": "All of it.", "content": _TYPES},
    206: {**_PARTLY, "content": _TYPES},
    304: _AS_IT_WAS,
}


@router.get("/{file_id}/audio", responses=refusals(404, 416, 429, besides=_SENT), response_class=Response)
@router.head(
    "/{file_id}/audio", responses={200: {"description": "How large it is."}}, include_in_schema=False
)
async def play(request: Request, file_id: FileId, part: Annotated[Part, Query()]) -> Response:
    """Play a file: as it is where browsers can, else, or where start or end is given, as FLAC.

    Ranges are of bytes, as players ask for them. What is cut or converted has one channel: what is searched.
    """
    service: Service = request.app.state.service
    check_part(part.start, part.end)
    record = await service.looks.run(service.holdings.of_id, file_id)
    if (part.start, part.end) == (None, None):
        content = await service.looks.run(_as_it_is, record)
        if content is not None:
            return send(request, content)
    return send(request, await cut(service, record, part.start, part.end))


async def cut(service: Service, record: FileRecord, start: float | None, end: float | None) -> Content:
    """Return a part of a file's sound, or all of it, as FLAC of one channel.

    Raises
    ------
    UsageError
        If it is too long.
    """
    check_part_length(record, start, end, service.settings.max_seconds)
    how = ("cut", start, end)
    return await _made(service, record, how, ".flac", CUT_TYPE, partial(drawing.cut, record, start, end))


@router.get(
    "/{file_id}/peaks",
    responses=refusals(404, 416, 429, besides={200: {"model": Peaks}, 206: _PARTLY, 304: _AS_IT_WAS}),
    response_class=Response,
)
async def show_peaks(
    request: Request,
    file_id: FileId,
    asked: Annotated[Waveform, Query()],
) -> Response:
    """Return the waveform: the least and greatest sample of each of ``n`` stretches."""
    service: Service = request.app.state.service
    record = await service.looks.run(service.holdings.of_id, file_id)
    how = ("peaks", asked.start, asked.end, asked.n)
    draw = partial(drawing.peaks, record, *how[1:])
    return send(request, await _made(service, record, how, ".json", "application/json", draw))


@router.get(
    "/{file_id}/spectrogram.png",
    responses=refusals(
        404, 416, 429, besides={200: {"content": {"image/png": _BINARY}}, 206: _PARTLY, 304: _AS_IT_WAS}
    ),
    response_class=Response,
)
async def show_spectrogram(
    request: Request,
    file_id: FileId,
    asked: Annotated[Picture, Query()],
) -> Response:
    """Draw the spectrum over time, frequencies evenly from 0 to half the file's sample rate."""
    service: Service = request.app.state.service
    record = await service.looks.run(service.holdings.of_id, file_id)
    how = ("spectrogram", asked.start, asked.end, asked.width, asked.height)
    draw = partial(drawing.spectrogram, record, *how[1:])
    return send(request, await _made(service, record, how, ".png", "image/png", draw))


def _as_it_is(record: FileRecord) -> Content | None:
    """Open a file whose bytes every browser plays, and which is the one that was indexed.

    What has taken its place since, by a link to a file of secrets say, is never sent: it goes the way of
    sound, which gives nothing but that.
    """
    media_type, codecs = _PLAYED.get(Path(record.path).suffix.lower(), ("", set()))
    is_played = record.codec in codecs and record.sample_rate <= _HIGHEST_RATE
    if not is_played or record.state == "failed" or _NOT_AS_HEARD & {note.kind for note in record.notes}:
        return None
    try:
        content = Content.of(Path(record.path), media_type, (record.id, record.size, record.mtime_ns))
    except OSError:
        return None  # as sound it will be told why
    status = os.fstat(content.file.fileno())
    if (status.st_size, status.st_mtime_ns) != (record.size, record.mtime_ns):
        content.file.close()
        return None
    return content


async def _made(
    service: Service,
    record: FileRecord,
    how: tuple[object, ...],
    suffix: str,
    media_type: str,
    make: Callable[[Path], None],
) -> Content:
    """Return something made of a file as it is now."""
    key = (await service.looks.run(_stamp, record), how)
    return await service.make(key, suffix, media_type, make)


def _stamp(record: FileRecord) -> tuple[int, int, int]:
    """Return what changes whenever a file is written."""
    try:
        return record.id, *stamp_of(record.path)
    except OSError:
        raise UnreadableError(f"{quoted(record.path)} is gone, or may not be read") from None
