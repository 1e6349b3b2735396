"""Audio in: the sound of any file that ffmpeg reads, as float32, in constant memory.

Time 0 is the first sample that a player would play: the silence that an encoder puts in front is not part of
the sound. Channels are mixed down by their mean, which keeps full scale at ±1, unless they are asked for.
Recordings that follow each other in one file are one sound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from types import TracebackType

import numpy as np

from echoic.arguments import check_part
from echoic.audio.choice import Balance, Cancelled, Choice, choose, mixes
from echoic.audio.container import claimed_duration, guessed_duration
from echoic.audio.frames import Frames, TrackError
from echoic.audio.limit import within_limit
from echoic.audio.links import further_begin, links_of, tag_size, with_link_at
from echoic.audio.metadata import text_tags
from echoic.audio.notes import with_tracks
from echoic.audio.playlists import is_playlist
from echoic.audio.source import Source, StrPath
from echoic.audio.timeline import LEAST_RATE, Resampler, Timeline
from echoic.errors import NotAudioError, PartError, UnreadableError, quoted
from echoic.types import AudioInfo, Float32, Note

__all__ = ["AudioStream", "Resampler", "open_audio", "read_audio"]

_MAX_MISSING = 0.25  # seconds that sound files end early, by the padding of codecs
_MIN_LOST = 0.05  # seconds within a file whose loss is worth telling: more than one packet
_PREROLL = 1.0  # seconds decoded before a late start: bit reservoirs and overlaps have settled by then
_SEEKS_EXACTLY = frozenset(
    {"aiff", "au", "caf", "flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "w64", "wav"}
)
_CHANGES_RATE = frozenset({"aac", "ac3", "eac3", "loas", "mp3"})  # frames without a header over them all
_GATHERED = 1.0  # seconds of frames that are dealt with together
_EDGE = 0.1  # seconds beyond the span asked for that the resampler's filter may see
_WITHOUT_HEADER = frozenset({"aac", "ac3", "dts", "eac3", "loas", "mp3"})
_LEAST_SOUND = 0.2  # of the bytes of such a file; of programs called .mp3, up to .17 were taken for sound
_HEAD = 4096  # bytes by which a playlist is told
_LEAST_LEFT = 4096  # bytes: half a second of speech, more than most tags
_REMEMBERED = 64  # files of which is known what is heard: parts of them are asked for again and again

_choices: dict[tuple[object, ...], Choice] = {}


def _remember(key: tuple[object, ...], choice: Choice) -> None:
    while len(_choices) >= _REMEMBERED:
        del _choices[next(iter(_choices))]
    _choices[key] = choice


class AudioStream:
    """The sound of one file, read once from start to end; made by :func:`open_audio`.

    Attributes
    ----------
    sample_rate : int
        Hz, of the blocks.
    channels : int
        Of the blocks: 1, unless they were asked for.
    n_tracks : int
        Tracks of sound that the file has; one of them is read.
    """

    def __init__(self, path: StrPath, *, mono: bool = True, track: int | None = None) -> None:
        self._path = path
        self._mono = mono
        self._choice: Choice | None = None
        self._cancelled = Cancelled()
        self._name = quoted(path)
        self._info: AudioInfo | None = None
        self._lost: list[str] = []  # what the container, rather than the timeline, tells
        self._frames: Frames | None = None
        self._source = Source(path)
        try:
            if self._source.size == 0:
                raise NotAudioError(f"{self._name} holds no sound: it is empty; get a new copy or remove it")
            self._n_due = self._source.size - tag_size(self._source.look(0, 10))
            self._links = links_of(self._source)
            first = self._open_chosen(track)
        except BaseException as error:
            head = self._source.look(0, _HEAD)
            self.close()
            if isinstance(error, NotAudioError) and self._source.error is not None:
                reason = self._source.error.strerror
                raise UnreadableError(f"{self._name} cannot be read ({reason}); check the disk") from None
            if isinstance(error, NotAudioError) and is_playlist(head, self._source.name):
                what = "it is a playlist or CUE sheet; give the files that it names"
                raise NotAudioError(f"{self._name} holds no sound: {what}") from None
            if isinstance(error, TrackError):
                raise NotAudioError(str(error)) from None
            raise
        # What comes first may be a jingle of poor quality, for which nothing of the rest should be lost.
        rates = [rate for link in self._links for rate in link.rates] if len(self._links) > 1 else []
        self._file_rate = max([first.sample_rate, *rates])
        may_change = first.container.format.name in _CHANGES_RATE
        self.sample_rate = max(self._file_rate, LEAST_RATE) if may_change else self._file_rate
        self.n_tracks = first.n_tracks
        self._file_channels = first.first.channels
        self.channels = 1 if mono else self._file_channels
        self._codec = first.track.codec_context.name
        self._tags = text_tags(first.container, first.track, self._source)
        self._begin = 0  # where in the file the open link begins, in samples
        self._at = 0  # where the first block begins
        self._expected = first.origin  # the time stamp of what comes first
        self._timeline = Timeline(self.sample_rate, self.channels)
        self._started = False
        self._n_heard = 0  # bytes that gave sound

    def _open_chosen(self, track: int | None) -> Frames:
        """Open the track that is heard, and find out whether its channels can be mixed."""
        key = (*self._source.stamp, track, self._mono)
        if key in _choices:
            self._choice = _choices[key]
            return self._open_first()
        balance = Balance()
        try:
            first = self._open_first(balance.push if self._mono else None)
        except TrackError as error:
            if error.n_tracks == 1:
                raise
        else:
            if first.n_tracks == 1:
                track = None
                if not self._mono or mixes(first, balance):
                    _remember(key, Choice())
                    return first
        self._choice = self._chosen(track)
        self._cancelled = Cancelled()  # its begin comes once more
        _remember(key, self._choice)
        return self._open(self._number)

    def _chosen(self, track: int | None) -> Choice:
        link = self._links[self._number]
        with closing(Source(self._path)) as source:

            def opened(track: int) -> Frames:
                source.show(link.begin, link.end)
                return Frames(source, self._name, ogg=link.ogg, mono=False, track=track, gather=_GATHERED)

            return choose(opened, mono=self._mono, track=track)

    def _open_first(self, look: Callable[[Float32, float], None] | None = None) -> Frames:
        for number in range(len(self._links) - 1):
            try:
                return self._open(number, look)
            except NotAudioError:
                self._lost.append("its begin could not be decoded")
        return self._open(len(self._links) - 1, look)

    def _open(self, number: int, look: Callable[[Float32, float], None] | None = None) -> Frames:
        """Open a link in the place of the one that is open."""
        if self._frames is not None:
            self._frames.close()
            self._frames = None
        link = self._links[number]
        self._number = number
        self._source.show(link.begin, link.end)
        choice = self._choice or Choice()
        frames = self._frames = Frames(
            self._source,
            self._name,
            ogg=link.ogg,
            mono=self._mono,
            track=choice.track,
            channel=choice.channel,
            observe=self._cancelled.push,
            look=look,
            gather=_GATHERED,
        )
        if frames.ogg is not None and frames.ogg.regular:
            link.length = _claimed_length(frames, self._source)
        return frames

    def _open_next(self, at: int) -> Frames | None:
        """Open the next link of which something can be decoded, if there is one."""
        for number in range(self._number + 1, len(self._links)):
            try:
                return self._open(number)
            except NotAudioError:
                seconds = at / self.sample_rate
                self._lost.append(f"a recording that begins at {seconds:.1f} s could not be decoded")
        return None

    def __enter__(self) -> AudioStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; nothing can be read afterwards."""
        if self._frames is not None:
            self._frames.close()
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

    @property
    def stated_duration(self) -> float | None:
        """About how many seconds the file lasts, told before it is read; None where nothing tells."""
        if self._frames is None or len(self._links) > 1:
            return None
        claimed = _claimed_length(self._frames, self._source)
        return guessed_duration(self._frames.container) if claimed is None else claimed

    def blocks(self) -> Iterator[Float32]:
        """Yield blocks, shape (n,) or (n, channels), at the file's own sample rate.

        Damage ends the blocks early or leaves silence in them, and is told by :attr:`info`.

        Raises
        ------
        NotAudioError
            At the end, if hardly anything of the file was sound.
        """
        if self._started:
            raise RuntimeError("the blocks of a stream can be read once")
        self._started = True
        yield from within_limit(self._decoded(), self._at, self.sample_rate)

    def _decoded(self) -> Iterator[Float32]:
        timeline, frames = self._timeline, self._frames
        begin, expected = self._begin, self._expected
        claimed, has_header = None, True
        while frames is not None:
            claimed = self._claimed_end(frames, begin)
            # The last packet is padded; only the container knows with how much.
            is_padded = frames.container.format.name.startswith(("mov", "ogg"))
            yield from timeline.take(frames, expected, end=claimed if is_padded else None)
            self._n_heard += frames.n_bytes
            if self._found_behind(frames, claimed):
                claimed = None  # which what was found behind may have been part of
            has_header = frames.container.format.name not in _WITHOUT_HEADER
            link = self._links[self._number]
            if link is not self._links[-1]:
                if link.length is not None:
                    yield from timeline.fill(begin + self._samples(link.length))
                if self._missing(claimed) > _MAX_MISSING or (link.ogg is not None and not link.ogg.complete):
                    self._lost.append(f"what ends at {timeline.end / self.sample_rate:.1f} s is cut off")
            begin = timeline.end
            frames = self._open_next(begin)
            expected = None if frames is None else frames.origin
        yield from timeline.finish()
        if self._at == 0 and not has_header and self._n_heard < _LEAST_SOUND * self._n_due:
            # Frames are found by a few bits, which programs and pictures have by chance.
            raise NotAudioError(
                f"{self._name} holds no sound: only {self._n_heard} of its {self._n_due} bytes could be "
                f"taken for {self._codec}; it is something else, or damaged all over"
            )
        self._end_losses(claimed)
        self._info = self._describe((timeline.at - self._at) / self.sample_rate)

    def span(self, sample_rate: int, start: float, end: float | None) -> Iterator[Float32]:
        """Yield the blocks of a span, mono, as :func:`read_audio` gives it; then :attr:`info` tells of it."""
        check_part(start, end)
        # A whole second falls on a sample at every rate, so that the samples of a span do not depend on it.
        first = math.floor(max(0.0, start - _EDGE))
        skip = first * self.sample_rate - (self._seek(first) if first else 0)
        wanted = math.inf if end is None else math.ceil((end - first + _EDGE) * self.sample_rate)
        resampler = Resampler(self.sample_rate, sample_rate)
        before = round((start - first) * sample_rate)  # resampled samples to be left out
        most = math.inf if end is None else round(end * sample_rate) - round(start * sample_rate)
        n = 0

        def within(resampled: Float32) -> Float32:
            nonlocal before, n
            part = resampled[before:]
            before = max(0, before - len(resampled))
            part = part[: int(min(len(part), most - n))]
            n += len(part)
            return part

        for block in self.blocks():
            yield within(resampler.push(block[min(skip, len(block)) :]))
            wanted, skip = wanted - max(0, len(block) - skip), max(0, skip - len(block))
            if wanted <= 0:
                break
        yield within(resampler.finish())
        if not n and start > 0:
            raise PartError(f"{self._name} ends before {start} s; ask for an earlier part")
        duration = n / sample_rate
        self._info = self._describe(duration) if wanted <= 0 else replace(self.info, duration=duration)

    def _samples(self, seconds: float) -> int:
        return round(seconds * self.sample_rate)

    def _claimed_end(self, frames: Frames, begin: int) -> int | None:
        """Return where the open link should end by its container, in samples of the whole."""
        length = _claimed_length(frames, self._source)
        return None if length is None else begin + self._samples(length)

    def _found_behind(self, frames: Frames, claimed: int | None) -> bool:
        """Look for a recording behind that of which ffmpeg found the end, to be read as the next link."""
        end = frames.heard_to
        if not end or self._source.size - frames.heard_from < _LEAST_LEFT:
            return False
        is_film = any(stream.type != "audio" for stream in frames.container.streams)
        may_be_frames = not is_film and self._missing(claimed) <= _MAX_MISSING
        at = further_begin(self._source, frames.heard_from, end, of_frames=may_be_frames)
        if at is None or self._source.size - at < _LEAST_LEFT:
            return False
        self._links = with_link_at(self._source, self._links, self._number, at)
        return True

    def _end_losses(self, claimed: int | None) -> None:
        """Take note of what is missing at the end of a file that was read up to there."""
        end = self._timeline.end / self.sample_rate
        missing = self._missing(claimed)
        ogg = self._links[-1].ogg
        if missing > _MAX_MISSING:
            self._lost.append(f"the last {missing:.1f} s of {end + missing:.1f} s could not be decoded")
        elif ogg is not None and not ogg.complete:
            self._lost.append(f"the file breaks off after {end:.1f} s")

    def _missing(self, claimed: int | None) -> float:
        """Return how many seconds the sound ends before a place, in samples."""
        return 0.0 if claimed is None else (claimed - self._timeline.end) / self.sample_rate

    def _describe(self, duration: float) -> AudioInfo:
        losses = list(self._lost)
        if self._source.error is not None:
            losses.append(f"the disk failed while it was read ({self._source.error.strerror})")
        if (lost := self._timeline.lost_inside) >= _MIN_LOST:
            losses.append(f"{lost:.2f} s within could not be decoded and are silent")
        if n_bad := self._timeline.n_not_finite:
            losses.append(f"{n_bad} samples were not finite or beyond ±1e10 and became 0")
        return AudioInfo(
            duration=duration,
            sample_rate=self._file_rate,
            channels=self._file_channels,
            codec=self._codec,
            lost="; ".join(losses),
            tags=self._tags,
            notes=self._notes(),
        )

    def _notes(self) -> tuple[Note, ...]:
        choice = self._choice or Choice()
        phase = self._cancelled.note
        if choice.channel is not None:
            alone = f"channel {choice.channel + 1} of {self._file_channels} is heard alone"
            phase = Note("phase", f"its channels cancel each other, so that {alone}")
        notes = () if phase is None else (phase,)
        return with_tracks(notes, self.n_tracks, choice.track) if self.n_tracks > 1 else notes

    def _seek(self, seconds: int) -> int:
        """Let the blocks start shortly before a time, or further before it where no exact way leads there.

        Returns
        -------
        int
            Where in the file the next block starts, in samples; at most ``seconds * sample_rate``.
        """
        self._skip_links(seconds)
        within = seconds - self._begin / self.sample_rate  # the link
        is_exact = within > _PREROLL and self._seeks_exactly()
        frames = self._frames
        assert frames is not None
        origin = frames.origin
        if is_exact and origin is not None:
            # To where samples of both rates coincide, as the resampler counts from there.
            grid = frames.sample_rate // math.gcd(frames.sample_rate, self.sample_rate)
            piece = frames.seek(origin, within - _PREROLL, grid)
            if piece is not None and piece.time is not None and 0 <= piece.time - origin <= within:
                self._expected = piece.time
                self._at = self._begin + self._samples(piece.time - origin)
            else:  # damaged, or the time lies beyond the end: decode it all
                self._expected = self._open(self._number).origin
        self._timeline.at = self._at
        return self._at

    def _seeks_exactly(self) -> bool:
        """Tell whether a seek in the open link leads where it says."""
        frames = self._frames
        assert frames is not None
        name = frames.container.format.name
        if name == "ogg":
            return frames.track.codec_context.name != "flac"  # leads up to a second elsewhere
        if name == "mp3":
            link = self._links[self._number]
            if link.is_steady is None:
                link.is_steady = frames.is_steady()
                self._expected = self._open(self._number).origin
            return link.is_steady
        return name in _SEEKS_EXACTLY

    def _skip_links(self, seconds: int) -> None:
        """Open the link in which a time lies, as far as the lengths of those before it are certain."""
        first = number = self._number
        begin = 0
        while number + 1 < len(self._links):
            length = self._length_of(number)
            behind = begin + self._samples(length or 0)
            if length is None or behind > self._samples(seconds - _PREROLL):
                break
            number, begin = number + 1, behind
        try:
            if number != self._number or self._frames is None:
                self._open(number)
        except NotAudioError:
            self._open(first)
            begin = 0
        assert self._frames is not None
        self._begin = self._at = begin
        self._expected = self._frames.origin

    def _length_of(self, number: int) -> float | None:
        """Return the seconds that a link is certain to last, which is known once it has been opened."""
        link = self._links[number]
        if link.length is None and number != self._number:
            try:
                self._open(number)
            except NotAudioError:
                link.length = 0.0
        return link.length


def _claimed_length(frames: Frames, source: Source) -> float | None:
    ogg = frames.ogg
    if ogg is not None and ogg.end is not None and frames.origin is not None:
        return ogg.end - frames.origin
    return claimed_duration(frames.container, frames.track, source)


def open_audio(path: StrPath, *, mono: bool = True, track: int | None = None) -> AudioStream:
    """Open the sound of a file.

    Parameters
    ----------
    mono : bool
        Mix the channels down to their mean; where they cancel each other, take the loudest.
    track : int, optional
        Which of several tracks of sound, from 1; by default the first in which something is heard.

    Raises
    ------
    UnreadableError
        If the file cannot be opened: gone, forbidden, a directory, a pipe.
    NotAudioError
        If it holds no sound that can be decoded.
    """
    return AudioStream(path, mono=mono, track=track)


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
        If the span is empty.
    PartError
        If it lies behind the end of the file.
    """
    with open_audio(path) as stream:
        samples = np.concatenate([np.empty(0, np.float32), *stream.span(sample_rate, start, end)])
        return samples, stream.info
