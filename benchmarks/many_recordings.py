"""Measure identification where the library holds a thousand hours.

::

    python -m benchmarks.many_recordings SET [--hours 1000] [--length 10] [--readme]

SET is as for ``benchmarks.identification``. Its recordings are indexed; synthetic ones of five minutes fill
the library up. Their vectors lie between those of two moments of real music, with noise added. Excerpts are
asked for before and after.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil

from benchmarks.identification import Answer, Row
from benchmarks.tables import load, machine, print_table, write_table
from echoic.encoders.base import normalize
from echoic.library import Library
from echoic.storage.catalog import Catalog
from echoic.storage.spaces import Spaces
from echoic.types import AudioInfo, Float32, Segments

MINUTES = 5.0
NOISE = 0.045  # a number's deviation; half of the length of a vector of 128
GOAL_SECONDS, GOAL_MEGABYTES = 0.060, 1.2


def between(vectors: Float32, n: int, rng: np.random.Generator) -> Float32:
    """Make vectors of music that is none: between those of two moments, and noise."""
    one, other = vectors[rng.integers(0, len(vectors), (2, n))]
    share = rng.uniform(0.3, 0.7, (n, 1)).astype(np.float32)
    noise = NOISE * rng.standard_normal(one.shape, dtype=np.float32)
    return normalize(share * one + (1 - share) * other + noise)


def fill(folder: Path, hours: float) -> int:
    """Add synthetic recordings until the library holds so many hours; return its number of windows."""
    rng = np.random.default_rng(0)
    catalog = Catalog(folder)
    with closing(Spaces(catalog)) as spaces:
        _, spec = spaces.chosen("fingerprint")
        store = spaces.store(spec)
        real = np.concatenate([file.vectors for file in store.fetch(store.file_ids().tolist()).values()])
        n = int((60 * MINUTES - spec.window) / spec.hop) + 1
        starts = spec.hop * np.arange(n, dtype=np.float64)
        info = AudioInfo(duration=60 * MINUTES, sample_rate=44_100, channels=2, codec="mp3float")
        missing = round((3600 * hours - catalog.total_duration()) / (60 * MINUTES))
        for first in range(0, missing, 100):
            with catalog.transaction():
                for number in range(first, min(missing, first + 100)):
                    path = Path(f"/music/{number // 100:03d}/{number:06d}.mp3")
                    file_id = catalog.put_file(path, 5_000_000, number, f"{number:064x}", info, "indexed")
                    catalog.put_encoded(file_id, spec.key, n)
                    vectors = between(real, n, rng)
                    store.replace(file_id, Segments(starts, starts + spec.window, vectors))
        begun = time.perf_counter()
        store.flush()
        print(f"cache laid out in {time.perf_counter() - begun:.0f} s", flush=True)
        n_windows = len(store)
    catalog.close()
    return n_windows


def ask(folder: Path, queries: Path, rows: list[Row]) -> tuple[list[Answer], list[float], list[float], float]:
    """Ask for each excerpt; return the answers, seconds on the clock and of a core, and MB of memory."""
    answers, walls, cores = [], [], []
    with Library(folder) as library:
        library.identify(queries / f"{rows[0]['query']}.wav")
        for row in rows:
            begun, used = time.perf_counter(), time.process_time()
            found = library.identify(queries / f"{row['query']}.wav", min_score=0.0)
            walls.append(time.perf_counter() - begun)
            cores.append(time.process_time() - used)
            answers.append(Answer.of(row, found))
        memory = psutil.Process().memory_info()
    return answers, walls, cores, (memory.rss - memory.shared) / 1e6


def main(folder: Path, hours: float, length: str, n_queries: int, readme: bool) -> None:
    print(f"{machine()}\n")
    with (folder / "truth.tsv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["length_s"] == length]
    known = [row for row in rows if row["track"] != "-"]
    rows = [known[i] for i in np.random.default_rng(0).permutation(len(known))[:n_queries]]
    table = []
    with tempfile.TemporaryDirectory() as temporary:
        with Library(temporary) as library:
            seconds = library.index([folder / "ref"], encoders=["fingerprint"]).audio
        for full in (False, True):
            n_windows = fill(Path(temporary), hours) if full else 0
            answers, walls, cores, memory = ask(Path(temporary), folder / "queries", rows)
            size = sum(p.stat().st_size for p in Path(temporary).rglob("*") if p.is_file())
            held = hours if full else seconds / 3600
            table.append(
                [
                    f"{held:,.0f} hours" + (f", {n_windows:,} windows" if full else ""),
                    f"{np.mean([a.right for a in answers]):.3f}",
                    f"{1e3 * np.median(walls):.0f} ms",
                    f"{1e3 * np.percentile(walls, 95):.0f} ms",
                    f"{1e3 * np.median(cores):.0f} ms",
                    f"{size / 1e6 / held:.2f} MB",
                    f"{memory:.0f} MB",
                ]
            )
    print_table(
        f"{len(rows)} excerpts of {length} s, decoded, encoded and looked for; warm",
        ["library", "right", "p50", "p95", "CPU, p50", "disk an hour", "memory"],
        table,
        f"Goals: p50 at most {1e3 * GOAL_SECONDS:.0f} ms, {GOAL_MEGABYTES} MB an hour.",
        f"{load()}.",
    )
    if readme:
        write_table(
            "many recordings",
            [f"identifying {length} s", "right", "p50", "disk an hour", "memory"],
            [[row[0], row[1], row[2], row[5], row[6]] for row in table],
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.many_recordings", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", metavar="SET", type=Path)
    parser.add_argument("--hours", type=float, default=1000.0)
    parser.add_argument("--length", default="10")
    parser.add_argument("--queries", type=int, default=150)
    parser.add_argument("--readme", action="store_true", help="write the main figures into README.md")
    options = parser.parse_args()
    main(options.folder, options.hours, options.length, options.queries, options.readme)
