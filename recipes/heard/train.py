"""Teach a head to tell kinds of sound by the vectors of ``sound``.

::

    python recipes/heard/train.py pieces.npz mixes.npz held_out.npz --classes DIR -o sound.heard.npz

``held_out.npz`` are mixes of pieces of fold 3 of ESC-50 alone. The head is taught twice: without that fold,
to learn how sure it may be (the two calibrations), and with all. DIR holds AudioSet's classes,
``audioset_527_labels.csv``, and ``audioset_ontology.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

# What a label is for certain; all that these are kinds of it is, too.
LABELS = {
    "dog": ["Bark"],
    "rooster": ["Crowing, cock-a-doodle-doo"],
    "pig": ["Oink"],
    "cow": ["Moo"],
    "frog": ["Croak"],
    "cat": ["Meow"],
    "hen": ["Cluck"],
    "insects": ["Insect"],
    "sheep": ["Bleat", "Sheep"],
    "crow": ["Caw"],
    "rain": ["Rain"],
    "sea_waves": ["Waves, surf"],
    "crackling_fire": ["Crackle", "Fire"],
    "crickets": ["Cricket"],
    "chirping_birds": ["Chirp, tweet"],
    "water_drops": ["Drip"],
    "wind": ["Wind"],
    "pouring_water": ["Pour"],
    "toilet_flush": ["Toilet flush"],
    "thunderstorm": ["Thunder"],
    "crying_baby": ["Baby cry, infant cry"],
    "sneezing": ["Sneeze"],
    "clapping": ["Clapping"],
    "breathing": ["Breathing"],
    "coughing": ["Cough"],
    "footsteps": ["Walk, footsteps"],
    "laughing": ["Laughter"],
    "brushing_teeth": ["Toothbrush"],
    "snoring": ["Snoring"],
    "door_wood_knock": ["Knock"],
    "mouse_click": ["Clicking"],
    "keyboard_typing": ["Computer keyboard"],
    "door_wood_creaks": ["Creak"],
    "washing_machine": ["Mechanisms"],
    "vacuum_cleaner": ["Vacuum cleaner"],
    "clock_alarm": ["Alarm clock"],
    "clock_tick": ["Tick"],
    "glass_breaking": ["Shatter"],
    "helicopter": ["Helicopter"],
    "chainsaw": ["Chainsaw"],
    "siren": ["Siren"],
    "car_horn": ["Vehicle horn, car horn, honking"],
    "engine": ["Engine"],
    "train": ["Train"],
    "church_bells": ["Church bell"],
    "airplane": ["Fixed-wing aircraft, airplane"],
    "fireworks": ["Fireworks"],
    "hand_saw": ["Sawing"],
    "banjo": ["Banjo"],
    "bass clarinet": ["Clarinet"],
    "bassoon": ["Wind instrument, woodwind instrument"],
    "cello": ["Cello"],
    "clarinet": ["Clarinet"],
    "contrabassoon": ["Wind instrument, woodwind instrument"],
    "cor anglais": ["Wind instrument, woodwind instrument"],
    "double bass": ["Double bass"],
    "flute": ["Flute"],
    "french horn": ["French horn"],
    "guitar": ["Guitar"],
    "mandolin": ["Mandolin"],
    "oboe": ["Wind instrument, woodwind instrument"],
    "saxophone": ["Saxophone"],
    "trombone": ["Trombone"],
}
LABELLED = ("esc50", "instruments")  # the data sets whose labels these are
OF_ALL = {  # what every clip of a data set is
    "music": "Music",
    "instruments": "Musical instrument",
    "words_arabic": "Speech",
    "phrases_english": "Speech",
    "digits_english": "Speech",
    "prompts_english": "Speech",
    "speech_librispeech": "Speech",
}
CERTAIN = 0.97
# What tells of a place, of how it was recorded, or of nothing, is no sound that one could be told of.
UNTOLD = {
    "Silence",
    "Sound effect",
    "Echo",
    "Reverberation",
    "Sidetone",
    "Field recording",
    "Television",
    "Radio",
    "Inside, small room",
    "Inside, large room or hall",
    "Inside, public space",
    "Outside, urban or manmade",
    "Outside, rural or natural",
    "Environmental noise",
    "Effects unit",
    "Chorus effect",
}
PEAKY = 11.3  # by which unit vectors of 128 numbers are multiplied to vary by about 1 each
BATCH = 384


def classes(folder: Path) -> tuple[list[str], np.ndarray, list[tuple[int, int]]]:
    """Read the classes' names, their places in the tagger's order, and which one is a kind of which."""
    with (folder / "audioset_527_labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = [at for at, row in enumerate(rows) if row["display_name"] not in UNTOLD]
    number = {rows[at]["mid"]: new for new, at in enumerate(kept)}
    below = {
        kind["id"]: kind["child_ids"]
        for kind in json.loads((folder / "audioset_ontology.json").read_text("utf-8"))
    }

    def all_below(mid: str) -> set[str]:
        return {one for child in below[mid] for one in {child, *all_below(child)}}

    pairs = sorted(
        (number[kind], of) for mid, of in number.items() for kind in all_below(mid) if kind in number
    )
    return [rows[at]["display_name"] for at in kept], np.array(kept), pairs


def shown_by(pieces: dict[str, np.ndarray], labels: list[str], kept: np.ndarray, pairs: list) -> np.ndarray:
    """Say how surely each piece is of each class, 0 to 1 → (pieces + 1, classes); the last is silence."""
    sure = 1 / (1 + np.exp(-pieces["logits"][:, kept].astype(np.float32)))
    place = {label: at for at, label in enumerate(labels)}
    for row, name, label in zip(sure, pieces["dataset"], pieces["label"], strict=True):
        known = LABELS.get(label, []) if name in LABELLED else []
        for one in [*known, *([OF_ALL[name]] if name in OF_ALL else [])]:
            row[place[one]] = max(row[place[one]], CERTAIN)
    for kind, of in pairs:
        sure[:, of] = np.maximum(sure[:, of], sure[:, kind])
    return np.concatenate([sure, np.zeros((1, len(labels)), np.float32)])


def taught(
    vectors: np.ndarray, parts: np.ndarray, shares: np.ndarray, shown: np.ndarray, options: argparse.Namespace
) -> nn.Sequential:
    """Teach a head: windows, which pieces are in each, how much of them, and what each piece is."""
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    head = nn.Sequential(
        nn.Linear(vectors.shape[1], options.hidden),
        nn.ReLU(),
        nn.Dropout(options.dropout),
        nn.Linear(options.hidden, shown.shape[1]),
    )
    nn.init.constant_(head[-1].bias, -5.0)  # most classes are not heard
    optimiser = torch.optim.AdamW(head.parameters(), options.rate, weight_decay=1e-3)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, options.rate, total_steps=options.steps)
    begun = time.process_time()
    for step in range(options.steps):
        some = rng.integers(len(vectors), size=BATCH)
        wanted = (shown[parts[some]] * shares[some, :, None].astype(np.float32)).max(axis=1)
        judged = head(torch.from_numpy(vectors[some] * np.float32(PEAKY)))
        loss = functional.binary_cross_entropy_with_logits(judged, torch.from_numpy(wanted))
        loss = loss * shown.shape[1]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        plan.step()
        if step % 250 == 0 or step == options.steps - 1:
            print(f"{step} loss {loss:.3f} {time.process_time() - begun:.0f} s", flush=True)
    return head.eval()


def judged(head: nn.Sequential, vectors: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return head(torch.from_numpy(vectors * np.float32(PEAKY))).numpy()


def sureness(logits: np.ndarray, is_there: np.ndarray) -> np.ndarray:
    """Fit what logits are multiplied by, and what is added, for them to be calibrated (Platt, 1999)."""
    fitted = torch.tensor([1.0, 0.0], requires_grad=True)
    x, y = torch.from_numpy(logits), torch.from_numpy(is_there.astype(np.float32))
    optimiser = torch.optim.LBFGS([fitted], max_iter=100)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = functional.binary_cross_entropy_with_logits(fitted[0] * x + fitted[1], y)
        value.backward()
        return value

    optimiser.step(loss)
    return fitted.detach().numpy()


def learn(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    labels, kept, pairs = classes(options.classes)
    with np.load(options.pieces) as saved:
        pieces = {name: saved[name] for name in ("logits", "path", "dataset", "label")}
    with np.load(options.mixes) as saved:
        mixes = {name: saved[name] for name in saved.files}
    with np.load(options.held_out) as saved:
        held_out = {name: saved[name] for name in saved.files}
    shown = shown_by(pieces, labels, kept, pairs)
    is_asked = np.isin(np.arange(len(pieces["path"]) + 1), held_out["parts"])
    is_asked[-1] = False
    without = ~is_asked[mixes["parts"]].any(axis=1)
    print(f"{len(without)} windows, {without.sum()} without what is held out", flush=True)
    head = taught(*(mixes[name][without] for name in ("vectors", "parts", "shares")), shown, options)
    logits = judged(head, held_out["vectors"])
    known = sorted({labels.index(name) for label in LABELS for name in LABELS[label]})
    there = (shown[held_out["parts"]] * held_out["shares"][..., None].astype(np.float32)).max(axis=1)[
        :, known
    ]
    clear = (there < 0.05) | (there > 0.45)
    whole = np.flatnonzero(held_out["is_whole"])
    calibrated = {}
    for name, of, z in (  # a mix as a whole is followed by short windows of it
        ("whole", whole, logits[whole]),
        ("close", whole + 1, (logits[whole + 1] + logits[whole]) / 2),
    ):
        calibrated[name] = sureness(z[:, known][clear[of]], (there[of] > 0.45)[clear[of]])
        print(name, calibrated[name], flush=True)
    if options.output:
        head = taught(mixes["vectors"], mixes["parts"], mixes["shares"], shown, options)
        np.savez(
            options.output,
            labels=np.frombuffer("\n".join(labels).encode(), np.uint8),
            kinds=np.array(pairs, np.int16),
            first_weight=(head[0].weight.detach().numpy() * PEAKY).astype(np.float16),
            first_bias=head[0].bias.detach().numpy().astype(np.float16),
            second_weight=head[3].weight.detach().numpy().astype(np.float16),
            second_bias=head[3].bias.detach().numpy().astype(np.float16),
            **calibrated,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pieces", type=Path, help="what pieces.py wrote")
    parser.add_argument("mixes", type=Path, help="what mixes.py wrote")
    parser.add_argument("held_out", type=Path, help="what mixes.py wrote with --folds 3 --only esc50")
    parser.add_argument("--classes", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    learn(parser.parse_args())


if __name__ == "__main__":
    main()
