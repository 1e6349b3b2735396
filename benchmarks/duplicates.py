"""Measure whether ``duplicates`` finds what is planted in a library of real music, and nothing else.

::

    python -m benchmarks.duplicates --data DIR [--tracks 150] [--readme]

DIR holds ``manifest.tsv``. Of its music a sample is indexed as it is, with copies of every third track: coded
anew, quieter, a part of it, a part within other music, a little fast, and under noise. Tracks of different
names may hold the same recording: pairs that were not planted are right if their waveforms are the same, and
are printed.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy.signal

from benchmarks.tables import load, machine, print_table, write_table
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.library import Library
from echoic.recordings.result import Duplicate
from echoic.training.augment.waveform import add_noise, change_speed, coloured_noise
from echoic.types import Float32

RATE = 32_000
PART = 20.0  # s
SAME = 0.5  # correlation of two waveforms that codecs have been at

Copy = Callable[[Float32, Float32, np.random.Generator], Float32]


def part(samples: Float32, rng: np.random.Generator) -> Float32:
    first = int(rng.integers(0, max(1, len(samples) - round(PART * RATE))))
    return samples[first : first + round(PART * RATE)]


#: How a copy is made of a track, with the samples of another track at hand; and as what it is written.
COPIES: dict[str, tuple[Copy, str, int]] = {
    "mp3 at 64 kbit/s": (lambda x, _, __: x, ".mp3", 64_000),
    "opus at 24 kbit/s": (lambda x, _, __: x, ".opus", 24_000),
    "20 dB quieter": (lambda x, _, __: np.float32(0.1) * x, ".flac", 0),
    "20 s of it": (lambda x, _, rng: part(x, rng), ".mp3", 128_000),
    "20 s of it within other music": (
        lambda x, other, rng: np.concatenate([other[: 30 * RATE], part(x, rng), other[30 * RATE :]]),
        ".mp3",
        128_000,
    ),
    "2 % fast": (lambda x, _, __: change_speed(x, 1.02), ".mp3", 128_000),
    "under noise, 5 dB": (
        lambda x, _, rng: add_noise(x, coloured_noise(len(x), 1.0, rng), 5.0),
        ".mp3",
        128_000,
    ),
}


def plant(folder: Path, data: Path, n_tracks: int, seed: int) -> dict[str, list[frozenset[str]]]:
    """Fill a folder with tracks and copies; return the pairs of names that hold the same sound, by copy."""
    rng = np.random.default_rng(seed)
    with (data / "manifest.tsv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["dataset"] == "music"]
    chosen = [rows[i] for i in rng.permutation(len(rows))]
    planted: dict[str, list[frozenset[str]]] = {kind: [] for kind in COPIES}
    other_name, other = "", np.empty(0, np.float32)
    number = 0
    for row in chosen:
        samples, _ = read_audio(data / row["path"], RATE)
        if len(samples) < 2 * PART * RATE:
            continue
        name = f"{number:03} {Path(row['path']).stem}"
        write_audio(folder / f"{name}.flac", samples, RATE)
        if number % 3 == 0 and other_name:
            kind = list(COPIES)[number // 3 % len(COPIES)]
            make, suffix, bit_rate = COPIES[kind]
            copy = f"{name} copy"
            made = make(samples, other, rng)
            write_audio(folder / f"{copy}{suffix}", made, RATE, bit_rate=bit_rate or 128_000)
            planted[kind].append(frozenset((name, copy)))
            if kind.endswith("other music"):
                planted[kind].append(frozenset((other_name, copy)))
        if number % 3 != 0:  # what is copied is not also what copies are put into
            other_name, other = name, samples
        number += 1
        if number == n_tracks:
            break
    return planted


def correlation(duplicate: Duplicate) -> float:
    """Correlate the waveforms of two files in the middle of what they are said to share: 1 is the same."""
    middle = (duplicate.start + duplicate.end) / 2
    there = duplicate.other_start + middle - duplicate.start
    one, _ = read_audio(duplicate.path, 8_000, start=max(0.0, middle - 2), end=middle + 2)
    other, _ = read_audio(duplicate.other, 8_000, start=max(0.0, there - 3), end=there + 3)
    one = one - one.mean()
    energy = np.convolve(np.square(other, dtype=np.float64), np.ones(len(one)), "valid")
    products = scipy.signal.correlate(other.astype(np.float64), one.astype(np.float64), "valid")
    return float((np.abs(products) / np.sqrt(energy * np.square(one).sum() + 1e-9)).max())


def pair_of(duplicate: Duplicate) -> frozenset[str]:
    return frozenset((Path(duplicate.path).stem, Path(duplicate.other).stem))


def main(data: Path, n_tracks: int, seed: int, readme: bool) -> None:
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as temporary, Library(Path(temporary) / "library") as library:
        folder = Path(temporary) / "music"
        folder.mkdir()
        planted = plant(folder, data, n_tracks, seed)
        report = library.index([folder], encoders=["fingerprint"])
        begun = time.process_time()
        found = library.duplicates()
        spent = time.process_time() - begun
        told = {pair_of(duplicate) for duplicate in found}
        due = {pair for pairs in planted.values() for pair in pairs}
        others = [(d, correlation(d)) for d in found if pair_of(d) not in due]
    rows = [
        [kind, f"{sum(pair in told for pair in pairs)}", str(len(pairs))] for kind, pairs in planted.items()
    ]
    same = {pair_of(duplicate) for duplicate, likeness in others if likeness >= SAME}
    recall, precision = len(told & due) / len(due), len(told & due | same) / max(1, len(told))
    rows.append(["all (recall)", f"{recall:.3f}", str(len(due))])
    print_table(
        f"{len(told)} pairs told among {n_tracks} tracks and {report.added - n_tracks} planted copies",
        ["copy", "found", "of"],
        rows,
        f"Precision {precision:.3f}: of {len(told - due)} pairs that were not planted {len(same)} have the "
        "same waveform.",
        f"{report.audio / 3600:.1f} h compared in {spent:.1f} s of one core; {load()}.",
    )
    for d, likeness in others:
        spans = f"{d.start:.0f}–{d.end:.0f} s = {d.other_start:.0f}–{d.other_end:.0f} s"
        names = f"{Path(d.path).stem} | {Path(d.other).stem}"
        print(f"not planted: {names}, {d.score:.2f}: {spans}, correlation {likeness:.2f}")
    for kind, pairs in planted.items():
        for pair in pairs:
            if pair not in told:
                print(f"missed: {kind}: {' | '.join(sorted(pair))}")
    if readme:
        write_table(
            "duplicates",
            ["copies planted among real music", "share"],
            [
                ["of the pairs told, right (precision)", f"{precision:.2f}"],
                ["of the planted pairs, told (recall)", f"{recall:.2f}"],
            ],
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.duplicates", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tracks", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--readme", action="store_true", help="write the main figures into README.md")
    options = parser.parse_args()
    main(options.data, options.tracks, options.seed, options.readme)
