"""The card of a model: ``NAME.json`` beside ``NAME.onnx`` says what it must be fed and how it came about.

Cards are written by others, and what they say decides how much is computed and where it is kept. A card is
therefore read whole, and all of it is checked, before anything runs. It names no file: what belongs to a
model lies beside its card under the card's own name, so that no card leads anywhere else.

Format 2 is what is written. Cards of format 1, which say no format, are read as what they mean in format 2.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echoic.audio.front_end import FrontEnd, Waveform
from echoic.audio.spectrogram import LogMel
from echoic.errors import EncoderError, UnknownEncoderError, quoted
from echoic.spec import EncoderSpec
from echoic.untrusted import read_file, shown

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from echoic.encoders.card_format import CardFormat

__all__ = ["FORMAT", "SUFFIXES", "Card", "load_card", "read_card"]

FORMAT = 2

#: The files of a model, by what they are: each has the card's name with another suffix.
SUFFIXES = {
    "graph": ".onnx",
    "decision": ".decision.npz",
    "text": ".text.npz",
    "text_graph": ".text.onnx",
    "tokenizer": ".tokenizer",
    "picture_graph": ".picture.onnx",
    "heard": ".heard.npz",
    "letters": ".letters.onnx",
    "sounds": ".sounds.onnx",
    "symbols": ".symbols",
    "background": ".background.npz",
}

_SPELLING = ("letters", "sounds", "symbols")

# What cards of format 1 had; what else they said was passed over.
_OF_FORMAT_1 = (
    *("name", "revision", "sample_rate", "window", "hop", "dim", "inputs", "licence", "reference"),
    *("description", "storage", "front_end", "parameters", "precision", "training", "figures"),
)

_LONGEST_REASON = 200  # characters
_LARGEST_CARD = 16 << 20  # bytes; the history of a training is some thousand


@dataclass(frozen=True, slots=True)
class Card:
    """What a card says, once it has been checked.

    Parameters
    ----------
    spec : EncoderSpec
    front_end : FrontEnd
        What makes of a window what the graph takes.
    input, output : str
        Names of what the graph takes, and of the vectors that it gives.
    digests : mapping of str to str
        SHA-256 of each of the model's files, in hexadecimal, by its key in ``SUFFIXES``.
    """

    spec: EncoderSpec
    front_end: FrontEnd
    input: str
    output: str
    digests: Mapping[str, str]


def load_card(model: Path) -> Card:
    """Read and check the card of a model, given the path of its ``.onnx`` file.

    Raises
    ------
    EncoderError
        If the card is missing, or says what cannot be meant; the message names card and field.
    UnknownEncoderError
        If the model is missing, too.
    """
    written = read_card(model)
    try:
        return _checked(written)
    except ValueError as error:
        raise EncoderError(
            f"the card {quoted(model.with_suffix('.json'))} cannot be used: {_said(error)}; "
            "correct it, or export the model again"
        ) from error


def read_card(model: Path) -> dict[str, Any]:
    """Read the card of a model, given the path of its ``.onnx`` file, unchecked, in terms of format 2.

    Raises
    ------
    EncoderError
        If the card is missing or is no JSON object.
    UnknownEncoderError
        If the model is missing, too.
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
    return card if "format" in card else _from_format_1(card)


def _from_format_1(card: Mapping[str, Any]) -> dict[str, Any]:
    """Say in format 2 what a card of format 1 does, which had log-mel spectrograms and one file only."""
    moved = {name: card[name] for name in _OF_FORMAT_1 if name in card} | {"format": FORMAT}
    if "sha256" in card:
        moved["sha256"] = {"graph": card["sha256"]}
    if isinstance(card.get("front_end"), dict):
        moved["front_end"] = {"kind": "log_mel"} | card["front_end"]
    return moved


def _checked(written: Mapping[str, Any]) -> Card:
    from echoic.encoders.card_format import CardFormat  # pydantic takes .1 s to import

    if written["format"] != FORMAT:
        raise ValueError(f"format is {shown(written['format'])}, and this version of Echoic reads 1 and 2")
    card = CardFormat.model_validate(dict(written))
    spec = EncoderSpec(
        **{field.name: getattr(card, field.name) for field in fields(EncoderSpec)}
        | {"inputs": frozenset(card.inputs), "purposes": frozenset(card.purposes)}
    )
    front_end = _front_end(card)
    front_end.axes(spec.window_samples)  # such windows have some
    if "recordings" in spec.purposes and card.sha256.decision is None:
        raise ValueError("purposes has 'recordings', and sha256 has no decision, by which they are told")
    towers = (card.sha256.text, card.sha256.text_graph)
    if ("text" in spec.inputs) != (towers != (None, None)):
        raise ValueError(
            "of inputs with 'text' and a digest of text in sha256, one is there without the other"
        )
    if None not in towers or (card.sha256.text_graph is None) != (card.sha256.tokenizer is None):
        raise ValueError("sha256 is to have either text, or text_graph and tokenizer")
    if ("picture" in spec.inputs) != (card.sha256.picture_graph is not None):
        raise ValueError(
            "of inputs with 'picture' and a digest of picture_graph in sha256, one is there without the other"
        )
    if "picture" in spec.inputs and "text" not in spec.inputs:
        raise ValueError("inputs has 'picture' and lacks 'text', beside which pictures are taken")
    spelling = {getattr(card.sha256, kind) is not None for kind in _SPELLING}
    if spelling != {"phrases" in spec.purposes}:
        raise ValueError(
            f"of purposes with 'phrases' and digests of {', '.join(_SPELLING)}, not all are there"
        )
    if ("spoken" in spec.purposes) != (card.sha256.background is not None):
        raise ValueError(
            "of purposes with 'spoken' and a digest of background, one is there without the other"
        )
    digests = {kind: digest for kind in SUFFIXES if (digest := getattr(card.sha256, kind)) is not None}
    return Card(spec, front_end, card.graph.input, card.graph.output, digests)


def _front_end(card: CardFormat) -> FrontEnd:
    settings = card.front_end.model_dump(exclude={"kind"})
    if card.front_end.kind == "waveform":
        return Waveform(card.sample_rate)
    return LogMel(sample_rate=card.sample_rate, **settings)


def _said(error: ValueError) -> str:
    """Say in one line what is wrong with a card, the first thing if it is much."""
    details: list[ErrorDetails] = error.errors() if hasattr(error, "errors") else []
    if not details:
        return str(error)
    first = details[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"it lacks {where!r}"
    if first["type"] == "extra_forbidden":
        return f"it has {shown(where)}, which means nothing here"
    why = first["msg"][:1].lower() + first["msg"][1:_LONGEST_REASON]  # it may hold the input
    return f"{where} is {shown(first['input'])}: {why}"
