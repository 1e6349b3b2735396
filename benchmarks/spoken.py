"""Measure how well spoken words and phrases are found, as said by others, by the encoder ``speech``.

::

    python -m benchmarks.spoken [--data DIR] [--hours H] [--fit] [--encoder NAME]

DIR (default: $ECHOIC_DATA, or ``../shared/data`` beside the checkout) is as for the other benchmarks. Words
of ``words_arabic`` by the speakers of its test split search each other, never among a speaker's own; so they
do by MFCC and dynamic time warping. Then single recordings of words and phrases are laid into hours of read
books at random moments, each as loud as what it takes the place of, and recordings by others of the same
words look for them. Of all this, the head of ``speech`` was taught nothing but 24 of the 30 words, by other
speakers.

``--fit`` does the second on what was held back from the head for that purpose, speakers of the training split
that say the other six words, and one half of the readers: by it, what is told is turned into a probability.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from benchmarks.retrieval import Row, data_folder
from benchmarks.tables import machine, print_table
from echoic.analysis.pipeline import embed_samples
from echoic.audio.decode import read_audio
from echoic.encoders.base import SpokenEncoder
from echoic.encoders.registry import load_encoder
from echoic.evaluation import retrieval
from echoic.search.phrases import LIKELY
from echoic.search.spoken import Background, Heard, Phrase, heard_in, probability
from echoic.storage.frames import whole_frames

RATE, FRAME_RATE = 16_000, 12.5
HELD_READERS, HELD_PHRASES = ("ls26", "ls27"), ("jarvis", "snowboy")  # as in recipes/speech/clips.py
N_TAKES = 4  # of the ten of each word and speaker that search
N_FILES = 10
SHORTEST = 4  # frames of an example


def words_held(rows: list[Row]) -> set[str]:
    """Name the words that were never taught."""
    return set(sorted({row["label"] for row in rows if row["dataset"] == "words_arabic"})[::5])


@dataclass
class Listener:
    encoder: SpokenEncoder
    cpu: float = 0.0
    seconds: float = 0.0
    known: dict[str, Heard] = field(default_factory=dict)

    def hear(self, samples: np.ndarray) -> Heard:
        begun = time.process_time()
        segments = embed_samples([samples], RATE, {"speech": self.encoder})["speech"]
        self.cpu += time.process_time() - begun
        self.seconds += len(samples) / RATE
        return heard_in(whole_frames(segments), FRAME_RATE)

    def clip(self, path: Path) -> Heard:
        if str(path) not in self.known:
            self.known[str(path)] = self.hear(read_audio(path, RATE)[0])
        return self.known[str(path)]


def warped(clips: list[np.ndarray], asking: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Compare clips by MFCC and dynamic time warping → (asking, asked), larger for what is more alike."""
    import librosa

    features = []
    for samples in clips:
        mfcc = librosa.feature.mfcc(
            y=librosa.effects.trim(samples, top_db=30)[0], sr=RATE, n_mfcc=20, hop_length=320
        )
        both = np.concatenate([mfcc[1:], librosa.feature.delta(mfcc[1:], mode="nearest")])
        features.append(((both - both.mean(1, keepdims=True)) / (both.std(1, keepdims=True) + 1e-6)).T)
    lengths = np.array([len(one) for one in features])[asked]
    longest = lengths.max()
    others = np.stack([np.pad(features[i], ((0, longest - len(features[i])), (0, 0))) for i in asked])
    squares = (others**2).sum(2)
    scores = np.zeros((len(asking), len(asked)))
    for row, i in enumerate(asking):
        one = features[i]
        cost = np.sqrt(
            np.maximum(
                (one**2).sum(1)[None, :, None] + squares[:, None] - 2 * np.einsum("nd,cmd->cnm", one, others),
                0,
            )
        )
        total = np.full((len(asked), longest + 1), np.inf)
        total[:, 0] = 0
        for step in range(len(one)):
            new = np.full_like(total, np.inf)
            diagonal = np.minimum(total[:, :-1], total[:, 1:])
            for column in range(longest):  # along the row: what comes from its left neighbour
                new[:, column + 1] = cost[:, step, column] + np.minimum(diagonal[:, column], new[:, column])
            total = new
        scores[row] = -total[np.arange(len(asked)), lengths] / (len(one) + lengths)
    return scores


def measure_words(data: Path, rows: list[Row], listener: Listener, n_warped: int) -> None:
    held = words_held(rows)
    chosen = [row for row in rows if row["dataset"] == "words_arabic" and row["split"] == "test"]
    heard = [listener.clip(data / row["path"]) for row in chosen]
    phrases = [Phrase(one) if len(one.counts) else None for one in heard]
    sums = np.stack([one.numbers.sum(axis=0) for one in heard])
    vectors = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    labels = np.array([row["label"] for row in chosen])
    speakers = np.array([row["speaker"] for row in chosen])
    is_held = np.isin(labels, sorted(held))
    taken = np.array([digest(row) % 10 < N_TAKES for row in chosen])
    table = []

    def add(name: str, scores: np.ndarray, asking: np.ndarray) -> None:
        cells = [name]
        for part in (np.ones(len(labels), bool), is_held):
            asks, asked = part[asking], np.flatnonzero(part)
            excluded = speakers[asking][asks][:, None] == speakers[asked]
            given = (scores[asks][:, asked], labels[asking][asks], labels[asked])
            cells.append(f"{retrieval.precision_at_k(*given, 1, excluded=excluded).mean():.3f}")
            cells.append(f"{retrieval.mean_average_precision(*given, excluded=excluded):.3f}")
        table.append(cells)

    asking = np.flatnonzero(taken)
    add("speech, whole", vectors[asking] @ vectors.T, asking)
    some = asking[:: max(1, len(asking) // n_warped)]
    add(f"speech, whole, {len(some)} ask", vectors[some] @ vectors.T, some)
    searched = np.array([[best(phrases[i], one) for one in heard] for i in some])
    add(f"speech, as searched, {len(some)} ask", searched, some)
    clips = [read_audio(data / row["path"], RATE)[0] for row in chosen]
    add(f"MFCC and DTW, {len(some)} ask", warped(clips, some, np.arange(len(clips))), some)
    header = ["words of test speakers", "P@1", "mAP", "unseen words P@1", "mAP"]
    print_table(f"{len(chosen)} words", header, table)


def best(phrase: Phrase | None, heard: Heard) -> float:
    places = phrase.places(heard) if phrase is not None else []
    return places[0].score if places else -1.0


@dataclass
class Planted:
    label: str
    speaker: str
    file: int
    start: float
    end: float


def laid_in(
    data: Path, books: list[Row], words: list[Row], hours: float, seed: int
) -> tuple[list[np.ndarray], list[Planted]]:
    """Lay a recording of each word into read books, at random moments."""
    rng = np.random.default_rng(seed)
    files: list[list[np.ndarray]] = [[] for _ in range(N_FILES)]
    n = np.zeros(N_FILES, np.int64)
    for number, row in enumerate(books):
        samples = read_audio(data / row["path"], RATE)[0]
        files[number % N_FILES].append(samples)
        n[number % N_FILES] += len(samples)
        if n.sum() > hours * 3600 * RATE:
            break
    sounds = [np.concatenate(one) for one in files]
    planted: list[Planted] = []
    by_label: dict[str, list[Row]] = {}
    for row in words:
        by_label.setdefault(row["label"], []).append(row)
    for label, some in sorted(by_label.items()):
        for at in rng.choice(len(some), min(3, len(some)), replace=False):
            row = some[at]
            word = spoken_part(read_audio(data / row["path"], RATE)[0])
            file = int(rng.integers(N_FILES))
            begin = int(rng.integers(RATE, len(sounds[file]) - 3 * RATE))
            while any(p.file == file and abs(p.start - begin / RATE) < 4 for p in planted):
                begin = int(rng.integers(RATE, len(sounds[file]) - 3 * RATE))
            around = sounds[file][max(0, begin - 2 * RATE) : begin + 2 * RATE]
            level = np.sqrt((around**2).mean() / ((word**2).mean() + 1e-12))
            sounds[file] = sounds[file].copy()
            gap = np.zeros(round(0.08 * RATE), np.float32)
            there = np.concatenate([gap, np.clip(word * level, -1, 1), gap]).astype(np.float32)
            sounds[file][begin - len(gap) : begin - len(gap) + len(there)] = there
            planted.append(
                Planted(label, row["speaker"] or row["path"], file, begin / RATE, (begin + len(word)) / RATE)
            )
    return sounds, planted


def spoken_part(samples: np.ndarray) -> np.ndarray:
    """Cut off the silence at both ends."""
    levels = (samples[: len(samples) // 320 * 320].reshape(-1, 320) ** 2).mean(axis=1)
    loud = np.flatnonzero(levels > 1e-3 * levels.max())
    return samples[loud[0] * 320 : (loud[-1] + 1) * 320]


def asked(words: list[Row], planted: list[Planted], seed: int, times: int) -> Iterator[Row]:
    """Choose recordings that look for what is planted, by speakers who say none of it there."""
    rng = np.random.default_rng(seed)
    for label in sorted({one.label for one in planted}):
        there = {one.speaker for one in planted if one.label == label}
        some = [
            row for row in words if row["label"] == label and (row["speaker"] or row["path"]) not in there
        ]
        yield from (some[i] for i in rng.choice(len(some), min(times, len(some)), replace=False))


def measure_planted(data: Path, rows: list[Row], listener: Listener, hours: float, *, fitting: bool) -> None:
    held, half = words_held(rows), int(fitting)

    def is_word(row: Row) -> bool:
        if row["dataset"] == "words_arabic":
            return row["split"] == "train" and row["label"] in held if fitting else row["split"] == "test"
        is_held = row["dataset"] == "phrases_english" and row["label"] in HELD_PHRASES
        return is_held and digest(row) % 2 == half

    words = [row for row in rows if is_word(row)]
    books = [
        row
        for row in rows
        if row["dataset"] == "speech_librispeech"
        and (row["speaker"] in HELD_READERS or digest(row) % 3 == 0)
        and digest(row) % 2 == half
    ]
    sounds, planted = laid_in(data, books, words, hours, seed=half)
    heard = [listener.hear(one) for one in sounds]
    hours = sum(map(len, sounds)) / 3600 / RATE
    examples = []
    for row in asked(words, planted, 0, 8):
        example = listener.clip(data / row["path"])
        if len(example.counts) >= SHORTEST:
            examples.append((row, example))
    begun = time.process_time()
    found = look_for(examples, heard, planted, listener.encoder)
    searching = (time.process_time() - begun) / len(examples) / hours
    kinds = {
        "all": examples,
        "words": [one for one in examples if one[0]["dataset"] == "words_arabic"],
        "words never taught": [one for one in examples if one[0]["label"] in held],
        "phrases": [one for one in examples if one[0]["dataset"] == "phrases_english"],
    }
    table = []
    for name, some in kinds.items():
        asking = {id(one[0]) for one in some}
        here = [one for one in found if one.asking in asking]
        due = sum(one.label == row["label"] for row, _ in some for one in planted)
        table.append([name, str(len(some)), *figures(here, due, hours * len(some))])
    header = [
        "asked by",
        "examples",
        "P@1",
        "recall at .1 false an hour",
        "at 1",
        "told: precision",
        "recall",
    ]
    header += ["false an hour", "median error of the begin"]
    title = f"{len(planted)} recordings laid into {hours:.2f} h of read books"
    print_table(title, header, table, f"{1000 * searching:.0f} CPU-ms a phrase and hour of speech")
    if fitting:
        fit(found)


@dataclass
class Found:
    """Something that a phrase found: how sure it is, and whether it is the phrase."""

    asking: int
    score: float
    margin: float
    n_frames: int
    chance: float
    is_right: bool
    error: float
    is_first: bool


def look_for(
    examples: list[tuple[Row, Heard]], heard: list[Heard], planted: list[Planted], encoder: SpokenEncoder
) -> list[Found]:
    background = Background(encoder.read_background(), FRAME_RATE)
    found = []
    for row, example in examples:
        phrase = Phrase(example)
        level = background.level(phrase)
        places = [(place, file) for file, one in enumerate(heard) for place in phrase.places(one)]
        places.sort(key=lambda one: -one[0].score)
        seen: list[Planted] = []
        for rank, (place, file) in enumerate(places):
            start, end = heard[file].span(place.first, place.last)
            there = [
                one
                for one in planted
                if one.label == row["label"] and one.file == file and start < one.end and end > one.start
            ]
            if there and there[0] in seen:
                continue
            seen += there[:1]
            error = abs(start - there[0].start) if there else np.nan
            chance = probability(place.score, level, len(phrase), background.odds)
            margin = (place.score - level[0]) / level[1]
            found.append(
                Found(id(row), place.score, margin, len(phrase), chance, bool(there), error, rank == 0)
            )
    return found


def figures(found: list[Found], due: int, hours: float) -> list[str]:
    """Say how well phrases were found that are said ``due`` times, in so many hours gone through."""
    found = sorted(found, key=lambda one: -one.chance)
    right = np.array([one.is_right for one in found])
    told = np.array([one.chance for one in found]) >= LIKELY
    false = np.cumsum(~right)
    recalls = [right[: int((false <= rate * hours).sum())].sum() / due for rate in (0.1, 1.0)]
    errors = [one.error for one, is_told in zip(found, told, strict=True) if is_told and one.is_right]
    return [
        f"{np.mean([one.is_right for one in found if one.is_first]):.2f}",
        *(f"{recall:.2f}" for recall in recalls),
        f"{right[told].mean():.2f}" if told.any() else "-",
        f"{(right & told).sum() / due:.2f}",
        f"{(~right & told).sum() / hours:.2f}",
        f"{np.median(errors) if errors else np.nan:.2f} s",
    ]


def digest(row: Row) -> int:
    return zlib.crc32(row["path"].encode())


def fit(found: list[Found]) -> None:
    """Fit the logarithm of the odds that what is found is the phrase."""
    features = np.array([[1, one.margin, one.score, min(one.n_frames, 20)] for one in found])
    sign = 2 * np.array([one.is_right for one in found]) - 1

    def loss(weights: np.ndarray) -> float:
        return float(np.logaddexp(0, -sign * (features @ weights)).sum() + 0.01 * (weights**2).sum())

    weights = minimize(loss, np.zeros(4), method="BFGS").x
    print("offset, of margin, of score, of frames:", weights.round(3))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--warped", type=int, default=60, help="words that search by dynamic time warping")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--encoder", default="speech")
    parser.add_argument("--only", choices=("words", "planted"))
    options = parser.parse_args(arguments)
    data = data_folder(options.data)
    if data is None:
        print("there is no audio to measure with; give its folder with --data")
        return 1
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    encoder = load_encoder(options.encoder)
    assert isinstance(encoder, SpokenEncoder)
    listener = Listener(encoder)
    print(machine())
    if options.only != "planted" and not options.fit:
        measure_words(data, rows, listener, options.warped)
    if options.only != "words":
        measure_planted(data, rows, listener, options.hours, fitting=options.fit)
    print(f"{listener.seconds / listener.cpu:.0f} x real time a core")
    return 0


if __name__ == "__main__":
    sys.exit(main())
