"""Where a sequence of sounds is said, by what a recogniser took each frame for.

A path through a phrase gives each of its sounds one frame or more, one after the other, with frames between
them in which nothing is said. What it costs is how much less likely it is, frame by frame, than the likeliest
symbols of the same frames, whatever they are: the background model. So a path of what was really said costs
next to nothing, however clear the recording is.

References
----------
Graves et al., "Connectionist temporal classification", ICML 2006. Rohlicek et al., "Continuous hidden Markov
modeling for speaker-independent word spotting", ICASSP 1989.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.storage.frames import Frames
from echoic.types import Float32

__all__ = ["Spoken", "join", "spot"]

Ints = npt.NDArray[np.int64]

_FLOOR = 1e-4  # probability below which all is equally unlikely
_PAUSE = 1.0  # s without a sound that no phrase goes on after
_PIECE = 256  # frames that are gone through in one piece, side by side with all others
_FRAMES_A_SOUND = 12  # that are kept of one, at most
_NEVER = np.float32(-1e3)


class Spoken(NamedTuple):
    """The frames of many files, one after the other.

    Parameters
    ----------
    symbols : ndarray of uint8, shape (N_SYMBOLS, n)
    probabilities : ndarray of float32, shape (N_SYMBOLS, n)
    best : ndarray of float32, shape (n,)
        Logarithm of the likeliest symbol's probability.
    begins : ndarray of bool, shape (n,)
        Where a file begins, or speech after a pause.
    """

    symbols: npt.NDArray[np.uint8]
    probabilities: Float32
    best: Float32
    begins: npt.NDArray[np.bool_]


def join(files: Sequence[Frames]) -> Spoken:
    """Put the frames of files one after the other."""
    symbols = np.concatenate([frames.symbols.T for frames in files], axis=1)
    levels = np.concatenate([frames.levels.T for frames in files], axis=1)
    probabilities = np.square(levels.astype(np.float32) / 255)
    begins = [np.concatenate([[True], frames.starts[1:] - frames.ends[:-1] > _PAUSE]) for frames in files]
    best = np.log(np.maximum(probabilities.max(axis=0), _FLOOR))
    return Spoken(symbols, probabilities, best, np.concatenate(begins))


def spot(spoken: Spoken, sounds: Float32) -> tuple[Float32, Ints]:
    """Find, for each frame, the best path through a phrase that ends there.

    Parameters
    ----------
    sounds : ndarray of float32, shape (sounds, dim)
        As of :meth:`echoic.encoders.base.PhraseEncoder.spell`.

    Returns
    -------
    scores : ndarray of float32, shape (n,)
        Logarithm of how much less likely it is than the likeliest symbols, 0 at most.
    firsts : ndarray of int64, shape (n,)
        The frame where it begins.
    """
    n, n_sounds = len(spoken.best), len(sounds)
    between = np.zeros(sounds.shape[1], np.float32)
    between[-2:] = 1
    costs = np.stack([_costs(spoken, row) for row in (*sounds, between)])
    # Pieces are gone through side by side, each from as far before it as a phrase may begin.
    before = _FRAMES_A_SOUND * n_sounds
    pieces = np.arange(0, n, _PIECE)
    within = np.full((n_sounds, len(pieces)), _NEVER)  # the best path that ends in each sound …
    after = within.copy()  # … and in the gap behind it
    within_first = np.zeros(within.shape, np.int64)
    after_first = within_first.copy()
    scores, firsts = np.full(n, _NEVER), np.zeros(n, np.int64)
    for step in range(-before, _PIECE):
        at = pieces + step
        is_there = (at >= 0) & (at < n)
        at = np.clip(at, 0, n - 1)
        anew = spoken.begins[at] | ~is_there
        within[:, anew] = after[:, anew] = _NEVER
        cost = costs[:, at]
        came, came_first = np.zeros_like(within), np.empty_like(within_first)
        came_first[0] = at
        is_gap = after[:-1] > within[:-1]
        came[1:] = np.where(is_gap, after[:-1], within[:-1])
        came_first[1:] = np.where(is_gap, after_first[:-1], within_first[:-1])
        ends = within > after
        after_first = np.where(ends, within_first, after_first)
        after = np.where(ends, within, after) + cost[-1]
        stays = within >= came
        within_first = np.where(stays, within_first, came_first)
        within = np.where(stays, within, came) + cost[:-1]
        if step >= 0:
            scores[at[is_there]], firsts[at[is_there]] = within[-1, is_there], within_first[-1, is_there]
    return scores, firsts


def _costs(spoken: Spoken, weights: Float32) -> Float32:
    """Say how much less likely a sound is than the likeliest symbol, for each frame."""
    likely = np.full(len(spoken.best), _FLOOR, np.float32)
    for symbols, probabilities in zip(spoken.symbols, spoken.probabilities, strict=True):
        likely += weights[symbols] * probabilities
    costs: Float32 = np.minimum(np.log(likely) - spoken.best, 0)
    return costs
