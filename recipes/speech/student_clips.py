"""Make what ``spoken`` is trained on: speech, and what ``speech`` makes of it.

::

    python recipes/speech/student_clips.py DATA OUT.npz

``DATA`` has a ``manifest.tsv`` as for ``clips.py``, and what is left out there for the report is left out
here. ``speech`` must have been added. Most are at another speed, which makes
other voices; recordings are strung together.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np
import soxr
from clips import HELD_PHRASES, HUMAN, RATE, STEP, held_words, is_held, rows_of

from echoic.audio.decode import read_audio
from echoic.encoders.registry import load_encoder

FRAMES = 80  # of a clip
SIZE = FRAMES * STEP
PIECE = 3 * SIZE  # that the teacher listens to at once


def chosen(data: Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """List the recordings of speech, and those of other sounds."""
    rows = rows_of(data)
    held = held_words(rows)
    speech, other = [], []
    for row in rows:
        dataset, label = row["dataset"], row["label"]
        if (
            (dataset == "words_arabic" and row["split"] == "train" and label not in held)
            or (dataset == "phrases_english" and label not in HELD_PHRASES)
            or (dataset == "speech_librispeech" and not is_held(row))
            or dataset in ("digits_english", "prompts_english")
        ):
            speech.append(row)
        is_free = row["licence"] == "CC0 or CC-BY" and Path(row["path"]).stem.split("-")[-1] not in HUMAN
        if (dataset == "esc50" and is_free) or (dataset in ("music", "noise") and row["split"] == "train"):
            other.append(row)
    return speech, other


def strings(
    data: Path, rows: list[dict[str, str]], rng: np.random.Generator, most: int
) -> Iterator[np.ndarray]:
    """String recordings together → sounds of one length."""
    waiting = np.zeros(0, np.float32)
    for at in rng.permutation(len(rows)):
        samples = read_audio(data / rows[at]["path"], RATE)[0][:most]
        if not samples.any():
            continue
        if rng.random() < 0.6:
            samples = soxr.resample(samples, RATE, round(RATE * rng.uniform(0.82, 1.2)))
        samples = samples * (0.05 / (np.sqrt((samples**2).mean()) + 1e-6))
        waiting = np.concatenate([waiting, samples.astype(np.float32)])
        while len(waiting) >= PIECE:
            yield waiting[:PIECE]
            waiting = waiting[PIECE:]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--hours", type=float, default=3.2, help="of speech")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    teacher = load_encoder("speech")
    speech, other = chosen(options.data)
    sounds, told, begun = [], [], time.perf_counter()
    pieces = strings(options.data, speech, rng, 40 * RATE)
    others = strings(options.data, other, rng, 6 * RATE)
    for piece in chain(islice(pieces, round(options.hours * 3600 * RATE / PIECE)), others):
        piece = np.clip(piece, -1, 1)
        vectors = teacher.encode(piece[None])[0]
        n = len(piece) // SIZE
        sounds.append(np.rint(piece[: n * SIZE] * 32_767).astype(np.int16).reshape(n, SIZE))
        told.append(np.rint(vectors[: n * FRAMES] * 127).astype(np.int8).reshape(n, FRAMES, -1))
        if len(sounds) % 50 == 0:
            done = len(sounds) * PIECE / RATE / 3600
            print(f"{done:.2f} h, {time.perf_counter() - begun:.0f} s", flush=True)
    with options.out.open("wb") as file:
        np.savez(file, sounds=np.concatenate(sounds), told=np.concatenate(told))


if __name__ == "__main__":
    main()
