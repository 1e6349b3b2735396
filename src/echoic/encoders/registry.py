"""Where encoders are found by name.

Four sources, looked up in this order: those that ship with Echoic, those that other packages declare in
the entry-point group ``echoic.encoders``, pretrained ones that were added (``echoic models add``), and the
path of a model (``./mine.onnx``). Nothing is imported or
loaded before an encoder is asked for: a search for what is in the library needs names alone, and neither what
runs models nor what tells which there are to fetch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from echoic.encoders.base import (
    Encoder,
    PhraseEncoder,
    PictureEncoder,
    RecordingEncoder,
    SpokenEncoder,
    TextEncoder,
)
from echoic.errors import EchoicError, EncoderError, UnknownEncoderError, UsageError
from echoic.spec import EncoderSpec, Purpose

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "DEFAULT_ENCODERS",
    "MODELS",
    "Entry",
    "Registry",
    "available",
    "bundled_for",
    "checked_encoder",
    "load_encoder",
    "spell_out",
]

ENTRY_POINT_GROUP = "echoic.encoders"
#: Who provides pretrained networks that were added.
MODELS = "echoic models"

#: What a new library starts with; the first is the one that searches by sound use.
DEFAULT_ENCODERS = ("sound", "fingerprint", "harmony", "spectral")


@dataclass(frozen=True, slots=True)
class Entry:
    """A name, who provides it, and how to make the encoder."""

    name: str
    provider: str
    factory: Callable[[], Encoder]


class Registry:
    """A set of encoders with distinct names."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries: dict[str, Entry] = {}
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Add an encoder.

        Raises
        ------
        UsageError
            If the name is taken.
        """
        taken = self._entries.get(entry.name)
        if taken is not None:
            raise UsageError(
                f"two packages offer an encoder named {entry.name!r}, {taken.provider} and {entry.provider}; "
                "uninstall one of them"
            )
        self._entries[entry.name] = entry

    def load(self, name: str) -> Encoder:
        """Make the encoder of that name, or run the model at that path.

        Raises
        ------
        UnknownEncoderError
            If there is neither.
        EncoderError
            If it is there and cannot be loaded.
        """
        if name.endswith(".onnx"):
            return _model(Path(name))
        try:
            entry = self._entries[name]
        except KeyError:
            from echoic.encoders.families import how_to_get

            if how := how_to_get(name):
                raise UnknownEncoderError(
                    f"{how} (or drop its vectors: echoic remove --encoder {name})"
                ) from None
            raise UnknownEncoderError(
                f"there is no encoder named {name!r}; choose from {', '.join(sorted(self._entries))} "
                "or give the path of an .onnx model"
            ) from None
        encoder = entry.factory()
        if not isinstance(encoder, Encoder) or not isinstance(encoder.spec, EncoderSpec):
            raise EncoderError(
                f"{entry.provider} made a {type(encoder).__name__} for {name!r}, without encode(), front_end "
                "or spec; it was written for another version of Echoic, or is no encoder"
            )
        if encoder.front_end.sample_rate != encoder.spec.sample_rate:
            raise EncoderError(
                f"{entry.provider} made a {type(encoder).__name__} for {name!r}, whose front end is for "
                f"{encoder.front_end.sample_rate} Hz and whose spec says {encoder.spec.sample_rate}"
            )
        if "recordings" in encoder.spec.purposes and not isinstance(encoder, RecordingEncoder):
            raise EncoderError(
                f"{entry.provider} made a {type(encoder).__name__} for {name!r}, which is said to identify "
                "recordings and has no read_decision()"
            )
        if "phrases" in encoder.spec.purposes and not isinstance(encoder, PhraseEncoder):
            raise EncoderError(
                f"{entry.provider} made a {type(encoder).__name__} for {name!r}, which is said to find "
                "phrases and has no spell()"
            )
        if "spoken" in encoder.spec.purposes and not isinstance(encoder, SpokenEncoder):
            raise EncoderError(
                f"{entry.provider} made a {type(encoder).__name__} for {name!r}, which is said to find "
                "spoken phrases and has no read_background()"
            )
        if ("text" in encoder.spec.inputs) != isinstance(encoder, TextEncoder):
            raise EncoderError(
                f"{entry.provider} made a {type(encoder).__name__} for {name!r}, of which either the inputs "
                "say text or encode_text() is there; both must be, or neither"
            )
        if ("picture" in encoder.spec.inputs) != isinstance(encoder, PictureEncoder):
            raise EncoderError(
                f"{entry.provider} made a {type(encoder).__name__} for {name!r}, of which either the inputs "
                "say picture or encode_pictures() and n_frames are there; all must be, or none"
            )
        return encoder

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())


def _spectral() -> Encoder:
    from echoic.encoders.spectral import SpectralEncoder

    return SpectralEncoder()


def _harmony() -> Encoder:
    from echoic.encoders.harmony import HarmonyEncoder

    return HarmonyEncoder()


def _model(path: Path) -> Encoder:
    from echoic.encoders.onnx import load_model

    return load_model(path)


def _events() -> Encoder:
    from echoic.encoders.events import load_events

    return load_events()


def _from_entry_point(point: EntryPoint) -> Encoder:
    try:
        encoder: Encoder = point.load()()
    except EchoicError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        raise EncoderError(
            f"encoder {point.name} of {point.value} cannot be made ({type(error).__name__}: {said}); "
            "reinstall or remove its package"
        ) from error
    return encoder


def available() -> Registry:
    """Collect the encoders of this installation.

    Raises
    ------
    UsageError
        If two of them have one name.
    """
    from importlib.metadata import entry_points  # brings the email package: a sixth of importing Echoic

    from echoic.encoders.families import models_folder
    from echoic.encoders.onnx import BUNDLED

    made = {"spectral": _spectral, "harmony": _harmony, "events": _events}
    registry = Registry(Entry(name, "echoic", factory) for name, factory in made.items())
    for card in sorted(BUNDLED.glob("*.json")):
        registry.add(Entry(card.stem, "echoic", partial(_model, card.with_suffix(".onnx"))))
    for point in entry_points(group=ENTRY_POINT_GROUP):
        provider = point.dist.name if point.dist is not None else point.value
        registry.add(Entry(point.name, provider, partial(_from_entry_point, point)))
    for card in sorted(models_folder().glob("*.json")):
        registry.add(Entry(card.stem, MODELS, partial(_model, card.with_suffix(".onnx"))))
    return registry


def load_encoder(name: str) -> Encoder:
    """Load one encoder by name or by the path of a model; see :class:`Registry.load`."""
    return available().load(name)


def checked_encoder(name: str) -> Encoder:
    """Load an encoder to index with, and make sure that its weights are those of its card.

    Raises
    ------
    UnknownEncoderError, EncoderError
        As :func:`load_encoder`; if the weights are others.
    """
    from echoic.encoders.onnx import OnnxEncoder

    encoder = load_encoder(name)
    if isinstance(encoder, OnnxEncoder):
        encoder.check()
    return encoder


def bundled_for(purpose: Purpose) -> list[str]:
    """Name the bundled encoders that may be asked for something, the first of which is the usual one."""
    return [name for name in DEFAULT_ENCODERS if purpose in load_encoder(name).spec.purposes]


def spell_out(encoder: str) -> str:
    """Make the path of a model absolute; it must be found from any folder later."""
    return os.path.abspath(encoder) if encoder.endswith(".onnx") else encoder
