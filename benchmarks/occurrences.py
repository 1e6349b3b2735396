"""Measure how well every place is found where a sound is heard in long recordings.

::

    python -m benchmarks.occurrences [--data DIR] [--hours H] [--tune] [--readme]

DIR (default: $ECHOIC_DATA, or ``../shared/data`` beside the checkout) is as for the other benchmarks. Hours
of rain, wind, water and a town are laid out of recordings of the test split, and calls of eight kinds are
planted at known times, from 6 dB below to 12 dB above the level of what is around them. The calls are those
clips of ESC-50 that no model was trained on, as their licence forbids it. Of each kind three recordings are
kept apart as examples: what is planted comes from others, so that other dogs are to be found, not the same.

Concepts are taught by the same examples and by answers to what ``teach --ask`` asks, two at a time; the
answer is yes where most of what is played is a call of the kind. What was answered is known for sure, so it
is also said how well the rest is found.

A hit is right if it and a call of the kind share more than half of the shorter and a quarter of the longer;
another hit of the same call is a false alarm, as everything else is. One threshold serves all queries.

``--tune`` does the same with other kinds of sound in recordings of the training split: by it, the way was
chosen and what is told is turned into a probability.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.signal import fftconvolve

from benchmarks.planted import (
    RATE,
    Array,
    Asked,
    Call,
    Found,
    Planted,
    calls_of,
    figures,
    matched,
    recordings,
)
from benchmarks.retrieval import data_folder
from benchmarks.tables import machine, print_table, verdict
from echoic import Library
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.audio.spectrogram import LogMel
from echoic.encoders.base import mean_vector, normalize
from echoic.search import likeness, occurrences
from echoic.search.occurrences import apart
from echoic.search.query import Examples
from echoic.storage.events import read_heard

KINDS = ("can_opening", "cat", "clock_alarm", "coughing", "cow", "hen", "laughing", "siren")
OTHER_KINDS = (
    *("car_horn", "church_bells", "clapping", "door_wood_knock"),
    *("fireworks", "footsteps", "snoring", "toilet_flush"),
)
PLACES = {
    "rain": ("noise/forest-rain.opus",),
    "wind": ("noise/wind.opus",),
    "water": ("noise/boat.opus",),
    "town": ("noise/coffee-shop.opus", "noise/train.opus"),
}
OTHER_PLACES = {
    "rain": ("noise/heavy-rain.opus", "noise/rain.opus"),
    "wind": ("noise/storm.opus",),
    "forest": ("noise/birds.opus", "noise/stream.opus", "noise/summer-night.opus"),
    "town": ("noise/city.opus",),
}
N_EXAMPLES = 3  # recordings of a kind
N_ANSWERS = 10
# Of the way of Perch-Hoplite: vectors drawn for what is looked for nowhere, their weight, and weight decay.
N_DRAWN, WEIGHT_OF_DRAWN, DECAY = 500, 0.05, 0.01


# Ways of finding


@dataclass(frozen=True, eq=False)
class Bench:
    """A library of recordings, what is planted there, and files of examples by kind and recording."""

    library: Library
    folder: Path
    planted: list[Planted]
    examples: dict[str, list[list[Path]]]
    hours: float

    def queries(self, n: int) -> Iterator[tuple[str, list[Path]]]:
        """Give kinds, and ``n`` examples: one of a recording alone, three or five of all three."""
        for kind, by_recording in self.examples.items():
            if n == 1:
                yield from ((kind, [one[0]]) for one in by_recording)
            else:
                in_turn = [one[i] for i in range(n) for one in by_recording if i < len(one)]
                yield kind, in_turn[:n]

    def ask(self, n: int, find: Callable[[list[Path]], list[Found]]) -> list[Asked]:
        asked = []
        for kind, examples in self.queries(n):
            hits = sorted(find(examples), key=lambda hit: -hit.score)
            asked.append(Asked(kind, hits, *matched(hits, self.planted, kind)))
        return asked

    def every(self, examples: list[Path]) -> list[Found]:
        return _found(self.library.occurrences(like=examples, min_score=0.02))

    def taught(self, n: int, n_answers: int) -> tuple[list[Asked], list[Asked]]:
        """Teach each kind by examples and by answers to what is asked, and find it.

        Returns
        -------
        list of Asked
            All that is found.
        list of Asked
            What was answered counts neither as found nor as to be found.
        """
        everything, rest = [], []
        for number, (kind, examples) in enumerate(self.queries(n)):
            name = f"{kind} {number}"
            self.library.teach(name, yes=examples)
            told: list[Found] = []
            for _ in range(n_answers // 2):
                for hit in self.library.proposals(name, 2):
                    told += _found([hit])
                    answer = "yes" if self.is_of(told[-1], kind) else "no"
                    self.library.teach(name, **{answer: [(hit.path, hit.start, hit.end)]})
            hits = _found(self.library.instances(name, every=True, min_score=0.02))
            self.library.forget_concept(name)
            hits.sort(key=lambda hit: -hit.score)
            everything.append(Asked(kind, hits, *matched(hits, self.planted, kind)))
            hits = [hit for hit in hits if not any(_meet(hit, one) for one in told)]
            gone = {i for i, call in enumerate(self.planted) if any(_meet(call, one) for one in told)}
            rest.append(Asked(kind, hits, *matched(hits, self.planted, kind), frozenset(gone)))
        return everything, rest

    def agile(self, n: int, n_answers: int) -> list[Asked]:
        """Search and learn as Perch-Hoplite does, in the same vectors.

        What is nearest by the dot product is answered, and then what a linear classifier of the examples, the
        answers and drawn vectors, which weigh little, takes for the surest (Dumoulin et al., "The Search for
        Squawk: Agile Modeling in Bioacoustics", 2025).
        """
        catalog, spaces = self.library._open()
        source, spec = spaces.chosen("events", "occurrences")
        store = spaces.store(spec)
        ids = store.file_ids().tolist()
        files = {i: int(Path(path).stem) for i, path in catalog.paths(ids).items()}
        heard = dict(read_heard(store, ids))
        vectors = np.concatenate([normalize(heard[i].vectors.astype(np.float32)) for i in heard])
        spans = [
            (files[i], *span) for i in heard for span in zip(heard[i].starts, heard[i].ends, strict=True)
        ]
        sounds = Examples(spaces, source, spec, lambda *_: None)
        drawn = vectors[np.random.default_rng(0).permutation(len(vectors))[:N_DRAWN]]
        asked = []
        for kind, examples in self.queries(n):
            known = [sounds.meant(path, 60.0)[0] for path in examples]
            is_it = [True] * len(known)
            scores = vectors @ np.mean(known, axis=0)
            left = np.ones(len(spans), bool)
            for _ in range(n_answers):
                row = int(np.where(left, scores, -np.inf).argmax())
                hit = Found(*spans[row], 1.0)
                left &= np.array([not _meet(hit, Found(*span, 0.0)) for span in spans])
                known.append(vectors[row])
                is_it.append(self.is_of(hit, kind))
                scores = linear_scores(vectors, np.stack(known), np.array(is_it), drawn)
            asked.append(self._agile_found(kind, spans, scores))
        return asked

    def _agile_found(self, kind: str, spans: Sequence[tuple[int, float, float]], scores: Array) -> Asked:
        files, starts, ends = (np.array(side) for side in zip(*spans, strict=True))
        ranks = scores.argsort().argsort() / len(scores)  # between 0 and 1, as apart() takes them
        hits = []
        for file in np.unique(files).tolist():
            rows = np.flatnonzero((files == file) & (ranks > 0.9))
            chosen = rows[apart(starts[rows], ends[rows], ranks[rows], 0.0)]
            hits += [Found(file, float(starts[i]), float(ends[i]), float(scores[i])) for i in chosen.tolist()]
        hits.sort(key=lambda hit: -hit.score)
        return Asked(kind, hits, *matched(hits, self.planted, kind))

    def is_of(self, hit: Found, kind: str) -> bool:
        """Answer as a person would: most of what is played is a call of the kind."""
        return any(
            call.kind == kind
            and call.file == hit.file
            and min(hit.end, call.end) - max(hit.start, call.start) > (hit.end - hit.start) / 2
            for call in self.planted
        )

    def one_a_file(self, examples: list[Path]) -> list[Found]:
        return _found(self.library.search(like=examples, k=1_000, encoder="sound"))

    def windows(self, examples: list[Path]) -> list[Found]:
        """Take all windows of `sound` by their cosines: those that do not lie on each other."""
        catalog, spaces = self.library._open()
        _, spec = spaces.chosen("sound")
        store = spaces.store(spec)
        sounds = Examples(spaces, "sound", spec, lambda *_: None)
        query = normalize(np.sum([mean_vector(sounds.sound(one).vectors) for one in examples], axis=0)[None])[
            0
        ]
        found = []
        paths = catalog.paths(store.file_ids().tolist())
        for file_id, segments in store.fetch(list(paths)).items():
            scores = (segments.vectors @ query).astype(np.float64)
            for row in apart(segments.starts, segments.ends, scores, 0.3):
                start, end = float(segments.starts[row]), float(segments.ends[row])
                found.append(Found(int(Path(paths[file_id]).stem), start, end, float(scores[row])))
        return found

    def templates(self, examples: list[Path]) -> list[Found]:
        """Lay the spectrogram of an example along the recordings: correlation, each frame set to mean 0."""
        found = []
        template = _spectra(read_audio(examples[0], RATE)[0])
        template = template / np.linalg.norm(template)
        n = len(template)
        for file, spectra in self._spectra().items():
            match = np.zeros(len(spectra) - n + 1)
            for band in range(spectra.shape[1]):
                match += fftconvolve(spectra[:, band], template[::-1, band], mode="valid")
            energy = np.cumsum(np.concatenate([[0], np.square(spectra, dtype=np.float64).sum(axis=1)]))
            match /= np.sqrt(np.maximum(energy[n:] - energy[:-n], 1e-9))
            peaks = np.flatnonzero((match[1:-1] >= match[:-2]) & (match[1:-1] > match[2:])) + 1
            starts = np.asarray(peaks * 0.02 + 0.022, np.float64)
            for row in apart(starts, np.asarray(starts + n * 0.02, np.float64), match[peaks], 0.2):
                found.append(
                    Found(file, float(starts[row]), float(starts[row] + n * 0.02), float(match[peaks][row]))
                )
        return found

    def _spectra(self) -> dict[int, Array]:
        if not _SPECTRA:
            for path in sorted(self.folder.glob("*.flac")):
                _SPECTRA[int(path.stem)] = _spectra(read_audio(path, RATE)[0])
        return _SPECTRA


_SPECTRA: dict[int, Array] = {}
_LOG_MEL = LogMel(RATE, 1024, 320, 64, 50, RATE / 2)


def _spectra(samples: Array) -> Array:
    padded = np.pad(samples, (0, max(0, 2048 - len(samples))))
    spectra = _LOG_MEL(padded[None])[0]
    centred: Array = (spectra - spectra.mean(axis=1, keepdims=True)).astype(np.float16)
    return centred.astype(np.float32)


def linear_scores(vectors: Array, known: Array, is_it: Array, drawn: Array) -> Array:
    """Fit a logistic regression of what is known, and of drawn vectors as if they were not it; → log-odds."""
    inputs = np.concatenate([known, drawn]).astype(np.float64)
    signs = np.concatenate([np.where(is_it, 1, -1), -np.ones(len(drawn))])
    weights = np.concatenate([np.ones(len(known)), np.full(len(drawn), WEIGHT_OF_DRAWN)])

    def loss(line: Array) -> tuple[float, Array]:
        odds = signs * (inputs @ line[1:] + line[0])
        slopes = -signs * weights / (1 + np.exp(np.clip(odds, -500, 500)))
        gradient = np.concatenate([[slopes.sum()], inputs.T @ slopes + DECAY * line[1:]])
        return float((weights * np.logaddexp(0, -odds)).sum() + DECAY / 2 * (line[1:] ** 2).sum()), gradient

    line = minimize(loss, np.zeros(vectors.shape[1] + 1), jac=True, method="L-BFGS-B").x
    scores: Array = vectors @ line[1:] + line[0]
    return scores


def _meet(one: Found | Planted, other: Found | Planted) -> bool:
    return one.file == other.file and one.start < other.end and other.start < one.end


def _found(hits: Any) -> list[Found]:
    return [Found(int(Path(hit.path).stem), hit.start, hit.end, hit.score) for hit in hits]


def prepared(data: Path, folder: Path, *, tune: bool, quick: bool, hours: float, n_calls: int) -> Bench:
    """Lay the recordings, write examples, and index."""
    with (data / "manifest.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    calls: dict[str, list[Call]] = {}
    examples: dict[str, list[list[Path]]] = {}
    rng = np.random.default_rng(1)
    (folder / "examples").mkdir()
    (folder / "files").mkdir()
    for kind in OTHER_KINDS if tune else KINDS:
        cut = calls_of(data, rows, kind)
        names = sorted({call.recording for call in cut})
        rng.shuffle(names)
        held = names[: N_EXAMPLES if len(names) > N_EXAMPLES + 1 else max(1, len(names) // 2)]
        calls[kind] = [call for call in cut if call.recording not in held]
        examples[kind] = []
        for name in held:
            paths = []
            for i, call in enumerate(call for call in cut if call.recording == name):
                paths.append(folder / "examples" / f"{kind}-{name}-{i}.flac")
                write_audio(paths[-1], call.samples, RATE)
            examples[kind].append(paths)
    files, planted = recordings(data, OTHER_PLACES if tune else PLACES, calls, n_calls, hours, 1)
    for number, samples in enumerate(files):
        write_audio(folder / "files" / f"{number:03d}.flac", np.clip(samples, -1, 1), RATE)
    library = Library(folder / "library")
    for encoder in ("events",) if quick else ("sound", "events"):
        begun = time.perf_counter(), sum(time_of_all())
        library.index([folder / "files"], encoders=[encoder], jobs=1)
        library.close()  # and its workers, whose time counts once they are over
        wall, cpu = time.perf_counter() - begun[0], sum(time_of_all()) - begun[1]
        print(f"{encoder}: {hours:g} h indexed in {wall:.0f} s, {cpu / hours:.1f} s of a core an hour")
    return Bench(library, folder / "files", planted, examples, hours)


def time_of_all() -> tuple[float, float]:
    """Count seconds of CPU time of this process and of its workers, which must be over."""
    import os

    times = os.times()
    return times.user + times.system, times.children_user + times.children_system


def fit(asked: Sequence[Asked]) -> tuple[float, float]:
    """Turn likeness into the logarithm of the odds that a hit is right, by what was found."""
    scores = np.concatenate([one.scores for one in asked])
    right = np.concatenate([one.which >= 0 for one in asked])
    alike = (np.log(scores / (1 - scores)) - likeness._OFFSET) / likeness._OF_LIKENESS
    signs = np.where(right, 1, -1)

    def loss(line: Array) -> float:
        return float(np.logaddexp(0, -signs * (line[0] + line[1] * alike)).sum())

    offset, slope = minimize(loss, [-2, 5]).x
    return float(offset), float(slope)


def seconds_of(act: Callable[[], object]) -> tuple[float, float]:
    """Take the median time, on the wall and of all cores, of what was done once before."""
    act()
    times = []
    for _ in range(5):
        begun = time.perf_counter(), time.process_time()
        act()
        times.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
    wall, cpu = np.median(times, axis=0)
    return float(wall), float(cpu)


def measure(bench: Bench, *, tune: bool, quick: bool) -> None:
    rows = []

    def add(name: str, asked: list[Asked]) -> dict[str, float]:
        told = figures(asked, bench.planted, bench.hours)
        ends = f"{told['ends']:.2f} s"
        rows.append([name, *(f"{told[one]:.2f}" for one in ("loud", "faint", "precision")), ends])
        return told

    if not quick:
        add("one span a file, one example", bench.ask(1, bench.one_a_file))
        add("windows of sound, one example", bench.ask(1, bench.windows))
        add("windows of sound, three", bench.ask(3, bench.windows))
        add("templates of spectra, one", bench.ask(1, bench.templates))
    found = {n: bench.ask(n, bench.every) for n in (1, 3, 5)}
    told = {n: add(f"--every, {n} {'example' if n == 1 else 'examples'}", one) for n, one in found.items()}
    add("dot product, three", bench.agile(3, 0))
    add("linear classifier, three examples, ten answers", bench.agile(3, N_ANSWERS))
    taught = {}
    for n in (1, 3):
        what = f"teach, {n} {'example' if n == 1 else 'examples'}, ten answers"
        everything, rest = bench.taught(n, N_ANSWERS)
        taught[n] = add(what, everything)
        add(f"{what}, without what was answered", rest)
    header = ["way", "recall at 0 to 12 dB", "at -6 to 0 dB", "average precision", "ends off by"]
    n_calls = len(bench.planted)
    print_table(f"{n_calls} calls in {bench.hours:g} h, recall at one false alarm an hour", header, rows)
    kinds: dict[str, list[list[str]]] = {}
    for kind in bench.examples:
        cells = []
        for n in (1, 3, 5):
            some = [one for one in found[n] if one.kind == kind]
            cells.append(f"{figures(some, bench.planted, bench.hours)['precision']:.2f}")
        kinds[kind] = [[kind, *cells]]
    print_table(
        "Average precision by kind", ["kind", "1", "3", "5"], [r for some in kinds.values() for r in some]
    )
    goals = [(told[1]["loud"], 0.70, False), (told[3]["loud"], 0.80, False), (told[1]["ends"], 0.10, True)]
    goals.append((taught[3]["loud"], 0.90, False))
    names = ("one example", "three", "ends", "three and ten answers")
    for name, (value, goal, at_most) in zip(names, goals, strict=True):
        print(f"{name}: {value:.2f}, goal {goal:.2f}: {verdict(value, goal, at_most=at_most)}")
    scores = np.concatenate([one.scores for one in found[1]])
    right = np.concatenate([one.which >= 0 for one in found[1]])
    told_so = scores >= occurrences.LIKELY
    print(f"told from {occurrences.LIKELY} on: {told_so.sum()}, right {right[told_so].mean():.2f}")
    for low in (0.2, 0.4, 0.6, 0.8):
        here = (scores >= low) & (scores < low + 0.2)
        print(f"told with {low:.1f} to {low + 0.2:.1f}: {here.sum()}, right {right[here].mean():.2f}")
    if tune:
        print("odds of likeness:", *fit(found[1]))
    measure_speed(bench)


def measure_speed(bench: Bench) -> None:
    """Time a search of all hours, and one of no file, which is what does not grow with them."""
    example = next(bench.queries(1))[1]
    spaces = bench.library._open()[1]
    n_events = len(spaces.store(spaces.chosen("events", "occurrences")[1]))

    def search(path: str | None) -> None:
        for _ in bench.library.occurrences(like=example, path=path):
            pass

    for what, path in ((f"{n_events} events in {bench.hours:g} h", None), ("none of them", "no such file")):
        wall, cpu = seconds_of(partial(search, path))
        print(f"{what} searched in {wall * 1000:.0f} ms, {cpu * 1000:.0f} ms of a core, warm")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.occurrences", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--tune", action="store_true", help="by what the way was chosen")
    parser.add_argument("--quick", action="store_true", help="the way of --every alone")
    options = parser.parse_args(arguments)
    data = data_folder(options.data)
    if data is None:
        return 2
    print(machine())
    n_calls = max(16, round(options.hours * 400 / 6))
    with tempfile.TemporaryDirectory() as folder:
        bench = prepared(
            data, Path(folder), tune=options.tune, quick=options.quick, hours=options.hours, n_calls=n_calls
        )
        with bench.library:
            measure(bench, tune=options.tune, quick=options.quick)
    return 0


if __name__ == "__main__":
    sys.exit(main())
