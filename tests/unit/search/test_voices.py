"""What a search for a voice tells of a file, by how sure it is to be."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from echoic.heard.voices import LIKELY, Speech
from echoic.search.voices import spans_of

HOP, WINDOW = 0.8, 1.6


def speech(cosines: list[float]) -> Speech:
    """Make windows that are so much like the first axis, the others' voice."""
    at = HOP * np.arange(len(cosines))
    near = np.array(cosines, np.float32)
    return Speech(at, at + WINDOW, np.stack([near, np.sqrt(1 - near**2)], axis=1), WINDOW)


@given(st.lists(st.floats(0.5, 1), max_size=30), st.floats(0.01, 0.99))
def test_to_ask_for_less_sure_ones_takes_nothing_away(cosines, least):
    heard, asked = speech(cosines), speech([1.0] * 5)
    surely = spans_of(heard, asked, LIKELY)
    told = spans_of(heard, asked, least)
    assert {span for span in surely if span[0] >= least} <= set(told)
    assert all(least <= chance <= 1 and start < end for chance, start, end in told)
    assert told == sorted(told, key=lambda span: (-span[0], span[1]))
