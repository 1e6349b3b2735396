"""Changes to one window of mono samples, as rooms, microphones, noise, telephones and codecs make them.

Every function takes float32 samples of shape (n,), full scale at ±1, and returns new ones: nothing is changed
in place, and what is silent stays silent. None draws anything; those that make noise take the generator.

Filters have zero phase, so that no sound moves in time; their slopes are gentle enough that what rings before
an onset is over within milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt
import soxr

from echoic.errors import UsageError
from echoic.types import Float32

__all__ = [
    "BIT_RATES",
    "BLOCK_SAMPLES",
    "CODECS",
    "active_blocks",
    "active_power",
    "add_noise",
    "amplify",
    "change_speed",
    "clip",
    "codec",
    "coloured_noise",
    "convolve_room",
    "equalise",
    "high_pass",
    "low_pass",
    "synthetic_room",
    "telephone",
]

BLOCK_SAMPLES = 256  # in which activity is measured: 16 ms at 16 kHz
_ACTIVE_POWER = 1e-4  # of the loudest block, -40 dB: what is below passes for a pause
_RINGING = 0.1  # s of zeros behind a window, into which a filter may ring
_DEEPEST = 1e8  # where a filter falls no further: at -160 dB float32 has no digits left
_ALMOST_DC = 1e-3  # Hz, in place of 0, by which nothing can be divided
_TELEPHONE_HZ = (300.0, 3400.0)  # the pass band of ITU-T G.712
_REFLECTIONS = (0.002, 0.04)  # s after the direct sound in which single reflections arrive
_REFLECTION_LEVEL = 4.0  # of a single reflection, relative to the reverberation around it


def amplify(samples: Float32, gain_db: float) -> Float32:
    """Make a window louder, or softer where ``gain_db`` is negative; nothing is clipped.

    Examples
    --------
    >>> amplify(np.ones(1, np.float32), -20)
    array([0.1], dtype=float32)
    """
    return samples * np.float32(10 ** (gain_db / 20))


def active_blocks(samples: Float32) -> npt.NDArray[np.bool_]:
    """Tell in which blocks of ``BLOCK_SAMPLES`` there is sound, not a pause.

    A block is active if its power is at most 40 dB below that of the loudest one. All are in silence.

    Returns
    -------
    ndarray of bool, shape (ceil(n / BLOCK_SAMPLES),)
    """
    energy, size = _block_energies(samples)
    power = energy / size
    active: npt.NDArray[np.bool_] = power >= _ACTIVE_POWER * power.max(initial=0)
    return active


def active_power(samples: Float32) -> float:
    """Measure the mean square of the active blocks; 0 if there is no sound at all.

    That of a short sound does not depend on how much silence surrounds it.
    """
    energy, size = _block_energies(samples)
    active = active_blocks(samples)
    return float(energy[active].sum() / max(1, size[active].sum()))


def _block_energies(samples: Float32) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    starts = np.arange(0, len(samples), BLOCK_SAMPLES)
    if not len(starts):
        return np.zeros(0), np.zeros(0, np.int64)
    energy = np.add.reduceat(np.square(samples), starts).astype(np.float64)
    return energy, np.diff(starts, append=len(samples))


def add_noise(samples: Float32, noise: Float32, snr_db: float) -> Float32:
    """Add noise at a signal-to-noise ratio.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
    noise : ndarray of float32, shape (m,)
        Cut to n samples, or repeated if shorter.
    snr_db : float
        Ratio of the :func:`active_power` of the two. Pauses do not count: if they did, 10 dB over a window
        that is silent but for one click would be 35 dB where the click is heard.

    Returns
    -------
    ndarray of float32, shape (n,)
        The samples unchanged if they, or the noise, are silent: there is no ratio to silence.
    """
    if not len(noise):
        return samples.copy()
    noise = np.resize(noise, len(samples))
    signal_power, noise_power = active_power(samples), active_power(noise)
    if signal_power == 0 or noise_power == 0:
        return samples.copy()
    return samples + np.float32((signal_power / noise_power) ** 0.5 * 10 ** (-snr_db / 20)) * noise


def coloured_noise(n: int, exponent: float, rng: np.random.Generator, *, lowest: float = 1 / 800) -> Float32:
    """Make noise whose power falls with frequency f as 1 / f ** exponent, of mean square 1.

    Parameters
    ----------
    n : int
        Samples.
    exponent : float
        0 white, 1 pink, 2 brown (red); negative for blue.
    lowest : float
        Cycles a sample below which the spectrum is flat, 20 Hz at 16 kHz: what nobody hears would otherwise
        hold nearly all the power of brown noise.

    Returns
    -------
    ndarray of float32, shape (n,)

    Notes
    -----
    The spectrum has the wanted magnitudes and random phases (Timmer and König, "On generating power law
    noise", A&A 300, 1995, draw both): half the numbers to draw, and in every short stretch the same noise.
    """
    import scipy.fft

    if n == 0:
        return np.zeros(0, np.float32)
    size = scipy.fft.next_fast_len(n, real=True)
    frequencies = np.arange(size // 2 + 1, dtype=np.float32) / np.float32(size)
    phases = rng.random(len(frequencies), dtype=np.float32) * np.float32(2 * np.pi)
    magnitudes = np.maximum(frequencies, np.float32(lowest)) ** np.float32(-exponent / 2)
    spectrum = np.empty(len(frequencies), np.complex64)
    np.multiply(np.cos(phases), magnitudes, out=spectrum.real)
    np.multiply(np.sin(phases), magnitudes, out=spectrum.imag)
    noise: Float32 = scipy.fft.irfft(spectrum, size)[:n]
    noise /= np.sqrt(np.mean(np.square(noise)) + np.finfo(np.float32).tiny)
    return noise


def convolve_room(samples: Float32, response: Float32) -> Float32:
    """Let a sound be heard in a room.

    Parameters
    ----------
    samples : ndarray of float32, shape (n,)
    response : ndarray of float32, shape (m,)
        Impulse response of the room, at the same sample rate. The delay of its direct path is taken out: the
        first sample that has half the highest magnitude, as a later reflection may be the strongest.

    Returns
    -------
    ndarray of float32, shape (n,)
        As loud as the samples (equal mean square), and every onset where it was. What rings on behind the
        window is cut.
    """
    import scipy.fft

    magnitude = np.abs(response)
    highest = magnitude.max(initial=0)
    energy = float(np.vdot(samples, samples))
    if energy == 0 or highest == 0:
        return samples.copy()
    delay = int(np.argmax(magnitude >= highest / 2))
    response = response[: len(samples) + delay] / highest
    size = scipy.fft.next_fast_len(len(samples) + len(response) - 1, real=True)
    spectrum = scipy.fft.rfft(samples, size) * scipy.fft.rfft(response, size)
    heard: Float32 = scipy.fft.irfft(spectrum, size)[delay : delay + len(samples)]
    heard_energy = float(np.vdot(heard, heard))
    if heard_energy == 0:
        return samples.copy()
    return heard * np.float32((energy / heard_energy) ** 0.5)


def synthetic_room(
    rt60: float, sample_rate: int, rng: np.random.Generator, *, drr_db: float = 5.0, n_reflections: int = 6
) -> Float32:
    """Make the impulse response of a room that does not exist.

    The direct sound, a few early reflections, and noise that decays exponentially (Moorer, "About this
    reverberation business", Computer Music Journal 3(2), 1979).

    Parameters
    ----------
    rt60 : float
        Seconds in which the reverberation falls by 60 dB.
    sample_rate : int
        Hz.
    drr_db : float
        Energy of the direct sound relative to all that follows.
    n_reflections : int

    Returns
    -------
    ndarray of float32, shape (rt60 * sample_rate,)
        The direct sound is its first sample, 1.
    """
    n = max(1, round(rt60 * sample_rate))
    envelope = np.exp(np.arange(n, dtype=np.float32) * np.float32(-3 * np.log(10) / n))
    response = rng.standard_normal(n, dtype=np.float32)
    earliest, latest = (min(n, round(seconds * sample_rate)) for seconds in _REFLECTIONS)
    response[:earliest] = 0
    if earliest < latest:
        at = rng.integers(earliest, latest, n_reflections)
        response[at] = rng.choice((-_REFLECTION_LEVEL, _REFLECTION_LEVEL), n_reflections)
    response *= envelope
    energy = float(np.vdot(response, response))
    if energy > 0:
        response *= np.float32((10 ** (-drr_db / 10) / energy) ** 0.5)
    response[0] = 1
    return response


def low_pass(samples: Float32, sample_rate: int, cutoff: float, *, order: int = 8) -> Float32:
    """Take out what is above ``cutoff`` (Hz, at -3 dB), falling by 6 ``order`` dB an octave (Butterworth)."""
    return _filtered(samples, sample_rate, lambda bins: _butterworth(bins / np.float32(cutoff), order))


def high_pass(samples: Float32, sample_rate: int, cutoff: float, *, order: int = 4) -> Float32:
    """Take out what is below ``cutoff`` (Hz, at -3 dB), falling by 6 ``order`` dB an octave (Butterworth)."""
    return _filtered(samples, sample_rate, lambda bins: _butterworth(np.float32(cutoff) / bins, order))


def telephone(samples: Float32, sample_rate: int) -> Float32:
    """Leave the band of a telephone, 300 to 3,400 Hz."""
    low, high = (np.float32(cutoff) for cutoff in _TELEPHONE_HZ)
    return _filtered(
        samples, sample_rate, lambda bins: _butterworth(low / bins, 8) * _butterworth(bins / high, 16)
    )


def equalise(
    samples: Float32, sample_rate: int, frequencies: npt.ArrayLike, gains_db: npt.ArrayLike
) -> Float32:
    """Raise and lower parts of the spectrum, as microphones and loudspeakers do.

    Parameters
    ----------
    frequencies, gains_db : array_like, shape (k,)
        Hz, rising and above 0, and the gain at each; between them gains go linearly in dB over log frequency,
        beyond the ends they stay.

    Returns
    -------
    ndarray of float32, shape (n,)
    """
    octaves, nepers = np.log2(frequencies), np.asarray(gains_db, np.float64) * (np.log(10) / 20)
    return _filtered(
        samples,
        sample_rate,
        lambda bins: np.exp(np.interp(np.log2(bins), octaves, nepers).astype(np.float32)),
    )


def _filtered(samples: Float32, sample_rate: int, gain: Callable[[Float32], Float32]) -> Float32:
    """Filter by a function that gives the gain at each frequency in Hz, all above 0."""
    import scipy.fft

    if not len(samples):
        return samples.copy()
    size = scipy.fft.next_fast_len(len(samples) + round(_RINGING * sample_rate), real=True)
    bins = np.arange(size // 2 + 1, dtype=np.float32) * np.float32(sample_rate / size)
    bins[0] = _ALMOST_DC
    spectrum = scipy.fft.rfft(samples, size)
    spectrum *= gain(bins)
    return np.ascontiguousarray(scipy.fft.irfft(spectrum, size)[: len(samples)])


def _butterworth(ratio: Float32, order: int) -> Float32:
    gain: Float32 = np.minimum(ratio, np.float32(_DEEPEST ** (1 / order)))
    gain **= 2 * order
    gain += 1
    np.sqrt(gain, out=gain)
    return np.reciprocal(gain, out=gain)


def clip(samples: Float32, threshold_db: float, *, soft: bool = False) -> Float32:
    """Overdrive a window.

    Parameters
    ----------
    threshold_db : float
        Highest magnitude that is left, relative to the window's own peak; at most 0.
    soft : bool
        Bend towards the threshold (tanh) instead of cutting off at it.

    Returns
    -------
    ndarray of float32, shape (n,)
        Nowhere larger than the samples.
    """
    threshold = np.abs(samples).max(initial=0) * np.float32(10 ** (threshold_db / 20))
    if threshold == 0:
        return samples.copy()
    if soft:
        bent: Float32 = threshold * np.tanh(samples / threshold)
        return bent
    return np.clip(samples, -threshold, threshold)


def change_speed(samples: Float32, factor: float) -> Float32:
    """Play faster or slower, as a tape: duration and pitch change together (soxr, HQ).

    Parameters
    ----------
    factor : float
        1.1 makes 10 % less of it and raises every frequency by 10 %.

    Returns
    -------
    ndarray of float32, shape (n / factor,)
    """
    changed: Float32 = soxr.resample(samples, factor, 1.0)
    return changed


class _Codec(NamedTuple):
    encoder: str  # ffmpeg's names
    decoder: str
    rates: tuple[int, ...]  # Hz
    delay: int  # samples in front that the decoder leaves to the container to take off
    options: dict[str, str]  # the fastest: what is lost matters here, not what it costs to lose least


CODECS = {
    "opus": _Codec("libopus", "opus", (8000, 12000, 16000, 24000, 48000), 0, {"compression_level": "0"}),
    "mp3": _Codec(
        "libmp3lame",
        "mp3float",
        (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
        0,
        {"compression_level": "9"},
    ),
    "aac": _Codec(
        "aac", "aac", (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000), 1024, {"aac_coder": "fast"}
    ),
}


BIT_RATES = (6_000, 128_000)  # lowest and highest that all of them take


def codec(samples: Float32, sample_rate: int, name: str, bit_rate: int) -> Float32:
    """Encode with a lossy codec and decode again, in memory.

    Parameters
    ----------
    sample_rate : int
        Hz. Where the codec does not take it, the samples go through the next higher one that it does.
    name : {"opus", "mp3", "aac"}
    bit_rate : int
        Bits per second, 6,000 to 128,000; below 32,000 the loss is heard.

    Returns
    -------
    ndarray of float32, shape (n,)
        In time with the samples: the delay of the codec is taken off.

    Raises
    ------
    UsageError
        If no codec has that name, or the bit rate is not in that range.
    """
    chosen = CODECS.get(name)
    if chosen is None:
        raise UsageError(f"no codec is called {name!r}; use one of {', '.join(CODECS)}")
    if not BIT_RATES[0] <= bit_rate <= BIT_RATES[1]:
        raise UsageError(f"no codec is run at {bit_rate} bits/s; give 6,000 to 128,000")
    peak = float(np.abs(samples).max(initial=0))
    if peak == 0:
        return samples.copy()
    scale = np.float32(max(1.0, peak))  # codecs clip what is beyond full scale
    rate = min((rate for rate in chosen.rates if rate >= sample_rate), default=max(chosen.rates))
    resampled = soxr.resample(samples / scale, sample_rate, rate)
    decoded, rate_out = _through(chosen, resampled, rate, bit_rate)
    heard = soxr.resample(decoded[chosen.delay :], rate_out, sample_rate)[: len(samples)] * scale
    out = np.zeros(len(samples), np.float32)
    out[: len(heard)] = heard
    return out


def _through(chosen: _Codec, samples: Float32, rate: int, bit_rate: int) -> tuple[Float32, int]:
    """Encode and decode; return what came out and its sample rate in Hz, which opus makes 48,000."""
    encoder = av.CodecContext.create(chosen.encoder, "w")
    decoder = av.CodecContext.create(chosen.decoder, "r")
    assert isinstance(encoder, av.AudioCodecContext)
    assert isinstance(decoder, av.AudioCodecContext)
    for context in (encoder, decoder):
        context.sample_rate = rate
        context.layout = "mono"
    encoder.format = "flt" if chosen.encoder == "libopus" else "fltp"
    encoder.bit_rate = bit_rate
    encoder.time_base = Fraction(1, rate)
    encoder.options = chosen.options
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[None], "flt", "mono")
    frame.sample_rate = rate
    frame.pts = 0  # without time stamps the encoder tells the decoder nothing of its delay
    frame.time_base = encoder.time_base
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    frames = [frame for packet in packets for frame in decoder.decode(packet)]
    frames += decoder.decode(None)
    if not frames:
        return np.zeros(0, np.float32), rate
    heard = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return heard.astype(np.float32, copy=False), frames[0].sample_rate
