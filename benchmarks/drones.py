"""Write a set of drones for ``benchmarks.identification``: slow pads, different music that sounds alike.

::

    python -m benchmarks.drones SET [--families 6] [--pieces 6]
    python -m benchmarks.identification SET

All is synthesised. The pieces of a family have one preset, one key and the same chords; what differs is in
which order and for how long they sound, and how filters and levels move. Every other piece is in ``ref/``;
of all there are excerpts of 5 and 10 s, as they are and under noise. A decision that takes what is alike for
what is the same answers many of those that are not in ``ref/``.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import numpy.typing as npt

from echoic.audio.encode import write_audio
from echoic.audio.synthesis.instruments import pad
from echoic.audio.synthesis.signals import filtered, finish, lowpass, oscillate, place, reverberate, wander
from echoic.training.augment.waveform import add_noise, coloured_noise
from echoic.types import Float32

RATE = 16_000
SECONDS = 40.0
LENGTHS = (5.0, 10.0)  # s of an excerpt
CONDITIONS = {"clean": None, "noise5": 5.0}  # dB
CHORDS = ((0, 7, 12), (0, 7, 15), (-4, 3, 12), (3, 10, 15), (-2, 5, 14))  # semitones above the key
SHORTEST, LONGEST = 4.0, 9.0  # s of a chord
PEAK = 0.5

Float64 = npt.NDArray[np.float64]


def drone(family: int, piece: int) -> Float32:
    """Make a piece of a family, shape (n,)."""
    preset, rng = np.random.default_rng([family, 0]), np.random.default_rng([family, 1 + piece])
    key = 110.0 * 2 ** (int(preset.integers(0, 12)) / 12)
    low, high, air, brightness = preset.uniform([0.2, 0.1, 0.005, 400.0], [1.0, 0.6, 0.03, 1800.0])
    n = round(SECONDS * RATE)
    out = low * oscillate(key / 2, 1 / np.arange(1, 12) ** 2, n, RATE)  # which lies under all of them
    at = 0.0
    while at < SECONDS:
        length = rng.uniform(SHORTEST, LONGEST)
        for semitone in CHORDS[int(rng.integers(len(CHORDS)))]:
            note = pad(key * 2 ** (semitone / 12), round((length + 2) * RATE), RATE, rng)
            place(out, note, round(at * RATE), high * rng.uniform(0.6, 1.0))
        at += length
    out = filtered(out, RATE, lambda frequencies: lowpass(frequencies, brightness))
    out *= 0.5 + wander(rng, n, RATE, 0.15)
    out += air * np.abs(out).max() * rng.normal(size=n) * wander(rng, n, RATE, 0.3)
    return finish(reverberate(out, RATE, rng, t60=3.0, wet=0.5)[:n], RATE, peak=PEAK)


def main(folder: Path, n_families: int, n_pieces: int) -> None:
    rng = np.random.default_rng(0)
    for inside in ("ref", "queries"):
        (folder / inside).mkdir(parents=True, exist_ok=True)
    rows: list[list[str]] = []
    for family in range(n_families):
        for piece in range(n_pieces):
            name, samples = f"drone-{family}-{piece}", drone(family, piece)
            is_known = piece % 2 == 0
            if is_known:
                write_audio(folder / "ref" / f"{name}.wav", samples, RATE)
            for length in LENGTHS:
                for condition, ratio in CONDITIONS.items():
                    start = float(rng.uniform(1.0, SECONDS - length - 1.0))
                    part = samples[round(start * RATE) : round((start + length) * RATE)]
                    if ratio is not None:
                        part = add_noise(part, coloured_noise(len(part), 1.0, rng), ratio)
                    query = f"q{len(rows):05}"
                    write_audio(folder / "queries" / f"{query}.wav", part, RATE)
                    track = name if is_known else "-"
                    rows.append([query, track, f"{start:.3f}", f"{length:g}", condition, "1"])
    with (folder / "truth.tsv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["query", "track", "start_s", "length_s", "condition", "speed"])
        writer.writerows(rows)
    print(f"{n_families * n_pieces} drones, half of them in ref/, and {len(rows)} excerpts in {folder}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.drones", description=__doc__.splitlines()[0])
    parser.add_argument("folder", metavar="SET", type=Path)
    parser.add_argument("--families", type=int, default=6)
    parser.add_argument("--pieces", type=int, default=6)
    options = parser.parse_args()
    main(options.folder, options.families, options.pieces)
