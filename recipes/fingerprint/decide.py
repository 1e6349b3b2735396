"""Fit what ``fingerprint`` decides by: the cohort, and the logistic model over the evidence.

::

    python recipes/fingerprint/decide.py --data DIR --queries SET

DIR holds the audio with its ``manifest.tsv``: the cohort are windows of the music trained on. SET holds
``ref/``, ``queries/``, ``truth.tsv`` (query, track, condition, length_s) and ``details.tsv`` (query, source):
excerpts of recordings that are among the references, and of others that are not. A query's own recording is
taken out of the cohort, as what a person asks about will not be in it.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

sys.path.insert(0, str(Path(__file__).parent))

from sources import rows

from echoic import Library
from echoic.analysis.excerpts import Excerpt
from echoic.audio.decode import read_audio
from echoic.encoders.base import Encoder, encode_windows
from echoic.encoders.card import read_card
from echoic.encoders.onnx import BUNDLED
from echoic.encoders.registry import load_encoder
from echoic.recordings.alignment import align
from echoic.recordings.decision import Decision, expanded
from echoic.recordings.evidence import FEATURES
from echoic.recordings.stretches import QUERY_HOP
from echoic.types import Float32

WINDOWS_PER_TRACK = 6
AUDIBLE = 3e-3  # deviation of the samples
FALSE_ACCEPTS = 0.02
LONGEST = 60.0  # s of a query


def make_cohort(data: Path, encoder: Encoder) -> tuple[Float32, np.ndarray]:
    """Draw windows of every recording trained on: their vectors, and which recording each is of."""
    spec, rng = encoder.spec, np.random.default_rng(0)
    vectors, names = [], []
    for part, row in rows(data):
        if part != "music":
            continue
        samples, _ = read_audio(data / row["path"], spec.sample_rate)
        if len(samples) < 20 * spec.sample_rate:
            continue
        at = rng.integers(0, len(samples) - spec.window_samples, WINDOWS_PER_TRACK)
        windows = np.stack([samples[i : i + spec.window_samples] for i in at])
        windows = windows[windows.std(axis=1) > AUDIBLE]
        vectors.append(encode_windows(encoder, windows))
        names += [Path(row["path"]).stem] * len(windows)
    return np.concatenate(vectors), np.array(names)


def gather(folder: Path, encoder: Encoder, cohort: Float32, owners: np.ndarray) -> tuple[np.ndarray, ...]:
    """Lay every query against the references: evidence, whether that is right, whether it is known at all."""
    spec = encoder.spec
    with (folder / "truth.tsv").open(newline="") as file:
        truth = list(csv.DictReader(file, delimiter="\t"))
    with (folder / "details.tsv").open(newline="") as file:
        sources = {row["query"]: row["source"] for row in csv.DictReader(file, delimiter="\t")}
    evidence, right, known = [], [], []
    with tempfile.TemporaryDirectory() as temporary, Library(temporary) as library:
        library.index([folder / "ref"], encoders=[spec.name])
        _, spaces = library._open()
        store = spaces.store(spec)
        names = {record.id: Path(record.path).stem for record in library.files()}
        for number, row in enumerate(truth):
            excerpt = Excerpt.read(folder / "queries" / f"{row['query']}.wav", 0.0, LONGEST)
            query = excerpt.at_speed(encoder, 1.0, QUERY_HOP)
            others = cohort[owners != sources[row["query"]]]
            found = align(query, store, others, window=spec.window, hop=spec.hop)
            evidence.append(found[0].evidence if found else np.zeros(len(FEATURES)))
            right.append(bool(found) and names[found[0].file_id] == row["track"])
            known.append(row["track"] != "-")
            if number % 200 == 199:
                print(f"{number + 1} of {len(truth)} queries", flush=True)
    return np.array(evidence), np.array(right), np.array(known)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--queries", type=Path, required=True)
    options = parser.parse_args()
    encoder = load_encoder("fingerprint")
    cohort, owners = make_cohort(options.data, encoder)
    evidence, right, known = gather(options.queries, encoder, cohort, owners)
    scaler = StandardScaler().fit(expanded(evidence))
    model = LogisticRegression(C=0.3, max_iter=3000).fit(scaler.transform(expanded(evidence)), right)
    probabilities = model.predict_proba(scaler.transform(expanded(evidence)))[:, 1]
    unknown = np.sort(probabilities[~known])[::-1]
    threshold = float(unknown[int(FALSE_ACCEPTS * len(unknown))])
    decision = Decision(
        revision=encoder.spec.revision,
        cohort=cohort,
        mean=scaler.mean_,
        scale=scaler.scale_,
        weights=model.coef_[0],
        bias=float(model.intercept_[0]),
        threshold=threshold,
    )
    target = BUNDLED / "fingerprint.decision.npz"
    decision.save(target)
    card = read_card(BUNDLED / "fingerprint.onnx")
    card["purposes"] = ["recordings"]
    card["sha256"]["decision"] = hashlib.sha256(target.read_bytes()).hexdigest()
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    (BUNDLED / "fingerprint.json").write_text(text, "utf-8")
    accepted = (probabilities > threshold)[right].sum() / known.sum()
    print(
        f"{target.name}: {len(cohort)} windows in the cohort; threshold {threshold:.3f} accepts "
        f"{accepted:.3f} of {known.sum()} known and {FALSE_ACCEPTS:.0%} of {(~known).sum()} unknown ones"
    )


if __name__ == "__main__":
    main()
