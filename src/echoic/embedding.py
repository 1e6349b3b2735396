"""From a file to its vectors: decode, resample, cut, encode, in one pass and constant memory.

A file is decoded once for all encoders, resampled once for each sample rate, cut once for each window, and
its spectrogram computed once for each front end, however many encoders share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from echoic.audio.decode import AudioStream, Resampler, open_audio, read_audio
from echoic.audio.front_end import FrontEnd
from echoic.audio.levels import SILENCE, Loudest
from echoic.audio.mix import Mix, open_mix
from echoic.audio.notes import with_tracks
from echoic.audio.spectrogram import LogMel
from echoic.audio.windows import Windower, Windows, cut
from echoic.encoders.base import Encoder, check_vectors, segments_of
from echoic.errors import EchoicError, EncoderError, NotAudioError
from echoic.types import AudioInfo, Float32, Note, Segments, TrackChoice

__all__ = [
    "Excerpt",
    "embed_blocks",
    "embed_densely",
    "embed_file",
    "embed_part",
    "try_encoder",
]

# Windows gathered before they are encoded: enough to keep a model busy, 5 MB of audio at 16 kHz.
_BATCH = 16
_AHEAD = 15.0  # s of sound that are kept until its windows are cut

# What lies above an encoder's reach is told from where on it makes the loudest moment this much louder.
_MOSTLY_ABOVE = 10.0


def embed_file(
    path: Path,
    encoders: Mapping[str, Encoder],
    *,
    track: TrackChoice | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[AudioInfo, dict[str, Segments]]:
    """Encode a whole file.

    Parameters
    ----------
    path : Path
    encoders : mapping of str to Encoder
        By any name; the results come under the same.
    track : int, "all" or "mix", optional
        Which of several tracks of sound, from 1; by default the first in which something is heard. Of all,
        each is encoded by itself; encoders whose windows are compared as a sequence take their mix.
    progress : callable, optional
        Called with the seconds of sound of each block, once it has been dealt with.

    Returns
    -------
    info : AudioInfo
        Its notes say, too, what of the sound no encoder hears.
    segments : dict of str to Segments
        No rows where there is nothing to be heard.

    Raises
    ------
    AudioError
        If the file cannot be decoded at all.
    EncoderError
        If an encoder breaks its contract.
    """
    if track == "all":
        return _embed_each_track(path, encoders, progress)
    with open_mix(path) if track == "mix" else open_audio(path, track=track) as stream:
        return _embed_stream(stream, encoders, progress)


def _embed_each_track(
    path: Path, encoders: Mapping[str, Encoder], progress: Callable[[float], None]
) -> tuple[AudioInfo, dict[str, Segments]]:
    with open_audio(path) as stream:
        n_tracks = stream.n_tracks
    if n_tracks == 1:
        return embed_file(path, encoders, progress=progress)
    in_sequence = {name: e for name, e in encoders.items() if "sounds" not in e.spec.purposes}
    alone = {name: e for name, e in encoders.items() if name not in in_sequence}
    info, segments = embed_file(path, in_sequence or alone, track="mix", progress=progress)
    found = []
    for number in range(1, n_tracks + 1) if alone else ():
        try:
            found.append(embed_file(path, alone, track=number, progress=progress)[1])
        except NotAudioError:  # the others are heard
            continue
    for name in alone:
        starts = np.concatenate([one[name].starts for one in found])
        ends = np.concatenate([one[name].ends for one in found])
        vectors = np.concatenate([one[name].vectors for one in found])
        order = np.argsort(starts, kind="stable")
        segments[name] = Segments(starts[order], ends[order], vectors[order])
    return replace(info, notes=with_tracks(info.notes, n_tracks, "all")), segments


def _embed_stream(
    stream: AudioStream | Mix, encoders: Mapping[str, Encoder], progress: Callable[[float], None]
) -> tuple[AudioInfo, dict[str, Segments]]:
    lanes: dict[int, list[_Lane]] = {}
    for rate in sorted({encoder.spec.sample_rate for encoder in encoders.values()}):
        lanes[rate] = _lanes({n: e for n, e in encoders.items() if e.spec.sample_rate == rate})
    rates = _Rates(stream.sample_rate, lanes)
    reach = _Reach(stream.sample_rate, max(lanes))

    def push(sounds: Mapping[int, Float32]) -> None:
        reach.heard.push(sounds[max(lanes)])
        for rate, samples in sounds.items():
            for lane in lanes[rate]:
                lane.push(samples, is_silent=reach.is_silent)

    for block in stream.blocks():
        reach.push(block)
        push(rates.push(block))
        progress(len(block) / stream.sample_rate)
    push(rates.finish())  # all that there is of a click
    info = stream.info
    segments: dict[str, Segments] = {}
    for group in lanes.values():
        for lane in group:
            segments |= lane.finish(is_silent=reach.is_silent)
    notes = reach.notes(any(len(found) for found in segments.values()))
    return replace(info, notes=(*info.notes, *notes)), segments


class _Rates:
    """One sound at several sample rates.

    A rate is made of a higher one of which it is a whole part, which takes a quarter of the time; but not of
    one that the sound itself does not fill.
    """

    def __init__(self, rate_in: int, rates: Iterable[int]) -> None:
        self._steps: dict[int, tuple[int | None, Resampler]] = {}
        for rate in sorted(rates, reverse=True):
            source = min((r for r in self._steps if r % rate == 0 and r <= rate_in), default=None)
            self._steps[rate] = source, Resampler(source or rate_in, rate)

    def push(self, block: Float32) -> dict[int, Float32]:
        """Take the next samples; return those that are ready at each rate."""
        ready: dict[int, Float32] = {}
        for rate, (source, resampler) in self._steps.items():
            ready[rate] = resampler.push(block if source is None else ready[source])
        return ready

    def finish(self) -> dict[int, Float32]:
        """Return the rest."""
        ready: dict[int, Float32] = {}
        for rate, (source, resampler) in self._steps.items():
            before = [] if source is None else [resampler.push(ready[source])]
            ready[rate] = np.concatenate([*before, resampler.finish()])
        return ready


class _Reach:
    """What of a sound lies within reach of an encoder: its loudest moment as recorded, and as heard."""

    def __init__(self, recorded_rate: int, heard_rate: int) -> None:
        self._limit = f"{heard_rate / 2000:g} kHz"
        self._recorded = Loudest(recorded_rate)
        self.heard = Loudest(heard_rate)

    def push(self, block: Float32) -> None:
        """Take the next samples as recorded."""
        self._recorded.push(block)

    @property
    def is_silent(self) -> bool:
        """Whether there has been no sound so far.

        What a resampler makes of an offset where it begins and ends, a click at either end, is none.
        """
        return self._recorded.power < SILENCE

    def notes(self, is_encoded: bool) -> list[Note]:
        """Say what is out of reach, of a sound of which something, or nothing, was encoded."""
        if self._recorded.power >= _MOSTLY_ABOVE * max(SILENCE, self.heard.power):
            share = "most" if is_encoded else "all"
            above = f"{share} of its sound lies above {self._limit}, which is not heard"
            return [Note("ultrasound", above)]
        return [] if is_encoded else [Note("silence", "no sound in it")]


def embed_part(
    path: Path,
    encoder: Encoder,
    start: float | None,
    end: float | None,
    *,
    noted: Callable[[Note], None] = lambda _: None,
) -> Segments:
    """Encode the part of a file between two times, in seconds; the spans count from the file's begin.

    No rows where there is no sound; ``noted`` is called with what a person should know of the file.

    Raises
    ------
    AudioError
        If the file cannot be decoded, or has no sound in that part.
    """
    spec = encoder.spec
    offset = start or 0.0
    samples, info = read_audio(path, spec.sample_rate, start=offset, end=end)
    windows = cut(samples, spec.window_samples, spec.hop_samples, spec.sample_rate)
    silence = [] if len(windows.starts) else [Note("silence", "no sound in this part of it")]
    for note in (*info.notes, *silence):
        noted(note)
    return segments_of(spec, windows.starts + offset, windows.ends + offset, _encoded(encoder, windows, {}))


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """A part of a file that is decoded once and encoded at several speeds.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
    sample_rate : int
        The file's own, in Hz.
    start : float
        Where in the file it begins, in seconds.
    """

    samples: Float32
    sample_rate: int
    start: float

    @classmethod
    def read(cls, path: Path, start: float, end: float) -> Excerpt:
        """Decode a file between two times, in seconds; AudioError if that cannot be."""
        with open_audio(path) as stream:
            blocks = stream.span(stream.sample_rate, start, end)
            return cls(np.concatenate([np.empty(0, np.float32), *blocks]), stream.sample_rate, start)

    def at_speed(self, encoder: Encoder, speed: float, hop: float) -> Segments:
        """Encode it as what plays so fast sounds at its own speed, pitch and all.

        Its windows are ``hop`` seconds of that apart; the spans are those of the file.
        """
        spec = encoder.spec
        resampler = Resampler(self.sample_rate, round(spec.sample_rate * speed))
        samples = np.concatenate([resampler.push(self.samples), resampler.finish()])
        windows = cut(samples, spec.window_samples, round(hop * spec.sample_rate), spec.sample_rate)
        vectors = _encoded(encoder, windows, {})
        starts, ends = windows.starts / speed + self.start, windows.ends / speed + self.start
        return segments_of(spec, starts, ends, vectors)


def embed_densely(
    path: Path,
    encoder: Encoder,
    hop_of: Callable[[float], float],
    *,
    start: float | None = None,
    end: float | None = None,
    noted: Callable[[Note], None] = lambda _: None,
) -> Iterator[Segments]:
    """Encode a file, or the part of it between two times, with its windows as far apart as it is long.

    They come a few at a time as it is read; their spans count from the file's begin. At its end ``noted`` is
    called with what a person should know of it.

    Parameters
    ----------
    hop_of : callable
        Gives the seconds between windows for so many seconds of sound, of which 15 are looked for at most.

    Raises
    ------
    AudioError
        If the file cannot be decoded at all.
    UsageError
        If it ends before ``start``.
    """
    offset = start or 0.0
    with open_audio(path) as stream:
        if start is None and end is None:
            blocks, rate = stream.blocks(), stream.sample_rate
        else:
            rate = encoder.spec.sample_rate
            blocks = stream.span(rate, offset, end)
        reach, is_encoded = _Reach(rate, encoder.spec.sample_rate), False
        blocks, seconds = _looked_ahead(blocks, rate)
        for segments in _dense(blocks, rate, encoder, hop_of(seconds), reach):
            is_encoded = is_encoded or len(segments) > 0
            yield Segments(segments.starts + offset, segments.ends + offset, segments.vectors)
        # What lies above this encoder's reach in part only, others may hear.
        for note in (*stream.info.notes, *([] if is_encoded else reach.notes(False))):
            noted(note)


def _looked_ahead(blocks: Iterator[Float32], rate: int) -> tuple[Iterator[Float32], float]:
    """Give the same blocks, and how many seconds they are if they are few."""
    first: list[Float32] = []
    n = 0
    for block in blocks:
        first.append(block)
        n += len(block)
        if n >= _AHEAD * rate:
            break
    return chain(first, blocks), n / rate


def embed_blocks(
    blocks: Iterable[Float32], sample_rate: int, encoder: Encoder, hop: float
) -> Iterator[Segments]:
    """Encode sound as it comes, mono blocks of shape (n,), with its windows ``hop`` seconds apart."""
    return _dense(blocks, sample_rate, encoder, hop, _Reach(sample_rate, encoder.spec.sample_rate))


def _dense(
    blocks: Iterable[Float32], sample_rate: int, encoder: Encoder, hop: float, reach: _Reach
) -> Iterator[Segments]:
    spec = encoder.spec
    windower = Windower(spec.window_samples, round(hop * spec.sample_rate), spec.sample_rate)

    def encoded(windows: Windows) -> Segments:
        if reach.is_silent:
            windows = Windows(windows.samples[:0], windows.starts[:0], windows.ends[:0])
        vectors = _encoded(encoder, windows, {})
        return Segments(windows.starts, windows.ends, vectors)

    resampler = Resampler(sample_rate, spec.sample_rate)
    is_encoded = False
    for block in blocks:
        if not is_encoded:  # else it is known that something is within reach
            reach.push(block)
        segments = encoded(windower.push(resampler.push(block)))
        is_encoded = is_encoded or len(segments) > 0
        yield segments
    yield encoded(windower.push(resampler.finish()))
    yield encoded(windower.finish())


def try_encoder(encoder: Encoder) -> None:
    """Make sure that an encoder works, on a window of silence, before a file could be blamed for it.

    Raises
    ------
    EncoderError
        If it fails, or breaks its contract.
    """
    samples = np.zeros((1, encoder.spec.window_samples), np.float32)
    _encoded(encoder, Windows(samples, np.zeros(1), np.full(1, encoder.spec.window)), {})


def _encoded(encoder: Encoder, windows: Windows, features: dict[FrontEnd, Float32]) -> Float32:
    """Encode windows, taking or leaving the features that encoders of one front end share.

    Whatever goes wrong in an encoder is the encoder's fault and ends a run: no file is to blame.
    """
    spec = encoder.spec
    try:
        front_end = encoder.front_end
        if front_end not in features:
            if isinstance(front_end, LogMel):
                starts = np.rint(windows.starts * spec.sample_rate).astype(np.int64)
                features[front_end] = front_end.overlapping(windows.samples, starts)
            else:
                features[front_end] = front_end(windows.samples)
        vectors = encoder.encode(features[front_end])
    except EchoicError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        raise EncoderError(f"encoder {spec.name} failed ({type(error).__name__}: {said})") from error
    return check_vectors(spec, len(windows.samples), vectors)


class _Encoded:
    """What has been encoded so far for one encoder, in memory that grows in its place."""

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._numbers = bytearray()
        self._shape: tuple[int, ...] = (encoder.spec.dim,)  # of a window's

    def push(self, windows: Windows, features: dict[FrontEnd, Float32]) -> None:
        """Encode the next windows."""
        vectors = _encoded(self.encoder, windows, features)
        self._shape = vectors.shape[1:]
        self._numbers += vectors.astype(np.float32, copy=False).tobytes()

    @property
    def vectors(self) -> Float32:
        """All vectors; nothing can be pushed once they have been looked at."""
        return np.frombuffer(self._numbers, np.float32).reshape(-1, *self._shape)


class _Lane:
    """The encoders that take the same windows: a windower, and the windows waiting to be encoded."""

    def __init__(self, encoders: Mapping[str, Encoder]) -> None:
        spec = next(iter(encoders.values())).spec
        self._windower = Windower(spec.window_samples, spec.hop_samples, spec.sample_rate)
        self._encoded = {name: _Encoded(encoder) for name, encoder in encoders.items()}
        self._waiting: list[Windows] = []
        # Like the vectors: many small arrays that stay would break up the memory that large ones leave.
        self._starts, self._ends = bytearray(), bytearray()

    def push(self, samples: Float32, *, is_silent: bool) -> None:
        windows = self._windower.push(samples)
        if not is_silent:
            self._take(windows)

    def finish(self, *, is_silent: bool) -> dict[str, Segments]:
        windows = self._windower.finish()
        if not is_silent:
            self._take(windows)
        self._encode()
        starts, ends = (np.frombuffer(times, np.float64) for times in (self._starts, self._ends))
        return {
            name: segments_of(done.encoder.spec, starts, ends, done.vectors)
            for name, done in self._encoded.items()
        }

    def _take(self, windows: Windows) -> None:
        if len(windows.starts):
            self._waiting.append(windows)
            self._starts += windows.starts.tobytes()
            self._ends += windows.ends.tobytes()
            if sum(len(waiting.starts) for waiting in self._waiting) >= _BATCH:
                self._encode()

    def _encode(self) -> None:
        if not self._waiting:
            return
        windows = Windows(*(np.concatenate(column) for column in zip(*self._waiting, strict=True)))
        self._waiting = []
        features: dict[FrontEnd, Float32] = {}
        for done in self._encoded.values():
            done.push(windows, features)


def _lanes(encoders: Mapping[str, Encoder]) -> list[_Lane]:
    groups: dict[tuple[int, int], dict[str, Encoder]] = {}
    for name, encoder in encoders.items():
        spec = encoder.spec
        groups.setdefault((spec.window_samples, spec.hop_samples), {})[name] = encoder
    return [_Lane(group) for group in groups.values()]
