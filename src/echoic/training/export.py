"""From checkpoints to a model that a search runs without torch: an ONNX graph, and the card beside it.

The graph is what :mod:`echoic.encoders.onnx` takes. Its file also holds what the network must be fed, so that
the first digits of its SHA-256 are a revision: two trainings, or one with another front end, never share it,
and their vectors never mix in a library.

Nothing is written to its place before it is whole. Both files are made in a folder beside the output and
loaded from there by the very class that will load them later; then the graph is moved, and the card last. The
card names the SHA-256 of its graph, so a run that is killed between the two moves leaves a pair that is
refused in one sentence, never one that gives wrong vectors; a full disk is met before the first move.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from echoic.analysis.pipeline import embed_samples
from echoic.audio.windows import cut
from echoic.encoders.base import mean_vector
from echoic.encoders.card import FORMAT, read_card
from echoic.encoders.onnx import OnnxEncoder
from echoic.errors import EncoderError, MissingDependencyError, ModelError, UsageError, quoted
from echoic.evaluation import retrieval
from echoic.evaluation.labelled import Estimate
from echoic.evaluation.retrieval import Float64, bootstrap_interval
from echoic.spec import is_plain_name
from echoic.training.graph import example_log_mels, quantize, to_onnx
from echoic.training.publish import check_parity, publish, staged, write_card
from echoic.types import Float32, Progress

if TYPE_CHECKING:
    from torch import nn

    from echoic.nn.checkpoint import Checkpoint
    from echoic.training.batches import Sound
    from echoic.training.loop import Examples

__all__ = ["MOST_LOST", "PRECISIONS", "Exported", "Measured", "export"]

PRECISIONS = ("fp32", "int8")

MOST_LOST = 0.01  # mAP that 8 bits may cost, absolute

_PACKAGES = ("torch", "onnx", "onnxscript", "pytorch_metric_learning")
_N_CALIBRATION = 128  # clips
_BATCH = 16  # windows
_BLOCK = 60  # seconds of a clip read at a time
_N_TIMED = 5
_LOCAL = ("path", "columns")  # of a training's history: where its data lay, and how its manifest was laid out


@dataclass(frozen=True, slots=True)
class Measured:
    """How one precision of a model does.

    Parameters
    ----------
    figures : dict of str to float
        ``p1`` and ``mean_average_precision`` on the validation clips; empty where nothing was measured.
    n_bytes : int
        Of the graph's file.
    speed : float
        Seconds of windows that one thread of this machine encodes in a second, spectrograms given.
    """

    figures: dict[str, float]
    n_bytes: int
    speed: float


@dataclass(frozen=True, slots=True)
class Exported:
    """A model that was written.

    Parameters
    ----------
    path : Path
    card : dict
    measured : dict of str to Measured
        The precisions that were compared, by name.
    lost : Estimate, optional
        Of int8: the mAP that it costs, clip by clip, and the 95 % interval of that. Where this reaches beyond
        ``MOST_LOST``, there were too few clips to tell.
    """

    path: Path
    card: dict[str, Any]
    measured: dict[str, Measured]
    lost: Estimate | None = None


@dataclass(frozen=True, slots=True)
class _Clips:
    """What a model is calibrated on (spectrograms, a window of each clip) and measured on."""

    log_mel: Float32
    audio: list[Sound]
    labels: list[str]
    groups: list[str]


def export(
    checkpoints: Sequence[Path],
    output: Path,
    *,
    precision: str = "fp32",
    data: Path | None = None,
    name: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Exported:
    """Write trained models as one encoder that ``--encoder OUTPUT`` takes.

    Parameters
    ----------
    checkpoints : sequence of Path
        ``.echoic`` files. Several of equal front end, window and hop become an ensemble: one vector, the
        concatenation of theirs.
    output : Path
        Ends in ``.onnx``; the card is written beside it, ending in ``.json``.
    precision : {"fp32", "int8"}
    data : Path, optional
        Folder or manifest to measure on and, for int8, to calibrate with, divided as it was for the training.
        By default, for int8, what the checkpoint was trained on, where that still lies.
    name : str, optional
        Of the encoder; by default the output's, without its suffix.
    progress : callable, optional
        Called after each clip that is decoded.

    Returns
    -------
    Exported

    Raises
    ------
    UsageError
        If the output cannot be meant, the checkpoints do not go together, or int8 has no clips to go by.
    ModelError
        If a checkpoint cannot be read, the graph differs from the network or surely loses too much as int8,
        or a file cannot be written. What was at the output is untouched.
    DatasetError
        If ``data`` cannot be used.
    MissingDependencyError
        If torch or onnx is not installed.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"the precision is {' or '.join(PRECISIONS)}, not {precision!r}")
    name = output.stem if name is None else name
    _check_output(output, name)
    _require_torch()
    from echoic.nn.checkpoint import load_checkpoint

    members = [load_checkpoint(path) for path in checkpoints]
    _check_members(checkpoints, members)
    clips = None
    if precision == "int8" or data is not None:
        clips = _clips(members, data, progress)
    network = _network(members)
    try:
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
            return _export(members, network, output, Path(folder), name, precision, clips)
    except OSError as error:
        raise ModelError(f"{quoted(output)} cannot be written ({error.strerror or error})") from error


def _check_output(output: Path, name: str) -> None:
    card = output.with_suffix(".json")
    if output.suffix != ".onnx":
        raise UsageError(f"the model is written to a file that ends in .onnx, not to {quoted(output)}")
    if not output.parent.is_dir():
        raise UsageError(f"the folder of {quoted(output)} does not exist; make it first")
    if output.is_dir():
        raise UsageError(f"{quoted(output)} is a folder; choose another name for the model")
    # The file of that name may be anything: figures, a page's data, the only copy of somebody's work.
    if os.path.lexists(card) and not _is_card(output):
        raise UsageError(
            f"{quoted(card)} is in the place of the model's card and is none; move it away, "
            "or choose another name for the model"
        )
    if not is_plain_name(name):
        raise UsageError(f"an encoder cannot be named {name!r}; choose a word with --name")


def _is_card(model: Path) -> bool:
    try:
        return "sha256" in read_card(model)
    except EncoderError:
        return False


def _require_torch() -> None:
    if not all(find_spec(package) for package in _PACKAGES):
        raise MissingDependencyError("exporting a model", "train")


def _check_members(paths: Sequence[Path], members: Sequence[Checkpoint]) -> None:
    if not members:
        raise UsageError("name at least one .echoic file to export")
    first = members[0]
    for path, member in zip(paths, members, strict=True):
        if (member.front_end, member.window, member.hop) != (first.front_end, first.window, first.hop):
            raise UsageError(
                f"{quoted(path)} has another front end, window or hop than {quoted(paths[0])}; "
                "export each by itself"
            )


def _network(members: Sequence[Checkpoint]) -> nn.Module:
    from echoic.nn.ensemble import Ensemble

    networks = [member.embedder() for member in members]
    return networks[0] if len(networks) == 1 else Ensemble(networks).eval()


def _export(
    members: Sequence[Checkpoint],
    network: nn.Module,
    output: Path,
    folder: Path,
    name: str,
    precision: str,
    clips: _Clips | None,
) -> Exported:
    """Make graphs and cards in ``folder``, compare them, and move the chosen ones to ``output``."""
    examples = example_log_mels(members[0])
    about = _about(members, network, name)
    encoders = {"fp32": staged(to_onnx(network, examples, members), about, folder / "fp32.onnx")}
    check_parity(network, encoders["fp32"], examples)
    if precision == "int8" and clips is not None:
        quantized = quantize(folder / "fp32.onnx", clips.log_mel)
        encoders["int8"] = staged(quantized, about, folder / "int8.onnx")
    found, precisions = ({}, {}) if clips is None else _figures(encoders, clips)
    measured = {
        kind: Measured(
            found.get(kind, {}), (folder / f"{kind}.onnx").stat().st_size, _speed(encoder, examples)
        )
        for kind, encoder in encoders.items()
    }
    lost = None
    if precision == "int8" and clips is not None:
        lost = _lost(precisions, clips)
        _check_loss(output, len(clips.labels), found, lost)
    figures: Mapping[str, Any] = found
    if precision == "fp32":
        figures = found.get("fp32") or (members[0].figures if len(members) == 1 else {})
    chosen = folder / f"{precision}.onnx"
    card = read_card(chosen) | {"precision": precision, "figures": dict(figures)}
    write_card(card, chosen)
    publish(chosen, output)
    return Exported(output, card, measured, lost)


def _about(members: Sequence[Checkpoint], network: nn.Module, name: str) -> dict[str, Any]:
    """Fill in the card, but for what only the written graph tells."""
    first = members[0]
    histories = [
        {"architecture": member.architecture, "config": member.config} | _portable(member.training)
        for member in members
    ]
    recipes = dict.fromkeys(str(history.get("recipe", history["architecture"])) for history in histories)
    sets = dict.fromkeys(str(history.get("data", {}).get("name", "")) for history in histories)
    taught = f"{len(first.labels)} classes of " if first.labels else ""
    front_end = asdict(first.front_end)
    return {
        "format": FORMAT,
        "name": name,
        "revision": "",
        "sample_rate": front_end.pop("sample_rate"),
        "window": first.window,
        "hop": first.hop,
        "dim": 0,
        "inputs": ["audio"],
        "purposes": ["sounds"],
        # SPDX's word for a licence that nobody has stated.
        "licence": _common(history.get("licence") for history in histories) or "NOASSERTION",
        "reference": f"echoic train --recipe {' + '.join(recipes)}",
        "description": _common(history.get("description") for history in histories)
        or f"trained on {taught}{', '.join(filter(None, sets)) or 'sounds'}",
        "front_end": {"kind": "log_mel"} | front_end,
        "sha256": {},
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "training": histories[0] if len(histories) == 1 else {"members": histories},
    }


def _portable(history: Any) -> Any:
    """Leave out of a training's history what is of this machine: the card goes wherever the model goes."""
    if isinstance(history, dict):
        return {key: _portable(value) for key, value in history.items() if key not in _LOCAL}
    return history


def _common(values: Iterable[Any]) -> str:
    """Return what all say alike, or nothing."""
    said = set(values)
    return str(said.pop() or "") if len(said) == 1 else ""


def _lost(precisions: Mapping[str, Float64], clips: _Clips) -> Estimate:
    """Say how much less each clip finds by int8; whole groups are drawn for the interval."""
    losses = precisions["fp32"] - precisions["int8"]
    _, group_of = np.unique(clips.groups, return_inverse=True)
    return Estimate(float(np.nanmean(losses)), *bootstrap_interval(losses, group_of))


def _check_loss(output: Path, n_clips: int, found: Mapping[str, Mapping[str, float]], lost: Estimate) -> None:
    """Refuse int8 where it is sure to lose too much: of few clips, one that falls a rank may be by chance."""
    before, after = (found[kind]["mean_average_precision"] for kind in ("fp32", "int8"))
    if not lost.low <= MOST_LOST:
        raise ModelError(
            f"as int8 the mAP on {n_clips} held-out clips would fall from {before:.3f} to {after:.3f}, "
            f"by more than {MOST_LOST:g} (95 % interval {lost.low:.3f} to {lost.high:.3f}); {quoted(output)} "
            "was not written: export it as fp32"
        )


def _speed(encoder: OnnxEncoder, examples: Float32) -> float:
    batch = np.resize(examples, (_BATCH, *examples.shape[1:]))
    times = []
    for _ in range(_N_TIMED):
        begin = time.process_time()
        encoder.encode(batch)
        times.append(time.process_time() - begin)
    return _BATCH * encoder.spec.window / max(float(np.median(times)), 1e-9)


# Clips to calibrate with and to measure on


def _clips(
    members: Sequence[Checkpoint], data: Path | None, progress: Callable[[Progress], None] | None
) -> _Clips:
    """Divide the data as each training did; what counts for held out was held out of all of them."""
    from echoic.datasets import Columns, read_dataset
    from echoic.training.train import prepare

    recorded = members[0].training.get("data", {})
    dataset = read_dataset(_data_path(members, data), Columns(**recorded.get("columns", {})))
    rate = members[0].front_end.sample_rate
    ways = {(member.training.get("validation", 0.2), member.training.get("seed", 0)) for member in members}
    divided = [
        prepare(dataset, sample_rate=rate, validation=validation, seed=seed, progress=progress)
        for validation, seed in sorted(ways)
    ]
    held = set.intersection(*({*prepared.validation_paths} for prepared in divided))
    validation = divided[0].validation
    rows = [row for row, path in enumerate(divided[0].validation_paths) if path in held]
    if not rows:
        raise UsageError(
            "none of the clips was held out of the training, so that nothing can be measured; with --data "
            "name a manifest whose split column says validation of some, or export as fp32 without"
        )
    return _Clips(
        _calibration(divided[0].train, members[0]),
        [validation.audio[row] for row in rows],
        [validation.labels[row] for row in rows],
        [validation.groups[row] for row in rows],
    )


def _data_path(members: Sequence[Checkpoint], data: Path | None) -> Path:
    if data is not None:
        return data
    recorded = {str(member.training.get("data", {}).get("path", "")) for member in members}
    path = recorded.pop()
    if recorded or not path or not Path(path).exists():
        gone = f" ({quoted(path)} is gone)" if path and not recorded else ""
        raise UsageError(
            "int8 is calibrated with, and measured on, the clips that the model was trained on"
            f"{gone}; say where they are with --data"
        )
    return Path(path)


def _calibration(examples: Examples, member: Checkpoint) -> Float32:
    """Compute spectrograms of windows spread evenly over the classes, and over clips where those are few."""
    rate = member.front_end.sample_rate
    window = round(member.window * rate)
    by_label = sorted(range(len(examples)), key=lambda row: examples.labels[row])
    rows = by_label[:: max(1, len(by_label) // _N_CALIBRATION)][:_N_CALIBRATION]
    windows = []
    for row in rows:
        audio = examples.audio[row]
        starts = np.linspace(0, max(0, audio.n_samples - window), max(1, _N_CALIBRATION // len(rows)))
        for start in np.unique(starts.astype(int)):
            samples = audio.read(start, min(start + window, audio.n_samples))
            windows.append(cut(samples, window, window, rate).samples)
    log_mels: Float32 = member.front_end(np.concatenate(windows))
    return log_mels


def _figures(
    encoders: Mapping[str, OnnxEncoder], clips: _Clips
) -> tuple[dict[str, dict[str, float]], dict[str, Float64]]:
    """Search each held-out clip among the others, as a training measures it.

    Returns
    -------
    found : dict of str to dict
        Means, by encoder.
    precisions : dict of str to ndarray, shape (clips,)
        Average precision of each clip, by encoder.
    """
    rows = [_embed(audio, encoders) for audio in clips.audio]
    labels, groups = np.array(clips.labels), np.array(clips.groups)
    excluded = groups[:, None] == groups[None]
    found, precisions = {}, {}
    for kind in encoders:
        vectors = np.stack([row[kind] for row in rows])
        similarities = vectors @ vectors.T
        first = retrieval.precision_at_k(similarities, labels, labels, 1, excluded=excluded)
        precision = retrieval.average_precision(similarities, labels, labels, excluded=excluded)
        if np.isnan(precision).all():
            raise UsageError(
                "no two held-out clips are of one class and of different groups, so that nothing can be "
                "measured; name other clips with --data"
            )
        precisions[kind] = precision
        found[kind] = {
            "p1": round(float(np.nanmean(first)), 6),
            "mean_average_precision": round(float(np.nanmean(precision)), 6),
        }
    return found, precisions


def _embed(audio: Sound, encoders: Mapping[str, OnnxEncoder]) -> dict[str, Float32]:
    """Embed a clip as a library would: the mean over its windows, in memory that does not grow with it."""
    rate = next(iter(encoders.values())).spec.sample_rate
    starts = range(0, audio.n_samples, _BLOCK * rate)
    blocks = (audio.read(start, min(start + _BLOCK * rate, audio.n_samples)) for start in starts)
    return {kind: mean_vector(of.vectors) for kind, of in embed_samples(blocks, rate, encoders).items()}
