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

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from echoic.machine import ahead
from echoic.storage.frames import Frames
from echoic.types import Float32

__all__ = ["FRAMES_A_SOUND", "PIECE", "Outline", "Spoken", "join", "looked_over", "outline", "spot"]

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Costs = npt.NDArray[np.uint16]

_FLOOR = np.float32(1e-4)  # probability below which all is equally unlikely
_PAUSE = 1.0  # s from one frame with a sound to the next that no phrase goes on after
#: Frames that are gone through in one piece, side by side with all others.
PIECE = 256
#: Frames that are kept of a sound, at most.
FRAMES_A_SOUND = 10
_NEVER = np.float32(-1e3)

# Of an outline: what a step of its costs is (255 are the floor), frames that are gone through at once,
# how long a sound and a gap may be, and what is allowed for that, for rounding, and for kin that add up.
_STEP = float(-np.log(_FLOOR)) / 255
_AT_ONCE = 16_384
_DOUBLINGS = 3  # eight frames
_SLACK, _SLACK_OF_SOUND = 1.0, 0.1
_BARRED = 12_000  # steps


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


class Outline(NamedTuple):
    """The frames of a file, by what each symbol costs in each of them.

    Parameters
    ----------
    costs : ndarray of uint8, shape (dim, n)
        How much less likely than the likeliest symbol, in logarithms.
    """

    costs: Bytes

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.costs.nbytes


def outline(frames: Frames, dim: int) -> Outline:
    """Say what each symbol costs in the frames of a file."""
    # Levels are roots of probabilities, so the logarithm of their ratio counts twice.
    logarithms = 2 * np.log(np.maximum(np.arange(256) / 255, 1e-6))
    floor = np.log(np.exp(logarithms) + float(_FLOOR)).astype(np.float32)[frames.levels]
    best = np.maximum(logarithms[frames.levels.max(axis=1, initial=0)], np.log(_FLOOR)).astype(np.float32)
    steps = np.clip((best[:, None] - floor) / np.float32(_STEP), 0, 255).astype(np.uint8)
    costs = np.empty((dim, len(steps)), np.uint8)
    costs[:] = np.clip((best - np.log(_FLOOR)) / np.float32(_STEP), 0, 255).astype(np.uint8)
    rows = np.arange(len(steps))
    for column in reversed(range(steps.shape[1])):  # so that what stands for none overwrites nothing
        costs[frames.symbols[:, column], rows] = steps[:, column]
    return Outline(costs)


def looked_over(
    outlines: Iterable[tuple[int, Outline]], sounds: Float32, least: float
) -> Iterator[tuple[int, Ints]]:
    """Look for frames at which a path of at least so much may end, in files, each with a number.

    It is looked for with sounds and gaps of up to eight frames, in whole numbers, and with some
    allowance: whether there is such a path, and where it begins, :func:`spot` says.

    Parameters
    ----------
    sounds : ndarray of float32, shape (sounds, dim)
        As of :meth:`echoic.encoders.base.PhraseEncoder.spell`.
    least : float

    Yields
    ------
    number : int
    ends : ndarray of int64
        Frames of the file, one or more, in order.
    """
    kin = [
        [(int(symbol), min(int(-np.log(row[symbol]) / _STEP), 255)) for symbol in np.flatnonzero(row > 0)]
        for row in sounds
    ]
    most = (_SLACK + _SLACK_OF_SOUND * len(sounds) - least) / _STEP
    overlap = FRAMES_A_SOUND * len(sounds)
    if not most < _BARRED / 2:  # as if all were asked for
        yield from ((number, np.arange(one.costs.shape[1])) for number, one in outlines if one.costs.size)
        return
    so_far: list[Ints] = []  # of a file that goes on

    def cheap(some: list[_Piece]) -> Ints:
        laid = some[0].costs if len(some) == 1 else np.concatenate([one.costs for one in some], axis=1)
        return np.flatnonzero(_least_costs(laid, kin, most) <= most)

    for some, ends in ahead(cheap, _pieces(outlines, overlap)):
        at = 0
        for number, costs, begin, first, is_last in some:
            here = ends[
                np.searchsorted(ends, at + first - begin) : np.searchsorted(ends, at + costs.shape[1])
            ]
            so_far.append(here - at + begin)
            at += costs.shape[1]
            if is_last:
                found, so_far = np.concatenate(so_far), []
                if len(found):
                    yield number, found


class _Piece(NamedTuple):
    """What frames of a file cost, from ``begin`` on; they count from ``first`` on."""

    number: int
    costs: Bytes
    begin: int
    first: int
    is_last: bool


def _pieces(outlines: Iterable[tuple[int, Outline]], overlap: int) -> Iterator[list[_Piece]]:
    """Cut files into pieces, as many at a time as are gone through at once."""
    some: list[_Piece] = []
    n = 0
    for number, (costs,) in outlines:
        for first in range(0, costs.shape[1], _AT_ONCE):
            begin, last = max(0, first - overlap), min(first + _AT_ONCE, costs.shape[1])
            some.append(_Piece(number, costs[:, begin:last], begin, first, last == costs.shape[1]))
            n += last - begin
            if n >= _AT_ONCE:
                yield some
                some, n = [], 0
    if some:
        yield some


def _least_costs(costs: Bytes, kin: Sequence[Sequence[tuple[int, int]]], most: float) -> Costs:
    """Say what the best path that ends at each frame costs, in steps, or something above ``most``."""
    n = costs.shape[1]
    gaps = [np.minimum(costs[-1], costs[-2]).astype(np.uint16)]
    for doubling in range(_DOUBLINGS - 1):
        gaps.append(gaps[-1] + _later(gaps[-1], 1 << doubling))
    came = np.zeros(n, np.uint16)  # of the sounds before, up to the frame before
    total = came
    for alike in kin:
        cost = costs[alike[0][0]] if alike[0][1] == 0 else _dearer(costs[alike[0][0]], alike[0][1])
        for symbol, more in alike[1:]:
            cost = np.minimum(cost, _dearer(costs[symbol], more) if more else costs[symbol])
        once = cost.astype(np.uint16)
        total = once + came
        for doubling in range(_DOUBLINGS):
            total = np.minimum(total, once + _later(total, 1 << doubling))
            if doubling < _DOUBLINGS - 1:
                once = once + _later(once, 1 << doubling)
        if int(total.min(initial=_BARRED)) > most:
            return np.full(n, _BARRED, np.uint16)
        after = total
        for doubling, gap in enumerate(gaps):
            after = np.minimum(after, gap + _later(after, 1 << doubling))
        came = _later(after, 1)
    return total


def _later(array: Costs, by: int) -> Costs:
    moved = np.empty_like(array)
    moved[:by] = _BARRED
    moved[by:] = array[:-by]
    return moved


def _dearer(cost: Bytes, by: int) -> Bytes:
    return np.minimum(cost, 255 - by) + np.uint8(by)


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
    n_pieces_of = -(-spoken.n_of_files // PIECE)
    n_pieces, ends = int(n_pieces_of.sum()), np.cumsum(spoken.n_of_files)
    frames = np.arange(len(spoken.best))
    shift = (np.cumsum(n_pieces_of) - n_pieces_of) * PIECE - (ends - spoken.n_of_files)
    at = frames + np.repeat(shift, spoken.n_of_files)
    between = np.zeros(sounds.shape[1], np.float32)
    between[-2:] = 1
    likely = np.vstack([sounds, between]) @ spoken.chances.T + _FLOOR
    costs = np.zeros((len(likely), n_pieces * PIECE), np.float32)
    costs[:, at] = np.minimum(np.log(likely) - spoken.best, 0)
    # Pieces are gone through side by side: (frames of a piece, sounds, pieces).
    laid = np.ascontiguousarray(costs.reshape(len(costs), n_pieces, PIECE).transpose(2, 0, 1))
    begins = np.ones((n_pieces, PIECE), np.bool_)
    begins.ravel()[at] = spoken.begins
    scores = _NEVER + np.zeros((n_pieces, PIECE), np.float32)
    for step, best, _ in _paths(laid, begins.T, np.arange(n_pieces), is_traced=False):
        scores[:, step] = best
    scores[scores < _NEVER / 2] = -np.inf
    firsts = np.arange(n_pieces * PIECE).reshape(n_pieces, PIECE)
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
    for step in range(-FRAMES_A_SOUND * shape[0] if len(pieces) else PIECE, PIECE):
        back, row = divmod(step, PIECE)
        at = pieces + back
        cost = laid[row].take(at, axis=1, mode="clip")
        anew = begins[row].take(at, mode="clip") | (at < 0)
        if anew.any():
            within[:, anew] = after[:, anew] = _NEVER
        if is_traced:
            here = at * PIECE + row
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
