"""How often somebody may ask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.server.pace import Pace


@given(st.floats(0.2, 50), st.lists(st.floats(0, 3), max_size=200))
def test_no_stretch_of_time_has_more_requests_than_the_pace_and_a_burst_allow(rate, pauses):
    now = 0.0
    pace = Pace(rate, lambda: now)
    taken = []
    for pause in pauses:
        now += pause
        wait = pace.wait("a")
        if wait:
            now += wait * 1.0001  # who waits as told may ask
            assert not pace.wait("a")
        taken.append(now)
    for first, begin in enumerate(taken):
        for last, end in enumerate(taken[first:], first):
            assert last - first + 1 <= rate * (end - begin + 10) + 1.001


def test_each_has_a_pace_of_their_own():
    pace = Pace(1, lambda: 0.0)
    assert [pace.wait("a") for _ in range(11)] == [0.0] * 10 + [pytest.approx(1)]
    assert pace.wait("b") == 0


def test_few_are_kept_in_mind():
    pace = Pace(0.01, lambda: 0.0)
    for number in range(10_001):
        assert not pace.wait(str(number))
    assert pace.wait("10000") > 0
    assert not pace.wait("0")  # forgotten
