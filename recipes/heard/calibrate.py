"""Learn how sure the head of the bundled ``sound`` may be of the spans that it tells.

::

    python recipes/heard/calibrate.py --data DIR -o sound.heard.npz

The likeliest moment of a span is likelier than it should be, as every greatest of many is. So in mixes of
the free clips of ESC-50's fold 4, made as for ``benchmarks.describe``, each span that is at least ``LEAST``
likely is compared with what is there, and two numbers more are fitted (Platt, 1999): for files, and for
libraries. What is written is the same head with these; ``ship.py`` puts it in place.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from benchmarks.describe import RATE, Span, kinds, mixes
from benchmarks.retrieval import FREE, QUERY_FOLD
from echoic import describe
from echoic.analysis.pipeline import embed_file
from echoic.audio.encode import write_audio
from echoic.encoders.onnx import BUNDLED
from echoic.encoders.registry import load_encoder
from echoic.heard.library import Listener

LEAST = 0.03
SEED = 5  # of the mixes; the benchmark's is another
Told = list[tuple[float, bool]]  # how likely a span was said to be, and whether what it tells is there


def sureness(told: Told) -> np.ndarray:
    """Fit by what the logits of probabilities are multiplied, and what is added, for them to be right."""
    said, is_right = np.array(told, np.float64).T
    said = np.clip(said, 1e-6, 1 - 1e-3)
    logits = np.log(said / (1 - said))
    sign = 2 * is_right - 1
    return minimize(lambda x: np.logaddexp(0, -sign * (x[0] * logits + x[1])).sum(), [1.0, 0.0]).x


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    with (options.data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    fold = [
        row for row in rows if (row["dataset"], row["split"], row["licence"]) == ("esc50", QUERY_FOLD, FREE)
    ]
    of: dict[str, set[str]] = {}
    for kind, classes in kinds().items():
        for label in classes:
            of.setdefault(label, set()).add(kind)
    encoder = load_encoder("sound")
    listener = Listener(encoder.spec, encoder.head)
    told: dict[str, Told] = {"whole": [], "close": []}

    def note(name: str, label: str, start: float, end: float, likely: float, truth: list[Span]) -> None:
        if label in of:
            there = any(k in of[label] and first < end and last > start for k, first, last in truth)
            told[name].append((likely, there))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mix.wav")
        for mix, truth in mixes(options.data, fold, seed=SEED):
            write_audio(path, mix, RATE)
            for span in describe(path, min_probability=LEAST):
                note("close", span.label, span.start, span.end, span.probability, truth)
            segments = embed_file(path, {"sound": encoder})[1]["sound"]
            for label, (_, spans) in listener.heard_in(segments, LEAST).items():
                for start, end, likely in spans:
                    note("whole", label, start, end, likely, truth)
    with np.load(BUNDLED / "sound.heard.npz") as saved:
        arrays = {name: saved[name] for name in saved.files}
    for name, pairs in told.items():
        slope, offset = sureness(pairs)
        before = arrays[name]
        arrays[name] = np.array([slope * before[0], slope * before[1] + offset], np.float32)
        print(f"{name}: {len(pairs)} spans; {before} become {arrays[name]}")
    np.savez(options.output, **arrays)


if __name__ == "__main__":
    main()
