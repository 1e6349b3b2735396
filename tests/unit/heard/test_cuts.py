"""Subtitles of another cut are told by where somebody speaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from echoic.heard.cuts import displaced
from echoic.heard.stretches import FRAME
from echoic.types import Cue, Word


def talked(n=40, seed=0):
    """Make lines of one to four seconds with pauses, and the voice in them."""
    rng = np.random.default_rng(seed)
    cues, at = [], 30.0
    for _ in range(n):
        length = rng.uniform(1, 4)
        cues.append(Cue(at, at + length, (Word(at, at + length, "word"),)))
        at += length + rng.choice([0.3, 0.8, 2, 5])
    chances = rng.uniform(0, 0.2, round((at + 60) / FRAME)).astype(np.float32)
    for cue in cues:
        chances[round(cue.start / FRAME) : round(cue.end / FRAME)] = rng.uniform(0.6, 1)
    return cues, chances


def moved(cues, seconds, since=0):
    return [
        replace(cue, start=cue.start + seconds, end=cue.end + seconds) if at >= since else cue
        for at, cue in enumerate(cues)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_subtitles_that_fit_are_taken(seed):
    cues, chances = talked(seed=seed)
    for shift in (0, 0.7, -0.7):
        assert displaced(moved(cues, shift), chances) is None
    assert displaced(cues, np.zeros(len(chances), np.float32)) is None  # a silent film
    assert displaced(cues, np.random.default_rng(0).uniform(0, 1, len(chances)).astype(np.float32)) is None
    assert displaced(cues[:5], chances) is None
    assert displaced([], chances) is None


@pytest.mark.parametrize("since", [0, 20])
@pytest.mark.parametrize("shift", [20, -20])
def test_where_20_s_were_inserted_they_are_not(since, shift):
    cues, chances = talked()
    begin, should = displaced(moved(cues, shift, since), chances)
    assert abs(should + shift) < 1
    assert begin >= moved(cues, shift, since)[max(0, since - 6)].start
