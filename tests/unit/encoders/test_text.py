"""Words become vectors: which words count, what does not matter, and what is refused."""

from __future__ import annotations

import io
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.encoders.text import TextTower, Vocabulary, split
from echoic.errors import UsageError

WORDS = ["dog", "barking", "bark", "rain", "a", "cafe", "boing", "##ing", "##s"]
WIDTH, HIDDEN, DIM = 6, 5, 4


def arrays(**changed):
    rng = np.random.default_rng(0)
    whole = {
        "words": np.frombuffer("\n".join(WORDS).encode(), np.uint8),
        "vectors": rng.integers(-127, 128, (len(WORDS), WIDTH)).astype(np.int8),
        "scale": rng.uniform(0.01, 0.02, len(WORDS)).astype(np.float16),
        "first_weight": rng.normal(size=(HIDDEN, WIDTH)).astype(np.float16),
        "first_bias": rng.normal(size=HIDDEN).astype(np.float16),
        "second_weight": rng.normal(size=(DIM, HIDDEN)).astype(np.float16),
        "second_bias": rng.normal(size=DIM).astype(np.float16),
    } | changed
    return {name: value for name, value in whole.items() if value is not None}


def packed(**changed):
    content = io.BytesIO()
    np.savez(content, **arrays(**changed))
    return content.getvalue()


@pytest.fixture(scope="module")
def tower():
    return TextTower(packed(), DIM)


def test_a_vector_is_what_the_layers_make_of_the_mean_of_the_words(tower):
    of = {name: value.astype(np.float64) for name, value in arrays().items() if name != "words"}
    mean = (of["vectors"] * of["scale"][:, None])[[0, 2, 7]].mean(axis=0)  # dog, bark, ##ing
    hidden = np.maximum(of["first_weight"] @ mean + of["first_bias"], 0)
    due = of["second_weight"] @ hidden + of["second_bias"]
    known = TextTower(
        packed(words=np.frombuffer("\n".join(WORDS).replace("barking", "x").encode(), np.uint8)), DIM
    )
    [vector] = known.encode(["dog barking"])
    np.testing.assert_allclose(vector, due / np.linalg.norm(due), atol=1e-5)
    assert vector.dtype == np.float32


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Dog, BARKING!", ["dog", "barking"]),
        ("café", ["cafe"]),
        ("Straße", ["strasse"]),
        ("boooooing", ["booing"]),
        ("zzzz 1000", ["zz", "1000"]),
        ("tick-tock_tick", ["tick", "tock", "tick"]),
        ("  \t\n", []),
        ("雨 dog", ["雨", "dog"]),
    ],
)
def test_a_text_is_divided_into_words(text, words):
    assert split(text) == words


def test_a_word_that_is_not_known_is_one_by_its_longest_stem_and_its_ending():
    vocabulary = Vocabulary(WORDS)
    number = WORDS.index
    assert vocabulary.numbers("barking") == [number("barking")]  # as a whole, where it is known
    assert vocabulary.numbers("dogs") == [number("dog"), number("##s")]
    assert vocabulary.numbers("raining") == [number("rain"), number("##ing")]
    assert vocabulary.numbers("as ing doge xyzzy") == []  # a stem of one letter, an ending alone, no ending


@given(st.permutations(["dog", "barking", "rain", "a", "cafe"]), st.sampled_from([" ", ". ", " - ", "! "]))
def test_neither_order_nor_punctuation_nor_case_nor_accents_matter(words, between):
    tower = TextTower(packed(), DIM)
    text = between.join(words)
    due = tower.encode(["a dog barking rain cafe"])
    for same in (text, text.upper(), text.replace("cafe", "café"), unicodedata.normalize("NFD", text + "´")):
        np.testing.assert_array_equal(tower.encode([same]), due)


@given(
    st.permutations(["dog barking", "rain", "a cafe", "qwrtz"]), st.sampled_from([", ", ";", " and ", "\n"])
)
def test_a_text_of_several_sounds_lies_half_way_between_them(parts, between):
    tower = TextTower(packed(), DIM)
    mean = tower.encode(["dog barking", "rain", "a cafe"]).mean(axis=0)
    [vector] = tower.encode([between.join(parts)])
    np.testing.assert_allclose(vector, mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_array_equal(vector, tower.encode(["barking dog AND cafe a; ,, rain"])[0])


@given(st.text(max_size=300))
def test_any_text_gives_a_unit_vector_or_one_sentence(text):
    tower = TextTower(packed(), DIM)
    if Vocabulary(WORDS).numbers(text):
        [vector] = tower.encode([text])
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    else:
        with pytest.raises(UsageError) as caught:
            tower.encode([text])
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300


def test_unknown_words_beside_known_ones_are_left_out(tower):
    np.testing.assert_array_equal(tower.encode(["qwrtz dog 雨"]), tower.encode(["dog"]))


def test_a_text_without_a_known_word_is_refused(tower):
    with pytest.raises(
        UsageError, match=r"none of the words in 'qwrtz 雨' is known; describe the sound in plain"
    ):
        tower.encode(["dog", "qwrtz 雨"])


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("qwrtz dog 雨 qwrtz, the xyzzy", ["qwrtz", "雨", "xyzzy"]),
        ("dog's barking, dogs", []),
        ("the rain is not a dog", []),  # of grammar, though this vocabulary lacks it
        ("", []),
    ],
)
def test_words_that_are_not_known_are_named_once(tower, text, unknown):
    assert tower.unknown(text) == unknown


def test_words_of_grammar_count_beside_others_and_name_no_sound_alone(tower):
    [vector] = tower.encode(["a dog"])
    assert not np.allclose(vector, tower.encode(["dog"])[0], atol=1e-3)
    np.testing.assert_array_equal(tower.encode(["a, dog and the, a xyzzy"]), tower.encode(["dog"]))
    with pytest.raises(UsageError, match=r"none of the words in 'a the of' names a sound; describe"):
        tower.encode(["a the of"])
    with pytest.raises(UsageError, match=r"none of the words in 'a qwrtz' is known; describe"):
        tower.encode(["a qwrtz"])


def test_alone_as_among_others_and_none(tower):
    texts = ["dog", "rain, dog", "a cafe"]
    np.testing.assert_array_equal(
        tower.encode(texts), np.concatenate([tower.encode([text]) for text in texts])
    )
    assert tower.encode([]).shape == (0, DIM)


def test_of_a_long_text_the_first_words_count(tower):
    np.testing.assert_array_equal(tower.encode(["dog " * 64 + "rain " * 500]), tower.encode(["dog"]))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"scale": None}, "it holds"),
        ({"more": np.zeros(1)}, "it holds"),
        ({"vectors": np.zeros((3, WIDTH), np.int8)}, "its vectors have the shape"),
        ({"vectors": np.zeros(len(WORDS), np.int8)}, "its vectors have the shape"),
        ({"first_weight": np.zeros((HIDDEN, WIDTH + 1))}, "its first_weight have the shape"),
        ({"second_bias": np.zeros(DIM + 1)}, "its second_bias have the shape"),
        ({"second_weight": np.full((DIM, HIDDEN), np.nan)}, "its second_weight are no finite numbers"),
        ({"scale": np.array(["x"] * len(WORDS))}, "its scale are no finite numbers"),
        ({"first_bias": np.float32(1)}, "its first_weight have the shape"),
        ({"words": np.frombuffer(b"\xff\xfe", np.uint8)}, "its words"),
        ({"words": np.array([None])}, "it is no archive of arrays"),
    ],
)
def test_what_is_no_tower_is_refused(changed, said):
    with pytest.raises(ValueError, match=said):
        TextTower(packed(**changed), DIM)


def test_what_is_no_archive_is_refused():
    for content in (b"", b"PK\x03\x04", b"words", packed()[:200]):
        with pytest.raises(ValueError, match="it is no archive of arrays"):
            TextTower(content, DIM)
