"""How words are taught: what is read, what a window is held to show, and that what is asked is not taught."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from echoic.encoders.text import split
from tests.recipes import of_the_recipe

ROOT = Path(__file__).parents[2]


def rows(path):
    with (ROOT / path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_what_is_asked_is_not_taught():
    asked = {frozenset(split(row["phrase"])) for row in rows("benchmarks/phrases.tsv")}
    taught = {
        frozenset(split(text)) for row in rows("recipes/text/phrases.tsv") for text in row["texts"].split("|")
    }
    assert len(asked) == 100
    assert len(taught) > 1_500
    assert asked & taught == set()


def test_a_plain_and_a_hard_phrase_ask_for_each_of_50_classes():
    asked = rows("benchmarks/phrases.tsv")
    assert len({(row["label"], row["kind"]) for row in asked}) == 100
    assert {row["kind"] for row in asked} == {"plain", "hard"}
    assert {row["label"] for row in asked} == {row["esc50"] for row in rows("recipes/text/phrases.tsv")} - {
        "-"
    }


def test_definitions_are_read(tmp_path):
    texts = of_the_recipe("text", "texts")
    of_nouns = (
        "  1 This software and database is being provided to you\n"
        '07376621 11 n 02 bark 1 dog_noise(p) 0 000 | the sound made by a dog; "a loud bark"  \n'
        "13104059 20 n 01 tree 0 000 | a tall perennial woody plant  \n"
        "00000001 05 n 01 hen 0 000 | adult female chicken  \n"
    )
    (tmp_path / "data.noun").write_text(of_nouns, "latin-1")
    for part in ("verb", "adj"):
        (tmp_path / f"data.{part}").write_text("", "latin-1")
    assert list(texts.of_wordnet(tmp_path)) == [
        ("bark", True),
        ("dog noise", True),
        ("the sound made by a dog", True),
        ("bark, dog noise: the sound made by a dog", True),
        ("a loud bark", True),
        ("hen", False),
        ("adult female chicken", False),
        ("hen: adult female chicken", False),
    ]


def test_endings_are_what_follows_known_words():
    texts = of_the_recipe("text", "texts")
    counts = texts.Counter({"barking": 2, "barker": 1, "raining": 9, "bark": 50, "as": 3})
    found = texts.endings(counts, {"bark", "rain"})
    assert found == ["##ing", "##er"]


def test_a_kind_is_shown_by_the_clips_that_are_labelled_and_by_what_is_heard(tmp_path):
    torch = pytest.importorskip("torch")
    assert torch.__version__
    train = of_the_recipe("text", "train")
    names = sorted({name for row in rows("recipes/text/phrases.tsv") for name in row["audioset"].split(";")})
    header = "index,mid,display_name\n"
    lines = [f'{number},/m/{number},"{name}"\n' for number, name in enumerate(names)]
    (tmp_path / "audioset_527_labels.csv").write_text(header + "".join(lines), "utf-8")
    described = [{"name": "Dog", "description": "Any sounds of the domestic dog."}]
    (tmp_path / "audioset_ontology.json").write_text(json.dumps(described), "utf-8")
    logits = np.full((4, len(names)), -9, np.float16)
    logits[2, names.index("Dog")] = 3  # heard in a clip that nobody labelled
    logits[1, names.index("Dog")] = 3  # heard in a clip of something else
    heard = {
        "logits": logits,
        "dataset": np.array(["esc50", "esc50", "music", "sfx"]),
        "label": np.array(["dog", "rain", "dogs", "sounds:boing_2"]),
    }
    unasked = {frozenset({"woof"}), frozenset({"dog"})}
    kinds = {
        (kind.group, kind.name): kind for kind in train.kinds_of(heard, tmp_path, np.ones(4, bool), unasked)
    }
    dog = kinds["esc50", "dog"]
    assert dog.shown.sum() == pytest.approx(1)
    assert dog.shown[0] > dog.shown[2] > 0 == dog.shown[1] == dog.shown[3]
    assert not {"dog", "woof", "woof woof"} & set(dog.texts)
    assert "a dog barks" in dog.texts
    assert kinds["classes", "Dog"].texts == ["Any sounds of the domestic dog."]
    np.testing.assert_array_equal(kinds["classes", "Dog"].shown, [0, 0.5, 0.5, 0])
    assert kinds["names", "boing"].texts == ["boing"]
    np.testing.assert_array_equal(kinds["phrases", "bounce"].shown, [0, 0, 0, 1])  # by the file's name
    assert ("classes", "Rain") not in kinds  # nothing sounds of it
