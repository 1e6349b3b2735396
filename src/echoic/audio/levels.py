"""How loud sound is, and from where on it is heard at all.

Levels are those of frames of 25 ms, as RMS with full scale at 1, and of what can be heard: the offset that a
recorder adds ("DC"), its drift, whatever swings fewer than 20 times a second, and the hum that lossy codecs
make of an offset are taken off first. Nothing is taken off what is encoded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

from echoic.types import Float32

__all__ = ["SILENCE", "STRETCH", "Loudest", "frame_powers", "frame_samples"]

#: Mean square below which a frame is silent: −80 dBFS. Dithered 16-bit silence lies 10 dB below.
SILENCE = 10 ** (-80 / 10)

#: Frames that are freed together of what is too low to be heard: a swing is not told within one of them.
STRETCH = 6

_FRAME = 0.025  # s
_ROUNDING = 1.01  # a sum of squares in float32 is off by far less
# A polynomial of this degree follows 20 Hz through a stretch to −80 dB, 30 Hz to −30 dB, and 40 Hz hardly.
_DEGREE = 17

# AAC and Vorbis make of an offset a hum at the rate of their blocks, 43 Hz for one, and its first multiples.
# At any bit rate, sample rate and offset it lies 16 dB below the offset or more; in a frame 52 dB without
# what a polynomial of degree 11 follows, up to 80 Hz, and 64 dB without what one of 21 does, up to 200 Hz.
# What is louder, or has overtones that are, is sound. A smaller offset makes no hum that is heard.
_OFFSET = 10 ** (-40 / 10)  # mean square
_HUM, _HUM_DEGREE = 10 ** (-15 / 10), 11
_ABOVE_HUM = ((11, 10 ** (-50 / 10)), (21, 10 ** (-62 / 10)))


def frame_samples(sample_rate: int) -> int:
    """Return the length of a frame in samples."""
    return max(1, round(_FRAME * sample_rate))


def frame_powers(samples: Float32, frame: int, nominal: int | None = None) -> npt.NDArray[np.float64]:
    """Return the mean square of each frame, without what is too low to be heard.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
    frame : int
        Samples of a frame; the last may have fewer.
    nominal : int, optional
        How many samples there are with the zeros behind, which are not looked at but count in the mean: a
        click is no louder for being all that there is. By default n.

    Returns
    -------
    ndarray of float64, shape (⌈n / frame⌉,)
    """
    counted = min(frame, (len(samples) if nominal is None else nominal) - len(samples) // frame * frame)
    powers = _powers(samples, frame, counted, _above_line)
    if not (powers >= SILENCE).any():
        return powers
    # What is taken off a stretch spreads what sounds in it; a frame is no louder for that.
    return np.minimum(powers, _powers(_audible(samples, frame), frame, counted, _sum_of_squares))


def _powers(
    samples: Float32, frame: int, counted: int, energies: Callable[[Float32], npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """Divide the energies of frames, rows, by their length; the last frame's by ``counted``."""
    whole = len(samples) - len(samples) % frame
    powers = energies(samples[:whole].reshape(-1, frame)) / frame
    return powers if whole == len(samples) else np.append(powers, energies(samples[None, whole:]) / counted)


def _sum_of_squares(frames: Float32) -> npt.NDArray[np.float64]:
    sums: npt.NDArray[np.float64] = np.einsum("ij,ij->i", frames, frames).astype(np.float64)
    return sums


def _above_line(frames: Float32) -> npt.NDArray[np.float64]:
    """Sum the squares of what is left of each row without its mean and slope."""
    # In float64: what is left may be a billionth of the offset.
    left = frames - frames.mean(axis=1, dtype=np.float64, keepdims=True)
    n = frames.shape[1]
    slopes = left @ (np.arange(n) - (n - 1) / 2)
    of_line = n * (n**2 - 1) / 12 or 1.0  # the sum of its squares, at a slope of 1
    squares: npt.NDArray[np.float64] = np.einsum("ij,ij->i", left, left)
    above: npt.NDArray[np.float64] = np.maximum(0, squares - np.square(slopes) / of_line)
    return above


def _audible(samples: Float32, frame: int) -> Float32:
    """Take off each stretch the polynomial that comes nearest to it.

    A filter would ring where an offset begins or jumps, for half a second if it is this steep.
    """
    n, stretch = len(samples), frame * STRETCH
    if n < stretch:
        degree = 1 if n <= frame else round(_DEGREE * n / stretch)
        return _above_polynomial(_centred(samples[None]), degree).ravel()
    whole = n - n % stretch
    audible = _of_stretches(samples[:whole], frame)
    if whole == n:
        return audible
    return np.append(audible, _of_stretches(samples[n - stretch :], frame)[whole - n :])


def _of_stretches(samples: Float32, frame: int) -> Float32:
    rows = samples.reshape(-1, frame * STRETCH)
    means: npt.NDArray[np.float64] = rows.mean(axis=1, dtype=np.float64, keepdims=True)
    rows = rows - means.astype(np.float32)
    left = _above_polynomial(rows, _DEGREE)
    offsets = np.square(means[:, 0])
    if offsets.max(initial=0) >= _OFFSET:
        most = _HUM * rows.shape[1] * offsets
        [hums] = np.nonzero((offsets >= _OFFSET) & (_sum_of_squares(left) <= most))
        # 20 Hz is taken off here, and nothing above.
        hums = hums[_sum_of_squares(_above_polynomial(rows[hums], _HUM_DEGREE)) <= most[hums]]
        for degree, most_above in _ABOVE_HUM:
            frames = _above_polynomial(_centred(left[hums].reshape(-1, frame)), degree)
            loudest = _sum_of_squares(frames).reshape(-1, STRETCH).max(axis=1) / frame
            hums = hums[loudest <= most_above * offsets[hums]]
        left[hums] = 0
    return left.ravel()


def _centred(rows: Float32) -> Float32:
    """Take their mean off rows: what is left may be a millionth of it."""
    centred: Float32 = rows - rows.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    return centred


def _above_polynomial(centred: Float32, degree: int) -> Float32:
    basis = _basis(centred.shape[1], degree)
    above = centred.copy()
    above -= (centred @ basis) @ basis.T
    return above


@lru_cache(maxsize=16)
def _basis(n: int, degree: int) -> Float32:
    """Return polynomials without a mean, at right angles to each other, as columns."""
    polynomials = legendre.legvander(np.linspace(-1, 1, n), min(degree, n - 1))
    basis: Float32 = np.linalg.qr(polynomials)[0][:, 1:].astype(np.float32)
    return basis


class Loudest:
    """The level of the loudest frame of a sound that comes in blocks.

    Parameters
    ----------
    sample_rate : int
        Hz.

    Attributes
    ----------
    power : float
        Mean square.
    """

    def __init__(self, sample_rate: int) -> None:
        self._frame = frame_samples(sample_rate)
        self._before = np.empty(0, np.float32)  # the last samples, for a block too short to tell what is low
        self.power = 0.0

    def push(self, block: Float32) -> None:
        """Take the next samples, shape (n,)."""
        stretch = self._frame * STRETCH
        if len(block) < stretch:
            block = np.concatenate([self._before, block])[-stretch:]
        self._before = block[-stretch:].copy()
        # No frame is louder than with all that is taken off: most blocks need no closer look.
        whole = len(block) - len(block) % self._frame
        frames, rest = block[:whole].reshape(-1, self._frame), block[whole:]
        if _ROUNDING * _sum_of_squares(frames).max(initial=0) < self.power * self._frame and (
            _ROUNDING * float(rest @ rest) < self.power * len(rest) or not len(rest)
        ):
            return
        self.power = max(self.power, float(frame_powers(block, self._frame).max(initial=0.0)))
