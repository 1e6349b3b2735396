"""Which of a file's tracks is heard, and whether its channels can be mixed.

Cameras and broadcasters put microphones on tracks of their own, of which the first may be silent. Channels of
opposite phase, from a cable soldered wrong or a balanced line recorded as stereo, add up to silence. Both are
found out by listening to the begin of a file, which costs next to nothing; only where nothing is heard, or
channels do cancel each other, to more of it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from echoic.audio.frames import Frames, TrackError
from echoic.audio.levels import SILENCE
from echoic.audio.timeline import finite
from echoic.audio.windows import Windower
from echoic.types import Float32, Note

__all__ = ["Balance", "Cancelled", "Choice", "choose", "mixes"]

# What is left of channels by their mean, compared with channels that have nothing in common: hardly any is
# opposite phase. Between that and what mixes, more is listened to.
_CANCELS, _MIXES = 1 / 16, 1 / 4
_AS_LOUD = 0.9  # of channels about as loud, the first
_ENOUGH = 3.0  # s of sound, after which channels that mix are believed to go on so
_STRETCH = 0.5  # s: stereo that is wide for a moment is none that cancels
_WORTH_TELLING = 2.5  # s
_AHEAD = 10.0  # s that are kept while they are listened to, so that a file need not be opened twice


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a file is heard.

    Parameters
    ----------
    track : int
        From 1, among its tracks of sound.
    channel : int or None
        From 0; None for the mean of all.
    """

    track: int = 1
    channel: int | None = None


class Balance:
    """What channels sound like together, as opposed to each alone; offsets aside.

    Attributes
    ----------
    seconds : float
        Of sound heard so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._alone = np.zeros(0)
        self._mixed = 0.0

    def push(self, samples: Float32, sample_rate: float) -> None:
        """Take the samples of a frame, shape (n, channels)."""
        if samples.shape[1] != len(self._alone):  # the number of channels changes, at a joint, say
            self._alone, self._mixed = np.zeros(samples.shape[1]), 0.0
        n, n_channels = samples.shape
        with np.errstate(over="ignore", invalid="ignore"):
            moving = samples - np.full(n, 1 / n, np.float32) @ samples
            products = moving.T @ moving  # of each channel with each
        alone = products.diagonal().astype(np.float64)
        if not np.isfinite(products).all() or alone.max() < SILENCE * n:
            return
        self.seconds += n / sample_rate
        self._alone += alone
        self._mixed += float(products.sum(dtype=np.float64)) / n_channels**2

    @property
    def _left(self) -> float:
        """Power of the mean, over what it would be of channels that have nothing in common."""
        n = len(self._alone)
        return self._mixed * n**2 / self._alone.sum() if self.seconds else 1.0

    @property
    def is_settled(self) -> bool:
        """Whether the channels can be mixed, and that has been so for long enough."""
        return self.seconds >= _ENOUGH and self._left >= _MIXES

    @property
    def louder(self) -> int | None:
        """The channel to take because the channels cancel each other; None if they do not."""
        if self._left >= _CANCELS:
            return None
        return int(np.argmax(self._alone > _AS_LOUD * self._alone.max()))


class Cancelled:
    """How long the channels of a recording, which are mixed, cancel each other; some frames of it tell.

    Attributes
    ----------
    seconds : float
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._stretch = Balance()

    def push(self, samples: Float32, sample_rate: float) -> None:
        """Take the samples of a frame, shape (n, channels)."""
        self._stretch.push(samples, sample_rate)
        if self._stretch.seconds >= _STRETCH:
            if self._stretch.louder is not None:
                self.seconds += self._stretch.seconds
            self._stretch = Balance()

    @property
    def note(self) -> Note | None:
        """What a person should know of it."""
        seconds = self.seconds + (self._stretch.seconds if self._stretch.louder is not None else 0.0)
        if seconds < _WORTH_TELLING:
            return None
        return Note(
            "phase",
            f"its channels cancel each other for about {seconds:.0f} s, of which hardly anything is heard",
        )


def mixes(frames: Frames, balance: Balance) -> bool:
    """Tell whether the channels of a recording can be mixed, by its begin, which is read all the same.

    Parameters
    ----------
    frames : Frames
        Not read yet; ``balance`` observes it.

    Returns
    -------
    bool
        False, too, where that takes more: then :func:`choose` tells.
    """
    n_errors = frames.n_errors
    is_single = frames.first.channels == 1
    at_end = frames.look_ahead(lambda: is_single or balance.is_settled, _AHEAD)
    if frames.n_errors > n_errors:  # which piece stands behind damage would be lost
        return False
    return is_single or balance.is_settled or (at_end and balance.louder is None)


def choose(opened: Callable[[int], Frames], *, mono: bool, track: int | None) -> Choice:
    """Listen to a file for what of it is to be heard.

    Parameters
    ----------
    opened : callable
        Opens a track from its begin.
    mono : bool
        Whether channels are mixed at all.
    track : int, optional
        The track that was asked for; by default the first with sound, or else the first.

    Raises
    ------
    TrackError
        If none can be decoded, or there is none of that number.
    """
    first: Choice | None = None
    failure: TrackError | None = None
    number, n_tracks = track or 1, track or 1
    while number <= n_tracks:
        try:
            with closing(opened(number)) as frames:
                n_tracks = track or frames.n_tracks
                is_heard, channel = _listened(frames)
        except TrackError as error:
            n_tracks = track or error.n_tracks
            failure = failure or error
        else:
            choice = Choice(number, channel if mono else None)
            first = first or choice
            if is_heard:
                return choice
        number += 1
    if first is None:
        assert failure is not None
        raise failure
    return first


class _Hearing:
    """Whether anything is heard in a track, by the rule by which its windows are cut."""

    def __init__(self) -> None:
        self.is_heard = False
        self._rate = 0
        self._channels: list[Windower] = []

    def push(self, samples: Float32, sample_rate: int) -> None:
        """Take the samples of a frame, shape (n, channels)."""
        if self.is_heard:
            return
        if (sample_rate, samples.shape[1]) != (self._rate, len(self._channels)):
            self.finish()
            self._rate = sample_rate
            self._channels = [Windower(sample_rate, sample_rate, sample_rate) for _ in samples.T]
        for channel, windower in zip(samples.T, self._channels, strict=True):
            self.is_heard = self.is_heard or len(windower.push(channel).starts) > 0

    def finish(self) -> None:
        """Take what came for all that there is."""
        self.is_heard = self.is_heard or any(len(one.finish().starts) > 0 for one in self._channels)


def _listened(frames: Frames) -> tuple[bool, int | None]:
    """Tell whether a track has sound, and which channel to take if they cannot be mixed."""
    balance, hearing = Balance(), _Hearing()
    for piece in frames.pieces():
        samples = piece.samples if piece.samples.ndim == 2 else piece.samples[:, None]
        balance.push(samples, piece.sample_rate)
        hearing.push(finite(samples)[0], piece.sample_rate)
        if hearing.is_heard and (piece.channels == 1 or balance.is_settled):
            return True, None
    hearing.finish()
    return hearing.is_heard, balance.louder
