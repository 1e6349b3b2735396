"""Reckon what a library of any size takes, and measure how far that can be believed.

::

    python -m benchmarks.capacity [--check 3e6] [--core-hour 0.05] [--gigabyte-month 0.08]

An inverted file is measured at 10⁵ and 10⁶ vectors: how long a search takes by how many cells it looks
into, and how many of the 20 true neighbours it finds. From these two sizes alone the same is told of a third,
which is then measured, and of 10⁷ and 10⁹. Time is that of a processor, on one thread, so that what else a
machine is at matters little; vectors are those of :class:`benchmarks.stores.Clouds`, a centre for each 50.

A search compares the query with the centre of each cell, goes through the codes in the cells that are
nearest, and scores what is left from the vectors:

    time = fixed + centre · cells + code · vectors · looked into / cells

where cells = 2 √vectors, as the embedded store makes them; the three numbers are fitted to both sizes. The
recall is told by the share of the cells that is looked into, as the larger size has it. (That the cells
needed grow as a power of the size was tried first: from these two sizes it told 303 cells of 3·10⁶ vectors
where 99 are needed.) Of 10⁹ the time is that of a processor alone: vectors that do not fit into memory are
read from a disk besides, some 60 of them a search.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from benchmarks.stores import Clouds
from benchmarks.tables import load, print_table
from echoic.advice.stores import bytes_on_disk
from echoic.encoders.registry import DEFAULT_ENCODERS, checked_encoder
from echoic.storage.vectors.ann import InvertedFile, cells_of, nearest

K = 20
RECALL = 0.95
SIZES = (100_000, 1_000_000)
TOLD = (10_000_000, 1_000_000_000)
PROBES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
N_QUERIES = 200
PER_CENTRE = 50
DIM = 128
AT_ONCE = 250_000
REALTIME = 231  # README: one core, four encoders, mp3 at 44.1 kHz
HOURS = 1_000


@dataclass(frozen=True, slots=True)
class Measured:
    """What searches of one size took: CPU seconds and recall, by how many cells they looked into."""

    n: int
    n_cells: int
    seconds: dict[int, float]
    recalls: dict[int, float]

    def needed(self) -> float:
        """Return how many cells give the recall, read off between those that were tried."""
        probes = sorted(self.recalls)
        found = np.maximum.accumulate([self.recalls[p] for p in probes])
        if found[-1] < RECALL:
            raise ValueError(f"of {self.n:,} vectors {probes[-1]} cells hold too few: {found[-1]:.3f}")
        return float(np.exp(np.interp(RECALL, found, np.log(probes))))


@dataclass(frozen=True, slots=True)
class Law:
    """How long a search takes, and what share of the cells it needs."""

    fixed: float
    centre: float
    code: float
    share: float  # of the cells

    @classmethod
    def of(cls, sizes: Sequence[Measured]) -> Law:
        """Fit times by non-negative least squares of relative errors."""
        rows = [(m, p, t) for m in sizes for p, t in m.seconds.items()]
        design = np.array([[1.0, m.n_cells, m.n * p / m.n_cells] for m, p, _ in rows])
        times = np.array([t for *_, t in rows])
        (fixed, centre, code), _ = nnls(design / times[:, None], np.ones(len(times)))
        return cls(fixed, centre, code, sizes[-1].needed() / sizes[-1].n_cells)

    def cells_needed(self, n: int) -> float:
        return self.share * cells_of(n)

    def seconds(self, n: int, n_probe: float) -> float:
        n_cells = cells_of(n)
        return self.fixed + self.centre * n_cells + self.code * n * n_probe / n_cells


def measure(n: int, radius: float) -> Measured:
    clouds = Clouds(max(1, n // PER_CENTRE), radius, DIM)
    matrix = np.empty((n, DIM), np.float32)
    for at in range(0, n, AT_ONCE):  # a draw takes several times its size
        matrix[at : at + AT_ONCE] = clouds.draw(min(AT_ONCE, n - at))
    queries = clouds.draw(N_QUERIES)
    truth, _ = nearest(matrix, queries, K)
    index = InvertedFile.build(matrix)
    seconds, recalls = {}, {}
    for probe in PROBES:
        index._index.nprobe = probe
        found, times = [], []
        for query in queries:
            begun = time.process_time()
            found.append(index.search(matrix, query[None], K)[0][0])
            times.append(time.process_time() - begun)
        seconds[probe] = float(np.median(times))
        recalls[probe] = recall(np.stack(found), truth)
    return Measured(n, index.n_lists, seconds, recalls)


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, truth, strict=True)]))


def print_searching(radius: float, check: int | None) -> None:
    sizes = [measure(n, radius) for n in SIZES]
    law = Law.of(sizes)
    checked = None if check is None else measure(check, radius)
    rows = []
    for n in (*SIZES, *([] if check is None else [check]), *TOLD):
        told = law.cells_needed(n)
        row = [f"{n:,}", f"{cells_of(n):,}", f"{told:.1f}", f"{1e3 * law.seconds(n, told):.2f} ms"]
        known = next((m for m in (*sizes, checked) if m is not None and m.n == n), None)
        if known is None:
            rows.append([*row, "", ""])
            continue
        need = known.needed()
        times = np.log([known.seconds[p] for p in PROBES])
        took = math.exp(np.interp(math.log(need), np.log(PROBES), times))
        rows.append([*row, f"{need:.1f}", f"{1e3 * took:.2f} ms"])
    header = [
        "vectors",
        "cells",
        "told: looked into",
        "time",
        "measured: looked into",
        "time",
    ]
    print_table(
        f"Searching {DIM} dimensions, radius {radius}, for a recall@{K} of {RECALL}",
        header,
        rows,
        f"Told from {' and '.join(f'{n:,}' for n in SIZES)} alone: {1e6 * law.fixed:.0f} µs, "
        f"{1e9 * law.centre:.1f} ns a centre, {1e9 * law.code:.2f} ns a code; {law.share:.1%} of the cells.",
    )
    if checked is not None:
        table = [
            [
                f"{probe}",
                f"{1e3 * law.seconds(checked.n, probe):.2f} ms",
                f"{1e3 * checked.seconds[probe]:.2f} ms",
                f"{told_recall(sizes[-1], checked.n, probe):.3f}",
                f"{checked.recalls[probe]:.3f}",
            ]
            for probe in PROBES
        ]
        print_table(
            f"{checked.n:,} vectors, by the cells looked into",
            ["cells", "told: time", "measured: time", "told: recall", "measured: recall"],
            table,
        )


def told_recall(known: Measured, n: int, probe: int) -> float:
    """Read off what the same share of the cells finds of another size."""
    probes = sorted(known.recalls)
    at = math.log(probe * known.n_cells / cells_of(n))
    return float(np.interp(at, np.log(probes), [known.recalls[p] for p in probes]))


def print_bytes(core_hour: float, gigabyte_month: float) -> None:
    rows = []
    total = 0.0
    for name in DEFAULT_ENCODERS:
        spec = checked_encoder(name).spec
        n = round(HOURS * 3600 / spec.hop)
        size = bytes_on_disk(spec, n) / 1e9
        total += size
        billion = bytes_on_disk(spec, 10**9) / 1e9
        month = f"{billion * gigabyte_month:.0f}"
        rows.append(
            [name, f"{spec.dim} × {spec.storage}", f"{n:,}", f"{size:.2f} GB", f"{billion:,.0f} GB", month]
        )
    hours = HOURS / REALTIME
    print_table(
        f"{HOURS:,} hours of sound, and 10⁹ segments",
        ["encoder", "numbers", "segments", "1,000 hours", "10⁹ segments", "a month of them"],
        rows,
        f"Indexing takes {hours:.1f} core-hours, {hours * core_hour:.2f} at {core_hour:g} a core-hour; "
        f"{total:.1f} GB are {total * gigabyte_month:.2f} a month at {gigabyte_month:g} a GB.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", type=float, help="measure this size, too, beside what was told of it")
    parser.add_argument("--core-hour", type=float, default=0.05, help="price of a core for an hour")
    parser.add_argument(
        "--gigabyte-month", type=float, default=0.08, help="price of a GB on disk for a month"
    )
    parser.add_argument("--radius", type=float, nargs="*", default=[0.6, 0.9], help="of the clouds")
    options = parser.parse_args()
    print(load(), end="\n\n")
    print_bytes(options.core_hour, options.gigabyte_month)
    for radius in options.radius:
        print_searching(radius, None if options.check is None else int(options.check))


if __name__ == "__main__":
    main()
