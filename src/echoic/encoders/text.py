"""Encodes words into the space of sounds: a vector for each word, their mean, and a small network.

Of a text only its words count, not their order, their case, accents or punctuation, but for commas,
semicolons and ``and``: what stands between them names a sound each, and the text lies half way between these.
A word that is not known by itself may be one by its beginning and its ending, as ``caterwaul`` and ``##ing``;
others are left out. Words such as ``the`` count beside others, as they did when the network was taught, and
name no sound alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from echoic.encoders.base import normalize
from echoic.errors import UsageError
from echoic.types import Float32
from echoic.untrusted import read_arrays, shown

__all__ = ["TextTower", "Vocabulary", "split"]

# Words of grammar; the last line is what apostrophes leave. "Can", a tin, and its like are none.
_GRAMMAR = frozenset(
    """
    a an the this that these those some any each every such
    of to in on at by for from with without into onto upon about as than during while
    and or but nor if then so not also too very just only
    i you he she it we they me him us them my your his her its our their who whose which what
    is am are was were be been being do does did done has have had having would could should shall might must
    there here where when why how
    s t d m ll re ve
    """.split()
)

_SHORTEST_STEM = 3  # letters
_MOST_WORDS = 64  # of a text that count; who describes a sound uses fewer
_ENDING = "##"
_LAYERS = ("first", "second")
_BETWEEN = re.compile(r"[,;\n]|\band\b", re.IGNORECASE)


def split(text: str) -> list[str]:
    """Divide a text into words, in lower case and without accents.

    A letter that stands three times or more stands there twice: nobody agrees on how long a boing is.

    Examples
    --------
    >>> split("Boooing! A café's door")
    ['booing', 'a', 'cafe', 's', 'door']
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.findall(r"[^\W_]+", re.sub(r"([^\W\d_])\1{2,}", r"\1\1", plain))


class Vocabulary:
    """The words that are known, and the endings that a known word may have.

    Parameters
    ----------
    words : sequence of str
        As :func:`split` gives them; endings begin with ``##``.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._numbers = {word: number for number, word in enumerate(words)}

    def numbers(self, text: str) -> list[int]:
        """List the numbers of a text's words, in its order; what is not known is left out.

        Of a text of nothing but words of grammar there are none.
        """
        found: list[int] = []
        words = split(text)
        if _GRAMMAR.issuperset(word for word in words if self._of_word(word)):
            return found
        for word in words:
            found += self._of_word(word)
        return found[:_MOST_WORDS]

    def unknown(self, text: str) -> list[str]:
        """List the words of a text that are left out, each once, in its order."""
        return [
            word for word in dict.fromkeys(split(text)) if word not in _GRAMMAR and not self._of_word(word)
        ]

    def _of_word(self, word: str) -> list[int]:
        if (number := self._numbers.get(word)) is not None:
            return [number]
        for at in range(len(word) - 1, _SHORTEST_STEM - 1, -1):  # the longest stem is meant
            stem, ending = self._numbers.get(word[:at]), self._numbers.get(_ENDING + word[at:])
            if stem is not None and ending is not None:
                return [stem, ending]
        return []


class TextTower:
    """Turns texts into unit vectors of a space of sounds.

    Parameters
    ----------
    content : bytes
        An NPZ archive: ``words``, the vocabulary in UTF-8, a line each; ``vectors``, (words, width) int8,
        with ``scale``, (words,), by which each is multiplied; of two layers, ``first_weight``, (hidden,
        width), ``first_bias``, ``second_weight``, (dim, hidden), ``second_bias``.
    dim : int
        Of the space.

    Raises
    ------
    ValueError
        If it holds something else; the message is part of a sentence.
    """

    def __init__(self, content: bytes, dim: int) -> None:
        arrays = read_arrays(content)
        self._vocabulary = Vocabulary(_check(arrays, dim))
        self._vectors, self._scale = arrays["vectors"], arrays["scale"].astype(np.float32)
        (self._first, self._first_bias), (self._second, self._second_bias) = (
            (arrays[f"{layer}_weight"].astype(np.float32), arrays[f"{layer}_bias"].astype(np.float32))
            for layer in _LAYERS
        )

    def encode(self, texts: Sequence[str]) -> Float32:
        """Encode texts → (n, dim), of length 1 each; each alone as in a batch.

        Raises
        ------
        UsageError
            If no word of one of them is known, or none of them names a sound.
        """
        return np.concatenate([self._second.T[:0], *map(self._encoded, texts)])

    def unknown(self, text: str) -> list[str]:
        """List the words of a text that are not known and passed over."""
        return self._vocabulary.unknown(text)

    def _encoded(self, text: str) -> Float32:
        # Sums depend on the order in their last digit, and the order shall not count.
        parts = sorted(sorted(self._vocabulary.numbers(part)) for part in _BETWEEN.split(text))
        known = [numbers for numbers in parts if numbers]
        if not known:
            why = "is known" if self.unknown(text) else "names a sound"
            raise UsageError(
                f"none of the words in {shown(text)} {why}; describe the sound in plain English words"
            )
        means = np.stack(
            [(self._vectors[numbers] * self._scale[numbers, None]).mean(axis=0) for numbers in known]
        )
        hidden = np.maximum(means @ self._first.T + self._first_bias, 0)
        return normalize(normalize(hidden @ self._second.T + self._second_bias).mean(axis=0, keepdims=True))


def _check(arrays: Mapping[str, Any], dim: int) -> list[str]:
    """Return the words, or raise ValueError where the arrays are not those of a tower."""
    layers = {f"{layer}_{part}" for layer in _LAYERS for part in ("weight", "bias")}
    if arrays.keys() != {"words", "vectors", "scale", *layers}:
        raise ValueError(f"it holds {shown(sorted(arrays))}")
    try:
        words: list[str] = arrays["words"].tobytes().decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError("its words are no text in UTF-8") from error
    width, hidden = arrays["vectors"].shape[-1:], arrays["first_bias"].shape[-1:]
    due = {
        "vectors": (len(words), *width),
        "scale": (len(words),),
        "first_weight": (*hidden, *width),
        "first_bias": hidden or (1,),
        "second_weight": (dim, *hidden),
        "second_bias": (dim,),
    }
    for name, shape in due.items():
        if arrays[name].shape != shape:
            raise ValueError(f"its {name} have the shape {arrays[name].shape} where {shape} is due")
        if arrays[name].dtype.kind not in "if" or not np.isfinite(arrays[name]).all():
            raise ValueError(f"its {name} are no finite numbers")
    return words
