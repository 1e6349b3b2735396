"""Pictures, and what films show, for those who ask by what they see.

They come from anywhere, so they are opened at arm's length as sound is (:mod:`echoic.audio.container`), and
no header is believed: how many bytes, pixels and frames are looked at has limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import av.error
import numpy as np
import numpy.typing as npt

from echoic.audio.container import open_pictures
from echoic.audio.source import Source, StrPath
from echoic.errors import AudioError, NotAudioError, PartError, quoted

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["read_pictures"]

_LARGEST = 1 << 28  # bytes of a file that is one picture
_MOST_PIXELS, _LONGEST_SIDE = 64_000_000, 1 << 15
_MOST_FRAMES = 30_000  # that are decoded to get at those that are wanted
_AHEAD = 4.0  # s that are decoded rather than jumped over
_DAMAGE = (av.error.FFmpegError, OSError, ValueError, MemoryError)
_SLIGHTLY = 1e-4  # s by which time stamps may be rounded


def read_pictures(
    path: StrPath, n: int, start: float | None = None, end: float | None = None
) -> Iterator[npt.NDArray[np.uint8]]:
    """Read a picture, or up to ``n`` pictures of a film, spread over it from its first to its last.

    Parameters
    ----------
    path : path
    n : int
        Of a film.
    start, end : float, optional
        Seconds: only this part of the film.

    Yields
    ------
    ndarray of uint8, shape (height, width, 3)
        Red, green and blue, upright.

    Raises
    ------
    AudioError
        If it cannot be read, or holds nothing that is seen.
    PartError
        If the film ends before the part.
    """
    name = quoted(path)
    with closing(Source(path)) as source:
        if source.size == 0:
            raise NotAudioError(f"{name} is no picture: it is empty; choose another")
        try:
            with open_pictures(source, name) as container:
                stream = _stream_of(container, name)
                length = _length(container, stream)
                if length is None and source.size > _LARGEST:
                    raise AudioError(
                        f"{name} is larger than a picture may be, {_LARGEST >> 20} MB; make it smaller"
                    )
                if length is None and (start, end) != (None, None):
                    raise PartError(f"{name} is a picture and has no parts; leave start and end out")
                n_found = 0
                for frame in _frames(container, stream, _times(name, stream, length, n, start, end), name):
                    n_found += 1
                    yield _upright(frame, name)
        except _DAMAGE as error:
            raise _no_picture(name) from error
        if not n_found:
            raise _no_picture(name)


def _no_picture(name: str) -> NotAudioError:
    return NotAudioError(
        f"{name} is no picture that can be read: it is damaged or in a format that is not known; "
        "convert it to JPEG or PNG"
    )


def _stream_of(container: InputContainer, name: str) -> VideoStream:
    if not container.streams.video:
        raise NotAudioError(f"{name} shows nothing: it holds sound alone; leave --by picture out")
    stream = container.streams.video[0]
    _check_size(stream.codec_context.width, stream.codec_context.height, name)
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(_MOST_PIXELS)}
    return stream


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > _MOST_PIXELS:
        raise AudioError(
            f"{name} has {width:,} × {height:,} pixels, and a picture may have "
            f"{_MOST_PIXELS // 1_000_000} million; make it smaller"
        )
    if max(width, height) > _LONGEST_SIDE:
        raise AudioError(
            f"{name} has a side of {max(width, height):,} pixels, and a picture may have {_LONGEST_SIDE:,} "
            "along each; make it smaller"
        )


def _length(container: InputContainer, stream: VideoStream) -> float | None:
    """Return how many seconds a film lasts; None of a picture."""
    is_cover = bool(stream.disposition & av.stream.Disposition.attached_pic)
    if is_cover or container.format.name.endswith("_pipe"):
        return None
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration and container.duration > 0 else None


def _times(
    name: str, stream: VideoStream, length: float | None, n: int, start: float | None, end: float | None
) -> list[float]:
    """List when the pictures are shown that are wanted, from the begin of the film."""
    if length is None:
        return [0.0]
    begin, finish = start or 0.0, length if end is None else min(end, length)
    if begin >= length:
        raise PartError(f"{name} ends at {length:.2f} s, before the part that was asked for")
    rate = float(stream.average_rate or 0) or 25.0
    last = max(begin, finish - 1 / rate)
    wanted: list[float] = np.linspace(begin, last, n).tolist()
    return wanted


def _frames(
    container: InputContainer, stream: VideoStream, times: list[float], name: str
) -> Iterator[VideoFrame]:
    """Yield what is shown at each of some times, which are in order."""
    base = float(stream.time_base or 0)
    origin = (stream.start_time or 0) * base
    decoded = container.decode(stream)
    shown, coming = None, next(decoded, None)
    n_decoded = 1
    for time in times:
        if coming is not None and coming.time is not None and time - (coming.time - origin) > _AHEAD and base:
            container.seek(int((time + origin) / base), stream=stream)
            decoded = container.decode(stream)
            shown, coming = None, next(decoded, None)
        while coming is not None and (coming.time or 0.0) - origin <= time + _SLIGHTLY:
            shown, coming = coming, next(decoded, None)
            n_decoded += 1
            if n_decoded > _MOST_FRAMES:
                raise AudioError(f"{name} has too many frames to look through; choose a shorter part of it")
        # Before the first frame of all, and behind a jump that went too far, the next is as good.
        if (frame := shown or coming) is not None:
            yield frame


def _upright(frame: VideoFrame, name: str) -> npt.NDArray[np.uint8]:
    _check_size(frame.width, frame.height, name)
    picture = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(picture, round(frame.rotation / 90)))
