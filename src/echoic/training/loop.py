"""The training loop: from clips and a recipe to a checkpoint, stopped and resumed at will.

On the CPU a run is a function of its data, its settings and its seed: every batch depends on the seed and
the number of its step alone, and what a killed run had reached lies beside the output (``M.echoic.part``),
written after every epoch and every minute. A budget in minutes instead of epochs gives that up: how many
steps fit into it depends on the machine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from echoic.audio.spectrogram import LogMel
from echoic.audio.windows import cut
from echoic.encoders.base import mean_vector
from echoic.errors import ModelError, UsageError
from echoic.evaluation import retrieval
from echoic.nn.architectures import build
from echoic.nn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from echoic.nn.embedder import Embedder
from echoic.nn.ensemble import Ensemble
from echoic.training.augment import Augmentation, Augmenter
from echoic.training.batches import Batch, Batches, Crop, Sound
from echoic.training.objectives import make_objective
from echoic.training.pace import Clock, learning_rate_share
from echoic.training.recipes import Recipe
from echoic.training.samplers import PKSampler
from echoic.training.state import Epoch, State, running_average
from echoic.training.targets import Targets
from echoic.types import Float32

__all__ = ["DEFAULT_FRONT_END", "Epoch", "Examples", "Settings", "Step", "embed_clips", "fit"]

DEFAULT_FRONT_END = LogMel(sample_rate=16_000, n_fft=1024, hop_length=320, n_mels=64, fmin=50, fmax=8_000)

_WEIGHT_DECAY = 0.05
_GENTLY = 0.2  # of the learning rate in going on with a network: with more of it, what it knew is lost
_STEPS = (10, 500)  # fewest and most in an epoch: a pass over the clips, within reason
_SHORT = 0.7  # share of the run on windows of half the length: twice as many in the time
_SAVE_EVERY = 60.0  # s
_MOST_WINDOWS = 24  # of one long recording, when it is measured
_SEEDS = 1_000_003  # apart lie the seeds of two steps, so that those of two runs do not meet soon
_PERFECT_EPOCHS = 3  # in a row, after which there is nothing left to learn


@dataclass(frozen=True, slots=True)
class Settings:
    """What is asked of a run.

    Parameters
    ----------
    recipe : Recipe
        Architecture and objective, and the settings that suit them.
    epochs : int
        Passes over the clips at most.
    minutes : float, optional
        Budget of wall-clock time, which then also paces the learning rate.
    patience : int
        Epochs without a better mAP on the validation clips after which to stop; 0 never stops early.
    classify : float
        Weight of a classifier trained beside the metric loss; with it, half of the windows are mixed.
    distil : float
        Weight of telling a teacher's vectors beside the metric loss, if there is a teacher.
    window : float
        Seconds; the hop of searches is half of it.
    dim : int
        Length of the vectors.
    seed : int
    threads : int
        Of torch, on the CPU.
    device : str
        "cpu" or "cuda" (which computes in bfloat16).
    """

    recipe: Recipe
    epochs: int = 40
    minutes: float | None = None
    patience: int = 10
    classify: float = 0.0
    distil: float = 1.0
    window: float = 5.0
    dim: int = 192
    seed: int = 0
    threads: int = 1
    device: str = "cpu"
    front_end: LogMel = DEFAULT_FRONT_END
    augmentation: Augmentation = field(default_factory=Augmentation)
    crop: Crop = field(default_factory=Crop)
    config: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.window * self.front_end.sample_rate < self.front_end.n_fft:
            raise UsageError(f"a window of {self.window:g} s is shorter than one frame of the spectrogram")

    @property
    def window_samples(self) -> int:
        return round(self.window * self.front_end.sample_rate)


@dataclass(frozen=True, slots=True)
class Examples:
    """Clips to learn from or to be measured on, one entry each.

    Parameters
    ----------
    audio : sequence of Sound
    labels : sequence of str
    groups : sequence of str
        Of one recording or speaker: never a hit for each other.
    weights : sequence of float
        How often the clip's class is drawn.
    """

    audio: Sequence[Sound]
    labels: Sequence[str]
    groups: Sequence[str]
    weights: Sequence[float]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Step:
    """How far a run is; handed to the ``progress`` callback."""

    done: float  # share of the budget, 0 … 1
    step: int
    loss: float
    epoch: Epoch | None  # the last one that ended
    ended: bool  # whether it ended with this step


def fit(
    train: Examples,
    validation: Examples,
    settings: Settings,
    output: Path,
    *,
    start: Checkpoint | None = None,
    teacher: Targets | None = None,
    about: dict[str, Any] | None = None,
    progress: Callable[[Step], None] | None = None,
) -> tuple[Checkpoint, list[Epoch]]:
    """Train, and write the best checkpoint.

    Parameters
    ----------
    train, validation : Examples
        Without validation clips nothing is measured on the way, and the last weights are kept.
    settings : Settings
    output : Path
        The ``.echoic`` file. It is replaced whenever the figures are better than ever before.
    start : Checkpoint, optional
        Weights to begin with, of the architecture of the recipe; those of a CNN for a hybrid too, which then
        has it for its convolutions.
    teacher : Targets, optional
        What another encoder makes of the clips to learn from, for ``settings.distil``.
    about : dict, optional
        What the checkpoint is to say of its training besides the settings; JSON-able.
    progress : callable, optional
        Called after each step.

    Returns
    -------
    checkpoint : Checkpoint
    history : list of Epoch

    Raises
    ------
    UsageError
        If a state beside ``output`` belongs to another run, or ``start`` to another architecture.
    ModelError
        If a file cannot be written.
    """
    torch.manual_seed(settings.seed)
    torch.set_num_threads(settings.threads)
    names = sorted(set(train.labels))
    number = {name: i for i, name in enumerate(names)}
    labels = [number[label] for label in train.labels]
    n_frames = settings.front_end.n_frames(settings.window_samples)
    recipe = settings.recipe
    architecture = recipe.architecture
    config = settings.config | {
        "n_mels": settings.front_end.n_mels,
        "n_frames": n_frames,
        "dim": settings.dim,
    }
    if start is not None:
        architecture, config = _continued(start, settings), start.config
    device = torch.device(settings.device)

    sampler = PKSampler(
        labels,
        recipe.n_classes_per_batch,
        recipe.n_per_class,
        weights=_class_weights(labels, train.weights),
        seed=settings.seed,
    )
    batches = Batches(
        train.audio,
        labels,
        sampler,
        front_end=settings.front_end,
        augmenter=Augmenter(settings.augmentation, settings.front_end),
        crop=settings.crop,
        mixed=0.5 if settings.classify else 0.0,
        seed=settings.seed,
        targets=teacher,
    )
    state = _begin(settings, build(architecture, **config), len(names), start, teacher, device)
    digest = _digest(settings, start, teacher, train, validation)
    part = output.with_name(output.name + ".part")
    if part.exists():
        state.restore(part, digest)

    def checkpoint(figures: dict[str, float]) -> Checkpoint:
        return Checkpoint(
            architecture=architecture,
            config=config,
            weights={name: value.cpu().clone() for name, value in state.average.module.state_dict().items()},
            front_end=settings.front_end,
            window=settings.window,
            hop=settings.window / 2,
            labels=tuple(names),
            training=(about or {})
            | {
                "recipe": recipe.name,
                "classify": settings.classify,
                "teacher": _described(teacher, settings) if teacher else None,
                "seed": settings.seed,
                "steps": state.step,
                "minutes": round(state.spent / 60, 2),
                "started_from": dict(start.training) if start else None,
            },
            figures=figures,
        )

    def end_epoch() -> None:
        figures = _measure(state.average, validation, settings)
        score = figures.get("mean_average_precision", math.inf)
        state.history.append(
            Epoch(
                epoch=len(state.history) + 1,
                steps=state.step,
                loss=float(np.mean(state.losses)),
                p1=figures.get("p1", math.nan),
                mean_average_precision=figures.get("mean_average_precision", math.nan),
                seconds=state.spent,
            )
        )
        state.losses.clear()
        if score > state.best or not figures:
            state.best, state.best_epoch = score, len(state.history)
            save_checkpoint(checkpoint(figures), output)

    steps = min(max(math.ceil(len(train) / sampler.batch_size), _STEPS[0]), _STEPS[1])
    clock = Clock(settings.minutes, settings.epochs * steps, state.spent)
    done, saved_at = clock.done(state.step), state.spent
    useful = min(n_frames, _most_frames(train.audio, settings))
    lengths = (
        min(n_frames // 2, useful) if clock.done(step) < _SHORT else useful for step in count(state.step)
    )
    with batches.ahead(state.step, lengths) as source:
        while not state.history or (done < 1 and not _enough(state, settings)):
            rate = recipe.learning_rate * learning_rate_share(done)
            seed = settings.seed + _SEEDS * state.step
            loss = _step(state, next(source), rate=rate, seed=seed, device=device)
            state.losses.append(loss)
            state.step += 1
            state.spent = clock.spent()
            done = clock.done(state.step)
            ended = state.step % steps == 0 or done >= 1
            if ended:
                end_epoch()
            if ended or state.spent - saved_at > _SAVE_EVERY:
                state.save(part, digest)
                saved_at = state.spent
            if progress:
                last = state.history[-1] if state.history else None
                progress(Step(min(1.0, done), state.step, loss, last, ended))
    part.unlink()
    return load_checkpoint(output), state.history


def _described(teacher: Targets, settings: Settings) -> dict[str, Any]:
    return {"name": teacher.name, "clips": teacher.n_clips, "weight": settings.distil}


def _continued(start: Checkpoint, settings: Settings) -> str:
    """Name the network in which a recipe goes on with a model: the model's own, or one that grows from it."""
    kinds = {start.architecture}
    if start.architecture == "ensemble":
        kinds = {member["architecture"] for member in start.config["members"]}
    recipe = settings.recipe
    if (start.front_end, start.window) != (settings.front_end, settings.window):
        raise UsageError(
            f"the model to start from hears {start.window:g} s at a time, by a front end of its own; "
            f"train with --window {start.window:g}"
        )
    if recipe.architecture == "hybrid" and start.architecture in ("cnn", "grown"):
        return "grown"
    if kinds != {recipe.architecture}:
        kind = " + ".join(sorted(kinds))
        wanted = "hybrid" if kinds == {"grown"} else kind
        raise UsageError(
            f"the model to start from is a {kind}, recipe {recipe.name} trains a {recipe.architecture}; "
            f"choose a recipe {wanted}-…"
        )
    return start.architecture


def _begin(
    settings: Settings,
    model: Embedder | Ensemble,
    n_classes: int,
    start: Checkpoint | None,
    teacher: Targets | None,
    device: torch.device,
) -> State:
    if start is not None:
        # What grows from a model has all of its weights, and some of its own besides.
        model.load_state_dict(model.state_dict() | start.weights)
    # Convolutions are fastest with the channels last.
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    objective = make_objective(
        settings.recipe.objective,
        dim=model.dim,
        n_classes=n_classes,
        classify=settings.classify,
        distil=settings.distil if teacher else 0.0,
        teacher_dim=teacher.dim if teacher else 0,
        seed=settings.seed,
    ).to(device)
    # What grows from another model keeps that as it is, so that all that moves may move freely.
    share = _GENTLY if start is not None and start.weights.keys() == model.state_dict().keys() else 1.0
    groups = [
        {"params": chosen, "weight_decay": decay, "share": share if part is model else 1.0}
        for part in (model, objective)
        # Biases and norms are not drawn to zero: they say where things lie, not how strongly they count.
        for decay, low, high in ((_WEIGHT_DECAY, 2, math.inf), (0.0, 0, 1))
        if (chosen := [w for w in part.parameters() if w.requires_grad and low <= w.ndim <= high])
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.recipe.learning_rate)
    return State(model, running_average(model), objective, optimizer)


def _most_frames(audio: Sequence[Sound], settings: Settings) -> int:
    """Count the frames of the longest clip at its slowest: behind them every window is silent."""
    longest = max(clip.n_samples for clip in audio) * math.exp(settings.crop.stretch)
    return settings.front_end.n_frames(math.ceil(longest) + settings.front_end.n_fft)


def _class_weights(labels: Sequence[int], weights: Sequence[float]) -> list[float]:
    """Average the weights of the clips of each class."""
    counts = np.bincount(labels)
    return list(np.bincount(labels, weights) / counts)


def _step(state: State, batch: Batch, *, rate: float, seed: int, device: torch.device) -> float:
    """Move the weights once; give the loss."""
    torch.manual_seed(seed)  # of this step's dropout, whatever happened before
    for group in state.optimizer.param_groups:
        group["lr"] = rate * group["share"]
    log_mel, *known = (torch.from_numpy(part).to(device) for part in batch)
    state.model.train()
    half = torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
    with half:
        vectors = state.model(log_mel)
    loss: Tensor = state.objective(vectors.float(), *known)
    if not torch.isfinite(loss):
        raise ModelError(
            f"the training diverged: at step {state.step} the loss is no longer finite; "
            "choose another recipe or another seed"
        )
    state.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    state.optimizer.step()
    state.average.update_parameters(state.model)
    return loss.item()


def _enough(state: State, settings: Settings) -> bool:
    """Tell whether to stop early: nothing better for long, or nothing left to learn."""
    if not settings.patience or math.isnan(state.history[-1].mean_average_precision):
        return False
    perfect = [epoch.mean_average_precision == 1 for epoch in state.history[-_PERFECT_EPOCHS:]]
    if len(perfect) == _PERFECT_EPOCHS and all(perfect):
        return True
    return len(state.history) - state.best_epoch >= settings.patience


def _measure(model: nn.Module, examples: Examples, settings: Settings) -> dict[str, float]:
    """Search each clip among the others of the examples; nothing where there are none."""
    if not len(examples):
        return {}
    vectors = embed_clips(model, examples.audio, settings)
    labels, groups = np.array(examples.labels), np.array(examples.groups)
    excluded = groups[:, None] == groups[None]
    similarities = vectors @ vectors.T
    return {
        "p1": float(np.nanmean(retrieval.precision_at_k(similarities, labels, labels, 1, excluded=excluded))),
        "mean_average_precision": retrieval.mean_average_precision(
            similarities, labels, labels, excluded=excluded
        ),
    }


@torch.no_grad()
def embed_clips(model: nn.Module, audio: Sequence[Sound], settings: Settings) -> Float32:
    """Embed clips as a library would: the mean over the windows of each, (n, dim) of length 1."""
    model.eval()
    device = torch.device(settings.device)
    rows = []
    for clip in audio:
        log_mel = settings.front_end(_windows(clip, settings))
        vectors = model(torch.from_numpy(log_mel).to(device)).cpu().numpy()
        rows.append(mean_vector(vectors))
    return np.stack(rows) if rows else np.empty((0, settings.dim), np.float32)


def _windows(clip: Sound, settings: Settings) -> Float32:
    """Cut a clip by the rule of the library; of a long recording only some stretches."""
    window = settings.window_samples
    if clip.n_samples <= _MOST_WINDOWS * window:
        windows = cut(clip.read(), window, window // 2, settings.front_end.sample_rate).samples
        return windows if len(windows) else np.zeros((1, window), np.float32)  # silence may be a class
    starts = np.linspace(0, clip.n_samples - window, _MOST_WINDOWS).astype(int)
    return np.stack([clip.read(start, start + window) for start in starts])


def _digest(
    settings: Settings, start: Checkpoint | None, teacher: Targets | None, *examples: Examples
) -> str:
    """Tell runs apart that may not go on from each other's state."""
    said = dataclasses.asdict(settings)
    # Where it computes may change, and a run that was too short be given more time.
    for name in ("threads", "device", "minutes", "epochs", "patience"):
        del said[name]
    data = [
        [list(part.labels), list(part.groups), [clip.n_samples for clip in part.audio]] for part in examples
    ]
    taught = teacher.digest if teacher else None
    digest = hashlib.sha256(json.dumps([said, data, taught], sort_keys=True).encode())
    for weight in start.weights.values() if start else ():
        digest.update(weight.numpy().tobytes())
    return digest.hexdigest()
