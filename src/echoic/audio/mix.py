"""All tracks of a file at once, as one sound."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy as np

from echoic.audio.decode import AudioStream, Resampler, open_audio
from echoic.audio.notes import with_tracks
from echoic.audio.source import StrPath
from echoic.errors import NotAudioError
from echoic.types import AudioInfo, Float32

__all__ = ["Mix", "open_mix"]


class Mix:
    """The mean of several tracks, each from its begin; made by :func:`open_mix`.

    Attributes
    ----------
    sample_rate : int
        Hz, of the blocks.
    """

    def __init__(self, streams: list[AudioStream]) -> None:
        self._streams = streams
        self.sample_rate = max(stream.sample_rate for stream in streams)

    def blocks(self) -> Iterator[Float32]:
        """Yield blocks, shape (n,); a track that has ended is silent."""
        sources = [self._resampled(stream) for stream in self._streams]
        ready: list[Float32] = [np.empty(0, np.float32) for _ in sources]
        while True:
            for number, source in enumerate(sources):
                while not len(ready[number]) and (block := next(source, None)) is not None:
                    ready[number] = block
            n = min((len(block) for block in ready if len(block)), default=0)
            if not n:
                return
            mean = np.zeros(n, np.float32)
            for block in ready:
                mean[: len(block)] += block[:n] / np.float32(len(sources))
            yield mean
            ready = [block[n:] for block in ready]

    def _resampled(self, stream: AudioStream) -> Iterator[Float32]:
        resampler = Resampler(stream.sample_rate, self.sample_rate)
        for block in stream:
            yield resampler.push(block)
        yield resampler.finish()

    @property
    def info(self) -> AudioInfo:
        """What decoding to the end told, as :attr:`AudioStream.info` does."""
        infos = [stream.info for stream in self._streams]
        longest = max(infos, key=lambda info: info.duration)
        return replace(
            longest,
            lost="; ".join(dict.fromkeys(info.lost for info in infos if info.lost)),
            notes=with_tracks(longest.notes, self._streams[0].n_tracks, "mix"),
        )


@contextmanager
def open_mix(path: StrPath) -> Iterator[Mix | AudioStream]:
    """Open all tracks of a file; one alone is as :func:`open_audio` opens it.

    Raises
    ------
    UnreadableError, NotAudioError
        As there, if no track can be decoded.
    """
    with ExitStack() as stack:
        heard = stack.enter_context(open_audio(path))
        if heard.n_tracks == 1:
            yield heard
            return
        streams = []
        for number in range(1, heard.n_tracks + 1):
            try:
                streams.append(stack.enter_context(open_audio(path, track=number)))
            except NotAudioError:  # the others are heard
                continue
        yield Mix(streams)
