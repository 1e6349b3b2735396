"""The encoder ``events``: the network of ``sound`` over what is heard, not over windows.

It is the model of ``sound``, words included; what differs is how a file is cut
(:class:`~echoic.audio.events.EventCutter`).
"""

from __future__ import annotations

from dataclasses import replace

from echoic.encoders.card import load_card
from echoic.encoders.onnx import BUNDLED, OnnxTextEncoder

__all__ = ["load_events"]

_RULE = 1  # by which files are cut: another one makes other vectors


def load_events() -> OnnxTextEncoder:
    """Make the encoder, of the model that ships."""
    path = BUNDLED / "sound.onnx"
    card = load_card(path)
    spec = replace(
        card.spec,
        name="events",
        revision=f"{card.spec.revision}.{_RULE}",
        purposes=frozenset({"occurrences"}),
        by="event",
        hop=card.spec.window,
        storage="int8",
        description="every place where a sound is heard in long recordings: search --every",
    )
    return OnnxTextEncoder(path, replace(card, spec=spec))
