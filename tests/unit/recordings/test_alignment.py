"""Alignment on made-up recordings: vectors that turn smoothly, as those of music do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.recordings.alignment import Comparison, align, realign
from echoic.recordings.evidence import FEATURES
from echoic.storage.vectors.memory import MemoryStore
from echoic.types import Float32, Segments

WINDOW, HOP, QUERY_HOP = 1.024, 0.512, 0.128
DIM, KNOTS = 64, 0.3  # a new direction every so many seconds


class Recording:
    """A curve on the sphere: the vector of any moment."""

    def __init__(self, seed: int, seconds: float = 60.0) -> None:
        rng = np.random.default_rng(seed)
        self.seconds = seconds
        self._times = np.arange(-2.0, seconds + 2, KNOTS)
        self._knots = rng.standard_normal((len(self._times), DIM))

    def at(self, centres: np.ndarray) -> Float32:
        bells = np.exp(-0.5 * np.square((centres[:, None] - self._times) / KNOTS))
        vectors = bells @ self._knots
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def shelf_of(recordings: dict[int, Recording]) -> MemoryStore:
    store = MemoryStore(DIM)
    for file_id, recording in recordings.items():
        starts = np.arange(0, recording.seconds - WINDOW, HOP)
        store.replace(file_id, Segments(starts, starts + WINDOW, recording.at(starts + WINDOW / 2)))
    return store


RECORDINGS = {number: Recording(number) for number in range(6)}
SHELF = shelf_of(RECORDINGS)
COHORT = np.concatenate([Recording(100 + i).at(np.arange(0, 50, 5.0)) for i in range(10)])


def heard(recording: Recording, start: float, speed: float, seconds: float, noise: float = 0.0) -> Segments:
    starts = np.arange(0, seconds - WINDOW + 1e-9, QUERY_HOP)
    vectors = recording.at(start + speed * (starts + WINDOW / 2))
    vectors = vectors + noise * np.random.default_rng(0).standard_normal(vectors.shape) / np.sqrt(DIM)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Segments(starts, starts + WINDOW, vectors.astype(np.float32))


def aligned(query: Segments, shelf: MemoryStore = SHELF):
    return align(query, shelf, COHORT, window=WINDOW, hop=HOP)


def test_half_of_the_windows_weigh_as_much_where_each_stands_for_two():
    whole = heard(RECORDINGS[3], 20.0, 1.0, 10.0, noise=0.6)
    half = Segments(*(column[::2] for column in (whole.starts, whole.ends, whole.vectors)))
    [expected] = aligned(whole)
    [found] = Comparison(half, SHELF, COHORT, window=WINDOW, hop=HOP, each=2).align()
    assert found.file_id == expected.file_id == 3
    assert found.start == pytest.approx(expected.start, abs=0.02)
    assert len(half) < len(whole) * 0.6
    np.testing.assert_allclose(found.evidence, expected.evidence, rtol=0.05, atol=0.02)


@settings(max_examples=25)
@given(
    number=st.integers(0, 5),
    start=st.floats(1, 35),
    speed=st.floats(0.92, 1.08),
    seconds=st.sampled_from([8.0, 10.0, 14.0]),
)
def test_finds_recording_place_and_speed(number: int, start: float, speed: float, seconds: float) -> None:
    [best, *_] = aligned(heard(RECORDINGS[number], start, speed, seconds, noise=0.4))
    assert best.file_id == number
    middle = seconds / 2
    assert best.start + best.speed * middle == pytest.approx(start + speed * middle, abs=0.06)
    assert best.speed == pytest.approx(speed, abs=0.2 / seconds)
    assert best.covered.all()


def test_a_plain_speed_is_plain() -> None:
    [best, *_] = aligned(heard(RECORDINGS[2], 20.3, 1.0, 10, noise=0.7))
    assert best.speed == 1.0
    assert best.start == pytest.approx(20.3, abs=0.03)


def test_evidence_tells_the_known_from_the_unknown() -> None:
    known = aligned(heard(RECORDINGS[1], 10, 1.0, 10, noise=1.0))[0]
    unknown = aligned(heard(Recording(77), 10, 1.0, 10, noise=1.0))[0]
    assert known.evidence.shape == (len(FEATURES),)
    for name in ("over_best_other", "over_five_others", "share_won", "over_second_alignment"):
        at = FEATURES.index(name)
        assert known.evidence[at] > unknown.evidence[at] + 0.05, name
    assert known.evidence[-1] == pytest.approx(np.log(len(known.covered)))


def test_a_library_of_one_recording_is_judged_by_the_cohort() -> None:
    shelf = shelf_of({0: RECORDINGS[0]})
    known = aligned(heard(RECORDINGS[0], 10, 1.0, 5), shelf)[0]
    unknown = aligned(heard(RECORDINGS[3], 10, 1.0, 5), shelf)
    at = FEATURES.index("over_best_other")
    assert known.evidence[at] > 0.2
    assert not unknown or unknown[0].evidence[at] < 0.05


class Copy(Recording):
    """A recording whose first seconds were cut off, encoded anew: a little of something else is in it."""

    def __init__(self, original: Recording, cut: float) -> None:
        self.seconds = original.seconds - cut
        self._original, self._cut = original, cut

    def at(self, centres: np.ndarray) -> Float32:
        vectors = self._original.at(centres + self._cut)
        vectors = vectors + 0.3 * np.random.default_rng(1).standard_normal(vectors.shape) / np.sqrt(DIM)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_a_recording_is_found_in_every_file_that_holds_it() -> None:
    query = heard(RECORDINGS[4], 30, 1.0, 10, noise=0.5)
    [alone] = aligned(query)
    copied = shelf_of({**RECORDINGS, 10: Copy(RECORDINGS[4], 7.2), 11: Copy(RECORDINGS[4], 12.9)})
    found = aligned(query, copied)
    assert {a.file_id for a in found} == {4, 10, 11}
    assert found[0].file_id == 4
    for alignment, start in zip(sorted(found, key=lambda a: a.file_id), (30, 22.8, 17.1), strict=True):
        assert alignment.start == pytest.approx(start, abs=0.1)
    # That there are copies takes nothing from the evidence for it.
    np.testing.assert_allclose(found[0].evidence, alone.evidence, atol=0.02)


def test_an_alignment_of_all_of_a_query_goes_before_one_of_a_part() -> None:
    repeating = Recording(4)
    repeating._knots[: len(repeating._knots) // 2] = repeating._knots[12 : 12 + len(repeating._knots) // 2]
    shelf = shelf_of({**RECORDINGS, 4: repeating})
    [best] = aligned(heard(repeating, 2.0, 1.0, 9.0, noise=0.8), shelf)
    assert best.start == pytest.approx(2.0, abs=0.1)
    assert best.covered.all()


def test_windows_that_do_not_lie_a_hop_apart() -> None:
    """Silence leaves gaps, and the last window is aligned to the end."""
    shelf = shelf_of({0: RECORDINGS[0], 1: RECORDINGS[1]})
    kept = np.r_[0:30, 34:60, 60]
    starts = shelf.fetch([0])[0].starts[kept]
    starts[-1] = starts[-2] + 0.05
    shelf.replace(0, Segments(starts, starts + WINDOW, RECORDINGS[0].at(starts + WINDOW / 2)))
    [best] = aligned(heard(RECORDINGS[0], 20.0, 1.0, 10.0, noise=0.3), shelf)
    assert best.start == pytest.approx(20.0, abs=0.05)


def test_a_query_that_begins_before_the_recording() -> None:
    query = heard(RECORDINGS[5], -3, 1.0, 10)
    before = query.starts < 3 - HOP
    stranger = heard(Recording(55), 0, 1.0, 10).vectors
    mixed = Segments(query.starts, query.ends, np.where(before[:, None], stranger, query.vectors))
    [best, *_] = aligned(mixed)
    assert best.file_id == 5
    assert best.start == pytest.approx(-3, abs=0.2)
    assert not best.covered[query.starts < 2].any()
    assert best.covered[query.starts > 4].all()


def test_nothing_and_nothing_alike_are_no_alignment() -> None:
    empty = Segments(np.empty(0), np.empty(0), np.empty((0, DIM), np.float32))
    assert aligned(empty) == []
    apart = np.zeros((4, DIM), np.float32)
    apart[:, 0] = 1
    lone = shelf_of({0: RECORDINGS[0]})
    known = lone.fetch([0])[0]
    other = np.eye(DIM, dtype=np.float32)[1:2].repeat(len(known), axis=0)
    lone.replace(0, Segments(known.starts, known.ends, other))
    starts = QUERY_HOP * np.arange(4)
    assert aligned(Segments(starts, starts + WINDOW, apart), lone) == []


def test_a_recording_of_one_window_and_one_that_went_away() -> None:
    shelf = shelf_of({0: RECORDINGS[0], 1: RECORDINGS[1]})
    known = shelf.fetch([0])[0]
    shelf.replace(0, Segments(known.starts[40:41], known.ends[40:41], known.vectors[40:41]))
    query = heard(RECORDINGS[0], float(known.starts[40]), 1.0, WINDOW)
    [best, *_] = aligned(query, shelf)
    assert best.file_id == 0
    assert best.start == pytest.approx(known.starts[40], abs=0.4)
    shelf.fetch = lambda file_ids: {}
    assert aligned(query, shelf) == []


def heard_by_pitch(
    number: int, start: float, speed: float, seconds: float, played: float, *, pitch: bool = True
) -> Segments:
    """Hear an excerpt that plays at some speed, brought back to its own by ``played``.

    The farther the pitch is off, the more a vector turns away.
    """
    starts = np.arange(0, seconds * played - WINDOW + 1e-9, QUERY_HOP) / played
    places = start + speed * (starts + WINDOW / 2 / played)
    off = np.log((speed if pitch else 1.0) / played)
    vectors = RECORDINGS[number].at(places) + 10 * off * Recording(200).at(places)
    vectors = vectors + 0.3 * np.random.default_rng(3).standard_normal(vectors.shape) / np.sqrt(DIM)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Segments(starts, starts + WINDOW / played, vectors.astype(np.float32))


def realigned(number: int, start: float, speed: float, seconds: float, *, pitch: bool = True):
    def at_speed(played: float) -> Segments:
        return heard_by_pitch(number, start, speed, seconds, played, pitch=pitch)

    [found, *_] = aligned(at_speed(1.0))
    return found, realign(found, at_speed, WINDOW)


@settings(max_examples=25)
@given(
    number=st.integers(0, 5),
    start=st.floats(1, 35),
    speed=st.one_of(st.floats(0.92, 0.98), st.floats(1.02, 1.08)),
    seconds=st.sampled_from([10.0, 14.0]),
)
def test_the_pitch_tells_the_speed(number: int, start: float, speed: float, seconds: float) -> None:
    _, again = realigned(number, start, speed, seconds)
    assert again.speed == pytest.approx(speed, rel=0.005)
    middle = seconds / 2
    assert again.start + again.speed * middle == pytest.approx(start + speed * middle, abs=0.04)


def test_the_pitch_of_five_seconds_mostly_tells_the_speed() -> None:
    # In so few windows the noise now and then outweighs it: 2 of 1,195 random excerpts came out farther off.
    random = np.random.default_rng(0)
    near = []
    for number in np.arange(60) % 6:
        speed = 1 + random.choice([-1, 1]) * random.uniform(0.02, 0.08)
        _, again = realigned(int(number), random.uniform(1, 35), speed, 5.0)
        near.append(abs(again.speed / speed - 1) <= 0.004)
    assert np.mean(near) >= 0.95


@pytest.mark.parametrize(("speed", "pitch"), [(1.0, True), (1.05, False), (0.96, False)])
def test_a_pitch_that_is_as_it_was_tells_nothing(speed: float, pitch: bool) -> None:
    found, again = realigned(4, 15.2, speed, 10, pitch=pitch)
    assert again is found
    assert again.speed == pytest.approx(speed, rel=0.01)
