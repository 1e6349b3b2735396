"""Sound as it comes: web radio (Icecast, HLS), files on web servers, pipes, and the microphone.

Connections to the network break. A stream without an end is connected to again, after pauses that grow; what
was missed in between is missed, and the times of what follows are those of the clock, but never before the
end of what was heard. A file is asked for again from where it broke off.

A server need not say how long a file is. What begins with the same bytes when it is connected to again is no
new broadcast but such a file: what was heard of it is passed over, and where nothing else comes it has ended.
"""

from __future__ import annotations

import errno
import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any, BinaryIO

import av.error

from echoic.audio.container import open_address, receive
from echoic.audio.frames import SAMPLE_RATES, Frames
from echoic.audio.links import StreamLinks
from echoic.audio.source import ByteStream
from echoic.audio.timeline import LEAST_RATE, Timeline, finite
from echoic.errors import AudioError, MissingDependencyError, NotAudioError, UnreadableError, quoted
from echoic.types import Float32, LiveSound

if TYPE_CHECKING:
    from av.container import InputContainer


__all__ = ["connections", "microphone", "microphones", "piped"]

_BLOCK = 0.5  # s
_LONGEST_GAP = (
    10.0  # s of silence that a jump of time stamps may mean; clocks of broadcasts jump for no reason
)
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0  # s before the next try
_PATIENCE = 600.0  # s of trying in vain after which a stream is given up
_LIVED = 10.0  # s of sound after which a connection was a good one
_COMPARED = 1 << 20  # bytes by which a file that comes again is told: radios begin with an announcement, too
_LOOKED_AT = 1 << 12  # of them, at first
_PAUSES = (1.0, 2.0, 4.0)  # s before the rest of a file is asked for, again without a byte
_HEAD = 16  # bytes that tell playlists, and MP4, from what is read from front to back
_FAILURES = (av.error.FFmpegError, OSError, ValueError)
_PIPED = 1 << 16  # bytes taken from a pipe at a time, at most


def connections(
    url: str, *, pause: Callable[[float], None] = time.sleep, clock: Callable[[], float] = time.monotonic
) -> Iterator[LiveSound]:
    """Connect to a stream, and again whenever it breaks off; a file ends with its end.

    Each connection must be read to its end before the next is asked for.

    Raises
    ------
    UnreadableError
        If the first connection fails, no other succeeds for ten minutes, or a file breaks off and the rest
        is not to be had.
    NotAudioError
        If what comes is no sound.
    """
    name = quoted(url)
    first: float | None = None
    before: _Sound | None = None  # that something was heard of
    begun = end = 0.0  # of that, since the first connection
    lived = clock()
    wait = _FIRST_PAUSE
    while True:
        try:
            connection = _connect(url, pause, before)
        except AudioError as error:
            if first is None:
                raise
            if clock() - lived > _PATIENCE:
                raise UnreadableError(f"{name} has not come back for ten minutes ({error})") from None
        else:
            with closing(connection):
                now = clock()
                first = now if first is None else first
                known = connection.known
                begins = begun if known else max(now - first, end)
                blocks = connection.blocks()
                block = next(blocks, None) if known else None
                if not known:
                    yield LiveSound(url, begins, connection.sample_rate, blocks)
                elif block is not None:
                    yield LiveSound(url, begins + known, connection.sample_rate, chain([block], blocks))
            if connection.is_over(before):
                return
            if connection.is_file:
                raise UnreadableError(
                    f"{name} broke off after {connection.heard:.1f} s ({connection.broke}) and its rest "
                    "is not to be had; try again later"
                )
            if connection.heard - known > _LIVED:
                lived, wait = clock(), _FIRST_PAUSE
            if connection.heard > known:
                before, begun, end = connection, begins, begins + connection.heard
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
    read = getattr(file, "read1", file.read)  # what is there, without waiting for more
    stream = ByteStream(lambda: read(_PIPED) or b"")
    try:
        sound = _Sound("standard input", stream)
    except NotAudioError:
        raise NotAudioError(
            "standard input holds no sound that can be decoded from front to back; pipe wav, flac, mp3 or ogg"
        ) from None
    with closing(sound):
        yield LiveSound("-", 0.0, sound.sample_rate, sound.blocks())


#: What sounddevice stands on, which is the system's.
PORTAUDIO = (
    "PortAudio: on Debian and Ubuntu, sudo apt install libportaudio2; on a Mac, brew install portaudio"
)


def microphones() -> list[str]:
    """Return the names of the devices that can be listened to, as ``--device`` takes them.

    Raises
    ------
    MissingDependencyError
        If sounddevice, or the PortAudio that it needs, is not installed.
    UnreadableError
        If the system does not say.
    """
    sounddevice = _sounddevice()
    try:
        devices = sounddevice.query_devices()
        return [device["name"] for device in devices if device["max_input_channels"] > 0]
    except sounddevice.PortAudioError as error:
        raise _no_microphone(error) from error


@contextmanager
def microphone(seconds: float | None = None, device: str | None = None) -> Iterator[LiveSound]:
    """Listen to a microphone, for some seconds or until the block ends.

    Parameters
    ----------
    seconds : float, optional
    device : str, optional
        Its name, or a part of it that no other has; by default the system's choice.

    Raises
    ------
    MissingDependencyError
        If sounddevice, or the PortAudio that it needs, is not installed.
    UnreadableError
        If there is no such microphone, or it may not be used.
    """
    sounddevice = _sounddevice()
    chosen = {} if device is None else {"device": device}
    with ExitStack() as stack:
        try:
            rate = round(sounddevice.query_devices(kind="input", **chosen)["default_samplerate"])
            if rate not in SAMPLE_RATES:
                raise ValueError(f"its sample rate is {rate} Hz")
            stream = stack.enter_context(
                sounddevice.InputStream(samplerate=rate, channels=1, dtype="float32", **chosen)
            )
        except (sounddevice.PortAudioError, OverflowError, ValueError) as error:
            if device is not None:
                raise UnreadableError(
                    f"the microphone {device!r} cannot be used ({_in_a_line(error)}); "
                    f"choose one of: {', '.join(microphones()) or 'none, as there is none'}"
                ) from error
            raise _no_microphone(error) from error
        blocks = _recorded(stream, rate, seconds, sounddevice.PortAudioError)
        yield LiveSound("microphone", 0.0, rate, blocks)


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise MissingDependencyError("listening to the microphone", "mic") from error
    except OSError as error:  # it is there, and PortAudio is not
        raise MissingDependencyError("listening to the microphone", "mic", PORTAUDIO) from error
    return sounddevice


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _no_microphone(error: Exception) -> UnreadableError:
    return UnreadableError(
        f"the microphone cannot be used ({_in_a_line(error)}); plug one in, or allow this terminal to listen"
    )


def _recorded(stream: Any, rate: int, seconds: float | None, failure: type[Exception]) -> Iterator[Float32]:
    wanted = math.inf if seconds is None else round(seconds * rate)
    while wanted > 0:
        n = round(min(_BLOCK * rate, wanted))
        try:
            samples, _ = stream.read(n)  # (n, 1); a gap where the machine was too slow is passed over
        except failure as error:
            raise _no_microphone(error) from error
        wanted -= n
        yield finite(samples[:, 0])[0]


class _Sound:
    """What comes from front to back, or out of a container that is open, as blocks of mono sound.

    Parameters
    ----------
    name : str
        What messages call it.
    source : ByteStream or InputContainer
    is_file : bool
        Whether it ends, as radio does not.
    download : _Download, optional
        Where the bytes come from; closed with this.
    known : float
        Seconds that were heard of it before, and are passed over.

    Attributes
    ----------
    sample_rate : int
        Hz.

    Raises
    ------
    NotAudioError
        If it holds no sound that can be decoded so.
    """

    def __init__(
        self,
        name: str,
        source: ByteStream | InputContainer,
        *,
        is_file: bool = True,
        download: _Download | None = None,
        known: float = 0.0,
    ) -> None:
        self._name = name
        self.is_file = is_file
        self.download = download
        self.known = known
        self._bytes = source if isinstance(source, ByteStream) else None
        self._links: StreamLinks | None = None
        if isinstance(source, ByteStream):
            self._links = StreamLinks(source)
            self._frames = Frames(self._links, name, ogg=self._links.ogg)
        else:
            self._frames = Frames(source, name, patient=False)
        # A jingle of the quality of a telephone may come first.
        self.sample_rate = max(LEAST_RATE, self._frames.sample_rate)
        block = round(_BLOCK * self.sample_rate)
        self._timeline = Timeline(self.sample_rate, block=block, longest_gap=_LONGEST_GAP)

    @property
    def heard(self) -> float:
        """Seconds that have come so far, what is passed over among them."""
        return self._timeline.end / self.sample_rate

    @property
    def broke(self) -> str | None:
        """Why it ended before its end, if it did."""
        error = self._frames.broke if self._bytes is None else self._bytes.error
        return None if error is None else _reason(error)

    def is_over(self, before: _Sound | None) -> bool:
        """Tell whether it has come to its end; that of a file without a length is the same once more."""
        if self.is_file:
            return self.broke is None
        if not self.known or before is None or self.download is None or before.download is None:
            return False
        return self.download.n_bytes == before.download.n_bytes

    def blocks(self) -> Iterator[Float32]:
        """Yield blocks, shape (n,), of about half a second; none of what is known."""
        known = round(self.known * self.sample_rate)
        for block in self._blocks():
            if known < len(block):
                yield block[known:]
            known = max(0, known - len(block))

    def _blocks(self) -> Iterator[Float32]:
        frames: Frames | None = self._frames
        while frames is not None:
            yield from self._timeline.take(frames, frames.origin)
            frames = self._open_next()
        yield from self._timeline.finish()

    def _open_next(self) -> Frames | None:
        """Open the next link of which something can be decoded, if there is one."""
        while self._links is not None and self._links.next():
            self._frames.close()
            try:
                self._frames = Frames(self._links, self._name, ogg=self._links.ogg)
            except NotAudioError:
                continue
            return self._frames
        return None

    def close(self) -> None:
        """Close the container, and the connection."""
        self._frames.close()
        if self.download is not None:
            self.download.close()


class _Download:
    """The bytes of an address; where those of a file break off, the rest is asked for.

    Attributes
    ----------
    size : int
        Bytes that the file has; not positive for a stream without an end, and where the server does not say.
    n_bytes : int
        Bytes that came so far.
    head : bytearray
        The first of them.
    """

    def __init__(self, url: str, pause: Callable[[float], None]) -> None:
        self._url = url
        self._pause = pause
        self._container = receive(url)
        self._packets = self._container.demux()
        self.size = self._container.size
        self.n_bytes = 0
        self.head = bytearray()

    def __call__(self) -> bytes:
        """Return what comes next; none at the end.

        Raises
        ------
        OSError
            If a file broke off, and its rest is not to be had.
        """
        failure: Exception = OSError(errno.EIO, "it ended early")
        for wait in (0.0, *_PAUSES):
            try:
                if wait:
                    self._pause(wait)
                    data = self._again()
                else:
                    data = self._next()
            except _FAILURES as error:
                failure, data = error, b""
            self.n_bytes += len(data)
            self.head += data[: max(0, _COMPARED - len(self.head))]
            if data or self.n_bytes >= self.size:  # a stream without an end is for others to connect to again
                return data
        raise OSError(errno.EIO, _reason(failure))

    def _next(self) -> bytes:
        return next((data for packet in self._packets if (data := bytes(packet))), b"")

    def _again(self) -> bytes:
        """Connect again and return what follows the bytes that were handed on."""
        self.close()
        passed = self.n_bytes
        try:
            self._container = receive(self._url, self.n_bytes)
        except _FAILURES:  # of a server that knows no other place than the begin
            self._container = receive(self._url)
            passed = 0
        if self._container.size != self.size:
            raise OSError(errno.ESTALE, "it has changed")
        self._packets = self._container.demux()
        while data := self._next():
            passed += len(data)
            if passed > self.n_bytes:
                return data[self.n_bytes - passed :] if passed - self.n_bytes < len(data) else data
        return b""

    def close(self) -> None:
        """Close the connection."""
        self._container.close()


def _connect(url: str, pause: Callable[[float], None], before: _Sound | None = None) -> _Sound:
    """Open an address; what begins with the same bytes as before is known as far as it was heard.

    Raises
    ------
    UnreadableError
        If there is nothing to be had.
    NotAudioError
        If what comes is no sound.
    """
    name = quoted(url)
    try:
        download = _Download(url, pause)
    except _FAILURES as error:
        raise _unheard(name, error) from None
    stream = ByteStream(download)
    is_file = download.size > 0
    known = 0.0
    with ExitStack() as unused:
        unused.callback(download.close)
        if not is_file and before is not None and before.download is not None:
            known = before.heard if _begins(stream, before.download.head) else 0.0
        head = stream.peek(_HEAD)
        if not (b"#EXTM3U" in head or head[4:8] == b"ftyp"):
            try:
                sound = _Sound(name, stream, is_file=is_file, download=download, known=known)
            except NotAudioError:
                if stream.error is not None:
                    raise _unheard(name, stream.error) from None
                if not is_file:
                    raise
            else:
                unused.pop_all()
                return sound
    # A playlist, or a file that has to be searched.
    container = open_address(url, name)
    return _Sound(name, container, is_file=container.duration is not None)


def _begins(stream: ByteStream, head: bytearray) -> bool:
    """Tell whether bytes begin as others did; of radio no more is waited for than tells that it does not."""
    size = 0
    while size < len(head):
        size = min(len(head), max(_LOOKED_AT, 2 * size))
        ahead = stream.peek(size)
        if not head.startswith(ahead):
            return False
        if len(ahead) < size:
            break
    return True


def _unheard(name: str, error: Exception) -> UnreadableError:
    return UnreadableError(f"{name} cannot be listened to ({_reason(error)}); check the address")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
