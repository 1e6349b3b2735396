"""Words as they are compared: what is typed and what was written down, made alike.

Case, accents, and how letters are coded go; apostrophes close up and all other signs part words; numbers that
are written out in English become digits, as sums of money become words, and titles are shortened. Where a
script sets no spaces, each character is a word. Two texts agree where their letters do and a word begins and
ends in both: where words are parted does not matter, so that "co-operate", "co operate" and "cooperate" are
the same, as are "4711" and "4 7 1 1".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from echoic.encoders.spelling import MONEY, NUMBERS, SHORT, SIGNS, ordinal_of
from echoic.interchange.subtitles import UNSPACED

__all__ = ["Token", "fold", "keys_asked", "keys_of"]


class Token(NamedTuple):
    """A word as it is compared, and the first and last of the words given that it is made of."""

    text: str
    first: int
    last: int


# What decomposing does not take apart.
_FOREIGN = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i", "ħ": "h", "ŧ": "t"}
)
_APOSTROPHES = re.compile("['’‘ʼʻ´`＇\u00ad\u200c\u200d\u2060\ufeff]+")
# Marks that are added to letters: accents, Hebrew points, Arabic vowels and the stroke that makes words long.
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u1ab0-\u1aff"
    "\u1dc0-\u1dff\u20d0-\u20ff]+"
)
_MONEY_SIGNS = "".join(MONEY)
_PIECE = re.compile(
    r"(?<!\.)(?P<number>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?P<part>\.\d+(?![.\d]))?"
    rf"|(?P<character>[{UNSPACED}])"
    rf"|(?P<word>[^\W_{UNSPACED}]+)"
    rf"|(?P<sign>[{re.escape(''.join(SIGNS) + _MONEY_SIGNS)}])"
)
_POINT = "point"
_ORDINALS = {ordinal_of(name): number for name, number in NUMBERS.items() if number}
_SHORTER = {whole: short for short, whole in SHORT.items()} | {"saint": "st"}
_CENTS = re.compile(r"\d\d")
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_LONGEST_NUMBER = 15  # digits that are reckoned with
_MOST_JOINED = 4  # words of what is asked that may be one word of the text
_MOST_DIGITS = 8  # numbers that are told together
_MOST_ASKED = 24  # words that are looked up: of a longer phrase, what is found is compared anyway
# On a letter (UAX 15, stream-safe text): to put them in order takes the square of their number.
_MOST_MARKS = 30


def fold(words: Sequence[str]) -> list[Token]:
    """Make of words, as they stand in a text, what is compared.

    Examples
    --------
    >>> [token.text for token in fold(["Don't", "pay", "$43.50", "in", "Łódź!"])]
    ['dont', 'pay', '43', 'dollars', 'and', '50', 'cents', 'in', 'lodz']
    >>> [token.text for token in fold("forty-three dollars; four thousand and eleven".split())]
    ['43', 'dollars', '4011']
    """
    tokens = [Token(text, at, at) for at, word in enumerate(words) for text in _pieces(word)]
    return _paid(_counted(tokens))


def _pieces(word: str) -> list[str]:
    texts: list[str] = []
    for piece in _PIECE.finditer(_plain(word)):
        if piece["number"]:
            texts.append(piece["number"].replace(",", ""))
            if piece["part"]:
                texts += [_POINT, piece["part"][1:]]
        elif piece["character"]:
            if unicodedata.category(piece[0]).startswith("M") and texts:
                texts[-1] += piece[0]  # a vowel or tone of the character before
            else:
                texts.append(piece[0])
        elif piece["sign"]:
            texts.append(SIGNS.get(piece[0], piece[0]))
        else:
            texts.append(_SHORTER.get(piece[0], piece[0]))
    return texts


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", _safe(text)).casefold().translate(_FOREIGN)
    letters = _MARKS.sub("", unicodedata.normalize("NFKD", _APOSTROPHES.sub("", folded)))
    digits = (str(unicodedata.digit(c)) if c.isdecimal() and not c.isascii() else c for c in letters)
    return unicodedata.normalize("NFC", "".join(digits))


def _safe(text: str) -> str:
    """Leave out marks beyond those that a letter may have."""
    if len(text) <= _MOST_MARKS:
        return text
    kept, run = [], 0
    for character in text:
        run = run + 1 if unicodedata.category(character).startswith("M") else 0
        if run <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def _counted(tokens: Sequence[Token]) -> list[Token]:
    """Make digits of numbers that are written out, in English."""
    told: list[Token] = []
    at = 0
    while at < len(tokens):
        number, past = _number(tokens, at)
        which = _ORDINALS.get(_text(tokens, past), 0)
        if which and (past == at or (number % 100 >= 20 and not number % 10 and which < 10)):
            texts = str(number + which), _ending(number + which)
            told += [Token(text, tokens[at].first, tokens[past].last) for text in texts]
            at = past + 1
        elif past > at:
            told.append(Token(str(number), tokens[at].first, tokens[past - 1].last))
            at = past
        else:
            told.append(tokens[at])
            at += 1
    return told


def _ending(number: int) -> str:
    """Say how it is written which of a row a number is: th of 11, st of 21."""
    return "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")


def _number(tokens: Sequence[Token], at: int) -> tuple[int, int]:
    """Read a number that begins with a token, if one does → what it is, and what is past its last token."""
    total, past, least = 0, at, 0
    while True:
        begin = past + 1 if past > at and _text(tokens, past) == "and" else past
        value, after = _below_thousand(tokens, begin)
        if after == begin:
            return total, past
        large = _LARGE.get(_text(tokens, after), 1)
        if least and large >= least:  # another number begins
            return total, past
        if large == 1 and begin == after - 1 and tokens[begin].text.isdecimal():  # as it stands
            return (total, past) if past > at else (0, at)
        total, least = total + value * large, large
        past = after + (large > 1)
        if large == 1:
            return total, past


def _below_thousand(tokens: Sequence[Token], at: int) -> tuple[int, int]:
    """Read a number below a thousand, or one in digits; only "hundred" makes more of two of them."""
    value, past = _below_hundred(tokens, at)
    if _text(tokens, past) == "hundred" and value < 100:
        value, past = (value if past > at else 1) * 100, past + 1
        begin = past + 1 if _text(tokens, past) == "and" else past
        more, after = _below_hundred(tokens, begin)
        if after > begin and not tokens[begin].text.isdecimal():
            value, past = value + more, after
    return value, past


def _below_hundred(tokens: Sequence[Token], at: int) -> tuple[int, int]:
    text = _text(tokens, at)
    if text.isdecimal() and len(text) <= _LONGEST_NUMBER:
        return int(text), at + 1
    value = NUMBERS.get(text)
    if value is None:
        return 0, at
    ones = NUMBERS.get(_text(tokens, at + 1), 0)
    return (value + ones, at + 2) if value >= 20 and 0 < ones < 10 else (value, at + 1)


def _text(tokens: Sequence[Token], at: int) -> str:
    return tokens[at].text if at < len(tokens) else ""


def _paid(tokens: Sequence[Token]) -> list[Token]:
    """Say sums of money as they are spoken: what they are of comes after them."""
    told: list[Token] = []
    at = 0
    while at < len(tokens):
        sign = tokens[at]
        if sign.text not in MONEY:
            told.append(sign)
            at += 1
            continue
        unit, part = MONEY[sign.text]
        number = _text(tokens, at + 1)
        before = told[-1].text if told else ""
        if not number.isdecimal():
            if before.isdecimal():  # 43 €
                told.append(sign._replace(text=unit if before == "1" else f"{unit}s"))
            at += 1
            continue
        past = at + 2
        has_part = _text(tokens, past) == _POINT and past + 1 < len(tokens)
        last = tokens[past + 1] if has_part else tokens[at + 1]
        whole = Token(number, sign.first, tokens[at + 1].last)
        named = Token(unit if number == "1" else f"{unit}s", whole.last, whole.last)
        sums = [whole, named]
        if has_part and _CENTS.fullmatch(last.text):
            cents = str(int(last.text))
            plural = {"cent": "cents", "penny": "pence"}[part]
            if cents != "0":
                texts = ("and", cents, part if cents == "1" else plural)
                sums += [last._replace(text=text) for text in texts]
        elif has_part:
            sums = [whole, tokens[past], last, Token(named.text, last.last, last.last)]
        told += sums
        at = past + 2 * has_part
    return told


def keys_of(texts: Sequence[str]) -> list[str]:
    """List what a passage is found by: its words, each two that follow each other, and numbers in a row."""
    keys = dict.fromkeys(texts)
    keys |= dict.fromkeys(first + second for first, second in pairwise(texts))
    for at, text in enumerate(texts):
        if text.isdecimal():
            row = text
            for following in texts[at + 1 : at + _MOST_DIGITS]:
                if not following.isdecimal():
                    break
                row += following
                keys[row] = None
    return list(keys)


def keys_asked(texts: Sequence[str]) -> str:
    """Spell a query of FTS5 for the passages that may have these words, in whatever way they are parted."""
    asked = list(texts[:_MOST_ASKED])
    terms = []
    for at in range(len(asked)):
        joined = {
            "".join(asked[first : first + n])
            for n in range(1, _MOST_JOINED + 1)
            for first in range(max(0, at - n + 1), at + 1)
            if first + n <= len(asked)
        }
        terms.append("(" + " OR ".join(f'"{key}"' for key in sorted(joined)) + ")")
    return " AND ".join(terms)
