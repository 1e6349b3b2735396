"""Typed text as the words that somebody reads out: numbers and signs become words, accents go.

English. Letters of other alphabets, and pictures, cannot be read; other signs are passed over.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["LETTERS", "MONEY", "NUMBERS", "SHORT", "SIGNS", "not_read", "ordinal_of", "read_out"]

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
#: Numbers below a hundred that are one word.
NUMBERS = {name: number for number, name in enumerate(_ONES)} | {
    name: 10 * tens for tens, name in enumerate(_TENS, start=2)
}
_LARGE = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_LONGEST_NUMBER = 12  # digits that are read as one number; of more, each by itself
#: How signs are read out.
SIGNS = {"&": "and", "%": "percent", "+": "plus", "=": "equals", "@": "at", "#": "number", "°": "degrees"}
#: Of what sums of money are, and a hundredth of it.
MONEY = {"$": ("dollar", "cent"), "£": ("pound", "penny"), "€": ("euro", "cent")}
#: Words that are written shorter than they are read out.
SHORT = {"mr": "mister", "mrs": "missus", "dr": "doctor"}
# What decomposing does not take apart.
_FOREIGN = str.maketrans(
    {"ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "th", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "’": "'"}
)
#: How the letters of the alphabet are called.
LETTERS = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz",
        (
            "eɪ bi si di i ɛf d͡ʒi eɪt͡ʃ aɪ d͡ʒeɪ keɪ ɛl ɛm ɛn oʊ pi kju ɑɹ ɛs ti ju vi dʌbəlju ɛks waɪ zi"
        ).split(),
        strict=True,
    )
)

_PIECE = re.compile(
    r"([$£€]?)(\d[\d,]*\d|\d)(?:\.(\d+))?((?:st|nd|rd|th)(?![a-z]))?|([^\W\d_]+(?:'[^\W\d_]+)*)|(\S)"
)
_READ = re.compile("[a-z']+")


def read_out(text: str) -> list[str]:
    """Turn text into words of the letters a to z and apostrophes.

    Examples
    --------
    >>> read_out("Press 1 for a café, or $43.50!")
    ['press', 'one', 'for', 'a', 'cafe', 'or', 'forty', 'three', 'dollars', 'and', 'fifty', 'cents']
    """
    words: list[str] = []
    for currency, whole, fraction, ordinal, word, sign in _PIECE.findall(_plain(text)):
        if whole:
            words += _number(currency, whole.replace(",", ""), fraction, ordinal)
        elif word and _READ.fullmatch(word):
            words.append(SHORT.get(word, word))
        elif sign in SIGNS:
            words.append(SIGNS[sign])
    return words


def not_read(text: str) -> list[str]:
    """List the words of other alphabets, and the pictures, that reading a text out would leave out.

    Examples
    --------
    >>> not_read("access 犬 denied!")
    ['犬']
    """
    return [
        word or sign
        for *_, word, sign in _PIECE.findall(_plain(text))
        if (word and not _READ.fullmatch(word)) or (sign and unicodedata.category(sign) == "So")
    ]


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_FOREIGN)
    return "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))


def _number(currency: str, whole: str, fraction: str, ordinal: str) -> list[str]:
    # Codes and telephone numbers are read digit by digit.
    is_code = len(whole) > _LONGEST_NUMBER or (len(whole) > 1 and whole[0] == "0")
    words = [_ONES[int(digit)] for digit in whole] if is_code else _count(int(whole))
    if currency:
        unit, part = MONEY[currency]
        words.append(unit if words == ["one"] else f"{unit}s")
        if fraction and int(fraction[:2].ljust(2, "0")):
            cents = _count(int(fraction[:2].ljust(2, "0")))
            plural = {"cent": "cents", "penny": "pence"}[part]
            words += ["and", *cents, part if cents == ["one"] else plural]
    elif fraction:
        words += ["point", *(_ONES[int(digit)] for digit in fraction)]
    elif ordinal:
        words[-1] = ordinal_of(words[-1])
    return words


def _count(number: int) -> list[str]:
    for size, name in _LARGE:
        if number >= size:
            rest = number % size
            return [*_count(number // size), name, *(_count(rest) if rest else [])]
    if number < len(_ONES):
        return [_ONES[number]]
    tens, ones = divmod(number, 10)
    return [_TENS[tens - 2], *([_ONES[ones]] if ones else [])]


def ordinal_of(word: str) -> str:
    """Say which of a row a number is: fifth of five."""
    odd = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth"}
    odd |= {"nine": "ninth", "twelve": "twelfth"}
    return odd.get(word) or (f"{word[:-1]}ieth" if word.endswith("y") else f"{word}th")
