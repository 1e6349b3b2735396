"""Which changes a window meets, and how strongly: drawn here, made by the modules beside this one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from echoic.audio.spectrogram import LogMel
from echoic.errors import UsageError
from echoic.training.augment import spectrogram, waveform
from echoic.types import Float32

__all__ = ["Augmentation", "Augmenter", "Draw"]

_COLOURS = (0.0, 1.0, 2.0)  # white, pink, brown: the exponents of what noise is made where none is given
_DRR_DB = (-3.0, 15.0)  # of rooms that are made: from across the room to close by
_EQUALISER_KNOTS = 5
_TEXTURE_FRAMES = 4096  # of noise that are made once, to be used from a random frame on each time
_TEXTURE_SEED = 0
_N_MASKS = 2


@dataclass(frozen=True, slots=True)
class Draw:
    """A value that is drawn evenly from ``low … high``, with a probability; else the change is left out.

    Raises
    ------
    UsageError
        If the probability is not in 0 … 1, or the range is empty or not finite.
    """

    probability: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise UsageError(f"a probability of {self.probability} cannot be; give one in 0 … 1")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low <= self.high):
            raise UsageError(f"nothing can be drawn from {self.low} … {self.high}; give low <= high")

    def one(self, rng: np.random.Generator) -> float | None:
        """Draw for one window: a value, or None."""
        if rng.random() >= self.probability:
            return None
        return float(rng.uniform(self.low, self.high))

    def rows(self, n: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Draw for n windows: the rows that are changed, and a value for each of those."""
        rows = np.flatnonzero(rng.random(n) < self.probability)
        return rows, rng.uniform(self.low, self.high, len(rows))


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How often, and within which range, windows are changed.

    The defaults leave to spectrograms what can be done there, as that costs least.

    Parameters
    ----------
    speed : Draw
        *Of the samples, in the order of what happens to a sound.* Factor on speed and pitch together.
    room : Draw
        Seconds of reverberation (RT60) of a made room; where responses were given, one of those is used and
        only the probability counts.
    noise : Draw
        Signal-to-noise ratio in dB, of a noise that was given, or else of white, pink or brown noise.
    equaliser : Draw
        Highest gain and deepest loss in dB of a smooth random curve.
    high_pass, low_pass : Draw
        Cutoff in Hz.
    telephone : Draw
        Only the probability counts.
    clip : Draw
        Threshold in dB relative to the peak; half are cut off, half bent.
    codec : Draw
        Bits per second, with opus, mp3 or AAC. Takes ten times as long as any other.
    gain : Draw
        dB.
    bands : Draw
        *Of the spectrograms.* Mel bands by which the pitch moves.
    background : Draw
        Another window of the batch, its peak so many dB below.
    hiss : Draw
        Signal-to-noise ratio in dB of steady noise, between white and brown.
    tone : Draw
        As ``equaliser``.
    cutoff : Draw
        *Of the masks.* Share of the bands that are left by a codec or telephone.
    time_masks, band_masks : Draw
        Share of the frames, or bands, that each of two masks silences.

    Raises
    ------
    UsageError
        If a factor, time or frequency could be drawn that is not above 0, or a bit rate that codecs refuse.

    Examples
    --------
    >>> Augmentation(codec=Draw(0.1, 12_000, 24_000)).codec.probability
    0.1
    """

    speed: Draw = Draw(0.15, 0.92, 1.08)
    room: Draw = Draw(0.1, 0.15, 0.9)
    noise: Draw = Draw(0.15, 0, 30)
    equaliser: Draw = Draw(0.0, 2, 10)
    high_pass: Draw = Draw(0.05, 80, 400)
    low_pass: Draw = Draw(0.05, 1500, 7000)
    telephone: Draw = Draw(0.03, 0, 0)
    clip: Draw = Draw(0.05, -18, -3)
    codec: Draw = Draw(0.01, 12_000, 32_000)
    gain: Draw = Draw(0.5, -20, 6)
    bands: Draw = Draw(0.5, -3, 3)
    background: Draw = Draw(0.3, 5, 30)
    hiss: Draw = Draw(0.15, 5, 40)
    tone: Draw = Draw(0.7, 2, 8)
    cutoff: Draw = Draw(0.08, 0.625, 1)
    time_masks: Draw = Draw(1, 0, 1 / 7)
    band_masks: Draw = Draw(1, 0, 1 / 8)

    def __post_init__(self) -> None:
        for name in ("speed", "room", "high_pass", "low_pass"):
            low = getattr(self, name).low
            if low <= 0:
                raise UsageError(f"{name} cannot be drawn from {low:g} on; give a range above 0")
        lowest, highest = waveform.BIT_RATES
        if not lowest <= self.codec.low <= self.codec.high <= highest:
            raise UsageError(f"codec is drawn in bits/s; give a range within {lowest:,} … {highest:,}")

    @classmethod
    def none(cls) -> Augmentation:
        """Change nothing."""
        default = cls()
        never = {field.name: replace(getattr(default, field.name), probability=0) for field in fields(cls)}
        return cls(**never)


class Augmenter:
    """Draws changes and makes them.

    What is drawn depends on nothing but the generator that is handed in: equal seeds, equal changes. May be
    used by several threads, each with a generator of its own.

    Parameters
    ----------
    settings : Augmentation
    front_end : LogMel
        Tells the sample rate, and what noise looks like.
    noises, responses : sequence of ndarray of float32, shape (n,)
        Recorded noises, and impulse responses of rooms, at the front end's sample rate.

    Examples
    --------
    >>> mel = LogMel(sample_rate=16_000, n_fft=1024, hop_length=320, n_mels=64, fmin=50, fmax=8_000)
    >>> augmenter = Augmenter(Augmentation(), mel)
    >>> rng = np.random.default_rng(0)
    >>> windows = np.stack([mel(augmenter.waveform(np.ones(16_000, np.float32), rng)[None, :9600])[0]] * 2)
    >>> augmenter.mask(augmenter.spectrogram(windows, rng), rng).shape
    (2, 27, 64)
    """

    def __init__(
        self,
        settings: Augmentation,
        front_end: LogMel,
        *,
        noises: Sequence[Float32] = (),
        responses: Sequence[Float32] = (),
    ) -> None:
        self.settings = settings
        self._front_end = front_end
        self._sample_rate = front_end.sample_rate
        self._noises = noises
        self._responses = responses

    def waveform(self, samples: Float32, rng: np.random.Generator) -> Float32:
        """Change one window as a sound is changed on its way from the source to a file.

        Returns
        -------
        ndarray of float32, shape (m,)
            A new array, of the length of ``samples`` unless the speed was changed.
        """
        s, rate = self.settings, self._sample_rate
        out: Float32 = np.array(samples, np.float32)
        if (factor := s.speed.one(rng)) is not None:
            out = waveform.change_speed(out, factor)
        if (rt60 := s.room.one(rng)) is not None:
            out = waveform.convolve_room(out, self._response(rt60, rng))
        if (snr_db := s.noise.one(rng)) is not None:
            out = waveform.add_noise(out, self._noise(len(out), rng), snr_db)
        if (most_db := s.equaliser.one(rng)) is not None:
            knots = np.geomspace(60, rate / 2, _EQUALISER_KNOTS)
            out = waveform.equalise(out, rate, knots, rng.uniform(-most_db, most_db, _EQUALISER_KNOTS))
        if (cutoff := s.high_pass.one(rng)) is not None:
            out = waveform.high_pass(out, rate, cutoff)
        if (cutoff := s.low_pass.one(rng)) is not None:
            out = waveform.low_pass(out, rate, cutoff)
        if s.telephone.one(rng) is not None:
            out = waveform.telephone(out, rate)
        if (threshold_db := s.clip.one(rng)) is not None:
            out = waveform.clip(out, threshold_db, soft=bool(rng.random() < 0.5))
        if (bit_rate := s.codec.one(rng)) is not None:
            name = str(rng.choice(list(waveform.CODECS)))
            out = waveform.codec(out, rate, name, round(bit_rate))
        if (gain_db := s.gain.one(rng)) is not None:
            out = waveform.amplify(out, gain_db)
        return out

    def _response(self, rt60: float, rng: np.random.Generator) -> Float32:
        if self._responses:
            return self._responses[int(rng.integers(len(self._responses)))]
        return waveform.synthetic_room(rt60, self._sample_rate, rng, drr_db=rng.uniform(*_DRR_DB))

    def _noise(self, n: int, rng: np.random.Generator) -> Float32:
        if not self._noises:
            return waveform.coloured_noise(n, float(rng.choice(_COLOURS)), rng, lowest=20 / self._sample_rate)
        noise = self._noises[int(rng.integers(len(self._noises)))]
        if len(noise) > n:
            start = int(rng.integers(len(noise) - n + 1))
            return noise[start : start + n]
        return np.roll(noise, int(rng.integers(max(1, len(noise)))))

    def spectrogram(self, batch: Float32, rng: np.random.Generator) -> Float32:
        """Change windows as other sources, backgrounds and microphones would: (n, frames, n_mels) in dB.

        Masks are apart, as they come after the mixing of windows; see :meth:`mask`.
        """
        s, n = self.settings, len(batch)
        out: Float32 = np.array(batch, np.float32)
        rows, bands = s.bands.rows(n, rng)
        if len(rows):
            out[rows] = spectrogram.shift_bands(out[rows], np.rint(bands).astype(np.intp))
        rows, below_db = s.background.rows(n, rng)
        if len(rows) and n > 1:
            others = (rows + rng.integers(1, n, len(rows))) % n  # any but itself
            out[rows] = spectrogram.add_background(out[rows], batch[others], below_db)
        rows, snr_db = s.hiss.rows(n, rng)
        if len(rows):
            out[rows] = spectrogram.add_noise(out[rows], self._hiss(len(rows), batch.shape[1], rng), snr_db)
        rows, most_db = s.tone.rows(n, rng)
        if len(rows):
            knots = rng.uniform(-1, 1, (len(rows), _EQUALISER_KNOTS)) * most_db[:, None]
            gains_db = (knots @ _hats(batch.shape[2])).astype(np.float32)
            out[rows] = spectrogram.equalise(out[rows], gains_db)
        return out

    def _hiss(self, n: int, n_frames: int, rng: np.random.Generator) -> Float32:
        """Make n noises between white and brown: power, (n, frames, n_mels)."""
        texture, octaves = self._texture
        starts = rng.integers(len(texture), size=n)
        slopes = rng.uniform(_COLOURS[0], _COLOURS[-1], n).astype(np.float32)
        shape = np.exp2(-slopes[:, None] * octaves)
        frames = (starts[:, None] + np.arange(n_frames)) % len(texture)
        hiss: Float32 = texture[frames] * shape[:, None, :]
        return hiss

    @cached_property
    def _texture(self) -> tuple[Float32, Float32]:
        """White noise as the front end sees it, and how many octaves each band lies above 1 kHz."""
        rng = np.random.default_rng(_TEXTURE_SEED)
        texture = spectrogram.noise_texture(self._front_end, _TEXTURE_FRAMES, rng)
        return texture, np.log2(spectrogram.band_centres(self._front_end) / np.float32(1000))

    def mask(self, batch: Float32, rng: np.random.Generator) -> Float32:
        """Silence what a codec would, and stretches of time and bands: (n, frames, n_mels) in dB."""
        s = self.settings
        n, n_frames, n_mels = batch.shape
        out: Float32 = np.array(batch, np.float32)
        rows, share = s.cutoff.rows(n, rng)
        if len(rows):
            out[rows] = spectrogram.low_pass(out[rows], (share * n_mels).astype(np.intp))
        out = spectrogram.mask_time(out, *_places(s.time_masks, n, n_frames, rng))
        return spectrogram.mask_bands(out, *_places(s.band_masks, n, n_mels, rng))


def _places(
    masks: Draw, n: int, length: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Draw where masks start and how wide they are: both (n, masks)."""
    widths = np.zeros(n * _N_MASKS, np.intp)
    drawn, share = masks.rows(n * _N_MASKS, rng)
    widths[drawn] = np.clip(share * (length + 1), 0, length)  # cut down to whole ones: any as likely
    starts = rng.integers(0, length - widths + 1)
    return starts.reshape(n, _N_MASKS), widths.reshape(n, _N_MASKS)


def _hats(n_mels: int) -> npt.NDArray[np.float64]:
    """Interpolate linearly between knots spread over the bands: (knots, n_mels)."""
    at = np.linspace(0, _EQUALISER_KNOTS - 1, n_mels)
    hats: npt.NDArray[np.float64] = np.maximum(0, 1 - np.abs(at - np.arange(_EQUALISER_KNOTS)[:, None]))
    return hats
