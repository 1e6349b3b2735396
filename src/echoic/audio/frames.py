"""Decoding at arm's length: the sound of one container, frame by frame, however it is damaged.

Packets are demuxed and decoded one by one, so that damage costs what is damaged and no more. Whatever is
heard comes through here: files, pipes, streams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import av
import av.error
import numpy as np

from echoic.audio.container import open_container
from echoic.errors import NotAudioError
from echoic.types import Float32

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream as Track
    from av.container import InputContainer
    from av.packet import Packet

    from echoic.audio.links import StreamLinks
    from echoic.audio.ogg import OggLink, OggTrack
    from echoic.audio.source import Source

__all__ = ["SAMPLE_RATES", "Frames", "Piece", "TrackError", "mix_down", "split"]

SAMPLE_RATES = range(100, 3_072_001)  # Hz: beyond lies a damaged header
_MOST_CHANNELS = 512  # of ffmpeg's decoders
_MAX_ERRORS = 20  # of the demuxer, one after another, before it is left alone
_OBSERVED = 17  # of so many samples one is observed; a number that no tone is likely to be in step with
_JITTER = 0.001  # s by which the time stamps of frames that follow each other may be rounded
_MOST_PLANES = 8  # of frames that ffmpeg's FIFO takes in PyAV
_DAMAGE = (av.error.FFmpegError, OSError, ValueError)


class Piece(NamedTuple):
    """Samples that were decoded; ``time`` is the time stamp of the first in seconds, if it has one."""

    time: float | None
    samples: Float32
    sample_rate: int
    channels: int


class TrackError(NotAudioError):
    """A track of sound cannot be decoded, or is not there; caught by what chooses among tracks."""

    def __init__(self, message: str, n_tracks: int) -> None:
        super().__init__(message)
        self.n_tracks = n_tracks


class Frames:
    """The sound of one recording, decoded from its begin on.

    Parameters
    ----------
    source : Source, StreamLinks or InputContainer
        A container that is open already belongs to this from now on.
    name : str
        What messages call it.
    ogg : OggLink, optional
        What the pages of an Ogg file tell.
    mono : bool
        Mix the channels down to their mean.
    track : int, optional
        Which of several tracks of sound, from 1; by default the one that ffmpeg takes for the best.
    channel : int, optional
        Take this channel, from 0, and not the mean.
    observe : callable, optional
        Is given some samples of the channels, shape (n, channels), where they are mixed, and how many such
        samples a second has.
    follow : callable, optional
        Is given all samples of the channels and their sample rate, and tells which channel to take of them,
        from 0; None for the mean.
    look : callable, optional
        Is given all samples of the channels and their sample rate, until :meth:`look_ahead` returns.
    patient : bool
        Go on behind what the demuxer stumbles over. A connection that broke would do so for ever.
    gather : float
        Seconds that a piece is to have, where frames follow each other without gap or error: what is done for
        each piece costs more than to decode a frame. By default each frame is a piece, and none waits.

    Attributes
    ----------
    container : av.container.InputContainer
    track : av.AudioStream
    n_tracks : int
        Tracks of sound that the container has.
    number : int
        Which of them this is, from 1.
    first : Piece
        What comes first.
    origin : float or None
        The time stamp of second 0.
    n_errors : int
        How often the demuxer or the decoder has stumbled so far.
    n_bytes : int
        Bytes of the packets that gave sound so far.
    heard_from, heard_to : int
        Where the last of these begins and ends in what is read.
    last : float
        Seconds that the frame has that was decoded last.
    broke : Exception or None
        What the demuxer was left alone for.

    Raises
    ------
    NotAudioError
        If it holds no sound that can be decoded.
    """

    def __init__(
        self,
        source: Source | StreamLinks | InputContainer,
        name: str,
        *,
        ogg: OggLink | None = None,
        mono: bool = True,
        track: int | None = None,
        channel: int | None = None,
        observe: Callable[[Float32, float], None] | None = None,
        follow: Callable[[Float32, float], int | None] | None = None,
        look: Callable[[Float32, float], None] | None = None,
        patient: bool = True,
        gather: float = 0.0,
    ) -> None:
        self._mono = mono
        self._observe = observe
        self._follow = follow
        self._look = look
        self._gather = gather
        self._channel = channel
        self._patience = _MAX_ERRORS if patient else 1
        self.n_errors = 0
        self.n_bytes = self.heard_from = self.heard_to = 0
        self.last = 0.0
        self.broke: Exception | None = None
        if isinstance(source, av.container.InputContainer):
            self.container = source
        else:
            self.container = open_container(source, name)
        try:
            self.track = self._chosen_track(name, track)
            self._time_base = float(self.track.time_base or 0)
            self.ogg: OggTrack | None = None
            if ogg is not None and self.track.index < len(ogg.tracks):
                self.ogg = ogg.tracks[self.track.index]
            self._pieces = self._decode()
            first = next(self._pieces, None)
            if first is None:
                codec, rate = self.track.codec_context.name, self.track.codec_context.sample_rate
                what = (
                    f"its sample rate, {rate} Hz, is none of sound (100 Hz to 3.072 MHz)"
                    if rate and rate not in SAMPLE_RATES
                    else f"no sample of its audio track ({codec}) can be decoded"
                )
                raise TrackError(f"{name} holds no sound: {what}; get a new copy", self.n_tracks)
        except BaseException:
            self.close()
            raise
        self.first = first
        self.origin = self._find_origin(first)

    def _chosen_track(self, name: str, number: int | None) -> Track:
        track = self.container.streams.best("audio")
        if track is None:
            raise NotAudioError(f"{name} {self._without_track()}")
        known = [stream for stream in self.container.streams.audio if stream.codec_context is not None]
        self.n_tracks = len(known)
        if number is not None and self.n_tracks:
            if number > self.n_tracks:
                raise TrackError(
                    f"{name} has {self.n_tracks} tracks of sound, and no track {number}", self.n_tracks
                )
            track = known[number - 1]
        self.number = known.index(track) + 1 if track in known else 1
        if track.codec_context is None:
            raise NotAudioError(f"{name} holds no sound: its codec is unknown; convert it to WAV")
        assert isinstance(track, av.AudioStream)
        for stream in self.container.streams:
            if stream is not track:
                stream.discard = av.stream.Discard.all
        track.codec_context.thread_count = 1  # workers are one per core
        _use_plain_layout(track)
        return track

    def _without_track(self) -> str:
        """Say why there is no track of sound that ffmpeg could take."""
        kinds = {stream.type for stream in self.container.streams}
        if kinds == {"subtitle"}:
            return "holds no sound: it is subtitles; name the film or recording that they belong to"
        if "audio" not in kinds:
            return "holds no sound: it has no audio track; leave it out"
        # ffmpeg does not tell which.
        return f"has no channels by its header, or more than the {_MOST_CHANNELS} that are read; export fewer"

    def _find_origin(self, first: Piece) -> float | None:
        if first.time is None:
            return None
        if self.ogg is not None and self.ogg.begin:
            return self.ogg.begin
        origin = first.time
        if self.n_errors:  # what comes first is damaged; FLAC counts from 0, others from where ffmpeg saw it
            start = 0 if self.container.format.name == "flac" else self.track.start_time
            origin = origin if start is None else min(origin, start * self._time_base)
        with_picture = any(
            stream.type == "video" and not stream.disposition & av.stream.Disposition.attached_pic
            for stream in self.container.streams
        )
        if with_picture and self.container.start_time is not None:
            # A sound track may start after its picture; a player's clock starts with the picture.
            origin = min(origin, self.container.start_time / av.time_base)
        return origin

    @property
    def sample_rate(self) -> int:
        """Hz, of what comes first."""
        return self.first.sample_rate

    def pieces(self) -> Iterator[Piece]:
        """Return what can be decoded, without what cannot; once."""
        pieces = chain([self.first], self._pieces)
        begin = self.ogg.begin if self.ogg is not None else None
        if not begin:
            return pieces
        # Until the first page of FLAC ends, ffmpeg counts from 0, wherever a recorder cut in.
        return (
            piece if piece.time is None or piece.time >= begin else piece._replace(time=None)
            for piece in pieces
        )

    def look_ahead(self, is_enough: Callable[[], bool], most: float) -> bool:
        """Decode until enough has been looked at, or that many seconds; what was decoded comes all the same.

        Returns
        -------
        bool
            Whether that was all that there is.
        """
        taken: list[Piece] = []
        seconds = len(self.first.samples) / self.first.sample_rate
        at_end = False
        while not is_enough() and seconds < most and not at_end:
            piece = next(self._pieces, None)
            at_end = piece is None
            if piece is not None:
                taken.append(piece)
                seconds += len(piece.samples) / piece.sample_rate
        self._pieces = chain(taken, self._pieces)
        self._look = None
        return at_end

    def is_steady(self) -> bool:
        """Tell whether all MPEG frames have one sample rate: then times can be told without decoding.

        All packets are gone through; afterwards one has to seek.
        """
        kinds = set()
        try:
            for packet in self.container.demux(self.track):
                header = bytes(memoryview(packet)[:3])
                if header:
                    kinds.add((header[1] & 0xFE, header[2] & 0x0C))  # version and layer, sample rate
        except _DAMAGE:
            return False
        return len(kinds) == 1

    def seek(self, origin: float, seconds: float, grid: int) -> Piece | None:
        """Go on near a time behind the origin, a whole number of times ``grid`` samples.

        Returns
        -------
        Piece or None
            What comes then, if that works; zeros may stand in front.
        """
        try:
            self.container.seek(int((origin + seconds) / self._time_base), stream=self.track)
            self._pieces = self._decode()
            piece = next(self._pieces, None)
        except _DAMAGE:
            return None
        if piece is None or piece.time is None:
            return None
        self.n_errors = 0  # a decoder may stumble over its first packet where the one before is missing
        rate = piece.sample_rate
        ahead = round((piece.time - origin) * rate) % grid
        if ahead:
            zeros = np.zeros((ahead, *piece.samples.shape[1:]), np.float32)
            samples = np.concatenate([zeros, piece.samples])
            piece = piece._replace(time=piece.time - ahead / rate, samples=samples)
        self.first = piece
        return piece

    def close(self) -> None:
        """Close the container; what it reads from stays open."""
        self.container.close()

    def _decode(self) -> Iterator[Piece]:
        n_failures = 0
        failure: Exception | None = None
        gathered = _Gathered()
        while n_failures < self._patience:
            try:
                for packet in self.container.demux(self.track):
                    n_failures = 0
                    yield from self._decode_packet(packet, gathered)
                yield from self._taken(gathered)
                return
            except IndexError:
                # The end: PyAV 18 may ask there for more of a stream that began on the way and that it does
                # not know. A broadcast whose programme changes has such.
                yield from self._taken(gathered)
                return
            except _DAMAGE as error:
                # The demuxer may find its feet again behind the damage.
                yield from self._taken(gathered)
                n_failures += 1
                self.n_errors += 1
                failure = error
        self.broke = failure

    def _decode_packet(self, packet: Packet[Track], gathered: _Gathered) -> Iterator[Piece]:
        try:
            frames = self.track.codec_context.decode(packet)
        except (av.error.FFmpegError, ValueError):
            yield from self._taken(gathered)  # it lies before the error
            self.n_errors += 1
            return
        if frames:
            self.n_bytes += packet.size
            if packet.pos is not None and packet.pos >= self.heard_from:
                self.heard_from, self.heard_to = packet.pos, packet.pos + packet.size
        for frame in frames:
            if not frame.samples:
                continue
            n_channels, rate = frame.layout.nb_channels, frame.sample_rate
            if not n_channels or rate not in SAMPLE_RATES:
                yield from self._taken(gathered)
                self.n_errors += 1
                continue
            time = None if frame.pts is None else frame.pts * self._time_base
            self.last = frame.samples / rate
            kind = (frame.format.name, n_channels, rate)
            if not gathered.goes_on(time, kind):
                yield from self._taken(gathered)
            if not self._gather or n_channels > _MOST_PLANES:
                yield self._piece(time, frame)
                continue
            gathered.push(frame, time, kind)
            if gathered.is_first or gathered.n >= self._gather * rate:
                yield from self._taken(gathered)

    def _taken(self, gathered: _Gathered) -> Iterator[Piece]:
        """Yield what has been gathered, if anything has."""
        if gathered.n:
            time = gathered.time
            yield self._piece(time, gathered.take())

    def _piece(self, time: float | None, frame: AudioFrame) -> Piece:
        n_channels, rate = frame.layout.nb_channels, frame.sample_rate
        if self._look is not None:
            self._look(split(frame), rate)
        if self._follow is not None and n_channels > 1:
            channels = split(frame)
            channel = self._follow(channels, rate)
            samples = mix_down(frame) if channel is None else np.ascontiguousarray(channels[:, channel])
        elif self._channel is not None and self._channel < n_channels:
            samples = np.ascontiguousarray(split(frame)[:, self._channel])
        elif self._mono or n_channels == 1:
            samples = mix_down(frame)
            if self._observe is not None and n_channels > 1:
                self._observe(split(frame, every=_OBSERVED), rate / _OBSERVED)
        else:
            samples = split(frame)
        return Piece(time, samples, rate, n_channels)


class _Gathered:
    """Frames of one kind that follow each other, in ffmpeg's FIFO.

    Attributes
    ----------
    n : int
        Samples.
    time : float or None
        The time stamp of the first.
    is_first : bool
        Whether nothing was taken yet: to open a recording no more than one frame is decoded.
    """

    def __init__(self) -> None:
        self.n = 0
        self.is_first = True
        self.time: float | None = None
        self._kind: tuple[str, int, int] | None = None
        self._fifo = av.AudioFifo()

    def goes_on(self, time: float | None, kind: tuple[str, int, int]) -> bool:
        """Tell whether a frame of that time stamp, format, channels and sample rate follows what there is."""
        if not self.n or kind != self._kind:
            return False
        if time is None:
            return True  # as the next sample
        return self.time is not None and abs(time - self.time - self.n / kind[2]) <= _JITTER

    def push(self, frame: AudioFrame, time: float | None, kind: tuple[str, int, int]) -> None:
        """Take a frame that goes on, or the first."""
        if not self.n:
            self.time = time
            if kind != self._kind:
                self._kind, self._fifo = kind, av.AudioFifo()
        self.n += frame.samples
        frame.pts = None  # else the FIFO would check it, to the sample
        self._fifo.write(frame)

    def take(self) -> AudioFrame:
        """Return what there is as one frame."""
        self.n = 0
        self.is_first = False
        frame = self._fifo.read()
        assert frame is not None
        return frame


def _use_plain_layout(track: Track) -> None:
    """Give a decoder a layout without an order of channels; a mean needs none.

    PyAV 18 copies the description of a layout without the table of channels that it may refer to (AIFF, CAF
    and QuickTime files bring such tables), and frees that table once for each copy: every decoded frame would
    corrupt memory. Looking at the layout is such a copy, so the decoder must be given another one at once.
    """
    n_channels = track.codec_context.layout.nb_channels
    if n_channels:
        plain = {1: "mono", 2: "stereo"}.get(n_channels, f"{n_channels} channels")
        track.codec_context.layout = plain


# Samples of each of ffmpeg's formats: their type and the value of full scale. A "p" at the end of a
# format's name says that channels lie one after another ("planar").
_FORMATS: dict[str, tuple[type[np.integer[Any] | np.floating[Any]], float]] = {
    "u8": (np.uint8, 2.0**7),
    "s16": (np.int16, 2.0**15),
    "s32": (np.int32, 2.0**31),
    "s64": (np.int64, 2.0**63),
    "flt": (np.float32, 1.0),
    "dbl": (np.float64, 1.0),
}


def mix_down(frame: AudioFrame) -> Float32:
    """Mix the channels of a frame down to their mean, full scale at ±1."""
    name = frame.format.name
    dtype, full_scale = _FORMATS[name.removesuffix("p")]
    n, n_channels = frame.samples, frame.layout.nb_channels
    # Not frame.to_ndarray(): it knows no 64-bit samples and, from 8 planes on, reads beyond the last.
    # Damaged float samples overflow here; they are found and dealt with block by block.
    with np.errstate(over="ignore", invalid="ignore"):
        if frame.format.is_planar:
            mono = np.zeros(n, np.float32)
            for plane in frame.planes[:n_channels]:
                mono += np.frombuffer(memoryview(plane), dtype, n)
            mono *= np.float32(1 / (full_scale * n_channels))
        else:
            packed = np.frombuffer(memoryview(frame.planes[0]), dtype, n * n_channels).reshape(n, n_channels)
            weights = np.full(n_channels, 1 / (full_scale * n_channels), np.float32)
            mono = packed.astype(np.float32) @ weights
        if dtype is np.uint8:
            mono -= 1  # silence is 128
    return mono


def split(frame: AudioFrame, *, every: int = 1) -> Float32:
    """Return the channels of a frame, shape (samples, channels), full scale at ±1; or one in ``every``."""
    name = frame.format.name
    dtype, full_scale = _FORMATS[name.removesuffix("p")]
    n, n_channels = frame.samples, frame.layout.nb_channels
    with np.errstate(over="ignore", invalid="ignore"):
        if frame.format.is_planar:
            planes = [np.frombuffer(memoryview(p), dtype, n)[::every] for p in frame.planes[:n_channels]]
            samples = np.stack(planes, axis=1).astype(np.float32)
        else:
            packed = np.frombuffer(memoryview(frame.planes[0]), dtype, n * n_channels)
            samples = packed.reshape(n, n_channels)[::every].astype(np.float32)
        samples *= np.float32(1 / full_scale)
        return samples - 1 if dtype is np.uint8 else samples
