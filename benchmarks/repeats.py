"""Measure what ``repeats`` tells of long programmes into which jingles were put.

::

    python -m benchmarks.repeats --data DIR [--split test] [--seeds 1 …] [--hours 3]

DIR holds ``manifest.tsv``. A programme is a row of speech, music, noises and effects, each clip once. Where
those of a half do not last, they are played again a fifth faster, or slower, which is another sound.
Twelve jingles, parts of music of 2 to 20 s, are put between them, or under speech, at two to six places in
all: at other levels, and one of them 2 % fast. Of clips without a split, every second speaker or name is
``train``.

A place is right if it is the first that is told of a jingle's place, shares half of its time, and of the
jingle's, with it, and most of its group are of that jingle. A group that was not planted is right if all its
places have one waveform: some music is in the manifest twice.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import scipy.signal

from benchmarks.tables import load, machine, print_table, verdict
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.recordings.result import Repeat
from echoic.training.augment.waveform import change_speed
from echoic.types import Float32

RATE = 16_000
PROGRAMMES = 2
JINGLES = 12
SHORTEST, LONGEST = 2.0, 20.0  # s of a jingle
LEAST_PLACES, MOST_PLACES = 2, 6
FAST = 1.02
FADE = 0.02  # s
SPEEDS = (1.0, 1.2, 0.83)  # at which clips are played, one round after the other
FOLDS = {"train": ("fold1", "fold2"), "test": ("fold3", "fold4")}
KINDS = ("music", "speech_librispeech", "prompts_english", "esc50", "noise", "sfx")
SAME = 0.5  # correlation of two waveforms that are one

GOALS = {"precision": 0.95, "recall": 0.9}


@dataclass(frozen=True, slots=True)
class Planted:
    """A place of a jingle, in seconds, and how it is heard there."""

    jingle: int
    programme: int
    start: float
    end: float
    how: str


def clips(data: Path, split: str) -> dict[str, list[Path]]:
    """List the clips of one half, by kind."""
    found: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    with (data / "manifest.tsv").open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            if row["dataset"] not in found:
                continue
            own = row["split"]
            if own.startswith("fold"):
                half = next(name for name, folds in FOLDS.items() if own in folds)
            else:
                by = row["speaker"] if row["dataset"] == "speech_librispeech" else row["path"]
                half = own or ("train", "test")[zlib.crc32(by.encode()) % 2]
            if half == split:
                found[row["dataset"]].append(data / row["path"])
    return found


def levelled(samples: Float32, decibels: float) -> Float32:
    rms = float(np.sqrt(np.mean(np.square(samples)))) or 1.0
    return samples * np.float32(10 ** (decibels / 20) / rms)


def make_jingles(music: list[Path], rng: np.random.Generator) -> list[Float32]:
    """Cut parts of music that sound all along; take the clips out of the list."""
    found: list[Float32] = []
    lengths = np.geomspace(SHORTEST, LONGEST, JINGLES)
    while len(found) < JINGLES:
        samples, _ = read_audio(music.pop(), RATE)
        n, fade = round(lengths[len(found)] * RATE), round(FADE * RATE)
        if len(samples) < n:
            continue
        first = int(rng.integers(0, len(samples) - n + 1))
        part = levelled(samples[first : first + n], -20)
        tenths = np.sqrt(np.mean(np.square(part[: n // 1600 * 1600].reshape(-1, 1600)), axis=1))
        if np.quantile(tenths, 0.1) < 0.01 or tenths[:2].max() < 0.02 or tenths[-2:].max() < 0.02:
            continue
        part[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)
        part[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
        found.append(part)
    return found


def planned(
    n_programmes: int, seconds: float, rng: np.random.Generator
) -> list[list[tuple[float, int, str]]]:
    """Say about when which jingle is played in each programme, and how, in order of time."""
    plan: list[list[tuple[float, int, str]]] = [[] for _ in range(n_programmes)]
    fast = int(rng.integers(4, JINGLES))
    for jingle in range(JINGLES):
        n = int(rng.integers(LEAST_PLACES, MOST_PLACES + 1))
        for place in range(n):
            how = str(rng.choice(["plain", "level", "speech"], p=[0.4, 0.3, 0.3]))
            if jingle == fast and place == 0:
                how = "fast"
            plan[int(rng.integers(n_programmes))].append((float(rng.uniform(0, 0.97 * seconds)), jingle, how))
    return [sorted(one) for one in plan]


def make(
    folder: Path, data: Path, split: str, n: int, hours: float, seed: int
) -> tuple[list[Path], list[Planted]]:
    """Write programmes, and say where in them the jingles are."""
    rng = np.random.default_rng(seed)
    of_kind = clips(data, split)
    music = [of_kind["music"][i] for i in rng.permutation(len(of_kind["music"]))]
    jingles = make_jingles(music, rng)
    filler = [*music, *itertools.chain.from_iterable(of_kind[kind] for kind in KINDS[1:])]
    rounds = [(filler[i], speed) for speed in SPEEDS for i in rng.permutation(len(filler))]
    talks: list[Float32] = []
    for at in rng.permutation(len(of_kind["speech_librispeech"]))[:80]:
        talk = of_kind["speech_librispeech"][at]
        talks.append(read_audio(talk, RATE)[0])
        rounds = [one for one in rounds if one[0] != talk]  # what is talked over jingles is not heard besides
    planted: list[Planted] = []
    paths = []
    next_clip = iter(rounds)
    for number, plan in enumerate(planned(n, 3600 * hours, rng)):
        parts: list[Float32] = []
        at = 0
        plan = list(plan)
        while at < 3600 * hours * RATE:
            if plan and at >= plan[0][0] * RATE:
                _, jingle, how = plan.pop(0)
                part = jingles[jingle]
                if how == "level":
                    part = part * np.float32(10 ** (rng.choice([-12, -9, -6, 5]) / 20))
                elif how == "fast":
                    part = change_speed(part, FAST)
                elif how == "speech":
                    talk = np.resize(levelled(talks.pop(), -20 + rng.uniform(-6, 3)), len(part))
                    part = part + talk
                planted.append(Planted(jingle, number, at / RATE, (at + len(part)) / RATE, how))
            else:
                path, speed = next(next_clip)
                samples, _ = read_audio(path, RATE)
                part = change_speed(samples, speed) if speed != 1 else samples
                if len(part) < RATE // 2 or not part.any():
                    continue
                part = levelled(part, rng.uniform(-26, -16))
            parts.append(part)
            at += len(part)
        path = folder / f"programme {number + 1}.flac"
        write_audio(path, np.clip(np.concatenate(parts), -1, 1), RATE)
        paths.append(path)
    return paths, planted


@dataclass
class Figures:
    """What was told of some programmes, beside what is there."""

    due: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    told: int = 0
    right: int = 0
    besides: int = 0
    edges: list[float] = field(default_factory=list)
    seconds: float = 0.0
    megabytes: float = 0.0


def told(paths: list[Path], figures: Figures) -> list[list[Repeat]]:
    """Run the command on files, and measure its time and memory."""
    words = [sys.executable, "-m", "echoic", "repeats", "--json", *map(str, paths)]
    lines: list[str] = []
    seconds = 0.0
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as command:
        process = psutil.Process(command.pid)
        reader = threading.Thread(target=lambda: lines.extend(command.stdout or ()))
        reader.start()
        while command.poll() is None:
            with suppress(psutil.Error):  # it may end meanwhile
                figures.megabytes = max(figures.megabytes, process.memory_info().rss / 1e6)
                times = process.cpu_times()
                seconds = times.user + times.system
            time.sleep(0.1)
        reader.join()
    figures.seconds += seconds
    groups: dict[int, list[Repeat]] = defaultdict(list)
    for line in lines:
        place = Repeat(**json.loads(line))
        groups[place.group].append(place)
    return list(groups.values())


def planted_at(place: Repeat, paths: list[Path], planted: list[Planted]) -> Planted | None:
    """Find the jingle's place that a place is."""
    number = paths.index(Path(place.path))
    for one in planted:
        shared = min(place.end, one.end) - max(place.start, one.start)
        longer = max(place.end - place.start, one.end - one.start)
        if one.programme == number and shared >= longer / 2:
            return one
    return None


def is_same(one: Repeat, other: Repeat) -> bool:
    """Tell whether two places have one waveform, by 2 s in their middle."""
    middles = [(place.start + place.end) / 2 for place in (one, other)]
    here, _ = read_audio(one.path, 8_000, start=max(0.0, middles[0] - 1), end=middles[0] + 1)
    there, _ = read_audio(other.path, 8_000, start=max(0.0, middles[1] - 2), end=middles[1] + 2)
    energy = np.convolve(np.square(there, dtype=np.float64), np.ones(len(here)), "valid")
    products = scipy.signal.correlate(there.astype(np.float64), here.astype(np.float64), "valid")
    likeness = np.abs(products) / np.sqrt(energy * np.square(here, dtype=np.float64).sum() + 1e-9)
    return float(likeness.max()) >= SAME


def judge(groups: list[list[Repeat]], paths: list[Path], planted: list[Planted], figures: Figures) -> None:
    """Compare what was told with what was planted, and print what is wrong."""
    seen: set[Planted] = set()
    for group in groups:
        heard = [planted_at(place, paths, planted) for place in group]
        jingles = Counter(one.jingle for one in heard if one is not None)
        figures.told += len(group)
        if not jingles and all(is_same(group[0], place) for place in group[1:]):
            figures.besides += len(group)
            continue
        for place, one in zip(group, heard, strict=True):
            if one is not None and one not in seen and one.jingle == jingles.most_common(1)[0][0]:
                seen.add(one)
                figures.edges += [abs(place.start - one.start), abs(place.end - one.end)]
            else:
                print(
                    f"wrong: {Path(place.path).stem} {place.start:.1f}–{place.end:.1f} s, {place.score:.2f}"
                )
    figures.right += len(seen)
    figures.due.update(one.how for one in planted)
    figures.found.update(one.how for one in seen)
    for one in planted:
        if one not in seen:
            print(f"missed: programme {one.programme + 1} {one.start:.1f}–{one.end:.1f} s, {one.how}")


def main(data: Path, split: str, seeds: list[int], hours: float) -> None:
    print(f"{machine()}\n")
    figures = Figures()
    for seed in seeds:
        with tempfile.TemporaryDirectory() as temporary:
            paths, planted = make(Path(temporary), data, split, PROGRAMMES, hours, seed)
            judge(told(paths, figures), paths, planted, figures)
    due, found = figures.due.total(), figures.found.total()
    precision, recall = (figures.right + figures.besides) / max(1, figures.told), found / due
    edges = np.array(figures.edges or [np.nan])
    rows = [[how, str(figures.found[how]), str(n)] for how, n in sorted(figures.due.items())]
    print_table(
        f"{PROGRAMMES} programmes of {hours:g} hours, {len(seeds)} times, {JINGLES} jingles at {due} places",
        ["places", "found", "of"],
        [*rows, ["all", str(found), str(due)]],
        f"Precision {precision:.3f} ({verdict(precision, GOALS['precision'])}): {figures.told} told, "
        f"{figures.besides} of them not planted and of one waveform.",
        f"Recall {recall:.3f} ({verdict(recall, GOALS['recall'])}).",
        f"Ends within {np.median(edges):.2f} s (median), {np.quantile(edges, 0.95):.2f} s (95 %); "
        f"{np.mean(edges <= 0.5):.2f} of them within .5 s.",
        f"{figures.seconds / len(seeds):.0f} s of a core and {figures.megabytes:.0f} MB for "
        f"{PROGRAMMES * hours:g} hours; {load()}.",
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.repeats", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=["train", "test"], default="test")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--hours", type=float, default=3.0)
    options = parser.parse_args()
    main(options.data, options.split, options.seeds, options.hours)
