"""Each loss against its paper's formula, written as naive loops."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'echoic[train]'")
pytest.importorskip("pytorch_metric_learning", reason="training needs it: pip install 'echoic[train]'")

from echoic.errors import UsageError  # noqa: E402 - only where torch is
from echoic.training.objectives import OBJECTIVES, make_objective  # noqa: E402
from echoic.training.recipes import RECIPES  # noqa: E402

DIM = 6
N_CLASSES = 5
PAIRS = ("contrastive", "triplet", "triplet-semihard", "ntxent", "supcon")
WITH_CLASSES = ("proxy", "arcface")

# As the papers have them; that of pairs in cosine distance, that of the hardest triplets in Euclidean.
CONTRASTIVE_MARGIN, TRIPLET_MARGIN = 0.5, 0.2
TEMPERATURE = 0.1
PROXY_MARGIN, PROXY_SCALE = 0.1, 32
ARCFACE_MARGIN, ARCFACE_SCALE = 0.5, 30
CLASSIFIER_SCALE, SMOOTHING = 20, 0.1


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def batch(seed, n=14, n_classes=N_CLASSES, spread=2.0):
    """Vectors in loose clusters, and their labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    vectors = unit(rng.normal(size=(n_classes, DIM))[labels] + spread * rng.normal(size=(n, DIM)) / 2)
    return vectors.astype(np.float32), labels


def loss_of(objective, vectors, labels, partner_labels=None, share=None):
    partner_labels = labels if partner_labels is None else partner_labels
    share = np.ones(len(labels)) if share is None else share
    arrays = vectors, labels, partner_labels, share.astype(np.float32)
    return objective(*(torch.from_numpy(array) for array in arrays))


def mean_above_zero(values):
    above = [value for value in values if value > 0]
    return sum(above) / len(above) if above else 0.0


def pairs(labels, *, alike):
    n = range(len(labels))
    return [(i, j) for i in n for j in n if i != j and (labels[i] == labels[j]) == alike]


def cosines(vectors):
    vectors = vectors.astype(np.float64)
    return vectors @ vectors.T


def naive_contrastive(vectors, labels):
    distance = 1 - cosines(vectors)
    alike = [distance[pair] for pair in pairs(labels, alike=True)]
    unlike = [max(0, CONTRASTIVE_MARGIN - distance[pair]) for pair in pairs(labels, alike=False)]
    return mean_above_zero(alike) + mean_above_zero(unlike)


def naive_batch_hard(vectors, labels):
    distance = np.sqrt(np.maximum(0, 2 - 2 * cosines(vectors)))
    losses = []
    for anchor in range(len(labels)):
        positives = [distance[pair] for pair in pairs(labels, alike=True) if pair[0] == anchor]
        negatives = [distance[pair] for pair in pairs(labels, alike=False) if pair[0] == anchor]
        if positives and negatives:
            losses.append(max(positives) - min(negatives) + TRIPLET_MARGIN)
    return mean_above_zero(losses)


def naive_semihard_triplets(vectors, labels):
    distance = 1 - cosines(vectors)
    return [
        (anchor, positive, negative)
        for anchor, positive in pairs(labels, alike=True)
        for other, negative in pairs(labels, alike=False)
        if anchor == other
        and distance[anchor, positive] < distance[anchor, negative]
        and distance[anchor, negative] < distance[anchor, positive] + TRIPLET_MARGIN
    ]


def naive_semihard(vectors, labels):
    distance = 1 - cosines(vectors)
    return mean_above_zero(
        distance[anchor, positive] - distance[anchor, negative] + TRIPLET_MARGIN
        for anchor, positive, negative in naive_semihard_triplets(vectors, labels)
    )


def naive_ntxent(vectors, labels):
    strength = np.exp(cosines(vectors) / TEMPERATURE)
    losses = []
    for anchor, positive in pairs(labels, alike=True):
        others = sum(strength[pair] for pair in pairs(labels, alike=False) if pair[0] == anchor)
        losses.append(-math.log(strength[anchor, positive] / (strength[anchor, positive] + others)))
    return sum(losses) / len(losses)


def naive_supcon(vectors, labels):
    strength = np.exp(cosines(vectors) / TEMPERATURE)
    losses = []
    for anchor in range(len(labels)):
        all_others = sum(strength[anchor, other] for other in range(len(labels)) if other != anchor)
        positives = [pair for pair in pairs(labels, alike=True) if pair[0] == anchor]
        if positives:
            losses.append(-sum(math.log(strength[pair] / all_others) for pair in positives) / len(positives))
    return sum(losses) / len(losses)


def naive_proxy_anchor(vectors, labels, proxies):
    cosine = vectors.astype(np.float64) @ unit(proxies.astype(np.float64)).T
    attract, repel, n_with_positives = 0.0, 0.0, 0
    for proxy in range(len(proxies)):
        alike = [cosine[i, proxy] for i in range(len(labels)) if labels[i] == proxy]
        unlike = [cosine[i, proxy] for i in range(len(labels)) if labels[i] != proxy]
        if alike:
            n_with_positives += 1
            attract += math.log(1 + sum(math.exp(-PROXY_SCALE * (one - PROXY_MARGIN)) for one in alike))
        repel += math.log(1 + sum(math.exp(PROXY_SCALE * (one + PROXY_MARGIN)) for one in unlike))
    return attract / n_with_positives + repel / len(proxies)


def naive_arcface(vectors, labels, centres):
    cosine = vectors.astype(np.float64) @ unit(centres.astype(np.float64)).T
    losses = []
    for row, label in zip(cosine, labels, strict=True):
        angle = math.acos(row[label])
        logits = ARCFACE_SCALE * row
        if angle <= math.pi - ARCFACE_MARGIN:
            logits[label] = ARCFACE_SCALE * math.cos(angle + ARCFACE_MARGIN)
        else:  # beyond, the cosine would rise again
            logits[label] = ARCFACE_SCALE * (row[label] - ARCFACE_MARGIN * math.sin(ARCFACE_MARGIN))
        losses.append(-logits[label] + math.log(sum(math.exp(logit) for logit in logits)))
    return sum(losses) / len(losses)


def naive_classifier(vectors, labels, partner_labels, share, centres):
    logits = CLASSIFIER_SCALE * vectors.astype(np.float64) @ unit(centres.astype(np.float64)).T
    n_classes = len(centres)
    total = 0.0
    for i, row in enumerate(logits):
        log_sum = math.log(sum(math.exp(logit) for logit in row))
        for label, part in ((labels[i], share[i]), (partner_labels[i], 1 - share[i])):
            for number, logit in enumerate(row):
                target = SMOOTHING / n_classes + (1 - SMOOTHING) * (number == label)
                total -= part * target * (logit - log_sum)
    return total / len(logits)


NAIVE = {
    "contrastive": naive_contrastive,
    "triplet": naive_batch_hard,
    "triplet-semihard": naive_semihard,
    "ntxent": naive_ntxent,
    "supcon": naive_supcon,
}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", PAIRS)
def test_a_loss_of_pairs_is_the_naive_loop(name, seed):
    vectors, labels = batch(seed)
    objective = make_objective(name, dim=DIM, n_classes=N_CLASSES)
    expected = NAIVE[name](vectors, labels)
    assert expected > 0.01
    assert loss_of(objective, vectors, labels).item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_the_miner_finds_the_semihard_triplets_and_no_others(seed):
    vectors, labels = batch(seed)
    objective = make_objective("triplet-semihard", dim=DIM, n_classes=N_CLASSES)
    mined = objective.miner(torch.from_numpy(vectors), torch.from_numpy(labels))
    expected = naive_semihard_triplets(vectors, labels)
    assert sorted(zip(*(indices.tolist() for indices in mined), strict=True)) == sorted(expected)
    assert len(expected) > 5


def test_vectors_that_have_come_close_are_still_driven_apart_by_the_hardest_triplets():
    rng = np.random.default_rng(0)
    labels = torch.arange(4).repeat_interleave(4)
    close = unit(np.eye(DIM)[0] + 1e-3 * rng.normal(size=(16, DIM)))
    vectors = torch.from_numpy(close).requires_grad_()
    make_objective("triplet", dim=DIM, n_classes=4)(vectors, labels, labels, torch.ones(16)).backward()
    assert vectors.grad.norm(dim=1).mean() > 0.5 / 16  # of cosine distance it would be some thousandth of it


@pytest.mark.parametrize("seed", range(6))
def test_proxy_anchor_is_the_naive_loop(seed):
    vectors, labels = batch(seed)
    objective = make_objective("proxy", dim=DIM, n_classes=N_CLASSES + 2, seed=seed)  # two are absent
    proxies = objective.loss.proxies.detach().numpy()
    expected = naive_proxy_anchor(vectors, labels, proxies)
    assert loss_of(objective, vectors, labels).item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_arcface_is_the_naive_loop(seed):
    vectors, labels = batch(seed)
    objective = make_objective("arcface", dim=DIM, n_classes=N_CLASSES, seed=seed)
    centres = objective.loss.W.detach().numpy().T
    opposite = 0.1 * np.eye(DIM)[0] - unit(centres)[labels[0]]
    vectors[0] = unit(opposite[None])[0]  # beyond π - margin
    expected = naive_arcface(vectors, labels, centres)
    assert loss_of(objective, vectors, labels).item() == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_the_classifier_is_the_naive_loop_and_is_added_with_its_weight(seed):
    vectors, labels = batch(seed)
    rng = np.random.default_rng(seed)
    partner_labels = rng.permutation(labels)
    share = rng.uniform(0.5, 1, len(labels)).astype(np.float32)
    objective = make_objective("supcon", dim=DIM, n_classes=N_CLASSES, classify=0.7, seed=seed)
    pure = share > 0.8
    centres = objective.classifier.centres.detach().numpy()
    expected = naive_supcon(vectors[pure], labels[pure])
    expected += 0.7 * naive_classifier(vectors, labels, partner_labels, share, centres)
    found = loss_of(objective, vectors, labels, partner_labels, share).item()
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_metric_loss_sees_only_what_is_hardly_mixed(name):
    vectors, labels = batch(1)
    share = np.tile([1.0, 0.81, 0.8, 0.5], 4)[: len(labels)]
    objective = make_objective(name, dim=DIM, n_classes=N_CLASSES)
    pure = share > 0.8
    rows = torch.from_numpy(vectors).requires_grad_()
    loss = objective(rows, *map(torch.from_numpy, (labels, labels[::-1].copy(), share.astype(np.float32))))
    assert loss.item() == pytest.approx(loss_of(objective, vectors[pure], labels[pure]).item(), abs=1e-6)
    loss.backward()
    assert rows.grad[~pure].abs().max() == 0
    assert rows.grad[pure].abs().max() > 0


@pytest.mark.parametrize("name", PAIRS)
def test_without_a_classifier_the_number_of_classes_does_not_matter(name):
    vectors, labels = batch(2)
    losses = [loss_of(make_objective(name, dim=DIM, n_classes=n), vectors, labels).item() for n in (0, 9)]
    assert losses[0] == losses[1]


def test_contrastive_wants_the_alike_together_and_others_no_further_than_the_margin(monkeypatch):
    monkeypatch.setattr("echoic.training.objectives.CONTRASTIVE_MARGIN", 0.3)
    objective = make_objective("contrastive", dim=2, n_classes=2)
    labels = np.array([0, 0, 1, 1])
    ideal = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    assert loss_of(objective, ideal, labels).item() == pytest.approx(0, abs=1e-6)
    mistaken = ideal[[0, 2, 1, 3]]
    assert loss_of(objective, mistaken, labels).item() == pytest.approx(1 + 0.3)


CASES = {
    "all are mixed": (np.array([0, 0, 1, 1]), np.full(4, 0.6)),
    "one is not mixed": (np.array([0, 0, 1, 1]), np.array([1, 0.6, 0.6, 0.6])),
    "two alike": (np.array([0, 0, 1, 1]), np.array([1, 1, 0.6, 0.6])),
    "two unlike": (np.array([0, 0, 1, 1]), np.array([0.6, 1, 1, 0.6])),
    "one class": (np.zeros(4, np.int64), np.ones(4)),
    "each its own": (np.arange(4), np.ones(4)),
}


@pytest.mark.parametrize("classify", [0.0, 1.0])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_batch_with_nothing_to_compare_is_finite_and_has_a_gradient(name, case, classify):
    labels, share = CASES[case]
    vectors = torch.from_numpy(batch(3, n=4)[0]).requires_grad_()
    objective = make_objective(name, dim=DIM, n_classes=N_CLASSES, classify=classify)
    loss = objective(
        vectors, torch.from_numpy(labels), torch.from_numpy(labels), torch.from_numpy(share).float()
    )
    assert loss.shape == ()
    assert torch.isfinite(loss)
    loss.backward()
    assert torch.isfinite(vectors.grad).all()
    if case == "all are mixed" and not classify:
        assert loss.item() == 0


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_finite_where_all_vectors_are_the_same(name):
    objective = make_objective(name, dim=DIM, n_classes=2, classify=0.5)
    for centre in objective.parameters():  # on which the vectors come to lie, or opposite
        with torch.no_grad():
            centre.zero_()
            (centre if centre.shape[1] == DIM else centre.T)[:, 0] = torch.tensor([1.0, -1.0])
    raw = torch.zeros(8, DIM)
    raw[:, 0] = 3.0
    raw.requires_grad_()
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    loss = objective(torch.nn.functional.normalize(raw, dim=1), labels, labels, torch.ones(8))
    assert torch.isfinite(loss)
    loss.backward()
    assert torch.isfinite(raw.grad).all()
    assert all(torch.isfinite(weight.grad).all() for weight in objective.parameters())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_descending_the_gradient_brings_classes_together(name):
    objective = make_objective(name, dim=DIM, n_classes=3)
    raw = torch.from_numpy(batch(5, n=12, n_classes=3)[0]).requires_grad_()
    labels = torch.arange(12) % 3
    optimizer = torch.optim.Adam([raw, *objective.parameters()], lr=0.05)
    for _ in range(200):
        loss = objective(torch.nn.functional.normalize(raw, dim=1), labels, labels, torch.ones(12))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    vectors = torch.nn.functional.normalize(raw, dim=1)
    cosine = (vectors @ vectors.T).detach()
    alike = labels[:, None] == labels
    assert cosine[alike].min() > cosine[~alike].max()


def test_the_first_values_depend_on_the_seed_alone_and_leave_the_global_generator_as_it_is():
    torch.manual_seed(4)
    state = torch.get_rng_state()
    makes = [
        make_objective("proxy", dim=DIM, n_classes=3, classify=1.0, seed=seed).state_dict()
        for seed in (0, 0, 1)
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert set(makes[0]) == {"loss.proxies", "classifier.centres"}
    assert all(torch.equal(makes[0][part], makes[1][part]) for part in makes[0])
    assert not any(torch.equal(makes[0][part], makes[2][part]) for part in makes[0])


def test_an_objective_is_restored_from_its_state():
    vectors, labels = batch(6)
    one, other = (make_objective("arcface", dim=DIM, n_classes=N_CLASSES, seed=seed) for seed in (0, 1))
    expected = loss_of(one, vectors, labels)
    assert loss_of(other, vectors, labels) != expected
    other.load_state_dict(one.state_dict())
    assert loss_of(other, vectors, labels) == expected


@pytest.mark.parametrize("name", WITH_CLASSES)
def test_proxies_need_classes(name):
    with pytest.raises(UsageError, match=rf"^the objective {name} needs classes and there are none; label"):
        make_objective(name, dim=DIM, n_classes=0)


def test_a_classifier_needs_classes():
    with pytest.raises(UsageError, match=r"^a classifier needs classes and there are none; label"):
        make_objective("supcon", dim=DIM, n_classes=0, classify=0.1)


def test_unknown_names_and_negative_weights_are_refused():
    with pytest.raises(UsageError, match=r"no objective named 'tripplet'; choose from contrastive, triplet"):
        make_objective("tripplet", dim=DIM, n_classes=3)
    with pytest.raises(ValueError, match="0 or more"):
        make_objective("triplet", dim=DIM, n_classes=3, classify=-0.1)


def test_the_objective_of_each_recipe_can_be_made():
    assert {recipe.objective for recipe in RECIPES.values()} == set(OBJECTIVES)


@pytest.mark.parametrize("seed", range(5))
def test_a_pupil_is_as_far_off_as_its_guesses_are(seed):
    rng = np.random.default_rng(seed)
    vectors, labels = batch(seed)
    targets = unit(rng.normal(size=(len(labels), 9))).astype(np.float32)
    targets[::3] = 0  # of which nothing is known
    with_pupil = make_objective("supcon", dim=DIM, n_classes=N_CLASSES, distil=2.5, teacher_dim=9)
    without = make_objective("supcon", dim=DIM, n_classes=N_CLASSES)
    tensors = [
        torch.from_numpy(array) for array in (vectors, labels, labels, np.ones(len(labels), np.float32))
    ]
    found = with_pupil(*tensors, torch.from_numpy(targets)) - without(*tensors)
    weight, bias = (part.detach().numpy() for part in with_pupil.pupil.guess.parameters())
    off = [
        1 - unit((weight @ vector + bias)[None])[0] @ target
        for vector, target in zip(vectors, targets, strict=True)
        if target.any()
    ]
    assert found.item() == pytest.approx(2.5 * np.mean(off), rel=1e-4)


def test_a_pupil_that_is_told_nothing_costs_nothing_and_stays_finite():
    vectors, labels = batch(0)
    objective = make_objective("supcon", dim=DIM, n_classes=N_CLASSES, distil=1.0, teacher_dim=3)
    tensor = torch.from_numpy(vectors).requires_grad_()
    loss = objective.pupil(tensor, torch.zeros(len(labels), 3))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(tensor.grad).all()


@pytest.mark.parametrize("weights", [{"distil": -1.0}, {"distil": 1.0}, {"classify": -1.0}])
def test_weights_that_make_no_sense_are_refused(weights):
    with pytest.raises(ValueError, match=r"must be 0 or more|cannot learn vectors of 0"):
        make_objective("supcon", dim=DIM, n_classes=N_CLASSES, **weights)
