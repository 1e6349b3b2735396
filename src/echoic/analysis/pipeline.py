"""From a file to its vectors: decode, resample, cut, encode, in one pass and constant memory.

A file is decoded once for all encoders, resampled once for each sample rate, cut once for each window, and
its spectrogram computed once for each front end, however many encoders share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.analysis.reach import Reach
from echoic.audio.decode import Resampler, open_audio
from echoic.audio.events import EventCutter
from echoic.audio.front_end import FrontEnd
from echoic.audio.mix import open_mix
from echoic.audio.notes import with_tracks
from echoic.audio.spectrogram import LogMel
from echoic.audio.windows import Windower, Windows
from echoic.encoders.base import Encoder, check_vectors, segments_of
from echoic.errors import EchoicError, EncoderError, NotAudioError
from echoic.spec import EncoderSpec
from echoic.types import AudioInfo, Float32, Note, Segments, TrackChoice

__all__ = ["embed_file", "embed_samples", "encoded", "try_encoder"]

Float64 = npt.NDArray[np.float64]
#: Takes the name of an encoder, and segments of it.
_HandOn = Callable[[str, Segments], None]

# Windows gathered before they are encoded: 16 take no less time and 15 MB more.
_BATCH = 8

_RESERVED = 8 << 20  # numbers: 32 MiB, from where on the C library (glibc) always asks the system

_NOTHING_SAID = 0.95**0.5  # of a frame's last number; of CTC's blank, the root of its probability


def _is_handed_on(spec: EncoderSpec) -> bool:
    """Tell whether segments may be had part by part: those of what is said are many, and are kept so."""
    return spec.by == "frame" and bool(spec.purposes & {"phrases", "spoken"})


def embed_file(
    path: Path,
    encoders: Mapping[str, Encoder],
    *,
    track: TrackChoice | None = None,
    progress: Callable[[float], None] = lambda _: None,
    hand_on: _HandOn | None = None,
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
    hand_on : callable, optional
        Called with the name of an encoder of what is said, frame by frame, and the next of its segments, as
        soon as they are known: they are returned no more, but for the last. Of each track of several they are
        returned all together.

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
        segments, notes = _embedded(stream.blocks(), stream.sample_rate, encoders, progress, hand_on)
        info = stream.info
    return replace(info, notes=(*info.notes, *notes)), segments


def embed_samples(
    blocks: Iterable[Float32], sample_rate: int, encoders: Mapping[str, Encoder]
) -> dict[str, Segments]:
    """Encode mono sound that is at hand, in blocks of shape (n,), as :func:`embed_file` does a file's.

    Raises
    ------
    EncoderError
        If an encoder breaks its contract.
    """
    return _embedded(blocks, sample_rate, encoders)[0]


def _embed_each_track(
    path: Path, encoders: Mapping[str, Encoder], progress: Callable[[float], None]
) -> tuple[AudioInfo, dict[str, Segments]]:
    with open_audio(path) as stream:
        n_tracks = stream.n_tracks
    if n_tracks == 1:
        return embed_file(path, encoders, progress=progress)
    in_sequence = {name: e for name, e in encoders.items() if e.spec.purposes & {"recordings", "versions"}}
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


def _embedded(
    blocks: Iterable[Float32],
    sample_rate: int,
    encoders: Mapping[str, Encoder],
    progress: Callable[[float], None] = lambda _: None,
    hand_on: _HandOn | None = None,
) -> tuple[dict[str, Segments], list[Note]]:
    lanes: dict[int, list[_Lane]] = {}
    for rate in sorted({encoder.spec.sample_rate for encoder in encoders.values()}):
        some = {name: encoder for name, encoder in encoders.items() if encoder.spec.sample_rate == rate}
        lanes[rate] = _lanes(some, hand_on)
    rates = _Rates(sample_rate, lanes)
    reach = Reach(sample_rate, max(lanes))

    def push(sounds: Mapping[int, Float32]) -> None:
        reach.heard.push(sounds[max(lanes)])
        for rate, samples in sounds.items():
            for lane in lanes[rate]:
                lane.push(samples, is_silent=reach.is_silent)

    for block in blocks:
        reach.push(block)
        push(rates.push(block))
        progress(len(block) / sample_rate)
    push(rates.finish())  # all that there is of a click
    segments: dict[str, Segments] = {}
    for group in lanes.values():
        for lane in group:
            segments |= lane.finish(is_silent=reach.is_silent)
    return segments, reach.notes(any(lane.has_sound for group in lanes.values() for lane in group))


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


def try_encoder(encoder: Encoder) -> None:
    """Make sure that an encoder works, on a window of silence, before a file could be blamed for it.

    Raises
    ------
    EncoderError
        If it fails, or breaks its contract.
    """
    samples = np.zeros((1, encoder.spec.window_samples), np.float32)
    encoded(encoder, Windows(samples, np.zeros(1), np.full(1, encoder.spec.window)), {})


def encoded(encoder: Encoder, windows: Windows, features: dict[FrontEnd, Float32]) -> Float32:
    """Encode windows, taking or leaving the features that encoders of one front end share.

    Whatever goes wrong in an encoder is the encoder's fault and ends a run: no file is to blame.
    """
    spec = encoder.spec
    try:
        front_end = encoder.front_end
        if front_end not in features:
            if isinstance(front_end, LogMel) and spec.by != "event":  # events share no frames that align
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
    """What has been encoded so far for one encoder.

    Room is reserved far beyond what most files need, for that lies outside of the heap and takes memory only
    where it is written to; what grows within the heap leaves holes as large as itself there.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self._numbers = np.empty(_RESERVED, np.float32)
        self._n = 0
        self._shape: tuple[int, ...] = (encoder.spec.dim,)  # of a window's

    def push(self, windows: Windows, features: dict[FrontEnd, Float32]) -> None:
        """Encode the next windows."""
        vectors = encoded(self.encoder, windows, features)
        self._shape = vectors.shape[1:]
        before, self._n = self._n, self._n + vectors.size
        if self._n > len(self._numbers):
            self._numbers.resize(2 * self._n, refcheck=False)  # moves pages, and copies none
        self._numbers[before : self._n] = vectors.ravel()

    def finish(self, starts: Float64, ends: Float64) -> Segments:
        """Return all segments of windows with these spans; nothing can be pushed any more."""
        segments = segments_of(self.encoder.spec, starts, ends, self._vectors())
        return _telling(_in_time(segments), self.encoder)

    def _vectors(self) -> Float32:
        if self._n * 8 < _RESERVED:  # many small results may be kept, and none is to hold what it reserved
            return self._numbers[: self._n].copy().reshape(-1, *self._shape)
        self._numbers.resize(self._n, refcheck=False)
        return self._numbers.reshape(-1, *self._shape)


class _HandedOn:
    """What is said, frame by frame, as it is encoded: of the last window alone it waits for the next.

    So a file takes as much memory as a part of it, however long it is.
    """

    def __init__(self, encoder: Encoder, hand_on: Callable[[Segments], None]) -> None:
        self.encoder = encoder
        self._hand_on = hand_on
        self._waiting: tuple[Float64, Float64, Float32] | None = None  # start, end and frames of a window
        self._since = -np.inf  # where the frames of the waiting window begin to count

    def push(self, windows: Windows, features: dict[FrontEnd, Float32]) -> None:
        """Encode the next windows."""
        starts, ends, vectors = windows.starts, windows.ends, encoded(self.encoder, windows, features)
        if self._waiting is not None:
            before = self._waiting
            starts, ends = np.concatenate([before[0], starts]), np.concatenate([before[1], ends])
            vectors = np.concatenate([before[2], vectors])
        self._waiting = starts[-1:], ends[-1:], vectors[-1:].copy()
        if len(starts) > 1:
            seam = max((starts[-1] + ends[-2]) / 2, starts[-1])
            self._hand_on(self._counting(segments_of(self.encoder.spec, starts, ends, vectors), seam))
            self._since = seam

    def finish(self, *_: Float64) -> Segments:
        """Return the segments that were not handed on."""
        if self._waiting is None:
            return Segments.none(self.encoder.spec.dim)
        return self._counting(segments_of(self.encoder.spec, *self._waiting), np.inf)

    def _counting(self, segments: Segments, until: float) -> Segments:
        frame_rate = self.encoder.spec.frame_rate
        assert frame_rate is not None
        middles = segments.starts + 1 / frame_rate / 2
        here = (middles >= self._since) & (middles < until)
        return _telling(
            Segments(segments.starts[here], segments.ends[here], segments.vectors[here]), self.encoder
        )


class _Lane:
    """The encoders that take the same windows: a windower, and the windows waiting to be encoded."""

    def __init__(self, encoders: Mapping[str, Encoder], hand_on: _HandOn | None) -> None:
        spec = next(iter(encoders.values())).spec
        self._windower = (
            EventCutter(spec.window_samples, spec.sample_rate)
            if spec.by == "event"
            else Windower(spec.window_samples, spec.hop_samples, spec.sample_rate)
        )
        self._encoded: dict[str, _Encoded | _HandedOn] = {
            name: _Encoded(encoder)
            if hand_on is None or not _is_handed_on(encoder.spec)
            else _HandedOn(encoder, partial(hand_on, name))
            for name, encoder in encoders.items()
        }
        self._waiting: list[Windows] = []
        # Many small arrays that stay would break up the memory that large ones leave.
        self._starts, self._ends = bytearray(), bytearray()

    @property
    def has_sound(self) -> bool:
        """Whether there was a window with sound; it may be that nothing is said in it."""
        return bool(self._starts)

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
        return {name: done.finish(starts, ends) for name, done in self._encoded.items()}

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


def _in_time(segments: Segments) -> Segments:
    """Put events, which come as they are over, in the order in which they begin."""
    if (np.diff(segments.starts) >= 0).all():
        return segments
    order = np.lexsort((segments.ends, segments.starts))
    return Segments(segments.starts[order], segments.ends[order], segments.vectors[order])


def _telling(segments: Segments, encoder: Encoder) -> Segments:
    """Leave out, of what is said and who speaks, where nobody does: two frames of three in running speech."""
    if not encoder.spec.is_of_speech:
        return segments
    tell = segments.vectors[:, -1] < _NOTHING_SAID
    return Segments(segments.starts[tell], segments.ends[tell], segments.vectors[tell])


def _lanes(encoders: Mapping[str, Encoder], hand_on: _HandOn | None) -> list[_Lane]:
    groups: dict[tuple[int, int, bool], dict[str, Encoder]] = {}
    for name, encoder in encoders.items():
        spec = encoder.spec
        cut_as = spec.window_samples, spec.hop_samples, spec.by == "event"
        groups.setdefault(cut_as, {})[name] = encoder
    return [_Lane(group, hand_on) for group in groups.values()]
