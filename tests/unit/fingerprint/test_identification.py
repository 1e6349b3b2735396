"""Stretches, and how what they say is put together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.errors import EncoderError
from echoic.fingerprint import identification
from echoic.fingerprint.alignment import FEATURES
from echoic.fingerprint.decision import Decision, expanded
from echoic.fingerprint.identification import identify
from echoic.types import EncoderSpec, Segments
from tests.unit.fingerprint.test_alignment import (
    COHORT,
    DIM,
    HOP,
    RECORDINGS,
    SHELF,
    WINDOW,
    Recording,
    heard,
)

SPEC = EncoderSpec("test", "1", 8_000, WINDOW, HOP, DIM)
AT = FEATURES.index("over_best_other")


def by_margin() -> Decision:
    """Decide by the margin over the best other recording alone."""
    n = 2 * len(FEATURES) - 1
    weights = np.zeros(n)
    weights[AT] = 40.0
    return Decision("1", COHORT, np.zeros(n), np.ones(n), weights, bias=-4.0, threshold=0.5)


def after(one: Segments, other: Segments) -> Segments:
    """Play one after the other."""
    shift = one.starts[-1] + 0.128
    return Segments(
        np.concatenate([one.starts, other.starts + shift]),
        np.concatenate([one.ends, other.ends + shift]),
        np.concatenate([one.vectors, other.vectors]),
    )


def in_bits(query: Segments, n: int):
    for at in range(0, len(query), n):
        rows = slice(at, at + n)
        yield Segments(query.starts[rows], query.ends[rows], query.vectors[rows])


def found(query: Segments, n: int = 7, **options: float):
    return list(identify(in_bits(query, n), SHELF, SPEC, SHELF.starts.__getitem__, by_margin(), **options))


def test_a_short_query_is_one_match() -> None:
    [match] = found(heard(RECORDINGS[2], 12.0, 1.0, 6.0, noise=0.3))
    assert match.file_id == 2
    assert (match.query_start, match.query_end) == pytest.approx((0, 6), abs=0.3)
    assert (match.start, match.end) == pytest.approx((12, 18), abs=0.3)
    assert match.tempo == 1.0
    assert match.score > 0.9


def test_a_long_query_of_two_recordings_and_a_stranger() -> None:
    stranger = heard(Recording(99), 0, 1.0, 30.0)
    query = after(
        after(heard(RECORDINGS[1], 5, 1.0, 40), stranger), heard(RECORDINGS[3], 2, 1.04, 40, noise=0.3)
    )
    first, second = found(query)
    assert (first.file_id, second.file_id) == (1, 3)
    assert (first.query_start, first.query_end) == pytest.approx((0, 40), abs=2.5)
    assert (first.start, first.end) == pytest.approx((5, 45), abs=2.5)
    assert second.query_start == pytest.approx(70, abs=3.5)
    assert second.tempo == pytest.approx(1.04, abs=0.01)


def test_nothing_is_found_in_strangers_and_in_nothing() -> None:
    assert found(heard(Recording(98), 0, 1.0, 50.0)) == []
    assert found(Segments(np.empty(0), np.empty(0), np.empty((0, DIM), np.float32))) == []


def test_the_pieces_in_which_a_query_comes_do_not_matter() -> None:
    query = after(heard(RECORDINGS[1], 5, 1.0, 25), heard(RECORDINGS[0], 5, 1.0, 25))
    assert found(query, 1) == found(query, 50) == found(query, 10_000)


def test_what_is_told_is_as_probable_as_was_asked() -> None:
    query = heard(RECORDINGS[2], 12.0, 1.0, 6.0, noise=1.5)
    [match] = found(query, least=0.0)
    assert found(query, least=match.score - 1e-6) == [match]
    assert found(query, least=match.score + 1e-6) == []


def test_memory_does_not_grow_with_the_query() -> None:
    query = heard(Recording(97, 300.0), 0, 1.0, 290.0)
    stretches = list(identification.stretches(in_bits(query, 8)))
    assert len(stretches) > 50
    assert max(len(stretch) for stretch, _ in stretches) <= 15 / 0.128
    assert [is_last for _, is_last in stretches] == [False] * (len(stretches) - 1) + [True]


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12))
def test_the_best_run_is_the_best_of_all(values: list[float]) -> None:
    first, last = identification._best_run(np.array(values))
    sums = [sum(values[a : b + 1]) for a in range(len(values)) for b in range(a, len(values))]
    assert sum(values[first : last + 1]) == pytest.approx(max(sums))


def test_a_decision_comes_back_as_it_was_saved(tmp_path) -> None:
    decision = by_margin()
    decision.save(tmp_path / "d.npz")
    back = Decision.load(SPEC, tmp_path / "d.npz")
    assert np.sum(back.cohort * decision.cohort, axis=1).min() > 0.9999
    evidence = np.random.default_rng(0).normal(size=len(FEATURES))
    assert back.probability(evidence) == decision.probability(evidence)
    assert back.threshold == decision.threshold


def test_more_margin_is_more_probable() -> None:
    evidence = np.zeros(len(FEATURES))
    probabilities = []
    for margin in (-0.2, 0.0, 0.1, 0.3):
        evidence[AT] = margin
        probabilities.append(by_margin().probability(evidence))
    assert probabilities == sorted(probabilities)
    assert 0 < probabilities[0] < probabilities[-1] < 1


def test_evidence_counts_more_the_longer_it_holds() -> None:
    rows = np.ones((2, len(FEATURES)))
    rows[1, -1] = 4.0
    short, long = expanded(rows)
    assert short.shape == (2 * len(FEATURES) - 1,)
    np.testing.assert_array_equal(long[len(FEATURES) :] - short[len(FEATURES) :], 3.0)


def test_a_decision_for_another_model_or_none_is_refused(tmp_path) -> None:
    path = tmp_path / "d.npz"
    by_margin().save(path)
    with pytest.raises(EncoderError, match="another revision"):
        Decision.load(EncoderSpec("test", "2", 8_000, WINDOW, HOP, DIM), path)
    with pytest.raises(EncoderError, match="cannot be read"):
        Decision.load(SPEC, tmp_path / "gone.npz")
    path.write_bytes(b"PK nothing")
    with pytest.raises(EncoderError, match="cannot be read"):
        Decision.load(SPEC, path)
