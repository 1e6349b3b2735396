"""Cut clips into pieces of sound, and write what a tagger hears in each.

::

    python recipes/heard/pieces.py heard.npz --tagger DIR -o pieces.npz

``heard.npz`` is what ``recipes/text/hear.py`` wrote: it names the clips that may train what ships, with
their data sets, labels and licences. DIR holds ``mn04_as.onnx`` and its front end, ``teachers.py``. A piece
is half a second to five seconds of a clip, without the silence around it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tagger import load_tagger

from echoic.audio.decode import Resampler, read_audio
from echoic.errors import AudioError

RATE = 16_000  # Hz of the pieces
TAGGER_RATE = 32_000  # Hz that the tagger hears
SHORTEST, LONGEST = 0.5, 5.0  # s of a piece
EACH = 2.0  # s of a clip that one more piece is cut for
MOST = 8  # pieces of a clip
QUIET_DB = -40.0  # below a clip's loudest 20 ms, what is silence


def audible(samples: np.ndarray, frame: int) -> tuple[int, int] | None:
    """Say where a sound begins and ends, in samples, by frames of so many; None if there is none."""
    n = -(-len(samples) // frame)
    power = np.square(np.pad(samples, (0, n * frame - len(samples)))).reshape(n, frame).mean(axis=1)
    loud = np.nonzero(power > max(power.max(initial=0) * 10 ** (QUIET_DB / 10), 1e-9))[0]
    return (int(loud[0]) * frame, min(int(loud[-1] + 1) * frame, len(samples))) if len(loud) else None


def cut(samples: np.ndarray, rate: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Cut pieces of a clip, the more the longer it is."""
    where = audible(samples, rate // 50)
    if where is None:
        return
    samples = samples[slice(*where)]
    loudest = np.abs(samples).max()
    seconds = len(samples) / rate
    for _ in range(int(np.clip(seconds // EACH, 1, MOST))):
        n = min(len(samples), round(rate * np.exp(rng.uniform(*np.log((SHORTEST, LONGEST))))))
        at = int(rng.integers(len(samples) - n + 1))
        piece = samples[at : at + n]
        inside = audible(piece, rate // 50)
        if inside is not None and np.abs(piece).max() > 0.05 * loudest:
            yield piece[slice(*inside)]


def resampled(samples: np.ndarray) -> np.ndarray:
    """Bring a piece from the tagger's rate to that of the pieces."""
    resampler = Resampler(TAGGER_RATE, RATE)
    return np.concatenate([resampler.push(samples), resampler.finish()])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("heard", type=Path, help="what recipes/text/hear.py wrote")
    parser.add_argument("--tagger", type=Path, required=True, help="folder of mn04")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    names = ("path", "dataset", "label", "licence")
    with np.load(options.heard) as heard:
        clips = list(dict.fromkeys(zip(*(heard[name].tolist() for name in names), strict=True)))
    teachers = load_tagger(options.tagger)
    tagger = teachers.session("mn04_as.onnx")
    rng = np.random.default_rng(options.seed)
    kept: list[tuple[str, ...]] = []
    sounds, logits = [], []
    for number, clip in enumerate(clips):
        try:
            samples, _ = read_audio(Path(clip[0]), TAGGER_RATE)
        except AudioError as error:
            print(f"passed over: {error}", flush=True)
            continue
        for piece in cut(samples, TAGGER_RATE, rng):
            padded = np.pad(piece, (0, max(0, TAGGER_RATE - len(piece))))
            logits.append(tagger.run(None, {"mel": teachers.mn04_input(padded)})[0][0])
            sounds.append((resampled(piece) / max(1e-6, np.abs(piece).max()) * 32_000).astype(np.int16))
            kept.append(clip)
        if number % 500 == 0:
            print(f"{number} of {len(clips)} clips", flush=True)
    np.savez(
        options.output,
        samples=np.concatenate(sounds),
        lengths=np.array([len(sound) for sound in sounds]),
        logits=np.stack(logits).astype(np.float16),
        **{name: np.array(column) for name, column in zip(names, zip(*kept, strict=True), strict=True)},
    )
    print(f"{len(kept)} pieces of {len(clips)} clips in {options.output}")


if __name__ == "__main__":
    main()
