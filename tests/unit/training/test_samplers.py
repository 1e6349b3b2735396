from collections import Counter
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from echoic.errors import DatasetError
from echoic.training.samplers import PKSampler

LABELS = [0] * 7 + [1] * 2 + [2] + [3] * 4 + [4] * 12
N_STEPS = 40


@st.composite
def setups(draw):
    """Labels in any order, some numbers without a clip, and sizes of a batch."""
    sizes = draw(st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any))
    labels = draw(st.permutations([label for label, size in enumerate(sizes) for _ in range(size)]))
    return list(labels), draw(st.integers(1, 6)), draw(st.integers(1, 5)), draw(st.integers(0, 2**32))


def batches(sampler, n_steps=N_STEPS, start=0):
    return [sampler.draw(step) for step in range(start, start + n_steps)]


@given(setups())
def test_a_batch_is_some_clips_each_of_some_classes(setup):
    labels, n_classes_per_batch, n_per_class, seed = setup
    n_chosen = min(n_classes_per_batch, len(set(labels)))
    size = n_classes_per_batch * n_per_class
    sampler = PKSampler(labels, n_classes_per_batch, n_per_class, seed=seed)
    for batch in batches(sampler):
        assert batch.shape == (size,) == (sampler.batch_size,)
        assert batch.dtype == np.int64
        drawn = [labels[clip] for clip in batch]
        changes = sum(before != after for before, after in pairwise(drawn))
        assert changes == n_chosen - 1  # those of a class lie side by side, and no class comes twice
        by_class = Counter(drawn)
        assert sum(by_class.values()) == size
        assert set(by_class.values()) <= {size // n_chosen, -(-size // n_chosen)}


@given(setups())
def test_clips_of_a_class_are_used_up_before_any_comes_again(setup):
    labels, n_classes_per_batch, n_per_class, seed = setup
    drawn = np.concatenate(batches(PKSampler(labels, n_classes_per_batch, n_per_class, seed=seed)))
    for label in set(labels):
        members = sorted(clip for clip, other in enumerate(labels) if other == label)
        clips = [clip for clip in drawn if labels[clip] == label]
        whole = len(clips) - len(clips) % len(members)
        rounds = [clips[at : at + len(members)] for at in range(0, whole, len(members))]
        assert all(sorted(one) == members for one in rounds)
        assert len(set(clips[whole:])) == len(clips[whole:])


@given(setups())
def test_a_clip_comes_twice_in_a_batch_only_if_there_are_too_few(setup):
    labels, n_classes_per_batch, n_per_class, seed = setup
    available = Counter(labels)
    for batch in batches(PKSampler(labels, n_classes_per_batch, n_per_class, seed=seed)):
        wanted = Counter(labels[clip] for clip in batch)
        times = Counter(batch.tolist())
        assert all(n <= -(-wanted[labels[clip]] // available[labels[clip]]) for clip, n in times.items())


def test_each_recording_its_own_class_gives_as_many_crops_of_each():
    for batch in batches(PKSampler(range(10), 4, 3)):
        assert sorted(Counter(batch.tolist()).values()) == [3, 3, 3, 3]


def test_rounds_are_in_ever_another_order():
    drawn = np.concatenate(batches(PKSampler([0] * 6, 1, 6), 50))
    assert len({tuple(one) for one in drawn.reshape(-1, 6)}) > 30


@given(setups(), st.lists(st.integers(0, N_STEPS), min_size=1, max_size=5))
def test_a_batch_depends_on_nothing_but_seed_and_step(setup, steps):
    labels, n_classes_per_batch, n_per_class, seed = setup

    def sampler():
        return PKSampler(labels, n_classes_per_batch, n_per_class, seed=seed)

    expected = batches(sampler(), N_STEPS + 1)
    jumping = sampler()
    for step in steps:
        np.testing.assert_array_equal(jumping.draw(step), expected[step])
        np.testing.assert_array_equal(sampler().draw(step), expected[step])


def test_another_seed_gives_other_batches():
    one, other = (np.stack(batches(PKSampler(LABELS, 2, 3, seed=seed))) for seed in (1, 2))
    assert not np.array_equal(one, other)


def test_the_order_is_not_that_of_a_generator_of_the_same_seed():
    """… with which augmentations are drawn."""
    rng = np.random.default_rng([3, 0])
    rings = rng.standard_exponential(100)
    assert PKSampler(range(100), 10, 1, seed=3).draw(0).tolist() != np.argsort(rings)[:10].tolist()


@pytest.mark.parametrize(
    ("weights", "n_classes_per_batch"),
    [
        ([1, 1, 1, 1, 1], 1),
        ([1, 2, 3, 4, 0.5], 1),
        ([1, 2, 3, 4, 0.5], 2),
        ([0, 20, 5, 0, 1], 2),
        ([1, 2, 3, 4, 0.5], 3),
    ],
)
def test_classes_are_drawn_by_weight(weights, n_classes_per_batch):
    """Counts of the orders in which classes come fit those of drawing one after the other."""
    n_draws = 4000
    expected = {}
    for order in permutations([label for label in range(5) if weights[label]], n_classes_per_batch):
        left, odds = sum(weights), 1.0
        for label in order:
            odds *= weights[label] / left
            left -= weights[label]
        expected[order] = n_draws * odds
    sampler = PKSampler(LABELS, n_classes_per_batch, 1, weights=weights, seed=11)
    counts = Counter(tuple(LABELS[clip] for clip in batch) for batch in batches(sampler, n_draws))
    assert set(counts) <= set(expected)
    statistic = sum((counts[order] - mean) ** 2 / mean for order, mean in expected.items())
    assert statistic < chi2.ppf(0.999, len(expected) - 1)


def test_a_class_without_weight_is_as_if_it_were_not_there():
    sampler = PKSampler(LABELS, 5, 2, weights=[1, 0, 0, 1, 1])
    for batch in batches(sampler):
        assert {LABELS[clip] for clip in batch} == {0, 3, 4}
        assert len(batch) == 10


@pytest.mark.parametrize(
    ("labels", "changes", "error", "says"),
    [
        ([], {}, DatasetError, "no clip to train on"),
        ([0, 1], {"weights": [0, 0]}, DatasetError, "every class has the weight 0"),
        ([0, 2], {"weights": [0, 1, 0]}, DatasetError, "every class has the weight 0"),
        ([0, 1], {"weights": [1, -1]}, DatasetError, "0 or more and finite"),
        ([0, 1], {"weights": [1, np.nan]}, DatasetError, "0 or more and finite"),
        ([0, 1], {"weights": [1, np.inf]}, DatasetError, "0 or more and finite"),
        ([0, 1], {"weights": [1]}, ValueError, "do not fit 2 classes"),
        ([0, 1], {"weights": [[1, 1]]}, ValueError, "do not fit 2 classes"),
        ([0, -1], {}, ValueError, "numbered from 0"),
        ([[0, 1]], {}, ValueError, "one to a clip"),
        ([0, 1], {"n_classes_per_batch": 0}, ValueError, "at least one clip"),
        ([0, 1], {"n_per_class": 0}, ValueError, "at least one clip"),
    ],
)
def test_what_cannot_be_drawn_from_is_refused(labels, changes, error, says):
    with pytest.raises(error, match=says):
        PKSampler(labels, **{"n_classes_per_batch": 2, "n_per_class": 2} | changes)
