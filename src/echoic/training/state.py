"""What a stopped training goes on from: weights, optimiser and curves, in a file beside the output."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import PARAM_LIST, AveragedModel, get_ema_multi_avg_fn

from echoic.errors import ModelError, UsageError, quoted
from echoic.files import written_whole
from echoic.training.objectives import Objective

__all__ = ["Epoch", "State", "first_line", "running_average"]

_PARTS = ("model", "average", "objective", "optimizer")
_COUNTS = ("step", "spent", "best", "best_epoch", "losses")
_KEPT = 0.995  # of the running average of the weights, at each step
_SOON = 9  # until so many steps are done, more than half of it is new


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the curves; figures are NaN where nothing is held out."""

    epoch: int
    steps: int
    loss: float
    p1: float
    mean_average_precision: float
    seconds: float


@dataclass
class State:
    """All that a resumed run needs.

    Parameters
    ----------
    model, average, objective : Module
        The network, the running average of its weights, and the losses with what they learn themselves.
    optimizer : Optimizer
    step : int
        Steps done.
    spent : float
        Seconds, over all sittings.
    best, best_epoch : float, int
        The highest mAP on held-out clips so far, and when.
    losses : list of float
        Of the steps since the last epoch ended.
    history : list of Epoch
    """

    model: nn.Module
    average: AveragedModel
    objective: Objective
    optimizer: torch.optim.Optimizer
    step: int = 0
    spent: float = 0.0  # s
    best: float = -math.inf
    best_epoch: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)

    def save(self, path: Path, digest: str) -> None:
        """Write to a file, whole or not at all; ``digest`` tells the run from others.

        Raises
        ------
        ModelError
            If it cannot be written.
        """
        parts = {name: getattr(self, name).state_dict() for name in _PARTS}
        counts = {name: getattr(self, name) for name in _COUNTS}
        history = [dataclasses.astuple(epoch) for epoch in self.history]
        try:
            with written_whole(path) as partial:
                torch.save(parts | counts | {"history": history, "digest": digest}, partial)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            raise ModelError(
                f"the state of the training cannot be written to {quoted(path)} ({first_line(error)}); "
                "make room and run the same command again"
            ) from error

    def restore(self, path: Path, digest: str) -> None:
        """Read what :meth:`save` wrote.

        Raises
        ------
        UsageError
            If another run wrote it.
        ModelError
            If it is damaged.
        """
        try:
            saved = torch.load(path, weights_only=True)
            if saved["digest"] != digest:
                raise UsageError(
                    f"{quoted(path)} was left by a training on other data or with other settings; "
                    "delete it, or write to another file"
                )
            for name in _PARTS:
                getattr(self, name).load_state_dict(saved[name])
            for name in _COUNTS:
                setattr(self, name, saved[name])
            self.history = [Epoch(*values) for values in saved["history"]]
        except UsageError:
            raise
        except Exception as error:
            raise ModelError(
                f"{quoted(path)} cannot be resumed from ({first_line(error)}); delete it to begin anew"
            ) from error


def running_average(model: nn.Module) -> AveragedModel:
    """Begin the running average of a network's weights and batch statistics with what they are now."""
    average = AveragedModel(model, multi_avg_fn=_follow, use_buffers=True).eval()
    average.n_averaged.fill_(1)  # or the first step would replace it
    return average


@torch.no_grad()
def _follow(means: PARAM_LIST, now: PARAM_LIST, n_averaged: Tensor | int) -> None:
    """Move the means, all of one type, towards what is ``now``: the fewer went before, the farther."""
    if means[0].is_floating_point():
        n = int(n_averaged)
        move = get_ema_multi_avg_fn(min(_KEPT, n / (n + _SOON)))  # type: ignore[no-untyped-call]
        move(means, now, n_averaged)
    else:  # batches counted
        for mean, value in zip(means, now, strict=True):
            mean.copy_(value)


def first_line(error: BaseException) -> str:
    """Shorten what torch says in many lines."""
    return (str(error).splitlines() or [type(error).__name__])[0]
