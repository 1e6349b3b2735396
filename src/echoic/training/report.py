"""The page that a training ends with: what the model finds among clips that it never saw."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np

from echoic.analysis.pipeline import embed_samples
from echoic.encoders.base import Encoder, mean_vector
from echoic.encoders.registry import bundled_for, load_encoder
from echoic.evaluation.labelled import measure
from echoic.evaluation.report import Curves, Measured, Report, write_report
from echoic.training.loop import Examples, Settings, embed_clips
from echoic.training.train import Outcome
from echoic.types import Float32

__all__ = ["measure_held_out", "report_path", "write_training_report"]


def report_path(model: Path) -> Path:
    """Say where the report of a model lies: ``M.report.html`` beside ``M.echoic``."""
    return model.with_suffix(".report.html")


def measure_held_out(outcome: Outcome, settings: Settings, model: Path) -> list[Measured]:
    """Let the clips that were held out search each other, by the model and by what needs no training.

    The others are ``sound``, which a training is there to beat, and ``spectral``, the floor; those of them
    that hear at the model's sample rate.

    Returns
    -------
    list of Measured
        The model's first; empty if nothing was held out.
    """
    examples = outcome.prepared.validation
    if not len(examples):
        return []
    paths = [str(path) for path in outcome.prepared.validation_paths]

    def measured(name: str, vectors: Float32) -> Measured:
        figures = measure(vectors, examples.labels, examples.groups, paths)
        return Measured(name, vectors.shape[1], figures, vectors)

    others = {name: load_encoder(name) for name in bundled_for("sounds")}
    return [
        measured(model.name, embed_clips(outcome.checkpoint.embedder(), examples.audio, settings)),
        *(
            measured(name, _embed(encoder, examples))
            for name, encoder in others.items()
            if encoder.spec.sample_rate == settings.front_end.sample_rate
        ),
    ]


def write_training_report(
    outcome: Outcome, settings: Settings, model: Path, measured: Sequence[Measured] | None = None
) -> Path | None:
    """Write the report of a training beside its model, as HTML and as JSON.

    Parameters
    ----------
    outcome : Outcome
    settings : Settings
    model : Path
    measured : sequence of Measured, optional
        What :func:`measure_held_out` found, if it was asked already.

    Returns
    -------
    Path or None
        None if nothing was held out.
    """
    measured = measure_held_out(outcome, settings, model) if measured is None else measured
    if not measured:
        return None
    history, training = outcome.history, outcome.checkpoint.training
    report = Report(
        data=str(training["data"]["name"]),
        date=date.today().isoformat(),
        protocol="Every clip held out of the training searches the others.",
        encoders=measured,
        curves=Curves(
            [epoch.epoch for epoch in history],
            [epoch.loss for epoch in history],
            [epoch.mean_average_precision for epoch in history],
        ),
        facts={
            "recipe": settings.recipe.name,
            "trained on": f"{training['data']['clips']} clips",
            "licences": ", ".join(training["data"]["licences"]),
            "seed": str(settings.seed),
            "time": f"{history[-1].seconds / 60:.1f} min",
        },
    )
    path = report_path(model)
    write_report(path, report)
    return path


def _embed(encoder: Encoder, examples: Examples) -> Float32:
    name, rate = encoder.spec.name, encoder.spec.sample_rate
    clips = (embed_samples([clip.read()], rate, {name: encoder})[name] for clip in examples.audio)
    return np.stack([mean_vector(clip.vectors) for clip in clips])
