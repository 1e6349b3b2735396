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

from echoic.addresses import as_opened, without_login
from echoic.audio.choice import Following
from echoic.audio.container import open_address
from echoic.audio.download import FAILURES, Download, begins_as, gives_parts, has_host, is_followed, reason_of
from echoic.audio.frames import SAMPLE_RATES, Frames
from echoic.audio.links import StreamLinks
from echoic.audio.notes import with_tracks
from echoic.audio.playlists import address_in, is_hls, is_markup, is_playlist, peek_text
from echoic.audio.source import ByteStream
from echoic.audio.timeline import LEAST_RATE, Timeline, finite
from echoic.errors import AudioError, MissingDependencyError, NotAudioError, UnreadableError, quoted
from echoic.types import Float32, LiveSound, Note

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
_HEAD = 16  # bytes that tell MP4 from what is read from front to back
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
    shown = without_login(url)
    name = quoted(shown)
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
                    yield LiveSound(
                        without_login(url), begins, connection.sample_rate, blocks, connection.notes
                    )
                elif block is not None:
                    yield LiveSound(
                        without_login(url),
                        begins + known,
                        connection.sample_rate,
                        chain([block], blocks),
                        connection.notes,
                    )
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
    if is_playlist(stream.peek(_HEAD), ""):
        raise NotAudioError("standard input holds no sound: it is a playlist; pipe the sound that it names")
    try:
        sound = _Sound("standard input", stream)
    except NotAudioError:
        raise NotAudioError(
            "standard input holds no sound that can be decoded from front to back; pipe wav, flac, mp3 or ogg"
        ) from None
    with closing(sound):
        yield LiveSound("-", 0.0, sound.sample_rate, sound.blocks(), sound.notes)


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
    download : Download, optional
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
        download: Download | None = None,
        known: float = 0.0,
    ) -> None:
        self._name = name
        self.is_file = is_file
        self.download = download
        self.known = known
        self._bytes = source if isinstance(source, ByteStream) else None
        self._links: StreamLinks | None = None
        self._lost: list[str] = []
        self._following = Following()
        if isinstance(source, ByteStream):
            self._links = StreamLinks(source)
            self._frames = self._open(self._links)
        else:
            self._frames = Frames(source, name, patient=False, follow=self._following.push)
        # A jingle of the quality of a telephone may come first.
        self.sample_rate = max(LEAST_RATE, self._frames.sample_rate)
        block = round(_BLOCK * self.sample_rate)
        self._timeline = Timeline(self.sample_rate, block=block, longest_gap=_LONGEST_GAP)

    def _open(self, links: StreamLinks) -> Frames:
        return Frames(links, self._name, ogg=links.ogg, follow=self._following.push)

    @property
    def heard(self) -> float:
        """Seconds that have come so far, what is passed over among them."""
        return self._timeline.end / self.sample_rate

    @property
    def broke(self) -> str | None:
        """Why it ended before its end, if it did."""
        error = self._frames.broke if self._bytes is None else self._bytes.error
        return None if error is None else reason_of(error)

    def leave(self, what: str) -> None:
        """Take note of what is not heard."""
        self._lost.append(what)

    def notes(self) -> tuple[Note, ...]:
        """Tell what a person should know of what has come so far."""
        found = (self._following.note, Note("damage", "; ".join(self._lost)) if self._lost else None)
        notes = tuple(note for note in found if note is not None)
        n_tracks = self._frames.n_tracks
        return with_tracks(notes, n_tracks, self._frames.number) if n_tracks > 1 else notes

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
                self._frames = self._open(self._links)
            except NotAudioError:
                self._lost.append(f"a recording that begins at {self.heard:.1f} s could not be decoded")
                continue
            return self._frames
        return None

    def close(self) -> None:
        """Close the container, and the connection."""
        self._frames.close()
        if self.download is not None:
            self.download.close()


def _connect(
    url: str, pause: Callable[[float], None], before: _Sound | None = None, playlist: str | None = None
) -> _Sound:
    """Open an address; what begins with the same bytes as before is known as far as it was heard.

    A ``playlist`` is what names the address, and the address may be no other.

    Raises
    ------
    UnreadableError
        If there is nothing to be had.
    NotAudioError
        If what comes is no sound.
    """
    name = (
        quoted(without_login(url))
        if playlist is None
        else f"{playlist}, which names {quoted(without_login(url))},"
    )
    url = as_opened(url)
    try:
        download = Download(url, pause)
    except FAILURES as error:
        raise _unheard(name, error, url) from None
    stream = ByteStream(download)
    is_file = download.size > 0
    known = 0.0
    with ExitStack() as unused:
        unused.callback(download.close)
        text = peek_text(stream)
        if text and not is_hls(text):
            entry = _entry(text, name, playlist)
            unused.close()
            return _connect(entry, pause, before, name)
        if not is_file and before is not None and before.download is not None:
            known = before.heard if begins_as(stream, before.download.head) else 0.0
        # An MP4 may have to be searched, by requests of ffmpeg's own, which go to the end of the first.
        is_film = not text and stream.peek(_HEAD)[4:8] == b"ftyp"
        followed = is_followed(url, download.size) if is_film and is_file else False  # None: it is not known
        if not (text or (is_film and followed is False)):
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
    # Parts of a sound that a playlist lists, or a file that has to be searched.
    try:
        container = open_address(url, name)
        sound = _Sound(name, container, is_file=container.duration is not None)
    except NotAudioError:
        if is_film and not gives_parts(url):
            raise NotAudioError(
                f"{name} cannot be heard as it comes: what stands at its end is needed first, and the server "
                "gives no parts of a file; save it and give that"
            ) from None
        raise
    if followed or (is_file and not (text or is_film) and is_followed(url, download.size)):
        sound.leave("another recording follows, which is not heard; save the file and give that")
    return sound


def _entry(text: str, name: str, playlist: str | None) -> str:
    """Return the address that is to be listened to by a playlist.

    Raises
    ------
    NotAudioError
        If there is none, or a playlist has named this one: they could go round for ever.
    """
    if is_markup(text):
        raise NotAudioError(f"{name} holds no sound: it is a web page, or XML; give the address of the sound")
    entry = address_in(text) if playlist is None else None
    if entry is None:
        raise NotAudioError(
            f"{name} holds no sound: it is a playlist that names none on the web (http, https); "
            "give the address of the sound"
            if playlist is None
            else f"{name} holds no sound: it is a playlist again; give the address of the sound"
        )
    return entry


def _unheard(name: str, error: Exception, url: str | None = None) -> UnreadableError:
    reason = reason_of(error)
    if url is not None and getattr(error, "errno", None) == errno.EIO and not has_host(url):
        reason = "there is no such host, or no network"  # ffmpeg only says that something failed
    return UnreadableError(f"{name} cannot be listened to ({reason}); check the address")
