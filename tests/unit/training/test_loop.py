"""The training loop: it learns, repeats itself, resumes exactly, and stops when it should."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from echoic.audio.spectrogram import LogMel
from echoic.errors import ModelError, UsageError
from echoic.nn.checkpoint import join_checkpoints, load_checkpoint, save_checkpoint
from echoic.training import loop
from echoic.training.loop import Examples, Settings, embed_clips, fit
from echoic.training.objectives import Objective
from echoic.training.recipes import find_recipe
from echoic.training.targets import Targets
from tests.unit.training.test_batches import Sound

RATE = 8_000
MEL = LogMel(sample_rate=RATE, n_fft=256, hop_length=80, n_mels=16, fmin=50, fmax=4_000)
NOTHING = Examples([], [], [], [])


def settings_for(recipe="cnn-supcon", **changes) -> Settings:
    given = {
        "recipe": find_recipe(recipe),
        "epochs": 2,
        "window": 0.5,
        "dim": 8,
        "front_end": MEL,
        "config": {"stem": 4, "widths": [4, 8]} if recipe.startswith("cnn") else {},
    }
    return Settings(**given | changes)


def make_examples(n: int, seed: int) -> Examples:
    """Tones low and high, in noise: two classes that are told apart by their spectrum alone."""
    rng = np.random.default_rng(seed)
    audio, labels = [], []
    for number in range(n):
        label = ("low", "high")[number % 2]
        hz = rng.uniform(200, 500) if label == "low" else rng.uniform(1500, 2500)
        time = np.arange(round(RATE * 0.7)) / RATE
        samples = 0.3 * np.sin(2 * np.pi * hz * time) + rng.normal(0, 0.05, len(time))
        audio.append(Sound(samples.astype(np.float32)))
        labels.append(label)
    return Examples(audio, labels, [str(i) for i in range(n)], [1.0] * n)


TRAIN, HELD_OUT = make_examples(16, 0), make_examples(10, 1)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """Two short runs, by their seeds, that others start from."""
    folder = tmp_path_factory.mktemp("begun")
    return [
        fit(TRAIN, NOTHING, settings_for(epochs=1, seed=seed), folder / f"{seed}.echoic")[0]
        for seed in range(2)
    ]


def assert_equal_weights(one, other):
    assert one.weights.keys() == other.weights.keys()
    for name, weight in one.weights.items():
        assert torch.equal(weight, other.weights[name]), name


def test_it_learns_what_tells_the_classes_apart(tmp_path):
    settings = settings_for(epochs=12, patience=0)
    checkpoint, history = fit(TRAIN, HELD_OUT, settings, tmp_path / "m.echoic")
    assert history[-1].mean_average_precision > 0.95
    assert checkpoint.figures["mean_average_precision"] == max(e.mean_average_precision for e in history)
    assert history[-1].loss < history[0].loss
    assert checkpoint.labels == ("high", "low")
    vectors = embed_clips(checkpoint.embedder(), HELD_OUT.audio, settings)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    same = np.array(HELD_OUT.labels)[:, None] == np.array(HELD_OUT.labels)[None]
    assert (vectors @ vectors.T)[same].mean() > (vectors @ vectors.T)[~same].mean() + 0.1


@pytest.mark.parametrize(
    "recipe", ["cnn-contrastive", "hybrid-triplet", "transformer-ntxent", "mobile-arcface"]
)
def test_every_architecture_runs_through_the_loop(recipe, tmp_path):
    checkpoint, history = fit(TRAIN, HELD_OUT, settings_for(recipe, epochs=1), tmp_path / "m.echoic")
    assert checkpoint.architecture == recipe.partition("-")[0]
    assert math.isfinite(history[-1].loss)
    assert load_checkpoint(tmp_path / "m.echoic").training["recipe"] == recipe


def test_two_runs_with_one_seed_agree_and_another_seed_differs(tmp_path):
    settings = settings_for(classify=1.0)
    one, _ = fit(TRAIN, HELD_OUT, settings, tmp_path / "one.echoic")
    two, _ = fit(TRAIN, HELD_OUT, settings, tmp_path / "two.echoic")
    assert_equal_weights(one, two)
    other, _ = fit(TRAIN, HELD_OUT, dataclasses.replace(settings, seed=1), tmp_path / "other.echoic")
    assert any(not torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run from begin to end, and its settings."""
    settings = settings_for(classify=1.0, patience=0)
    return settings, *fit(TRAIN, HELD_OUT, settings, tmp_path_factory.mktemp("whole") / "whole.echoic")


@pytest.mark.parametrize("at", [3, 10, 14])
def test_a_killed_run_goes_on_to_the_very_same_end(at, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_SAVE_EVERY", 0.0)  # after every step
    settings, whole, curves = undisturbed

    def kill(step):
        if step.step == at:
            raise Killed

    output = tmp_path / "m.echoic"
    with pytest.raises(Killed):
        fit(TRAIN, HELD_OUT, settings, output, progress=kill)
    seen = []
    resumed, history = fit(TRAIN, HELD_OUT, settings, output, progress=lambda step: seen.append(step.step))
    assert seen[0] == at + 1
    assert_equal_weights(resumed, whole)
    without_time = [dataclasses.replace(epoch, seconds=0) for epoch in history]
    assert without_time == [dataclasses.replace(epoch, seconds=0) for epoch in curves]
    assert not output.with_name("m.echoic.part").exists()


def test_a_state_of_another_run_is_refused_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_SAVE_EVERY", 0.0)

    def kill(step):
        raise Killed

    output, part = tmp_path / "m.echoic", tmp_path / "m.echoic.part"
    with pytest.raises(Killed):
        fit(TRAIN, HELD_OUT, settings_for(), output, progress=kill)
    left = part.read_bytes()
    with pytest.raises(UsageError, match=r"another|other data or with other settings"):
        fit(TRAIN, HELD_OUT, settings_for(seed=1), output)
    with pytest.raises(UsageError, match="other data"):
        fit(make_examples(14, 0), HELD_OUT, settings_for(), output)
    assert part.read_bytes() == left
    part.write_bytes(left[: len(left) // 2])
    with pytest.raises(ModelError, match="delete it to begin anew"):
        fit(TRAIN, HELD_OUT, settings_for(), output)


def test_it_stops_when_nothing_gets_better(tmp_path, monkeypatch):
    figures = iter([0.5, 0.7, 0.6, 0.7, 0.65] + [0.1] * 40)
    monkeypatch.setattr(loop, "_measure", lambda *_: {"p1": 0.5, "mean_average_precision": next(figures)})
    checkpoint, history = fit(TRAIN, HELD_OUT, settings_for(epochs=30, patience=3), tmp_path / "m.echoic")
    assert len(history) == 5  # the best was the second
    assert checkpoint.figures["mean_average_precision"] == 0.7
    assert checkpoint.training["steps"] == history[1].steps


def test_it_stops_when_there_is_nothing_left_to_learn(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "_measure", lambda *_: {"p1": 1.0, "mean_average_precision": 1.0})
    _, history = fit(TRAIN, HELD_OUT, settings_for(epochs=30), tmp_path / "m.echoic")
    assert len(history) == 3


def test_a_budget_of_time_ends_the_run(tmp_path):
    settings = settings_for(epochs=1, minutes=0.05, patience=0)
    _, history = fit(TRAIN, HELD_OUT, settings, tmp_path / "m.echoic")
    assert history[-1].seconds >= 3
    assert history[-1].steps > 10  # the epochs do not count beside it


def test_without_clips_to_measure_on_the_last_weights_are_kept(tmp_path):
    checkpoint, history = fit(TRAIN, NOTHING, settings_for(), tmp_path / "m.echoic")
    assert checkpoint.figures == {}
    assert math.isnan(history[-1].p1)
    assert checkpoint.training["steps"] == history[-1].steps


def test_a_loss_that_is_no_number_stops_the_run_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(Objective, "forward", lambda *_: torch.tensor(math.nan))
    with pytest.raises(ModelError, match="diverged"):
        fit(TRAIN, HELD_OUT, settings_for(), tmp_path / "m.echoic")


def test_fine_tuning_begins_with_the_weights_of_the_start(tmp_path, monkeypatch):
    begun, _ = fit(TRAIN, HELD_OUT, settings_for(epochs=3), tmp_path / "start.echoic")
    monkeypatch.setattr(loop, "learning_rate_share", lambda done: 0.0)  # nothing moves but batch statistics
    tuned, _ = fit(TRAIN, HELD_OUT, settings_for(epochs=1, dim=99), tmp_path / "m.echoic", start=begun)
    for name, weight in begun.weights.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.allclose(weight, tuned.weights[name]), name
    assert tuned.training["started_from"] == begun.training
    assert tuned.config["dim"] == 8  # the start's, whatever the settings say


def test_an_ensemble_is_fine_tuned_as_one(begun, tmp_path):
    both = join_checkpoints(begun)
    save_checkpoint(both, tmp_path / "both.echoic", half=True)
    tuned, _ = fit(
        TRAIN,
        HELD_OUT,
        settings_for(epochs=1),
        tmp_path / "m.echoic",
        start=load_checkpoint(tmp_path / "both.echoic"),
    )
    assert tuned.architecture == "ensemble"
    assert embed_clips(tuned.embedder(), HELD_OUT.audio[:2], settings_for()).shape == (2, 16)


def test_a_hybrid_grows_from_a_cnn_and_goes_on_as_what_it_is(begun, tmp_path):
    cnn = begun[0]
    grown, _ = fit(TRAIN, NOTHING, settings_for("hybrid-triplet", epochs=1), tmp_path / "g.echoic", start=cnn)
    assert (grown.architecture, grown.config) == ("grown", cnn.config)
    assert set(cnn.weights) < set(grown.weights)
    still = [name for name in cnn.weights if name.startswith(("band_norm.", "stem.", "blocks."))]
    assert all(torch.equal(grown.weights[name], cnn.weights[name]) for name in still)
    assert not torch.equal(grown.weights["project.weight"], cnn.weights["project.weight"])
    assert grown.weights["add.weight"].abs().max() > 0  # it began as 0
    again, _ = fit(
        TRAIN, NOTHING, settings_for("hybrid-triplet", epochs=1), tmp_path / "a.echoic", start=grown
    )
    assert again.architecture == "grown"
    with pytest.raises(UsageError, match=r"is a grown, recipe cnn-triplet trains a cnn; choose .* hybrid-…"):
        fit(TRAIN, NOTHING, settings_for("cnn-triplet"), tmp_path / "x.echoic", start=grown)


def test_a_run_is_not_gone_on_with_from_another_start(begun, tmp_path):
    one, two = begun

    def stop(step):
        if step.step == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(TRAIN, NOTHING, settings_for(epochs=2), tmp_path / "m.echoic", start=one, progress=stop)
    with pytest.raises(UsageError, match="was left by a training on other data or with other settings"):
        fit(TRAIN, NOTHING, settings_for(epochs=2), tmp_path / "m.echoic", start=two)


def test_a_start_of_another_kind_is_refused(begun, tmp_path):
    start = begun[0]
    with pytest.raises(UsageError, match=r"is a cnn, recipe mobile-triplet trains a mobile; choose .* cnn-…"):
        fit(TRAIN, NOTHING, settings_for("mobile-triplet"), tmp_path / "m.echoic", start=start)
    with pytest.raises(UsageError, match=r"hears 0\.5 s at a time"):
        fit(TRAIN, NOTHING, settings_for(window=0.6), tmp_path / "m.echoic", start=start)


def test_a_window_shorter_than_a_frame_is_refused():
    with pytest.raises(UsageError, match="shorter than one frame"):
        settings_for(window=0.01)


def test_a_pupil_learns_what_its_teacher_tells_apart(tmp_path):
    """The labels say nothing here, the teacher tells low tones from high ones."""
    low = np.array([label == "low" for label in TRAIN.labels])
    whole = np.zeros(1), np.full(1, np.inf)
    corner = np.eye(4, dtype=np.float32)
    targets = Targets("ears", [(*whole, corner[[0 if is_low else 1]]) for is_low in low])
    blind = dataclasses.replace(TRAIN, labels=[str(i // 2) for i in range(len(TRAIN))])
    settings = settings_for("cnn-contrastive", epochs=12, patience=0, distil=20.0)
    checkpoint, _ = fit(blind, HELD_OUT, settings, tmp_path / "m.echoic", teacher=targets)
    assert checkpoint.figures["mean_average_precision"] > 0.95
    assert checkpoint.training["teacher"] == {"name": "ears", "clips": 16, "weight": 20.0}


def test_a_run_does_not_go_on_with_another_teacher(tmp_path, monkeypatch):
    whole = np.zeros(1), np.full(1, np.inf)

    def teacher(seed):
        rng = np.random.default_rng(seed)
        return Targets("t", [(*whole, rng.normal(size=(1, 4)).astype(np.float32)) for _ in TRAIN.labels])

    output = tmp_path / "m.echoic"
    settings = settings_for(distil=1.0)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_SAVE_EVERY", 0.0)
    with pytest.raises(KeyboardInterrupt):
        fit(TRAIN, HELD_OUT, settings, output, teacher=teacher(0), progress=stop)
    with pytest.raises(UsageError, match="other data or with other settings"):
        fit(TRAIN, HELD_OUT, settings, output, teacher=teacher(1))
    fit(TRAIN, HELD_OUT, settings, output, teacher=teacher(0))
