"""Encoders of a few lines each, as another package would bring: of samples, frames, words, pictures."""

from io import BytesIO

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


class Sights(Words):
    """The same, and of pictures: the redder they are, the higher the tone."""

    spec = EncoderSpec(
        "sights",
        "1",
        RATE,
        1.0,
        0.5,
        LAGS,
        frozenset({"audio", "text", "picture"}),
        reference="none",
        description="a double",
    )
    n_frames = 3

    def encode_pictures(self, pictures):
        return self.encode_text([10 * np.mean([picture[..., 0].mean() for picture in pictures])])


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


class Tunes:
    """Which tones are played, whatever they are played by: what spoken phrases are made of."""

    spec = EncoderSpec(
        "tunes",
        "1",
        RATE,
        4.0,
        3.2,
        Chimes.spec.dim,
        by="frame",
        frame_rate=12.5,
        purposes=frozenset({"spoken"}),
        reference="none",
        description="a double",
    )
    front_end = Waveform(RATE)

    @staticmethod
    def play(phrase, seconds=0.16, overtone=0.0):
        """Make the sound of a phrase by an instrument with or without an overtone that no letter has."""
        sound = Chimes.play(phrase, seconds)
        time = np.arange(len(sound), dtype=np.float32) / RATE
        return (sound + overtone * np.sin(2 * np.pi * 3_300 * time) * (sound != 0)).astype(np.float32)

    def encode(self, features):
        frames = features.reshape(len(features), -1, RATE * 2 // 25)
        spectra = np.abs(np.fft.rfft(frames, axis=2)) / frames.shape[2]
        levels = np.stack([spectra[:, :, round(Chimes.pitch(c) * 0.08)] for c in Chimes.letters], axis=2)
        loudest = levels.max(axis=2, keepdims=True)
        vectors = np.zeros((*frames.shape[:2], self.spec.dim), np.float32)
        vectors[:, :, : levels.shape[2]] = (
            0.98 * levels / np.linalg.norm(levels + 1e-9, axis=2, keepdims=True)
        )
        vectors *= loudest > np.maximum(0.1 * loudest.max(axis=1, keepdims=True), 1e-6)
        vectors[:, :, -1] = np.sqrt(np.maximum(1 - (vectors**2).sum(axis=2), 0))
        return vectors

    def read_background(self):
        """Write some random tunes."""
        rng = np.random.default_rng(0)
        numbers = np.zeros((600, self.spec.dim), np.int8)
        numbers[np.arange(600), np.repeat(rng.integers(0, len(Chimes.letters), 300), 2)] = 124
        numbers[:, -1] = 25
        content = BytesIO()
        starts = np.arange(600) * 0.08
        np.savez(content, numbers=numbers, starts=starts, pieces=np.arange(0, 600, 60))
        return content.getvalue()


class Singers:
    """Who sings, each a tone of his or her own: what voices are."""

    spec = EncoderSpec(
        "singers",
        "1",
        RATE,
        1.6,
        0.8,
        len(Chimes.letters) + 1,
        purposes=frozenset({"voices"}),
        reference="none",
        description="a double",
    )
    front_end = Waveform(RATE)

    @staticmethod
    def sing(singers, seconds=0.5):
        """Make the sound of singers in turn, so many seconds each; a blank is silence."""
        return Chimes.play(singers, seconds)

    def encode(self, features):
        frames = features.reshape(len(features), -1, RATE // 25)
        is_sung = (frames**2).mean(axis=2) > 1e-12
        spectra = np.abs(np.fft.rfft(frames, axis=2))
        levels = [spectra[:, :, round(Chimes.pitch(c) * 0.04)].sum(axis=1) for c in Chimes.letters]
        who = np.stack(levels, axis=1) + np.float32(1e-12)
        share = is_sung.mean(axis=1)[:, None]
        who *= np.sqrt(share) / np.linalg.norm(who, axis=1, keepdims=True)
        return np.hstack([who, np.sqrt(1 - share)]).astype(np.float32)
