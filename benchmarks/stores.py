"""Measure the embedded store beside plain FAISS.

::

    python -m benchmarks.stores [--quick]

Vectors are synthetic: a number of centres, uniform on the sphere, and around each a cloud of given radius
(the length of the noise, where the centres have length 1). Queries are new draws from the same clouds.
Times are those of whole ``store.search`` calls, with their look into the database whether something
changed. Threads are as FAISS finds them; set OMP_NUM_THREADS to fix them.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import psutil

from benchmarks.tables import load, verdict, write_table
from echoic.encoders.base import normalize
from echoic.storage.vectors.ann import nearest
from echoic.storage.vectors.embedded import EmbeddedStore
from echoic.storage.vectors.neighbours import Neighbours
from echoic.types import Float32, Segments

K = 20
SEGMENTS_PER_FILE = 50
N_QUERIES = 200


@dataclass(frozen=True, slots=True)
class Setting:
    """A collection and what is asked of it: milliseconds of a search, and its quality or its price."""

    n: int
    dim: int
    n_centres: int
    radius: float
    most_milliseconds: float
    most_ratio: float | None = None
    least_recall: float | None = None


SETTINGS = (
    Setting(100_000, 512, 2_000, 0.6, most_milliseconds=20, most_ratio=1.3),
    Setting(1_000_000, 128, 20_000, 0.6, most_milliseconds=15, least_recall=0.95),
    Setting(1_000_000, 128, 20_000, 0.9, most_milliseconds=15, least_recall=0.95),
)


class Clouds:
    """Unit vectors around centres."""

    def __init__(self, n_centres: int, radius: float, dim: int) -> None:
        self._rng = np.random.default_rng(0)
        self._noise = radius / np.sqrt(dim)
        self._centres = self._rng.standard_normal((n_centres, dim), dtype=np.float32)
        self._centres /= np.linalg.norm(self._centres, axis=1, keepdims=True)

    def draw(self, n: int) -> Float32:
        vectors = self._centres[self._rng.integers(0, len(self._centres), n)]
        vectors += np.float32(self._noise) * self._rng.standard_normal(vectors.shape, dtype=np.float32)
        return normalize(vectors)


def milliseconds(search: Callable[[Float32], object], queries: Float32) -> tuple[float, float]:
    """Time single queries: the median and the 95th percentile."""
    times = []
    for i in range(len(queries)):
        began = time.perf_counter()
        search(queries[i : i + 1])
        times.append(time.perf_counter() - began)
    return 1e3 * float(np.median(times)), 1e3 * float(np.percentile(times, 95))


def segments_of(vectors: Float32) -> Segments:
    starts = 2.5 * np.arange(len(vectors), dtype=np.float64)
    return Segments(starts, starts + 5.0, vectors)


def recall(found: Neighbours, truth: np.ndarray) -> float:
    rows = found.file_ids * SEGMENTS_PER_FILE + found.segments
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(rows, truth, strict=True)]))


def megabytes(paths: Iterable[Path]) -> float:
    return sum(path.stat().st_size for path in paths) / 1e6


def resident() -> float:
    """Memory of this process that is not a mapped file, in MB."""
    memory = psutil.Process().memory_info()
    return float(memory.rss - getattr(memory, "shared", 0)) / 1e6


def measure(folder: Path, setting: Setting) -> list[str]:
    """Measure one collection, print it, and return its row for README."""
    n, dim = setting.n, setting.dim
    print(
        f"\n{n:,} segments of dimension {dim} around {setting.n_centres:,} centres, radius {setting.radius}"
    )
    clouds = Clouds(setting.n_centres, setting.radius, dim)
    vectors, queries = clouds.draw(n), clouds.draw(N_QUERIES)

    database = folder / "library.db"
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("PRAGMA synchronous = normal")
    store = EmbeddedStore(lambda: connection, "bench@1", dim, folder / "index")
    began = time.perf_counter()
    for file_id in range(n // SEGMENTS_PER_FILE):
        at = file_id * SEGMENTS_PER_FILE
        store.replace(file_id, segments_of(vectors[at : at + SEGMENTS_PER_FILE]))
    row("write, one transaction a file", time.perf_counter() - began, "s")
    began = time.perf_counter()
    store.flush()
    row("flush (lay out, train, fill)", time.perf_counter() - began, "s")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    row("database", megabytes([database]), "MB")
    row("cache", megabytes((folder / "index").rglob("*.*")), "MB")

    truth, _ = nearest(vectors, queries, 200)
    index = faiss.IndexFlatIP(dim)
    index.add(vectors)
    flat, flat_95 = fastest_flat(index, queries[:60])
    del index, vectors

    before = resident()
    store.close()
    store = EmbeddedStore(lambda: connection, "bench@1", dim, folder / "index")
    began = time.perf_counter()
    store.search(queries[:1], K)
    row("first search after opening", 1e3 * (time.perf_counter() - began), "ms")
    ours, ours_95 = milliseconds(lambda q: store.search(q, K), queries)
    row("warm search, p50", ours, "ms", at_most=setting.most_milliseconds)
    row("warm search, p95", ours_95, "ms")
    row("faiss.IndexFlatIP, p50", flat, "ms")
    row("faiss.IndexFlatIP, p95", flat_95, "ms")
    row("ratio to IndexFlatIP, p50", ours / flat, at_most=setting.most_ratio)
    recalls = {k: recall(store.search(queries, k), truth[:, :k]) for k in (K, 200)}
    for k, goal in ((K, setting.least_recall), (200, None)):
        row(f"recall@{k}", recalls[k], at_least=goal)
    began = time.perf_counter()
    store.search(queries, K)
    row(f"{N_QUERIES} queries in one call", 1e3 * (time.perf_counter() - began), "ms")
    rng = np.random.default_rng(1)
    n_files = n // SEGMENTS_PER_FILE
    for share in (0.01, 0.3):
        within = set(rng.choice(n_files, int(share * n_files), replace=False).tolist())
        times, _ = milliseconds(partial(store.search, k=K, within=within), queries[:30])
        row(f"within {share:.0%} of the files, p50", times, "ms")
    row("memory beside mapped files", max(0.0, resident() - before), "MB")
    store.replace(0, segments_of(queries[:SEGMENTS_PER_FILE]))
    began = time.perf_counter()
    store.search(queries[:1], K)
    row("search right after one file changed", 1e3 * (time.perf_counter() - began), "ms")
    connection.close()
    name = f"{n:,} segments of {dim} dimensions" + (", hardly any clusters" if setting.radius > 0.8 else "")
    return [name, f"{ours:.1f} ms", f"{ours / flat:.2f} ×", f"{recalls[K]:.3f}"]


def fastest_flat(index: faiss.IndexFlatIP, queries: np.ndarray) -> tuple[float, float]:
    """Time plain FAISS at its best: on a small machine one query is slower on all threads than on one."""
    threads = faiss.omp_get_max_threads()
    timings = []
    for n_threads in {1, threads}:
        faiss.omp_set_num_threads(n_threads)
        timings.append(milliseconds(lambda q: index.search(q, K), queries))
    faiss.omp_set_num_threads(threads)
    return min(timings)


def row(
    name: str, value: float, unit: str = "", *, at_most: float | None = None, at_least: float | None = None
) -> None:
    judged = ""
    if at_most is not None:
        judged = f"goal: at most {at_most:g}, {verdict(value, at_most, at_most=True)}"
    elif at_least is not None:
        judged = f"goal: at least {at_least:g}, {verdict(value, at_least)}"
    print(f"  {name:<38}{value:>10.3f} {unit:<4}{judged}".rstrip(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out the collections of a million")
    parser.add_argument("--readme", action="store_true", help="write the main figures into README.md")
    options = parser.parse_args()
    settings = SETTINGS[:1] if options.quick else SETTINGS
    print(f"FAISS on {faiss.omp_get_max_threads()} threads; {load()}")
    rows = []
    for setting in settings:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(Path(folder), setting))
    if options.readme:
        write_table("searching", ["searching", "p50", "over plain FAISS flat", f"recall@{K}"], rows)


if __name__ == "__main__":
    main()
