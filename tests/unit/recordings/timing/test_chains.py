"""Passages that two sequences of fingerprints share, and the line through what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.recordings.timing.chains import Hits, find_chains, fit_line, hits_between
from echoic.types import Segments

HOP, DIM = 0.5, 128


def fingerprints(places, seed, noise=0.0):
    """Vectors that turn steadily with time, as those of overlapping windows do: alike up to half a second."""
    track = np.random.default_rng(seed).normal(size=(2_000, DIM))
    whole = np.floor(np.asarray(places)).astype(int)
    part = (np.asarray(places) - whole)[:, None]
    vectors = np.cos(part * np.pi / 2) * track[whole] + np.sin(part * np.pi / 2) * track[whole + 1]
    vectors = vectors + noise * np.random.default_rng(seed + 1).normal(size=vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def segments(vectors, hop):
    starts = hop * np.arange(len(vectors))
    return Segments(starts, starts + 1.0, vectors)


def test_each_passage_that_two_share_is_a_chain() -> None:
    known = segments(fingerprints(HOP * np.arange(400), 0), HOP)
    times = 0.4 * np.arange(300)
    mine = np.concatenate(
        [
            fingerprints(30 + times[:100], 0, 0.3),
            fingerprints(times[:100], 9),
            fingerprints(60 + times[200:], 0),
        ]
    )
    chains = find_chains(hits_between(segments(mine, 0.4), known))
    assert len(chains) == 2
    for chain, offset, start, end in zip(
        sorted(chains, key=lambda chain: chain.times[0]), (30, 60), (0, 80), (40, 120), strict=True
    ):
        found, speed, near = fit_line(chain.times, chain.places)
        assert found + speed * (start + end) / 2 == pytest.approx(offset + (start + end) / 2, abs=0.1)
        assert speed == pytest.approx(1, abs=0.01)
        assert near.mean() > 0.9
        assert (chain.times[0], chain.times[-1]) == pytest.approx((start, end), abs=2)


def test_a_passage_ends_where_the_next_begins_though_some_windows_go_on_by_chance() -> None:
    times = 0.2 * np.arange(75)
    strays = np.array([15.4, 17.0, 18.2, 20.6, 23.0])
    rows = np.concatenate([times, strays, 15 + times])
    order = np.argsort(rows, kind="stable")
    places = np.concatenate([times, strays + 0.2, 20 + times])[order]
    weights = np.concatenate([np.full(75, 0.4), np.full(5, 0.3), np.full(75, 0.4)])[order]
    one, other = find_chains(Hits(np.arange(len(rows)), rows[order], places, weights))[:2]
    one, other = sorted((one, other), key=lambda chain: chain.times[0])
    assert (one.times[0], one.times[-1]) == pytest.approx((0, 15), abs=1)
    assert (other.times[0], other.times[-1]) == pytest.approx((15, 30), abs=1)


def laid(*passages):
    """Hits of passages (from, to, offset, weight of each), 8 a second."""
    hits = [(t, t + by, w) for a, b, by, w in passages for t in np.arange(a, b, 0.125).tolist()]
    times, places, weights = (np.array(column) for column in zip(*sorted(hits), strict=True))
    return Hits(np.unique(times, return_inverse=True)[1], times, places, weights)


@pytest.mark.parametrize("back", [-11.0, -30.0])
def test_what_lies_in_order_is_taken_where_it_explains_about_as_much(back: float) -> None:
    looping = [(20, 38, 25.0, 0.45), (40, 58, back, 0.46)]  # a little better than what lies in order
    chains = find_chains(laid((0, 20, 0, 0.45), (20, 40, 1, 0.45), (40, 60, 2, 0.45), *looping))
    lines = sorted((float(c.times[0]), float(np.median(c.places - c.times))) for c in chains)
    assert lines == [(0, 0), (20, 1), (40, 2)]


def test_what_was_moved_back_is_found_where_nothing_else_explains_it() -> None:
    chains = find_chains(laid((0, 30, 30, 0.45), (30, 60, -30, 0.45)))
    assert sorted(float(np.median(c.places - c.times)) for c in chains) == [-30, 30]


def test_a_chain_over_many_cuts_is_no_slanted_line() -> None:
    steps = [(9 * n, 9 * n + 9, 1.0 * n, 0.45) for n in range(8)]
    joints = [(9 * n - 0.4, 9 * n + 0.4, n - 0.5, 0.3) for n in range(1, 8)]  # windows that have some of both
    chains = [chain for chain in find_chains(laid(*steps, *joints)) if np.ptp(chain.times) > 4]
    assert len(chains) == 8
    for chain in chains:
        _, speed, near = fit_line(chain.times, chain.places)
        assert near.all()
        assert speed == pytest.approx(1, abs=0.01)


def test_what_has_nothing_in_common_has_no_chain_of_weight() -> None:
    known = segments(fingerprints(HOP * np.arange(400), 0), HOP)
    others = segments(fingerprints(np.arange(300) * 0.4, 5), 0.4)
    assert all(chain.weight < 3 for chain in find_chains(hits_between(others, known)))
    nothing = segments(np.empty((0, DIM), np.float32), 0.4)
    assert find_chains(hits_between(nothing, known)) == find_chains(hits_between(known, nothing)) == []


@settings(max_examples=30)
@given(st.floats(-500, 500), st.sampled_from([1.0, 0.96, 1.07]), st.integers(6, 40), st.integers(0, 2**16))
def test_the_line_is_found_among_stretches_that_went_wrong(
    offset: float, speed: float, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 300, n))
    places = offset + speed * times + rng.normal(0, 0.03, n)
    wrong = rng.random(n) < 0.3
    places[wrong] = rng.uniform(-800, 800, wrong.sum())
    if (~wrong).sum() < 4 or np.ptp(times[~wrong]) < 30:
        return
    found, pace, near = fit_line(times, places)
    middle = times[~wrong].mean()
    assert found + pace * middle == pytest.approx(offset + speed * middle, abs=0.15)
    assert pace == pytest.approx(speed, abs=0.01)
    assert near[~wrong].mean() > 0.9


def test_a_cut_is_no_slant() -> None:
    times = np.arange(0, 120, 0.5)
    places = times + np.where(times < 65, 0.0, 0.8)
    offset, speed, near = fit_line(times, places)
    assert (offset, speed) == pytest.approx((0, 1), abs=1e-6)
    assert (near == (times < 65)).all()
