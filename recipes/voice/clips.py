"""Gather what ``voice`` is trained on: people, and voices of espeak-ng, each with some seconds of speech.

::

    python recipes/voice/clips.py DATA clips.npz --said 160

``DATA`` has a ``manifest.tsv`` with columns path, dataset, split, label, speaker, text and licence.
``clips.npz`` gets the sound of each clip at 16 kHz in 16 bits, whose it is, and noises, music and rooms, of
the train parts only. A third of the readers of books, two of those who read more than once, and speakers 19
to 22 of the Arabic words are left out: they are for the report.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np
import soxr

from echoic.audio.decode import read_audio

RATE = 16_000
HELD_READERS = ("ls26", "ls27")
WHOLE = 8 * RATE  # samples of a clip that words are laid behind each other to
GAP = 0.08  # s between them, at most
PROMPTS = 160  # of the one voice that says prompts
HUMAN = {"20", "21", "23", "24", "26"}  # classes of ESC-50 that people make
# What may train what ships; rooms are also had free of royalties.
COMMERCIAL = {*Path(__file__).parents[1].joinpath("licences.txt").read_text("utf-8").splitlines()}
COMMERCIAL.add("CC-BY / royalty free")

LANGUAGES = "en-us en-gb de es fr-fr it pt nl pl ru tr fi sv ar hi hu cs el id sw".split()
VOICES = (
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 klatt klatt2 klatt3 klatt4 Annie Andy Alicia "
    "Michael Denis Hugo Mario Lee belinda benjamin boris david ed edward2 gustave iven linda "
    "max michel norbert paul pedro quincy rob robert sandro shelby steph travis victor john "
    "adam antonio "
).split()


def rows_of(data: Path) -> list[dict[str, str]]:
    """List the recordings whose own licence allows commercial use."""
    with (data / "manifest.tsv").open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file, delimiter="\t") if row["licence"] in COMMERCIAL]


def is_held(row: dict[str, str]) -> bool:
    """Tell whether a reader of books is for the report."""
    speaker = row["speaker"]
    return speaker in HELD_READERS or zlib.crc32(speaker.encode()) % 3 == 0


def is_used(row: dict[str, str]) -> bool:
    """Tell whether a recording is trained on."""
    dataset = row["dataset"]
    if dataset == "speech_librispeech":
        return not is_held(row)
    if dataset == "esc50":
        return row["licence"] == "CC0 or CC-BY" and Path(row["path"]).stem.split("-")[-1] not in HUMAN
    if dataset in ("words_arabic", "noise", "music", "impulse_responses"):
        return row["split"] == "train"
    return dataset in ("digits_english", "prompts_english")


def trimmed(samples: np.ndarray) -> np.ndarray:
    """Cut off what is 30 dB below the loudest 20 ms, but for 40 ms."""
    n = len(samples) // 320
    if n < 3:
        return samples
    level = (samples[: n * 320].reshape(n, 320) ** 2).mean(axis=1)
    loud = np.flatnonzero(level > 1e-3 * level.max())
    return samples[max(0, loud[0] * 320 - 640) : (loud[-1] + 1) * 320 + 640]


def strung(words: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Lay words behind each other to clips of some seconds."""
    clips, parts, n = [], [], 0
    for i in rng.permutation(len(words)):
        gap = np.zeros(int(rng.uniform(0, GAP) * RATE), np.float32)
        parts += [trimmed(words[i]), gap]
        n += len(parts[-2]) + len(gap)
        if n >= WHOLE:
            clips.append(np.concatenate(parts))
            parts, n = [], 0
    return clips


def said(rows: list[dict[str, str]], n: int, rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Have espeak-ng say two texts each in so many voices."""
    texts = [row["text"] for row in rows if len(row["text"]) > 60]
    people = []
    for _ in range(n):
        voice = f"{LANGUAGES[rng.integers(len(LANGUAGES))]}+{VOICES[rng.integers(len(VOICES))]}"
        how = ["-s", str(rng.integers(130, 200)), "-p", str(rng.integers(10, 90))]
        clips = []
        for text in rng.choice(texts, 2, replace=False):
            done = subprocess.run(
                ["espeak-ng", "-v", voice, *how, "--stdout", text], capture_output=True, check=False
            ).stdout
            rate = int.from_bytes(done[24:28], "little")
            samples = np.frombuffer(done[44 : 44 + (len(done) - 44) // 2 * 2], np.int16) / 32_768
            if len(samples) > 2 * rate:
                clips.append(soxr.resample(samples.astype(np.float32), rate, RATE)[: 12 * RATE])
        if clips:
            people.append(clips)
    return people


def packed(sounds: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Put sounds behind each other in 16 bits, each as loud as may be → samples, and where each begins."""
    pieces = [(one * (32_000 / max(np.abs(one).max(), 1e-6))).astype(np.int16) for one in sounds]
    return np.concatenate(pieces), np.cumsum([0, *map(len, pieces)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--said", type=int, default=160, help="voices of espeak-ng")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    rows = [row for row in rows_of(options.data) if is_used(row)]

    def sound(row: dict[str, str]) -> np.ndarray:
        return read_audio(options.data / row["path"], RATE)[0]

    people: dict[str, list[np.ndarray]] = defaultdict(list)
    for row in rows:
        if row["dataset"] in ("speech_librispeech", "words_arabic", "digits_english"):
            people[row["speaker"]].append(sound(row))
    prompts = [row for row in rows if row["dataset"] == "prompts_english" and len(row["text"]) > 30]
    people["prompts"] = [sound(prompts[i]) for i in rng.permutation(len(prompts))[:PROMPTS]]
    spoken = [clips if name.startswith("ls") else strung(clips, rng) for name, clips in people.items()]
    n_people = len(spoken)
    spoken += said(prompts, options.said, rng)
    speakers = [i for i, clips in enumerate(spoken) for _ in clips]
    speech, of_speech = packed([clip for clips in spoken for clip in clips])
    others = [sound(row)[: 60 * RATE] for row in rows if row["dataset"] in ("noise", "esc50")]
    n_noises = len(others)
    others += [sound(row)[: 20 * RATE] for row in rows if row["dataset"] == "music"]
    is_music = [i >= n_noises for i, one in enumerate(others) if one.any()]
    noise, of_noise = packed([one for one in others if one.any()])
    rooms = []
    for row in rows:
        if row["dataset"] == "impulse_responses" and len(room := sound(row)) > 800:
            begin = int(np.argmax(np.abs(room) > 0.3 * np.abs(room).max()))
            rooms.append(room[max(0, begin - 16) :][:RATE])
    room, of_room = packed(rooms)
    np.savez(
        options.out,
        speech=speech,
        of_speech=of_speech,
        speakers=np.array(speakers),
        n_people=np.array(n_people),
        noise=noise,
        of_noise=of_noise,
        is_music=np.array(is_music),
        room=room,
        of_room=of_room,
    )
    print(
        f"{n_people} people and {len(spoken) - n_people} voices of espeak-ng, "
        f"{len(speech) / RATE / 3600:.2f} h of speech, {len(noise) / RATE / 3600:.2f} h of other sounds"
    )


if __name__ == "__main__":
    main()
