"""Instruments: one note or blow each, shared by the families of sounds and by the pieces.

All return float64 of shape (n,) at about unit peak. The randomness is the caller's generator.

References
----------
Karplus and Strong, "Digital synthesis of plucked-string and drum timbres", Computer Music Journal 7(2), 1983.
Fletcher and Rossing, "The Physics of Musical Instruments", Springer 1998 (the modes of bars, tubes, bells).
Peterson and Barney, "Control methods used in a study of the vowels", JASA 24(2), 1952 (formants).
"""

from __future__ import annotations

from functools import partial

import numpy as np

from echoic.audio.synthesis.signals import (
    Float64,
    damped_modes,
    decay,
    filtered,
    highpass,
    lowpass,
    oscillate,
    place,
    resonance,
    sweep_filter,
    wander,
)

__all__ = [
    "BELLS",
    "CONSONANTS",
    "VOWELS",
    "babble",
    "bell",
    "clap",
    "electric_piano",
    "flute",
    "hat",
    "kick",
    "pad",
    "sing",
    "snare",
    "string",
    "synth_bass",
    "tom",
    "utter",
]

# Ratios of the modes to the note that is heard, and their levels.
BELLS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "church": (
        (0.5, 1.0, 1.2, 1.5, 2.0, 2.5, 2.67, 3.01, 4.16, 5.43, 6.79),
        (0.5, 0.8, 0.7, 0.25, 1.0, 0.3, 0.25, 0.45, 0.3, 0.2, 0.12),
    ),
    "tubular": (
        (0.5, 0.99, 2.0, 2.99, 4.17, 5.53, 7.08),
        (0.15, 0.45, 1.0, 0.8, 0.55, 0.35, 0.2),
    ),
    "glockenspiel": ((1.0, 2.756, 5.404, 8.933), (1.0, 0.5, 0.25, 0.12)),
    "handbell": ((1.0, 2.98, 3.02, 5.4, 8.4), (1.0, 0.5, 0.2, 0.12, 0.05)),
}

# The first four formants of a man's vowels, Hz; higher voices have shorter tracts and scale them up.
VOWELS: dict[str, tuple[float, float, float, float]] = {
    "a": (730, 1090, 2440, 3400),
    "e": (530, 1840, 2480, 3500),
    "i": (270, 2290, 3010, 3600),
    "o": (570, 840, 2410, 3300),
    "u": (300, 870, 2240, 3200),
    "m": (250, 1000, 2100, 3200),
}
#: Consonants that can be said before a vowel: what kind each is, and where its noise lies, in Hz.
CONSONANTS: dict[str, tuple[str, float | None]] = {
    "": ("none", None),
    "m": ("nasal", None),
    "s": ("fricative", 6000.0),
    "f": ("fricative", 3500.0),
    "p": ("stop", 1000.0),
    "k": ("stop", 2200.0),
    "t": ("stop", 4500.0),
}
_ONSETS = {"stop": 0.05, "nasal": 0.07, "fricative": 0.1, "none": 0.03}  # s before the vowel
_FORMANT_BANDWIDTHS = (80.0, 100.0, 140.0, 200.0)


def bell(
    pitch: float,
    n: int,
    sample_rate: int,
    rng: np.random.Generator,
    *,
    kind: str,
    t60: float,
    hardness: float,
) -> Float64:
    """Strike a bell: its modes in slightly detuned pairs, which beat, and the click of the clapper.

    Parameters
    ----------
    kind : str
        A key of ``BELLS``.
    hardness : float
        Of the clapper, 0–1: how much treble the blow excites.
    """
    ratios, levels = (np.array(part) for part in BELLS[kind])
    # The many modes above those that have names: a bell cast by nobody twice.
    upper = np.sort(rng.uniform(2.2, 2.2 + 9000 / pitch, 16))
    ratios = np.concatenate([ratios, upper])
    levels = np.concatenate([levels, rng.uniform(0.05, 0.22, len(upper))])
    treble = ratios ** (-0.9 * (1 - hardness))
    detune = 1 + rng.uniform(0.0002, 0.0015, len(ratios))
    split = rng.uniform(0.2, 0.5, len(ratios))
    frequencies = pitch * np.concatenate([ratios, ratios * detune])
    amplitudes = np.concatenate([levels * treble * (1 - split), levels * treble * split])
    ring = t60 * np.concatenate([ratios, ratios]) ** -0.45
    phases = rng.uniform(0, 2 * np.pi, len(frequencies))
    out = damped_modes(frequencies, ring, amplitudes, n, sample_rate, phases)
    short = min(n, sample_rate // 10)
    click = rng.standard_normal(short) * decay(short, sample_rate, 0.03, attack=0.0005)
    click = filtered(click, sample_rate, lambda f: resonance(f, min(8 * pitch, 6000), 4000))
    place(out, click, 0, 0.25 * hardness)
    rise = min(n, sample_rate // 500)
    out[:rise] *= np.arange(rise) / rise
    return np.asarray(out / np.abs(out).max())


def string(
    pitch: float,
    n: int,
    sample_rate: int,
    rng: np.random.Generator,
    *,
    t60: float,
    brightness: float,
    pick: float = 0.13,
    stiffness: float = 0.0,
) -> Float64:
    """Pluck a string: the Karplus–Strong loop, solved in the frequency domain.

    There the delay of one period may be any fraction of a sample, so that the string is in tune, and the
    loss and the dispersion of the loop may be given as functions of frequency.

    Parameters
    ----------
    t60 : float
        Of the fundamental, seconds.
    brightness : float
        0–1: how hard the pick and how slowly the treble dies.
    pick : float
        Where it is plucked, as a share of its length.
    stiffness : float
        How much sharper the tenth harmonic is, as a share of its frequency.
    """
    period = max(2, round(sample_rate / pitch))
    burst = np.zeros(n)
    burst[: min(n, period)] = rng.uniform(-1, 1, period)[:n]
    size = 1 << (n - 1).bit_length()
    # Evaluated a little outside the unit circle, where what wraps around is 80 dB down.
    outside = np.log(1e4) / (size / sample_rate)
    growth = np.exp(outside * np.arange(n) / sample_rate)
    real = np.fft.rfftfreq(size, 1 / sample_rate)
    f = real - 1j * outside / (2 * np.pi)
    loss = np.log(1000) / t60 + (0.6 + 8 * (1 - brightness)) * (real / 1000) ** 2
    lag = (1 - stiffness * np.minimum(real / (10 * pitch), 1.5) ** 2) / pitch
    loop = np.exp(-np.minimum(loss / pitch, 50) - 2j * np.pi * f * lag)
    hand = (1 - np.exp(-2j * np.pi * f * pick / pitch)) * lowpass(f, 700 + 7000 * brightness**2, 1)
    # The box: its air and two modes of the top plate.
    box = 0.7 + 0.8 * resonance(f, 105, 40) + 0.6 * resonance(f, 220, 60) + 0.4 * resonance(f, 430, 120)
    source = np.fft.rfft(burst / growth, size) * hand * box * highpass(f, 40)
    out = np.fft.irfft(source / (1 - loop), size)[:n] * growth
    return np.asarray(out / np.abs(out).max())


def electric_piano(pitch: float, n: int, sample_rate: int, rng: np.random.Generator) -> Float64:
    """Strike a tine piano: two-operator frequency modulation with a metallic attack (Chowning's FM)."""
    time = np.arange(n) / sample_rate
    angle = 2 * np.pi * pitch * time
    body = np.sin(angle + 1.4 * decay(n, sample_rate, 2.5) * np.sin(angle * 1.001))
    tine = 0.35 * decay(n, sample_rate, 0.35) * np.sin(angle + 1.2 * np.sin(14 * angle))
    tremolo = 1 + 0.15 * np.sin(2 * np.pi * 5.1 * time + rng.uniform(0, 2 * np.pi))
    safe = 1.0 if 16 * pitch < 0.45 * sample_rate else 0.0
    return np.asarray((body + safe * tine) * tremolo * decay(n, sample_rate, 3.5, attack=0.004) / 1.4)


def flute(pitch: float, n: int, sample_rate: int, rng: np.random.Generator) -> Float64:
    """Blow a flute: few harmonics, breath, and a vibrato that comes in late."""
    time = np.arange(n) / sample_rate
    vibrato = np.minimum(time / 0.6, 1) * np.sin(2 * np.pi * (5 + 0.4 * rng.uniform(-1, 1)) * time)
    tube = oscillate(pitch * (1 + 0.006 * vibrato), np.array([1, 0.35, 0.18, 0.05, 0.03]), n, sample_rate)
    breath = filtered(rng.standard_normal(n), sample_rate, lambda f: resonance(f, 2 * pitch, pitch))
    chiff = 0.05 + 0.35 * np.exp(-time / 0.04)
    onset = 1 - np.exp(-time / 0.035)
    return np.asarray((tube * (1 + 0.12 * vibrato) + chiff * breath) * onset / 1.5)


def pad(pitch: float, n: int, sample_rate: int, rng: np.random.Generator) -> Float64:
    """Bow a section of strings: detuned saws that swell in under a soft filter."""
    harmonics = 1 / np.arange(1, 40)
    out = np.zeros(n)
    for cents in (-9, -4, 0, 5, 10):
        bend = 1 + 0.0015 * (wander(rng, n, sample_rate, 4) - 0.5)
        out += oscillate(pitch * 2 ** (cents / 1200) * bend, harmonics, n, sample_rate, phase=rng.uniform())
    out = filtered(out, sample_rate, lambda f: lowpass(f, 1800, 2))
    return np.asarray(out * (1 - np.exp(-np.arange(n) / (0.15 * sample_rate))) / np.abs(out).max())


def synth_bass(pitch: float, n: int, sample_rate: int, rng: np.random.Generator) -> Float64:
    """Play a round bass: a saw whose filter closes after the attack, and a sine an octave of it."""
    saw = oscillate(pitch, 1 / np.arange(1, 60), n, sample_rate, phase=rng.uniform())
    bright = filtered(saw, sample_rate, lambda f: lowpass(f, 1400, 2))
    dull = filtered(saw, sample_rate, lambda f: lowpass(f, 260, 2))
    opening = decay(n, sample_rate, 0.5, attack=0.003)
    out = 0.6 * opening * bright + dull + 0.5 * oscillate(pitch, np.ones(1), n, sample_rate)
    return np.asarray(np.tanh(1.2 * out) * decay(n, sample_rate, 4.0, attack=0.006))


def kick(
    n: int, sample_rate: int, rng: np.random.Generator, *, pitch: float = 50.0, t60: float = 0.45
) -> Float64:
    """Kick a bass drum: a sine that drops to ``pitch``, and the beater's click."""
    time = np.arange(n) / sample_rate
    fall = pitch * (1 + 3.5 * np.exp(-time / 0.022))
    body = oscillate(fall, np.array([1, 0.12, 0.05]), n, sample_rate) * decay(n, sample_rate, t60)
    click = filtered(rng.standard_normal(n), sample_rate, lambda f: lowpass(f, 3500))
    return np.asarray(np.tanh(1.6 * body) + 0.5 * click * decay(n, sample_rate, 0.025, attack=0.0005))


def snare(
    n: int, sample_rate: int, rng: np.random.Generator, *, pitch: float = 185.0, t60: float = 0.3
) -> Float64:
    """Strike a snare drum: two modes of the head and the rattle of the wires."""
    modes = np.array([1.0, 1.59, 2.14, 2.3]) * pitch
    head = damped_modes(modes, np.full(4, 0.18), np.array([1, 0.5, 0.3, 0.2]), n, sample_rate, np.zeros(4))
    wires = filtered(
        rng.standard_normal(n), sample_rate, lambda f: highpass(f, 1200, 2) * lowpass(f, 9000, 1)
    )
    out = 0.6 * head + 0.5 * wires * decay(n, sample_rate, t60, attack=0.001)
    return np.asarray(out / np.abs(out).max())


def hat(n: int, sample_rate: int, rng: np.random.Generator, *, t60: float = 0.08) -> Float64:
    """Strike a hi-hat: six clashing square waves and noise, above 6 kHz."""
    metal = np.zeros(n)
    odd = np.zeros(60)
    odd[::2] = 1 / np.arange(1, 61, 2)
    for pitch in (205.3, 304.4, 369.6, 522.7, 540.0, 800.0):
        metal += oscillate(1.6 * pitch, odd, n, sample_rate, phase=rng.uniform())
    floor = min(6000.0, 0.25 * sample_rate)
    both = filtered(0.4 * metal + rng.standard_normal(n), sample_rate, lambda f: highpass(f, floor, 4))
    out = both * decay(n, sample_rate, t60, attack=0.0005)
    return np.asarray(out / np.abs(out).max())


def clap(n: int, sample_rate: int, rng: np.random.Generator) -> Float64:
    """Clap hands: four bursts of noise within 40 ms and the room's answer."""
    envelope = 0.7 * np.roll(decay(n, sample_rate, 0.22), int(0.03 * sample_rate))
    envelope[: int(0.03 * sample_rate)] = 0
    for at in np.cumsum(rng.uniform(0.007, 0.013, 4)):
        place(envelope, decay(n, sample_rate, 0.02, attack=0.0005), int(at * sample_rate))
    out = filtered(rng.standard_normal(n) * envelope, sample_rate, lambda f: resonance(f, 1300, 1400))
    return np.asarray(out / np.abs(out).max())


def tom(n: int, sample_rate: int, rng: np.random.Generator, *, pitch: float = 110.0) -> Float64:
    """Strike a tom: the modes of a round membrane, sinking a little as it relaxes."""
    modes = pitch * np.array([1.0, 1.59, 2.14, 2.3, 2.65])
    skin = damped_modes(
        modes,
        np.array([0.6, 0.35, 0.25, 0.2, 0.15]),
        np.array([1, 0.4, 0.25, 0.2, 0.1]),
        n,
        sample_rate,
        np.zeros(5),
    )
    time = np.arange(n) / sample_rate
    slide = oscillate(pitch * (1 + 0.5 * np.exp(-time / 0.04)), np.ones(1), n, sample_rate)
    click = filtered(rng.standard_normal(n), sample_rate, lambda f: lowpass(f, 2500))
    out = 0.6 * skin + slide * decay(n, sample_rate, 0.5) + 0.4 * click * decay(n, sample_rate, 0.02)
    return np.asarray(out / np.abs(out).max())


def sing(
    pitch: Float64,
    loudness: Float64,
    formants: Float64,
    sample_rate: int,
    rng: np.random.Generator,
    *,
    breath: float = 0.06,
    hiss: Float64 | None = None,
) -> Float64:
    """Sing: a glottal wave and breath, through formants that may move.

    Parameters
    ----------
    pitch, loudness : ndarray of float64, shape (n,)
        Hz, and 0–1, at each sample.
    formants : ndarray of float64, shape (points, 5)
        Time in seconds, increasing, and F1 … F4 in Hz at that time; straight lines between.
    breath : float
        Level of the noise of air in the voice.
    hiss : ndarray of float64, shape (n,), optional
        Consonants: noise that passes by the throat, added as it is.
    """
    n = len(pitch)
    shaky = pitch * (1 + 0.012 * (wander(rng, n, sample_rate, 25) - 0.5))
    glottis = oscillate(shaky, 1 / np.arange(1, 80) ** 1.1, n, sample_rate)
    source = (glottis + breath * rng.standard_normal(n)) * loudness

    def tract(seconds: Float64, f: Float64) -> Float64:
        gain = np.ones((len(seconds), f.shape[1]))
        for column, bandwidth in enumerate(_FORMANT_BANDWIDTHS, start=1):
            centre = np.interp(seconds, formants[:, 0], formants[:, column])
            gain *= centre**2 / np.hypot(centre**2 - f**2, bandwidth * f)
        # Lips radiate the treble better; the formants past the fourth keep it from dying away.
        return (gain + 0.02) * f / (f + 200) * (1 + f / 2500)

    out = sweep_filter(source, sample_rate, tract)
    out /= np.abs(out).max() + 1e-12
    return out if hiss is None else out + hiss


class _Mouth:
    """Speaks syllable after syllable, of a consonant and a vowel each.

    Parameters
    ----------
    n : int
        Samples.
    pitch : float
        Mean of the voice, Hz.
    tract : float
        Factor on the formants: 1 a man, 1.17 a woman, 1.35 a child.
    """

    def __init__(
        self, n: int, sample_rate: int, rng: np.random.Generator, pitch: float, tract: float
    ) -> None:
        self._n, self._sample_rate, self._rng = n, sample_rate, rng
        self._pitch, self._tract = pitch, tract
        self._knots: list[tuple[float, ...]] = []
        self._pitches: list[tuple[float, float]] = []
        self._levels: list[tuple[float, float]] = [(0.0, 0.0)]
        self._hiss = np.zeros(n)

    def syllable(
        self, at: float, consonant: str, vowel: str, held: float, fall: float, centre: float | None = None
    ) -> float:
        """Say a syllable from a time on; return when it is over.

        Parameters
        ----------
        consonant : {"stop", "nasal", "fricative", "none"}
        held : float
            Seconds of the vowel.
        fall : float
            Factor on the pitch.
        centre : float, optional
            Hz, of a consonant's noise; by default any.
        """
        rng, sample_rate, tract = self._rng, self._sample_rate, self._tract
        formants, onset = tract * np.array(VOWELS[vowel]), _ONSETS[consonant]
        if consonant in ("stop", "fricative"):
            size = round((0.02 if consonant == "stop" else 0.09) * sample_rate)
            centre = min(rng.uniform(2500, 6000) if centre is None else centre, 0.4 * sample_rate)
            respond = partial(resonance, centre=centre, bandwidth=2500.0)
            burst = filtered(rng.standard_normal(size), sample_rate, respond)
            burst *= np.hanning(size) * (0.16 if consonant == "stop" else 0.07) / (burst.std() + 1e-12)
            place(self._hiss, burst, round((at + 0.02) * sample_rate))
        murmur = 0.35 if consonant == "nasal" else 0.02
        start = (
            tract * np.array(VOWELS["m"])
            if consonant == "nasal"
            else 0.75 * formants + 0.25 * np.mean(formants)
        )
        top = rng.uniform(0.6, 1.0)
        self._knots += [
            (at, *start),
            (at + onset, *start),
            (at + onset + 0.04, *formants),
            (at + onset + held, *formants),
        ]
        self._levels += [
            (at, murmur),
            (at + onset, murmur),
            (at + onset + 0.03, top),
            (at + onset + held, 0.7 * top),
        ]
        self._pitches.append((at + onset, self._pitch * fall * rng.uniform(0.93, 1.08)))
        return at + (onset + held)

    def silent(self, since: float, until: float) -> None:
        """Say nothing between two times."""
        end = self._n / self._sample_rate
        self._levels += [(min(since + 0.05, end), 0.0), (min(until, end), 0.0)]

    def sound(self) -> Float64:
        """Return all that was said."""
        knots, pitches, levels = self._knots, self._pitches, self._levels
        if not pitches:  # shorter than one syllable
            knots = [(0.0, *(self._tract * np.array(VOWELS["a"])))]
            pitches, levels = [(0.0, self._pitch)], [(0.0, 0.7)]
        time = np.arange(self._n) / self._sample_rate
        contour = np.interp(time, *np.array(pitches).T)
        loudness = np.interp(time, *np.array(levels).T)
        formants = np.array(knots)
        return sing(contour, loudness, formants, self._sample_rate, self._rng, breath=0.03, hiss=self._hiss)


def babble(n: int, sample_rate: int, rng: np.random.Generator, *, pitch: float, tract: float) -> Float64:
    """Talk without words: syllables of a consonant and a vowel in phrases, the pitch falling in each.

    Parameters
    ----------
    pitch : float
        Mean of the voice, Hz.
    tract : float
        Factor on the formants: 1 a man, 1.17 a woman, 1.35 a child.
    """
    mouth = _Mouth(n, sample_rate, rng, pitch, tract)
    at, end = 0.04, n / sample_rate
    while at < end - 0.2:
        n_syllables = int(rng.integers(3, 8))
        for syllable in range(n_syllables):
            consonant = str(rng.choice(["stop", "nasal", "fricative", "none"]))
            vowel = str(rng.choice(list("aeiou")))
            held = rng.uniform(0.09, 0.2) * (1.6 if syllable == n_syllables - 1 else 1.0)
            if at + _ONSETS[consonant] + held + 0.05 > end:
                at = end
                break
            at = mouth.syllable(at, consonant, vowel, held, 1.15 - 0.3 * syllable / n_syllables)
        since = at
        at += rng.uniform(0.18, 0.4)
        mouth.silent(since, at)
    return mouth.sound()


def utter(
    syllables: str, n: int, sample_rate: int, rng: np.random.Generator, *, pitch: float, tract: float
) -> Float64:
    """Say syllables, as in "to ma to": a consonant of ``CONSONANTS``, or none, and a vowel each.

    Parameters
    ----------
    pitch, tract
        As of :func:`babble`.
    """
    mouth = _Mouth(n, sample_rate, rng, pitch, tract)
    said = syllables.split()
    at = 0.04
    for number, syllable in enumerate(said):
        kind, centre = CONSONANTS[syllable[:-1]]
        held = rng.uniform(0.11, 0.16) * (1.4 if number == len(said) - 1 else 1.0)
        at = mouth.syllable(at, kind, syllable[-1], held, 1.15 - 0.3 * number / len(said), centre)
    mouth.silent(at, n / sample_rate)
    return mouth.sound()
