"""Hours of recordings in which calls are planted at known times, and how well they are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from echoic.audio.decode import read_audio

RATE = 16_000
FREE = "CC0 or CC-BY"
LEVELS = (-6.0, 12.0)  # dB
A_FILE = 900.0  # s

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Call:
    kind: str
    recording: str
    samples: Array


@dataclass(frozen=True)
class Planted:
    kind: str
    file: int
    start: float
    end: float
    level: float  # dB above what is around it


@dataclass(frozen=True)
class Found:
    file: int
    start: float
    end: float
    score: float


def calls_of(data: Path, rows: Sequence[dict[str, str]], kind: str) -> list[Call]:
    """Cut what is heard out of the clips of a kind: at most two of a clip, .2 to 4 s."""
    found = []
    for row in rows:
        if row["dataset"] == "esc50" and row["label"] == kind and row["licence"] != FREE:
            recording = Path(row["path"]).stem.split("-")[1]
            samples = read_audio(data / row["path"], RATE)[0]
            parts = sounding(samples)
            parts = sorted(parts, key=lambda part: -float((samples[slice(*part)] ** 2).sum()))[:2]
            found += [Call(kind, recording, faded(samples[slice(*part)])) for part in parts]
    return found


def sounding(samples: Array) -> list[tuple[int, int]]:
    """Find the parts within 25 dB of the loudest 20 ms of a clip; .25 s of pause belong to a part."""
    hop = RATE // 50
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop)
    power = (frames.astype(np.float64) ** 2).mean(axis=1)
    on = np.flatnonzero(power > power.max() * 10**-2.5)
    breaks = np.flatnonzero(np.diff(on) > 0.25 * 50) + 1
    parts = [(int(part[0]), int(part[-1]) + 1) for part in np.split(on, breaks)]
    return [(a * hop, min(b * hop, a * hop + 4 * RATE)) for a, b in parts if (b - a) / 50 >= 0.2]


def faded(samples: Array) -> Array:
    ramp = np.minimum(1, np.arange(1, len(samples) + 1) / (0.01 * RATE))
    return (samples * ramp * ramp[::-1]).astype(np.float32)


def ambience(sources: Sequence[Array], n: int, rng: np.random.Generator) -> Array:
    """Lay cuts of 5 to 20 s over each other's ends, each as loud as the others within 6 dB."""
    out = np.zeros(n, np.float32)
    at, fade = 0, RATE
    ramp = np.sin(np.linspace(0, np.pi / 2, fade, dtype=np.float32))
    while at < n:
        source = sources[int(rng.integers(len(sources)))]
        length = min(len(source), int(rng.uniform(5, 20) * RATE))
        begin = int(rng.integers(len(source) - length + 1))
        cut = source[begin : begin + length] * 10 ** (rng.uniform(-3, 3) / 20)
        cut = cut[:: 1 if rng.random() < 0.5 else -1].copy()  # steady sounds: backwards they are new
        cut[:fade] *= ramp
        cut[-fade:] *= ramp[::-1]
        cut = cut[: n - at]
        out[at : at + len(cut)] += cut
        at += length - fade
    return out


def recordings(
    data: Path,
    places: dict[str, tuple[str, ...]],
    calls: dict[str, list[Call]],
    n_calls: int,
    hours: float,
    seed: int,
) -> tuple[list[Array], list[Planted]]:
    rng = np.random.default_rng(seed)
    sources = {place: [levelled(read_audio(data / p, RATE)[0]) for p in ps] for place, ps in places.items()}
    n_files = max(1, round(hours * 3600 / A_FILE))
    names = list(places)
    files = [ambience(sources[names[i % len(names)]], int(A_FILE * RATE), rng) for i in range(n_files)]
    planted: list[Planted] = []
    kinds = sorted(calls)
    taken: list[list[tuple[float, float]]] = [[] for _ in files]
    for number in range(n_calls):
        kind = kinds[number % len(kinds)]
        call = calls[kind][int(rng.integers(len(calls[kind])))]
        n, level = len(call.samples), float(rng.uniform(*LEVELS))
        while True:
            file = int(rng.integers(n_files))
            at = int(rng.integers(RATE, len(files[file]) - n - RATE))
            begin, end = at / RATE, (at + n) / RATE
            if all(end + 2 < a or begin - 2 > b for a, b in taken[file]):
                break
        around = files[file][max(0, at - RATE) : at + n + RATE]
        gain = np.sqrt((around**2).mean() / (call.samples**2).mean()) * 10 ** (level / 20)
        files[file][at : at + n] += call.samples * gain
        taken[file].append((begin, end))
        planted.append(Planted(kind, file, begin, end, level))
    return files, planted


def levelled(samples: Array) -> Array:
    return samples * np.float32(0.03 / np.sqrt((samples**2).mean()))


# Figures


def matched(found: Sequence[Found], planted: Sequence[Planted], kind: str) -> tuple[Array, Array]:
    """Say of each hit, best first, which call it is, -1 for none → (n,) and the scores."""
    order = sorted(found, key=lambda one: -one.score)
    is_told = np.zeros(len(planted), bool)
    which = np.full(len(order), -1)
    by_file: dict[int, list[int]] = {}
    for i, call in enumerate(planted):
        if call.kind == kind:
            by_file.setdefault(call.file, []).append(i)
    for row, hit in enumerate(order):
        for i in by_file.get(hit.file, ()):
            shared = min(hit.end, planted[i].end) - max(hit.start, planted[i].start)
            lengths = sorted((hit.end - hit.start, planted[i].end - planted[i].start))
            if shared > lengths[0] / 2 and shared > lengths[1] / 4 and not is_told[i]:
                is_told[i] = True
                which[row] = i
                break
    return which, np.array([one.score for one in order])


@dataclass(frozen=True, eq=False)
class Asked:
    """What was found by one query, the best first, which calls they are, and how many there are."""

    kind: str
    hits: list[Found]
    which: Array
    scores: Array
    gone: frozenset[int] = frozenset()  # calls that are not to be found


def figures(asked: Sequence[Asked], planted: Sequence[Planted], hours: float) -> dict[str, float]:
    """Work out recall at one false alarm an hour by a common threshold, mean precision, errors of ends."""
    scores = np.concatenate([one.scores for one in asked])
    is_false = np.concatenate([one.which < 0 for one in asked])
    order = np.argsort(-scores, kind="stable")
    n_false = np.cumsum(is_false[order])
    at = int(np.searchsorted(n_false, hours * len(asked), side="right"))
    threshold = float(scores[order][at]) if at < len(order) else -np.inf
    levels = np.array([call.level for call in planted])
    recalls, precisions, errors = [], [], []
    for one in asked:
        due = np.array([call.kind == one.kind and i not in one.gone for i, call in enumerate(planted)])
        is_told = np.zeros(len(planted), bool)
        is_told[one.which[(one.scores > threshold) & (one.which >= 0)]] = True
        recalls.append([is_told[due & part].mean() for part in (levels >= 0, levels < 0)])
        right = one.which >= 0
        precisions.append((np.cumsum(right) / np.arange(1, len(right) + 1))[right].sum() / due.sum())
        for hit, i in zip(one.hits, one.which, strict=True):
            if i >= 0 and hit.score > threshold:
                errors += [abs(hit.start - planted[i].start), abs(hit.end - planted[i].end)]
    loud, faint = np.mean(recalls, axis=0)
    return {
        "loud": float(loud),
        "faint": float(faint),
        "precision": float(np.mean(precisions)),
        "ends": float(np.median(errors)) if errors else np.nan,
        "threshold": threshold,
    }
