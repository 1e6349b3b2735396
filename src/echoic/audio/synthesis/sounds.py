"""Ten families of sounds that a listener knows at once, each in as many takes as wanted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from echoic.audio.synthesis import instruments, nature, people
from echoic.audio.synthesis.signals import Float64, finish
from echoic.audio.synthesis.takes import Take
from echoic.errors import UsageError
from echoic.types import Float32

__all__ = ["FAMILIES", "make_sound", "say", "talk"]

_LONGEST = 6.0  # seconds
_HISS = 2e-4  # of the peak: -74 dB
_RINGING = {"bells": 0.35, "plucks": 0.25}  # share of a sound that rings past its end and is faded out
_LOWEST_RATE = 8_000  # Hz: below it the birds are gone

_MAKERS: dict[str, Callable[[Take], Float64]] = {
    "bells": people.bells,
    "birds": nature.birds,
    "bubbles": nature.bubbles,
    "drums": people.drums,
    "engines": people.engines,
    "plucks": people.plucks,
    "rain": nature.rain,
    "sirens": people.sirens,
    "voices": people.voices,
    "wind": nature.wind,
}
FAMILIES = tuple(_MAKERS)


def make_sound(family: str, take: int, *, sample_rate: int = 44_100, seed: int = 0) -> Float32:
    """Synthesise one take of a family of sounds.

    Parameters
    ----------
    family : str
        One of ``FAMILIES``.
    take : int
        From 0; each ten are spread evenly over what the family can be.
    sample_rate : int
        Hz, at least 8000.
    seed : int
        At least 0. The same (family, take, seed, sample_rate) gives the same samples.

    Returns
    -------
    ndarray of float32, shape (n,)
        0.4 to 6 seconds, peak between 0.4 and 0.9, no DC, faded at both ends.

    Raises
    ------
    UsageError
        For an unknown family, a negative take or seed, or too low a sample rate.

    Examples
    --------
    >>> make_sound("bells", 3, sample_rate=16_000).dtype
    dtype('float32')
    """
    if family not in _MAKERS:
        raise UsageError(f"no family of sounds is called {family!r}; choose one of {', '.join(FAMILIES)}")
    if take < 0 or seed < 0:
        raise UsageError(f"take and seed count from 0, not {take} and {seed}")
    if sample_rate < _LOWEST_RATE:
        raise UsageError(f"sounds need a sample rate of at least {_LOWEST_RATE} Hz, not {sample_rate}")
    settings = Take(seed, FAMILIES.index(family), take, sample_rate)
    peak = settings.between(0.4, 0.9)
    samples = _MAKERS[family](settings)[: round(_LONGEST * sample_rate)]
    # The hiss of a good recorder: digital silence between two blows would be the one thing no file has.
    samples = samples / (np.abs(samples).max() + 1e-12) + _HISS * settings.rng.standard_normal(len(samples))
    fade = _RINGING.get(family, 0.05) * len(samples) / sample_rate
    return finish(samples, sample_rate, peak=peak, fade=fade)


def talk(seconds: float, sample_rate: int, *, seed: int = 0) -> Float32:
    """Make a voice that talks without words: syllables in phrases, with pauses between them.

    Parameters
    ----------
    seconds : float
    sample_rate : int
        Hz, at least 8000.
    seed : int
        Chooses the voice and what it says.

    Returns
    -------
    ndarray of float32, shape (n,)
        Peak 0.7.

    Examples
    --------
    >>> talk(2, 16_000).shape
    (32000,)
    """
    rng = np.random.default_rng([seed, 6])
    height = rng.uniform()  # from a man's voice to a child's
    n = round(seconds * sample_rate)
    samples = instruments.babble(n, sample_rate, rng, pitch=95 * 2.6**height, tract=1 + 0.25 * height)
    return finish(samples, sample_rate, peak=0.7)


def say(syllables: str, sample_rate: int, *, seed: int = 0) -> Float32:
    """Have a voice say syllables.

    Parameters
    ----------
    syllables : str
        With spaces between them, as in "to ma to": one of the consonants m, s, f, p, k and t, or none, and a
        vowel each.
    sample_rate : int
        Hz, at least 8000.
    seed : int
        Chooses the voice, and how fast it speaks.

    Returns
    -------
    ndarray of float32, shape (n,)
        Peak 0.7.

    Raises
    ------
    UsageError
        If there is none, or one that cannot be said.

    Examples
    --------
    >>> say("to ma to", 16_000).dtype
    dtype('float32')
    """
    said = syllables.split()
    if not said or any(one[-1] not in "aeiou" or one[:-1] not in instruments.CONSONANTS for one in said):
        raise UsageError(f"{syllables!r} cannot be said; write syllables such as 'to ma to'")
    rng = np.random.default_rng([seed, 7])
    height = rng.uniform()
    n = round((0.3 * len(said) + 0.3) * sample_rate)
    pitch, tract = 95 * 2.6**height, 1 + 0.25 * height
    samples = instruments.utter(syllables, n, sample_rate, rng, pitch=pitch, tract=tract)
    return finish(samples, sample_rate, peak=0.7)
