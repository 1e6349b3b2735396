"""Write what ``sound`` and a tagger hear in every clip that the words may be taught by.

::

    python recipes/text/hear.py --data DIR --tagger DIR [--packages DIR] -o heard.npz

DIR of the data (default: $ECHOIC_DATA) holds the audio and a ``manifest.tsv`` with the columns ``path,
dataset, split, label, licence``; of the tagger, ``mn04_as.onnx`` and its front end ``teachers.py``; of the
packages, what ``dpkg -x`` made of Debian's ``tuxpaint-stamps-default`` and ``wesnoth-1.16-data`` (both
GPL-2). Of each clip at most ``LONGEST`` windows are taken, evenly spread.
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tagger import load_tagger

from echoic.analysis.pipeline import embed_file
from echoic.audio.decode import read_audio
from echoic.encoders.registry import load_encoder
from echoic.errors import AudioError

# Every licence that may train what ships. What is not listed there does not.
COMMERCIAL = set(Path(__file__).parents[1].joinpath("licences.txt").read_text("utf-8").splitlines())
FOLDS = {"fold1", "fold2", "fold3"}  # of ESC-50; fold 4 asks
MOST_OF = {  # clips of what is all one kind of sound
    "words_arabic": 200,
    "phrases_english": 200,
    "digits_english": 100,
    "prompts_english": 200,
    "speech_librispeech": 200,
    "instruments": 600,
}
LEFT_OUT = {"impulse_responses"}
LONGEST = 8  # windows of a clip
RATE = 32_000  # Hz that the tagger hears


class Clip(NamedTuple):
    """A file, where it is from, what it is called, and its licence."""

    path: Path
    dataset: str
    label: str
    licence: str


def of_manifest(data: Path) -> Iterator[Clip]:
    """List the clips of the data that may train what ships."""
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    by_set: dict[str, list[Clip]] = {}
    for row in rows:
        allowed = row["licence"] in COMMERCIAL and row["split"] != "test" and row["dataset"] not in LEFT_OUT
        if allowed and (row["dataset"] != "esc50" or row["split"] in FOLDS):
            label = row["label"] or PurePosixPath(row["path"]).stem
            by_set.setdefault(row["dataset"], []).append(
                Clip(data / row["path"], row["dataset"], label, row["licence"])
            )
    for name, clips in by_set.items():
        n = min(MOST_OF.get(name, len(clips)), len(clips))
        yield from (clips[at] for at in np.linspace(0, len(clips) - 1, n).round().astype(int))


def of_packages(folder: Path) -> Iterator[Clip]:
    """List the sounds of the packages that are no words spoken."""
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".ogg", ".wav") or "_desc" in path.stem or "symbols" in path.parts:
            continue
        if "stamps" in path.parts and not re.search(r"_[a-z]{2}(_[A-Za-z]{2})?$", path.stem):
            yield Clip(path, "tuxpaint", path.stem, "GPL-2")
        elif "sounds" in path.parts:
            yield Clip(path, "wesnoth", path.stem, "GPL-2")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=os.environ.get("ECHOIC_DATA"), help="of the clips")
    parser.add_argument("--tagger", type=Path, required=True, help="folder of mn04")
    parser.add_argument("--packages", type=Path, help="folder of unpacked packages")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the training data lies: --data DIR or the environment variable ECHOIC_DATA")
    clips = list(of_manifest(Path(options.data).absolute()))
    clips += [] if options.packages is None else of_packages(options.packages)
    teachers = load_tagger(options.tagger)
    tagger, sound = teachers.session("mn04_as.onnx"), load_encoder("sound")
    kept: list[Clip] = []
    vectors, logits = [], []
    for number, clip in enumerate(clips):
        try:
            segments = embed_file(clip.path, {"sound": sound})[1]["sound"]
            samples, _ = read_audio(clip.path, RATE)
        except AudioError as error:
            print(f"passed over: {error}", flush=True)
            continue
        n = min(LONGEST, len(segments))
        for at in np.linspace(0, len(segments) - 1, n).round().astype(int):
            part = samples[round(segments.starts[at] * RATE) : round(segments.ends[at] * RATE)]
            part = np.pad(part, (0, max(0, RATE - len(part))))
            logits.append(tagger.run(None, {"mel": teachers.mn04_input(part)})[0][0])
            vectors.append(segments.vectors[at])
            kept.append(clip)
        if number % 500 == 0:
            print(f"{number} of {len(clips)} clips", flush=True)
    np.savez(
        options.output,
        vectors=np.stack(vectors),
        logits=np.stack(logits).astype(np.float16),
        **{name: np.array([str(getattr(clip, name)) for clip in kept]) for name in Clip._fields},
    )
    print(f"{len(kept)} windows of {len({clip.path for clip in kept})} clips in {options.output}")


if __name__ == "__main__":
    main()
