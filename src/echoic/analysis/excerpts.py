"""One encoder over a part of a file, as densely as asked for, at other speeds, or over sound as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from echoic.analysis.pipeline import encoded
from echoic.analysis.reach import Reach
from echoic.audio.decode import Resampler, open_audio, read_audio
from echoic.audio.notes import of_query
from echoic.audio.windows import Windower, Windows, cut
from echoic.encoders.base import Encoder, segments_of
from echoic.types import Float32, Note, Segments

__all__ = ["Excerpt", "embed_blocks", "embed_densely", "embed_part", "end_within"]

_AHEAD = 15.0  # s of sound that are kept until its windows are cut


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
    for note in (*of_query(info), *silence):
        noted(note)
    return segments_of(spec, windows.starts + offset, windows.ends + offset, encoded(encoder, windows, {}))


def end_within(path: Path, start: float | None, end: float) -> float:
    """Tell where a part of a file ends, in seconds: with the file, if it was said to go on behind that.

    Raises
    ------
    AudioError
        If the file cannot be decoded, or ends before ``start``.
    """
    begin = start or 0.0
    with open_audio(path) as stream:
        stated = stream.stated_duration
        if stated is not None and end <= stated:
            return end
        n = sum(len(block) for block in stream.span(stream.sample_rate, begin, end))
        return min(end, begin + n / stream.sample_rate)


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
    def read(
        cls, path: Path, start: float, end: float, *, noted: Callable[[Note], None] = lambda _: None
    ) -> Excerpt:
        """Decode a file between two times, in seconds; AudioError if that cannot be."""
        with open_audio(path) as stream:
            samples = np.concatenate([np.empty(0, np.float32), *stream.span(stream.sample_rate, start, end)])
            for note in of_query(stream.info):
                noted(note)
            return cls(samples, stream.sample_rate, start)

    def at_speed(self, encoder: Encoder, speed: float, hop: float) -> Segments:
        """Encode it as what plays so fast sounds at its own speed, pitch and all.

        Its windows are ``hop`` seconds of that apart; the spans are those of the file.
        """
        spec = encoder.spec
        resampler = Resampler(self.sample_rate, round(spec.sample_rate * speed))
        samples = np.concatenate([resampler.push(self.samples), resampler.finish()])
        windows = cut(samples, spec.window_samples, round(hop * spec.sample_rate), spec.sample_rate)
        vectors = encoded(encoder, windows, {})
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
    PartError
        If it ends before ``start``.
    """
    offset = start or 0.0
    with open_audio(path) as stream:
        if start is None and end is None:
            blocks, rate = stream.blocks(), stream.sample_rate
        else:
            rate = encoder.spec.sample_rate
            blocks = stream.span(rate, offset, end)
        reach, is_encoded = Reach(rate, encoder.spec.sample_rate), False
        blocks, seconds = _looked_ahead(blocks, rate)
        for segments in _dense(blocks, rate, encoder, hop_of(seconds), reach):
            is_encoded = is_encoded or len(segments) > 0
            yield Segments(segments.starts + offset, segments.ends + offset, segments.vectors)
        # What lies above this encoder's reach in part only, others may hear.
        for note in (*of_query(stream.info), *([] if is_encoded else reach.notes(False))):
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
    return _dense(blocks, sample_rate, encoder, hop, Reach(sample_rate, encoder.spec.sample_rate))


def _dense(
    blocks: Iterable[Float32], sample_rate: int, encoder: Encoder, hop: float, reach: Reach
) -> Iterator[Segments]:
    spec = encoder.spec
    windower = Windower(spec.window_samples, round(hop * spec.sample_rate), spec.sample_rate)

    def of(windows: Windows) -> Segments:
        if reach.is_silent:
            windows = Windows(windows.samples[:0], windows.starts[:0], windows.ends[:0])
        vectors = encoded(encoder, windows, {})
        return Segments(windows.starts, windows.ends, vectors)

    resampler = Resampler(sample_rate, spec.sample_rate)
    is_encoded = False
    for block in blocks:
        resampled = resampler.push(block)
        if not is_encoded:  # else it is known that something is within reach
            reach.push(block)
            reach.heard.push(resampled)
        segments = of(windower.push(resampled))
        is_encoded = is_encoded or len(segments) > 0
        yield segments
    rest = resampler.finish()
    if not is_encoded:
        reach.heard.push(rest)
    yield of(windower.push(rest))
    yield of(windower.finish())
