"""Measure whether versions of a piece are nearer than other music.

::

    python -m benchmarks.versions [--data DIR] [--readme]

Pieces composed by the demo's rules are played by several bands in other keys, at other tempi, by other
instruments; some versions are shortened, coded at a low rate, and put under noise. Each asks for the others
of its piece. With DIR, which holds ``manifest.tsv``, its music is among what is searched.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path

import numpy as np
import soxr

from benchmarks.tables import load, machine, print_table, write_table
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import ARRANGEMENTS, PIECES, make_piece, make_version, noise
from echoic.library import Library
from echoic.types import Float32

RATE = 16_000
SEEDS = 6
#: What is searched for: of each piece these.
KINDS = ("another key, tempo and band", "cut and coded at 24 kbit/s", "as recorded, 7 % fast, noise at 5 dB")


def under_noise(samples: Float32, snr_db: float, seed: int) -> Float32:
    hiss = noise(len(samples) / RATE + 1, RATE, seed)[: len(samples)]
    return samples + np.float32(10 ** (-snr_db / 20) * samples.std() / hiss.std()) * hiss.astype(np.float32)


def write_pieces(folder: Path) -> dict[str, tuple[str, str]]:
    """Write all versions of all pieces; return piece and kind by the file's stem."""
    made: dict[str, tuple[str, str]] = {}

    def write(piece: str, kind: str, number: int, samples: Float32, suffix: str, bit_rate: int) -> None:
        stem = f"{piece} {kind[:3].strip()} {number}"
        write_audio(folder / f"{stem}{suffix}", samples.astype(np.float32), RATE, bit_rate=bit_rate)
        made[stem] = piece, kind

    for name in (name for name in PIECES if not name.endswith("live")):
        for seed in range(SEEDS):
            piece = f"{name}-{seed}"
            original = make_piece(name, sample_rate=RATE, seed=seed).mean(axis=1)
            write(piece, "the first recording", 0, original, ".flac", 0)
            for arrangement in range(ARRANGEMENTS):
                version = make_version(name, arrangement, sample_rate=RATE, seed=seed).mean(axis=1)
                write(piece, KINDS[0], arrangement, version, ".mp3", 128_000)
            version = make_version(name, seed % ARRANGEMENTS, sample_rate=RATE, seed=seed).mean(axis=1)
            third = len(version) // 3
            cut = np.concatenate([version[third // 2 : third], version[2 * third :]])
            write(piece, KINDS[1], 0, cut, ".opus", 24_000)
            fast = soxr.resample(original, 1.07 * RATE, RATE)
            write(piece, KINDS[2], 0, under_noise(fast, 5, seed), ".mp3", 128_000)
    return made


def main(data: Path | None, readme: bool) -> None:
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as temporary, Library(Path(temporary) / "library") as library:
        folder = Path(temporary) / "pieces"
        folder.mkdir()
        made = write_pieces(folder)
        music = []
        if data is not None:
            with (data / "manifest.tsv").open(newline="") as file:
                rows = csv.DictReader(file, delimiter="\t")
                music = [data / row["path"] for row in rows if row["dataset"] == "music"]
        report = library.index([folder, *music], encoders=["harmony"])
        right: dict[str, list[tuple[bool, float]]] = {kind: [] for kind in KINDS}
        begun = time.process_time()
        for path in sorted(folder.iterdir()):
            piece, kind = made[path.stem]
            if kind not in right:
                continue
            hits = library.versions(path, 20)
            ranks = [hit.rank for hit in hits if made.get(Path(hit.path).stem, ("", ""))[0] == piece]
            n_others = sum(other == piece for other, _ in made.values()) - 1
            precisions = [(at + 1) / rank for at, rank in enumerate(ranks)]
            right[kind].append((ranks[:1] == [1], sum(precisions) / n_others))
        n_queries = sum(map(len, right.values()))
        spent = (time.process_time() - begun) / n_queries
    rows_of_kinds = [
        [kind, *(f"{value:.3f}" for value in np.mean(results, axis=0)), str(len(results))]
        for kind, results in right.items()
    ]
    print_table(
        f"{report.added} files, {len(music)} of them real music; each version asks for the others of its "
        "piece",
        ["version that asks", "P@1", "mAP", "queries"],
        rows_of_kinds,
        f"{1e3 * spent:.0f} ms of one core for a query; indexed at {report.audio / report.elapsed:.0f}x "
        f"realtime; {load()}.",
    )
    if readme:
        write_table("versions", ["version that asks", "P@1", "mAP"], [row[:3] for row in rows_of_kinds])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.versions", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--readme", action="store_true", help="write the main figures into README.md")
    options = parser.parse_args()
    main(options.data, options.readme)
