"""Measure the constants by which the encoder ``spectral`` standardises its statistics.

::

    python recipes/sound/manifest.py --data DIR -o sound.tsv
    python recipes/spectral/measure.py sound.tsv

Draws clips from the manifest of ``sound``, which holds only what its licences allow and nothing that is held
out, each set with its share. The mean and the deviation of every statistic over all windows of these clips,
each clip weighing the same, go to ``src/echoic/encoders/spectral.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np

from echoic.analysis.pipeline import embed_file
from echoic.encoders.spectral import CONSTANTS, LOG_MEL, N_STATISTICS, SpectralEncoder, spectral_statistics
from echoic.spec import EncoderSpec


class Statistics:
    """The statistics themselves, as an encoder, so that clips are cut as they are when indexed."""

    log_mel = LOG_MEL
    spec = EncoderSpec(
        "statistics",
        "1",
        LOG_MEL.sample_rate,
        SpectralEncoder.spec.window,
        SpectralEncoder.spec.hop,
        N_STATISTICS,
    )

    def encode(self, features):
        return spectral_statistics(features)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, help="what recipes/sound/manifest.py wrote")
    parser.add_argument("--clips", type=int, default=1500, help="how many to draw")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with options.manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    n_clips_of = Counter(row["label"] for row in rows)
    # A class's weight is that of all its clips together.
    share = np.array([float(row["weight"]) / n_clips_of[row["label"]] for row in rows])
    n_clips = min(options.clips, len(rows))
    drawn = np.random.default_rng(options.seed).choice(
        len(rows), n_clips, replace=False, p=share / share.sum()
    )
    means, squares = [], []
    for at in sorted(drawn):
        values = embed_file(Path(rows[at]["path"]), {"statistics": Statistics()})[1]["statistics"].vectors
        means.append(values.mean(axis=0))
        squares.append(np.square(values).mean(axis=0))
    mean = np.mean(means, axis=0)
    deviation = np.sqrt(np.mean(squares, axis=0) - np.square(mean))
    constants = {
        "command": f"python recipes/spectral/measure.py sound.tsv --clips {n_clips} --seed {options.seed}",
        "clips": n_clips,
        "licences": sorted({rows[at]["licence"] for at in drawn}),
        "mean": [round(float(value), 4) for value in mean],
        "deviation": [round(float(value), 4) for value in deviation],
    }
    CONSTANTS.write_text(json.dumps(constants, indent=1) + "\n", "utf-8")
    print(f"{CONSTANTS.name}: {N_STATISTICS} statistics over {n_clips} clips")


if __name__ == "__main__":
    main()
