"""Measure what a person waits for: ``echoic search`` in a fresh process, and ``import echoic``.

::

    python -m benchmarks.cold_start [--quick]

The library holds 10,000 files of 10 s with synthetic vectors, written straight into its catalog and store.
Two queries are real files of 5 s: one in the library, whose vectors need only be looked up, and one outside
of it, which must be decoded and encoded. Every run is a new process; files are in the system's cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.tables import load, print_table, verdict, write_table
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import make_sound
from echoic.encoders.base import normalize
from echoic.encoders.registry import DEFAULT_ENCODERS, available, load_encoder
from echoic.spec import EncoderSpec
from echoic.storage.catalog import Catalog
from echoic.storage.vectors.embedded import EmbeddedStore
from echoic.types import AudioInfo, Segments

SAMPLE_RATE = 44_100
SEGMENTS_PER_FILE = 3
N_CENTRES = 200

GOAL_SEARCH = 1.2  # s
GOAL_IMPORT = 0.4
GOAL_OVER_IMPORTS = 1.6

# What a search cannot do without; a new example is encoded as well.
UNAVOIDABLE = "import numpy, av, soxr, faiss, typer"
WITH_A_MODEL = "import numpy, av, soxr, faiss, typer, onnxruntime, scipy.fft"

# What may cost much to import, and whose.
WATCHED = ("numpy", "scipy", "av", "soxr", "onnxruntime", "faiss", "typer", "rich", "torch", "pymilvus")
LIST_MODULES = (
    "import sys, json, echoic; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
)


def write_query(path: Path, family: str) -> None:
    sound = make_sound(family, 0, sample_rate=SAMPLE_RATE)
    write_audio(path, np.resize(sound, 5 * SAMPLE_RATE), SAMPLE_RATE)


def fill_library(folder: Path, source: str, spec: EncoderSpec, n_files: int, known: Path) -> None:
    """Write a library of synthetic vectors, among them those of one real file."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((N_CENTRES, spec.dim))
    info = AudioInfo(duration=10.0, sample_rate=SAMPLE_RATE, channels=2, codec="mp3float")
    starts = spec.hop * np.arange(SEGMENTS_PER_FILE, dtype=np.float64)
    catalog = Catalog(folder)
    store = EmbeddedStore(lambda: catalog.connection, spec.key, spec.dim, folder / "index")
    with catalog.transaction():
        catalog.set_setting("store", "embedded")
        catalog.add_encoder(spec, source)
        for number in range(n_files):
            path = known if number == 0 else Path(f"/sounds/{number // 100:03d}/{number:06d}.mp3")
            size, mtime_ns = (
                (known.stat().st_size, known.stat().st_mtime_ns) if number == 0 else (160_000, number)
            )
            file_id = catalog.put_file(path, size, mtime_ns, f"{number:064x}", info, "indexed")
            noise = rng.standard_normal((SEGMENTS_PER_FILE, spec.dim))
            vectors = normalize((centres[number % N_CENTRES] + 0.7 * noise).astype(np.float32))
            catalog.put_encoded(file_id, spec.key, len(vectors))
            store.replace(file_id, Segments(starts, starts + spec.window, vectors))
    store.flush()
    store.close()
    catalog.close()


def time_process(command: list[str], n_runs: int) -> tuple[float, float, str]:
    """Run a command several times after one that warms the cache.

    Returns
    -------
    wall, cpu : float
        Medians, in seconds. Only CPU time is much the same on a busy machine as on an idle one.
    output : str
        What the last run printed.
    """
    walls, cpus, output = [], [], ""
    for _ in range(n_runs + 1):
        cpu, begun = _cpu_of_children(), time.perf_counter()
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        walls.append(time.perf_counter() - begun)
        cpus.append(_cpu_of_children() - cpu)
    return float(np.median(walls[1:])), float(np.median(cpus[1:])), output


def _cpu_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def main(quick: bool, readme: bool = False) -> None:
    n_files, n_runs = (1_000, 1) if quick else (10_000, 15)
    installed = {entry.name for entry in available()}
    source = next(name for name in DEFAULT_ENCODERS if name in installed)
    spec = load_encoder(source).spec
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        known, new = folder / "known.wav", folder / "new.mp3"
        write_query(known, "bells")
        write_query(new, "birds")
        library = folder / "library"
        fill_library(library, source, spec, n_files, known)
        search = [sys.executable, "-m", "echoic", "search", "-k", "10", "--json", "--library", str(library)]
        rows, walls = [], []
        for name, goal, command in (
            ("search, query in the library", GOAL_SEARCH, [*search, str(known)]),
            ("search, query outside of it", GOAL_SEARCH, [*search, str(new)]),
            ("import echoic", GOAL_IMPORT, [sys.executable, "-c", "import echoic"]),
            (UNAVOIDABLE, None, [sys.executable, "-c", UNAVOIDABLE]),
            (WITH_A_MODEL, None, [sys.executable, "-c", WITH_A_MODEL]),
            ("python itself", None, [sys.executable, "-c", ""]),
        ):
            wall, cpu, output = time_process(command, n_runs)
            if command[1:4] == ["-m", "echoic", "search"] and len(output.splitlines()) != 10:
                raise RuntimeError(f"{name} found {len(output.splitlines())} files instead of 10")
            judged = ["", ""] if goal is None else [f"< {goal}", verdict(wall, goal, at_most=True)]
            walls.append(wall)
            rows.append([name, f"{wall:.2f}", f"{cpu:.2f}", *judged])
    inside, outside, _, imports, with_a_model, _ = walls
    print_table(
        f"Cold start: {n_files:,} files of {SEGMENTS_PER_FILE} segments, {source} ({spec.dim} dimensions)",
        ["a fresh process", "wall s", "CPU s", "goal", ""],
        rows,
        f"Medians of {n_runs}. The goals are by wall clock; {load()}.",
        f"The query in the library over the imports that it cannot avoid: {inside / imports:.2f}; "
        f"goal: at most {GOAL_OVER_IMPORTS}: {verdict(inside / imports, GOAL_OVER_IMPORTS, at_most=True)}. "
        f"The one outside of it: {outside / imports:.2f}, and {outside / with_a_model:.2f} of those with a "
        "model's.",
        f"import echoic loads {_heavy_modules()}.",
    )
    if readme:
        write_table(
            "cold start",
            ["a fresh process, 10,000 files", "seconds", "over its imports"],
            [
                ["`echoic search`, an indexed example", f"{inside:.2f}", f"{inside / imports:.1f} ×"],
                [
                    "… a new one, decoded and encoded first",
                    f"{outside:.2f}",
                    f"{outside / with_a_model:.1f} ×",
                ],
            ],
        )


def _heavy_modules() -> str:
    output = subprocess.run(
        [sys.executable, "-c", LIST_MODULES], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    loaded = set(json.loads(output))
    return ", ".join(name for name in WATCHED if name in loaded) or "none of the larger libraries"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cold_start", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--quick", action="store_true", help="1,000 files, each command run once")
    parser.add_argument("--readme", action="store_true", help="write the main figures into README.md")
    options = parser.parse_args()
    main(options.quick, options.readme)
