"""Measure a served library under load: many clients at once against one question at a time in one process.

::

    python -m benchmarks.serving [--seconds 60] [--clients 32] [--files 10000] [--repeats 0] [--threads N]
    python -m benchmarks.serving --requests 200000

The server is a process of its own on loopback, and the clients are threads of this one, each with a
connection that it keeps. They ask by parts of files of the library, words, uploads of 2 s and noisy excerpts
of 6 s to be identified, in turn by chance. No two sounds are equal, but for a share of ``--repeats``, which
ask what somebody has just asked. Some files are real sounds, made here; the others have vectors alone, which
lie between those of real ones. ``--requests`` asks so many times instead, and tells whether memory, open
files and latency stay as they are.
"""

from __future__ import annotations

import argparse
import http.client
import io
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import wave
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.many_recordings import between
from benchmarks.tables import load, machine, print_table, verdict
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import FAMILIES, PIECES, make_piece, make_sound
from echoic.library import Library
from echoic.storage.catalog import Catalog
from echoic.storage.spaces import Spaces
from echoic.types import AudioInfo, Float32, Segments

RATE = 16_000
ENCODERS = ("sound", "fingerprint")
LENGTH = 10.0  # s, of a file that is no more than its vectors
TAKES, PIECE = 4, 30.0  # of each family of sounds; s of each piece
ADJECTIVES = "loud soft distant near sudden steady slow quick high low".split()
NOUNS = "rain bells birds engine crowd footsteps glass thunder piano siren water door dog wind".split()
RECENT = 64  # questions that may be asked again
SHARES = {"part": 35, "words": 20, "upload": 25, "identify": 20}
GOAL_THROUGHPUT, GOAL_P95 = 4.0, 3.0
WARMING = 5.0  # s, of which nothing is counted
FLAT_MEMORY, FLAT_LATENCY = 1.10, 1.25  # how much more may be at the end of a soak

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Question:
    """One of ``SHARES``, with what is asked; a sound is the content of a file of its own."""

    kind: str
    asked: dict[str, Any]
    sound: bytes = b""


@dataclass
class Mix:
    """Draws questions."""

    ids: dict[int, float]  # seconds, by id
    paths: dict[int, str]
    clips: list[Samples]  # 2 s each
    excerpts: list[Samples]  # 6 s each
    repeats: float = 0.0
    recent: deque[Question] = field(default_factory=lambda: deque(maxlen=RECENT))
    seeds: Iterator[int] = field(default_factory=count)  # or the same would be asked in each part of a run

    def draw(self, rng: random.Random) -> Question:
        if self.recent and rng.random() < self.repeats:
            return rng.choice(list(self.recent))
        [kind] = rng.choices(list(SHARES), list(SHARES.values()))
        question = Question(kind, *getattr(self, f"_{kind}")(rng))
        self.recent.append(question)
        return question

    def _part(self, rng: random.Random) -> tuple[dict[str, Any], bytes]:
        file_id = rng.choice(list(self.ids))
        start = rng.uniform(0, max(0.0, self.ids[file_id] - 2))
        return {"file": file_id, "start": round(start, 3), "end": round(start + 2, 3)}, b""

    def _words(self, rng: random.Random) -> tuple[dict[str, Any], bytes]:
        words = [f"{rng.choice(ADJECTIVES)} {rng.choice(NOUNS)}" for _ in range(3)]
        return {"text": " and ".join(words)}, b""

    def _upload(self, rng: random.Random) -> tuple[dict[str, Any], bytes]:
        return {"name": "clip.wav"}, as_wav(rng.choice(self.clips), rng.uniform(0.3, 1))

    def _identify(self, rng: random.Random) -> tuple[dict[str, Any], bytes]:
        return {"name": "clip.wav"}, as_wav(rng.choice(self.excerpts), rng.uniform(0.3, 1))


def as_wav(samples: Samples, gain: float) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * gain).astype("<i2").tobytes())
    return out.getvalue()


def make_library(home: Path, n_files: int) -> Mix:
    """Make sounds, index them, and fill the library up with vectors alone."""
    sounds, is_new = home / "sounds", not (home / "library").exists()
    sounds.mkdir(exist_ok=True, parents=True)
    made = {
        f"{family}-{take}": make_sound(family, take, sample_rate=RATE)
        for family in FAMILIES
        for take in range(TAKES)
    }
    pieces = {name: make_piece(name, sample_rate=RATE)[: round(PIECE * RATE), 0] for name in sorted(PIECES)}
    for name, samples in (made | pieces).items() if is_new else ():
        write_audio(sounds / f"{name}.flac", np.asarray(samples, np.float32), RATE)
    with Library(home / "library") as library:
        if is_new:
            library.index([sounds], encoders=ENCODERS)
        records = {record.id: record for record in library.files(sounds)}
    if is_new:
        fill(home / "library", n_files - len(records))
    rng = np.random.default_rng(0)
    return Mix(
        {number: record.duration for number, record in records.items()},
        {number: record.path for number, record in records.items()},
        cuts(list(made.values()), 2.0, 64, 0.002, rng),
        cuts(list(pieces.values()), 6.0, 64, 0.02, rng),
    )


def cuts(
    sources: list[Float32], seconds: float, n: int, noise: float, rng: np.random.Generator
) -> list[Samples]:
    """Cut stretches out of sounds, and lay noise over them."""
    length, found = round(seconds * RATE), []
    for _ in range(n):
        source = np.resize(sources[int(rng.integers(len(sources)))], 8 * RATE * 4)
        begin = int(rng.integers(len(source) - length))
        cut = source[begin : begin + length] + rng.normal(0, noise, length)
        found.append(np.round(np.clip(cut, -1, 1) * 32_767).astype(np.int16))
    return found


def fill(folder: Path, n_files: int) -> None:
    rng = np.random.default_rng(0)
    with closing(Catalog(folder)) as catalog, closing(Spaces(catalog)) as spaces:
        opened = [(spec, spaces.store(spec)) for spec in catalog.encoders().values()]
        real = {
            spec.key: np.concatenate([one.vectors for one in store.fetch(store.file_ids().tolist()).values()])
            for spec, store in opened
        }
        info = AudioInfo(duration=LENGTH, sample_rate=44_100, channels=2, codec="mp3float")
        for first in range(0, n_files, 500):
            with catalog.transaction():
                for number in range(first, min(n_files, first + 500)):
                    path = Path(f"/sounds/{number // 100:03d}/{number:06d}.mp3")
                    file_id = catalog.put_file(path, 160_000, number, f"{number:064x}", info, "indexed")
                    for spec, store in opened:
                        n = int((LENGTH - spec.window) / spec.hop) + 1
                        starts = spec.hop * np.arange(n, dtype=np.float64)
                        vectors = between(real[spec.key], n, rng)
                        catalog.put_encoded(file_id, spec.key, n)
                        store.replace(file_id, Segments(starts, starts + spec.window, vectors))
        for _, store in opened:
            store.flush()


# One at a time


def ask_library(folder: Path, mix: Mix, seconds: float) -> Told:
    """Ask one question after the other in this process."""
    rng, told = random.Random(next(mix.seeds)), Told()
    with Library(folder) as library, tempfile.NamedTemporaryFile(suffix=".wav") as file:
        begun = time.perf_counter()
        while (now := time.perf_counter()) - begun < seconds + WARMING:
            question = mix.draw(rng)
            if question.sound:
                Path(file.name).write_bytes(question.sound)
            asking, used = time.perf_counter(), time.process_time()
            answer(library, mix, question, Path(file.name))
            if now - begun > WARMING:
                told.took.append(time.perf_counter() - asking)
                told.kinds.append(question.kind)
                told.cpu += time.process_time() - used
    told.seconds = sum(told.took)
    return told


def answer(library: Library, mix: Mix, question: Question, sound: Path) -> object:
    asked = question.asked
    if question.kind == "words":
        return library.search(text=asked["text"])
    if question.kind == "part":
        return library.search(mix.paths[asked["file"]], start=asked["start"], end=asked["end"])
    return library.identify(sound) if question.kind == "identify" else library.search(sound)


# Many at once


@contextmanager
def served(folder: Path, threads: int | None) -> Iterator[tuple[str, psutil.Process]]:
    """Serve a library by a process of its own."""
    more = [] if threads is None else ["--threads", str(threads)]
    command = [sys.executable, "-m", "echoic", "serve", str(folder), "--port", "0", *more]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        found = re.search(r"http://\S+(?=;)", process.stderr.readline())
        if found is None:
            raise RuntimeError(f"it was not served: {process.stderr.read()}")
        try:
            yield found[0], psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGTERM)


@dataclass
class Told:
    """What came of a load: when each answer came, how long it took, of what kind it was."""

    kinds: list[str] = field(default_factory=list)
    took: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu: float = 0.0  # s, of whoever answers

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.took, share)) if self.took else float("nan")

    def of(self, kind: str) -> Told:
        """Return the part of it that is of one kind."""
        took = [seconds for seconds, its in zip(self.took, self.kinds, strict=True) if its == kind]
        errors = [error for error in self.errors if error.startswith(f"{kind}: ")]
        return Told([kind] * len(took), took, errors, self.seconds)


def press(
    address: str, process: psutil.Process, mix: Mix, n_clients: int, goes_on: Callable[[int], bool]
) -> Told:
    """Have clients ask a process at once while ``goes_on``, which is called with how many were asked."""
    told, lock, place = Told(), threading.Lock(), urlsplit(address).netloc
    before = process.cpu_times()

    def client(rng: random.Random) -> None:
        with closing(http.client.HTTPConnection(place, timeout=60)) as connection:
            while goes_on(len(told.took)):
                question = mix.draw(rng)
                begun = time.perf_counter()
                error = ""
                try:
                    status, content = ask(connection, question)
                    if status != 200:
                        error = f"{status}: {content[:200]!r}"
                except (OSError, http.client.HTTPException) as raised:
                    connection.close()
                    error = repr(raised)
                with lock:
                    told.took.append(time.perf_counter() - begun)
                    told.kinds.append(question.kind)
                    told.errors += [f"{question.kind}: {error}"] if error else []

    begun = time.perf_counter()
    draws = [random.Random(next(mix.seeds)) for _ in range(n_clients)]
    threads = [threading.Thread(target=client, args=(rng,)) for rng in draws]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.seconds = time.perf_counter() - begun
    after = process.cpu_times()
    told.cpu = after.user + after.system - before.user - before.system
    return told


def ask(connection: http.client.HTTPConnection, question: Question) -> tuple[int, bytes]:
    route = "/v1/identify" if question.kind == "identify" else "/v1/search"
    headers = {"Content-Type": "audio/wav"} if question.sound else {}
    method = "POST" if question.sound else "GET"
    target = f"{route}?{urlencode(question.asked)}"
    connection.request(method, target, question.sound or None, headers)
    response = connection.getresponse()
    return response.status, response.read()


def for_seconds(seconds: float) -> Callable[[int], bool]:
    until = time.perf_counter() + seconds
    return lambda _: time.perf_counter() < until


def held(process: psutil.Process) -> tuple[float, int, int]:
    """Return MB of memory, open files and threads."""
    return process.memory_info().rss / 1e6, process.num_fds(), process.num_threads()


def main(options: argparse.Namespace) -> None:
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as temporary:
        begun = time.perf_counter()
        home = options.home or Path(temporary)
        mix = make_library(home, options.files)
        mix.repeats = options.repeats
        folder = home / "library"
        with Library(folder) as library:  # which may have been there before
            options.files = library.status().files
        print(f"A library of {options.files:,} files in {time.perf_counter() - begun:.0f} s\n", flush=True)
        if options.requests is not None:
            soak(folder, mix, options)
            return
        alone = ask_library(folder, mix, options.seconds / 3)
        with served(folder, options.threads) as (address, process):
            press(address, process, mix, options.clients, for_seconds(WARMING))
            before = held(process)
            many = press(address, process, mix, options.clients, for_seconds(options.seconds))
            after = held(process)
            one = press(address, process, mix, 1, for_seconds(options.seconds / 3))
    rate, rate_alone = len(many.took) / many.seconds, len(alone.took) / alone.seconds
    p50, p95 = many.percentile(50), many.percentile(95)
    rows = [
        row("one at a time, in one process", alone),
        row("one client", one),
        row(f"{options.clients} clients", many),
        *(row(f"  {kind}", many.of(kind)) for kind in SHARES),
    ]
    print_table(
        f"{options.files:,} files, {options.seconds:g} s, {100 * options.repeats:.0f} % asked again",
        ["", "requests/s", "p50", "p95", "CPU", "errors"],
        rows,
        f"Throughput: {rate / rate_alone:.2f} × one at a time (goal {GOAL_THROUGHPUT:g} ×, "
        f"{verdict(rate / rate_alone, GOAL_THROUGHPUT)}).",
        f"p95: {p95 / p50:.2f} × p50 (goal {GOAL_P95:g} ×, {verdict(p95 / p50, GOAL_P95, at_most=True)}).",
        f"The server's memory {before[0]:.0f} MB at the begin, {after[0]:.0f} MB at the end; open files "
        f"{before[1]}, {after[1]}; threads {before[2]}, {after[2]}.",
        *dict.fromkeys(many.errors[:3]),
        f"{load()}.",
    )


def soak(folder: Path, mix: Mix, options: argparse.Namespace) -> None:
    """Ask very often, and compare the end with the begin."""
    with served(folder, options.threads) as (address, process):
        press(address, process, mix, options.clients, for_seconds(WARMING))
        rows, kept, errors = [], [], []
        for part in range(10):
            n = options.requests // 10
            told = press(address, process, mix, options.clients, lambda asked, n=n: asked < n)  # type: ignore[misc]
            kept.append((*held(process), told.percentile(50), told.percentile(95)))
            errors += told.errors
            memory, files, threads, p50, p95 = kept[-1]
            row = [f"{(part + 1) * n:,}", f"{len(told.took) / told.seconds:.1f}", f"{1e3 * p50:.0f} ms"]
            rows.append([*row, f"{1e3 * p95:.0f} ms", f"{memory:.0f} MB", str(files), str(threads)])
            print(*rows[-1], sep="\t", flush=True)
    (first, *_), last = kept, kept[-1]
    grown, slower = last[0] / first[0], last[3] / first[3]
    print_table(
        f"{options.requests:,} requests of {options.clients} clients",
        ["asked", "requests/s", "p50", "p95", "memory", "open files", "threads"],
        rows,
        f"Memory {grown:.2f} × ({verdict(grown, FLAT_MEMORY, at_most=True)}), latency {slower:.2f} × "
        f"({verdict(slower, FLAT_LATENCY, at_most=True)}); {len(errors)} errors.",
        *dict.fromkeys(errors[:3]),
        f"{load()}.",
    )


def row(name: str, told: Told) -> list[str]:
    """Spell what came of a load; CPU is a core's time for a request."""
    n = len(told.took)
    cpu = f"{1e3 * told.cpu / n:.0f} ms" if told.cpu and n else ""
    shares = [f"{1e3 * told.percentile(share):.0f} ms" for share in (50, 95)]
    return [name, f"{n / told.seconds:.1f}", *shares, cpu, str(len(told.errors))]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument(
        "--home", metavar="DIR", type=Path, help="keep the library here, or use the one there"
    )
    parser.add_argument("--repeats", type=float, default=0.0)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--requests", type=int)
    main(parser.parse_args())
