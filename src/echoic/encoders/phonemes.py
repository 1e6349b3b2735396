"""``phonemes``: which sounds of speech are said, 50 times a second, and which sounds words are made of.

The graph is a recogniser's, run as its publisher made it: a waveform and its length → logarithms of the
probabilities of its symbols. Those of English are kept, each with what is written otherwise and sounds the
same. Two more graphs and a list of symbols, beside the first, turn spelling into the same symbols.

References
----------
Graves et al., "Connectionist temporal classification", ICML 2006.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from echoic.encoders.base import check_vectors, no_vectors
from echoic.encoders.card import SUFFIXES, Card
from echoic.encoders.graph import Graph
from echoic.encoders.onnx import OnnxEncoder, started
from echoic.encoders.spelling import LETTERS, not_read, read_out
from echoic.errors import EncoderError, UsageError, quoted
from echoic.types import Float32
from echoic.untrusted import shown

__all__ = ["SOUNDS", "SYMBOLS", "PhonemeEncoder", "sounds_of"]

#: The sounds of English, in the International Phonetic Alphabet.
SOUNDS = tuple(
    "n t ɹ ɪ d s i l ə m æ ɛ ð h f k z ɔ w p ɝ ɑ b oʊ eɪ aɪ v θ ʃ g u ʌ ŋ aʊ j t͡ʃ ʊ d͡ʒ ʒ ɔɪ ɾ".split()
)
#: What the numbers of a vector stand for.
SYMBOLS = (*SOUNDS, "another sound", "border", "blank")

_BORDER, _BLANK = "<wb>", "<blank>"
_ALIKE = {
    "ɡ": "g",
    "ɫ": "l",
    "r": "ɹ",
    "ɚ": "ɝ",
    "ɜ": "ɝ",
    "o": "oʊ",
    "e": "eɪ",
    "ɨ": "ɪ",
    "ɐ": "ʌ",
    "a": "ɑ",
}
_ALIKE |= {"ɒ": "ɑ", _BORDER: "border", _BLANK: "blank"}
# Sounds that are taken for each other, by speakers and by the network, and how much one counts for another.
_KIN_WEIGHT = 0.1
_KIN = "ɑ ɔ|ʌ ə ɪ ɛ ʊ|ɝ ə ɹ|ɪ i|ʊ u|ɾ t d|oʊ ɔ|eɪ ɛ|æ ɛ|t͡ʃ ʃ|d͡ʒ ʒ|θ ð|s z|ɑ ʌ|aʊ oʊ|æ ɑ|ŋ n|v f|i ə".split(
    "|"
)

# The network hears little in a clip that begins and ends with its sound, and little beside digital silence.
_AROUND = 1.0  # s of noise before and behind
_NOISE = 3e-4  # its RMS, −70 dBFS
_SAMPLES_A_FRAME = 320
_LONGEST_WORD = 32  # letters; of a longer one no more are spelt
_MOST_SOUNDS = 48  # of a word
_START, _END = 1, 2  # symbols by which spelling begins and ends

# Spelt by rule they would be said otherwise.
_ODD = {
    "one": "wʌn",
    "ones": "wʌnz",
    "don't": "doʊnt",
    "won't": "woʊnt",
    "can't": "kænt",
    "i'm": "aɪm",
    "i": "aɪ",
}
_ENDINGS = {"n't": "ənt", "'re": "ɹ", "'ve": "v", "'ll": "l", "'d": "d", "'m": "m"}
_HISSES, _VOICELESS = ("s", "z", "ʃ", "ʒ", "t͡ʃ", "d͡ʒ"), ("p", "t", "k", "f", "θ")
_BY_LENGTH = sorted((*SOUNDS, *_ALIKE), key=len, reverse=True)


class PhonemeEncoder(OnnxEncoder):
    """An encoder that phrases are found by; see :class:`~echoic.encoders.base.PhraseEncoder`."""

    def __init__(self, path: Path, card: Card) -> None:
        super().__init__(path, card)
        if card.spec.dim != len(SYMBOLS) or card.spec.frame_rate is None:
            raise EncoderError(f"the card of {quoted(path)} is not one of phonemes: it lacks their number")

    def _check_graph(self, graph: Graph) -> None:
        names = [tensor.name for tensor in graph.inputs]
        if names != [self._card.input, f"{self._card.input}_lengths"]:
            raise ValueError(
                f"its graph takes {' and '.join(names) or 'nothing'}, no waveform and its length"
            )
        if self._card.output not in [tensor.name for tensor in graph.outputs]:
            raise ValueError(f"its graph does not give {self._card.output}")

    @cached_property
    def _spelling(self) -> _Spelling:
        content = self._read_beside("symbols", "to spell by")
        try:
            told = json.loads(content)
            letters, symbols = told["encoder"], told["decoder"]
            if not all(isinstance(one, str) for one in (*letters, *symbols)):
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            path = self.path.with_suffix(SUFFIXES["symbols"])
            raise EncoderError(
                f"{quoted(path)} is no list of letters and symbols; add the model again"
            ) from error
        graphs = []
        for kind in ("letters", "sounds"):
            self._graph_beside(kind)
            graphs.append(started(self.path.with_suffix(SUFFIXES[kind]), self.n_threads))
        return _Spelling(letters, symbols, *graphs)

    @cached_property
    def _columns(self) -> Float32:
        """Which symbols of the network are which of ours, (theirs, ours)."""
        theirs = [*self._spelling.symbols, _BORDER, _BLANK]
        columns = np.zeros((len(theirs), len(SYMBOLS)), np.float32)
        for row, symbol in enumerate(theirs):
            ours = _ALIKE.get(symbol, symbol)
            columns[row, SYMBOLS.index(ours if ours in SYMBOLS else "another sound")] = 1
        return columns

    def encode(self, features: Float32) -> Float32:
        """Encode windows, each by itself: what it is taken for depends on how long its sound is."""
        if not len(features):
            return no_vectors(self.spec)
        n_frames = features.shape[1] // _SAMPLES_A_FRAME
        vectors = np.zeros((len(features), n_frames, self.spec.dim), np.float32)
        vectors[:, :, -1] = 1  # where there is nothing, nothing is said
        noise = _noise(features.shape[1] + 2 * round(_AROUND * self.spec.sample_rate))
        for row, samples in zip(vectors, features, strict=True):
            sounding = np.flatnonzero(samples)
            sound = samples[: sounding[-1] + 1] if len(sounding) else samples[:0]
            before = 0
            if len(sound) < len(samples):
                before = round(_AROUND * self.spec.sample_rate)
                sound = np.pad(sound, (before, before))
            found = self._heard(sound + noise[: len(sound)])[before // _SAMPLES_A_FRAME :]
            row[: len(found)] = found[:n_frames]
        return check_vectors(self.spec, len(features), vectors)

    def _heard(self, samples: Float32) -> Float32:
        length = np.array([len(samples)], np.int64)
        given = {self._card.input: samples[None], f"{self._card.input}_lengths": length}
        logarithms: Float32 = self._session.run([self._card.output], given)[0][0]
        if logarithms.shape[1:] != self._columns.shape[:1]:
            raise EncoderError(
                f"the model {quoted(self.path)} has other symbols than lie beside it; add it again"
            )
        amplitudes = np.sqrt(np.exp(logarithms) @ self._columns)
        amplitudes /= np.linalg.norm(amplitudes, axis=1, keepdims=True)
        return amplitudes

    def spell(self, phrase: str) -> Float32:
        """Turn words into sounds; see :class:`~echoic.encoders.base.PhraseEncoder`."""
        if unread := not_read(phrase):
            raise UsageError(
                f"{shown(unread[0])} cannot be read out: use English words in the letters a to z, and numbers"
            )
        words = read_out(phrase)
        sounds = [sound for word in words for sound in sounds_of(word, self._spelling)]
        if not sounds:
            raise UsageError(
                f"{shown(phrase)} has no word that can be read out: use English words in the letters a to z, "
                "and numbers"
            )
        rows = np.zeros((len(sounds), len(SYMBOLS)), np.float32)
        for row, sound in zip(rows, sounds, strict=True):
            for kin in _KIN:
                if sound in kin.split():
                    row[[SYMBOLS.index(other) for other in kin.split()]] = _KIN_WEIGHT
            row[SYMBOLS.index(sound)] = 1
        return rows


class _Spelling:
    """Spells words with a network that reads letters and writes symbols one after the other."""

    def __init__(self, letters: Sequence[str], symbols: Sequence[str], reader: Any, writer: Any) -> None:
        self.symbols = symbols
        self._letters = {letter: number for number, letter in enumerate(letters)}
        self._reader = reader
        self._writer = writer

    def __call__(self, word: str) -> str:
        numbers = [self._letters.get(letter, 1) for letter in word[:_LONGEST_WORD]]
        given = {
            "input_ids": np.array([numbers], np.int64),
            "input_lengths": np.array([len(numbers)], np.int64),
        }
        names = ["encoder_outputs", "projected_keys", "hidden", "encoder_mask", "prev_attn"]
        state = dict(zip(names, self._reader.run(names, given), strict=True))
        state["positions"] = np.arange(state["encoder_outputs"].shape[1], dtype=np.float32)[None]
        number, written = _START, ""
        for _ in range(_MOST_SOUNDS):
            state["decoder_input_ids"] = np.array([[number]], np.int64)
            names = ["next_token_ids", "hidden_out", "prev_attn_out"]
            (number,), state["hidden"], state["prev_attn"] = self._writer.run(names, state)
            if number == _END:
                break
            written += self.symbols[number]
        return written


def sounds_of(word: str, spelling: Any) -> list[str]:
    """Spell a word of the letters a to z and apostrophes as sounds of ``SOUNDS``.

    Parameters
    ----------
    spelling : callable
        Spells a plain word in the International Phonetic Alphabet.

    Examples
    --------
    >>> sounds_of("cat's", {"cat": "kæt"}.get)
    ['k', 'æ', 't', 's']
    """
    if word in _ODD:
        return _parsed(_ODD[word])
    if len(word) == 1 or (len(word) <= 5 and not re.search("[aeiouy]", word)):  # a letter, or an acronym
        return _parsed("".join(LETTERS.get(letter, "") for letter in word))
    for ending, sound in _ENDINGS.items():
        if word.endswith(ending) and len(word) > len(ending):
            return sounds_of(word.removesuffix(ending), spelling) + _parsed(sound)
    if word.endswith("'s") and len(word) > 2:
        stem = sounds_of(word.removesuffix("'s"), spelling)
        last = stem[-1] if stem else ""
        return stem + (["ɪ", "z"] if last in _HISSES else ["s"] if last in _VOICELESS else ["z"])
    return _parsed(spelling(word.replace("'", "")))


def _parsed(written: str) -> list[str]:
    """Divide what is written in the International Phonetic Alphabet into sounds; what is none is left out."""
    sounds = []
    while written:
        symbol = next((one for one in _BY_LENGTH if written.startswith(one)), "")
        if symbol:
            sounds.append(_ALIKE.get(symbol, symbol))
        written = written[len(symbol) or 1 :]
    return sounds


@lru_cache(maxsize=4)
def _noise(n: int) -> Float32:
    return np.random.default_rng(0).normal(0, _NOISE, n).astype(np.float32)
