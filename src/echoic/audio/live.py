"""Sound as it comes: web radio (Icecast, HLS), files on web servers, pipes, and the microphone.

Connections to the network break. A stream without an end is connected to again, after pauses that grow; what
was missed in between is missed, and the times of what follows are those of the clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, BinaryIO

import av
import numpy as np

from echoic.audio.decode import mix_down
from echoic.errors import MissingDependencyError, NotAudioError, UnreadableError
from echoic.types import Float32, LiveSound

__all__ = ["connections", "is_url", "microphone", "piped"]

_PROTOCOLS = "http,https,tcp,tls,httpproxy,crypto"
_TIMEOUT = 15.0  # s without a byte
_BLOCK = 0.5  # s
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # s before the next try
_PATIENCE = 600.0  # s of trying in vain after which a stream is given up
_LIVED = 10.0  # s of sound after which a connection was a good one


def is_url(source: str) -> bool:
    """Tell an address on the web from a path."""
    return source.lower().startswith(("http://", "https://"))


def connections(
    url: str, *, pause: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
) -> Iterator[LiveSound]:
    """Connect to a stream, and again whenever it breaks off; a file ends with its end.

    Each connection must be read to its end before the next is asked for.

    Raises
    ------
    UnreadableError
        If the first connection fails, or no other succeeds for ten minutes.
    """
    first: float | None = None
    lived = clock()
    wait = _FIRST_PAUSE
    while True:
        try:
            with _opened(url) as (container, track):
                first = clock() if first is None else first
                # What has a length ends; a playlist's length is not that of what it plays.
                is_file = container.size > 0 and container.format.name != "hls"
                heard = [0.0]
                rate = track.codec_context.sample_rate
                yield LiveSound(url, clock() - first, rate, _blocks(container, track, heard))
            if is_file:
                return
            if heard[0] > _LIVED:
                lived, wait = clock(), _FIRST_PAUSE
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            if first is None:
                raise UnreadableError(f"{url} cannot be listened to ({reason}); check the address") from None
            if clock() - lived > _PATIENCE:
                raise UnreadableError(f"{url} has not come back for ten minutes ({reason})") from None
        pause(wait)
        wait = min(2 * wait, _LONGEST_PAUSE)


@contextmanager
def piped(file: BinaryIO) -> Iterator[LiveSound]:
    """Take the sound of a pipe: any format that can be read from front to back, as wav, mp3 and ogg can.

    Raises
    ------
    NotAudioError
        If there is none.
    """
    try:
        with _opened(file) as (container, track):
            yield LiveSound("-", 0.0, track.codec_context.sample_rate, _blocks(container, track, [0.0]))
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NotAudioError(
            f"standard input holds no sound that can be decoded from front to back ({reason}); "
            "pipe wav, flac, mp3 or ogg"
        ) from None


@contextmanager
def microphone(seconds: float | None = None) -> Iterator[LiveSound]:
    """Listen to the system's microphone, for some seconds or until the block ends.

    Raises
    ------
    MissingDependencyError
        If sounddevice, or the PortAudio that it needs, is not installed.
    UnreadableError
        If there is no microphone, or it may not be used.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: without PortAudio
        raise MissingDependencyError("listening to the microphone", "mic") from error
    try:
        rate = int(sounddevice.query_devices(kind="input")["default_samplerate"])
        with sounddevice.InputStream(samplerate=rate, channels=1, dtype="float32") as stream:
            yield LiveSound("microphone", 0.0, rate, _recorded(stream, rate, seconds))
    except (sounddevice.PortAudioError, ValueError) as error:
        raise UnreadableError(
            f"the microphone cannot be used ({error}); plug one in, or allow this terminal to listen"
        ) from error


def _recorded(stream: Any, rate: int, seconds: float | None) -> Iterator[Float32]:
    wanted = math.inf if seconds is None else round(seconds * rate)
    while wanted > 0:
        n = round(min(_BLOCK * rate, wanted))
        samples, _ = stream.read(n)  # (n, 1); a gap where the machine was too slow is passed over
        wanted -= n
        yield np.nan_to_num(samples[:, 0], nan=0.0, posinf=0.0, neginf=0.0)


@contextmanager
def _opened(source: str | BinaryIO) -> Iterator[tuple[av.container.InputContainer, av.AudioStream]]:
    if isinstance(source, str):
        opened = av.open(
            source,
            "r",
            options={"protocol_whitelist": _PROTOCOLS},
            timeout=_TIMEOUT,
            metadata_errors="replace",
        )
    else:
        opened = av.open(source, "r", metadata_errors="replace")
    with closing(opened) as container:
        track = container.streams.best("audio")
        if not isinstance(track, av.AudioStream) or not track.codec_context.sample_rate:
            raise ValueError("it holds no sound")
        yield container, track


def _blocks(
    container: av.container.InputContainer, track: av.AudioStream, heard: list[float]
) -> Iterator[Float32]:
    """Yield the sound of one connection, and count its seconds; a broken one just ends."""
    rate = track.codec_context.sample_rate
    pending: list[Float32] = []
    waiting = 0
    try:
        for packet in container.demux(track):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:  # the first packet of a stream is often cut
                continue
            for frame in frames:
                if frame.sample_rate != rate or not frame.samples:
                    continue
                samples = np.nan_to_num(mix_down(frame), nan=0.0, posinf=0.0, neginf=0.0)
                pending.append(samples)
                waiting += len(samples)
                heard[0] += len(samples) / rate
            if waiting >= _BLOCK * rate:
                yield np.concatenate(pending)
                pending, waiting = [], 0
    except (av.error.FFmpegError, OSError):
        pass  # it broke off; whoever asked connects again
    if pending:
        yield np.concatenate(pending)
