"""How alike things are is judged by what is usual; of occurrences on each other one is told."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.encoders.base import normalize
from echoic.search.likeness import Background, probability
from echoic.search.occurrences import apart

DIM = 16


def vectors(n, seed=0, around=None, spread=1.0):
    found = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32) * spread
    return normalize(found if around is None else found + around)


def eighths(some):
    return np.rint(some * 127).astype(np.int8)


def test_what_is_like_nothing_else_counts_for_more():
    common, rare = vectors(2, seed=1)
    drawn = np.concatenate([vectors(300, seed=2), vectors(60, seed=3, around=common * 3, spread=0.3)])
    background = Background(drawn)
    near_common = vectors(1, seed=4, around=common * 3, spread=0.3)
    near_rare = vectors(1, seed=4, around=rare * 3, spread=0.3)
    of_common = background.to(background.seen(common[None])[0])(eighths(near_common), -np.inf)[0]
    of_rare = background.to(background.seen(rare[None])[0])(eighths(near_rare), -np.inf)[0]
    assert of_rare > of_common + 0.3


@pytest.mark.parametrize("n", [0, 1, 2, 30, 500])
def test_the_same_is_found_in_a_library_of_any_size(n):
    asked = vectors(1, seed=9)[0]
    numbers = eighths(np.concatenate([asked[None], vectors(40, seed=5)]))
    background = Background(vectors(n, seed=6))
    likeness = background.to(background.seen(asked[None])[0])(numbers, -np.inf)
    assert likeness.argmax() == 0
    assert np.isfinite(likeness).all()
    assert probability(likeness)[0] > 0.5


def test_what_matters_not_is_left_out_and_nothing_else():
    background = Background(vectors(200))
    asked = background.seen(vectors(1, seed=7))[0]
    numbers = eighths(vectors(300, seed=8))
    whole, some = (background.to(asked)(numbers, least) for least in (-np.inf, 0.1))
    reaching = whole >= 0.1
    np.testing.assert_array_equal(whole[reaching], some[reaching])
    assert (some[~reaching] < 0.1).all()


def test_probabilities_ascend_from_0_to_1():
    likeness = np.array([-np.inf, -1000, -1, 0, 0.5, 1, 1000], np.float32)
    chances = probability(likeness)
    assert chances[0] == 0
    assert (np.diff(chances) >= 0).all()
    assert chances[-1] <= 1


@settings(max_examples=50, deadline=None)
@given(
    spans=st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 5), st.floats(0, 1)), max_size=12),
    least=st.floats(0, 1),
)
def test_occurrences_do_not_lie_on_each_other(spans, least):
    starts, lengths, scores = np.array(spans, np.float64).reshape(-1, 3).T
    ends = starts + lengths
    chosen = apart(starts, ends, scores, least)
    assert (np.diff(starts[chosen]) >= 0).all()
    for at, row in enumerate(chosen):
        assert scores[row] >= least
        for other in chosen[:at]:
            shared = min(ends[row], ends[other]) - max(starts[row], starts[other])
            assert shared <= 0.5 * min(lengths[row], lengths[other]) + 1e-9
    # What is left out lies on something at least as sure.
    for row in set(np.flatnonzero((scores >= least) & (scores > 0)).tolist()) - set(chosen.tolist()):
        shared = np.minimum(ends[chosen], ends[row]) - np.maximum(starts[chosen], starts[row])
        shorter = np.minimum(lengths[chosen], lengths[row])
        assert ((shared > 0.5 * shorter) & (scores[chosen] >= scores[row])).any()
