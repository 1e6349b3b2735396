"""Figures of labelled clips against hand-computed cases, whole matrices and naive loops."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.encoders.base import normalize
from echoic.errors import DatasetError
from echoic.evaluation import labelled, retrieval
from echoic.evaluation.labelled import check_measurable, compare, measure

OVERALL = {
    "precision_at_1": lambda *arrays, **options: retrieval.precision_at_k(*arrays, 1, **options),
    "precision_at_5": lambda *arrays, **options: retrieval.precision_at_k(*arrays, 5, **options),
    "mean_average_precision": retrieval.average_precision,
    "mean_average_precision_at_10": lambda *arrays, **options: retrieval.average_precision(
        *arrays, 10, **options
    ),
    "knn_accuracy": lambda *arrays, **options: retrieval.knn_correct(*arrays, 5, **options),
}


def angles(*degrees):
    """Make unit vectors in a plane."""
    radians = np.deg2rad(np.array(degrees, float))
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def names(n):
    return [f"clip-{number:03d}" for number in range(n)]


def random_clips(seed, n=60, n_labels=4, n_groups=25, noise=1.0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, n_labels, n)
    vectors = np.eye(8)[codes] + noise * rng.normal(size=(n, 8))
    groups = [f"g{code}" for code in rng.integers(0, n_groups, n)]
    return vectors.astype(np.float32), [f"label {code}" for code in codes], groups, names(n)


@st.composite
def collections(draw):
    """Clips with whole-numbered vectors, so that ties are exact, and roles for them."""
    n = draw(st.integers(2, 14))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    vectors = np.eye(3, dtype=np.float32)[rng.integers(0, 3, n)] * rng.choice([-1, 1], (n, 1))
    labels = [str(code) for code in rng.integers(0, 3, n)]
    groups = [str(code) for code in rng.integers(0, draw(st.integers(2, 2 * n)), n)]
    roles = {}
    if draw(st.booleans()):
        roles = {"queries": rng.random(n) < 0.6, "searched": rng.random(n) < 0.8}
    return (vectors.astype(np.float32), labels, groups, names(n)), roles


def test_hand_computed():
    # Around the circle: cat 0°, cat 10°, dog 25°, dog 60°, owl 62°, owl 130°.
    labels = ["cat", "cat", "dog", "dog", "owl", "owl"]
    figures = measure(angles(0, 10, 25, 60, 62, 130), labels, names(6), names(6))
    found = [[int(clip.path[-3:]) for clip in query.nearest] for query in figures.queries]
    assert found == [
        [1, 2, 3, 4, 5],
        [0, 2, 3, 4, 5],
        [1, 0, 3, 4, 5],
        [4, 2, 1, 0, 5],
        [3, 2, 1, 0, 5],
        [4, 3, 2, 1, 0],
    ]
    assert [query.precision_at_1 for query in figures.queries] == [1, 1, 0, 0, 0, 1]
    assert figures.precision_at_1.value == pytest.approx(1 / 2)
    assert figures.precision_at_5.value == pytest.approx(1 / 5)
    precisions = [1, 1, 1 / 3, 1 / 2, 1 / 5, 1]
    assert [query.average_precision for query in figures.queries] == pytest.approx(precisions)
    assert figures.mean_average_precision.value == pytest.approx(np.mean(precisions))
    first = figures.queries[0].nearest[0]
    assert (first.path, first.label, first.score) == (
        "clip-001",
        "cat",
        pytest.approx(math.cos(math.radians(10))),
    )
    # The five others are one of the clip's own class and two of each other: the nearer two win.
    assert [query.voted for query in figures.queries] == ["dog", "dog", "cat", "owl", "dog", "dog"]
    assert figures.labels == ("cat", "dog", "owl")
    assert figures.confusion.tolist() == [[0, 2, 0], [1, 0, 1], [0, 2, 0]]
    assert [(pair.label, pair.voted, pair.count, pair.share) for pair in figures.most_confused(2)] == [
        ("cat", "dog", 2, 1.0),
        ("owl", "dog", 2, 1.0),
    ]
    dog = figures.classes[1]
    assert (dog.label, dog.n_queries, dog.precision_at_1) == ("dog", 2, 0)
    assert dog.average_precision == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_no_clip_finds_its_own_group():
    vectors = angles(0, 1, 40, 90, 91, 50)
    labels = ["cat"] * 3 + ["dog"] * 3
    groups = ["take 1", "take 1", "take 2", "take 3", "take 3", "take 4"]
    figures = measure(vectors, labels, groups, names(6))
    for query in figures.queries:
        assert query.group not in [groups[int(clip.path[-3:])] for clip in query.nearest]
    assert figures.n_groups == 4
    assert figures.precision_at_1.value == pytest.approx(4 / 6)  # 40° and 50° are each other's nearest


def test_a_clip_without_its_like_measures_nothing():
    labels = ["cat", "cat", "dog", "dog", "owl"]
    groups = ["a", "b", "c", "c", "d"]  # the dogs are of one recording
    figures = measure(angles(0, 5, 10, 15, 90), labels, groups, names(5))
    assert (figures.n_queries, figures.n_measured, figures.n_groups) == (5, 2, 2)
    assert figures.confusion.sum() == 2
    assert [query.voted == "" for query in figures.queries] == [False, False, True, True, True]
    assert math.isnan(figures.classes[1].average_precision)
    assert len(figures.queries[4].nearest) == 4


@given(collections())
def test_figures_are_those_of_the_whole_matrix(clips):
    (vectors, labels, groups, paths), roles = clips
    asking, searched = (roles.get(role, np.ones(len(labels), bool)) for role in ("queries", "searched"))
    labels_, groups_, place = np.array(labels), np.array(groups), np.arange(len(labels))
    excluded = groups_[asking][:, None] == groups_[searched]
    excluded |= place[asking][:, None] == place[searched]
    similarities = vectors[asking] @ vectors[searched].T
    expected = (
        {
            name: metric(similarities, labels_[asking], labels_[searched], excluded=excluded)
            for name, metric in OVERALL.items()
        }
        if asking.any() and searched.any()
        else {}
    )
    if not expected or np.isnan(expected["precision_at_1"]).all() or len(set(labels)) == 1:
        with pytest.raises(DatasetError):
            measure(vectors, labels, groups, paths, **roles)
        return
    figures = measure(vectors, labels, groups, paths, **roles)
    for name, values in expected.items():
        assert getattr(figures, name).value == pytest.approx(np.nanmean(values)), name
    np.testing.assert_array_equal(
        [query.precision_at_1 for query in figures.queries], expected["precision_at_1"]
    )
    assert (
        figures.confusion.sum() == figures.n_measured == np.count_nonzero(~np.isnan(expected["knn_accuracy"]))
    )
    assert np.trace(figures.confusion) == np.nansum(expected["knn_accuracy"])
    for row, query in enumerate(figures.queries):
        ranked = sorted(np.flatnonzero(~excluded[row]), key=lambda item: (-similarities[row, item], item))
        assert [clip.path for clip in query.nearest] == [
            paths[np.flatnonzero(searched)[item]] for item in ranked[:5]
        ]
        if query.voted:
            assert (query.voted == query.label) == expected["knn_accuracy"][row]


def test_intervals_are_drawn_over_groups():
    vectors, labels, groups, paths = random_clips(1)
    figures = measure(vectors, labels, groups, paths)
    directions = normalize(vectors)
    codes = np.array(groups)
    values = retrieval.precision_at_k(
        directions @ directions.T,
        np.array(labels),
        np.array(labels),
        1,
        excluded=codes[:, None] == codes,
    )
    expected = retrieval.bootstrap_interval(values, codes)
    assert (figures.precision_at_1.low, figures.precision_at_1.high) == pytest.approx(expected)


def test_the_size_of_a_block_changes_nothing(monkeypatch):
    clips = random_clips(2)
    whole = measure(*clips)
    monkeypatch.setattr(labelled, "_BLOCK", 3)
    parts = measure(*clips)
    assert [query.voted for query in parts.queries] == [query.voted for query in whole.queries]
    for name in OVERALL:
        assert getattr(parts, name).value == pytest.approx(getattr(whole, name).value)
    np.testing.assert_array_equal(parts.confusion, whole.confusion)


def test_length_of_vectors_does_not_count():
    vectors, *rest = random_clips(3)
    scale = np.random.default_rng(0).uniform(0.1, 10, (len(vectors), 1)).astype(np.float32)
    ours, theirs = measure(vectors, *rest), measure(vectors * scale, *rest)
    assert ours.mean_average_precision.value == pytest.approx(theirs.mean_average_precision.value)


def test_a_split_asks_the_rest():
    labels = ["cat", "dog", "cat", "dog"]
    asking = np.array([True, True, False, False])
    figures = measure(angles(0, 90, 10, 80), labels, names(4), names(4), queries=asking, searched=~asking)
    assert (figures.n_queries, figures.n_searched) == (2, 2)
    assert [clip.path for clip in figures.queries[0].nearest] == ["clip-002", "clip-003"]
    assert figures.precision_at_1.value == 1


@pytest.mark.parametrize(
    ("labels", "groups", "roles", "said"),
    [
        (["", ""], ["a", "b"], {}, "none of the clips has a label"),
        (["cat", ""], ["a", "b"], {}, "1 of 2 clips have no label"),
        (["cat", "cat"], ["a", "b"], {}, "all 2 clips are labelled 'cat'"),
        (["cat", "dog"], ["a", "b"], {}, "no label has clips of two groups"),
        (["cat", "cat", "dog", "dog"], ["a", "a", "b", "b"], {}, "no label has clips of two groups"),
        (
            ["cat", "cat", "dog", "dog"],
            names(4),
            {"queries": np.arange(4) < 2, "searched": np.arange(4) >= 2},
            "no label of the 2 queries has a clip of another group among the 2",
        ),
    ],
)
def test_labels_that_cannot_be_measured_by(labels, groups, roles, said):
    with pytest.raises(DatasetError, match=said):
        check_measurable(labels, groups, **roles)
    with pytest.raises(DatasetError, match=said):
        measure(angles(*range(len(labels))), labels, groups, names(len(labels)), **roles)


@pytest.mark.parametrize(
    "change",
    [
        {"vectors": angles(0, 1, 2)},
        {"vectors": angles(0, 1, 2, 3) * np.nan},
        {"paths": names(3)},
        {"queries": np.ones(3, bool)},
        {"searched": np.ones(4)},
    ],
)
def test_what_does_not_fit_is_refused(change):
    labels = ["cat", "cat", "dog", "dog"]
    fitting = {"vectors": angles(0, 1, 2, 3), "labels": labels, "groups": names(4), "paths": names(4)}
    measure(**fitting)
    with pytest.raises(ValueError, match=r"fit together|finite|must be bool"):
        measure(**fitting | change)


# Comparing


def naive_paired_interval(gains, groups, n_resamples=4000):
    """Draw groups one by one and average the differences of all their clips."""
    rng = np.random.default_rng(7)
    members = [np.flatnonzero(np.array(groups) == group) for group in sorted(set(groups))]
    means = [
        np.mean(
            np.concatenate([gains[members[draw]] for draw in rng.integers(0, len(members), len(members))])
        )
        for _ in range(n_resamples)
    ]
    return np.percentile(means, [2.5, 97.5])


@pytest.mark.parametrize("seed", range(3))
def test_paired_interval_is_the_naive_one(seed):
    vectors, labels, groups, paths = random_clips(seed, n=150, n_groups=40)
    blurred = vectors + np.random.default_rng(seed).normal(0, 0.6, vectors.shape).astype(np.float32)
    ours, theirs = measure(vectors, labels, groups, paths), measure(blurred, labels, groups, paths)
    gains = np.array(
        [a.precision_at_1 - b.precision_at_1 for a, b in zip(ours.queries, theirs.queries, strict=True)]
    )
    difference = compare(ours, theirs)
    assert difference.value == pytest.approx(gains.mean())
    assert difference.value == pytest.approx(ours.precision_at_1.value - theirs.precision_at_1.value)
    np.testing.assert_allclose(
        (difference.low, difference.high), naive_paired_interval(gains, groups), atol=0.02
    )
    sums = {group: sum(gains[np.array(groups) == group]) for group in groups}
    assert difference.n_groups == sum(total != 0 for total in sums.values())


def pairs_on_a_circle(wrong, n=120):
    """Make pairs of clips, one pair a class far from all others; those in ``wrong`` have strayed apart."""
    vectors = np.repeat(np.eye(n // 2), 2, axis=0)
    for pair in wrong:
        vectors[2 * pair] = np.eye(n // 2)[(pair + 1) % (n // 2)]
        vectors[2 * pair, pair] = 0.5
    labels = [f"class {number // 2}" for number in range(n)]
    return measure(vectors.astype(np.float32), labels, names(n), names(n))


def test_a_pairing_sees_what_overlapping_intervals_hide():
    worse, better = pairs_on_a_circle(range(0, 30, 2)), pairs_on_a_circle(range(0, 14, 2))
    assert better.precision_at_1.low < worse.precision_at_1.high
    difference = compare(better, worse)
    assert difference.finding == "beyond chance"
    assert 0 < difference.low < difference.value < difference.high
    assert compare(worse, better).value == pytest.approx(-difference.value)
    assert compare(worse, better).finding == "beyond chance"


def test_the_same_is_not_beyond_chance():
    figures = pairs_on_a_circle(range(9))
    difference = compare(figures, figures)
    assert (difference.value, difference.low, difference.high, difference.n_groups) == (0, 0, 0, 0)
    assert difference.finding == "chance"


def test_a_handful_of_groups_is_never_beyond_chance():
    labels, groups = ["cat", "cat", "dog", "dog"], names(4)
    right = measure(angles(0, 1, 90, 91), labels, groups, groups)
    wrong = measure(angles(0, 90, 1, 91), labels, groups, groups)
    difference = compare(right, wrong)
    assert (difference.value, difference.low, difference.high) == (1, 1, 1)
    assert difference.finding == "few groups"


def test_only_the_same_queries_are_compared():
    labels = ["cat", "cat", "dog", "dog"]
    ours = measure(angles(0, 1, 90, 91), labels, names(4), names(4))
    theirs = measure(angles(0, 1, 90, 91), labels, names(4), list("abcd"))
    with pytest.raises(ValueError, match="same queries"):
        compare(ours, theirs)
