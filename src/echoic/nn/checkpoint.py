"""One file for one trained network: its weights and all that is needed to use, judge and train it again.

The file is what ``torch.save`` writes, with four entries: ``format`` (a fixed word), ``version`` (a number),
``card`` (everything but the weights, as JSON) and ``weights`` (name → tensor). Reading one runs no code that
the file brings along.
"""

from __future__ import annotations

import io
import json
import os
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from echoic.audio.spectrogram import LogMel
from echoic.errors import ModelError, quoted
from echoic.files import written_whole
from echoic.nn.architectures import build
from echoic.nn.embedder import Embedder
from echoic.nn.ensemble import Ensemble
from echoic.spec import check_windows
from echoic.untrusted import check_number, check_whole_number, read_file, shown

__all__ = ["Checkpoint", "join_checkpoints", "load_checkpoint", "save_checkpoint"]

_FORMAT = "echoic-checkpoint"
_LARGEST_FILE = 4 << 30  # bytes; the networks here have some million weights
_LARGEST_SETTING = 16_384  # channels, frames, dimensions
_MOST_LAYERS = 256
_MOST_PARTS = 64  # of an ensemble, or of a list in a setting
_DEEPEST = 12  # values in values: ensembles of ensembles
_VERSION = 1  # to be raised when a reader of an earlier version would misunderstand the file


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A trained network and how it came about.

    Parameters
    ----------
    architecture : str
        One of :data:`echoic.nn.architectures.ARCHITECTURES`.
    config : dict
        What the architecture was built with. As JSON can hold it; so are ``training`` and ``figures``.
    weights : dict of str to Tensor
        State of the network, on the CPU once it was read from a file.
    front_end : LogMel
        The spectrogram that it takes.
    window, hop : float
        Seconds of a window, and between the starts of two.
    labels : tuple of str
        The classes that it was trained to tell apart; empty without labels.
    training : dict
        Recipe, objective, seed, data and licences, minutes, versions.
    figures : dict of str to float
        Measured on the validation split.
    """

    architecture: str
    config: dict[str, Any]
    weights: dict[str, Tensor]
    front_end: LogMel
    window: float
    hop: float
    labels: tuple[str, ...]
    training: dict[str, Any]
    figures: dict[str, float]

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return build(self.architecture, **self.config).dim

    def embedder(self) -> Embedder | Ensemble:
        """Make the network, with these weights, ready to embed (not to train).

        Raises
        ------
        ModelError
            If the architecture is unknown, or the weights are not its own.
        """
        model = build(self.architecture, **self.config)
        self.fit(model)
        return model.eval()

    def fit(self, model: Embedder | Ensemble, *, assign: bool = False) -> None:
        """Give a network these weights: copies of them, or with ``assign`` themselves.

        Raises
        ------
        ModelError
            If the weights are not its own.
        """
        try:
            model.load_state_dict(self.weights, assign=assign)
        except RuntimeError as error:
            [first] = str(error).split("\n")[1:2] or [str(error)]  # of as many lines as there are weights
            raise ModelError(
                f"the weights do not fit architecture {self.architecture}: {first.strip()[:300]}"
            ) from error


def join_checkpoints(members: Sequence[Checkpoint]) -> Checkpoint:
    """Make one checkpoint of several: an ensemble, which is used and trained on as one network.

    Raises
    ------
    ModelError
        If they do not share front end, window and hop, or there is none.
    """
    if not members:
        raise ModelError("an ensemble needs at least one network")
    first = members[0]
    if any(
        (member.front_end, member.window, member.hop) != (first.front_end, first.window, first.hop)
        for member in members
    ):
        raise ModelError("models with another front end, window or hop cannot be joined; use each by itself")
    return Checkpoint(
        architecture="ensemble",
        config={"members": [{"architecture": m.architecture, "config": m.config} for m in members]},
        weights={
            f"members.{number}.{name}": weight
            for number, member in enumerate(members)
            for name, weight in member.weights.items()
        },
        front_end=first.front_end,
        window=first.window,
        hop=first.hop,
        labels=tuple(sorted({label for member in members for label in member.labels})),
        training={"members": [member.training for member in members]},
        figures={},
    )


def save_checkpoint(checkpoint: Checkpoint, path: Path, *, half: bool = False) -> None:
    """Write a checkpoint; a file already there is replaced whole or, if that fails, not touched.

    Parameters
    ----------
    checkpoint : Checkpoint
    path : Path
    half : bool
        Keep weights as float16, in half the room: enough to train on from, not to compare vectors with.

    Raises
    ------
    ModelError
        If the file cannot be written.
    TypeError
        If ``config``, ``training`` or ``figures`` hold what JSON cannot.
    """
    card = {
        "architecture": checkpoint.architecture,
        "config": checkpoint.config,
        "front_end": asdict(checkpoint.front_end),
        "window": checkpoint.window,
        "hop": checkpoint.hop,
        "labels": checkpoint.labels,
        "training": checkpoint.training,
        "figures": checkpoint.figures,
    }
    # In the default layout and apart from the running model, whatever that was trained in.
    weights = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in checkpoint.weights.items()
    }
    if half:
        weights = {
            name: tensor.half() if tensor.dtype == torch.float32 else tensor
            for name, tensor in weights.items()
        }
    # Through memory: torch reports a full disk as a RuntimeError of many lines.
    content = io.BytesIO()
    torch.save(
        {"format": _FORMAT, "version": _VERSION, "card": json.dumps(card), "weights": weights}, content
    )
    try:
        with written_whole(path) as partial, partial.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ModelError(
            f"{quoted(path)} cannot be written ({error.strerror or error}); "
            "name a place in a folder that exists, may be written to and has room"
        ) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint, and make sure that its network can be made.

    Raises
    ------
    ModelError
        If the file cannot be read, is damaged, was not written by Echoic or by a newer one, or if its
        weights do not fit its architecture.

    Examples
    --------
    >>> model = load_checkpoint(Path("dogs.echoic")).embedder()  # doctest: +SKIP
    """
    content = _content(path)
    try:
        checkpoint = _checkpoint(content)
    except ModelError as error:
        raise ModelError(f"{quoted(path)} cannot be used: {error}") from error
    except (LookupError, RecursionError, TypeError, ValueError) as error:
        said = f"it lacks {error}" if isinstance(error, LookupError) else error
        raise ModelError(
            f"{quoted(path)} is a checkpoint of which parts are missing or wrong ({said}); train it again"
        ) from error
    return checkpoint


def _checkpoint(content: Mapping[str, Any]) -> Checkpoint:
    """Check all that a checkpoint says, and that its network can be made, before it is."""
    card = json.loads(content["card"])
    config, training, figures, labels = (card[name] for name in ("config", "training", "figures", "labels"))
    if not all(isinstance(part, dict) for part in (config, training, figures)):
        raise TypeError("config, training and figures must be objects")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise TypeError(f"labels is {shown(labels)} and must be a list of words")
    front_end = LogMel(**card["front_end"])
    check_windows(front_end.sample_rate, card["window"], card["hop"])
    n_samples = round(card["window"] * front_end.sample_rate)
    front_end.axes(n_samples)  # such windows have a spectrogram
    _check_config(config)
    weights = content["weights"]
    _check_weights(weights)
    checkpoint = Checkpoint(
        architecture=card["architecture"],
        config=config,
        weights=weights,
        front_end=front_end,
        window=float(card["window"]),
        hop=float(card["hop"]),
        labels=tuple(labels),
        training=training,
        figures=figures,
    )
    with torch.device("meta"):  # of shapes alone: what the card says may be larger than any memory
        shapes = build(checkpoint.architecture, **config)
    checkpoint.fit(shapes, assign=True)
    if shapes.n_mels != front_end.n_mels or shapes.n_frames < front_end.n_frames(n_samples):
        raise ModelError(
            f"its network takes {shapes.n_frames} frames of {shapes.n_mels} bands, and its front end makes "
            f"{front_end.n_frames(n_samples)} of {front_end.n_mels}"
        )
    single = {n: tensor.float() if tensor.dtype == torch.float16 else tensor for n, tensor in weights.items()}
    return replace(checkpoint, weights=single)


def _check_config(value: object, name: str = "config", depth: int = 0) -> None:
    """Make sure that the settings of a network are plain values of a size that a network may have."""
    if depth > _DEEPEST:
        raise ValueError(f"{name} is nested too deeply")
    if isinstance(value, dict):
        for key, inner in value.items():
            _check_config(inner, str(key), depth + 1)
    elif isinstance(value, list):
        if len(value) > _MOST_PARTS:
            raise ValueError(f"{name} has {len(value):,} parts")
        for inner in value:
            _check_config(inner, name, depth + 1)
    elif name == "dropout":
        check_number(name, value, 0, 1)
    elif name != "architecture":  # of a member; build() knows which there are
        check_whole_number(name, value, 1, _MOST_LAYERS if name.startswith("depth") else _LARGEST_SETTING)


def _check_weights(weights: object) -> None:
    """Make sure that weights are numbers, of no more than the file holds: a view may stand for terabytes."""
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
        raise TypeError("weights must be tensors by name")
    for name, tensor in weights.items():
        if (
            type(tensor) is not Tensor
            or tensor.layout != torch.strided
            or tensor.dtype not in (torch.float16, torch.float32, torch.int64)
            or tensor.device.type != "cpu"
            or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()
        ):
            raise TypeError(f"weight {shown(name)} is no plain tensor of numbers")
        if not torch.isfinite(tensor).all():
            raise ValueError(f"weight {shown(name)} is not finite")


def _content(path: Path) -> Mapping[str, Any]:
    """Read the entries of a checkpoint of a version that is understood."""
    foreign = ModelError(
        f"{quoted(path)} is not a model that echoic has trained; name a file that echoic train has written"
    )
    try:
        data = read_file(path, _LARGEST_FILE)
    except OSError as error:
        raise ModelError(
            f"{quoted(path)} cannot be read ({error.strerror or error}); check its name and permissions"
        ) from error
    if not data.startswith(b"PK"):
        raise foreign
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if not _is_plain(archive.infolist(), len(data)):
                raise foreign
            damaged = archive.testzip() is not None  # torch itself checks no sums
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError, OSError, RuntimeError, ValueError):
        damaged = True
    if damaged:
        raise ModelError(f"{quoted(path)} is damaged or was cut short; copy or train it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about foreign kinds of files, which are refused right below
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        raise foreign from error  # whatever a file made up by somebody leads torch to
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise foreign
    version = content.get("version")
    if not isinstance(version, int) or version > _VERSION:
        raise ModelError(
            f"{quoted(path)} was written by a newer echoic (format {shown(version)}, this one reads "
            f"{_VERSION}); install the one that wrote it"
        )
    return content


def _is_plain(members: Sequence[zipfile.ZipInfo], n_bytes: int) -> bool:
    """Tell whether a zip is as torch writes it: nothing is compressed, so that nothing can swell."""
    return (
        all(member.compress_type == zipfile.ZIP_STORED for member in members)
        and sum(member.file_size for member in members) <= n_bytes
        and len({member.filename for member in members}) == len(members)
    )
