"""From a file to its vectors: decode, resample, cut, encode, in one pass and constant memory.

A file is decoded once for all encoders, resampled once for each sample rate, cut once for each window, and
its spectrogram computed once for each front end, however many encoders share them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.audio.decode import Resampler, open_audio, read_audio
from echoic.audio.spectrogram import LogMel
from echoic.audio.windows import Windower, Windows, cut
from echoic.encoders.base import Encoder, MelEncoder, check_vectors
from echoic.errors import EchoicError, EncoderError
from echoic.types import AudioInfo, Float32, Segments

__all__ = ["embed_blocks", "embed_densely", "embed_file", "embed_part", "try_encoder"]

# Windows gathered before they are encoded: enough to keep a model busy, 5 MB of audio at 16 kHz.
_BATCH = 16


def embed_file(
    path: Path, encoders: Mapping[str, Encoder], progress: Callable[[float], None] = lambda _: None
) -> tuple[AudioInfo, dict[str, Segments]]:
    """Encode a whole file.

    Parameters
    ----------
    path : Path
    encoders : mapping of str to Encoder
        By any name; the results come under the same.
    progress : callable, optional
        Called with the seconds of sound of each block, once it has been dealt with.

    Returns
    -------
    info : AudioInfo
    segments : dict of str to Segments

    Raises
    ------
    AudioError
        If the file cannot be decoded at all.
    EncoderError
        If an encoder breaks its contract.
    """
    with open_audio(path) as stream:
        lanes: dict[int, list[_Lane]] = {}
        for rate in sorted({encoder.spec.sample_rate for encoder in encoders.values()}):
            lanes[rate] = _lanes({n: e for n, e in encoders.items() if e.spec.sample_rate == rate})
        resamplers = {rate: Resampler(stream.sample_rate, rate) for rate in lanes}
        for block in stream.blocks():
            for rate, resampler in resamplers.items():
                resampled = resampler.push(block)
                for lane in lanes[rate]:
                    lane.push(resampled)
            progress(len(block) / stream.sample_rate)
        for rate, resampler in resamplers.items():
            tail = resampler.finish()
            for lane in lanes[rate]:
                lane.push(tail)
        info = stream.info
    segments: dict[str, Segments] = {}
    for group in lanes.values():
        for lane in group:
            segments |= lane.finish()
    return info, segments


def embed_part(
    path: Path,
    encoder: Encoder,
    start: float | None,
    end: float | None,
    *,
    hop: float | None = None,
    speed: float = 1.0,
) -> Segments:
    """Encode the part of a file between two times, in seconds; the spans count from the file's begin.

    Its windows are ``hop`` seconds apart, by default as far as those of a whole file. What plays at another
    ``speed`` than 1 is encoded as it sounds at its own, pitch and all; the spans stay those of the file.

    Raises
    ------
    AudioError
        If the file cannot be decoded, or has no sound in that part.
    """
    spec = encoder.spec
    offset = start or 0.0
    samples, _ = read_audio(path, round(spec.sample_rate * speed), start=offset, end=end)
    hop_samples = spec.hop_samples if hop is None else round(hop * spec.sample_rate)
    windows = cut(samples, spec.window_samples, hop_samples, spec.sample_rate)
    known = {} if hop is None else _overlapping(encoder, windows)
    vectors = _encoded(encoder, windows.samples, known)
    return Segments(windows.starts / speed + offset, windows.ends / speed + offset, vectors)


def embed_densely(path: Path, encoder: Encoder, hop: float) -> Iterator[Segments]:
    """Encode a file with its windows ``hop`` seconds apart, a few at a time as it is read.

    Raises
    ------
    AudioError
        If the file cannot be decoded at all.
    """
    with open_audio(path) as stream:
        yield from embed_blocks(stream.blocks(), stream.sample_rate, encoder, hop)


def embed_blocks(
    blocks: Iterable[Float32], sample_rate: int, encoder: Encoder, hop: float
) -> Iterator[Segments]:
    """Encode sound as it comes, mono blocks of shape (n,), with its windows ``hop`` seconds apart."""
    spec = encoder.spec
    windower = Windower(spec.window_samples, round(hop * spec.sample_rate), spec.sample_rate)

    def encoded(windows: Windows) -> Segments:
        vectors = _encoded(encoder, windows.samples, _overlapping(encoder, windows))
        return Segments(windows.starts, windows.ends, vectors)

    resampler = Resampler(sample_rate, spec.sample_rate)
    for block in blocks:
        yield encoded(windower.push(resampler.push(block)))
    yield encoded(windower.push(resampler.finish()))
    yield encoded(windower.finish())


def try_encoder(encoder: Encoder) -> None:
    """Make sure that an encoder works, on a window of silence, before a file could be blamed for it.

    Raises
    ------
    EncoderError
        If it fails, or breaks its contract.
    """
    _encoded(encoder, np.zeros((1, encoder.spec.window_samples), np.float32), {})


def _overlapping(encoder: Encoder, windows: Windows) -> dict[LogMel, Float32]:
    """Compute the spectrogram of windows that overlap, if the encoder has one."""
    if not isinstance(encoder, MelEncoder):
        return {}
    starts = np.rint(windows.starts * encoder.spec.sample_rate).astype(np.int64)
    return {encoder.log_mel: encoder.log_mel.overlapping(windows.samples, starts)}


def _encoded(encoder: Encoder, windows: Float32, spectrograms: dict[LogMel, Float32]) -> Float32:
    """Encode windows, taking or leaving the spectrogram that encoders of one front end share.

    Whatever goes wrong in an encoder is the encoder's fault and ends a run: no file is to blame.
    """
    spec = encoder.spec
    try:
        if isinstance(encoder, MelEncoder):
            if encoder.log_mel not in spectrograms:
                spectrograms[encoder.log_mel] = encoder.log_mel(windows)
            vectors = encoder.encode_log_mel(spectrograms[encoder.log_mel])
        else:
            vectors = encoder.encode(windows)
    except EchoicError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        raise EncoderError(f"encoder {spec.name} failed ({type(error).__name__}: {said})") from error
    return check_vectors(spec, len(windows), vectors)


@dataclass
class _Encoded:
    """What has been encoded so far for one encoder."""

    encoder: Encoder
    vectors: list[Float32]


class _Lane:
    """The encoders that take the same windows: a windower, and the windows waiting to be encoded."""

    def __init__(self, encoders: Mapping[str, Encoder]) -> None:
        spec = next(iter(encoders.values())).spec
        self._windower = Windower(spec.window_samples, spec.hop_samples, spec.sample_rate)
        self._encoded = {name: _Encoded(encoder, []) for name, encoder in encoders.items()}
        self._waiting: list[Float32] = []
        self._n_waiting = 0
        self._starts: list[npt.NDArray[np.float64]] = []
        self._ends: list[npt.NDArray[np.float64]] = []

    def push(self, samples: Float32) -> None:
        self._take(*self._windower.push(samples))

    def finish(self) -> dict[str, Segments]:
        self._take(*self._windower.finish())
        self._encode()
        starts, ends = np.concatenate(self._starts), np.concatenate(self._ends)
        return {
            name: Segments(starts, ends, np.concatenate(done.vectors)) for name, done in self._encoded.items()
        }

    def _take(self, windows: Float32, starts: npt.NDArray[np.float64], ends: npt.NDArray[np.float64]) -> None:
        if len(windows):
            self._waiting.append(windows)
            self._n_waiting += len(windows)
            self._starts.append(starts)
            self._ends.append(ends)
            if self._n_waiting >= _BATCH:
                self._encode()

    def _encode(self) -> None:
        if not self._waiting:
            return
        windows = np.concatenate(self._waiting)
        self._waiting, self._n_waiting = [], 0
        spectrograms: dict[LogMel, Float32] = {}
        for done in self._encoded.values():
            done.vectors.append(_encoded(done.encoder, windows, spectrograms))


def _lanes(encoders: Mapping[str, Encoder]) -> list[_Lane]:
    groups: dict[tuple[int, int], dict[str, Encoder]] = {}
    for name, encoder in encoders.items():
        spec = encoder.spec
        groups.setdefault((spec.window_samples, spec.hop_samples), {})[name] = encoder
    return [_Lane(group) for group in groups.values()]
