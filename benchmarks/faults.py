"""Bring a library into every trouble that disks, clocks, kills and people make, and look what is lost.

::

    python -m benchmarks.faults [--times N]

Each fault is made N times (20), at random instants and places, on small made-up sounds and ``spectral``. What
a run acknowledged, by exit code 0 or by what another process could read of it, must be there afterwards; what
is wrong must be told in one sentence with an exit code, and nothing told otherwise than it is: the last three
columns are to be 0. A disk is full where files may not grow; a clock goes backwards where Python asks for the
time, and in the files' time stamps.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.tables import machine, print_table
from echoic.analysis.workers import digest_of
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import FAMILIES, make_sound
from echoic.encoders.onnx import BUNDLED
from echoic.errors import EchoicError
from echoic.library import Library
from echoic.types import Progress

RATE = 8_000
N_FILES = 24
Random = np.random.Generator
Counts = Counter[str]

_HERE = Path(__file__).parents[1]
_BACKWARDS = """
import random, time
_time, _time_ns, _since = time.time, time.time_ns, [0.0]
def _back():
    _since[0] += random.uniform(0, 3600)
    return _since[0]
time.time = lambda: _time() - _back()
time.time_ns = lambda: _time_ns() - int(1e9 * _back())
"""


def write_sounds(folder: Path, seed: int, n: int = N_FILES) -> Path:
    """Write short sounds of all kinds."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(n):
        samples = make_sound(FAMILIES[number % len(FAMILIES)], seed * n + number, sample_rate=RATE)
        write_audio(folder / f"{number:02d}.wav", samples[: 2 * RATE].astype(np.float32), RATE)
    return folder


def start(library: Path, *words: object, **options: Any) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("ECHOIC_")} | options.pop("env", {})
    return subprocess.Popen(
        [sys.executable, "-m", "echoic", *map(str, words), "--library", str(library)],
        cwd=_HERE,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def index(library: Path, folder: Path, **options: Any) -> subprocess.Popen[str]:
    """Start to index with one worker."""
    return start(library, "index", folder, "--encoder", "spectral", "--jobs", "1", **options)


def outcome(process: subprocess.Popen[str]) -> str:
    """Wait for the end; return "done", "told" (one sentence) or what else there was."""
    _, stderr = process.communicate(timeout=300)
    lines = stderr.splitlines()
    if process.returncode == 0 and not lines:
        return "done"
    is_told = (
        process.returncode in (1, 2) and len(lines) == 1 and lines[0].startswith(("error: ", "warning: "))
    )
    return "told" if is_told else f"exit code {process.returncode}: {stderr}"


def held(folder: Path) -> set[str]:
    """Return the digests of what a library holds, none if it was not made."""
    with Library(folder) as library:
        return {record.digest for record in library.files()} if library.exists() else set()


def look(counts: Counts, library: Path, acknowledged: set[str]) -> None:
    """Count what of the acknowledged is lost, and what the library says of itself."""
    with Library(library) as opened:
        counts["lost"] += len(acknowledged - held(library))
        counts["unsound"] += bool(opened.exists() and opened.check())


def killed(root: Path, times: int, rng: Random) -> Counts:
    """End the indexer by SIGKILL, again and again, until all is indexed."""
    counts: Counts = Counter()
    known: set[str] = set()
    for turn in range(times):
        folder = write_sounds(root / "killed" / "in", turn)
        library = root / "killed" / "library"
        process = index(library, folder)
        time.sleep(rng.uniform(0.2, 2.5))
        seen = held(library)  # what another process may read is acknowledged
        process.send_signal(signal.SIGKILL)
        process.communicate()
        now = {digest_of(path) for path in folder.iterdir()}
        look(counts, library, seen & now)
        counts["made"] += 1
        known |= seen
    counts["other"] += outcome(index(library, folder)) != "done"
    look(counts, library, {digest_of(path) for path in folder.iterdir()})
    counts["recovered"] += counts["made"]
    return counts


def full_disk(root: Path, times: int, rng: Random) -> Counts:
    """Let no file grow beyond some size, then give room, and go on."""
    counts: Counts = Counter()
    folder = write_sounds(root / "full" / "in", 0)
    for turn in range(times):
        library = root / "full" / str(turn)
        with Library(library) as opened:
            opened.index([folder / "00.wav"], encoders=["spectral"], jobs=1)
        acknowledged, room = held(library), int(rng.integers(70_000, 300_000))

        def limit(room: int = room) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

        said = outcome(index(library, folder, preexec_fn=limit))
        counts["made"] += said != "done"
        counts["told"] += said == "told"
        counts["other"] += said not in ("done", "told")
        look(counts, library, acknowledged)
        counts["recovered"] += outcome(index(library, folder)) == "done" and said != "done"
        look(counts, library, {digest_of(path) for path in folder.iterdir()})
    return counts


def _heed_rights() -> None:
    """Have root's rights be those that files say; see capabilities(7)."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = (ctypes.c_uint32 * 2)(0x2008_0522, 0), (ctypes.c_uint32 * 6)()
    libc.capget(header, sets)
    for at in (0, 1, 2):  # effective, permitted, inheritable
        sets[at] &= ~(1 << 1 | 1 << 2)
    libc.capset(header, sets)
    for capability in (1, 2):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: exec() of root would bring them back


def read_only(root: Path, times: int, rng: Random) -> Counts:
    """Ask a library that may only be read for what changes it."""
    counts: Counts = Counter()
    folder, library = write_sounds(root / "read" / "in", 0, 6), root / "read" / "library"
    counts["other"] += outcome(index(library, folder)) != "done"
    write_sounds(folder, 1, 4)
    before, acknowledged = digest_of(library / "library.sqlite"), held(library)
    everything = [library, *library.rglob("*")]
    verbs: list[tuple[object, ...]] = [("index", folder), ("tag", folder, "--add", "x"), ("remove", folder)]
    verbs += [("library", "compact"), ("library", "rebuild"), ("remove", "--encoder", "spectral")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        for _ in range(times):
            words = verbs[rng.integers(len(verbs))]
            said = outcome(start(library, *words, preexec_fn=_heed_rights))
            counts["made"] += 1
            counts["told"] += said == "told"
            counts["other"] += said != "told"
    finally:
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)
    counts["lost"] += digest_of(library / "library.sqlite") != before
    look(counts, library, acknowledged)
    counts["recovered"] += counts["made"] * (outcome(index(library, folder)) == "done")
    return counts


def clock_backwards(root: Path, times: int, rng: Random) -> Counts:
    """Index while the time goes back, files that seem older than they were."""
    counts: Counts = Counter()
    folder, library = root / "clock" / "in", root / "clock" / "library"
    (root / "clock" / "patch").mkdir(parents=True)
    (root / "clock" / "patch" / "sitecustomize.py").write_text(_BACKWARDS)
    search = os.pathsep.join([str(root / "clock" / "patch"), *filter(None, [os.environ.get("PYTHONPATH")])])
    for turn in range(times):
        write_sounds(folder, turn, 4)
        for path in folder.iterdir():  # each turn earlier than the one before
            stamp = int(1e18 - turn * 1e15 - rng.uniform(0, 1e14))
            os.utime(path, ns=(stamp, stamp))
        said = outcome(index(library, folder, env={"PYTHONPATH": search}))
        counts["made"] += 1
        counts["other"] += said != "done"
        counts["recovered"] += held(library) == {digest_of(path) for path in folder.iterdir()}
        look(counts, library, {digest_of(path) for path in folder.iterdir()})
    return counts


def two_writers(root: Path, times: int, rng: Random) -> Counts:
    """Have two processes index into one library at once."""
    counts: Counts = Counter()
    folders = [write_sounds(root / "two" / f"in-{number}", number, 6) for number in (0, 1)]
    digests = [{digest_of(path) for path in folder.iterdir()} for folder in folders]
    for turn in range(times):
        library = root / "two" / str(turn)
        writers = [index(library, folders[0])]
        time.sleep(rng.uniform(0, 0.6))
        writers.append(index(library, folders[1]))
        said = [outcome(writer) for writer in writers]
        counts["made"] += 1
        counts["told"] += "told" in said
        counts["other"] += sum(one not in ("done", "told") for one in said) + ("done" not in said)
        done = [found for found, one in zip(digests, said, strict=True) if one == "done"]
        look(counts, library, set().union(*done))
        counts["recovered"] += all(outcome(index(library, folder)) == "done" for folder in folders)
        look(counts, library, set().union(*digests))
    return counts


def lost_workers(root: Path, times: int, rng: Random) -> Counts:
    """Index on a Ray cluster, and end one of its two workers by SIGKILL at some file."""
    counts: Counts = Counter()
    folder, library = root / "ray" / "in", root / "ray" / "library"
    with Library(library) as opened:
        for turn in range(times):
            write_sounds(folder, turn)
            told: list[str] = []
            victim = int(rng.integers(1, N_FILES))

            def progress(now: Progress, told: list[str] = told, victim: int = victim) -> None:
                told.append(now.path)
                if now.done == victim:
                    os.kill(encoding_processes()[0], signal.SIGKILL)
                    counts["made"] += 1

            report = opened.index([folder], encoders=["spectral"], jobs=2, ray="local", progress=progress)
            due = sorted(map(str, folder.iterdir()))
            counts["recovered"] += not report.failed and report.added + report.changed == N_FILES
            counts["other"] += bool(report.failed) + (sorted(told) != due)
            look(counts, library, {digest_of(path) for path in folder.iterdir()})
    return counts


def encoding_processes() -> list[int]:
    """List the processes of the actors that encode, on whichever cluster of this machine."""
    names = {process.pid: process.info["cmdline"] for process in psutil.process_iter(["cmdline"])}
    return [pid for pid, words in names.items() if words and "ray::_Encoding" in words[0]]


def flip(path: Path, rng: Random) -> None:
    """Change one bit of a file, and not its time stamp."""
    status, data = path.stat(), bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def answers(library: Library, query: Path) -> list[object]:
    """Ask for all that is known, and for what sounds like a file."""
    return [library.files(), library.search(query, k=N_FILES)]


def flipped_bits(root: Path, times: int, rng: Random) -> dict[str, Counts]:
    """Flip bits in the database, the cache of its index, a model and a backup."""
    folder, made = write_sounds(root / "bits" / "in", 0), root / "bits" / "library"
    model = root / "bits" / "model" / "sound.onnx"
    model.parent.mkdir()
    for path in BUNDLED.glob("sound.*"):
        shutil.copy(path, model.parent)
    with Library(made) as library:
        library.index([folder], encoders=["spectral", str(model)], jobs=1)
        library.backup(root / "bits" / "backup")
        right = answers(library, folder / "00.wav")
    found: dict[str, Counts] = {what: Counter() for what in ("database", "cache", "model", "backup")}
    for turn in range(times):
        for what, counts in found.items():
            place = shutil.copytree(made, root / "bits" / f"{what}-{turn}")
            backup = shutil.copytree(root / "bits" / "backup", place / "backup") if what == "backup" else None
            caches = [path for path in (place / "index").rglob("*") if path.is_file()]
            flipped = {
                "database": place / "library.sqlite",
                "cache": caches[turn % len(caches)],
                "model": model,
                "backup": place / "backup" / "library.sqlite",
            }[what]
            intact = flipped.read_bytes()
            flip(flipped, rng)
            counts["made"] += 1
            if what == "model":  # which a process reads once
                said = _doctor_says(place, model)
            else:
                said = _says(place, backup, folder / "00.wav", right)
            counts["told"] += said == "told"
            counts["harmless"] += said == "harmless"
            counts["other"] += said == "wrong"
            counts["recovered"] += _mended(
                what, place, root / "bits" / "backup", folder / "00.wav", right, intact
            )
            if what == "model":
                model.write_bytes(intact)
            shutil.rmtree(place)
    return found


def _says(place: Path, backup: Path | None, query: Path, right: list[object]) -> str:
    with closing(Library(place)) as library:
        try:
            if backup is not None:
                with Library(place / "again") as again:
                    again.restore(backup)
                return "wrong"
            if library.check():
                return "told"
            return "harmless" if answers(library, query) == right else "wrong"
        except EchoicError as error:
            return "wrong" if "\n" in str(error) else "told"


def _doctor_says(place: Path, model: Path) -> str:
    process = start(place, "doctor", "--json")
    stdout, _ = process.communicate(timeout=300)
    broken = [line for line in map(json.loads, stdout.splitlines()) if line["state"] == "broken"]
    is_told = process.returncode == 1 and len(broken) == 1 and str(model) in broken[0]["detail"]
    return "told" if is_told else "wrong"


def _mended(what: str, place: Path, backup: Path, query: Path, right: list[object], intact: bytes) -> bool:
    """Do what the sentence says, and see that all is as it was."""
    if what == "model":
        return True  # put back by whoever has a copy; the library itself was not touched
    if what in ("database", "backup"):
        shutil.rmtree(place)
        with Library(place) as library:
            library.restore(backup)
            return answers(library, query) == right and not library.check()
    with Library(place) as library:
        library.rebuild()
        return answers(library, query) == right and not library.check()


FAULTS: dict[str, Callable[[Path, int, Random], Counts]] = {
    "kill -9 of the indexer": killed,
    "disk full": full_disk,
    "library that may only be read": read_only,
    "clock going backwards": clock_backwards,
    "two writers": two_writers,
    "kill -9 of a Ray worker": lost_workers,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    counted: dict[str, Counts] = {}
    with tempfile.TemporaryDirectory() as name:
        for what, make in FAULTS.items():
            counted[what] = make(Path(name), options.times, rng)
            print(f"{what}: {dict(counted[what])}", file=sys.stderr, flush=True)
        for what, counts in flipped_bits(Path(name), options.times, rng).items():
            counted[f"a bit flipped in the {what}"] = counts
    keys = ("made", "told", "harmless", "recovered", "lost", "unsound", "other")
    print_table(
        "Faults",
        ["fault", *keys],
        [[what, *(str(counts[key]) for key in keys)] for what, counts in counted.items()],
        machine(),
    )
    return int(any(counts["lost"] or counts["unsound"] or counts["other"] for counts in counted.values()))


if __name__ == "__main__":
    sys.exit(main())
