"""Pairs to learn from: a window of music as it is, and the same moment as it may be heard.

What happens to a pair is drawn by :func:`draw`, which touches no sound; :func:`degrade` does what was drawn
and draws nothing. Several stretches of one track are played at one speed of their own, so that 300 tracks are
worth more of them, and a track's other stretches are the hardest strangers of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.fft
import scipy.signal
from network import LOG_MEL, N_FRAMES, WINDOW

from echoic.audio.spectrogram import mel_filters
from echoic.training.augment import waveform
from echoic.types import Float32

RATE = LOG_MEL.sample_rate
PAST = 2.25  # s before a window: what rings on into it
AROUND = 1.5  # s a stretch is longer than past and window, for shifts and changes of speed
SHIFT = 0.22  # s that the two windows may lie apart; half the distance of a library's windows is .256

_SPEED, _TEMPO = 0.45, 0.20  # shares of pairs; a twentieth change pitch alone
_NOISE_DB = (-11.0, 12.0)
_HANN = scipy.signal.get_window("hann", LOG_MEL.n_fft).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Degradation:
    """What happens to the second window of a pair, in this order; None is nothing.

    Parameters
    ----------
    speed, tempo : float
        1.05: played 5 % fast with its pitch, or with its pitch kept.
    shift : float
        Seconds that the window lies late.
    room : int, optional
        Number of the room it is heard in.
    equaliser : ndarray, optional
        Gains in dB at frequencies from 50 Hz up, spread evenly in octaves.
    telephone : bool
    noise, noise_at, snr_db : int, float, float
        Number of the recording of noise, where in it (0 … 1), and how far the music is above it.
    clip_db : float, optional
        Peaks are cut at this level, relative to the highest.
    """

    speed: float
    tempo: float
    shift: float
    room: int | None
    equaliser: npt.NDArray[np.float64] | None
    telephone: bool
    noise: int | None
    noise_at: float
    snr_db: float
    clip_db: float | None


def draw(rng: np.random.Generator, n_rooms: int, noise_shares: npt.NDArray[np.float64]) -> Degradation:
    """Draw what happens to one pair; noises are drawn by their shares."""
    kind = rng.random()
    speed = tempo = 1.0
    if kind < _SPEED:
        speed = rng.uniform(0.92, 1.08)
    elif kind < _SPEED + _TEMPO:
        tempo = rng.uniform(0.92, 1.08)
    elif kind > 0.95:
        speed = rng.uniform(0.95, 1.05)
        tempo = 1 / speed
    filtered = rng.random() < 0.75
    return Degradation(
        speed=speed,
        tempo=tempo,
        shift=rng.uniform(-SHIFT, SHIFT),
        room=int(rng.integers(n_rooms)) if filtered and rng.random() < 0.6 else None,
        equaliser=rng.uniform(-9, 9, 8) * rng.random() if filtered else None,
        telephone=bool(filtered and rng.random() < 0.2),
        noise=int(rng.choice(len(noise_shares), p=noise_shares)) if rng.random() < 0.85 else None,
        noise_at=rng.random(),
        snr_db=rng.uniform(*_NOISE_DB),
        clip_db=rng.uniform(-14, -4) if rng.random() < 0.15 else None,
    )


def degrade(
    stretch: Float32, what: Degradation, rooms: Sequence[Float32], noises: Sequence[Float32]
) -> Float32:
    """Make the frames of the second window, shape (N_FRAMES, n_fft), from PAST + WINDOW + AROUND seconds."""
    samples = stretch if what.speed == 1 else waveform.change_speed(stretch, what.speed)
    if what.room is not None:
        samples = waveform.convolve_room(samples, rooms[what.room])
    if what.equaliser is not None:
        frequencies = np.geomspace(50, RATE / 2, len(what.equaliser))
        samples = waveform.equalise(samples, RATE, frequencies, what.equaliser)
    if what.telephone:
        samples = waveform.telephone(samples, RATE)
    centre = (PAST + WINDOW / 2) / what.speed + what.shift
    begin = max(0, round((centre - WINDOW * what.tempo / 2) * RATE))
    part = samples[begin : begin + round(WINDOW * what.tempo * RATE) + 2]
    if what.noise is not None:
        noise = noises[what.noise]
        at = int(what.noise_at * max(1, len(noise) - len(part)))
        part = waveform.add_noise(part, np.resize(noise[at : at + len(part)], len(part)), what.snr_db)
    if what.clip_db is not None:
        part = waveform.clip(part, what.clip_db)
    # Another tempo is another distance of the frames: nothing is smeared, as a phase vocoder would.
    return framed(part, LOG_MEL.hop_length * what.tempo)


def framed(samples: Float32, hop: float = LOG_MEL.hop_length) -> Float32:
    """Cut the frames of one window, shape (N_FRAMES, n_fft), ``hop`` samples apart."""
    starts = np.round(np.arange(N_FRAMES) * hop).astype(int)
    starts = np.clip(starts, 0, max(0, len(samples) - LOG_MEL.n_fft))
    padded = np.pad(samples, (0, max(0, LOG_MEL.n_fft - len(samples))))
    frames: Float32 = padded[starts[:, None] + np.arange(LOG_MEL.n_fft)]
    return frames


def clean(stretch: Float32) -> Float32:
    """Cut the frames of the first window of a pair."""
    begin = round(PAST * RATE)
    return framed(stretch[begin : begin + round(WINDOW * RATE)])


def log_mel(frames: Float32) -> Float32:
    """Turn frames, shape (..., n_fft), into what the network is fed: (..., n_mels) in dB."""
    filters = mel_filters(RATE, LOG_MEL.n_fft, LOG_MEL.n_mels, LOG_MEL.fmin, LOG_MEL.fmax, LOG_MEL.mel_scale)
    spectrum = scipy.fft.rfft(frames * _HANN, axis=-1)
    power = (np.square(spectrum.real) + np.square(spectrum.imag)) @ filters.T
    decibels: Float32 = 10 * np.log10(np.maximum(power, np.float32(1e-10)))
    return decibels


def stretch_of(track: Float32, speed: float, rng: np.random.Generator) -> Float32:
    """Take a stretch of a track, played at some speed: PAST + WINDOW + AROUND seconds."""
    wanted = round((PAST + WINDOW + AROUND) * RATE)
    source = int(wanted * speed) + 64
    at = int(rng.integers(0, max(1, len(track) - source)))
    part = np.resize(track[at : at + source], source)
    return (waveform.change_speed(part, speed) if speed != 1 else part)[:wanted]
