"""Spans against spans: what is right is counted as others count it."""

import mir_eval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from echoic.evaluation.detection import Call, Told, _which, detect

times = st.integers(0, 400).map(lambda n: n / 20)
lengths = st.integers(1, 60).map(lambda n: n / 20)
spans = st.tuples(st.sampled_from("ab"), times, lengths)


def calls_of(drawn):
    return [Call(path, start, start + length) for path, start, length in dict.fromkeys(drawn)]


def test_what_is_told_rightly_is_counted():
    calls = [Call("a", 1, 3), Call("a", 10, 12), Call("b", 5, 6), Call("b", 20, 21)]
    hits = [
        *(Told("a", 1.1, 3.0, 0.9), Told("a", 1.2, 2.9, 0.8), Told("b", 5.0, 6.4, 0.7)),
        *(Told("b", 40, 41, 0.6), Told("b", 50, 51, 0.5), Told("a", 10, 12, 0.4)),
    ]
    figures = detect(calls, hits, hours=1.0)
    assert (figures.n_calls, figures.n_hits) == (4, 6)
    assert figures.recall.value == 0.5
    assert figures.threshold == 0.6  # above which there is one false alarm: the second hit of one call
    assert figures.ends == pytest.approx(0.05)
    assert figures.average_precision == pytest.approx((1 + 2 / 3 + 3 / 6) / 4)
    assert detect(calls, hits, hours=2.0).recall.value == 0.5
    assert detect(calls, hits, hours=3.0).recall.value == 0.75
    assert detect(calls, hits, hours=1.0, false_alarms=0).recall.value == 0.25
    assert figures.f1 == pytest.approx(2 * 2 / (6 + 4))  # the third ends .4 s late
    assert detect(calls, hits, hours=1.0, collar=0.5).f1 == pytest.approx(2 * 3 / (6 + 4))
    nothing = detect(calls, [], hours=1.0)
    assert (nothing.recall.value, nothing.f1, nothing.average_precision) == (0, 0, 0)
    assert np.isnan(nothing.ends)


def test_an_interval_says_how_few_calls_there_were():
    calls = [Call("a", 0.0, 1.0)]
    none = detect(calls, [], 1.0).recall
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high > 0.5
    told = detect(calls, [Told("a", 0.0, 1.0, 1.0)], 1.0).recall
    assert (told.value, told.high) == (1.0, 1.0)
    assert told.low < 0.5


@settings(max_examples=60, deadline=None)
@given(st.lists(spans, min_size=1, max_size=8), st.lists(spans, max_size=10))
def test_the_event_based_f1_is_that_of_mir_eval(known, told):
    calls = calls_of(known)
    hits = [Told(path, start, start + length, 1.0) for path, start, length in told]
    figures = detect(calls, hits, hours=1.0)
    n_right = 0
    for number, path in enumerate("ab"):
        due = np.array([call[1:] for call in calls if call.path == path]).reshape(-1, 2)
        found = np.array([hit[1:3] for hit in hits if hit.path == path]).reshape(-1, 2)
        pitches = [np.full(len(some), 440.0 + number) for some in (due, found)]
        n_right += len(
            mir_eval.transcription.match_notes(
                *(due, pitches[0], found, pitches[1]),
                **{"onset_tolerance": 0.2, "offset_ratio": 0.2, "offset_min_tolerance": 0.2},
            )
        )
    assert figures.f1 == pytest.approx(2 * n_right / (len(hits) + len(calls)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(spans, min_size=1, max_size=8),
    st.lists(st.tuples(spans, st.integers(0, 5)), min_size=1, max_size=10),
)
def test_average_precision_is_that_of_sklearn(known, told):
    calls = calls_of(known)
    hits = [Told(path, start, start + length, score / 5) for (path, start, length), score in told]
    hits.sort(key=lambda hit: (-hit.score, hit.path, hit.start, hit.end))
    right = _which(calls, hits) >= 0
    due = right.sum() / len(calls)
    if right.any():  # of what was told; what was not told is never found
        expected = due * average_precision_score(right, [hit.score for hit in hits])
        assert detect(calls, hits, hours=1.0).average_precision == pytest.approx(expected)


@settings(max_examples=40, deadline=None)
@given(st.lists(spans, min_size=1, max_size=8), st.floats(0, 5))
def test_what_is_known_told_as_it_is_known_is_perfect(known, false_alarms):
    # Calls that lie on each other may be told for each other, at the same time.
    calls = calls_of([("a", 10.0 * number, length) for number, (_, _, length) in enumerate(known)])
    hits = [Told(*call, 0.5) for call in calls]
    figures = detect(calls, hits, hours=0.1, false_alarms=false_alarms)
    assert (figures.recall.value, figures.recall.high, figures.f1, figures.average_precision) == (1, 1, 1, 1)
    assert figures.ends == 0


def test_many_calls_that_lie_on_each_other_are_matched():
    calls = [Call("a", 0.0001 * number, 1.0) for number in range(300)]
    hits = [Told("a", 0.0001 * number, 1.0, 0.5) for number in range(300)]
    assert detect(calls, hits[::-1], hours=1.0).f1 == 1
