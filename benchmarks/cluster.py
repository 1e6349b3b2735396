"""Measure what a Ray cluster costs beside the worker processes that it takes the place of.

::

    python -m benchmarks.cluster [--quick]

The same files are encoded by the two, two processes each on this machine, in turns, after each has loaded its
encoders. Neither commits anything: what is compared is the way of a task to a worker and of its vectors back.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.indexing import copy_recordings, write_recordings
from benchmarks.tables import machine, print_table, verdict
from echoic.analysis.workers import Pool, Task, WorkerPool
from echoic.cluster import LOCAL, ClusterPool
from echoic.encoders.registry import load_encoder

N_WORKERS = 2
ENCODERS = ("sound", "fingerprint")
MOST = 1.10  # times what worker processes take


def measure(pool: Pool, tasks: Sequence[Task]) -> float:
    """Encode files, and return how many seconds that takes."""
    begun = time.perf_counter()
    n_segments = 0
    for task, result in pool.run(tasks):
        if isinstance(result, Exception):
            raise result
        n_segments += len(result.segments[task.encoders[0][1]])
    assert n_segments > 0
    return time.perf_counter() - begun


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer files")
    quick = parser.parse_args(arguments).quick
    n_rounds = 3 if quick else 7
    encoders = tuple((name, load_encoder(name).spec.key) for name in ENCODERS)
    with tempfile.TemporaryDirectory() as name:
        recordings = write_recordings(Path(name), 1, 4)
        files = copy_recordings(recordings, Path(name) / "corpus", 4 if quick else 20)
        tasks = [Task(path, encoders) for path in files]
        taken: dict[str, list[float]] = {"worker processes": [], "Ray": []}
        with WorkerPool(N_WORKERS) as plain, ClusterPool(LOCAL, N_WORKERS) as cluster:
            pools: dict[str, Pool] = {"worker processes": plain, "Ray": cluster}
            for pool in pools.values():
                measure(pool, tasks[: 2 * N_WORKERS])
            for _ in range(n_rounds):
                for what, pool in pools.items():
                    taken[what].append(measure(pool, tasks))
    medians = {what: statistics.median(times) for what, times in taken.items()}
    ratio = statistics.median(
        theirs / ours for ours, theirs in zip(taken["worker processes"], taken["Ray"], strict=True)
    )
    rows = [
        [what, f"{medians[what]:.2f}", f"{min(times):.2f}", f"{max(times):.2f}"]
        for what, times in taken.items()
    ]
    print_table(
        f"{len(tasks)} files, {n_rounds} rounds",
        ["encoded by", "s, median", "least", "most"],
        rows,
        f"Ray takes {ratio:.3f} times as long (median of rounds), {verdict(ratio, MOST, at_most=True)}: "
        f"at most {MOST:g}. {machine()}",
    )
    return int(ratio > MOST)


if __name__ == "__main__":
    sys.exit(main())
