"""Teach words the space of ``sound``: what they mean, from a sentence encoder, then how that sounds.

::

    python recipes/text/train.py heard.npz texts.npz --classes DIR --unasked benchmarks/phrases.tsv \\
        -o sound.text.npz

A text's vector is the mean of its words' vectors. First, a linear map of it is to be what the sentence
encoder makes of the text. Then a small network turns it into a place among the windows of sound: the windows
that show what the text names are to be nearer than all others (cross-entropy over all windows), and its
cosine with their mean is to be high. What a text names is known by what people call a sound
(``phrases.tsv``), by the names and descriptions of AudioSet's classes, which the tagger hears in windows, by
the names of files, and for definitions by how near they are to those for the sentence encoder. Texts with the
very words of a phrase in ``--unasked`` are left out.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from echoic.encoders.text import Vocabulary, split

PHRASES = Path(__file__).with_name("phrases.tsv")
DIM, HIDDEN = 128, 384
HEARD_FROM = 0.15  # probability by the tagger from which a class is heard at all
TEMPERATURE = 0.06
SHARES = {"esc50": 0.45, "phrases": 0.25, "classes": 0.1, "names": 0.1, "meant": 0.1}
NAMED = {"sfx", "tuxpaint", "wesnoth", "instruments", "noise"}  # files that are called what they sound of
# As negatives, what there is much of counts less.
COUNTS = {
    "music": 0.2,
    "speech_librispeech": 0.2,
    "prompts_english": 0.4,
    "words_arabic": 0.4,
    "instruments": 0.5,
}


@dataclass
class Kind:
    """A kind of sound: what it is called, and how surely each window shows it, (n,), of sum 1."""

    name: str
    group: str
    texts: list[str]
    shown: np.ndarray


def evened(weights: np.ndarray) -> np.ndarray | None:
    """Scale weights to sum 1; None if nothing is heard."""
    return weights / weights.sum() if weights.sum() > 0 else None


def strongest(heard: np.ndarray) -> np.ndarray:
    """Keep the windows in which something is heard about as surely as in any."""
    top = heard.max()
    return np.where(heard >= max(HEARD_FROM, 0.4 * top), heard, 0)


def called_as(label: str) -> str:
    """Make words of the name of a file of effects; of those that only a game understands, none."""
    origin, _, name = label.rpartition(":")
    words = re.sub(r"[_\-.\d]+|default|env sounds", " ", name).strip().lower()
    return words if origin not in ("freedoom", "sonic-pi") and len(words) > 2 else ""


def kinds_of(heard: dict, classes: Path, windows: np.ndarray, unasked: set[frozenset[str]]) -> list[Kind]:
    """Collect the kinds of sounds, over the windows that may teach."""
    with (classes / "audioset_527_labels.csv").open(encoding="utf-8") as file:
        number = {row["display_name"]: int(row["index"]) for row in csv.DictReader(file)}
    described = {
        entry["name"]: entry["description"]
        for entry in json.loads((classes / "audioset_ontology.json").read_text("utf-8"))
    }
    sure = 1 / (1 + np.exp(-heard["logits"][windows].astype(np.float32)))
    dataset, label = heard["dataset"][windows], heard["label"][windows]
    of_esc50 = dataset == "esc50"
    called = np.array(
        [called_as(name) if of in NAMED else "" for of, name in zip(dataset, label, strict=True)]
    )
    kinds = []

    def add(name: str, group: str, texts: list[str], weights: np.ndarray) -> None:
        texts = [text for text in dict.fromkeys(texts) if frozenset(split(text)) not in unasked]
        shown = evened(weights)
        if texts and shown is not None:
            kinds.append(Kind(name, group, texts, shown.astype(np.float32)))

    with PHRASES.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            of = [number[name] for name in row["audioset"].split(";")]
            weights = strongest(sure[:, of].max(axis=1))
            if row["esc50"] != "-":
                weights = np.where(of_esc50, 0.0, np.minimum(weights, 0.5) * (weights > 0.5))
                weights = weights / max(1.0, weights.sum() / 8) + (of_esc50 & (label == row["esc50"]))
            elif (by_name := np.isin(called, row["texts"].split("|"))).any():
                weights = (
                    weights / max(1.0, weights.sum()) + by_name
                )  # who named a file is surer than the tagger
            add(row["name"], "esc50" if row["esc50"] != "-" else "phrases", row["texts"].split("|"), weights)
    for name, at in number.items():
        texts = [name, *name.split(", ")]
        texts += [described[name]] if name in described else []
        add(name, "classes", texts, strongest(sure[:, at]))
    for words in sorted(set(called) - {""}):
        add(words, "names", [words], (called == words).astype(float))
    return kinds


class Tower(nn.Module):
    """Mean of words' vectors → what they mean, and what it sounds like."""

    def __init__(self, begin: np.ndarray, meaning: int, sounds: int) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag.from_pretrained(torch.from_numpy(begin), freeze=False, mode="mean")
        self.meaning = nn.Linear(DIM, meaning)
        self.first, self.second = nn.Linear(DIM, HIDDEN), nn.Linear(HIDDEN, sounds)

    def mean(self, coded: list[np.ndarray]) -> torch.Tensor:
        offsets = np.cumsum([0, *map(len, coded[:-1])])
        return self.words(torch.from_numpy(np.concatenate(coded)), torch.from_numpy(offsets))

    def sound(self, mean: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.second(torch.relu(self.first(mean))), dim=1)


def learn(options: argparse.Namespace) -> None:
    rng = np.random.default_rng(options.seed)
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    heard = dict(np.load(options.heard))
    told = dict(np.load(options.texts))
    with options.unasked.open(newline="", encoding="utf-8") as file:
        unasked = {frozenset(split(row["phrase"])) for row in csv.DictReader(file, delimiter="\t")}
    fold = np.array([re.match(r"\d", Path(path).stem) and Path(path).stem[0] for path in heard["path"]])
    asking = (heard["dataset"] == "esc50") & (fold == "3")
    windows = ~asking if options.dev else np.ones(len(fold), bool)
    kinds = kinds_of(heard, options.classes, windows, unasked)
    held = []
    if options.dev:
        for kind in kinds:
            if kind.group == "esc50":
                out = rng.permutation(len(kind.texts))[: len(kind.texts) // 4]
                held += [(kind, kind.texts[at]) for at in out]
                kind.texts = [text for at, text in enumerate(kind.texts) if at not in out]
    gone = {text for _, text in held}
    print(f"{len(kinds)} kinds of sound", flush=True)

    vocabulary = Vocabulary([str(piece) for piece in told["pieces"]])
    coded_of = lambda text: np.array(vocabulary.numbers(text), np.int64)  # noqa: E731
    texts = [str(text) for text in told["texts"]]
    coded = [coded_of(text) for text in texts]
    usable = np.array(
        [
            at
            for at, numbers in enumerate(coded)
            if len(numbers) and texts[at] not in gone and frozenset(split(texts[at])) not in unasked
        ]
    )
    taught = torch.from_numpy(told["vectors"].astype(np.float32))

    # Where a word begins: the main directions of what it means alone; words that are frequent weigh less.
    alone = told["piece_vectors"].astype(np.float32)
    middle = alone - alone.mean(axis=0)
    _, _, directions = np.linalg.svd(middle[rng.permutation(len(middle))[:8000]], full_matrices=False)
    counts = np.bincount(np.concatenate(coded), minlength=len(alone))
    rarity = 1e-3 / (1e-3 + counts / counts.sum())
    begin = (middle @ directions[:DIM].T) * rarity[:, None]
    tower = Tower(begin.astype(np.float32), taught.shape[1], heard["vectors"].shape[1])

    def dropped(numbers: np.ndarray) -> np.ndarray:
        kept = numbers[rng.random(len(numbers)) > options.dropout]
        return kept if len(kept) else numbers

    def meaning_loss(rows: np.ndarray) -> torch.Tensor:
        seen = tower.meaning(tower.mean([coded[at] for at in rows]))
        return 1 - functional.cosine_similarity(seen, taught[rows]).mean()

    begun = time.process_time()
    optimiser = torch.optim.Adam(tower.parameters(), 3e-3)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=options.first)
    for step in range(options.first):
        loss = meaning_loss(rng.choice(usable, 512))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        plan.step()
        if step % 500 == 0 or step == options.first - 1:
            print(f"{step} meaning {loss:.4f} {time.process_time() - begun:.0f} s", flush=True)

    # What definitions and examples name, by how near they are to what people call a sound.
    shown = torch.from_numpy(np.stack([kind.shown for kind in kinds]))
    sounds = torch.from_numpy(heard["vectors"][windows])
    prototypes = functional.normalize(shown @ sounds, dim=1)
    place = {text: at for at, text in enumerate(texts)}
    keys = [
        (number, place[text])
        for number, kind in enumerate(kinds)
        if kind.group in ("esc50", "phrases", "classes")
        for text in kind.texts
        if text in place
    ]
    of_key = torch.tensor([number for number, _ in keys])
    near = taught[usable] @ taught[[at for _, at in keys]].T
    best = torch.full((len(usable), len(kinds)), -1.0)
    best = best.scatter_reduce(1, of_key.expand(len(usable), -1), near, "amax")
    close = best.max(dim=1).values
    meant = torch.nonzero((close > options.near) & (close < 0.999))[:, 0]
    means = torch.softmax(best[meant] / 0.03, dim=1)
    print(f"{len(meant)} definitions and examples that name a sound", flush=True)
    groups = {name: [at for at, kind in enumerate(kinds) if kind.group == name] for name in SHARES}
    of_texts = [[coded_of(text) for text in kind.texts] for kind in kinds]
    of_texts = [[numbers for numbers in some if len(numbers)] for some in of_texts]
    groups = {name: [at for at in numbers if of_texts[at]] for name, numbers in groups.items()}
    prior = torch.tensor([np.log(COUNTS.get(name, 1.0)) for name in heard["dataset"][windows]]).float()

    def draw() -> tuple[np.ndarray, torch.Tensor]:
        group = rng.choice(list(SHARES), p=list(SHARES.values()))
        if group == "meant":
            at = int(rng.integers(len(meant)))
            return dropped(coded[usable[meant[at]]]), means[at]
        kind = int(rng.choice(groups[group]))
        some = of_texts[kind]
        return dropped(some[rng.integers(len(some))]), functional.one_hot(
            torch.tensor(kind), len(kinds)
        ).float()

    optimiser = torch.optim.Adam(
        [
            {"params": tower.words.parameters(), "lr": options.rate / 3},
            {"params": [*tower.meaning.parameters(), *tower.first.parameters(), *tower.second.parameters()]},
        ],
        options.rate,
        weight_decay=0,
    )
    plan = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [options.rate / 3, options.rate], total_steps=options.second
    )
    for step in range(options.second):
        batch = [draw() for _ in range(256)]
        for at in range(0, 64, 2):  # two at once, half way between
            (one, of_one), (other, of_other) = batch[at : at + 2]
            batch[at] = np.concatenate([one, other]), (of_one + of_other) / 2
        wanted = torch.stack([of for _, of in batch])
        seen = tower.sound(tower.mean([numbers for numbers, _ in batch]))
        logits = seen @ sounds.T / TEMPERATURE + prior
        ranked = -((wanted @ shown) * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()
        placed = 1 - functional.cosine_similarity(seen, wanted @ prototypes).mean()
        loss = ranked + options.placed * placed + options.kept * meaning_loss(rng.choice(usable, 256))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        plan.step()
        if step % 250 == 0 or step == options.second - 1:
            said = f"{step} ranked {ranked:.3f} placed {placed:.3f} {time.process_time() - begun:.0f} s"
            if options.dev:
                ask = torch.from_numpy(heard["vectors"][asking])
                labels = heard["label"][asking]
                with torch.inference_mode():
                    rows = [(kind.name, coded_of(text)) for kind, text in held]
                    rows = [(name, numbers) for name, numbers in rows if len(numbers)]
                    vectors = tower.sound(tower.mean([numbers for _, numbers in rows]))
                    first = labels[(vectors @ ask.T).argmax(dim=1).numpy()]
                    right = [name == label for (name, _), label in zip(rows, first, strict=True)]
                    said += f" held-out phrases {np.sum(right) / len(held):.3f} of {len(held)}"
            print(said, flush=True)

    words = tower.words.weight.detach().numpy()
    scale = np.abs(words).max(axis=1, keepdims=True) / 127
    scale = np.where(scale > 0, scale, 1).astype(np.float16)
    arrays = {
        "words": np.frombuffer("\n".join(vocabulary.words).encode(), np.uint8),
        "vectors": np.round(words / scale.astype(np.float32)).clip(-127, 127).astype(np.int8),
        "scale": scale[:, 0],
        **{
            f"{name}_{what}": getattr(getattr(tower, name), what).detach().numpy().astype(np.float16)
            for name in ("first", "second")
            for what in ("weight", "bias")
        },
    }
    if options.output:
        np.savez(options.output, **arrays)  # not packed: it is read each time that words are asked


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("heard", type=Path, help="what hear.py wrote")
    parser.add_argument("texts", type=Path, help="what texts.py wrote")
    parser.add_argument("--classes", type=Path, required=True)
    parser.add_argument("--unasked", type=Path, required=True, help="phrases that must not be taught")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--dev", action="store_true", help="hold out fold 3 and a quarter of the phrases")
    parser.add_argument("--first", type=int, default=1_500, help="steps of learning meanings")
    parser.add_argument("--second", type=int, default=750, help="steps of learning sounds")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--dropout", type=float, default=0.15)
    parser.add_argument("--near", type=float, default=0.55)
    parser.add_argument("--placed", type=float, default=1.0)
    parser.add_argument("--kept", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    learn(parser.parse_args())


if __name__ == "__main__":
    main()
