"""Measure indexing from end to end beside the sum of its parts, on two workers, and its memory.

::

    python -m benchmarks.indexing [--quick]
    python -m benchmarks.indexing --beside CHECKOUT [--quick]

The recordings are stereo mp3 of 44.1 kHz, synthesised and encoded first; a few distinct ones are copied
until there is enough to index. "x realtime" is seconds of sound for each second: of CPU time, which other
work on the machine disturbs little, and of wall-clock time, which it lengthens. CPU time counts all that
indexing used, in the parent and the workers, their start included.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import av
import numpy as np
import psutil

from benchmarks.tables import load, print_table, verdict, write_table
from echoic.audio.decode import Resampler, open_audio
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import long_recording
from echoic.audio.windows import Windows, cut
from echoic.encoders.base import Encoder
from echoic.encoders.registry import DEFAULT_ENCODERS, available, load_encoder
from echoic.library import Library

SAMPLE_RATE = 44_100
BATCH = 16
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

GOAL_OVER_PARTS = 1.15
GOAL_REALTIME = 150.0
GOAL_TWO_WORKERS = 1.7
GOAL_MEMORY = 300.0  # MB

# A loop that no cache, memory bus or file system slows: what is left is what the machine gives two processes.
PLAIN_LOOP = "sum(i * i % 7 for i in range(30_000_000))"

# From a file to its vectors, by whichever build is found; what is loaded on first use does not count.
EMBEDDING = """
import sys, time
from pathlib import Path
import numpy as np
try:
    from echoic.analysis.pipeline import embed_file
except ImportError:  # where it lay in earlier builds
    from echoic.embedding import embed_file
from echoic.encoders.registry import load_encoder
names, path, vectors = sys.argv[1].split(","), Path(sys.argv[2]), sys.argv[3]
encoders = {name: load_encoder(name) for name in names}
_, segments = embed_file(path, encoders)
np.savez(vectors, **{name: segments[name].vectors for name in names})
begun = time.process_time()
embed_file(path, encoders)
print(time.process_time() - begun)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of CPU and of wall-clock time."""

    cpu: float = 0.0
    wall: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu + other.cpu, self.wall + other.wall)


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    minutes: float
    n_distinct: int
    n_files: int
    n_rounds: int
    long_hours: float


FULL = Size(minutes=5, n_distinct=3, n_files=24, n_rounds=3, long_hours=3)
QUICK = Size(minutes=1, n_distinct=1, n_files=10, n_rounds=1, long_hours=0.25)


def encoder_names() -> list[str]:
    """Name the encoders that a new library starts with, as far as they are installed."""
    installed = {entry.name for entry in available()}
    return [name for name in DEFAULT_ENCODERS if name in installed]


# What is indexed


def write_recordings(folder: Path, minutes: float, n_distinct: int) -> list[Path]:
    """Write stereo mp3 files of synthetic sound."""
    blocks = long_recording(n_distinct * minutes * 60, SAMPLE_RATE)
    mono = np.concatenate(list(blocks)).reshape(n_distinct, -1)
    paths = []
    for number, left in enumerate(mono):
        right = 0.8 * np.roll(left, 30)  # 0.7 ms later and softer: two channels that are not the same
        paths.append(folder / f"recording-{number}.mp3")
        write_audio(paths[-1], np.stack([left, right], axis=1).astype(np.float32), SAMPLE_RATE)
    return paths


def copy_recordings(recordings: Sequence[Path], folder: Path, n_files: int) -> list[Path]:
    folder.mkdir()
    return [
        shutil.copyfile(source, folder / f"{number:03d}.mp3")
        for number, source in enumerate(islice(cycle(recordings), n_files))
    ]


def join_recordings(recordings: Sequence[Path], path: Path, n_times: int) -> None:
    """Write one long mp3 file out of the packets of short ones, without decoding them."""
    with av.open(path, "w") as container:
        stream, at = None, 0
        for source in islice(cycle(recordings), n_times):
            with av.open(source) as short:
                track = short.streams.audio[0]
                stream = stream or container.add_stream_from_template(track)
                for packet in short.demux(track):
                    if packet.size:
                        packet.stream = stream
                        packet.pts = packet.dts = at
                        at += packet.duration or 0
                        container.mux(packet)


def seconds_of_sound(path: Path) -> float:
    with open_audio(path) as stream:
        return sum(map(len, stream)) / stream.sample_rate


# The parts


class Stopwatch:
    """Adds up what named parts cost."""

    def __init__(self) -> None:
        self.costs: dict[str, Cost] = defaultdict(Cost)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.costs[name] += Cost(time.process_time() - cpu, time.perf_counter() - wall)


def run_parts(paths: Sequence[Path], names: Sequence[str]) -> dict[str, Cost]:
    """Do what indexing does to files, part by part, in this process."""
    encoders = {name: load_encoder(name) for name in names}
    watch = Stopwatch()
    for path in paths:
        with watch("decode to mono"), open_audio(path) as stream:
            blocks = list(stream)
        for rate in sorted({encoder.spec.sample_rate for encoder in encoders.values()}):
            with watch("resample"):
                resampler = Resampler(stream.sample_rate, rate)
                samples = np.concatenate([*map(resampler.push, blocks), resampler.finish()])
            for (window, hop), group in _by_window(encoders, rate).items():
                with watch("windows"):
                    windows = cut(samples, window, hop, rate)
                _encode(windows, group, watch)
    return watch.costs


def _by_window(encoders: dict[str, Encoder], rate: int) -> dict[tuple[int, int], dict[str, Encoder]]:
    groups: dict[tuple[int, int], dict[str, Encoder]] = defaultdict(dict)
    for name, encoder in encoders.items():
        if encoder.spec.sample_rate == rate:
            groups[encoder.spec.window_samples, encoder.spec.hop_samples][name] = encoder
    return groups


def _encode(windows: Windows, encoders: dict[str, Encoder], watch: Stopwatch) -> None:
    for at in range(0, len(windows.samples), BATCH):
        batch = windows.samples[at : at + BATCH]
        features = {}
        for name, encoder in encoders.items():
            if encoder.front_end not in features:
                with watch("front ends"):
                    features[encoder.front_end] = encoder.front_end(batch)
            with watch(f"model {name}"):
                encoder.encode(features[encoder.front_end])


def measure_parts(paths: Sequence[Path], names: Sequence[str]) -> dict[str, Cost]:
    """Run the parts in a fresh process whose libraries keep to one thread, like a worker's."""
    command = [sys.executable, "-m", "benchmarks.indexing", "--parts", ",".join(names), *map(str, paths)]
    done = subprocess.run(command, env=os.environ | ONE_THREAD, capture_output=True, text=True, check=True)
    return {name: Cost(*cost) for name, cost in json.loads(done.stdout).items()}


# From end to end


def measure_indexing(folder: Path, names: Sequence[str], jobs: int) -> Cost:
    """Index a folder into a new library."""
    gc.collect()
    with tempfile.TemporaryDirectory() as library:
        cpu, wall = _cpu_with_children(), time.perf_counter()
        with Library(library) as lib:
            report = lib.index([folder], encoders=names, jobs=jobs)
        cost = Cost(_cpu_with_children() - cpu, time.perf_counter() - wall)
    if report.failed or report.partial:
        raise RuntimeError(f"indexing lost something: {report.failed} {report.partial}")
    return cost


def _cpu_with_children() -> float:
    return sum(os.times()[:4])  # children count once they have ended: the library's close waits for them


def measure_plain_loop(n_processes: int) -> float:
    """Run a loop that uses nothing but the processor, in several processes at once; wall-clock seconds."""
    begun = time.perf_counter()
    processes = [subprocess.Popen([sys.executable, "-c", PLAIN_LOOP]) for _ in range(n_processes)]
    for process in processes:
        process.wait()
    return time.perf_counter() - begun


# Memory


@dataclass(frozen=True, slots=True)
class Footprint:
    """What indexing one file took.

    Parameters
    ----------
    total, worker : float
        Highest resident memory of all processes together, and of the largest worker, in MB. Pages of shared
        libraries count once for each process.
    wall, cpu : float
        Seconds.
    """

    total: float
    worker: float
    wall: float
    cpu: float


def measure_memory(path: Path, names: Sequence[str], tree: Path | None = None) -> Footprint:
    """Index one file with ``echoic index``, of another checkout perhaps, and look at it 20 times a second."""
    environment = os.environ if tree is None else _environment(tree)
    with tempfile.TemporaryDirectory() as library:
        command = [sys.executable, "-m", "echoic", "index", str(path), "--library", library, "--jobs", "1"]
        command += [option for name in names for option in ("--encoder", name)]
        begun, cpu = time.perf_counter(), _cpu_with_children()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        parent = psutil.Process(process.pid)
        highest = highest_worker = 0
        while process.poll() is None:
            try:
                workers = [child.memory_info().rss for child in parent.children(recursive=True)]
                highest = max(highest, parent.memory_info().rss + sum(workers))
                highest_worker = max([highest_worker, *workers])
            except psutil.NoSuchProcess:  # ended while it was looked at
                continue
            time.sleep(0.05)
        if process.returncode != 0:
            raise RuntimeError(f"echoic index ended with exit code {process.returncode}")
        wall, cpu = time.perf_counter() - begun, _cpu_with_children() - cpu
        return Footprint(highest / 1e6, highest_worker / 1e6, wall, cpu)


# Beside another build


def cpu_of_embedding(tree: Path, names: Sequence[str], path: Path, vectors: Path) -> float:
    """Embed a file with the build in a checkout, in a fresh process; keep the vectors; CPU seconds."""
    command = [sys.executable, "-P", "-c", EMBEDDING, ",".join(names), str(path), str(vectors)]
    done = subprocess.run(command, env=_environment(tree), capture_output=True, text=True, check=True)
    return float(done.stdout)


def _environment(tree: Path) -> dict[str, str]:
    return os.environ | ONE_THREAD | {"PYTHONPATH": str(tree / "src")}


def largest_distance(one: Path, other: Path, name: str) -> float:
    """Return the largest cosine distance between the vectors that two builds made of the same windows."""
    ours, theirs = (np.load(path)[name].astype(np.float64) for path in (one, other))
    if ours.shape != theirs.shape:
        return float("nan")
    return float(np.max(1 - (ours * theirs).sum(axis=1), initial=0.0))


def beside(other: Path, size: Size) -> None:
    """Compare this build with that of another checkout: CPU time of each encoder, then one long file."""
    trees = {"this": Path(__file__).parents[1], "other": other}
    names = encoder_names()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recordings = write_recordings(folder, size.minutes, size.n_distinct)
        hours = seconds_of_sound(recordings[0]) / 3600
        rows = []
        for group in (*([name] for name in names), names):
            costs: dict[str, list[float]] = {"this": [], "other": []}
            for _ in range(size.n_rounds):  # in turn, so that what else runs disturbs both alike
                for which, tree in trees.items():
                    vectors = folder / f"{which}.npz"
                    costs[which].append(cpu_of_embedding(tree, group, recordings[0], vectors) / hours)
            least = {which: min(cost) for which, cost in costs.items()}
            farthest = max(largest_distance(folder / "this.npz", folder / "other.npz", n) for n in group)
            rows.append(
                [
                    " ".join(group),
                    f"{least['other']:.2f}",
                    f"{least['this']:.2f}",
                    f"{least['other'] / least['this']:.2f}",
                    f"{farthest:.1e}",
                ]
            )
        print_table(
            "CPU seconds for an hour of stereo mp3, from the file to its vectors",
            ["encoders", "other", "this", "times as fast", "largest cosine distance"],
            rows,
            f"The least of {size.n_rounds} runs in turn; {load()}.",
        )
        long = folder / "long.mp3"
        join_recordings(recordings, long, round(size.long_hours * 60 / size.minutes))
        hours = seconds_of_sound(long) / 3600
        found = {which: measure_memory(long, names, tree) for which, tree in trees.items()}
        ours, theirs = found["this"], found["other"]
        print_table(
            f"One file of {hours:.2g} hours, indexed by one worker",
            ["", "other", "this", "this over other"],
            [
                [
                    "MB at most",
                    f"{theirs.total:.0f}",
                    f"{ours.total:.0f}",
                    f"{ours.total / theirs.total:.2f}",
                ],
                ["of the worker", f"{theirs.worker:.0f}", f"{ours.worker:.0f}", ""],
                ["CPU s", f"{theirs.cpu:.1f}", f"{ours.cpu:.1f}", f"{ours.cpu / theirs.cpu:.2f}"],
            ],
            f"From end to end this build is {theirs.cpu / ours.cpu:.2f} times as fast.",
        )


# The report


def main(quick: bool, readme: bool) -> None:
    size = QUICK if quick else FULL
    names = encoder_names()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recordings = write_recordings(folder, size.minutes, size.n_distinct)
        corpus = copy_recordings(recordings, folder / "corpus", size.n_files)
        audio = sum(map(seconds_of_sound, recordings)) * size.n_files / size.n_distinct
        rounds = [_round(corpus, names) for _ in range(size.n_rounds)]
        realtime, over_parts = _report_parts(rounds, audio, names)
        gain = _report_workers(rounds, audio)
        long = folder / "long.mp3"
        n_times = round(size.long_hours * 60 / size.minutes)
        join_recordings(recordings, long, n_times)
        footprint = measure_memory(long, names)
        total = footprint.total
        hours = seconds_of_sound(long) / 3600
        print_table(
            f"One file of {hours:.2g} hours, indexed by one worker",
            ["", "MB resident at most", f"goal: < {GOAL_MEMORY:.0f} MB"],
            [
                ["parent and worker", f"{total:.0f}", verdict(total, GOAL_MEMORY, at_most=True)],
                ["worker alone", f"{footprint.worker:.0f}", ""],
            ],
            f"{hours * 3600 / footprint.wall:.0f}x realtime by wall clock; {load()}.",
        )
    if readme:
        write_table(
            "indexing",
            [f"indexing 44.1 kHz stereo mp3 with {' and '.join(f'`{name}`' for name in names)}", ""],
            [
                ["one core, from end to end", f"{realtime:.0f} × realtime"],
                ["time over the sum of decoding, resampling, spectrogram and models", f"{over_parts:.2f}"],
                ["two workers over one", f"{gain:.2f} ×"],
                [f"memory for a file of {hours:.2g} hours, parent and worker", f"{total:.0f} MB"],
            ],
        )


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement of everything, as close together in time as can be."""

    parts: dict[str, Cost]
    one: Cost
    two: Cost
    loop_one: float
    loop_two: float
    load: float


def _round(corpus: Sequence[Path], names: Sequence[str]) -> Round:
    folder = corpus[0].parent
    return Round(
        parts=measure_parts(corpus, names),
        one=measure_indexing(folder, names, 1),
        two=measure_indexing(folder, names, 2),
        loop_one=measure_plain_loop(1),
        loop_two=measure_plain_loop(2),
        load=psutil.getloadavg()[0],
    )


def _report_parts(rounds: Sequence[Round], audio: float, names: Sequence[str]) -> tuple[float, float]:
    # The round whose parts were the cheapest was disturbed the least.
    best = min(rounds, key=lambda r: sum(cost.cpu for cost in r.parts.values()) + r.one.cpu)
    bound = sum(best.parts.values(), Cost())
    rows = [(name, cost) for name, cost in best.parts.items()]
    rows += [("sum of the parts", bound), ("end to end, 1 worker", best.one)]
    over_cpu, over_wall = best.one.cpu / bound.cpu, best.one.wall / bound.wall
    realtime = audio / best.one.cpu
    print_table(
        f"Indexing {audio / 3600:.2g} hours of stereo mp3 with {' and '.join(names)}",
        ["", "CPU s", "x realtime", "wall s", "x realtime"],
        [
            [name, f"{c.cpu:.2f}", f"{audio / c.cpu:.0f}", f"{c.wall:.2f}", f"{audio / c.wall:.0f}"]
            for name, c in rows
        ],
        f"End to end over the sum of the parts: {over_cpu:.2f} in CPU time, {over_wall:.2f} by wall clock; "
        f"goal: at most {GOAL_OVER_PARTS}: {verdict(over_cpu, GOAL_OVER_PARTS, at_most=True)}. "
        f"Of {len(rounds)} rounds, the least disturbed; load average {best.load:.1f}.",
        f"Per core {realtime:.0f}x realtime in CPU time; goal: at least {GOAL_REALTIME:.0f}x: "
        f"{verdict(realtime, GOAL_REALTIME)}.",
    )
    return realtime, over_cpu


def _report_workers(rounds: Sequence[Round], audio: float) -> float:
    gains = [r.one.wall / r.two.wall for r in rounds]
    gain = float(np.median(gains))
    more_cpu = float(np.median([r.two.cpu / r.one.cpu for r in rounds])) - 1
    print_table(
        "Two workers beside one",
        ["round", "1 worker", "2 workers", "gain", "gain of a plain loop", "load average"],
        [
            [
                str(number),
                f"{audio / r.one.wall:.0f}x",
                f"{audio / r.two.wall:.0f}x",
                f"{gain_of_round:.2f}",
                f"{2 * r.loop_one / r.loop_two:.2f}",
                f"{r.load:.1f}",
            ]
            for number, (r, gain_of_round) in enumerate(zip(rounds, gains, strict=True), start=1)
        ],
        "By wall clock. The plain loop uses nothing but the processor: its gain is what the machine had to "
        "give to two processes at that moment.",
        f"Median gain {gain:.2f}; goal: at least {GOAL_TWO_WORKERS}: {verdict(gain, GOAL_TWO_WORKERS)}. "
        f"Two workers take {100 * more_cpu:.0f} % more CPU time in all than one.",
    )
    return gain


def _command_line() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.indexing", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="ten minutes of sound instead of two hours")
    parser.add_argument(
        "--beside", type=Path, metavar="CHECKOUT", help="compare with the build in a checkout"
    )
    parser.add_argument("--readme", action="store_true", help="write the main figures into README.md")
    parser.add_argument("--parts", metavar="ENCODERS", help=argparse.SUPPRESS)  # the child of measure_parts
    parser.add_argument("paths", nargs="*", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.parts:
        costs = run_parts(options.paths, options.parts.split(","))
        print(json.dumps({name: [cost.cpu, cost.wall] for name, cost in costs.items()}))
    elif options.beside:
        beside(options.beside.absolute(), QUICK if options.quick else FULL)
    else:
        main(options.quick, options.readme)


if __name__ == "__main__":
    _command_line()
