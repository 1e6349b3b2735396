"""Finding words in the transcripts of a library, and what is said around what was found otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from echoic.errors import UsageError
from echoic.search.query import Scope
from echoic.search.ranking import FileMatch
from echoic.storage.folding import fold
from echoic.storage.transcripts import LONGEST, Place, Transcripts
from echoic.types import Word
from echoic.untrusted import shown

__all__ = ["AROUND", "TRANSCRIPTS", "Written", "find_written", "spelt"]

#: What a hit in a transcript is told to be found by, where an encoder's name could stand.
TRANSCRIPTS = "transcripts"
#: Words that are told before a phrase, and after it.
AROUND = 6
_LONGEST_PAUSE = 3.0  # s within a phrase
_PARTED_OTHERWISE = 0.9  # of the probability: "the rapist" is written for "therapist", now and then
# How likely a word is the one that was said, by how sure whoever wrote it down was of it: of words of
# telephone prompts of which Whisper was .1 to .5 sure, .7 were right, of those that it was .9 sure of, .95.
_OFFSET, _OF_SURENESS = 0.5, 0.48


class Written(NamedTuple):
    """Where a phrase is written in a transcript, and it with the words around."""

    match: FileMatch
    words: str


def find_written(transcripts: Transcripts, phrase: str, scope: Scope, least: float) -> Iterator[Written]:
    """Find all places where a phrase is written, with a probability of ``least`` or more.

    Raises
    ------
    UsageError
        If the phrase has no words, or too many.
    """
    tokens = fold(phrase.split())
    if not tokens:
        raise UsageError(f"{shown(phrase)} has no letters or digits to look for")
    if len(tokens) > LONGEST:
        raise UsageError(f"the phrase to look for has {len(tokens)} words; use {LONGEST} at most")
    for place in transcripts.find(tokens, AROUND):
        if scope.holds(place.file_id) and _is_in_one_go(place.words):
            chance = _probability(place)
            if chance >= least:
                start, end = place.words[0].start, place.words[-1].end
                whole = spelt([*place.before, *place.words, *place.after])
                whole = f"{place.voice}: {whole}" if place.voice else whole
                yield Written(FileMatch(place.file_id, start, end, chance), whole)


def _is_in_one_go(words: Sequence[Word]) -> bool:
    return all(after.start - before.end <= _LONGEST_PAUSE for before, after in pairwise(words))


def _probability(place: Place) -> float:
    """Say how sure it is that the words are said: the geometric mean of how sure each is."""
    logarithms = (math.log(_OFFSET + _OF_SURENESS * word.probability) for word in place.words)
    chance = math.exp(math.fsum(logarithms) / len(place.words))
    return chance * (1.0 if place.is_parted_so else _PARTED_OTHERWISE)


def spelt(words: Sequence[Word]) -> str:
    """Write words as they stand in their lines, in one."""
    return " ".join("".join(word.text for word in words).split())
