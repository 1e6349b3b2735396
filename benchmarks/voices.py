"""Measure how well voices are told apart, by the encoder ``voice`` beside others.

::

    python -m benchmarks.voices [--data DIR] [--encoder NAME]… [--fit]

DIR (default: $ECHOIC_DATA, or ``../shared/data`` beside the checkout) is as for the other benchmarks. Of each
reader of books that ``voice`` was not trained on, stretches of five seconds are compared with each other, and
with those of all other readers: as they were recorded, under noise of the test split, and through a telephone
(300 to 3,400 Hz, 8 bits by the µ-law). What is degraded is compared with what is clean, and with what is
degraded in the same way. The equal error rate is told: at a threshold where as many of the same voice are
missed as others are taken for it. Most readers have one recording, whose begin and end are compared.

Then the readers are made to talk with each other, one to four of them, in nine turns of 1.2 to 5 s: how much
of their speech is told to be somebody else's, or nobody's.

By one half of the readers, ``--fit`` chooses what turns cosines into probabilities; the other half reports
how often those err.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment, minimize

from benchmarks.retrieval import Row, data_folder
from benchmarks.tables import machine, print_table, verdict
from echoic.analysis.pipeline import embed_samples
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.encoders.base import Encoder
from echoic.encoders.registry import load_encoder
from echoic.heard.speakers import who_speaks
from echoic.heard.voices import LIKELY, Speech, probability
from echoic.training.augment.waveform import telephone
from echoic.types import Segments

RATE, SECONDS, EDGE = 16_000, 5.0, 0.3
HELD_READERS = ("ls26", "ls27")  # as in recipes/voice/clips.py
MOST = 6  # stretches of a reader
GOALS = {"clean": 2.0, "noise, 10 dB": 8.0, "noise, 0 dB": 13.0, "telephone": 8.0}  # %


@dataclass(frozen=True, slots=True)
class Stretch:
    speaker: str
    samples: np.ndarray


def is_held(row: Row) -> bool:
    """Tell whether a reader was left out of the training."""
    return row["speaker"] in HELD_READERS or zlib.crc32(row["speaker"].encode()) % 3 == 0


def stretches(data: Path, rows: list[Row]) -> list[Stretch]:
    """Cut stretches of all readers who were left out, two at least of each."""
    by_speaker: dict[str, list[np.ndarray]] = {}
    for row in rows:
        if row["dataset"] != "speech_librispeech" or not is_held(row):
            continue
        cut = by_speaker.setdefault(row["speaker"], [])
        samples, _ = read_audio(data / row["path"], RATE)
        n, edge = round(SECONDS * RATE), round(EDGE * RATE)
        if len(cut) < MOST and len(samples) >= n + 2 * edge:
            cut.append(samples[edge : edge + n])
            if row["speaker"] not in HELD_READERS and len(samples) >= 2 * (n + edge):
                cut.append(samples[-edge - n : -edge])
    return [Stretch(name, one) for name, cut in sorted(by_speaker.items()) if len(cut) > 1 for one in cut]


def degraded(
    stretch: Stretch, condition: str, noises: list[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    samples = stretch.samples
    if condition == "telephone":
        samples = telephone(samples, RATE)
        loud = np.log1p(255 * np.abs(samples)) / np.log(256)
        coded = np.round(loud * 127) / 127
        told: np.ndarray = (np.sign(samples) * np.expm1(coded * np.log(256)) / 255).astype(np.float32)
        return told
    if condition == "clean":
        return samples
    ratio = float(condition.split()[1])
    noise = noises[rng.integers(len(noises))]
    at = rng.integers(max(1, len(noise) - len(samples)))
    noise = np.resize(noise[at : at + len(samples)], len(samples))
    gain = np.sqrt((samples**2).mean() / ((noise**2).mean() + 1e-12)) * 10 ** (-ratio / 20)
    heard: np.ndarray = (samples + gain * noise).astype(np.float32)
    return heard


def heard_by(encoder: Encoder, samples: np.ndarray) -> Speech:
    """Say who speaks; of an encoder of another kind, all is taken for speech."""
    segments = embed_samples([samples], RATE, {"it": encoder})["it"]
    if "voices" not in encoder.spec.purposes:
        nobody = np.zeros((len(segments.vectors), 1), np.float32)
        segments = Segments(segments.starts, segments.ends, np.hstack([segments.vectors, nobody]))
    return Speech.of(segments, encoder.spec.window)


def equal_error_rate(same: np.ndarray, other: np.ndarray) -> float:
    """Find where as many of the same score below as others above, in %.

    >>> equal_error_rate(np.array([3.0, 2.0, 1.0]), np.array([0.0, 0.5, 0.6]))
    0.0
    """
    thresholds = np.sort(np.concatenate([same, other]))
    missed = np.searchsorted(np.sort(same), thresholds, side="left") / len(same)
    taken = 1 - np.searchsorted(np.sort(other), thresholds, side="left") / len(other)
    at = int(np.abs(missed - taken).argmin())
    return float(100 * (missed[at] + taken[at]) / 2)


@dataclass(frozen=True, slots=True)
class Trials:
    """Pairs of stretches: their cosines, seconds of speech, and whether one voice speaks in both."""

    cosines: np.ndarray
    seconds: np.ndarray
    is_same: np.ndarray

    @property
    def rate(self) -> float:
        return equal_error_rate(self.cosines[self.is_same], self.cosines[~self.is_same])


def trials(asked: list[Speech], searched: list[Speech], speakers: np.ndarray) -> Trials:
    """Compare each stretch with all others."""
    cosines = np.stack([one.voice for one in asked]) @ np.stack([one.voice for one in searched]).T
    seconds = np.minimum.outer([one.seconds for one in asked], [one.seconds for one in searched])
    pairs = ~np.eye(len(speakers), dtype=bool)
    return Trials(cosines[pairs], seconds[pairs], (speakers[:, None] == speakers)[pairs])


def heard_in(encoder: Encoder, given: list[Stretch], noises: list[np.ndarray]) -> dict[str, list[Speech]]:
    """Say who speaks in each stretch, in each condition."""
    found = {}
    for condition in GOALS:
        rng = np.random.default_rng(0)
        found[condition] = [heard_by(encoder, degraded(one, condition, noises, rng)) for one in given]
    return found


def compared(
    heard: dict[str, list[Speech]], speakers: np.ndarray, chosen: np.ndarray, n_windows: int | None = None
) -> dict[str, list[Trials]]:
    """Compare the chosen stretches, or their first windows, with clean ones and with ones degraded alike."""
    some = {condition: [each[i] for i in chosen] for condition, each in heard.items()}
    return {
        condition: [
            trials([one[:n_windows] for one in each], other, speakers[chosen])
            for other in (some["clean"], each)
        ]
        for condition, each in some.items()
    }


def errors(found: dict[str, list[Trials]]) -> list[list[str]]:
    """Say how often what is told as sure errs, in each condition."""
    rows = []
    for condition, kinds in found.items():
        cells = [condition]
        for one in kinds:
            told = probability(one.cosines, one.seconds) >= LIKELY
            cells += [f"{100 * (~told[one.is_same]).mean():.1f}", f"{100 * told[~one.is_same].mean():.2f}"]
        rows.append(cells)
    return rows


def fit(every: list[Trials]) -> None:
    """Fit the log odds that one voice speaks in both, as if ten of eleven were others."""
    cosines, seconds = (
        np.concatenate([getattr(one, name) for one in every]) for name in ("cosines", "seconds")
    )
    is_same = np.concatenate([one.is_same for one in every])
    features = np.stack([np.ones(len(cosines)), cosines, np.log(np.clip(seconds, 0.1, 8.0))], axis=1)
    weights = np.where(is_same, 1 / is_same.sum(), 10 / (~is_same).sum())
    sign = 2 * is_same - 1

    def loss(values: np.ndarray) -> float:
        return float((weights * np.logaddexp(0, -sign * (features @ values))).sum() + 1e-5 * values[2] ** 2)

    print(
        "offset, of cosine, of seconds:", minimize(loss, np.array([-15.0, 20, 0]), method="BFGS").x.round(2)
    )


def conversations(sounds: list[np.ndarray], n: int) -> list[tuple[np.ndarray, list[tuple[int, int, int]]]]:
    """Make readers talk with each other → the sound, and who speaks from which sample to which."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(n):
        who = rng.choice(len(sounds), (1, 2, 2, 3, 3, 4, 2)[number % 7], replace=False)
        heard_to = dict.fromkeys(who.tolist(), 0)
        parts: list[np.ndarray] = []
        turns: list[tuple[int, int, int]] = []
        at = 0
        for _ in range(9):
            others = [one for one in heard_to if len(heard_to) == 1 or not turns or one != turns[-1][2]]
            one = int(rng.choice(others))
            length = int(rng.uniform(1.2, 5) * RATE)
            begin = heard_to[one] if heard_to[one] + length <= len(sounds[one]) else 0
            said = sounds[one][begin : begin + length]
            heard_to[one] = begin + length
            pause = np.zeros(int(rng.uniform(0.1, 0.6) * RATE), np.float32)
            parts += [0.05 * said / np.sqrt((said**2).mean()), pause]
            turns.append((at, at + len(said), one))
            at += len(said) + len(pause)
        made.append((np.concatenate(parts).astype(np.float32), turns))
    return made


def measure_conversations(data: Path, rows: list[Row], n: int) -> None:
    sounds = [
        samples
        for row in rows
        if row["dataset"] == "speech_librispeech" and is_held(row) and row["speaker"] not in HELD_READERS
        if len(samples := read_audio(data / row["path"], RATE)[0]) > 11 * RATE
    ]
    wrong, counted = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for samples, turns in conversations(sounds, n):
            path = Path(folder) / "talk.wav"
            write_audio(path, samples, RATE)
            told = who_speaks(path)
            people, letters = (
                [*dict.fromkeys(one)] for one in ([t[2] for t in turns], [s.voice for s in told])
            )
            shared = np.zeros((len(people), len(letters)))
            for begin, end, one in turns:
                for span in told:
                    both = min(end / RATE, span.end) - max(begin / RATE, span.start)
                    shared[people.index(one), letters.index(span.voice)] += max(0.0, both)
            right = shared[linear_sum_assignment(-shared)].sum()
            wrong.append(1 - right * RATE / sum(end - begin for begin, end, _ in turns))
            counted += len(people) == len(letters)
    print(
        f"{n} conversations: {100 * np.mean(wrong):.1f} % of the speech is told to be another's or nobody's; "
        f"as many voices as there are are told in {counted}"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--encoder", action="append", help="default: voice and, where added, resemblyzer")
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--conversations", type=int, default=28, help="how many are made")
    options = parser.parse_args(arguments)
    data = data_folder(options.data)
    if data is None:
        print("there is no audio to measure with; give its folder with --data")
        return 1
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    given = stretches(data, rows)
    noises = [
        read_audio(data / row["path"], RATE)[0]
        for row in rows
        if row["dataset"] == "noise" and row["split"] == "test"
    ]
    print(machine())
    encoders = [load_encoder(name) for name in options.encoder or ["voice"]]
    speakers = np.array([one.speaker for one in given])
    half = np.array([zlib.crc32(name.encode()) // 3 % 2 for name in speakers])
    table, header, tables = [[condition] for condition in GOALS], ["equal error rate, %"], []
    for encoder in encoders:
        begun = time.process_time()
        heard = heard_in(encoder, given, noises)
        speed = len(GOALS) * len(given) * SECONDS / (time.process_time() - begun)
        print(f"{encoder.spec.name}: {speed:.0f} x real time a core")
        header += [f"{encoder.spec.name}, with clean", "with the same", "goal"]
        every = compared(heard, speakers, np.arange(len(given)))
        for row, kinds in zip(table, every.values(), strict=True):
            rates = [one.rate for one in kinds]
            row += [*(f"{rate:.1f}" for rate in rates), verdict(rates[0], GOALS[row[0]], at_most=True)]
        if "voices" in encoder.spec.purposes:
            if options.fit:
                some = [compared(heard, speakers, np.flatnonzero(half == 0), n) for n in (1, 2, 3, None)]
                fit([one for found in some for kinds in found.values() for one in kinds])
            tables.append(errors(compared(heard, speakers, np.flatnonzero(half == 1))))
    n_people = len(set(speakers))
    print_table(f"{len(given)} stretches of {SECONDS:g} s by {n_people} readers", header, table)
    header = ["told as likely, %", "with clean: missed", "others taken for it", "with the same: missed"]
    header += ["others taken for it"]
    title = f"{len(set(speakers[half == 1]))} readers by whom nothing was fitted"
    for rows_of_errors in tables:
        print_table(title, header, rows_of_errors)
    measure_conversations(data, rows, options.conversations)
    return 0


if __name__ == "__main__":
    sys.exit(main())
