"""How loud sound is, and from where on it is heard at all.

Levels are those of frames of 25 ms, as RMS with full scale at 1, and of what can be heard: the offset that a
recorder adds ("DC"), and its drift, are taken off each frame first. Nothing is taken off what is encoded.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from echoic.types import Float32

__all__ = ["SILENCE", "Loudest", "frame_powers", "frame_samples"]

#: Mean square below which a frame is silent: −80 dBFS. Dithered 16-bit silence lies 10 dB below.
SILENCE = 10 ** (-80 / 10)

_FRAME = 0.025  # s
_ROUNDING = 1.01  # a sum of squares in float32 is off by far less


def frame_samples(sample_rate: int) -> int:
    """Return the length of a frame in samples."""
    return max(1, round(_FRAME * sample_rate))


def frame_powers(samples: Float32, frame: int, nominal: int | None = None) -> npt.NDArray[np.float64]:
    """Return the mean square of each frame, after a straight line was taken off it.

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
    n = len(samples)
    whole = n - n % frame
    powers = _above_line(samples[:whole].reshape(-1, frame)) / frame
    if whole == n:
        return powers
    counted = min(frame, (n if nominal is None else nominal) - whole)
    return np.append(powers, _above_line(samples[None, whole:]) / counted)


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


class Loudest:
    """The level of the loudest frame of a sound that comes in blocks.

    Parameters
    ----------
    sample_rate : int
        Hz.

    Attributes
    ----------
    power : float
        Mean square; frames do not reach from one block into the next.
    """

    def __init__(self, sample_rate: int) -> None:
        self._frame = frame_samples(sample_rate)
        self.power = 0.0

    def push(self, block: Float32) -> None:
        """Take the next samples, shape (n,)."""
        whole = len(block) - len(block) % self._frame
        frames, rest = block[:whole].reshape(-1, self._frame), block[whole:]
        # Without their lines frames are no louder than with them: few need a closer look.
        most = np.einsum("ij,ij->i", frames, frames)
        louder = frames[_ROUNDING * most >= self.power * self._frame]
        if _ROUNDING * float(rest @ rest) < self.power * len(rest):
            rest = rest[:0]
        for samples in (louder.ravel(), rest):
            if len(samples):
                self.power = max(self.power, float(frame_powers(samples, self._frame).max()))
