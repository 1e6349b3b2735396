from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.encoders.phonemes import SOUNDS, sounds_of
from echoic.encoders.spelling import LETTERS, not_read, read_out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Soy milk", "soy milk"),
        ("thank you, for… watching!", "thank you for watching"),
        ("co-operate don’t “x”", "co operate don't x"),
        ("Việt Nam żółć Straße Smørrebrød café", "viet nam zolc strasse smorrebrod cafe"),
        ("$43.50", "forty three dollars and fifty cents"),
        ("£1.01 or €0.05", "one pound and one penny or zero euros and five cents"),
        ("3.5 %", "three point five percent"),
        ("1,234,567", "one million two hundred thirty four thousand five hundred sixty seven"),
        ("the 21st and 30th", "the twenty first and thirtieth"),
        ("call 0800 4711", "call zero eight zero zero four thousand seven hundred eleven"),
        ("4 7 1 1", "four seven one one"),
        ("R&B 100", "r and b one hundred"),
        ("5g", "five g"),
        ("ＰＲＥＳＳ １", "press one"),
        ("東京 ไทย 😀 ?! 日本", ""),
        ("", ""),
    ],
)
def test_text_is_read_out(text, words):
    assert read_out(text) == words.split()


@pytest.mark.parametrize(
    ("text", "unread"),
    [
        ("access 犬 denied", ["犬"]),
        ("dog 🐶", ["🐶"]),
        ("co-operate “x” C++ $3.50 R&B ~", []),
        ("café żółć", []),
    ],
)
def test_what_cannot_be_read_is_told(text, unread):
    assert not_read(text) == unread


@given(st.text(max_size=200))
def test_any_text_gives_words_of_plain_letters(text):
    for word in read_out(text):
        assert word
        assert set(word) <= {*string.ascii_lowercase, "'"}


@given(st.integers(0, 10**15))
def test_any_number_is_read_out(number):
    words = read_out(str(number))
    assert words
    assert read_out(f"{number:,}") == words or number >= 10**12


SPELT = {"cat": "kæt", "judge": "d͡ʒʌd͡ʒ", "sister": "sɪstɝ", "did": "dɪd", "you": "ju", "cats": "kæts"}


@pytest.mark.parametrize(
    ("word", "sounds"),
    [
        ("cat", "k æ t"),
        ("cat's", "k æ t s"),
        ("judge's", "d͡ʒ ʌ d͡ʒ ɪ z"),
        ("sister's", "s ɪ s t ɝ z"),
        ("cats'", "k æ t s"),
        ("didn't", "d ɪ d ə n t"),
        ("you'll", "j u l"),
        ("one", "w ʌ n"),
        ("b", "b i"),
        ("pbx", "p i b i ɛ k s"),
        ("'", ""),
    ],
)
def test_words_are_spelt_with_what_hangs_on_them(word, sounds):
    assert sounds_of(word, lambda plain: SPELT.get(plain, "")) == sounds.split()


def test_letters_are_called_by_known_sounds():
    for letter in string.ascii_lowercase:
        assert letter in LETTERS
        assert {*sounds_of(letter, str)} <= {*SOUNDS}
