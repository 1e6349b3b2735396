"""Words as they are compared."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.storage.folding import fold, keys_asked, keys_of


def texts(text):
    return [token.text for token in fold(text.split())]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Việt Nam", "viet nam"),
        ("Żółć", "ZOLC"),
        ("Straße", "strasse"),
        ("smørrebrød", "smorrebrod"),
        ("Đorđe", "dorde"),
        ("café", "cafe\u0301"),
        ("don't", "DON’T"),
        ("dutch-made", "Dutch made"),
        ("C++", "c plus plus"),
        ("Ｆｕｌｌ", "full"),
        ("ｶﾞ", "ガ"),
        ("مَرْحَبًا", "مرحبا"),
        ("$43.50", "forty-three dollars and fifty cents"),
        ("43 dollars and 50 cents", "$43.50"),
        ("£1", "one pound"),
        ("the 27th", "the twenty-seventh"),
        ("3rd and 21st", "third and twenty first"),
        ("the 12th of May", "the twelfth of May"),
        ("Mr. St. James", "mister Saint James"),
        ("$100", "one hundred dollars"),
        ("2 million", "two million"),
        ("$3.5 million", "three point five million dollars"),
        ("four thousand seven hundred and eleven", "4,711"),
        ("3.5", "three point five"),
        ("٤٧", "47"),
        ("100%", "a hundred percent".removeprefix("a ")),
    ],
)
def test_what_is_the_same_folds_the_same(one, other):
    assert texts(one) == texts(other) != []


def test_where_no_spaces_are_set_each_character_is_a_word():
    assert texts("東京 ไทย") == ["東", "京", "ไ", "ท", "ย"]
    assert texts("ที่นี่") == ["ที่", "นี่"]  # with their vowels and tones


def test_numbers_end_where_the_next_begins():
    assert texts("forty seven eleven") == ["47", "11"]
    assert texts("nineteen eighty-four") == ["19", "84"]
    assert texts("five and six") == ["5", "and", "6"]
    assert texts("007 or 1.2.3") == ["007", "or", "1", "2", "3"]


def test_it_is_known_which_words_each_is_made_of():
    tokens = fold(["pay", " forty-three", " dollars", "!", " two", " hundred"])
    assert [(token.text, token.first, token.last) for token in tokens] == [
        ("pay", 0, 0),
        ("43", 1, 1),
        ("dollars", 2, 2),
        ("200", 4, 5),
    ]


@settings(max_examples=60)
@given(st.lists(st.text(max_size=12), max_size=8))
def test_any_text_folds_to_letters_and_digits_in_order(words):
    tokens = fold(words)
    for token in tokens:
        assert token.text
        assert not any(c.isspace() or (c.isascii() and not c.isalnum()) for c in token.text)
        assert 0 <= token.first <= token.last < len(words)
    firsts = [token.first for token in tokens]
    assert firsts == sorted(firsts)


@settings(max_examples=60)
@given(st.lists(st.text("ab1東é \"*()-:^'", max_size=6), max_size=6))
def test_no_sign_is_syntax(words):
    found = [token.text for token in fold(words)]
    if found:
        with sqlite3.connect(":memory:") as database:
            database.execute("CREATE VIRTUAL TABLE t USING fts5 (keys, tokenize = ascii, detail = none)")
            database.execute("INSERT INTO t VALUES (?)", (" ".join(keys_of(found)),))
            row = database.execute("SELECT count(*) FROM t WHERE t MATCH ?", (keys_asked(found),))
            assert row.fetchone() == (1,)
        database.close()


@pytest.mark.timeout(20)  # hours where the time grows with the square of their number
def test_marks_beyond_what_a_letter_may_have_are_left_out():
    assert fold(["a" + "\u0315\u0300" * 100_000])[0].text == "a"
