"""Mix pieces of sound, and write what ``sound`` makes of windows of each mix, and which pieces they hold.

::

    python recipes/heard/mixes.py pieces.npz -o mixes.npz

A mix is as long as a window of ``sound``; up to three pieces begin and end anywhere in it, each up to 15 dB
below the loudest, over noise or over nothing. It is heard as a whole, and in two short windows, as
``echoic describe`` listens.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

from echoic.encoders.registry import load_encoder
from echoic.heard.files import CLOSE

SHARES = (0.35, 0.40, 0.25)  # of mixes with one piece, two and three
# Some data sets have more kinds of sound than others for as many clips.
MORE_OF = {"esc50": 4.0, "sfx": 1.5, "wesnoth": 1.5, "music": 0.6}
QUIETER = 15.0  # dB that a piece may lie below the loudest
LOUD = (-30.0, -1.0)  # dB of a mix's peak
NOISY = 0.7  # share of mixes with noise behind
NOISE = (-60.0, -20.0)  # dB of it, of which 0 is as loud as a piece
FADE = 0.01  # s at both ends of a piece
N_CLOSE = 2  # short windows of a mix
# A piece is heard where it lies so far above the rest, and below its own loudest, in dB; half way between it
# is half heard.
BURIED, CLEAR, FADED = -20.0, -10.0, -35.0
FRAME = 0.02  # s in which it is told whether a piece sounds
ENOUGH = 1.0  # s of a piece that must be heard, or all of it, for it to be told for certain


class Pieces(NamedTuple):
    """Pieces of sound, one after the other, and where each begins."""

    samples: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def of(self, number: int, rate: int) -> np.ndarray:
        """Return a piece, its mean square 1."""
        start, n = self.starts[number], self.lengths[number]
        piece = self.samples[start : start + n].astype(np.float32)
        fade = np.minimum(1, (np.arange(n) + 1) / (FADE * rate)).astype(np.float32)
        return piece / max(np.sqrt(np.square(piece).mean()), 1) * fade * fade[::-1]


def noise(n: int, rng: np.random.Generator) -> np.ndarray:
    """Make noise between white and brown, its mean square 1."""
    spectrum = np.fft.rfft(rng.standard_normal(n))
    spectrum /= np.maximum(1, np.arange(len(spectrum))) ** rng.uniform(0, 1)
    shaped = np.fft.irfft(spectrum, n)
    return (shaped / shaped.std()).astype(np.float32)


def laid(pieces: Pieces, chosen: np.ndarray, n: int, rate: int, rng: np.random.Generator) -> np.ndarray:
    """Lay pieces into ``n`` samples → (1 + pieces, n): what is behind, and each piece where it is."""
    tracks = np.zeros((1 + len(chosen), n), np.float32)
    if rng.random() < NOISY:
        tracks[0] = noise(n, rng) * 10 ** (rng.uniform(*NOISE) / 20)
    for track, number in zip(tracks[1:], chosen, strict=True):
        piece = pieces.of(number, rate) * np.float32(10 ** (-rng.uniform(0, QUIETER) / 20))
        at = int(rng.uniform(-len(piece) / 2, n - len(piece) / 2))
        first, last = max(0, at), min(n, at + len(piece))
        track[first:last] = piece[first - at : last - at]
    return tracks


def clear(tracks: np.ndarray, rate: int) -> np.ndarray:
    """Say how clearly each piece is heard in each frame, 0 to 1 → (pieces, frames)."""
    frame = round(FRAME * rate)
    power = np.square(tracks[:, : tracks.shape[1] // frame * frame]).reshape(len(tracks), -1, frame)
    level = 10 * np.log10(power.mean(axis=2) + 1e-12)
    total = 10 * np.log10(power.mean(axis=2).sum(axis=0) + 1e-12)
    own = level[1:]
    heard = np.clip((own - total - BURIED) / (CLEAR - BURIED), 0, 1)
    return heard * (own > own.max(axis=1, keepdims=True) + FADED)


def told(heard: np.ndarray, start: float, end: float) -> np.ndarray:
    """Say how surely each piece is to be told of a window between two times, 0 to 1 → (pieces,)."""
    times = (np.arange(heard.shape[1]) + 0.5) * FRAME
    seconds = heard[:, (times >= start) & (times < end)].sum(axis=1) * FRAME
    enough = np.clip(heard.sum(axis=1) * FRAME, FRAME, ENOUGH)
    return np.clip(seconds / enough, 0, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pieces", type=Path, help="what pieces.py wrote")
    parser.add_argument("--count", type=int, default=12_000)
    parser.add_argument("--folds", default="123", help="of ESC-50 that may be in a mix")
    parser.add_argument("--only", help="a data set that all pieces are of")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with np.load(options.pieces) as saved:
        lengths = saved["lengths"]
        pieces = Pieces(saved["samples"], np.cumsum(lengths) - lengths, lengths)
        groups = saved["dataset"]
        folds = [Path(path).name[0] for path in saved["path"]]
    weight = np.array([MORE_OF.get(name, 1.0) for name in groups])
    weight *= [name != "esc50" or fold in options.folds for name, fold in zip(groups, folds, strict=True)]
    weight *= [options.only in (None, name) for name in groups]
    weight /= weight.sum()
    encoder = load_encoder("sound")
    n, rate = encoder.spec.window_samples, encoder.spec.sample_rate
    vectors, parts, shares = [], [], []
    for number in range(options.count):
        chosen = rng.choice(len(groups), 1 + rng.choice(len(SHARES), p=SHARES), replace=False, p=weight)
        tracks = laid(pieces, chosen, n, rate, rng)
        samples = tracks.sum(axis=0)
        samples *= np.float32(10 ** (rng.uniform(*LOUD) / 20)) / max(1e-6, np.abs(samples).max())
        heard = clear(tracks, rate)
        windows = np.zeros((1 + N_CLOSE, n), np.float32)
        windows[0] = samples
        spans = [(0, n)]
        for window in windows[1:]:
            short = round(CLOSE * rate)
            at = int(rng.integers(n - short + 1))
            window[:short] = samples[at : at + short]
            spans.append((at, at + short))
        vectors.append(encoder.encode(encoder.front_end(windows)))
        for start, end in spans:
            share = np.zeros(len(SHARES), np.float16)
            share[: len(chosen)] = told(heard, start / rate, end / rate)
            shares.append(share)
            parts.append(np.pad(chosen, (0, len(SHARES) - len(chosen)), constant_values=-1))
        if number % 2000 == 0:
            print(f"{number} of {options.count} mixes", flush=True)
    np.savez(
        options.output,
        vectors=np.concatenate(vectors),
        is_whole=np.arange(len(parts)) % (1 + N_CLOSE) == 0,
        parts=np.stack(parts),
        shares=np.stack(shares),
    )


if __name__ == "__main__":
    main()
