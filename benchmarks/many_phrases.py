"""Measure how long a phrase is looked for in a hundred hours of speech, typed and spoken.

::

    python -m benchmarks.many_phrases LIBRARY [--hours 100] [--minutes 10] [--beside CHECKOUT]

LIBRARY has recordings of speech, indexed with ``speech`` and ``phonemes``; nothing is added to it, but one
of an older format is brought up to date. What is said
in them is laid end to end, from another place on for each file, until there are so many hours, in files of so
many minutes. Words that are typed, and pieces of the recordings that are spoken, are then asked for by fresh
processes: the first question of one is what the command line takes, later ones what an open library does.
``--beside`` runs the same with another checkout's code on a library that it makes itself.
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

from benchmarks.tables import machine, print_table

TYPED = (
    "quality", "captain", "good morning", "the king of england", "a great many people", "house", "river",
    "in the middle of the night",
)  # fmt: skip
N_SPOKEN, SPOKEN = 8, 1.2  # examples, and s of each
TIMES = 3  # that all are asked


def fill(source: Path, folder: Path, hours: float, minutes: float) -> list[tuple[str, float]]:
    """Make the library → examples, as files and where they begin."""
    from echoic.library import Library
    from echoic.types import AudioInfo, Segments

    rng = np.random.default_rng(0)
    with Library(source) as given, Library(folder) as made:
        catalog, spaces = given._open()
        files = given.files()
        real = {}
        specs = {name: spec for name, spec in given.encoders().items() if name in ("speech", "phonemes")}
        for name, spec in specs.items():
            found = spaces.store(spec).fetch([file.id for file in files])
            begins = np.cumsum([0.0, *(file.duration + 0.5 for file in files)])
            there = [
                (begin, found[file.id])
                for begin, file in zip(begins, files, strict=False)
                if file.id in found
            ]
            real[name] = Segments(
                np.concatenate([begin + one.starts for begin, one in there]),
                np.concatenate([begin + one.ends for begin, one in there]),
                np.concatenate([one.vectors for _, one in there]),
            )
        total, length = float(begins[-1]), 60 * minutes
        catalog, spaces = made._open(create=True)
        with catalog.writing():
            spaces.settle_encoders(list(specs))
            info = AudioInfo(duration=length, sample_rate=16_000, channels=1, codec="opus")
            for number in range(round(3600 * hours / length)):
                since = rng.uniform(0, total)
                with catalog.transaction():
                    path = Path(f"/speech/{number:06d}.opus")
                    file_id = catalog.put_file(path, 1, 1, "", info, "indexed")
                    for name, spec in specs.items():
                        one = real[name]
                        turned = np.sort((one.starts - since) % total)
                        order = np.argsort((one.starts - since) % total, kind="stable")
                        here = order[turned < length]
                        starts = (one.starts[here] - since) % total
                        segments = Segments(starts, starts + 1 / (spec.frame_rate or 1), one.vectors[here])
                        catalog.put_encoded(file_id, spec.key, len(segments))
                        spaces.store(spec).replace(file_id, segments)
    some = [file for file in files if file.duration > 6]
    return [(file.path, 2.0) for file in some[:: max(1, len(some) // N_SPOKEN)][:N_SPOKEN]]


def ask(folder: Path, examples: list[tuple[str, float]]) -> None:
    """Ask all, and print what each took and found, in JSON."""
    from echoic.library import Library

    answers: dict[str, list[object]] = {"typed": [], "spoken": []}
    with Library(folder) as library:
        for turn in range(TIMES):
            for kind, asked in (("typed", TYPED), ("spoken", examples)):
                for one in asked:
                    begun, cpu = time.perf_counter(), time.process_time()
                    if isinstance(one, str):
                        hits = library.phrases(one, every=True)
                    else:
                        hits = library.phrases(Path(one[0]), start=one[1], end=one[1] + SPOKEN, every=True)
                    took = time.perf_counter() - begun, time.process_time() - cpu
                    told = sorted((hit.path, round(hit.start, 2), round(hit.end, 2)) for hit in hits)
                    answers[kind].append((turn, *took, told))
    print(json.dumps(answers))


def run(checkout: Path, *arguments: str) -> str:
    """Run this module with the code of a checkout."""
    code = f"{checkout / 'src'}{os.pathsep}{Path(__file__).parents[1]}"
    command = [sys.executable, "-m", "benchmarks.many_phrases", *arguments]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": code}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", type=Path)
    parser.add_argument("--hours", type=float, default=100.0)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--beside", type=Path, action="append", default=[], help="another checkout")
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ask", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.ask:
        ask(options.library, json.loads(options.ask))
        return 0
    if options.into:
        print(json.dumps(fill(options.library, options.into, options.hours, options.minutes)))
        return 0
    print(machine())
    table: list[list[str]] = []
    found: dict[str, list[list[list[object]]]] = {}
    for checkout in (*options.beside, Path(__file__).parents[1]):
        with tempfile.TemporaryDirectory() as folder:
            size = ("--hours", str(options.hours), "--minutes", str(options.minutes))
            examples = run(checkout, str(options.library), "--into", f"{folder}/library", *size)
            answers = json.loads(run(checkout, f"{folder}/library", "--ask", examples))
            first = json.loads(run(checkout, f"{folder}/library", "--ask", examples))
        for kind, some in answers.items():
            cold = [one[2] for one in (some[0], first[kind][0])]
            warm = [one[1] for one in some if one[0] >= TIMES - 1]
            cpu = [one[2] for one in some if one[0] >= TIMES - 1]
            told = [one[3] for one in some if one[0] == TIMES - 1]
            due = found.setdefault(kind, told)
            same = sum(hit in more for one, more in zip(due, told, strict=True) for hit in one)
            table.append(
                [
                    str(checkout.name),
                    kind,
                    f"{np.mean(cold):.2f}",
                    f"{np.median(warm):.3f}",
                    f"{np.median(cpu):.3f}",
                    f"{np.max(cpu):.3f}",
                    f"{sum(map(len, told))}",
                    f"{same} of {sum(map(len, due))}",
                ]
            )
    header = ["code", "phrase", "first, CPU-s", "warm, s", "warm, CPU-s", "at most", "hits", "of the first's"]
    print_table(f"{options.hours:g} hours of speech", header, table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
