"""What is heard in a file, and when."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from echoic.arguments import check_part, checked
from echoic.audio.windows import Windower, Windows
from echoic.encoders.base import encode_windows
from echoic.encoders.onnx import OnnxEncoder
from echoic.encoders.registry import DEFAULT_ENCODERS, load_encoder
from echoic.errors import EncoderError, UsageError
from echoic.heard.changes import Changes
from echoic.heard.result import HeardSpan
from echoic.heard.spans import find_spans, most_specific, with_silence
from echoic.types import Float32, Note, StrPath

if TYPE_CHECKING:
    import numpy.typing as npt

    from echoic.encoders.base import Encoder
    from echoic.encoders.head import Head

    Float64 = npt.NDArray[np.float64]

__all__ = ["CLOSE", "LIKELY", "describe", "kinds"]

#: Seconds of the short windows by which it is told when a sound begins and ends.
CLOSE = 1.28
#: The probability from which on something is told, unless another is asked for.
LIKELY = 0.5
_STEP = 0.64  # s between two moments


@checked
def describe(
    file: StrPath,
    *,
    start: float | None = None,
    end: float | None = None,
    min_probability: float | None = None,
    noted: Callable[[Note], None] = lambda _: None,
) -> list[HeardSpan]:
    """Tell what kinds of sound are heard in a file, and when.

    Parameters
    ----------
    file : str or path
    start, end : float, optional
        Seconds; only this part is listened to, and times count from the file's begin all the same.
    min_probability : float, optional
        Above 0, up to 1: what is less likely is not told. By default .5.
    noted : callable, optional
        Called with what a person should know of the file.

    Returns
    -------
    list of HeardSpan
        In order of time. Of a kind and kinds of it, as Animal, Dog and Bark, the most specific that is about
        as likely, and with it what is much less likely than the kind that it is of.

    Raises
    ------
    AudioError
        If the file cannot be decoded, or ends before ``start``.
    UsageError
        If an argument makes no sense.

    Examples
    --------
    >>> from echoic import describe
    >>> for span in describe("street.wav"):  # doctest: +SKIP
    ...     print(span.start, span.end, span.label, span.probability)
    """
    from echoic.audio.decode import open_audio
    from echoic.audio.notes import of_query

    least = LIKELY if min_probability is None else min_probability
    if not 0 < least <= 1:
        raise UsageError(f"min_probability is above 0 and at most 1, and not {least:g}")
    check_part(start, end)
    encoder, head = _listener()
    offset = start or 0.0
    listening, changes = _Listening(encoder, head), Changes(encoder.spec.sample_rate)
    with open_audio(Path(file)) as stream:
        for block in stream.span(encoder.spec.sample_rate, offset, end):
            listening.push(block)
            changes.push(block)
        info = stream.info
    times, likely = listening.finish(info.duration)
    silence = "no sound in it" if start is None and end is None else "no sound in that part"
    for note in of_query(info) if len(times) else (*of_query(info), Note("silence", silence)):
        noted(note)
    edges = 0.0, info.duration
    spans = changes.moved(find_spans(times, edges, likely, least), edges)
    found = [
        HeardSpan(
            os.fspath(file),
            round(offset + max(0.0, span.start), 2),
            round(offset + min(span.end, info.duration), 2),
            head.labels[span.label],
            round(span.probability, 3),
        )
        for span in most_specific(spans, head.kinds)
    ]
    return sorted(found, key=lambda span: (span.start, span.end, span.label))


def kinds() -> list[str]:
    """Name the kinds of sound that are told, in order of the alphabet."""
    return sorted(_listener()[1].labels, key=str.casefold)


@cache
def _listener() -> tuple[Encoder, Head]:
    """Load what listens: an encoder, and the head beside it."""
    encoder = load_encoder(DEFAULT_ENCODERS[0])
    head = encoder.head if isinstance(encoder, OnnxEncoder) else None
    if head is None:
        raise EncoderError(f"the encoder {encoder.spec.name} has nothing to tell kinds of sound by")
    return encoder, head


def _joined(parts: list[tuple[Float64, Float32]]) -> tuple[Float64, Float32]:
    """Put what was judged a few windows at a time together."""
    if not parts:
        return np.empty(0), np.empty((0, 0), np.float32)
    times, judged = zip(*parts, strict=True)
    return np.concatenate(times), np.concatenate(judged)


class _Listening:
    """Judges sound as it comes, in whole windows of the encoder and in short ones."""

    def __init__(self, encoder: Encoder, head: Head) -> None:
        spec = encoder.spec
        self._encoder, self._head = encoder, head
        self._around = Windower(spec.window_samples, spec.hop_samples, spec.sample_rate)
        self._close = Windower(
            round(CLOSE * spec.sample_rate), round(_STEP * spec.sample_rate), spec.sample_rate
        )
        self._of_around: list[tuple[Float64, Float32]] = []
        self._of_close: list[tuple[Float64, Float32]] = []

    def push(self, block: Float32) -> None:
        """Take the next samples, (n,), mono, at the encoder's rate."""
        self._judge(self._around.push(block), self._close.push(block))

    def finish(self, duration: float) -> tuple[Float64, Float32]:
        """Return moments of so many seconds, and how likely each kind is heard at each: (n,), (n, labels)."""
        self._judge(self._around.finish(), self._close.finish())
        (centres, around), (moments, close) = map(_joined, (self._of_around, self._of_close))
        if not len(centres) or not len(moments):
            return np.empty(0), np.empty((0, len(self._head.labels)), np.float32)
        nearest = np.searchsorted((centres[1:] + centres[:-1]) / 2, moments)
        likely = self._head.of_moments(close, around[nearest])
        return with_silence(moments, likely, step=_STEP, reach=CLOSE / 2, edges=(0.0, duration))

    def _judge(self, around: Windows, close: Windows) -> None:
        for of, windows in ((self._of_around, around), (self._of_close, close)):
            if len(windows.starts):
                padding = self._encoder.spec.window_samples - windows.samples.shape[1]
                samples = np.pad(windows.samples, ((0, 0), (0, padding)))
                vectors = encode_windows(self._encoder, samples)
                of.append(((windows.starts + windows.ends) / 2, self._head.logits(vectors)))
