"""Calls, of which each side is on a channel of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from echoic.audio.decode import open_audio
from echoic.types import Float32

__all__ = ["SIDES", "has_sides"]

#: What the channels of a call are called.
SIDES = ("left", "right")

_LONGEST = 600.0  # s that are listened to
_FRAME = 0.05  # s
_FAINT = 1e-4  # of full scale: what is fainter is silence
_MOST_ALIKE, _MOST_TOGETHER = 0.5, 0.3  # correlation of samples, and of levels in dB


def has_sides(path: Path, track: int | None = None) -> bool:
    """Tell whether a file has two channels with sound of their own, that rise and fall apart.

    One room, with however many microphones, gets loud on both at a time; two ends of a line take turns.

    Raises
    ------
    AudioError
        If the file cannot be decoded.
    """
    products = np.zeros((2, 2))
    levels: list[Float32] = []
    with open_audio(path, mono=False, track=track) as stream:
        if stream.channels != len(SIDES):
            return False
        n, seconds = round(_FRAME * stream.sample_rate), 0.0
        for block in stream.blocks():
            moving = block - block.mean(axis=0)
            products += moving.T.astype(np.float64) @ moving
            whole = moving[: len(moving) // n * n].reshape(-1, n, len(SIDES))
            levels.append(np.log(np.sqrt((whole**2).mean(axis=1)) + _FAINT))
            seconds += len(block) / stream.sample_rate
            if seconds > _LONGEST:
                break
    both = np.concatenate(levels) if levels else np.empty((0, len(SIDES)))
    if len(both) < 2 or (both.std(axis=0) < 1e-3).any():  # one of them is silent, or hums
        return False
    alike = abs(products[0, 1]) / np.sqrt(products[0, 0] * products[1, 1])
    together = np.corrcoef(both.T)[0, 1]
    return bool(alike < _MOST_ALIKE and together < _MOST_TOGETHER)
