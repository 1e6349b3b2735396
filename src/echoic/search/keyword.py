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

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.storage.frames import Frames
from echoic.types import Float32

__all__ = ["Spoken", "join", "spot"]

Ints = npt.NDArray[np.int64]

_FLOOR = np.float32(1e-4)  # probability below which all is equally unlikely
_PAUSE = 1.0  # s from one frame with a sound to the next that no phrase goes on after
_PIECE = 256  # frames that are gone through in one piece, side by side with all others
_FRAMES_A_SOUND = 10  # that are kept of one, at most
_NEVER = np.float32(-1e3)


class Spoken(NamedTuple):
    """The frames of many files, one after the other.

    Parameters
    ----------
    chances : ndarray of float32, shape (n, dim)
        Probabilities of the symbols.
    best : ndarray of float32, shape (n,)
        Logarithm of the likeliest symbol's probability.
    begins : ndarray of bool, shape (n,)
        Where a file begins, or speech after a pause.
    n_of_files : ndarray of int64, shape (files,)
        Frames of each file.
    """

    chances: Float32
    best: Float32
    begins: npt.NDArray[np.bool_]
    n_of_files: Ints


def join(files: Sequence[Frames], dim: int) -> Spoken:
    """Put the frames of files one after the other, of an encoder with ``dim`` symbols."""
    symbols = np.concatenate([frames.symbols for frames in files])
    likely = np.square(np.concatenate([frames.levels for frames in files]).astype(np.float32) / 255)
    chances = np.zeros((len(symbols), dim), np.float32)
    rows = np.arange(len(symbols))
    for column in reversed(range(symbols.shape[1])):  # so that what stands for none overwrites nothing
        chances[rows, symbols[:, column]] = likely[:, column]
    pauses = [np.diff(frames.starts, prepend=-np.inf) > _PAUSE for frames in files]
    best = np.log(np.maximum(likely.max(axis=1), _FLOOR))
    n_of_files = np.array([len(frames.starts) for frames in files], np.int64)
    return Spoken(chances, best, np.concatenate(pauses), n_of_files)


def spot(spoken: Spoken, sounds: Float32, least: float = float(_NEVER)) -> tuple[Float32, Ints]:
    """Find, for each frame, the best path through a phrase that ends there.

    Parameters
    ----------
    sounds : ndarray of float32, shape (sounds, dim)
        As of :meth:`echoic.encoders.base.PhraseEncoder.spell`.
    least : float
        Score from which on it matters where a path begins.

    Returns
    -------
    scores : ndarray of float32, shape (n,)
        Logarithm of how much less likely it is than the likeliest symbols, 0 at most; -inf where none ends.
    firsts : ndarray of int64, shape (n,)
        The frame where it begins; the frame itself where the score is less than ``least``.
    """
    # Each file begins a piece, so that what is found in it does not depend on what else is searched.
    n_pieces_of = -(-spoken.n_of_files // _PIECE)
    n_pieces, ends = int(n_pieces_of.sum()), np.cumsum(spoken.n_of_files)
    frames = np.arange(len(spoken.best))
    shift = (np.cumsum(n_pieces_of) - n_pieces_of) * _PIECE - (ends - spoken.n_of_files)
    at = frames + np.repeat(shift, spoken.n_of_files)
    between = np.zeros(sounds.shape[1], np.float32)
    between[-2:] = 1
    likely = np.vstack([sounds, between]) @ spoken.chances.T + _FLOOR
    costs = np.zeros((len(likely), n_pieces * _PIECE), np.float32)
    costs[:, at] = np.minimum(np.log(likely) - spoken.best, 0)
    # Pieces are gone through side by side: (frames of a piece, sounds, pieces).
    laid = np.ascontiguousarray(costs.reshape(len(costs), n_pieces, _PIECE).transpose(2, 0, 1))
    begins = np.ones((n_pieces, _PIECE), np.bool_)
    begins.ravel()[at] = spoken.begins
    scores = _NEVER + np.zeros((n_pieces, _PIECE), np.float32)
    for step, best, _ in _paths(laid, begins.T, np.arange(n_pieces), is_traced=False):
        scores[:, step] = best
    scores[scores < _NEVER / 2] = -np.inf
    firsts = np.arange(n_pieces * _PIECE).reshape(n_pieces, _PIECE)
    # Where paths begin is looked up where some are good, which saves most of the time.
    is_good = np.isfinite(scores) & (scores >= least)
    good = np.flatnonzero(is_good.any(axis=1))
    for step, _, first in _paths(laid, begins.T, good, is_traced=True):
        firsts[good, step] = np.where(is_good[good, step], first, firsts[good, step])
    return scores.ravel()[at], firsts.ravel()[at] - (at - frames)


def _paths(
    laid: Float32, begins: npt.NDArray[np.bool_], pieces: Ints, *, is_traced: bool
) -> Iterator[tuple[int, Float32, Ints]]:
    """Go through pieces; yield of each of their frames the best path that ends there, and its first frame."""
    shape = laid.shape[1] - 1, len(pieces)
    within, after = np.full(shape, _NEVER), np.full(shape, _NEVER)  # in each sound, in the gap behind it
    within_first, after_first = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    # Each from as far before it as a phrase that ends in it may begin.
    for step in range(-_FRAMES_A_SOUND * shape[0] if len(pieces) else _PIECE, _PIECE):
        back, row = divmod(step, _PIECE)
        at = pieces + back
        cost = laid[row].take(at, axis=1, mode="clip")
        anew = begins[row].take(at, mode="clip") | (at < 0)
        if anew.any():
            within[:, anew] = after[:, anew] = _NEVER
        if is_traced:
            here = at * _PIECE + row
            is_gap = after[:-1] > within[:-1]
            came_first = np.vstack([here, np.where(is_gap, after_first[:-1], within_first[:-1])])
            after_first = np.where(within > after, within_first, after_first)
            came = np.vstack([np.zeros(shape[1]), np.maximum(after[:-1], within[:-1])])
            within_first = np.where(within >= came, within_first, came_first)
        came = np.maximum(after[:-1], within[:-1])
        np.maximum(after, within, out=after)
        after += cost[-1]
        np.maximum(within[1:], came, out=within[1:])
        within[0] = 0  # a path may begin anywhere
        within += cost[:-1]
        if step >= 0:
            yield step, within[-1], within_first[-1]
