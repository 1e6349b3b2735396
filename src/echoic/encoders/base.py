"""What an encoder is.

An encoder never sees a file: it is handed the features of fixed windows of mono audio, as its front end makes
them, and gives back unit vectors. How windows are cut is the business of :mod:`echoic.audio.windows`, so that
every encoder handles clips shorter and longer than its window in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from echoic.audio.front_end import FrontEnd
from echoic.errors import EncoderError
from echoic.spec import EncoderSpec
from echoic.types import Float32, Segments

__all__ = [
    "Encoder",
    "PhraseEncoder",
    "Picture",
    "PictureEncoder",
    "RecordingEncoder",
    "SpokenEncoder",
    "TextEncoder",
    "check_vectors",
    "encode_windows",
    "mean_vector",
    "no_vectors",
    "normalize",
    "segments_of",
]


Float64 = npt.NDArray[np.float64]
#: A picture, (height, width, 3), of red, green and blue, 0 … 255.
Picture = npt.NDArray[np.uint8]

_TINY = 1e-15


@runtime_checkable
class Encoder(Protocol):
    """Turns the features of windows of mono audio into unit vectors.

    Deterministic: the same input gives the same output, alone or in a batch.
    """

    spec: EncoderSpec

    @property
    def front_end(self) -> FrontEnd:
        """What makes of windows what is encoded."""
        ...

    def encode(self, features: Float32) -> Float32:
        """Encode windows.

        Parameters
        ----------
        features : ndarray of float32, shape (n, ...)
            What ``front_end`` makes of windows, (n, spec.window_samples), of mono audio at
            ``spec.sample_rate`` with full scale at ±1.

        Returns
        -------
        ndarray of float32, shape (n, spec.dim), or (n, frames, spec.dim) if ``spec.by`` is "frame"
            Of length 1 each.
        """
        ...


@runtime_checkable
class TextEncoder(Encoder, Protocol):
    """An encoder of sounds and of words into one space; ``"text"`` is among its ``spec.inputs``."""

    def encode_text(self, texts: Sequence[str]) -> Float32:
        """Encode texts → (n, spec.dim), of length 1 each."""
        ...


@runtime_checkable
class PictureEncoder(Encoder, Protocol):
    """An encoder of sounds and of pictures into one space; ``"picture"`` is among its ``spec.inputs``.

    Attributes
    ----------
    n_frames : int
        How many pictures of a film it looks at; they are spread over it.
    """

    n_frames: int

    def encode_pictures(self, pictures: Iterable[Picture]) -> Float32:
        """Encode one picture, or several of a film in order → (1, spec.dim), of length 1."""
        ...


@runtime_checkable
class RecordingEncoder(Encoder, Protocol):
    """An encoder that recordings are identified by; ``"recordings"`` is among its ``spec.purposes``."""

    def read_decision(self) -> bytes:
        """Return what turns agreement into a probability, a :class:`~echoic.recordings.decision.Decision`.

        Raises
        ------
        EncoderError
            If it cannot be read.
        """
        ...


@runtime_checkable
class PhraseEncoder(Encoder, Protocol):
    """An encoder that phrases are found by; ``"phrases"`` is among its ``spec.purposes``.

    Its vectors, by frame, are the square roots of the probabilities that each of ``spec.dim`` symbols is said
    then. The last two stand for what is no sound of speech: the border between two words, and CTC's blank.

    References
    ----------
    Graves et al., "Connectionist temporal classification", ICML 2006.
    """

    def spell(self, phrase: str) -> Float32:
        """Turn words into the sounds that they are made of.

        Returns
        -------
        ndarray of float32, shape (sounds, spec.dim)
            In order, how well each symbol stands for each sound, 0 … 1.

        Raises
        ------
        UsageError
            If there is nothing in them that can be said.
        """
        ...


@runtime_checkable
class SpokenEncoder(Encoder, Protocol):
    """An encoder that spoken phrases are found by; ``"spoken"`` is among its ``spec.purposes``.

    Its vectors, by frame, are what is said then, whoever says it, times how much the frame counts, 0 … 1; the
    last of the ``spec.dim`` numbers makes their length 1: where nothing is said, it is 1 itself.
    """

    def read_background(self) -> bytes:
        """Return speech that a phrase is compared with, a :class:`~echoic.search.spoken.Background`.

        Raises
        ------
        EncoderError
            If it cannot be read.
        """
        ...


def encode_windows(encoder: Encoder, windows: Float32) -> Float32:
    """Encode windows of mono audio, shape (n, spec.window_samples), by way of the encoder's front end.

    Returns
    -------
    ndarray of float32
        As of :meth:`Encoder.encode`, of which it is made sure.

    Raises
    ------
    EncoderError
        If the encoder breaks its contract.
    """
    vectors = encoder.encode(encoder.front_end(windows)) if len(windows) else no_vectors(encoder.spec)
    return check_vectors(encoder.spec, len(windows), vectors)


def no_vectors(spec: EncoderSpec) -> Float32:
    """Return what an encoder makes of no windows."""
    return np.empty((0, 0, spec.dim) if spec.by == "frame" else (0, spec.dim), np.float32)


def segments_of(spec: EncoderSpec, starts: Float64, ends: Float64, vectors: Float32) -> Segments:
    """Put what an encoder gave for windows together with its spans.

    A window is a segment, or each of its frames is one, as far as the window's sound goes. Where windows
    overlap, each has the frames of its half, which are those of which it knows what lies around them.

    Parameters
    ----------
    starts, ends : ndarray of float64, shape (n,)
        Of the windows, in seconds.
    vectors : ndarray of float32
        As of :meth:`Encoder.encode`.

    Examples
    --------
    >>> spec = EncoderSpec("framed", "1", 8_000, 1.0, 0.5, 2, by="frame", frame_rate=4.0)
    >>> vectors = np.full((2, 4, 2), 0.5**0.5, np.float32)
    >>> segments_of(spec, np.array([0.0, 0.5]), np.array([1.0, 1.4]), vectors).starts
    array([0.  , 0.25, 0.5 , 0.75, 1.  , 1.25])
    """
    if spec.frame_rate is None:
        return Segments(starts, ends, vectors)
    if not len(starts):
        return Segments.none(spec.dim)
    step = 1 / spec.frame_rate
    begin = starts[:, None] + step * np.arange(vectors.shape[1])
    ends = np.minimum(ends, begin[:, -1] + step)
    seams = np.maximum((starts[1:] + ends[:-1]) / 2, starts[1:])
    told = np.concatenate([[-np.inf], seams])[:, None]
    until = np.minimum(ends, np.concatenate([seams, [np.inf]]))[:, None]
    # A frame counts where most of it lies in a window's own part; at the end of all, if it begins there.
    own = begin + step / 2
    counts = (own >= told) & (own < until) & (begin < ends[:, None])
    counts[-1:] |= (own[-1:] >= told[-1:]) & (begin[-1:] < ends[-1:, None])
    finish = np.minimum(begin + step, ends[:, None])
    return Segments(begin[counts], finish[counts], vectors[counts])


def normalize(vectors: Float32) -> Float32:
    """Scale each row to length 1; a row of zeros becomes the first unit vector, never NaN."""
    peaks = np.abs(vectors).max(axis=1, keepdims=True, initial=0)
    # Squares of what is smaller are not exact in float32.
    vectors = np.where((peaks > 0) & (peaks < _TINY), vectors / np.where(peaks > 0, peaks, 1), vectors)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    safe = vectors / np.where(norms > 0, norms, 1)
    safe[norms[:, 0] == 0, 0] = 1
    return safe.astype(np.float32, copy=False)


def mean_vector(vectors: Float32) -> Float32:
    """Average the vectors of a file, shape (n, dim), into one of unit length, shape (dim,).

    Of none it is the first unit vector, as that of zeros is.
    """
    average = vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1], np.float32)
    mean: Float32 = normalize(average[None])[0]
    return mean


def check_vectors(spec: EncoderSpec, n: int, vectors: Float32) -> Float32:
    """Hold an encoder to its contract before its vectors go anywhere.

    Raises
    ------
    EncoderError
        If the shape is not ``(n, spec.dim)``, or by frame ``(n, frames, spec.dim)``, or a value is NaN or
        infinite.
    """
    frames = vectors.shape[1:2] if spec.by == "frame" else ()
    if vectors.shape != (n, *frames, spec.dim):
        due = (n, "frames", spec.dim) if spec.by == "frame" else (n, spec.dim)
        raise EncoderError(
            f"encoder {spec.name} gave vectors of shape {vectors.shape} where "
            f"({', '.join(map(str, due))}) was due; its specification and its model disagree"
        )
    if not np.isfinite(vectors).all():
        raise EncoderError(f"encoder {spec.name} gave a vector that is not finite; its weights are damaged")
    return vectors
