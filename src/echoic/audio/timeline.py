"""From decoded frames to one sound: blocks at one sample rate, whose places are true to time.

Where time stamps jump forward, by damage or by design, silence takes the place of what is missing. A
recording that follows another in the same file or stream starts where that one ends, whatever its own clock
says, and is brought to the same rate.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import soxr

from echoic.audio.frames import Frames, Piece
from echoic.types import Float32

__all__ = ["LEAST_RATE", "Resampler", "Timeline", "finite"]

LEAST_RATE = 16_000  # Hz, of what may change its rate on the way: the rate at which encoders listen
_BLOCK_SAMPLES = 1 << 17
_LOUDEST = 1e10  # full scale is 1; damaged float samples beyond this would overflow in a spectrum
_GAP = 0.1  # seconds that time stamps may jump ahead by rounding and still mean the next sample
_GAP_AFTER_ERROR = 0.001
_MAX_SILENCE = 60.0  # seconds of silence put into gaps, beyond as much as was decoded


class Resampler:
    """Convert audio from one sample rate to another, block by block (soxr, HQ).

    Parameters
    ----------
    rate_in, rate_out : float
        Hz. Equal rates pass samples through as they are.
    channels : int
        Blocks have the shape (n,) for 1, else (n, channels).

    Examples
    --------
    >>> import numpy as np
    >>> resampler = Resampler(44_100, 16_000)
    >>> blocks = [resampler.push(np.zeros(44_100, np.float32)), resampler.finish()]
    >>> sum(map(len, blocks))
    16000
    """

    def __init__(self, rate_in: float, rate_out: float, channels: int = 1) -> None:
        self._stream = (
            None if rate_in == rate_out else soxr.ResampleStream(rate_in, rate_out, channels, "float32", "HQ")
        )
        self._nothing = np.empty(0 if channels == 1 else (0, channels), np.float32)

    def push(self, block: Float32) -> Float32:
        """Take samples; return those that are ready, which may be none."""
        if self._stream is None:
            return block
        out: Float32 = self._stream.resample_chunk(block)
        return out

    def finish(self) -> Float32:
        """Return the rest. Nothing may be pushed afterwards."""
        if self._stream is None:
            return self._nothing
        out: Float32 = self._stream.resample_chunk(self._nothing, last=True)
        return out


def finite(block: Float32) -> tuple[Float32, int]:
    """Put zeros in the place of samples that are not finite, or absurd, and count them."""
    if not len(block) or (block.max() <= _LOUDEST and block.min() >= -_LOUDEST):  # false where one is NaN
        return block, 0
    bad = ~(np.abs(block) <= _LOUDEST)
    return np.where(bad, np.float32(0), block), int(bad.sum())


class Timeline:
    """One sound, made of the pieces of one recording after another.

    Parameters
    ----------
    sample_rate : int
        Hz, of the blocks.
    channels : int
        Of the blocks, which have the shape (n,) for 1, else (n, channels).
    at : int
        Where in the whole the first block begins, in samples.
    block : int
        Samples that a block has, about.
    longest_gap : float
        Seconds of silence that a single jump of time stamps may stand for.

    Attributes
    ----------
    at : int
        Where in the whole the next block begins, in samples.
    n_not_finite : int
        Samples that became 0.
    lost_inside : float
        Seconds of silence that took the place of what could not be decoded.
    """

    def __init__(
        self,
        sample_rate: int,
        channels: int = 1,
        *,
        at: int = 0,
        block: int = _BLOCK_SAMPLES,
        longest_gap: float = math.inf,
    ) -> None:
        self.sample_rate = sample_rate
        self.channels = channels
        self.at = at
        self.n_not_finite = 0
        self.lost_inside = 0.0
        self._block = block
        self._longest_gap = longest_gap
        self._decoded = self._silent = 0.0
        self._pending: list[Float32] = []
        self._n_pending = 0

    @property
    def end(self) -> int:
        """Where what has been taken so far ends, in samples: not all of it may be in blocks yet."""
        return self.at + self._n_pending

    def take(self, frames: Frames, expected: float | None, *, end: int | None = None) -> Iterator[Float32]:
        """Yield the blocks that a recording completes.

        Parameters
        ----------
        expected : float or None
            The time stamp at which it should begin.
        end : int, optional
            Where it ends by its container, in samples. Padding behind that is cut off.
        """
        for part in self._parts(frames, expected):
            # Not before more comes: of the last, padding may have to be cut off.
            if len(part) and self._n_pending >= self._block:
                yield self._gathered()
            self._push(part)
        excess = 0 if end is None else self.end - end
        padded = round(frames.last * self.sample_rate)  # no more than the last frame can be padding
        if self._pending and 0 < excess < min(padded, len(self._pending[-1])):
            self._pending[-1] = self._pending[-1][:-excess]
            self._n_pending -= excess

    def fill(self, end: int) -> Iterator[Float32]:
        """Yield the blocks that are completed by silence up to a place, in samples, if it is not too far."""
        seconds = (end - self.end) / self.sample_rate
        if seconds > 0 and self._may_be_silent(seconds):
            self.lost_inside += seconds
            for part in self._silence(end - self.end):
                self._push(part)
                if self._n_pending >= self._block:
                    yield self._gathered()

    def finish(self) -> Iterator[Float32]:
        """Yield what is left."""
        if self._n_pending:
            yield self._gathered()

    def _push(self, part: Float32) -> None:
        if len(part):
            self._pending.append(part)
            self._n_pending += len(part)

    def _gathered(self) -> Float32:
        block, n_bad = finite(np.concatenate(self._pending))
        self.at += self._n_pending
        self._pending, self._n_pending = [], 0
        self.n_not_finite += n_bad
        return block

    def _parts(self, frames: Frames, expected: float | None) -> Iterator[Float32]:
        """Yield the pieces at one sample rate, and silence where time stamps leave a gap."""
        rate = frames.first.sample_rate
        converter = Resampler(rate, self.sample_rate, self.channels)
        # These state where each packet begins, so that a gap is a loss.
        is_exact = frames.container.format.name in ("ogg", "flac")
        n_errors = 0
        n_channels = frames.first.channels
        for piece in frames.pieces():
            # Where one mp3 follows another, a frame or two cannot be decoded: nothing of either is lost.
            is_joint = (piece.sample_rate, piece.channels) != (rate, n_channels)
            n_channels = piece.channels
            if piece.time is not None and expected is not None:
                gap = piece.time - expected
                after_error = frames.n_errors > n_errors
                if gap > (_GAP_AFTER_ERROR if after_error else _GAP) and self._may_be_silent(gap):
                    if (after_error or is_exact) and not is_joint:
                        self.lost_inside += gap
                    yield from self._silence(round(gap * self.sample_rate))
            n_errors = frames.n_errors
            if piece.sample_rate != rate:
                yield converter.finish()
                rate = piece.sample_rate
                converter = Resampler(rate, self.sample_rate, self.channels)
            yield converter.push(self._fitted(piece))
            length = len(piece.samples) / rate
            self._decoded += length
            if piece.time is not None:
                expected = piece.time + length
            elif expected is not None:
                expected += length
        yield converter.finish()

    def _may_be_silent(self, seconds: float) -> bool:
        if seconds > self._longest_gap or self._silent + seconds > self._decoded + _MAX_SILENCE:
            return False
        self._silent += seconds
        return True

    def _silence(self, n: int) -> Iterator[Float32]:
        shape = () if self.channels == 1 else (self.channels,)
        for at in range(0, n, _BLOCK_SAMPLES):
            yield np.zeros((min(_BLOCK_SAMPLES, n - at), *shape), np.float32)

    def _fitted(self, piece: Piece) -> Float32:
        """Give samples the channels of the whole, where those of the file change."""
        samples = piece.samples
        if self.channels == 1:
            return samples if samples.ndim == 1 else samples.mean(axis=1)
        if samples.ndim == 2 and samples.shape[1] == self.channels:
            return samples
        mono = samples if samples.ndim == 1 else samples.mean(axis=1)
        return np.repeat(mono[:, None], self.channels, axis=1)
