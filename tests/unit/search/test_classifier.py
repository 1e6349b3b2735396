"""Answers move what is expected where sounds are alike, and nowhere else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.encoders.base import normalize
from echoic.search.classifier import GaussianProcess
from echoic.search.concepts import share

DIM = 32


def vectors(n, seed=0):
    return normalize(np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    answers=st.lists(st.booleans(), min_size=1, max_size=12),
    expected=st.floats(-20, 20),
)
def test_what_was_answered_is_expected_more(seed, answers, expected):
    is_it = np.array(answers)
    some = vectors(len(answers), seed)
    process = GaussianProcess(some, np.full(len(answers), expected), is_it)
    added = process.added(some)
    assert np.isfinite(added).all()
    assert added.max() <= process.most + 1e-9
    if is_it.all() or not is_it.any():
        assert (added >= -1e-6).all() if is_it.all() else (added <= 1e-6).all()
    assert (process.variance(some) <= 1 + 1e-9).all()


def test_what_is_surprising_counts_for_more_and_far_away_for_nothing():
    one = vectors(1)
    added = [
        GaussianProcess(one, np.array([odds]), np.array([True])).added(one)[0] for odds in (4.0, 0.0, -4.0)
    ]
    assert added == sorted(added)
    process = GaussianProcess(one, np.array([-4.0]), np.array([True]))
    assert abs(process.added(-one)[0]) < 0.01
    assert process.variance(-one)[0] > 0.99 > process.variance(one)[0]


def test_no_answers_change_nothing():
    process = GaussianProcess(np.empty((0, DIM), np.float32), np.empty(0), np.empty(0, bool))
    assert process.most == 0
    assert (process.added(vectors(3)) == 0).all()
    assert (process.variance(vectors(3)) == 1).all()


@given(of=st.integers(1, 10_000), part=st.floats(0, 1))
def test_an_interval_holds_its_share(of, part):
    value, low, high = share(round(of * part), of)
    assert 0 <= low <= value + 1e-12
    assert value <= high + 1e-12 <= 1 + 2e-12


# Of R 4.3: prop.test(n, of, correct = FALSE)$conf.int
@pytest.mark.parametrize(("n", "of", "low", "high"), [(8, 10, 0.4902, 0.9433), (0, 5, 0.0, 0.4345)])
def test_intervals_are_those_of_wilson(n, of, low, high):
    np.testing.assert_allclose(share(n, of)[1:], (low, high), atol=1e-4)
