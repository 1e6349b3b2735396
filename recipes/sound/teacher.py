"""Embed the clips that ``sound`` is trained on with a larger network, whose vectors it learns to predict.

::

    pip download --no-deps aisfx==0.1.2
    python recipes/sound/teacher.py sound.tsv --wheel aisfx-0.1.2-py2.py3-none-any.whl -o teacher.npz
    echoic train sound.tsv --teacher teacher.npz …

The teacher is a CNN of 4.7 million parameters trained on libraries of sound effects (Ma and Lerch,
"Representation learning for the automatic indexing of sound effects libraries", ISMIR 2022; weights
CC-BY-4.0). Only its weights are read out of the wheel: none of its code is run. It hears 2.3 s at a time, at
44.1 kHz. Speech, which such libraries hardly have, is left out. The archive is what ``echoic embed
--segments`` writes. A stopped run goes on where it was, from ``teacher.npz.part``.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own convention

from echoic.audio.decode import read_audio
from echoic.audio.spectrogram import mel_filters
from echoic.types import Float32

NAME = "aisfx-0.1.2"
CHECKPOINT = "aisfx/models/checkpoint.pth"
SAMPLE_RATE, N_FFT, HOP_LENGTH, N_MELS = 44_100, 2048, 1024, 96
FRAMES = 100  # of a block
LOUDEST = 9.457798957824707  # of the compressed power, in its training data
LONGEST = 130.0  # s of a recording that are embedded
LEFT_OUT = ("words_arabic", "digits_english", "phrases_english", "prompts_english", "speech_librispeech")
CHUNK = 200  # files to a part


class Block(nn.Module):
    """Two 3 × 3 convolutions."""

    def __init__(self, n_in: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Teacher(nn.Module):
    """(n, 100 frames, 96 bands) → (n, 512)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_block1, self.conv_block2 = Block(1, 64), Block(64, 128)
        self.conv_block3, self.conv_block4 = Block(128, 256), Block(256, 512)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, None]
        for block in (self.conv_block1, self.conv_block2, self.conv_block3):
            x = F.max_pool2d(block(x), 2)
        return self.conv_block4(x).mean(3).amax(2)


def load_teacher(wheel: Path) -> Teacher:
    """Read the weights out of the wheel."""
    kept = [(np._core.multiarray.scalar, "numpy.core.multiarray.scalar"), np.dtype, np.dtypes.Int64DType]
    with zipfile.ZipFile(wheel) as archive, torch.serialization.safe_globals(kept):
        weights, _ = torch.load(io.BytesIO(archive.read(CHECKPOINT)), map_location="cpu", weights_only=True)
    prefix = "embedding_net."
    teacher = Teacher()
    teacher.load_state_dict(
        {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
    )
    return teacher.eval().to(memory_format=torch.channels_last)


def mel_bank() -> Float32:
    """Make triangles on the HTK scale from 0 Hz to half the sample rate, each summing to 1: (bins, 96)."""
    filters = mel_filters(SAMPLE_RATE, N_FFT, N_MELS, 0, SAMPLE_RATE / 2, "htk")
    return (filters / filters.sum(axis=1, keepdims=True)).T


BANK, WINDOW = mel_bank(), np.hanning(N_FFT).astype(np.float32)


def spectrogram(samples: Float32) -> Float32:
    """Compute what the teacher sees, at least one block: (frames, 96)."""
    samples = np.pad(samples, (0, max(0, N_FFT - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, N_FFT)[::HOP_LENGTH]
    power = np.abs(np.fft.rfft(frames * WINDOW, axis=1)) ** 2
    seen = np.log10(1 + 1e4 * power @ BANK).astype(np.float32) / LOUDEST
    return np.pad(seen, ((0, max(0, FRAMES - len(seen))), (0, 0)))


@torch.inference_mode()
def embed(teacher: Teacher, path: Path) -> tuple[Float32, Float32]:
    """Embed a file: the starts of its blocks in seconds, (n,), and their vectors, (n, 512).

    The blocks of a short clip overlap by half; those of a long recording lie apart by their own length.
    """
    samples, _ = read_audio(path, SAMPLE_RATE, end=LONGEST)
    seen = spectrogram(samples)
    step = FRAMES // 2 if len(seen) < 4 * FRAMES else 2 * FRAMES
    firsts = range(0, len(seen) - FRAMES + 1, step)
    blocks = torch.from_numpy(np.stack([seen[first : first + FRAMES] for first in firsts]))
    vectors = torch.cat([teacher(some) for some in blocks.split(8)])
    return np.array(firsts, np.float32) * HOP_LENGTH / SAMPLE_RATE, vectors.numpy()


def archived(folder: Path) -> Iterator[dict[str, np.ndarray]]:
    for part in sorted(folder.glob("*.npz")):
        with np.load(part) as arrays:
            yield dict(arrays)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, help="what recipes/sound/manifest.py wrote")
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with options.manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    paths = [Path(row["path"]) for row in rows if not row["label"].startswith(LEFT_OUT)]

    folder = options.output.with_name(options.output.name + ".part")
    folder.mkdir(exist_ok=True)
    known = {str(path) for arrays in archived(folder) for path in arrays["paths"]}
    paths = [path for path in paths if str(path) not in known]
    teacher = load_teacher(options.wheel)
    waiting: list[tuple[Path, Float32, Float32]] = []

    def write() -> None:
        lengths = [len(starts) for _, starts, _ in waiting]
        starts = np.concatenate([starts for _, starts, _ in waiting])
        name = f"{len(list(folder.iterdir())):05}.npz"
        partial = folder / f"{name}.new"
        with partial.open("wb") as file:
            np.savez(
                file,
                paths=np.repeat([str(path) for path, _, _ in waiting], lengths),
                starts=starts,
                ends=starts + FRAMES * HOP_LENGTH / SAMPLE_RATE,
                vectors=np.concatenate([vectors for _, _, vectors in waiting]),
            )
        partial.rename(folder / name)
        waiting.clear()

    for number, path in enumerate(paths, start=1):
        waiting.append((path, *embed(teacher, path)))
        if len(waiting) == CHUNK or number == len(paths):
            write()
            print(f"{number} of {len(paths)} files", flush=True)

    parts = list(archived(folder))
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    np.savez(options.output, encoder=np.array(NAME), **arrays)
    shutil.rmtree(folder)
    print(f"{len(arrays['vectors'])} vectors of {len(set(arrays['paths']))} files in {options.output}")


if __name__ == "__main__":
    main()
