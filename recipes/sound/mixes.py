"""Windows of many sounds, mixed in the same way for a pupil and for its teacher, which hears each mix.

Powers of sounds that have nothing to do with each other add, in the bands of any spectrogram: so what
``listen.py`` kept of two clips gives what both networks would see of them played together.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime as ort
from packages import PACKAGES

from echoic.training.augment import Augmentation, Augmenter, Draw
from echoic.training.augment.spectrogram import SILENCE_DB
from echoic.training.loop import DEFAULT_FRONT_END
from echoic.training.samplers import PKSampler
from echoic.types import Float32

N_TAGS, N_VECTOR = 527, 384  # what mn04 tells of a window: AudioSet's classes, and a vector
N_CLASSES, N_EACH = 16, 2  # labelled windows of a step
N_OTHERS = 32  # windows of a step drawn from everything, labelled or not
FROM_PACKAGES = 0.75  # of those
MIXED, OTHERS_MIXED = 0.5, 0.7  # shares of both that are mixed
FRAMES, LONG_FRAMES, LONG = 122, 247, 0.2  # of windows of 2.5 s and of 5 s; how many steps have the latter
SHORT, SHORTEST = 0.35, 12  # share of windows cut shorter than they could be; frames
AUDIBLE_DB = 40.0  # a window is placed around a moment at most this far below the loudest of the clip
TWICE = 32  # steps whose mixes are met again, changed otherwise, in as many steps more

PER_FRAME = 2  # frames of the tagger to one of the pupil
LEAST = 100  # frames that the tagger is given: a second
LOUDEST = 4.5  # natural logarithm of the power to which the loudest band of every mix is brought for it
FAINTEST = 1e-10  # power of the pupil's spectrogram that is silence


class Seen:
    """What ``listen.py`` made of the clips that may be trained on."""

    def __init__(self, folder: Path, manifest: Path) -> None:
        with manifest.open(newline="", encoding="utf-8") as file:
            rows = {row["path"]: row for row in csv.DictReader(file, delimiter="\t")}
        of_package = {package.name: package.licences for package in PACKAGES}
        self.levels: list[np.ndarray] = []
        self.powers: list[np.ndarray] = []
        self.paths: list[str] = []
        self.licences: list[str] = []
        labels: list[str] = []
        for part in sorted(folder.glob("*.npz")):
            with np.load(part) as arrays:
                levels = np.split(arrays["levels"], np.cumsum(arrays["n_levels"])[:-1])
                powers = np.split(arrays["powers"], np.cumsum(arrays["n_powers"])[:-1])
                names = (arrays[name].tolist() for name in ("paths", "labels", "sources"))
                for path, label, source, level, power in zip(*names, levels, powers, strict=True):
                    if path in rows or not label:
                        self.paths.append(path)
                        self.licences.append(rows[path]["licence"] if label else of_package[source])
                        labels.append(label)
                        self.levels.append(level)
                        self.powers.append(power)
        self.names = sorted({label for label in labels if label})
        self.labels = np.array([self.names.index(label) if label else -1 for label in labels])
        self.weights = np.array([float(rows[path]["weight"]) if path in rows else 0.0 for path in self.paths])


class Batch(NamedTuple):
    """What a step sees; the labelled windows first."""

    log_mel: Float32
    labels: np.ndarray
    partner_labels: np.ndarray
    share: Float32
    vectors: Float32
    tags: Float32


class Tagger:
    """mn04, on the powers that ``listen.py`` kept."""

    def __init__(self, folder: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(str(folder / "mn04_as.onnx"), options)

    def __call__(self, powers: Sequence[Float32]) -> tuple[Float32, Float32]:
        """Tell the logits, (n, 527), and the vectors, (n, 384), of mixes, each (frames, 128)."""
        lengths = np.array([max(LEAST, len(power)) for power in powers])
        logits, vectors = (
            np.empty((len(powers), N_TAGS), np.float32),
            np.empty((len(powers), N_VECTOR), np.float32),
        )
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            for some in np.array_split(rows, -(-len(rows) // 8)):
                seen = np.zeros((len(some), length, 128), np.float32)
                for target, row in zip(seen, some, strict=True):
                    power = powers[row]
                    target[: len(power)] = power * (np.exp(LOUDEST) / max(power.max(), 1e-12))
                seen = (np.log(seen + np.float32(1e-5)) + np.float32(4.5)) / 5
                mel = np.ascontiguousarray(seen.transpose(0, 2, 1))[:, None]
                logits[some], vectors[some] = self.session.run(["logits", "embedding"], {"mel": mel})
        return logits, vectors


class Mixer:
    """Draws windows and mixes them; what a step sees is a function of its number and the seed."""

    def __init__(self, seen: Seen, tagger: Tagger, seed: int) -> None:
        self.seen, self.tagger, self.seed = seen, tagger, seed
        labelled = np.flatnonzero(seen.labels >= 0)
        self.labelled = labelled
        counts = np.bincount(seen.labels[labelled])
        weights = np.bincount(seen.labels[labelled], seen.weights[labelled]) / counts
        self.sampler = PKSampler(seen.labels[labelled], N_CLASSES, N_EACH, weights=weights, seed=seed)
        self.odds = np.where(seen.labels < 0, FROM_PACKAGES / max(1, (seen.labels < 0).sum()), 0)
        per_clip = weights[seen.labels[labelled]] / counts[seen.labels[labelled]]
        self.odds[labelled] = (1 - FROM_PACKAGES) * per_clip / per_clip.sum()
        self.odds /= self.odds.sum()
        augmentation = replace(Augmentation(), background=Draw(0, 5, 30), hiss=Draw(0.25, 5, 40))
        self.augmenter = Augmenter(augmentation, DEFAULT_FRONT_END)
        self.mixes: dict[int, Batch] = {}

    def window(self, clip: int, n_frames: int, rng: np.random.Generator) -> tuple[Float32, Float32]:
        """Cut one stretch out of both spectrograms of a clip; powers, not logarithms."""
        level, power = self.seen.levels[clip], self.seen.powers[clip]
        longest = min(len(level), n_frames)
        length = longest
        if rng.random() < SHORT:
            length = int(np.exp(rng.uniform(np.log(min(longest, SHORTEST)), np.log(longest))))
        loudness = level.max(axis=1)
        inside = int(rng.choice(np.flatnonzero(loudness >= loudness.max() - AUDIBLE_DB)))
        start = int(np.clip(inside - rng.integers(length), 0, len(level) - length))
        mine = np.float32(10) ** (level[start : start + length].astype(np.float32) / 10)
        mine[mine <= FAINTEST] = 0
        # A frame of the pupil lasts 64 ms, the tagger's lie around their times.
        first, last = PER_FRAME * start, PER_FRAME * (start + length) + 5
        return mine, np.exp(power[first:last].astype(np.float32))

    def mix(self, number: int) -> Batch:
        """Draw windows, mix them, and ask the teacher."""
        rng = np.random.default_rng([self.seed, number])
        n_frames = LONG_FRAMES if rng.random() < LONG else FRAMES
        clips = np.concatenate(
            [self.labelled[self.sampler.draw(number)], rng.choice(len(self.odds), N_OTHERS, p=self.odds)]
        )
        n_labelled = len(clips) - N_OTHERS
        windows = [self.window(clip, n_frames, rng) for clip in clips]
        partner, share = np.arange(len(clips)), np.ones(len(clips), np.float32)
        mixed = rng.permutation(n_labelled)[: round(MIXED * n_labelled)]
        partner[mixed] = rng.integers(n_labelled, size=len(mixed))
        others = n_labelled + rng.permutation(N_OTHERS)[: round(OTHERS_MIXED * N_OTHERS)]
        partner[others] = rng.integers(len(clips), size=len(others))
        drawn = rng.beta(0.5, 0.5, len(clips)).astype(np.float32)
        changed = partner != np.arange(len(clips))
        share[changed] = np.maximum(drawn, 1 - drawn)[changed]

        log_mel = np.full((len(clips), n_frames, DEFAULT_FRONT_END.n_mels), SILENCE_DB, np.float32)
        powers = []
        for row, (other, part) in enumerate(zip(partner, share, strict=True)):
            (mine, his), (mines, hiss) = windows[row], windows[other]
            if other != row:
                own, added = part / max(mine.max(), 1e-9), (1 - part) / max(mines.max(), 1e-9)
                mine, his = summed(own * mine, added * mines), summed(own * his, added * hiss)
            log_mel[row, : len(mine)] = np.maximum(10 * np.log10(np.maximum(mine, FAINTEST)), SILENCE_DB)
            powers.append(his)
        labels = self.seen.labels[clips]
        logits, vectors = self.tagger(powers)
        return Batch(log_mel, labels, labels[partner], share, vectors, logits)

    def batch(self, step: int) -> Batch:
        """Make what a step sees."""
        block, at = divmod(step, 2 * TWICE)
        number = block * TWICE + at % TWICE
        if number not in self.mixes:
            self.mixes = {n: mix for n, mix in self.mixes.items() if n >= block * TWICE}
            self.mixes[number] = self.mix(number)
        mix = self.mixes[number]
        rng = np.random.default_rng([self.seed, step, 1])
        log_mel = self.augmenter.mask(self.augmenter.spectrogram(mix.log_mel, rng), rng)
        return mix._replace(log_mel=log_mel)


def summed(a: Float32, b: Float32) -> Float32:
    """Add powers that begin at the same time: (the longer's frames, bands)."""
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    total = longer.copy()
    total[: len(shorter)] += shorter
    return total


class Examples(NamedTuple):
    """Windows as they are, and what the teacher makes of them."""

    log_mel: Float32
    vectors: Float32
    tags: Float32


def examples(mixer: Mixer, n: int) -> Examples:
    """Let the teacher hear n windows that are mixed with nothing."""
    rng = np.random.default_rng([mixer.seed, 2])
    clips = rng.choice(len(mixer.odds), n, p=mixer.odds)
    windows = [mixer.window(clip, FRAMES, rng) for clip in clips]
    logits, vectors = mixer.tagger([his for _, his in windows])
    return Examples(padded([mine for mine, _ in windows]), vectors, logits)


def padded(powers: Sequence[Float32]) -> Float32:
    """Turn the pupil's powers into windows in dB: (n, FRAMES, n_mels)."""
    out = np.full((len(powers), FRAMES, DEFAULT_FRONT_END.n_mels), SILENCE_DB, np.float32)
    for window, power in zip(out, powers, strict=True):
        window[: len(power)] = 10 * np.log10(np.maximum(power, FAINTEST))
    return out
