"""Changes to batches of log-mel spectrograms: cheaper than to samples, and enough for most.

Every function takes float32 spectrograms of shape (n, frames, n_mels) in dB, silence at ``SILENCE_DB``, and
returns new ones, of the same shape but for :func:`stretch`: nothing is changed in place. None draws anything.
What has one value for each row of the batch has shape (n,).

Sounds are added by their power, and what is silent has none: it neither adds to what it is mixed with nor
becomes a noise floor when its spectrogram is made louder.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from echoic.audio.spectrogram import LogMel, mel_filters
from echoic.types import Float32

__all__ = [
    "SILENCE_DB",
    "add_background",
    "add_noise",
    "add_power",
    "band_centres",
    "equalise",
    "low_pass",
    "mask_bands",
    "mask_time",
    "mixup",
    "noise_texture",
    "shift_bands",
    "stretch",
]

SILENCE_DB = -100.0  # the floor of the front end
_SILENT_POWER = np.float32(1e-10)
_TO_POWER = np.float32(np.log(10) / 10)
_TO_DB = np.float32(10 / np.log(10))
_ACTIVE_POWER = 1e-4  # of the loudest frame, -40 dB: what is below passes for a pause
_LOWEST_HZ = 20.0

Rows = npt.NDArray[np.integer]


def _power(level: Float32) -> Float32:
    power: Float32 = np.exp(level * _TO_POWER)
    power *= level > SILENCE_DB
    return power


def _level(power: Float32) -> Float32:
    """Convert to dB; overwrites ``power``."""
    silent = power <= _SILENT_POWER
    np.maximum(power, _SILENT_POWER, out=power)
    np.log(power, out=power)  # a third of the time that log10 takes
    power *= _TO_DB
    power[silent] = SILENCE_DB
    return power


def _per_row(values: npt.ArrayLike) -> Float32:
    return np.asarray(values, np.float32)[:, None, None]


def _peak(batch: Float32) -> Float32:
    peak: Float32 = batch.max(axis=(1, 2), initial=SILENCE_DB, keepdims=True)
    return peak


def shift_bands(batch: Float32, bands: Rows) -> Float32:
    """Move spectrograms up by a number of mel bands, or down where it is negative, as another pitch would.

    The band at the edge is repeated.
    """
    n_mels = batch.shape[2]
    out = batch.copy()
    for source, target, by in zip(batch, out, np.clip(bands, -n_mels, n_mels), strict=True):
        if by > 0:
            target[:, by:] = source[:, : n_mels - by]
            target[:, :by] = source[:, :1]
        elif by < 0:
            target[:, :by] = source[:, -by:]
            target[:, by:] = source[:, -1:]
    return out


def stretch(spectrogram: Float32, tempo: float) -> Float32:
    """Play faster (tempo above 1) or slower, at the same pitch.

    Levels are interpolated linearly between frames.

    Parameters
    ----------
    spectrogram : ndarray of float32, shape (..., frames, n_mels)
    tempo : float
        Above 0.

    Returns
    -------
    ndarray of float32, shape (..., 1 + (frames - 1) / tempo, n_mels)

    Examples
    --------
    >>> stretch(np.zeros((247, 64), np.float32), 1.2).shape
    (206, 64)
    """
    n_frames = spectrogram.shape[-2]
    # The tolerance keeps the last frame where division and multiplication do not quite cancel.
    at = np.arange(int((n_frames - 1) / tempo + 1e-6) + 1 if n_frames else 0) * tempo
    left = np.minimum(at.astype(np.intp), n_frames - 1)
    right = np.minimum(left + 1, n_frames - 1)
    share = (at - left).astype(np.float32)[:, None]
    stretched: Float32 = spectrogram[..., left, :] * (1 - share)
    stretched += spectrogram[..., right, :] * share
    return stretched


def equalise(batch: Float32, gains_db: Float32) -> Float32:
    """Raise and lower the bands, as microphones, rooms and loudspeakers do; what is silent stays so.

    Parameters
    ----------
    gains_db : ndarray of float32, shape (n, n_mels)
    """
    raised: Float32 = np.maximum(batch + gains_db[:, None, :], np.float32(SILENCE_DB))
    np.copyto(raised, np.float32(SILENCE_DB), where=batch <= SILENCE_DB)
    return raised


def low_pass(batch: Float32, bands: Rows) -> Float32:
    """Silence the bands from a given one on, as a codec or a telephone does."""
    out = batch.copy()
    for row, band in zip(out, bands, strict=True):
        row[:, max(0, band) :] = SILENCE_DB
    return out


def add_power(a_db: Float32, b_db: Float32) -> Float32:
    """Add two spectrograms, of any one shape, as uncorrelated sounds add: by their power.

    Examples
    --------
    >>> add_power(np.zeros(2, np.float32), np.array([0, -100], np.float32)).round(2)
    array([3.01, 0.  ], dtype=float32)
    """
    power = _power(a_db)
    power += _power(b_db)
    return _level(power)


def add_background(batch: Float32, background: Float32, below_db: npt.ArrayLike) -> Float32:
    """Add other sounds, each with its peak ``below_db`` under that of the row it is added to.

    Parameters
    ----------
    background : ndarray of float32, shape (n, frames, n_mels)
    below_db : array_like, shape (n,)
    """
    gain = _power(_peak(batch)) / 10 ** (_per_row(below_db) / 10)
    power = _power(background)
    power *= gain / np.maximum(_power(_peak(background)), _SILENT_POWER)
    power += _power(batch)
    return _level(power)


def add_noise(batch: Float32, noise: Float32, snr_db: npt.ArrayLike) -> Float32:
    """Add a steady noise.

    Parameters
    ----------
    noise : ndarray of float32, shape (n, frames, n_mels)
        Power, not dB, on any scale; see :func:`noise_texture`.
    snr_db : array_like, shape (n,)
        Mean power of the active frames (at most 40 dB below the loudest one) over that of the noise; pauses
        do not count. Rows that are silent stay so.
    """
    power = _power(batch)
    frames = power.mean(axis=2)
    active = frames >= _ACTIVE_POWER * frames.max(axis=1, initial=0, keepdims=True)
    signal = (frames * active).sum(axis=1) / active.sum(axis=1)
    mean = np.maximum(noise.mean(axis=(1, 2)), np.finfo(np.float32).tiny)
    scale = signal / mean * 10 ** (-np.asarray(snr_db, np.float32) / 10)
    power += noise * _per_row(scale)
    return _level(power)


def noise_texture(front_end: LogMel, n_frames: int, rng: np.random.Generator) -> Float32:
    """Make the spectrogram of white noise: its grain, as this front end sees it.

    Returns
    -------
    ndarray of float32, shape (n_frames, n_mels)
        Power, of mean 1 in each band. Multiply it with the spectrum that the noise is to have.
    """
    n = front_end.n_fft + (n_frames - 1) * front_end.hop_length
    power = np.exp(front_end(rng.standard_normal((1, n), dtype=np.float32))[0] * _TO_POWER)
    texture: Float32 = power / power.mean(axis=0)
    return texture


def band_centres(front_end: LogMel) -> Float32:
    """Give the middle frequency of each mel band: (n_mels,) in Hz, at least 20."""
    filters = mel_filters(
        front_end.sample_rate, front_end.n_fft, front_end.n_mels, front_end.fmin, front_end.fmax
    )
    bins = np.fft.rfftfreq(front_end.n_fft, 1 / front_end.sample_rate).astype(np.float32)
    weight = np.maximum(filters.sum(axis=1), np.finfo(np.float32).tiny)
    centres: Float32 = np.maximum(filters @ bins / weight, np.float32(_LOWEST_HZ))
    return centres


def mask_time(batch: Float32, starts: Rows, widths: Rows) -> Float32:
    """Silence stretches of time (SpecAugment; Park et al., Interspeech 2019).

    Parameters
    ----------
    starts, widths : ndarray of int, shape (n, masks)
        Frames.
    """
    out = batch.copy()
    for row, row_starts, row_widths in zip(out, starts.tolist(), widths.tolist(), strict=True):
        for start, width in zip(row_starts, row_widths, strict=True):
            row[start : start + width] = SILENCE_DB
    return out


def mask_bands(batch: Float32, starts: Rows, widths: Rows) -> Float32:
    """Silence groups of neighbouring bands (SpecAugment; Park et al., Interspeech 2019).

    Parameters
    ----------
    starts, widths : ndarray of int, shape (n, masks)
        Bands.
    """
    out = batch.copy()
    for row, row_starts, row_widths in zip(out, starts.tolist(), widths.tolist(), strict=True):
        for start, width in zip(row_starts, row_widths, strict=True):
            row[:, start : start + width] = SILENCE_DB
    return out


def mixup(batch: Float32, share: Float32, partner: Rows) -> Float32:
    """Mix each row with another, both at one peak, that of the louder (Zhang et al., ICLR 2018).

    Parameters
    ----------
    share : ndarray of float32, shape (n,)
        Of the power, how much is the row's own, 0–1. A row with 1 stays as it is.
    partner : ndarray of int, shape (n,)
        Rows of the batch to be mixed with.
    """
    out = batch.copy()
    rows = np.flatnonzero(share < 1)
    own, other = batch[rows], batch[partner[rows]]
    own_peak, other_peak = _peak(own), _peak(other)
    peak = np.maximum(own_peak, other_peak)
    power = _power(own)
    power *= _per_row(share[rows]) * 10 ** ((peak - own_peak) / 10)
    more = _power(other)
    more *= _per_row(1 - share[rows]) * 10 ** ((peak - other_peak) / 10)
    power += more
    out[rows] = _level(power)
    return out
