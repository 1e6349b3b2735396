"""Moments at which two waveforms are the same sound, found without a network, at a fraction of its time.

A landmark is a frame at which a band of the spectrum is louder than for a while before and after, and the
frequency at which it is. Two landmarks and the time between them make a number; numbers that both recordings
have, at places that go on as the time does, tell where they are the same recording, in whatever format. What
two microphones heard in two rooms has few in common: that takes fingerprints.

References
----------
Wang, "An industrial-strength audio search algorithm", ISMIR 2003.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from echoic.recordings.timing.chains import Hits
from echoic.recordings.timing.waveforms import Waveform

__all__ = ["landmark_hits"]

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

_RATE = 8_000  # Hz that the numbers below are made for
_SIZE, _HOP = 512, 256  # samples of a frame
_FRAMES = 256  # transformed at a time: they stay in the cache
_BLOCK = 64 * _FRAMES  # frames read at a time
_BANDS = (16, 28, 42, 58, 78, 102, 132, 170, 220)  # bins between which a band lies: 250 to 3,440 Hz
_AROUND = 5  # frames before and after than which a landmark is louder
_FAINT = 1e-5  # power of the loudest that a landmark may have: 50 dB below
_LONGEST = 63  # frames between two that make a number
_FOLLOWING = 2  # landmarks of its band, and as many of the next, that each makes a number with
_COMMON = 64  # times that a number may occur in a recording: a hum, or a loop, says nothing of where one is
_STEP = 31  # frames of the second that are laid together, 1 s
_LEAST = 4  # numbers that must lie at one place in such a step
_MOST_HITS = 20  # of a step


class _Landmarks(NamedTuple):
    """The numbers of a recording, and the frames at which they are, in order of the numbers."""

    numbers: Int64
    frames: Int64


def _landmarks_of(waveform: Waveform) -> _Landmarks:
    """Find the landmarks of a waveform at 8 kHz."""
    n_frames = max(0, 1 + (waveform.n_samples - _SIZE) // _HOP)
    bins = np.empty((n_frames, len(_BANDS) - 1), np.int16)
    powers = np.empty((n_frames, len(_BANDS) - 1), np.float32)
    for at in range(0, n_frames, _BLOCK):
        until = min(n_frames, at + _BLOCK)
        samples = waveform.part(at * _HOP, (until - 1) * _HOP + _SIZE)
        _loudest(samples, bins[at:until], powers[at:until])
    found = []
    peaks = [_peaks(powers[:, band]) for band in range(powers.shape[1])]
    for band, own in enumerate(peaks):
        for other in (band, band + 1)[: len(peaks) - band]:
            found += _paired(own, peaks[other], bins[:, band], bins[:, other])
    numbers, frames = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(numbers, kind="stable")
    return _Landmarks(numbers[order], frames[order])


def _loudest(
    samples: npt.NDArray[np.float32], bins: npt.NDArray[np.int16], powers: npt.NDArray[np.float32]
) -> None:
    """Fill in the loudest bin of each band, and its power, frame by frame."""
    import scipy.fft

    framed = sliding_window_view(samples, _SIZE)[::_HOP]
    taper = np.hanning(_SIZE).astype(np.float32)
    for at in range(0, len(bins), _FRAMES):
        spectra = scipy.fft.rfft(framed[at : at + _FRAMES] * taper, axis=1)[:, : _BANDS[-1]]
        power = np.square(spectra.real) + np.square(spectra.imag)
        for band, (low, high) in enumerate(itertools.pairwise(_BANDS)):
            part = power[:, low:high]
            best = part.argmax(axis=1)
            bins[at : at + _FRAMES, band] = best + low
            powers[at : at + _FRAMES, band] = part[np.arange(len(part)), best]


def _peaks(power: npt.NDArray[np.float32]) -> Int64:
    """Give the frames at which a band is louder than around, in order."""
    from scipy.ndimage import maximum_filter1d

    if not len(power):
        return np.empty(0, np.int64)
    top = maximum_filter1d(power, 2 * _AROUND + 1, mode="constant")
    return np.flatnonzero((power == top) & (power > _FAINT * power.max()))


def _paired(
    own: Int64, others: Int64, bins: npt.NDArray[np.int16], other_bins: npt.NDArray[np.int16]
) -> list[tuple[Int64, Int64]]:
    """Make numbers of landmarks and those that follow in a band."""
    following = np.searchsorted(others, own, side="right")
    found = []
    for step in range(_FOLLOWING):
        there = following + step < len(others)
        first, second = own[there], others[following[there] + step]
        near = second - first <= _LONGEST
        first, second = first[near], second[near]
        numbers = (bins[first].astype(np.int64) << 14) | (other_bins[second].astype(np.int64) << 6)
        found.append((numbers | (second - first), first))
    return found


def landmark_hits(first: Waveform, second: Waveform) -> Hits:
    """Say where each second of one recording lies in the other, by the landmarks that they share.

    What a hit weighs is the share of the numbers in that second of time that lie there.

    Parameters
    ----------
    first, second : Waveform
        At 8 kHz.
    """
    return _hits(_landmarks_of(first), _landmarks_of(second))


def _hits(first: _Landmarks, second: _Landmarks) -> Hits:
    low = np.searchsorted(first.numbers, second.numbers, side="left")
    counts = np.searchsorted(first.numbers, second.numbers, side="right") - low
    _, inverse, own = np.unique(second.numbers, return_inverse=True, return_counts=True)
    counts[(counts > _COMMON) | (own[inverse] > _COMMON)] = 0
    at = np.repeat(np.arange(len(counts)), counts)
    places = first.frames[np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts) + low[at]]
    times = second.frames[at]
    steps, offsets = times // _STEP, places - times
    total = np.bincount(second.frames // _STEP, minlength=1)
    shift = int(offsets.min(initial=0))
    # Half a frame more or less moves a place by one: each is counted with the next one.
    wide = int(offsets.max(initial=0)) - shift + 3
    keys = steps * wide + offsets - shift + 1
    cells, n = np.unique(keys, return_counts=True)
    following = np.zeros(len(cells), np.int64)
    adjacent = np.flatnonzero(np.diff(cells) == 1)
    following[adjacent] = n[adjacent + 1]
    both = n + following
    good = both >= _LEAST
    # Of two that share a place, the better.
    good[adjacent] &= both[adjacent] >= both[adjacent + 1]
    good[adjacent + 1] &= both[adjacent + 1] > both[adjacent]
    rows, offset = cells[good] // wide, cells[good] % wide - 1 + shift
    moved = offset + following[good] / both[good]
    middle = (rows + 0.5) * _STEP + _SIZE / _HOP / 2
    weights = both[good] / np.maximum(1, total[rows])
    scale = _HOP / _RATE
    kept = _heaviest(rows, weights)
    return Hits(rows[kept], middle[kept] * scale, (middle + moved)[kept] * scale, weights[kept])


def _heaviest(rows: Int64, weights: Float64) -> Int64:
    """Give the heaviest few of each row, in order of the rows."""
    order = np.lexsort((-weights, rows))
    begins = np.flatnonzero(np.diff(rows[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(begins, np.diff([*begins, len(order)]))
    kept: Int64 = order[rank < _MOST_HITS]
    return kept
