"""Writing one recording's sound as it lies in another's time, passage by passage."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from echoic.audio.decode import AudioStream, Resampler, open_audio
from echoic.audio.encode import write_blocks
from echoic.errors import UsageError, quoted
from echoic.interchange.places import new_file
from echoic.recordings.timing.synchronisation import Passage
from echoic.types import Float32

__all__ = ["write_laid"]


@dataclass(frozen=True, slots=True)
class _Part:
    """From when to when the second plays (``end`` None: to its end), how fast, and where the first has it."""

    start: float
    end: float | None
    speed: float
    place: float


def write_laid(second: Path, output: Path, passages: Sequence[Passage]) -> None:
    """Write the sound of a file as it lies in another's time, of which the copy's second 0 is the start.

    All channels are kept. Each passage lies where the first has it, without its drift. What lies between two
    passages follows the one before, as long as there is room before the next; the rest is left out, as is
    what lies before second 0. Silence takes the place of what is missing.

    Parameters
    ----------
    second, output : Path
        The suffix of the output chooses its format, as in :func:`~echoic.audio.encode.write_audio`.
    passages : sequence of Passage
        At least one.

    Raises
    ------
    AudioError
        If the file cannot be read.
    UsageError
        If nothing of it is left, something is there already, or it cannot be written.
    """
    with open_audio(second, mono=False) as stream:
        rate, channels = stream.sample_rate, stream.channels
    blocks = (block for block in _laid(second, _parts(passages), rate, channels) if len(block))
    first = next(blocks, None)
    if first is None:
        raise UsageError(f"{second} ends before the other begins: there is nothing to write")
    try:
        with new_file(output) as part:
            write_blocks(part, itertools.chain([first], blocks), rate, channels)
    except OSError as error:
        raise UsageError(
            f"{quoted(output)} cannot be written ({error.strerror}); choose another place"
        ) from error


def _parts(passages: Sequence[Passage]) -> list[_Part]:
    """Say what of the second is to be heard when, in order of the first's time."""
    by_time = sorted(passages, key=lambda passage: passage.start)
    kept: list[Passage] = []
    for passage in sorted(passages, key=lambda passage: passage.start - passage.end):  # the longest first
        if not any(_lie_on_each_other(passage, other) for other in kept):
            kept.append(passage)
    kept.sort(key=lambda passage: passage.line.place(passage.start))
    parts: list[_Part] = []
    for number, passage in enumerate(kept):
        at, line = by_time.index(passage), passage.line
        start = 0.0 if number == 0 and at == 0 else passage.start
        ends = [later.start for later in by_time[at + 1 : at + 2]]
        for following in kept[number + 1 : number + 2]:
            ends.append((following.line.place(following.start) - line.offset) / line.speed)
        parts.append(_Part(start, min(ends, default=None), line.speed, line.place(start)))
    return parts


def _lie_on_each_other(one: Passage, longer: Passage) -> bool:
    """Tell whether half of a passage lies where the first has another."""
    begin, end = one.line.place(one.start), one.line.place(one.end)
    shared = min(end, longer.line.place(longer.end)) - max(begin, longer.line.place(longer.start))
    return shared > (end - begin) / 2


def _laid(second: Path, parts: list[_Part], rate: int, channels: int) -> Iterator[Float32]:
    """Yield the copy's sound, part after part, with silence between them."""
    written = 0  # samples
    reader = _Reader(second)
    try:
        for part in parts:
            begin = round(part.place * rate)
            shape = (0,) if channels == 1 else (0, channels)
            for at in range(written, begin, rate):
                yield np.zeros((min(rate, begin - at), *shape[1:]), np.float32)
            skipped = max(0, written - begin)
            written = max(written, begin)
            converter = Resampler(rate, rate * part.speed, channels)
            sound = (converter.push(block) for block in reader.read(part.start, part.end))
            for ready in itertools.chain(sound, (converter.finish() for _ in range(1))):
                yield ready[skipped:]
                written += max(0, len(ready) - skipped)
                skipped = max(0, skipped - len(ready))
    finally:
        reader.close()


class _Reader:
    """Reads parts of a file, all channels; from its start again where a part lies before the last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open()

    def _open(self) -> None:
        self._stream: AudioStream = open_audio(self._path, mono=False)
        self._blocks = self._stream.blocks()
        self._at = 0  # samples read and handed out or passed over
        self._rest: Float32 | None = None

    def close(self) -> None:
        self._stream.close()

    def read(self, start: float, end: float | None) -> Iterator[Float32]:
        rate = self._stream.sample_rate
        first, last = round(start * rate), None if end is None else round(end * rate)
        if first < self._at:
            self.close()
            self._open()
        while last is None or self._at < last:
            block = next(self._blocks, None) if self._rest is None else self._rest
            self._rest = None
            if block is None:
                return
            if self._at < first:
                passed = min(first - self._at, len(block))
                self._at, block = self._at + passed, block[passed:]
            if last is not None and self._at + len(block) > last:
                self._rest, block = block[last - self._at :], block[: last - self._at]
            self._at += len(block)
            yield block
