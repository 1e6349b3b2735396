"""Audio in: the sound of any file that ffmpeg reads, as float32, in constant memory.

Packets are demuxed and decoded one by one, so that damage costs what is damaged and no more. Time 0 is the
first sample that a player would play: the silence that an encoder puts in front is not part of the sound.
Channels are mixed down by their mean, which keeps full scale at ±1, unless they are asked for. Where time
stamps jump forward, by damage or by design, silence takes the place of what is missing, so that times in the
file stay true.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import av
import av.error
import numpy as np
import soxr

from echoic.audio.container import StrPath, breaks_off, claimed_duration, open_container
from echoic.audio.metadata import text_tags
from echoic.errors import AudioError, NotAudioError, UnreadableError, UsageError, quoted
from echoic.types import AudioInfo, Float32

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream as Track
    from av.packet import Packet

__all__ = ["AudioStream", "Resampler", "open_audio", "read_audio"]

_BLOCK_SAMPLES = 1 << 16
_SAMPLE_RATES = range(100, 3_072_001)  # Hz: beyond lies a damaged header
_LOUDEST = 1e10  # full scale is 1; damaged float samples beyond this would overflow in a spectrum
_GAP = 0.1  # seconds that time stamps may jump ahead by rounding and still mean the next sample
_GAP_AFTER_ERROR = 0.001
_MAX_SILENCE = 60.0  # seconds of silence put into gaps, beyond as much as was decoded
_MAX_MISSING = 0.25  # seconds that sound files end early, by the padding of codecs
_MIN_LOST = 0.05  # seconds within a file whose loss is worth telling: more than one packet
_MAX_ERRORS = 20  # of the demuxer, one after another, before it is left alone
_PREROLL = 1.0  # seconds decoded before a late start: bit reservoirs and overlaps have settled by then
_SEEKS_EXACTLY = frozenset(
    {"aiff", "au", "caf", "flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mp3", "ogg", "w64", "wav"}
)
_EDGE = 0.1  # seconds beyond the span asked for that the resampler's filter may see


class _Piece(NamedTuple):
    """The samples of one frame; ``time`` is its time stamp in seconds, if it has one."""

    time: float | None
    samples: Float32
    sample_rate: int
    channels: int


class Resampler:
    """Convert audio from one sample rate to another, block by block (soxr, HQ).

    Parameters
    ----------
    rate_in, rate_out : float
        Hz. Equal rates pass samples through as they are.
    channels : int
        Blocks have the shape (n,) for 1, else (n, channels).

    Examples
    --------
    >>> import numpy as np
    >>> resampler = Resampler(44_100, 16_000)
    >>> blocks = [resampler.push(np.zeros(44_100, np.float32)), resampler.finish()]
    >>> sum(map(len, blocks))
    16000
    """

    def __init__(self, rate_in: float, rate_out: float, channels: int = 1) -> None:
        self._stream = (
            None if rate_in == rate_out else soxr.ResampleStream(rate_in, rate_out, channels, "float32", "HQ")
        )
        self._nothing = np.empty(0 if channels == 1 else (0, channels), np.float32)

    def push(self, block: Float32) -> Float32:
        """Take samples; return those that are ready, which may be none."""
        if self._stream is None:
            return block
        out: Float32 = self._stream.resample_chunk(block)
        return out

    def finish(self) -> Float32:
        """Return the rest. Nothing may be pushed afterwards."""
        if self._stream is None:
            return self._nothing
        out: Float32 = self._stream.resample_chunk(self._nothing, last=True)
        return out


class AudioStream:
    """The sound of one file, read once from start to end; made by :func:`open_audio`.

    Attributes
    ----------
    sample_rate : int
        Hz, of the blocks.
    channels : int
        Of the blocks: 1, unless they were asked for.
    """

    def __init__(self, path: StrPath, *, mono: bool = True) -> None:
        self._path = path
        self._mono = mono
        self._name = quoted(path)
        self._info: AudioInfo | None = None
        self._open()

    def _open(self) -> None:
        self._container, self._source = open_container(self._path)
        try:
            track = self._container.streams.best("audio")
            if track is None:
                raise self._failure("it has no audio track; leave it out")
            if track.codec_context is None:
                raise self._failure("its codec is unknown; convert it to WAV")
            assert isinstance(track, av.AudioStream)
            self._track = track
            for stream in self._container.streams:
                if stream is not track:
                    stream.discard = av.stream.Discard.all
            track.codec_context.thread_count = 1  # workers are one per core
            _use_plain_layout(track)
            self._time_base = float(track.time_base or 0)
            self._n_errors = 0
            self._lost_inside = 0.0
            self._n_not_finite = 0
            self._pieces = self._decode()
            first = next(self._pieces, None)
            if first is None:
                codec = track.codec_context.name
                raise self._failure(f"no sample of its audio track ({codec}) can be decoded; get a new copy")
        except BaseException:
            self.close()
            raise
        self._first: _Piece | None = first
        self.sample_rate = first.sample_rate
        self._file_channels = first.channels
        self.channels = 1 if self._mono else first.channels
        self._origin = self._expected = self._find_origin(first)
        self._at = 0  # samples of the file that lie before the first block

    def _failure(self, why: str) -> AudioError:
        if self._source.error is not None:
            return UnreadableError(
                f"{self._name} cannot be read ({self._source.error.strerror}); check the disk"
            )
        return NotAudioError(f"{self._name} holds no sound: {why}")

    def _find_origin(self, first: _Piece) -> float | None:
        """Return the time stamp of second 0."""
        if first.time is None:
            return None
        origin = first.time
        if self._n_errors:  # what comes first is damaged; FLAC counts from 0, others from where ffmpeg saw it
            start = 0 if self._container.format.name == "flac" else self._track.start_time
            origin = origin if start is None else min(origin, start * self._time_base)
        with_picture = any(
            stream.type == "video" and not stream.disposition & av.stream.Disposition.attached_pic
            for stream in self._container.streams
        )
        if with_picture and self._container.start_time is not None:
            # A sound track may start after its picture; a player's clock starts with the picture.
            origin = min(origin, self._container.start_time / av.time_base)
        return origin

    def __enter__(self) -> AudioStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing can be read afterwards."""
        self._container.close()
        self._source.close()

    def __iter__(self) -> Iterator[Float32]:
        return self.blocks()

    @property
    def info(self) -> AudioInfo:
        """What decoding to the end told about the file.

        Raises
        ------
        RuntimeError
            If the blocks have not been read to the end.
        """
        if self._info is None:
            raise RuntimeError("the info of a stream is known once all of its blocks have been read")
        return self._info

    def blocks(self) -> Iterator[Float32]:
        """Yield blocks, shape (n,) or (n, channels), at the file's own sample rate.

        Damage ends the blocks early or leaves silence in them, and is told by :attr:`info`; it never raises.
        """
        at = self._at
        claimed = claimed_duration(self._container, self._track, self._source)
        pending: list[Float32] = []
        n_pending = 0
        for part in self._timeline():
            if n_pending >= _BLOCK_SAMPLES:
                at += n_pending
                yield self._finite(np.concatenate(pending))
                pending, n_pending = [], 0
            if len(part):
                pending.append(part)
                n_pending += len(part)
        if pending and claimed is not None and self._container.format.name.startswith("mov"):
            # The last AAC frame is padded; only its container knows with how much.
            excess = at + n_pending - round(claimed * self.sample_rate)
            if 0 < excess < len(pending[-1]):
                pending[-1] = pending[-1][:-excess]
                n_pending -= excess
        if pending:
            at += n_pending
            yield self._finite(np.concatenate(pending))
        self._info = self._describe((at - self._at) / self.sample_rate, self._losses(at / self.sample_rate))

    def _describe(self, duration: float, lost: list[str]) -> AudioInfo:
        return AudioInfo(
            duration=duration,
            sample_rate=self.sample_rate,
            channels=self._file_channels,
            codec=self._track.codec_context.name,
            lost="; ".join(lost),
            tags=text_tags(self._container, self._track, self._source),
        )

    def _seek(self, seconds: int) -> int:
        """Let the blocks start shortly before a time, or at 0 where the format has no exact way to get there.

        Returns
        -------
        int
            Where in the file the next block starts, in samples; at most ``seconds * sample_rate``.
        """
        if self._origin is None or self._container.format.name not in _SEEKS_EXACTLY:
            return 0
        goal = self._origin + seconds
        try:
            self._container.seek(int((goal - _PREROLL) / self._time_base), stream=self._track)
            self._pieces = self._decode()
            piece = next(self._pieces, None)
        except (av.error.FFmpegError, OSError, ValueError):
            piece = None
        if piece is None or piece.time is None or not self._origin <= piece.time <= goal:
            self.close()  # damaged, or the time lies beyond the end: decode all there is
            self._open()
            return 0
        self._n_errors = 0  # a decoder may stumble over its first packet where the one before is missing
        self._first = piece
        self._expected = piece.time
        self._at = round((piece.time - self._origin) * self.sample_rate)
        return self._at

    def _decode(self) -> Iterator[_Piece]:
        """Yield what can be decoded, passing over what cannot."""
        n_failures = 0
        while n_failures < _MAX_ERRORS:
            try:
                for packet in self._container.demux(self._track):
                    n_failures = 0
                    yield from self._decode_packet(packet)
                return
            except (av.error.FFmpegError, OSError, ValueError):
                # The demuxer may find its feet again behind the damage.
                n_failures += 1
                self._n_errors += 1

    def _decode_packet(self, packet: Packet[Track]) -> Iterator[_Piece]:
        try:
            frames = self._track.codec_context.decode(packet)
        except (av.error.FFmpegError, ValueError):
            self._n_errors += 1
            return
        for frame in frames:
            n_channels = frame.layout.nb_channels
            if not frame.samples:
                continue
            if not n_channels or frame.sample_rate not in _SAMPLE_RATES:
                self._n_errors += 1
                continue
            time = None if frame.pts is None else frame.pts * self._time_base
            samples = mix_down(frame) if self._mono or n_channels == 1 else split(frame)
            yield _Piece(time, samples, frame.sample_rate, n_channels)

    def _timeline(self) -> Iterator[Float32]:
        """Yield the pieces at one sample rate, and silence where time stamps leave a gap."""
        first, self._first = self._first, None
        if first is None:
            raise RuntimeError("the blocks of a stream can be read once")
        converter = Resampler(first.sample_rate, self.sample_rate, self.channels)
        rate = first.sample_rate
        expected = self._expected
        n_errors = 0
        decoded = silent = 0.0
        piece: _Piece | None = first
        while piece is not None:
            if piece.time is not None and expected is not None:
                gap = piece.time - expected
                after_error = self._n_errors > n_errors
                limit = _GAP_AFTER_ERROR if after_error else _GAP
                if gap > limit and silent + gap <= decoded + _MAX_SILENCE:
                    silent += gap
                    if after_error or self._container.format.name in ("ogg", "flac"):
                        self._lost_inside += gap
                    yield from self._silence(gap)
            n_errors = self._n_errors
            if piece.sample_rate != rate:
                yield converter.finish()
                rate = piece.sample_rate
                converter = Resampler(rate, self.sample_rate, self.channels)
            yield converter.push(self._fitted(piece.samples))
            length = len(piece.samples) / rate
            decoded += length
            if piece.time is not None:
                expected = piece.time + length
            elif expected is not None:
                expected += length
            piece = next(self._pieces, None)
        yield converter.finish()

    def _silence(self, seconds: float) -> Iterator[Float32]:
        n = round(seconds * self.sample_rate)
        for at in range(0, n, _BLOCK_SAMPLES):
            yield self._fitted(np.zeros(min(_BLOCK_SAMPLES, n - at), np.float32))

    def _fitted(self, samples: Float32) -> Float32:
        """Give samples the channels of the stream, where those of the file change."""
        if self.channels == 1:
            return samples if samples.ndim == 1 else samples.mean(axis=1)
        if samples.ndim == 2 and samples.shape[1] == self.channels:
            return samples
        mono = samples if samples.ndim == 1 else samples.mean(axis=1)
        return np.repeat(mono[:, None], self.channels, axis=1)

    def _finite(self, block: Float32) -> Float32:
        if block.max() <= _LOUDEST and block.min() >= -_LOUDEST:  # false where a sample is NaN
            return block
        bad = ~(np.abs(block) <= _LOUDEST)
        self._n_not_finite += int(bad.sum())
        return np.where(bad, np.float32(0), block)

    def _losses(self, end: float) -> list[str]:
        """Say what could not be decoded of a file that was read up to its end."""
        losses = []
        claimed = claimed_duration(self._container, self._track, self._source)
        if claimed is not None and claimed - end > _MAX_MISSING:
            losses.append(f"the last {claimed - end:.1f} s of {claimed:.1f} s could not be decoded")
        elif self._container.format.name == "ogg" and breaks_off(self._source):
            losses.append(f"the file breaks off after {end:.1f} s")
        return losses + self._losses_inside()

    def _losses_inside(self) -> list[str]:
        losses = []
        if self._source.error is not None:
            losses.append(f"the disk failed while it was read ({self._source.error.strerror})")
        if self._lost_inside >= _MIN_LOST:
            losses.append(f"{self._lost_inside:.2f} s within could not be decoded and are silent")
        if self._n_not_finite:
            losses.append(f"{self._n_not_finite} samples were not finite and became 0")
        return losses


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


def split(frame: AudioFrame) -> Float32:
    """Return the channels of a frame, shape (samples, channels), full scale at ±1."""
    name = frame.format.name
    dtype, full_scale = _FORMATS[name.removesuffix("p")]
    n, n_channels = frame.samples, frame.layout.nb_channels
    with np.errstate(over="ignore", invalid="ignore"):
        if frame.format.is_planar:
            planes = [np.frombuffer(memoryview(plane), dtype, n) for plane in frame.planes[:n_channels]]
            samples = np.stack(planes, axis=1).astype(np.float32)
        else:
            packed = np.frombuffer(memoryview(frame.planes[0]), dtype, n * n_channels)
            samples = packed.reshape(n, n_channels).astype(np.float32)
        samples *= np.float32(1 / full_scale)
        return samples - 1 if dtype is np.uint8 else samples


def open_audio(path: StrPath, *, mono: bool = True) -> AudioStream:
    """Open the sound of a file.

    Parameters
    ----------
    mono : bool
        Mix the channels down to their mean.

    Raises
    ------
    UnreadableError
        If the file cannot be opened: gone, forbidden, a directory, a pipe.
    NotAudioError
        If it holds no sound that can be decoded.
    """
    return AudioStream(path, mono=mono)


def read_audio(
    path: StrPath, sample_rate: int, *, start: float = 0.0, end: float | None = None
) -> tuple[Float32, AudioInfo]:
    """Read a file, or a span of it, at a given sample rate.

    A span holds the same samples as the same part of the whole file would (in Matroska and WebM, whose time
    stamps are rounded, within a millisecond), and what lies far before it is not decoded.

    Parameters
    ----------
    sample_rate : int
        Hz of the result.
    start, end : float
        Seconds; the span ends with the file if ``end`` is None or lies beyond it.

    Returns
    -------
    samples : ndarray of float32, shape (n,)
    info : AudioInfo
        Its duration is that of the span.

    Raises
    ------
    UnreadableError, NotAudioError
        As :func:`open_audio`.
    UsageError
        If the span is empty or lies behind the end of the file.
    """
    if start < 0 or (end is not None and end <= start):
        raise UsageError(f"the span from {start} s to {end} s is empty; give 0 <= start < end")
    with open_audio(path) as stream:
        # A whole second falls on a sample at every rate, so that the samples of a span do not depend on it.
        first = math.floor(max(0.0, start - _EDGE))
        skip = first * stream.sample_rate - (stream._seek(first) if first else 0)
        wanted = math.inf if end is None else math.ceil((end - first + _EDGE) * stream.sample_rate)
        resampler = Resampler(stream.sample_rate, sample_rate)
        parts = []
        for block in stream:
            parts.append(resampler.push(block[min(skip, len(block)) :]))
            wanted -= max(0, len(block) - skip)
            skip = max(0, skip - len(block))
            if wanted <= 0:
                break
        parts.append(resampler.finish())
        samples = np.concatenate(parts)
        samples = samples[round((start - first) * sample_rate) :]
        if end is not None:
            samples = samples[: round(end * sample_rate) - round(start * sample_rate)]
        if not len(samples):
            raise UsageError(f"{quoted(path)} ends before {start} s; ask for an earlier span")
        duration = len(samples) / sample_rate
        if wanted <= 0:
            return samples, stream._describe(duration, stream._losses_inside())
        return samples, replace(stream.info, duration=duration)
