"""Paths through a phrase, against the same reckoned one path at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.search import keyword
from echoic.search.keyword import join, looked_over, outline, spot
from echoic.search.phrases import probability
from echoic.storage.frames import Frames, pack

DIM = 14  # twelve sounds, border, blank


def frames_of(chances: np.ndarray, starts: np.ndarray | None = None) -> Frames:
    starts = np.arange(len(chances)) * 0.02 if starts is None else starts
    return Frames(starts, starts + 0.02, *pack(np.sqrt(chances).astype(np.float32)))


def at_random(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(DIM, 0.3), n)


def spoken(*symbols: int) -> Frames:
    """Make frames in each of which one symbol is nearly sure."""
    chances = np.full((len(symbols), DIM), 0.02 / (DIM - 1))
    chances[np.arange(len(symbols)), symbols] = 0.98
    return frames_of(chances)


def phrase(*sounds: int) -> np.ndarray:
    return np.eye(DIM, dtype=np.float32)[list(sounds)]


def one_by_one(frames: Frames, sounds: np.ndarray) -> list[float]:
    """The best score of a path that ends at each frame, by its definition."""
    joined = join([frames], DIM)
    likely = joined.chances
    gap = np.zeros(DIM)
    gap[-2:] = 1
    costs = [np.minimum(np.log(likely @ row + 1e-4) - joined.best, 0) for row in (*sounds, gap)]
    n_sounds, best = len(sounds), []
    states = {(0, False): -np.inf}
    for t in range(len(likely)):
        new = {}
        for j in range(n_sounds):
            before = [states.get((j, False), -np.inf)]
            before += [0.0] if j == 0 else [states.get((j - 1, at), -np.inf) for at in (False, True)]
            new[j, False] = max(before) + costs[j][t]
            new[j, True] = max(states.get((j, at), -np.inf) for at in (False, True)) + costs[-1][t]
        states = new
        best.append(states[n_sounds - 1, False])
    return best


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 24), st.integers(1, 4))
def test_it_finds_the_best_of_all_paths(seed, n, n_sounds):
    frames = frames_of(at_random(seed, n))
    sounds = phrase(*np.random.default_rng(seed).integers(0, DIM - 2, n_sounds))
    scores, firsts = spot(join([frames], DIM), sounds)
    expected = one_by_one(frames, sounds)
    there = np.isfinite(expected)
    np.testing.assert_allclose(scores[there], np.array(expected)[there], atol=1e-3)
    assert np.isneginf(scores[~there]).all()
    assert (firsts <= np.arange(n)).all()


def test_what_is_said_costs_next_to_nothing_and_begins_where_it_does():
    frames = spoken(13, 5, 1, 1, 13, 2, 3, 12, 4, 13)
    scores, firsts = spot(join([frames], DIM), phrase(1, 2, 3, 4))
    assert int(scores.argmax()) == 8
    assert scores[8] > -0.2
    assert int(firsts[8]) == 2
    other, _ = spot(join([frames], DIM), phrase(1, 2, 6, 4))
    assert other.max() < -3


def test_a_file_in_which_nothing_is_said_hinders_none():
    silent, said = spoken(), spoken(1, 2, 3)
    scores, firsts = spot(join([silent, said, silent], DIM), phrase(1, 2, 3))
    assert (len(scores), int(scores.argmax()), int(firsts[2])) == (3, 2, 0)
    assert scores[2] > -0.2


def test_no_phrase_goes_on_from_file_to_file_or_over_a_long_pause():
    first, second = spoken(1, 2), spoken(3, 4)
    scores, _ = spot(join([first, second], DIM), phrase(1, 2, 3, 4))
    assert scores.max() < -5
    starts = np.array([0.0, 0.02, 0.04, 0.06])
    chances = np.square(np.eye(DIM)[[1, 2, 3, 4]])
    near, far = (frames_of(chances, starts + np.array([0, 0, pause, pause])) for pause in (0.9, 1.1))
    assert spot(join([near], DIM), phrase(1, 2, 3, 4))[0].max() == pytest.approx(0, abs=1e-3)
    assert spot(join([far], DIM), phrase(1, 2, 3, 4))[0].max() < -5


def test_what_is_found_in_a_file_does_not_depend_on_the_others():
    files = [frames_of(at_random(seed, n)) for seed, n in ((1, 300), (2, 7), (3, 90), (4, 600))]
    sounds = phrase(3, 8, 1)
    together = spot(join(files, DIM), sounds)
    at = 0
    for file in files:
        scores, firsts = spot(join([file], DIM), sounds)
        here = slice(at, at + len(file.starts))
        np.testing.assert_array_equal(together[0][here], scores)
        np.testing.assert_array_equal(together[1][here] - at, firsts)
        at = here.stop


def test_the_pieces_that_it_is_gone_through_in_do_not_show(monkeypatch):
    files = [frames_of(at_random(seed, n)) for seed, n in ((1, 300), (2, 7), (3, 90))]
    sounds = phrase(3, 8, 1)
    whole, first = spot(join(files, DIM), sounds)
    monkeypatch.setattr(keyword, "PIECE", 64)
    in_pieces, first_in_pieces = spot(join(files, DIM), sounds)
    likely = whole > -8  # a path of many frames a sound may begin before what is gone through
    np.testing.assert_allclose(in_pieces[likely], whole[likely], atol=1e-4)
    np.testing.assert_array_equal(first_in_pieces[likely], first[likely])


def peaked(rng: np.random.Generator, n: int) -> Frames:
    """Make frames as a recogniser gives them: one symbol is likely for one to three, then another."""
    likely = rng.integers(0, DIM, n)
    likely += np.concatenate([[0], likely[1:] == likely[:-1]]) * (likely < DIM - 1)
    chances = 0.1 * rng.dirichlet(np.full(DIM, 0.1), n) + 0.9 * np.eye(DIM)[likely]
    return frames_of(np.repeat(chances, rng.integers(1, 4, n), axis=0)[:n])


@pytest.mark.parametrize("n_sounds", [3, 6, 12])
def test_what_is_looked_over_hides_no_path_that_is_told(n_sounds):
    rng = np.random.default_rng(n_sounds)
    files = [peaked(rng, n) for n in (700, 3, 90)]
    least = -1.5 * n_sounds
    at = int(rng.integers(600))
    said = files[0].symbols[at : at + 40, 0]
    sounds = phrase(
        *[s for s, before in zip(said[1:], said, strict=False) if s != before and s < 12][:n_sounds]
    )
    sounds[:, :3] = np.maximum(sounds[:, :3], 0.1 * sounds[:, 3:4])
    found = dict(looked_over([(i, outline(file, DIM)) for i, file in enumerate(files)], sounds, least))
    assert at < found[0].max(initial=0)
    for number, file in enumerate(files):
        due = np.flatnonzero(spot(join([file], DIM), sounds)[0] >= least)
        assert np.isin(due, found.get(number, [])).all()
    if n_sounds > 3:
        assert sum(map(len, found.values())) < 200


def test_the_pieces_that_outlines_are_looked_over_in_do_not_show(monkeypatch):
    rng = np.random.default_rng(3)
    outlines = [(number, outline(peaked(rng, n), DIM)) for number, n in enumerate((700, 3, 90))]
    whole = {number: ends.tolist() for number, ends in looked_over(outlines, phrase(1, 2, 3), -9.0)}
    monkeypatch.setattr(keyword, "_AT_ONCE", 128)
    cut = {number: ends.tolist() for number, ends in looked_over(outlines, phrase(1, 2, 3), -9.0)}
    assert len(whole[0]) > 5
    assert cut[0] == whole[0]


def test_probabilities_rise_with_what_is_heard_and_with_the_length_of_the_phrase():
    costs = np.array([-np.inf, -6, -3, -1, 0], np.float32)
    for n_sounds in (3, 6, 12, 40):
        chances = probability(costs, n_sounds)
        assert ((chances >= 0) & (chances <= 1)).all()
        assert (np.diff(chances) > 0).all()
    assert probability(costs[2:3], 12) > probability(costs[2:3], 4)
