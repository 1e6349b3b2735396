"""What is heard again and again: from files, or a library's fingerprints, to groups of places."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.analysis.excerpts import embed_blocks
from echoic.audio.decode import AudioStream, Resampler, open_audio
from echoic.audio.notes import of_query
from echoic.encoders.base import Encoder
from echoic.errors import AudioError, UsageError
from echoic.machine import one_thread_for_algebra
from echoic.recordings.decision import Decision, check_probability
from echoic.recordings.repeats.groups import Place, grouped
from echoic.recordings.repeats.passages import passages
from echoic.recordings.repeats.timeline import HOP, Timeline, Track
from echoic.recordings.result import Repeat
from echoic.storage.catalog import Catalog
from echoic.storage.spaces import Spaces
from echoic.types import Float32, Note, Progress, Segments

__all__ = ["files_repeats", "library_repeats"]

Float64 = npt.NDArray[np.float64]

_MIN_SCORE = 0.5  # probability from which on two places are told to be the same
_LEVEL = 0.1  # s of which the level is kept
_FAINTEST = 1e-8  # power, full scale being 1
_LEVELS_AGREE = 3.0  # dB between the quartiles of what two airings differ by; under speech it is more
_FEWEST_LEVELS = 10
_TELLS_SPEED = 4.0  # s
_LEAST_SPEED = 0.004  # that is told
_ENCODING = 0.7  # of the time, about


def files_repeats(
    paths: Sequence[Path],
    encoder: Encoder,
    *,
    min_length: float,
    apart: float,
    min_score: float | None,
    noted: Callable[[str, Note], None] = lambda *_: None,
    failed: Callable[[AudioError], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> list[tuple[Repeat, ...]]:
    """Tell what is heard again and again in files, each of which is decoded once.

    See :func:`echoic.find_repeats`; ``failed`` is called with why a file is left out, or else that is raised.
    """
    _check(min_length, apart, min_score)
    sizes = [path.stat().st_size if path.is_file() else 0 for path in paths]
    teller = _Teller(paths, sizes, progress)
    tracks = []
    for number, path in enumerate(paths):
        try:
            track, notes = _encoded(path, encoder, teller.decoding(number))
        except AudioError as error:
            if failed is None:
                raise
            failed(error)
            continue
        tracks.append(track)
        for note in notes:
            noted(track.path, note)
    return _told(tracks, Decision.load(encoder), min_length, apart, min_score, teller.comparing)


def library_repeats(
    catalog: Catalog,
    spaces: Spaces,
    *,
    min_length: float,
    apart: float,
    min_score: float | None,
    progress: Callable[[Progress], None] | None = None,
) -> list[tuple[Repeat, ...]]:
    """Tell what is heard again and again in the files of a library, by its fingerprints; nothing is decoded.

    See :meth:`echoic.library.Library.repeats`.
    """
    _check(min_length, apart, min_score)
    source, spec = spaces.chosen(None, "recordings")
    decision = Decision.load(spaces.encoder(source, spec))
    store = spaces.store(spec)
    records = [record for record in catalog.files() if spec.key in record.encoders]
    paths, sizes = [Path(record.path) for record in records], [record.size for record in records]
    teller = _Teller(paths, sizes, progress, encoding=0.0)
    tracks = []
    for record in records:
        segments = store.fetch([record.id]).get(record.id)
        if segments is not None:
            tracks.append(Track(record.path, segments, None))
            teller.audio += record.duration
    return _told(tracks, decision, min_length, apart, min_score, teller.comparing)


def _check(min_length: float, apart: float, min_score: float | None) -> None:
    check_probability(min_score)
    for name, value, least in (("min_length", min_length, 1.0), ("apart", apart, 0.0)):
        if not least <= value < np.inf:
            raise UsageError(f"{name} is a number of seconds from {least:g} on, and is {value:g}")


class _Teller:
    """Tells how far the work has come: by bytes while files are decoded, then by pairs of moments."""

    def __init__(
        self,
        paths: Sequence[Path],
        sizes: Sequence[int],
        progress: Callable[[Progress], None] | None,
        encoding: float = _ENCODING,
    ) -> None:
        self._paths, self._sizes, self._progress, self._encoding = paths, sizes, progress, encoding
        self._begun = time.monotonic()
        self.audio = 0.0

    def decoding(self, number: int) -> Callable[[float], None]:
        """Return what is to be called with the seconds of each block of a file."""

        def tell(seconds: float) -> None:
            self.audio += seconds
            self._tell(number, self._encoding * sum(self._sizes[:number]))

        return tell

    def comparing(self, share: float) -> None:
        done = (self._encoding + (1 - self._encoding) * share) * sum(self._sizes)
        self._tell(len(self._paths), done)

    def _tell(self, n_done: int, done_bytes: float) -> None:
        if self._progress is not None and self._paths:
            path, total = os.fspath(self._paths[min(n_done, len(self._paths) - 1)]), sum(self._sizes)
            elapsed = time.monotonic() - self._begun
            n = len(self._paths)
            self._progress(Progress(path, n_done, n, round(done_bytes), total, self.audio, elapsed))


def _encoded(path: Path, encoder: Encoder, tell: Callable[[float], None]) -> tuple[Track, tuple[Note, ...]]:
    """Decode and encode a file; what is kept takes 7 MB an hour."""
    levels: list[Float32] = []
    rate = encoder.spec.sample_rate
    with open_audio(path) as stream:
        parts = list(embed_blocks(_measured(stream, rate, levels, tell), rate, encoder, HOP))
        notes = of_query(stream.info)
    starts, ends, vectors = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("starts", "ends", "vectors")
    )
    return Track(os.fspath(path), Segments(starts, ends, vectors), np.concatenate(levels)), notes


def _measured(
    stream: AudioStream, rate: int, levels: list[Float32], tell: Callable[[float], None]
) -> Iterator[Float32]:
    """Resample what is decoded, and measure its level on the way."""
    resampler, size = Resampler(stream.sample_rate, rate), round(_LEVEL * rate)
    rest = np.empty(0, np.float32)

    def measured(samples: Float32) -> Float32:
        nonlocal rest
        whole = np.concatenate([rest, samples])
        n = len(whole) // size
        rest = whole[n * size :]
        powers = np.square(whole[: n * size].reshape(n, size)).mean(axis=1)
        levels.append((10 * np.log10(np.maximum(powers, _FAINTEST))).astype(np.float32))
        return samples

    for block in stream.blocks():
        yield measured(resampler.push(block))
        tell(len(block) / stream.sample_rate)
    yield measured(resampler.finish())


def _told(
    tracks: Sequence[Track],
    decision: Decision,
    min_length: float,
    apart: float,
    min_score: float | None,
    came: Callable[[float], None],
) -> list[tuple[Repeat, ...]]:
    """Compare recordings, and tell the groups in order of their first places."""
    timeline = Timeline(tracks, decision.cohort, apart)
    with one_thread_for_algebra():
        found = passages(timeline, apart, _MIN_SCORE if min_score is None else min_score, came)
    groups = grouped(found, min_length, apart)
    return [tuple(_repeats(timeline, group, number)) for number, group in enumerate(groups, start=1)]


def _repeats(timeline: Timeline, group: Sequence[Place], number: int) -> Iterator[Repeat]:
    first = group[0]
    for place in group:
        track, begin, end = _in_track(timeline, place)
        speed = 1 / place.pace
        sure = abs(speed - 1) >= _LEAST_SPEED and end - begin >= _TELLS_SPEED
        yield Repeat(
            group=number,
            path=track.path,
            start=begin,
            end=end,
            score=place.score,
            level=0.0 if place is first else _louder(timeline, first, place),
            tempo=round(speed, 4) if sure else 1.0,
        )


def _in_track(timeline: Timeline, place: Place) -> tuple[Track, float, float]:
    """Give the recording that a place is in, and its begin and end there."""
    number = int(timeline.track_of(np.array([(place.begin + place.end) / 2]))[0])
    track, at = timeline.tracks[number], float(timeline.begins[number])
    return track, max(0.0, place.begin - at), min(float(track.segments.ends[-1]), place.end - at)


def _louder(timeline: Timeline, first: Place, place: Place) -> float | None:
    """Tell by how many dB a place is louder than the first; None where that is not sure."""
    (one, begin, end), (other, start, stop) = (_in_track(timeline, each) for each in (first, place))
    if one.levels is None or other.levels is None:
        return None
    length = min(end - begin, (stop - start) / place.pace)
    steps = np.arange(-length / 2, length / 2, _LEVEL)
    rows = np.round(((begin + end) / 2 + steps) / _LEVEL).astype(np.int64)
    others = np.round(((start + stop) / 2 + steps * place.pace) / _LEVEL).astype(np.int64)
    inside = (rows >= 0) & (rows < len(one.levels)) & (others >= 0) & (others < len(other.levels))
    if inside.sum() < _FEWEST_LEVELS:
        return None
    louder = other.levels[others[inside]] - one.levels[rows[inside]]
    low, middle, high = np.quantile(louder, [0.25, 0.5, 0.75])
    return round(float(middle), 1) if high - low <= _LEVELS_AGREE else None
