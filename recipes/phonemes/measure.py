"""Measure how well typed phrases are found, and fit what turns the cost of a path into a probability.

::

    echoic models add phonemes
    python recipes/phonemes/measure.py DATA

``DATA`` has a ``manifest.tsv`` with columns path, dataset, speaker and text. Phrases of one to four words are
drawn from the texts, and each is looked for in all recordings of its half: one reader and one half of the
prompts to fit on, the others to report. A recording in which the phrase is part of longer words is left out.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
import zlib
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from echoic.analysis.pipeline import embed_file
from echoic.encoders.registry import load_encoder
from echoic.search.keyword import join, spot
from echoic.search.phrases import LIKELY, probability
from echoic.storage.frames import Frames, pack

READER = "ls19"  # on whom is fitted
ENOUGH = 12
N_PROMPTS, N_READ = 420, {True: 80, False: 110}


def words_of(text: str) -> list[str]:
    return re.sub(r"[^a-z' ]", " ", text.lower()).split()


def is_fitted_on(row: dict[str, str]) -> bool:
    return row["speaker"] == READER or (is_prompt(row) and zlib.crc32(row["path"].encode()) % 2 == 0)


def is_prompt(row: dict[str, str]) -> bool:
    return row["dataset"] == "prompts_english"


def recordings(data: Path) -> list[dict[str, str]]:
    """Choose recordings with texts."""
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["text"]]
    rows = [row for row in rows if row["dataset"] in ("prompts_english", "speech_librispeech")]
    random.Random(1).shuffle(rows)
    read = [row for row in rows if not is_prompt(row)]
    chosen = [row for row in rows if is_prompt(row)][:N_PROMPTS]
    for fitted, n in N_READ.items():
        chosen += [row for row in read if is_fitted_on(row) is fitted][:n]
    return chosen


def phrases(rows: list[dict[str, str]], n: int) -> list[str]:
    """Draw phrases of one to four words, five letters at least, from texts without digits."""
    rng = random.Random(0)
    texts = [words_of(row["text"]) for row in rows if not re.search(r"\d", row["text"])]
    found: dict[str, None] = {}
    while len(found) < n:
        text, length = rng.choice(texts), rng.choice((1, 2, 3, 4))
        begin = rng.randrange(max(1, len(text) - length + 1))
        words = text[begin : begin + length]
        if len(words) == length and sum(map(len, words)) >= 5:
            found[" ".join(words)] = None
    return list(found)


def is_said(phrase: str, text: str) -> bool | None:
    """Tell whether a phrase is in a text; None where it is part of longer words."""
    words, said = phrase.split(), words_of(text)
    if any(said[at : at + len(words)] == words for at in range(len(said) - len(words) + 1)):
        return True
    inside = "".join(words).replace("'", "") in "".join(said).replace("'", "")
    return None if inside else False


def look_for(encoder, rows, frames, n):
    """Look for phrases → of each phrase and recording: number of sounds, cost, whether it is said."""
    spoken = join(frames, encoder.spec.dim)
    ends = np.cumsum([len(one.starts) for one in frames])
    results = []
    for part in (True, False):
        for phrase in phrases([row for row in rows if is_prompt(row) is part], n):
            sounds = encoder.spell(phrase)
            if len(sounds) < 3:
                continue
            scores = np.split(spot(spoken, sounds)[0], ends[:-1])
            for row, here in zip(rows, scores, strict=True):
                if (said := is_said(phrase, row["text"])) is not None:
                    results.append((len(sounds), here.max(initial=-100), said, part))
    return np.array(results)


def fit(results) -> np.ndarray:
    """Fit the logarithm of the odds: offset, of the cost a sound, of the number of sounds."""
    n_sounds, cost, said = results[:, 0], np.maximum(results[:, 1], -100), results[:, 2]
    features = np.stack([np.ones(len(cost)), cost / n_sounds, np.minimum(n_sounds, ENOUGH)], axis=1)
    sign = 2 * said - 1

    def loss(weights):
        return np.logaddexp(0, -sign * (features @ weights)).sum() + 0.01 * (weights**2).sum()

    return minimize(loss, np.zeros(3), method="BFGS").x


def report(name: str, results) -> None:
    n_sounds, cost, said = results[:, 0], results[:, 1].astype(np.float32), results[:, 2] > 0
    chances = np.concatenate([probability(cost[i : i + 1], int(n)) for i, n in enumerate(n_sounds)])
    told = chances >= LIKELY
    right = (told & said).sum()
    precision, recall = right / max(told.sum(), 1), right / max(said.sum(), 1)
    f1 = 2 * right / max(told.sum() + said.sum(), 1)
    print(f"{name}: said {said.sum()}, precision {precision:.3f}, recall {recall:.3f}, F1 {f1:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--phrases", type=int, default=60, help="how many to draw from each kind of recording"
    )
    options = parser.parse_args()
    encoder = load_encoder("phonemes")
    chosen = recordings(options.data)
    for fitted in (True, False):
        rows, frames = [], []
        for row in chosen:
            if is_fitted_on(row) is fitted:
                found = embed_file(options.data / row["path"], {"phonemes": encoder})[1]["phonemes"]
                rows.append(row)
                frames.append(Frames(found.starts, found.ends, *pack(found.vectors)))
        results = look_for(encoder, rows, frames, options.phrases)
        if fitted:
            print("offset, of cost a sound, of sounds:", fit(results).round(2))
        report("fitted on" if fitted else "others", results)
        for part, name in ((True, "  phrases of prompts"), (False, "  phrases of books")):
            report(name, results[results[:, 3] == part])
        for least, most in ((3, 5), (6, 8), (9, 12), (13, 80)):
            within = (results[:, 0] >= least) & (results[:, 0] <= most)
            report(f"  {least} to {most} sounds", results[within])


if __name__ == "__main__":
    main()
