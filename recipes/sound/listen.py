"""Turn sounds into what a pupil and its teacher see of them, once, so that no training step decodes any.

::

    python recipes/sound/listen.py sound.tsv --packages DIR --tagger DIR -o seen

Of every clip of the manifest, and of every file that ``packages.py`` chooses, ``seen`` holds two
spectrograms of the same samples at 16 kHz: that of ``sound``, in dB, and that of the tagger mn04 (its front
end is ``teachers.py`` in the tagger's folder), as the natural logarithm of its power. Of long ones the
beginning is heard. What is there already is kept.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import soxr

sys.path.insert(0, str(Path(__file__).parents[1]))

from packages import chosen
from tagger import load_tagger

from echoic.audio.decode import read_audio
from echoic.errors import AudioError
from echoic.training.loop import DEFAULT_FRONT_END
from echoic.types import Float32

RATE, TAGGER_RATE = 16_000, 32_000  # Hz
LONGEST = 10.0  # s of a file
LONGER = {"track ": 20.0, "ambience ": 60.0}  # of what begins so: music, and 20 ambiences
CHUNK = 400  # files to a part
SILENT = 1e-12  # of the tagger's power


class Heard(NamedTuple):
    """A file and what is known of it; a package's files have no label."""

    path: str
    label: str
    weight: float
    source: str


def tagger_power(samples: Float32, front: ModuleType) -> Float32:
    """Compute the natural logarithm of the tagger's mel power, of samples at 16 kHz: (frames, 128)."""
    doubled = soxr.resample(samples, RATE, TAGGER_RATE, quality="HQ")
    seen = front.mn04_input(np.pad(doubled, (0, max(0, 2048 - len(doubled)))))[0, 0].T
    return np.log(np.maximum(np.exp(seen * 5 - 4.5) - 1e-5, SILENT))


def see(path: str, longest: float, front: ModuleType) -> tuple[Float32, Float32]:
    samples, _ = read_audio(Path(path), RATE, end=longest)
    if not len(samples) or np.abs(samples).max() < 1e-4:
        raise AudioError("silent")
    # Frames count while they hold at least one sample, as they do when a window is padded with zeros.
    level = DEFAULT_FRONT_END(np.pad(samples, (0, DEFAULT_FRONT_END.n_fft))[None])[0]
    return level, tagger_power(samples, front)


def listed(manifest: Path, packages: Path | None) -> list[Heard]:
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = [
            Heard(row["path"], row["label"], float(row["weight"]), "manifest")
            for row in csv.DictReader(file, delimiter="\t")
        ]
    if packages is not None:
        rows += [Heard(str(path), "", 0.0, package.name) for package, path in chosen(packages)]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, help="what manifest.py wrote")
    parser.add_argument("--packages", type=Path, help="folder that packages.py unpacked to")
    parser.add_argument("--tagger", type=Path, required=True, help="folder of mn04_as.onnx and teachers.py")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    front = load_tagger(options.tagger)
    options.output.mkdir(exist_ok=True)
    parts = sorted(options.output.glob("*.npz"))
    known = {path for part in parts for path in np.load(part)["tried"].tolist()}
    rows = [row for row in listed(options.manifest, options.packages) if row.path not in known]
    for at in range(0, len(rows), CHUNK):
        kept, levels, powers = [], [], []
        for row in rows[at : at + CHUNK]:
            longest = next((s for begin, s in LONGER.items() if row.label.startswith(begin)), LONGEST)
            try:
                level, power = see(row.path, longest, front)
            except AudioError as error:
                print(f"{row.path}: {error}", file=sys.stderr)
                continue
            kept.append(row)
            levels.append(level.astype(np.float16))
            powers.append(power.astype(np.float16))
        target = options.output / f"{len(list(options.output.glob('*.npz'))):04}.npz"
        partial = target.with_suffix(".part")
        with partial.open("wb") as file:
            np.savez(
                file,
                tried=[row.path for row in rows[at : at + CHUNK]],
                paths=[row.path for row in kept],
                labels=[row.label for row in kept],
                sources=[row.source for row in kept],
                weights=np.array([row.weight for row in kept]),
                n_levels=np.array([len(level) for level in levels]),
                n_powers=np.array([len(power) for power in powers]),
                levels=np.concatenate(levels),
                powers=np.concatenate(powers),
            )
        partial.rename(target)
        print(f"{min(at + CHUNK, len(rows))} of {len(rows)} files", flush=True)


if __name__ == "__main__":
    main()
