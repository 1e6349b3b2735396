"""Stretches, and how what they say is put together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.audio.front_end import Waveform
from echoic.encoders.registry import load_encoder
from echoic.errors import EncoderError
from echoic.recordings import parts
from echoic.recordings.decision import Decision, expanded
from echoic.recordings.evidence import FEATURES
from echoic.recordings.identification import Heard, _Detection, identify
from echoic.recordings.line import Line
from echoic.recordings.stretches import stretches as cut_into_stretches
from echoic.spec import EncoderSpec
from echoic.types import Float32, Segments
from tests.unit.recordings.test_alignment import (
    COHORT,
    DIM,
    HOP,
    RECORDINGS,
    SHELF,
    WINDOW,
    Recording,
    heard,
    shelf_of,
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
    return list(identify(in_bits(query, n), SHELF, SPEC, by_margin(), **options))


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


@pytest.mark.parametrize("seconds", [4.0, 5.0, 7.0, 9.0])
@pytest.mark.parametrize("order", [(1, 3), (3, 1, 4), (2, 5, 0, 2)])
def test_short_pieces_one_after_another_are_a_match_each(seconds: float, order: tuple[int, ...]) -> None:
    query = heard(RECORDINGS[order[0]], 10, 1.0, seconds)
    joins = []
    for number in order[1:]:
        joins.append(query.starts[-1] + 0.064 + WINDOW / 2)
        query = after(query, heard(RECORDINGS[number], 10, 1.0, seconds))
    matches = found(query)
    assert [match.file_id for match in matches] == list(order)
    edges = [0.0, *joins, query.ends[-1]]
    for match, begin, finish in zip(matches, edges[:-1], edges[1:], strict=True):
        assert (match.query_start, match.query_end) == pytest.approx((begin, finish), abs=0.3)
        assert match.tempo == 1.0


def test_a_piece_that_plays_twice_is_two_matches() -> None:
    once = heard(RECORDINGS[4], 20, 1.0, 6)
    one, other = found(after(once, once))
    # Between these windows there is none that hears both: the second begins half a window late.
    assert (one.start, other.start) == pytest.approx((20, 20 + WINDOW / 2), abs=0.3)
    assert one.query_end == pytest.approx(other.query_start, abs=0.3)


def test_a_piece_between_strangers_ends_where_it_ends() -> None:
    stranger = heard(Recording(96), 0, 1.0, 9.0)
    query = after(after(stranger, heard(RECORDINGS[5], 30, 1.0, 5)), heard(Recording(95), 0, 1.0, 9.0))
    [match] = found(query)
    begin = stranger.starts[-1] + 0.064 + WINDOW / 2
    assert (match.file_id, match.tempo) == (5, 1.0)
    assert match.query_start == pytest.approx(begin, abs=0.3)
    assert match.query_end == pytest.approx(begin + 5 - WINDOW, abs=0.5)


class Repeating(Recording):
    """The same few seconds at several places of a recording."""

    def __init__(self, seed: int, seconds: float, places: tuple[float, ...]) -> None:
        super().__init__(seed)
        self._seconds, self._places = seconds, places
        self._repeated = Recording(seed + 1_000)

    def at(self, centres: np.ndarray) -> np.ndarray:
        vectors = super().at(centres)
        for place in self._places:
            inside = (centres >= place) & (centres < place + self._seconds)
            vectors[inside] = self._repeated.at(centres[inside] - place)
        return vectors


def test_every_place_of_a_jingle_is_told_if_asked_for() -> None:
    programme = Repeating(30, 6.0, (5.0, 21.3, 44.9))
    shelf = shelf_of({**RECORDINGS, 7: programme})
    query = heard(programme, 21.3, 1.0, 6.0)

    def places(**options: bool) -> list[float]:
        matches = identify([query], shelf, SPEC, by_margin(), **options)
        return sorted(match.start for match in matches)

    assert places(every_place=True) == pytest.approx([5.0, 21.3, 44.9], abs=0.2)
    assert len(places()) == 1
    in_part = after(query, heard(Recording(94), 0, 1.0, 8.0))
    matches = identify([in_part], shelf, SPEC, by_margin(), every_place=True)
    assert [match.file_id for match in matches] == [7]


class Looping(Recording):
    """Bars of some length, repeated as they are after an intro."""

    def __init__(self, seed: int, bar: float, intro: float) -> None:
        super().__init__(seed)
        self._bar, self._intro = bar, intro

    def at(self, centres: np.ndarray) -> np.ndarray:
        return super().at(np.where(centres < self._intro, centres, self._intro + centres % self._bar))


def looped(query: Segments, bar: float, intro: float = 0.0) -> list[Heard]:
    shelf = shelf_of({**RECORDINGS, 7: Looping(40, bar, intro)})
    return list(identify(in_bits(query, 7), shelf, SPEC, by_margin()))


@pytest.mark.parametrize("noise", [0.0, 0.6])
@pytest.mark.parametrize("intro", [0.0, 9.0])
@pytest.mark.parametrize("bar", [2.0, 4.0, 5.3, 8.0, 16.0])
def test_one_airing_of_what_loops_is_one_match(bar: float, intro: float, noise: float) -> None:
    piece = Looping(40, bar, intro)
    seconds = piece.seconds
    [match] = looped(heard(piece, 0.0, 1.0, seconds, noise=noise), bar, intro)
    assert (match.file_id, match.tempo) == (7, 1.0)
    assert (match.query_start, match.query_end) == pytest.approx((0, seconds), abs=0.6)
    assert (match.start, match.end) == pytest.approx((0, seconds), abs=0.6)


@pytest.mark.parametrize("bar", [2.0, 8.0])
def test_an_airing_of_what_loops_amid_others_is_one_match(bar: float) -> None:
    piece, stranger = Looping(40, bar, 0.0), heard(Recording(99), 0, 1.0, 15.0)
    query = after(after(stranger, heard(piece, 3.0, 1.0, piece.seconds - 5, noise=0.3)), stranger)
    [match] = looped(query, bar)
    begin = stranger.starts[-1] + 0.064 + WINDOW / 2
    length = piece.seconds - 5 - WINDOW
    assert (match.query_start, match.query_end) == pytest.approx((begin, begin + length), abs=0.6)
    assert match.end - match.start == pytest.approx(length, abs=1.0)
    assert match.end <= piece.seconds + 0.3


def test_two_airings_of_what_loops_are_two_matches() -> None:
    piece, stranger = Looping(40, 4.0, 0.0), heard(Recording(99), 0, 1.0, 20.0)
    query = after(after(heard(piece, 5, 1.0, 20), stranger), heard(piece, 18, 1.0, 20))
    one, other = looped(query, 4.0)
    assert (one.query_start, one.query_end) == pytest.approx((0, 20), abs=1.0)
    assert other.query_start == pytest.approx(query.ends[-1] - 20, abs=1.0)


@pytest.mark.parametrize("speed", [0.96, 1.04])
def test_what_loops_and_plays_at_another_speed_is_one_match(speed: float) -> None:
    [match] = looped(heard(Looping(40, 8.0, 6.0), 4.0, speed, 50.0), 8.0, 6.0)
    assert match.tempo == pytest.approx(speed, abs=0.005)
    assert (match.query_start, match.query_end) == pytest.approx((0, 50), abs=0.6)
    assert (match.start, match.end) == pytest.approx((4, 4 + speed * 50), abs=0.6)


def test_files_may_be_asked_for_and_left_out() -> None:
    query = heard(RECORDINGS[2], 12.0, 1.0, 6.0)

    def files(**options: object) -> list[int]:
        matches = identify([query], SHELF, SPEC, by_margin(), **options)
        return [match.file_id for match in matches]

    assert files(without={2}) == files(within={1, 3}) == []
    assert files(without={1}) == files(within={2, 3}) == [2]


def test_nothing_is_found_in_strangers_and_in_nothing() -> None:
    assert found(heard(Recording(98), 0, 1.0, 50.0)) == []
    assert found(Segments(np.empty(0), np.empty(0), np.empty((0, DIM), np.float32))) == []


def test_the_pieces_in_which_a_query_comes_do_not_matter() -> None:
    query = after(heard(RECORDINGS[1], 5, 1.0, 25), heard(RECORDINGS[0], 5, 1.0, 25))
    assert found(query, 1) == found(query, 50) == found(query, 10_000)


def test_what_is_told_is_as_probable_as_was_asked() -> None:
    query = heard(RECORDINGS[2], 12.0, 1.0, 6.0, noise=1.5)
    [match] = found(query, min_score=0.0)
    assert found(query, min_score=match.score - 1e-6) == [match]
    assert found(query, min_score=match.score + 1e-6) == []


def test_memory_does_not_grow_with_the_query() -> None:
    query = heard(Recording(97, 300.0), 0, 1.0, 290.0)
    stretches = list(cut_into_stretches(in_bits(query, 8)))
    assert len(stretches) > 50
    assert max(len(stretch) for stretch, _ in stretches) <= 15 / 0.128
    assert [is_last for _, is_last in stretches] == [False] * (len(stretches) - 1) + [True]


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12))
def test_the_best_run_is_the_best_of_all(values: list[float]) -> None:
    first, last = parts.best_run(np.array(values))
    sums = [sum(values[a : b + 1]) for a in range(len(values)) for b in range(a, len(values))]
    assert sum(values[first : last + 1]) == pytest.approx(max(sums))


class Decided:
    """An encoder, of which only what it decides by is asked for."""

    front_end = Waveform(8_000)

    def __init__(self, spec: EncoderSpec, path: Path) -> None:
        self.spec = spec
        self.path = path

    def encode(self, features: Float32) -> Float32:
        return features

    def read_decision(self) -> bytes:
        return self.path.read_bytes()


def test_a_decision_comes_back_as_it_was_saved(tmp_path) -> None:
    decision = by_margin()
    decision.save(tmp_path / "d.npz")
    back = Decision.load(Decided(SPEC, tmp_path / "d.npz"))
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
        Decision.load(Decided(EncoderSpec("test", "2", 8_000, WINDOW, HOP, DIM), path))
    with pytest.raises(EncoderError, match="has nothing by which recordings could be told"):
        Decision.load(load_encoder("spectral"))
    path.write_bytes(b"PK nothing")
    with pytest.raises(EncoderError, match="cannot be read"):
        Decision.load(Decided(SPEC, path))


def played(file_id, begin, finish, *speeds):
    """A recording heard in stretches, each of which tells a speed."""
    line, middles = Line(), np.linspace(begin + 5, finish - 5, len(speeds))
    for middle, speed in zip(middles, speeds, strict=True):
        line.add(float(middle), 100 + speeds[0] * float(middle), speed)
    return _Detection(file_id, begin, finish, 1.0, 0.9, line, False, 300.0, n_stretches=len(speeds))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (played(2, 0, 10, 1.0321), 1.033),  # a copy, within what ten seconds tell
        (played(1, 40, 50, 1.0352), 1.033),  # the same recording again
        (played(1, 40, 50, 1.0455), 1.0455),  # again, and faster than that
        (played(2, 40, 50, 1.0321), 1.0321),  # other music, later
        (played(2, 0, 60, 1.029, 1.029, 1.029), 1.029),  # a copy, heard so long that it does differ
    ],
)
def test_the_speed_of_the_same_music_is_told_as_one_where_it_may_be(other, told):
    first = played(1, 0, 10, 1.033)
    first.settle_speed([])
    other.settle_speed([first])
    assert (first.heard().tempo, other.heard().tempo) == pytest.approx((1.033, told), abs=1e-6)
