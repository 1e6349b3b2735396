"""Encoders of a few lines each, as another package would bring: of samples, frames, words, and phrases."""

import numpy as np

from echoic import EncoderSpec, LogMel, UsageError, Waveform

RATE, LAGS = 8_000, 8


class Raw:
    """How alike a window of samples is to itself some samples later."""

    spec = EncoderSpec("raw", "1", RATE, 1.0, 0.5, LAGS, reference="autocorrelation", description="a double")
    front_end = Waveform(RATE)

    def encode(self, features):
        same = [(features[:, lag:] * features[:, : RATE - lag]).mean(axis=1) for lag in range(LAGS)]
        level = np.stack(same, axis=1) + np.float32(1e-12) * (np.arange(LAGS) == 0)
        return (level / np.linalg.norm(level, axis=1, keepdims=True)).astype(np.float32)


class Words(Raw):
    """The same, and of words: the frequency in Hz of a tone."""

    spec = EncoderSpec(
        "words",
        "1",
        RATE,
        1.0,
        0.5,
        LAGS,
        frozenset({"audio", "text"}),
        reference="none",
        description="a double",
    )

    def encode_text(self, texts):
        time = np.arange(RATE, dtype=np.float32) / RATE
        return self.encode(np.stack([np.sin(2 * np.pi * float(text) * time) for text in texts]))


class Framed:
    """The spectrum of each moment."""

    spec = EncoderSpec(
        "framed",
        "1",
        RATE,
        1.0,
        0.5,
        16,
        by="frame",
        frame_rate=50.0,
        reference="log-mel",
        description="a double",
    )
    front_end = LogMel(RATE, n_fft=256, hop_length=160, n_mels=16, fmin=50.0, fmax=4_000.0)

    def encode(self, features):
        level = features - features.min(axis=2, keepdims=True) + np.float32(1e-3)
        return (level / np.linalg.norm(level, axis=2, keepdims=True)).astype(np.float32)


class Chimes:
    """Which letters from a to j are played, each by a tone of its own: what phrases are made of."""

    spec = EncoderSpec(
        "chimes",
        "1",
        RATE,
        2.0,
        1.5,
        12,
        by="frame",
        frame_rate=50.0,
        purposes=frozenset({"phrases"}),
        reference="none",
        description="a double",
    )
    front_end = Waveform(RATE)
    letters = "abcdefghij"

    @classmethod
    def play(cls, phrase, seconds=0.1):
        """Make the sound of a phrase; a blank is silence, as long as a letter."""
        time = np.arange(round(seconds * RATE), dtype=np.float32) / RATE
        sounds = [np.sin(2 * np.pi * cls.pitch(c) * time) if c != " " else 0 * time for c in phrase]
        return 0.3 * np.concatenate(sounds).astype(np.float32)

    @classmethod
    def pitch(cls, letter):
        return 500 + 250 * cls.letters.index(letter)

    def encode(self, features):
        frames = features.reshape(len(features), -1, RATE // 50)
        spectra = np.abs(np.fft.rfft(frames, axis=2)) ** 2
        chances = np.zeros((*frames.shape[:2], self.spec.dim), np.float32)
        for number, letter in enumerate(self.letters):
            chances[:, :, number] = spectra[:, :, self.pitch(letter) // 50]
        chances[:, :, -1] = 1e-3 * chances.max(axis=(1, 2), keepdims=True)[:, :, 0] + 1e-9
        return np.sqrt(chances / chances.sum(axis=2, keepdims=True)).astype(np.float32)

    def spell(self, phrase):
        known = [self.letters.index(c) for c in phrase if c in self.letters]
        if not known:
            raise UsageError("no letter of it can be played")
        return np.eye(self.spec.dim, dtype=np.float32)[known]
