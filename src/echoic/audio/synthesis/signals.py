"""What every synthetic sound is made of: oscillators, noise, filters, envelopes, a room.

Filtering is done in the frequency domain on zero-padded signals, with the complex responses of causal
analogue filters: nothing rings before its cause, and ``scipy.signal`` (1.4 s to import) is not needed.
Signals are float64 of shape (n,) until :func:`finish`, which makes the float32 that leaves the package.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from echoic.types import Float32

__all__ = [
    "Complex128",
    "Float64",
    "convolve",
    "damped_modes",
    "decay",
    "filtered",
    "finish",
    "highpass",
    "lowpass",
    "noise",
    "oscillate",
    "place",
    "resonance",
    "reverberate",
    "sweep_filter",
    "tone",
    "wander",
]

Float64 = npt.NDArray[np.float64]
Complex128 = npt.NDArray[np.complex128]

_PEAK = 0.9  # highest peak of anything written: lossy codecs overshoot a little


def tone(frequency: float, seconds: float, sample_rate: int, *, amplitude: float = 0.5) -> Float32:
    """Make a sine that starts at phase zero.

    Parameters
    ----------
    frequency : float
        Hz.
    seconds : float
    sample_rate : int
        Hz.
    amplitude : float
        Peak, 1 being full scale.

    Returns
    -------
    ndarray of float32, shape (n,)

    Examples
    --------
    >>> tone(440, 0.5, 16_000).shape
    (8000,)
    """
    time = np.arange(round(seconds * sample_rate)) / sample_rate
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)


def noise(seconds: float, sample_rate: int, seed: int = 0, *, amplitude: float = 0.5) -> Float32:
    """Make white noise, uniform in ``-amplitude … amplitude``.

    Returns
    -------
    ndarray of float32, shape (n,)

    Examples
    --------
    >>> noise(0.5, 16_000, seed=1).shape
    (8000,)
    """
    rng = np.random.default_rng(seed)
    return rng.uniform(-amplitude, amplitude, round(seconds * sample_rate)).astype(np.float32)


def oscillate(
    frequency: float | Float64, harmonics: Float64, n: int, sample_rate: int, *, phase: float = 0.0
) -> Float64:
    """Play a band-limited periodic wave of constant or moving pitch.

    Parameters
    ----------
    frequency : float or ndarray of float64, shape (n,)
        Hz, at each sample if an array.
    harmonics : ndarray of float64, shape (k,)
        Amplitudes from the fundamental on, all in sine phase. Those that would pass 0.45 of the
        sample rate at the highest pitch are left out, so nothing folds back.
    n : int
        Samples.
    phase : float
        Where in the period to start, 0–1.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    pitch = np.broadcast_to(np.asarray(frequency, np.float64), (n,))
    kept = harmonics[: int(0.45 * sample_rate / max(float(pitch.max()), 1e-9))]
    # 32 points for each period of the highest harmonic keep the linear interpolation below -60 dB.
    size = 1 << max(11, int(np.ceil(np.log2(32 * max(len(kept), 1)))))
    spectrum = np.zeros(size // 2 + 1, np.complex128)
    spectrum[1 : 1 + len(kept)] = -0.5j * size * kept
    table = np.fft.irfft(spectrum, size)
    table = np.append(table, table[0])
    position = (phase + np.cumsum(pitch) / sample_rate) % 1.0 * size
    index = np.minimum(position.astype(np.int64), size - 1)
    below = table[index]
    return np.asarray(below + (position - index) * (table[index + 1] - below))


def damped_modes(
    frequencies: Float64, t60: Float64, amplitudes: Float64, n: int, sample_rate: int, phases: Float64
) -> Float64:
    """Sum exponentially decaying sinusoids: the modes of something that was struck.

    Parameters
    ----------
    frequencies, t60, amplitudes, phases : ndarray of float64, shape (modes,)
        Hz, seconds to fall by 60 dB, peak, radians. Modes past 0.45 of the sample rate are left out.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    keep = frequencies < 0.45 * sample_rate
    rate = -np.log(1000) / t60[keep] + 2j * np.pi * frequencies[keep]
    start = amplitudes[keep] * np.exp(1j * phases[keep])
    # exp(r (i B + j)) = exp(r i B) exp(r j): one matrix product instead of n exponentials a mode.
    block = max(1, int(np.sqrt(n)))
    coarse = np.exp(np.outer(np.arange(0, n, block) / sample_rate, rate))
    fine = np.exp(np.outer(rate, np.arange(block) / sample_rate))
    return np.ascontiguousarray(((coarse * start) @ fine).imag.ravel()[:n])


def wander(rng: np.random.Generator, n: int, sample_rate: int, rate: float) -> Float64:
    """Draw a smooth random curve in 0–1 that turns about ``rate`` times a second.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    n_knots = max(2, int(np.ceil(n / sample_rate * rate)) + 2)
    knots = rng.uniform(0, 1, n_knots)
    position = np.arange(n) * (rate / sample_rate)
    index = np.minimum(position.astype(np.int64), n_knots - 2)
    between = 0.5 - 0.5 * np.cos(np.pi * np.minimum(position - index, 1.0))
    return np.asarray(knots[index] * (1 - between) + knots[index + 1] * between)


def decay(n: int, sample_rate: int, t60: float, *, attack: float = 0.002) -> Float64:
    """Make the envelope of a blow: a raised-cosine attack, then 60 dB down every ``t60`` seconds.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    time = np.arange(n) / sample_rate
    rise = 0.5 - 0.5 * np.cos(np.pi * np.minimum(time / attack, 1.0))
    return np.asarray(rise * np.exp(-np.log(1000) / t60 * np.maximum(time - attack, 0)))


def lowpass(frequencies: Float64 | Complex128, cutoff: float, order: int = 2) -> Complex128:
    """Respond like ``order`` first-order low-pass filters in a row."""
    return np.asarray((1 / (1 + 1j * frequencies / cutoff)) ** order, np.complex128)


def highpass(frequencies: Float64 | Complex128, cutoff: float, order: int = 2) -> Complex128:
    """Respond like ``order`` first-order high-pass filters in a row."""
    ratio = 1j * frequencies / cutoff
    return np.asarray((ratio / (1 + ratio)) ** order, np.complex128)


def resonance(frequencies: Float64 | Complex128, centre: float, bandwidth: float) -> Complex128:
    """Respond like one resonance of gain 1 at ``centre``; ``bandwidth`` in Hz at -3 dB."""
    damped = 1j * frequencies * bandwidth
    return np.asarray(damped / (centre**2 - frequencies**2 + damped), np.complex128)


def filtered(x: Float64, sample_rate: int, response: Callable[[Float64], Complex128]) -> Float64:
    """Filter ``x`` by a function that gives the complex response at each frequency in Hz.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    size = _padded(len(x) + sample_rate // 4)  # a quarter second of silence for the tail to die in
    frequencies = np.arange(size // 2 + 1, dtype=np.float64) * (sample_rate / size)
    return np.fft.irfft(np.fft.rfft(x, size) * response(frequencies), size)[: len(x)]


def sweep_filter(x: Float64, sample_rate: int, gain: Callable[[Float64, Float64], Float64]) -> Float64:
    """Filter ``x`` by a gain that moves in time (overlap-add of short spectra).

    Parameters
    ----------
    gain : callable
        Called as ``gain(seconds, frequencies)`` with shapes (frames, 1) and (1, bins); returns the real
        gain, shape (frames, bins).

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    size = 1 << (sample_rate // 45).bit_length()  # 23 ms at 44.1 kHz
    hop = size // 4
    taper = np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size))
    n_frames = len(x) // hop + 5
    padded = np.zeros((n_frames + 3) * hop)
    padded[size - hop : size - hop + len(x)] = x
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    seconds: Float64 = (np.arange(n_frames)[:, None] * float(hop) - (size - hop) + size / 2) / sample_rate
    frequencies = np.arange(size // 2 + 1, dtype=np.float64)[None, :] * (sample_rate / size)
    shaped = np.fft.irfft(np.fft.rfft(frames * taper, axis=1) * gain(seconds, frequencies), size, axis=1)
    shaped *= taper / 2  # four squared Hann tapers overlap to 2
    out = np.zeros((n_frames + 3, hop))
    for quarter in range(4):
        out[quarter : quarter + n_frames] += shaped[:, quarter * hop : (quarter + 1) * hop]
    return out.ravel()[size - hop : size - hop + len(x)]


def convolve(x: Float64, response: Float64) -> Float64:
    """Convolve by FFT; the result is ``len(x) + len(response) - 1`` long."""
    n = len(x) + len(response) - 1
    size = _padded(n)
    return np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(response, size), size)[:n]


def reverberate(
    x: Float64,
    sample_rate: int,
    rng: np.random.Generator,
    *,
    t60: float,
    wet: float,
    tail: float | None = None,
) -> Float64:
    """Put ``x`` into a room: early echoes, then noise that decays, the treble faster than the rest.

    Parameters
    ----------
    t60 : float
        Seconds until the room's sound has fallen by 60 dB.
    wet : float
        Level of the room relative to the direct sound.
    tail : float, optional
        Seconds to let it ring after ``x`` ends; by default 0.6 ``t60``.

    Returns
    -------
    ndarray of float64, shape (n + tail,)
    """
    n = max(1, round(t60 * sample_rate))
    hiss = rng.standard_normal(n)
    bass = filtered(hiss, sample_rate, lambda f: lowpass(f, 1200, 1))
    response = 2.5 * bass * decay(n, sample_rate, t60) + (hiss - bass) * decay(n, sample_rate, 0.45 * t60)
    response[: min(n, int(0.012 * sample_rate))] = 0  # nothing before the sound has met a wall
    response /= np.sqrt(np.sum(response**2)) + 1e-12
    for _ in range(5):
        at = int(rng.integers(int(0.004 * sample_rate), int(0.035 * sample_rate)))
        response[min(at, n - 1)] += rng.uniform(-0.3, 0.3)
    ring = round((0.6 * t60 if tail is None else tail) * sample_rate)
    direct = x * _fades(len(x), 0, round(0.06 * sample_rate))  # else its end would click into the room
    out = np.zeros(len(x) + ring)
    out[: len(x)] = direct
    room = convolve(direct, response)[: len(out)]
    out[: len(room)] += wet * room
    return out


def place(target: Float64, x: Float64, at: int, gain: float = 1.0) -> None:
    """Add ``x`` to ``target`` in place from sample ``at`` on; what passes the end is cut."""
    part = x[: max(0, len(target) - at)]
    target[at : at + len(part)] += gain * part


def finish(x: Float64, sample_rate: int, *, peak: float, fade: float = 0.03) -> Float32:
    """Make a signal fit to be written: no rumble or DC, faded ends, a given peak.

    Parameters
    ----------
    x : ndarray of float64, shape (n,) or (n, channels)
    peak : float
        At most 0.9 is used.
    fade : float
        Seconds of the fade-out; the fade-in takes 3 ms, so that attacks stay sharp.

    Returns
    -------
    ndarray of float32, shape of ``x``
    """
    columns = x.reshape(len(x), -1)
    clean = np.stack(
        [filtered(c, sample_rate, lambda f: highpass(f, 25.0, order=2)) for c in columns.T], axis=1
    )
    window = _fades(len(x), round(0.003 * sample_rate), round(fade * sample_rate))[:, None]
    clean *= window
    clean -= window * (clean.mean(axis=0) / max(float(window.mean()), 1e-12))  # what the fades left of DC
    clean *= min(peak, _PEAK) / (float(np.abs(clean).max()) + 1e-12)
    return np.ascontiguousarray(clean.reshape(x.shape), np.float32)


def _fades(n: int, n_in: int, n_out: int) -> Float64:
    window = np.ones(n)
    n_in, n_out = min(n_in, n // 2), min(n_out, n // 2)
    window[:n_in] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(n_in) / max(n_in, 1))
    window[n - n_out :] *= 0.5 + 0.5 * np.cos(np.pi * (np.arange(n_out) + 1) / max(n_out, 1))
    return window


def _padded(n: int) -> int:
    """Find a length of at least ``n`` whose FFT is fast: a power of two times 1, 9/8, 5/4, 3/2 or 15/8."""
    eighth = 1 << max(0, (n - 1).bit_length() - 4)
    return next(factor * eighth for factor in (8, 9, 10, 12, 15, 16) if factor * eighth >= n)
