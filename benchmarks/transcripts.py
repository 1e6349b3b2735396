"""Measure how well speech is written down, and how well typed phrases are found in it.

::

    echoic models add transcripts phonemes
    python -m benchmarks.transcripts [--data DIR] [--prompts N] [--read N] [--phrases N] [--music MINUTES]

DIR (default: $ECHOIC_DATA, or ``../shared/data`` beside the checkout) is as for the other benchmarks.
Telephone prompts and read books with texts are written down. Told are word errors (what is only parted
otherwise, or a number in digits, is none), how much sound is dealt with in a second of CPU time, and, by the
protocol of ``recipes/phonemes/measure.py``, of typed phrases that are looked for in all files: how many are
found, in transcripts, by ``phonemes`` where it was added, and by both. Then prompts are laid into silence,
with pauses of 5, 40 and 600 s, and it is told how far words begin and end from the sound; and how many words
are made up in music without words.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.retrieval import Row, data_folder
from benchmarks.tables import machine, print_table
from echoic import Library, UsageError
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.encoders.families import models_folder
from echoic.heard.recogniser import Recogniser, need_recogniser
from echoic.storage.folding import fold
from echoic.types import Transcript

RATE = 16_000
PAUSES = (5, 40, 5, 600, 5)  # s
#: Of texts that are no transcript of the prompt: remarks in brackets, and what goes on.
REMARKS = re.compile(r'[("]|\.\.\.')
WAYS = ("transcripts", "phonemes", "both")


def protocol() -> Any:
    """Load how phrases are drawn, and where they are said."""
    path = Path(__file__).parents[1] / "recipes" / "phonemes" / "measure.py"
    spec = spec_from_file_location("measure", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def errors(said: str, told: Transcript | None) -> tuple[int, int]:
    """Count the words that differ, and those that were said."""
    due = [token.text for token in fold(said.split())]
    assert told is not None
    heard = [token.text for token in fold([word.text for cue in told.cues for word in cue.words])]
    if "".join(due) == "".join(heard):
        return 0, len(due)
    row = list(range(len(heard) + 1))
    for at, word in enumerate(due, start=1):
        row_before, row = row, [at]
        for other, before in enumerate(heard):
            substituted = row_before[other] + (word != before)
            row.append(min(row_before[other + 1] + 1, row[-1] + 1, substituted))
    return row[-1], len(due)


def edges(samples: np.ndarray) -> tuple[float, float]:
    """Say from when to when a sound is more than silence, in seconds."""
    level = np.sqrt(np.convolve(samples**2, np.ones(320) / 320, "same"))
    loud = np.flatnonzero(level > 0.03 * level.max())
    return float(loud[0]) / RATE, float(loud[-1]) / RATE


def timed(recogniser: Recogniser, data: Path, rows: Sequence[Row], folder: Path) -> list[str]:
    """Lay prompts into silence → how far their words begin and end from the sound, and words in silence."""
    parts, due, at = [np.zeros(2 * RATE, np.float32)], [], 2.0
    for row, pause in zip(rows, PAUSES, strict=False):
        samples, _ = read_audio(data / row["path"], RATE)
        begin, end = edges(samples)
        due.append((at + begin, at + end))
        parts += [samples, np.zeros(pause * RATE, np.float32)]
        at += len(samples) / RATE + pause
    faint = np.random.default_rng(0).normal(0, 1e-4, sum(map(len, parts)))
    write_audio(folder / "pauses.wav", (np.concatenate(parts) + faint).astype(np.float32), RATE)
    words = [word for cue in recogniser.transcribe(folder / "pauses.wav").cues for word in cue.words]
    starts, ends, n_inside = [], [], 0
    for begin, end in due:
        here = [word for word in words if begin - 1 < word.start < end + 1]
        n_inside += len(here)
        if here:
            starts.append(abs(here[0].start - begin))
            ends.append(abs(here[-1].end - end))
    longest = max((word.end - word.start for word in words), default=0.0)
    told = (max(starts, default=np.nan), max(ends, default=np.nan), longest)
    return [f"{len(starts)} of {len(due)}", *(f"{value:.2f} s" for value in told), str(len(words) - n_inside)]


def found(library: Library, rows: Sequence[Row], phrases: Sequence[str], way: str, how: Any) -> list[str]:
    """Look for phrases → how many files they are said in, precision, recall and F1."""
    said = told = right = 0
    for phrase in phrases:
        try:
            hits = library.phrases(phrase, 10_000, encoder=None if way == "both" else way)
        except UsageError:  # too short for phonemes
            continue
        names = {hit.path for hit in hits}
        for row in rows:
            is_said = how.is_said(phrase, row["text"])
            if is_said is not None:
                is_told = row["copy"] in names
                said, told, right = said + is_said, told + is_told, right + (is_told and is_said)
    shares = (right / max(told, 1), right / max(said, 1), 2 * right / max(said + told, 1))
    return [str(said), *(f"{share:.3f}" for share in shares)]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--read", type=int, default=60)
    parser.add_argument("--phrases", type=int, default=60, help="of prompts, and as many of books")
    parser.add_argument("--music", type=float, default=30.0, help="minutes")
    options = parser.parse_args()
    data = data_folder(options.data)
    if data is None:
        return 1
    how, recogniser = protocol(), need_recogniser("speech")
    others = (row for row in how.recordings(data) if not how.is_fitted_on(row))
    rows = [row for row in others if not REMARKS.search(row["text"])]
    prompts = [row for row in rows if how.is_prompt(row)][: options.prompts]
    read = [row for row in rows if not how.is_prompt(row)][: options.read]
    is_heard = (models_folder() / "phonemes.onnx").exists()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for number, row in enumerate([*prompts, *read]):
            copy = folder / "sounds" / f"{number}{Path(row['path']).suffix}"
            copy.parent.mkdir(exist_ok=True)
            copy.symlink_to((data / row["path"]).resolve())
            row["copy"] = str(copy)
        with Library(folder / "library") as library:
            library.index([folder / "sounds"], encoders=["phonemes" if is_heard else "spectral"], jobs=1)
            begun = time.process_time()
            library.index([folder / "sounds"], transcripts=True, jobs=1)
            spent = time.process_time() - begun
            table = []
            for name, some in (("telephone prompts", prompts), ("read books", read)):
                counts = [errors(row["text"], library.transcript(row["copy"])) for row in some]
                wrong, due = (sum(column) for column in zip(*counts, strict=True))
                seconds = sum(library.files(row["copy"])[0].duration for row in some)
                table.append([name, str(len(some)), f"{seconds / 60:.1f}", str(due), f"{wrong / due:.3f}"])
            print_table("Words", ["", "files", "minutes", "words", "word error rate"], table, machine())
            seconds = sum(record.duration for record in library.files())
            print(f"{seconds / spent:.1f} s of sound in a second of CPU time\n", flush=True)
            for name, some in (("telephone prompts", prompts), ("read books", read)):
                asked = how.phrases(some, options.phrases)
                ways = WAYS if is_heard else WAYS[:1]
                figures = [[way, *found(library, [*prompts, *read], asked, way, how)] for way in ways]
                print_table(f"Phrases of {name}", ["", "said", "precision", "recall", "F1"], figures)
        long = [row for row in prompts if len(row["text"].split()) >= 5]
        header = ["", "found", "worst begin", "worst end", "longest word", "in silence"]
        print_table("Pauses", header, [["of 5, 40, 600 s", *timed(recogniser, data, long, folder)]])
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        music = [row for row in csv.DictReader(file, delimiter="\t") if row["dataset"] == "music"]
    random.Random(0).shuffle(music)
    heard, words, at = 0.0, 0, 0
    while heard < 60 * options.music and at < len(music):
        words += sum(len(cue.words) for cue in recogniser.transcribe(data / music[at]["path"]).cues)
        heard += len(read_audio(data / music[at]["path"], 8_000)[0]) / 8_000
        at += 1
    print_table(
        "Music", ["", "minutes", "words made up"], [["without words", f"{heard / 60:.0f}", str(words)]]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
