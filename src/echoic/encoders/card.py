"""The card of a model: ``NAME.json`` beside ``NAME.onnx`` says what it must be fed and how it came about.

Cards are written by others, and what they say decides how much is computed and where it is kept. A card is
therefore read whole, and all of it that is used is checked, before anything runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echoic.audio.spectrogram import LogMel
from echoic.errors import EncoderError, UnknownEncoderError, quoted
from echoic.types import EncoderSpec
from echoic.untrusted import read_file, shown

__all__ = ["Card", "load_card", "read_card"]

_LARGEST_CARD = 16 << 20  # bytes; the history of a training is some thousand

_SPEC = ("name", "revision", "sample_rate", "window", "hop", "dim", "licence", "reference", "description")
_NEEDED = (*_SPEC, "inputs", "front_end", "sha256")
_FRONT_END = ("n_fft", "hop_length", "n_mels", "fmin", "fmax")


@dataclass(frozen=True, slots=True)
class Card:
    """What a card says, once it has been checked.

    Parameters
    ----------
    spec : EncoderSpec
    log_mel : LogMel
        The spectrogram that the graph takes.
    sha256 : str
        Of the ``.onnx`` file, in hexadecimal.
    """

    spec: EncoderSpec
    log_mel: LogMel
    sha256: str


def load_card(model: Path) -> Card:
    """Read and check the card of a model, given the path of its ``.onnx`` file.

    Raises
    ------
    EncoderError
        If the card is missing, or says what cannot be meant; the message names card and field.
    UnknownEncoderError
        If the model is missing, too.
    """
    card = read_card(model)
    try:
        return _checked(card)
    except ValueError as error:
        raise EncoderError(
            f"the card {quoted(model.with_suffix('.json'))} cannot be used: {error}; "
            "correct it, or export the model again"
        ) from error


def read_card(model: Path) -> dict[str, Any]:
    """Read the card of a model as it is, given the path of its ``.onnx`` file.

    Raises
    ------
    EncoderError
        If the card is missing or is no JSON object.
    """
    path = model.with_suffix(".json")
    try:
        card = json.loads(read_file(path, _LARGEST_CARD))
    except FileNotFoundError as error:
        if model.exists():
            raise EncoderError(
                f"the model {quoted(model)} lacks its card, {path.name} in the same folder; put it there "
                "or export the model again"
            ) from error
        raise UnknownEncoderError(
            f"there is no model {quoted(model)}, nor its card {path.name}; put both back, "
            "or name the place where they are now with --encoder"
        ) from error
    except OSError as error:
        raise EncoderError(
            f"the card {quoted(path)} of the model cannot be read ({error.strerror})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise EncoderError(
            f"the card {quoted(path)} of the model is not the JSON that a card is; export the model again"
        ) from error
    if not isinstance(card, dict):
        raise EncoderError(f"the card {quoted(path)} of the model does not hold a JSON object")
    return card


def _checked(card: Mapping[str, Any]) -> Card:
    _check_fields("it", card, _NEEDED)
    inputs, front_end, sha256 = card["inputs"], card["front_end"], card["sha256"]
    if not isinstance(inputs, list) or not all(isinstance(kind, str) for kind in inputs):
        raise ValueError(f'inputs is {shown(inputs)} and must be a list, as in ["audio"]')
    _check_fields("its front_end", front_end, _FRONT_END)
    unknown = front_end.keys() - {*_FRONT_END, "mel_scale"}
    if unknown:
        raise ValueError(f"its front_end has {shown(min(unknown))}, which means nothing here")
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError(f"sha256 is {shown(sha256)} and must be 64 hexadecimal digits")
    fields = {name: card[name] for name in _SPEC} | {"inputs": frozenset(inputs)}
    spec = EncoderSpec(**fields, storage=card.get("storage", "float32"))
    log_mel = LogMel(sample_rate=spec.sample_rate, **front_end)
    log_mel.check_window(spec.window_samples)
    return Card(spec, log_mel, sha256)


def _check_fields(what: str, given: object, needed: Collection[str]) -> None:
    lacking = [name for name in needed if not isinstance(given, dict) or name not in given]
    if lacking:
        raise ValueError(f"{what} lacks {' and '.join(map(repr, lacking))}")
