"""Measure ``monitor`` on many web radios at once: what it tells, its time and its memory.

::

    python -m benchmarks.stations --data DIR [--streams 100] [--seconds 90]

DIR holds ``manifest.tsv``. Programmes are mixed as for ``benchmarks.monitoring``, of the `test` half: three
tracks in ten are not in the library, the others are, and a hundred of the other half. Each is encoded once
(MP3, 44.1 kHz, stereo), and a server in a process of its own sends it as Icecast does, as fast as it plays
and without a length. One station is cut off for some seconds and comes back.
``echoic monitor`` runs as a command and is ended when all programmes are over. What it takes beside what two
stations take is what further ones take.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import multiprocessing
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil

from benchmarks.monitoring import MANIFEST_SETS, Piece, mix, piece_of
from benchmarks.tables import load, machine, print_table, verdict
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.library import Library
from echoic.recordings.result import Match

RATE = 44_100
BIT_RATE = 128_000
PROGRAMMES = 20  # that are mixed; several stations play each
FURTHER = 100  # tracks in the library that nobody plays
CUT_AT, CUT_FOR = 30.0, 6.0  # s
SETTLED = 45.0  # s after which two stations take what they will
BURST = 2.0  # s that a listener is sent at once
GOALS = {"streams": 100.0, "megabytes": 6.0}


async def serve(bodies: list[Path], cut: int, port: Connection) -> None:
    """Send programmes as fast as they play; one is cut off for a while."""
    contents = [body.read_bytes() for body in bodies]
    begun: dict[int, float] = {}
    over: set[int] = set()

    async def listened(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readline()
        while (await reader.readline()).strip():
            pass
        number = int(request.split()[1].strip(b"/").partition(b".")[0])
        content, now = contents[number % len(contents)], time.monotonic()
        first = begun.setdefault(number, now)
        at = round((now - first) * BIT_RATE / 8)
        off = number == cut and CUT_AT <= now - first < CUT_AT + CUT_FOR
        if off or number in over:
            writer.write(b"HTTP/1.0 503 Off the air\r\n\r\n")
        else:
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nicy-name: a station\r\n\r\n")
            if await send(writer, content[at:], CUT_AT - (now - first) if number == cut else -1.0):
                over.add(number)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(listened, "127.0.0.1", 0, backlog=512)
    port.send(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


async def send(writer: asyncio.StreamWriter, content: bytes, until: float) -> bool:
    """Send as fast as it plays until some seconds have passed, if not negative; tell whether that was all."""
    first, at = time.monotonic(), 0
    while at < len(content):
        passed = time.monotonic() - first
        if 0 <= until < passed:
            return False
        due = round((passed + BURST) * BIT_RATE / 8)
        writer.write(content[at:due])
        at = max(at, due)
        try:
            await writer.drain()
        except ConnectionError:
            return False
        await asyncio.sleep(0.25)
    return True


def run_server(bodies: list[Path], cut: int, port: Connection) -> None:
    asyncio.run(serve(bodies, cut, port))


def sources(data: Path, rng: np.random.Generator) -> tuple[dict[str, list[Path]], list[Path]]:
    """Choose what is played, by kind, and what is in the library."""
    with (data / "manifest.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    music = {
        split: [data / row["path"] for row in rows if row["dataset"] == "music" and row["split"] == split]
        for split in ("train", "test")
    }
    played = [music["test"][i] for i in rng.permutation(len(music["test"]))]
    n_unknown = round(0.3 * len(played))
    files = {"unknown": played[:n_unknown], "known": played[n_unknown:]}
    for kind, name in MANIFEST_SETS.items():
        files[kind] = [
            data / row["path"] for row in rows if row["dataset"] == name and row["split"] in ("", "test")
        ]
    further = [music["train"][i] for i in rng.permutation(len(music["train"]))[:FURTHER]]
    return files, files["known"] + further


@dataclass
class Heard:
    """What a run of the command told, and what it took."""

    matches: list[Match] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    seconds: float = 0.0  # of CPU
    wall: float = 0.0
    megabytes: float = 0.0


def monitored(library: Path, addresses: Sequence[str], folder: Path, ends: int, limit: float) -> Heard:
    """Run the command until so many connections are over."""
    listed = folder / "stations.txt"
    listed.write_text("\n".join(addresses))
    words = [sys.executable, "-m", "echoic", "monitor", "--json", "--library", str(library)]
    begun = time.monotonic()
    command = subprocess.Popen(
        [*words, "--sources", str(listed)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    heard = Heard()
    process = psutil.Process(command.pid)

    def told() -> None:
        assert command.stdout is not None
        heard.matches += [Match(**json.loads(line)) for line in command.stdout]

    def collect_states() -> None:
        assert command.stderr is not None
        for line in command.stderr:
            heard.states.append(line.strip())

    threads = [threading.Thread(target=target) for target in (told, collect_states)]
    for thread in threads:
        thread.start()
    while command.poll() is None and time.monotonic() - begun < limit:
        if sum(state.endswith("connection is over") for state in list(heard.states)) >= ends:
            break
        heard.megabytes = max(heard.megabytes, process.memory_info().rss / 1e6)
        times = process.cpu_times()
        heard.seconds, heard.wall = times.user + times.system, time.monotonic() - begun
        time.sleep(0.2)
    command.send_signal(signal.SIGINT)
    for thread in threads:
        thread.join()
    command.wait()
    return heard


def main(data: Path, n_streams: int, seconds: float, seed: int) -> None:
    print(f"{machine()}\n")
    rng = np.random.default_rng(seed)
    files, known = sources(data, rng)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bodies: list[Path] = []
        pieces: list[list[Piece]] = []
        for number in range(min(PROGRAMMES, n_streams)):
            pieces.append(mix(folder / "mix.wav", files, seconds, rng))
            samples, _ = read_audio(folder / "mix.wav", RATE)
            bodies.append(folder / f"{number}.mp3")
            write_audio(bodies[-1], np.stack([samples, samples], axis=1), RATE, bit_rate=BIT_RATE)
        with Library(folder / "library") as library:
            library.index(known, encoders=["fingerprint"], jobs=1)
        context = multiprocessing.get_context("spawn")
        mine, its = context.Pipe()
        server = context.Process(target=run_server, args=(bodies, n_streams - 1, its), daemon=True)
        server.start()
        port = mine.recv()
        addresses = [f"http://127.0.0.1:{port}/{number}.mp3" for number in range(n_streams)]
        limit = 20 * (seconds + 90)
        # Numbers beyond the others' are stations that the server has not begun.
        alone = [f"http://127.0.0.1:{port}/{number}.mp3" for number in (10_000, 10_000 + 10 * PROGRAMMES)]
        few = monitored(folder / "library", alone, folder, 2, SETTLED)
        many = monitored(folder / "library", addresses, folder, n_streams + 1, limit)
        server.terminate()
    audio = sum(pieces[number % len(bodies)][-1].end for number in range(n_streams)) - CUT_FOR
    told = [
        (match, piece_of(match, pieces[int(Path(match.query).stem) % len(bodies)])) for match in many.matches
    ]
    right = [(match.query, piece) for match, piece in told if piece is not None]
    due = [
        (address, piece)
        for number, address in enumerate(addresses)
        for piece in pieces[number % len(bodies)]
        if piece.kind == "known"
    ]
    found = len(set(right))
    further = (many.megabytes - few.megabytes) / (n_streams - 2)
    cut = [state for state in many.states if state.startswith(f"{addresses[-1]}:")]
    after = [
        match for match, _ in told if match.query == addresses[-1] and match.query_start > CUT_AT + CUT_FOR
    ]
    speed = audio / many.seconds
    print_table(
        f"{n_streams} stations for {audio / n_streams:.0f} s each, {len(known)} recordings in the library",
        ["", "share", "of"],
        [
            ["told rightly (precision)", f"{len(right) / max(1, len(told)):.3f}", str(len(told))],
            ["known pieces told (recall)", f"{found / max(1, len(due)):.3f}", str(len(due))],
        ],
        f"{many.seconds:.0f} s of CPU for {audio:.0f} s of sound: in real time {speed:.0f} stations a core "
        f"({verdict(-speed, -GOALS['streams'], at_most=True)}); {many.wall:.0f} s by the clock; {load()}.",
        f"{few.megabytes:.0f} MB with 2 stations, {many.megabytes:.0f} with {n_streams}: {further:.2f} MB "
        f"a further one ({verdict(further, GOALS['megabytes'], at_most=True)}).",
        f"Of the station that was cut off: {'; '.join(state.rpartition(': ')[2] for state in cut)}; "
        f"{len(after)} told after that.",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.stations", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    main(options.data, options.streams, options.seconds, options.seed)
