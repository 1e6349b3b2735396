"""One file for one trained network: its weights and all that is needed to use, judge and train it again.

The file is what ``torch.save`` writes, with four entries: ``format`` (a fixed word), ``version`` (a number),
``card`` (everything but the weights, as JSON) and ``weights`` (name → tensor). Reading one runs no code that
the file brings along.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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

__all__ = ["Checkpoint", "join_checkpoints", "load_checkpoint", "save_checkpoint"]

_FORMAT = "echoic-checkpoint"
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
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            [first] = str(error).split("\n")[1:2] or [str(error)]  # of as many lines as there are weights
            raise ModelError(
                f"the weights do not fit architecture {self.architecture}: {first.strip()}"
            ) from error
        return model.eval()


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
        card = json.loads(content["card"])
        checkpoint = Checkpoint(
            architecture=str(card["architecture"]),
            config=dict(card["config"]),
            weights={
                name: tensor.float() if tensor.dtype == torch.float16 else tensor
                for name, tensor in content["weights"].items()
            },
            front_end=LogMel(**card["front_end"]),
            window=float(card["window"]),
            hop=float(card["hop"]),
            labels=tuple(card["labels"]),
            training=dict(card["training"]),
            figures=dict(card["figures"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{quoted(path)} is a checkpoint of which parts are missing or wrong ({error!r}); train it again"
        ) from error
    try:
        checkpoint.embedder()
    except ModelError as error:
        raise ModelError(f"{quoted(path)} cannot be used: {error}") from error
    return checkpoint


def _content(path: Path) -> Mapping[str, Any]:
    """Read the entries of a checkpoint of a version that is understood."""
    foreign = ModelError(
        f"{quoted(path)} is not a model that echoic has trained; name a file that echoic train has written"
    )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(
            f"{quoted(path)} cannot be read ({error.strerror or error}); check its name and permissions"
        ) from error
    if not data.startswith(b"PK"):
        raise foreign
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            damaged = archive.testzip() is not None  # torch itself checks no sums
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError):
        damaged = True
    if damaged:
        raise ModelError(f"{quoted(path)} is damaged or was cut short; copy or train it again")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about foreign kinds of files, which are refused right below
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise foreign from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise foreign
    version = content.get("version")
    if not isinstance(version, int) or version > _VERSION:
        raise ModelError(
            f"{quoted(path)} was written by a newer echoic (format {version}, this one reads {_VERSION}); "
            "update it: pip install --upgrade echoic"
        )
    return content
