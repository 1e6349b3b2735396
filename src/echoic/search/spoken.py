"""Finding where a phrase is said that is spoken as an example, by anybody.

Frames say what is said then, whoever says it (:class:`~echoic.encoders.base.SpokenEncoder`). The phrase is
laid against all frames of a file, along paths that go on by one frame in both, or by two in one of them. How
alike the frames are along the best path is judged by what the same phrase finds in speech in which it is not
said, which ships with the encoder: so one threshold serves all phrases, and what is found in a file depends
on no other.

References
----------
Park and Glass, "Unsupervised pattern discovery in speech", IEEE TASLP 16(1), 2008. Hazen, Shen and White,
"Query-by-example spoken term detection using phonetic posteriorgram templates", ASRU 2009.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from echoic.storage.frames import SpokenFrames
from echoic.types import Float32
from echoic.untrusted import read_arrays

__all__ = ["Background", "Heard", "Phrase", "Place", "best_paths", "heard_in", "probability"]

Ints = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

_HIGHEST = np.float32(127)
_PAUSE = 8  # frames that a pause counts for at most
_AT_ONCE = 50_000  # frames that a phrase is laid against at once

# Of a logistic regression over spoken words and phrases in read books: the logarithm of the odds that what is
# found is the phrase.
_OFFSET, _OF_MARGIN, _OF_SCORE, _OF_FRAMES, _ENOUGH = -9.2, 1.16, 6.6, 0.03, 20


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What is said in a file, with pauses cut short.

    Parameters
    ----------
    numbers : ndarray of float32, shape (n, dim - 1)
        What is said in each frame, times how much that counts; zeros where nothing is said.
    counts : ndarray of float32, shape (n,)
        How much.
    places : ndarray of int64, shape (frames,)
        Which of them are frames of the file; the others are pauses.
    starts, ends : ndarray of float64, shape (frames,)
        Of those, in seconds.
    """

    numbers: Float32
    counts: Float32
    places: Ints
    starts: Float64
    ends: Float64

    def span(self, first: int, last: int) -> tuple[float, float]:
        """Give the begin and end, in seconds, of what lies between two rows."""
        begin = min(int(np.searchsorted(self.places, first)), len(self.places) - 1)
        end = max(int(np.searchsorted(self.places, last, side="right")) - 1, begin)
        return float(self.starts[begin]), float(self.ends[end])


def heard_in(frames: SpokenFrames, frame_rate: float) -> Heard:
    """Lay the frames of a file on a grid of equal steps."""
    steps = np.rint(np.diff(frames.starts) * frame_rate).astype(np.int64)
    places = np.cumsum(np.clip(steps, 1, _PAUSE, out=steps), dtype=np.int64)
    places = np.concatenate([[0], places])[: len(frames.starts)]
    numbers = np.zeros((int(places[-1]) + 1 if len(places) else 0, frames.numbers.shape[1] - 1), np.float32)
    numbers[places] = frames.numbers[:, :-1]
    numbers /= _HIGHEST
    return Heard(numbers, np.linalg.norm(numbers, axis=1), places, frames.starts, frames.ends)


class Place(NamedTuple):
    """Where something like a phrase is said: the first and last row of what is heard, and how alike it is."""

    first: int
    last: int
    score: float


class Phrase:
    """A phrase, as it is spoken in an example.

    Parameters
    ----------
    heard : Heard
        What is said in the example, and nothing else.
    """

    def __init__(self, heard: Heard) -> None:
        self.counts = heard.counts / max(float(heard.counts.sum()), 1e-6)
        self.each = heard.numbers / np.maximum(heard.counts, 1e-6)[:, None]

    def __len__(self) -> int:
        return len(self.counts)

    def places(self, heard: Heard, least: float = -np.inf) -> list[Place]:
        """Find where something like the phrase is said: places that do not overlap, the best first."""
        if not len(heard.counts):
            return []
        scores, firsts = self._paths(heard)
        # A path ends at each frame; of those around the best end of a place, that one counts.
        reach = max(1, len(self) // 2)
        around = np.pad(scores, reach, constant_values=-np.inf)
        highest = sliding_window_view(around, 2 * reach + 1).max(axis=1)
        ends = np.flatnonzero((scores == highest) & (scores >= least) & np.isfinite(scores))
        is_taken = np.zeros(len(scores), np.bool_)
        chosen = []
        for end in ends[np.argsort(-scores[ends], kind="stable")].tolist():
            here = is_taken[firsts[end] : end + 1]
            if not here.any():
                here[:] = True
                chosen.append(Place(int(firsts[end]), end, float(scores[end])))
        return chosen

    def _paths(self, heard: Heard) -> tuple[Float32, Ints]:
        """Lay the phrase against all that is heard: the best path to each row, and its first row."""
        n, longest = len(heard.counts), 2 * len(self)
        scores, firsts = np.empty(n, np.float32), np.empty(n, np.int64)
        for at in range(0, n, _AT_ONCE):
            begin = max(0, at - longest)
            here = slice(begin, at + _AT_ONCE)
            alike = self.each @ heard.numbers[here].T / np.maximum(heard.counts[here], 1e-6)
            found = best_paths(alike * self.counts[:, None])
            scores[at : at + _AT_ONCE] = found[0][at - begin :]
            firsts[at : at + _AT_ONCE] = found[1][at - begin :] + begin
        return scores, firsts


def best_paths(alike: Float32) -> tuple[Float32, Ints]:
    """Find, for each column, the path through all rows that ends there and adds up to most.

    A path goes on by one row and one column, or by two of one of them; of two rows in one column, both count.

    Parameters
    ----------
    alike : ndarray of float32, shape (rows, columns)

    Returns
    -------
    scores : ndarray of float32, shape (columns,)
        -inf where no path ends.
    firsts : ndarray of int64, shape (columns,)
        The columns where they begin.

    Examples
    --------
    >>> best_paths(np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], np.float32))
    (array([-inf,   1.,   1.,   3.], dtype=float32), array([0, 0, 0, 0]))
    """
    here = np.arange(alike.shape[1])
    total, begun = alike[0], here
    before: tuple[Float32, Ints] | None = None  # of the row before the last
    for row in range(1, len(alike)):
        options = [(_moved(total, by, -np.inf), _moved(begun, by, 0)) for by in (1, 2)]
        if before is None:  # the first two rows may be one column
            options.append((alike[0], here))
        else:
            options.append((_moved(before[0], 1, -np.inf) + alike[row - 1], _moved(before[1], 1, 0)))
        best, since = options[0]
        for other, since_other in options[1:]:
            is_better = other > best
            best, since = np.where(is_better, other, best), np.where(is_better, since_other, since)
        before = total, begun
        total, begun = best + alike[row], since
    return total, begun


def _moved(array: npt.NDArray[Any], by: int, fill: float) -> npt.NDArray[Any]:
    """Move all columns to the right."""
    moved = np.full_like(array, fill)
    moved[by:] = array[:-by]
    return moved


class Background:
    """Speech that a phrase is compared with, in which it is hardly said.

    Parameters
    ----------
    content : bytes
        Of an ``.npz`` archive: ``numbers``, int8, (n, dim), the frames of many people, ``pieces``, int64,
        where each piece of speech begins, and ``starts``, float64, (n,), seconds.
    """

    def __init__(self, content: bytes, frame_rate: float) -> None:
        found = read_arrays(content)
        numbers, starts, pieces = found["numbers"], found["starts"], found["pieces"]
        bounds = [*pieces.tolist(), len(numbers)]
        self._pieces = [
            heard_in(SpokenFrames(starts[a:b], starts[a:b] + 1 / frame_rate, numbers[a:b]), frame_rate)
            for a, b in pairwise(bounds)
        ]

    def level(self, phrase: Phrase) -> tuple[float, float]:
        """Say how alike what is not the phrase comes: mean and deviation of the best of each piece."""
        # In a piece with little speech a long phrase finds nothing at all.
        best = [places[0].score for piece in self._pieces if (places := phrase.places(piece))] or [0.0]
        return float(np.mean(best)), max(float(np.std(best)), 0.01)


def probability(score: float, level: tuple[float, float], n_frames: int) -> float:
    """Turn how alike something is into how sure it is that it is a phrase of so many frames."""
    margin = (score - level[0]) / level[1]
    odds = _OFFSET + _OF_MARGIN * margin + _OF_SCORE * score + _OF_FRAMES * min(n_frames, _ENOUGH)
    return float(1 / (1 + np.exp(-odds)))
