"""Encoders of a few lines each, as another package would bring: of raw samples, of frames, of words too."""

import numpy as np

from echoic import EncoderSpec, LogMel, Waveform

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
