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
import numpy.typing as npt

from echoic.audio.frames import Frames, TrackError
from echoic.audio.levels import SILENCE
from echoic.audio.timeline import finite
from echoic.audio.windows import Windower
from echoic.types import Float32, Note

__all__ = ["Balance", "Cancelled", "Choice", "Following", "choose", "mixes"]

# What is left of channels by their mean, compared with channels that have nothing in common: hardly any is
# opposite phase. Between that and what mixes, more is listened to.
_CANCELS, _MIXES = 1 / 16, 1 / 4
_HEARD = 1e-3  # of the loudest channel's power: another that is missed
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
        self._products = np.zeros((0, 0))

    def push(self, samples: Float32, sample_rate: float) -> None:
        """Take the samples of a frame, shape (n, channels)."""
        n, n_channels = samples.shape
        if n_channels != len(self._products):  # at a joint, say
            self._products = np.zeros((n_channels, n_channels))
        with np.errstate(over="ignore", invalid="ignore"):
            moving = samples - np.full(n, 1 / n, np.float32) @ samples
            products = moving.T @ moving  # of each channel with each
        if not np.isfinite(products).all() or products.diagonal().max() < SILENCE * n:
            return
        self.seconds += n / sample_rate
        self._products += products

    @property
    def _left(self) -> float:
        """Power of the mean, over what it would be of channels that have nothing in common."""
        return float(self._products.sum() / self._alone.sum()) if self.seconds else 1.0

    @property
    def _alone(self) -> npt.NDArray[np.float64]:
        alone: npt.NDArray[np.float64] = self._products.diagonal()
        return alone

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

    @property
    def opposite(self) -> tuple[int, int] | None:
        """Two of more channels that cancel each other, so that only the others are heard; None if none do."""
        if len(self._alone) < 3 or not self.seconds:
            return None
        loud = np.sqrt(np.maximum(self._alone, _HEARD * self._alone.max()))
        likeness = self._products / np.outer(loud, loud)
        one, other = np.unravel_index(np.argmin(likeness), likeness.shape)
        return (int(one), int(other)) if likeness[one, other] < _CANCELS - 1 else None


class Cancelled:
    """How long the channels of a recording, which are mixed, cancel each other; some frames of it tell.

    Attributes
    ----------
    seconds : float
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._pair: tuple[int, int] | None = None
        self._stretch = Balance()

    def push(self, samples: Float32, sample_rate: float) -> None:
        """Take the samples of a frame, shape (n, channels)."""
        self._stretch.push(samples, sample_rate)
        if self._stretch.seconds >= _STRETCH:
            self._count()

    def _count(self) -> None:
        pair = self._stretch.opposite
        if self._stretch.louder is not None or pair is not None:
            self.seconds += self._stretch.seconds
            self._pair = pair
        self._stretch = Balance()

    @property
    def note(self) -> Note | None:
        """What a person should know of it."""
        self._count()
        if self.seconds < _WORTH_TELLING:
            return None
        which, of_them = "its channels", "of which hardly anything is"
        if self._pair is not None:
            which, of_them = f"its channels {min(self._pair) + 1} and {max(self._pair) + 1}", "which are not"
        return Note("phase", f"{which} cancel each other for about {self.seconds:.0f} s, {of_them} heard")


class Following:
    """Which channel is heard of sound that comes once, where channels cancel each other; as it goes on."""

    def __init__(self) -> None:
        self._balance = Balance()
        self._channel: int | None = None
        self._is_known = False  # whether enough has come to tell
        self._seconds = 0.0  # that one was heard alone

    def push(self, samples: Float32, sample_rate: float) -> int | None:
        """Take the samples of a frame, shape (n, channels); return the channel to take, None for the mean."""
        balance = self._balance
        balance.push(samples, sample_rate)
        # What is wide for a moment is none that cancels, but of what comes first no more is known.
        self._is_known = self._is_known or balance.seconds >= _STRETCH
        if balance.seconds >= _STRETCH or (self._channel is None and not self._is_known):
            self._channel = balance.louder
        if balance.seconds >= _ENOUGH:
            self._balance = Balance()
        if self._channel is None or self._channel >= samples.shape[1]:
            return None
        self._seconds += len(samples) / sample_rate
        return self._channel

    @property
    def note(self) -> Note | None:
        """What a person should know of it."""
        if self._seconds < _WORTH_TELLING:
            return None
        return Note(
            "phase",
            f"its channels cancel each other for about {self._seconds:.0f} s, of which one is heard alone",
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
