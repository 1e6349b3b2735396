"""Whether subtitles are of this very cut of a film: their lines must lie where somebody speaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from echoic.heard.stretches import FRAME, Chances
from echoic.types import Cue

__all__ = ["displaced"]

_STEP = 0.25  # s
_LINES = 12  # that are looked at together
_FARTHEST = 90.0  # s
_APART = 2.0  # s by which subtitles may be early or late
_LEAST, _BETTER = 0.5, 0.3  # correlation elsewhere, and by how much it is more than here


def displaced(cues: Sequence[Cue], chances: Chances) -> tuple[float, float] | None:
    """Find lines that lie where nobody speaks, and would fit elsewhere.

    Parameters
    ----------
    cues : sequence of Cue
        In order of time.
    chances : ndarray of float32, shape (n,)
        How likely somebody speaks in each frame of the sound.

    Returns
    -------
    (float, float) or None
        From when on, and by how many seconds they should be later; None where nothing fits better.
    """
    n = int(len(chances) * FRAME / _STEP)
    times = np.minimum(((np.arange(n) + 0.5) * _STEP / FRAME).astype(int), len(chances) - 1)
    voice = chances[times].astype(np.float64)
    farthest = round(_FARTHEST / _STEP)
    for at in range(0, len(cues) - _LINES + 1, _LINES // 2):
        some = cues[at : at + _LINES]
        first, past = int(some[0].start / _STEP), int(some[-1].end / _STEP) + 1
        lines = np.zeros(past - first)
        for cue in some:
            lines[int(cue.start / _STEP) - first : int(cue.end / _STEP) - first + 1] = 1
        around = np.pad(voice, (farthest, farthest + max(0, past - n)))[first : past + 2 * farthest]
        fits = _correlations(lines, around)
        best = int(fits.argmax())
        shift = (best - farthest) * _STEP
        if abs(shift) > _APART and fits[best] >= _LEAST and fits[best] - fits[farthest] >= _BETTER:
            return some[0].start, shift
    return None


def _correlations(lines: npt.NDArray[np.float64], around: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Correlate lines with the voice at each place of a longer stretch."""
    n = len(lines)
    moving = lines - lines.mean()
    sums, squares = (np.cumsum(np.concatenate([[0.0], around**power])) for power in (1, 2))
    mean = (sums[n:] - sums[:-n]) / n
    spread = np.sqrt(np.maximum((squares[n:] - squares[:-n]) / n - mean**2, 1e-9))
    norm = n * spread * max(moving.std(), 1e-9)
    fits: npt.NDArray[np.float64] = np.correlate(around, moving, "valid") / norm
    return fits
