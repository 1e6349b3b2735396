"""Measure what ``monitor`` tells about a long mix of known and unknown music, talk and noise.

::

    python -m benchmarks.monitoring SET --data DIR [--hours 2] [--readme]

SET is as for ``benchmarks.identification``, with a ``tracks.tsv`` of the columns ``track, role``; those whose
role is ``absent`` are the unknown music. DIR holds ``manifest.tsv``, whose music, noise and speech are mixed.
Pieces are 15 to 90 s long and faded into each other; half are under noise, a third a little fast or slow.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import soundfile

from benchmarks.tables import load, machine, print_table, write_table
from echoic.audio.decode import read_audio
from echoic.library import Library
from echoic.recordings.result import Match
from echoic.training.augment.waveform import add_noise, change_speed

RATE = 16_000
FADE = 2.0  # s
SHORTEST, LONGEST = 15.0, 90.0  # s of a piece
KINDS = (("known", 0.5), ("unknown", 0.25), ("talk", 0.15), ("noise", 0.1))
MANIFEST_SETS = {"talk": "speech_librispeech", "noise": "noise"}


@dataclass(frozen=True, slots=True)
class Piece:
    """What was mixed in; times are seconds of the mix, ``place`` is where in the recording it begins."""

    kind: str
    name: str
    start: float
    end: float
    place: float
    speed: float


def sources(folder: Path, data: Path) -> dict[str, list[Path]]:
    """List the files of each kind."""
    with (data / "manifest.tsv").open(newline="") as file:
        manifest = list(csv.DictReader(file, delimiter="\t"))
    with (folder / "tracks.tsv").open(newline="") as file:
        absent = {row["track"] for row in csv.DictReader(file, delimiter="\t") if row["role"] == "absent"}
    found = {
        kind: [data / row["path"] for row in manifest if row["dataset"] == name]
        for kind, name in MANIFEST_SETS.items()
    }
    found["unknown"] = [
        data / row["path"]
        for row in manifest
        if row["dataset"] == "music" and Path(row["path"]).stem in absent
    ]
    found["known"] = sorted((folder / "ref").iterdir())
    return found


def mix(path: Path, files: dict[str, list[Path]], seconds: float, rng: np.random.Generator) -> list[Piece]:
    """Write a mix to a file, piece by piece, and say what is in it."""
    pieces: list[Piece] = []
    fade = round(FADE * RATE)
    tail = np.zeros(fade, np.float32)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        while (at := file.frames / RATE) < seconds:
            kind = str(rng.choice([kind for kind, _ in KINDS], p=[share for _, share in KINDS]))
            source = files[kind][int(rng.integers(len(files[kind])))]
            samples, _ = read_audio(source, RATE)
            if len(samples) < SHORTEST * RATE and kind != "talk":
                continue
            speed = float(rng.uniform(0.96, 1.04)) if rng.random() < 0.33 else 1.0
            wanted = round(rng.uniform(SHORTEST, LONGEST) * RATE * speed)
            first = int(rng.integers(0, max(1, len(samples) - wanted)))
            part = samples[first : first + wanted]
            part = change_speed(part, speed) if speed != 1 else part
            level = float(np.sqrt(np.mean(np.square(part)))) if len(part) else 0.0
            if len(part) < 2 * fade + RATE or level < 1e-3:
                continue
            part = part * np.float32(10 ** (rng.uniform(-28, -16) / 20) / level)
            if rng.random() < 0.5:
                noise, _ = read_audio(files["noise"][int(rng.integers(len(files["noise"])))], RATE)
                part = add_noise(part, np.resize(noise, len(part)), float(rng.uniform(5, 20)))
            slope = np.linspace(0, 1, fade, dtype=np.float32)
            part[:fade] *= slope
            ending = part[-fade:] * slope[::-1]
            file.write(np.concatenate([part[:fade] + tail, part[fade:-fade]]))
            tail = ending
            pieces.append(Piece(kind, source.stem, at, at + len(part) / RATE, first / RATE, speed))
        file.write(tail)
    return pieces


class Memory:
    """The most memory of this process while a block runs, in MB."""

    def __enter__(self) -> Memory:
        self._process = psutil.Process()
        self.before = self.most = self._process.memory_info().rss / 1e6
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.most = max(self.most, self._process.memory_info().rss / 1e6)

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watcher.join()


def piece_of(match: Match, pieces: list[Piece]) -> Piece | None:
    """Find the piece that a match tells of: the same recording, at half of the match's time or more."""
    for piece in pieces:
        overlap = min(match.query_end, piece.end) - max(match.query_start, piece.start)
        right = piece.kind == "known" and Path(match.path).stem == piece.name
        if right and overlap >= 0.5 * (match.query_end - match.query_start):
            return piece
    return None


def main(folder: Path, data: Path, hours: float, seed: int, readme: bool) -> None:
    print(f"{machine()}\n")
    with tempfile.TemporaryDirectory() as temporary, Library(Path(temporary) / "library") as library:
        recording = Path(temporary) / "mix.wav"
        pieces = mix(recording, sources(folder, data), 3600 * hours, np.random.default_rng(seed))
        library.index([folder / "ref"], encoders=["fingerprint"])
        begun = time.process_time()
        with Memory() as memory:
            matches = list(library.monitor(recording))
        spent = time.process_time() - begun
    told = [(match, piece_of(match, pieces)) for match in matches]
    right = [(match, piece) for match, piece in told if piece is not None]
    known = [piece for piece in pieces if piece.kind == "known"]
    found = {piece.start for _, piece in right}
    first: dict[float, tuple[Match, Piece]] = {}
    for match, piece in right:
        first.setdefault(piece.start, (match, piece))
    begins = np.array([abs(match.query_start - piece.start) for match, piece in first.values()])
    places = np.array(
        [
            abs(match.start - piece.place - piece.speed * (match.query_start - piece.start))
            for match, piece in first.values()
        ]
    )
    ends = np.array(
        [
            abs(max(m.query_end for m, p in right if p is piece) - piece.end)
            for piece in known
            if piece.start in found
        ]
    )
    precision, recall = len(right) / max(1, len(told)), len(found) / len(known)
    counts = ", ".join(f"{sum(p.kind == kind for p in pieces)} {kind}" for kind, _ in KINDS)
    print_table(
        f"{hours:g} hours of {counts}",
        ["", "share", "of"],
        [
            ["told rightly (precision)", f"{precision:.3f}", str(len(told))],
            ["known pieces told (recall)", f"{recall:.3f}", str(len(known))],
            ["told more than once", f"{(len(right) - len(found)) / max(1, len(right)):.3f}", str(len(right))],
        ],
        f"Begins within {np.median(begins):.1f} s of the fade (median), {np.percentile(begins, 95):.1f} s "
        f"(95 %); ends within {np.median(ends):.1f} and {np.percentile(ends, 95):.1f} s.",
        f"Place in the recording within {1e3 * np.median(places):.0f} ms (median), "
        f"{1e3 * np.percentile(places, 95):.0f} ms (95 %).",
        f"{memory.before:.0f} MB before, {memory.most:.0f} MB at most while listening; "
        f"{3600 * hours / spent:.0f}x realtime on one core; {load()}.",
    )
    for match, heard in told:
        if heard is None:
            there = [p for p in pieces if p.start < match.query_end and p.end > match.query_start]
            instead = "; ".join(f"{p.kind} {p.name} {p.start:.0f}–{p.end:.0f} s" for p in there)
            print(
                f"wrong: {Path(match.path).stem} at {match.query_start:.0f}–{match.query_end:.0f} s, "
                f"{match.score:.2f}; there: {instead}"
            )
    for piece in known:
        if piece.start not in found:
            print(f"missed: {piece.name} {piece.start:.0f}–{piece.end:.0f} s, speed {piece.speed:.3f}")
    if readme:
        write_table(
            "monitoring",
            [f"listening to a mix of {hours:g} hours", "share"],
            [
                ["of what is told, right (precision)", f"{precision:.2f}"],
                ["of the known pieces, told (recall)", f"{recall:.2f}"],
            ],
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.monitoring", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", metavar="SET", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--readme", action="store_true", help="write the main figures into README.md")
    options = parser.parse_args()
    main(options.folder, options.data, options.hours, options.seed, options.readme)
