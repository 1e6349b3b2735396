"""Format 2 of a model's card: which fields there are, and of which types.

What a number may be, the values themselves check (:class:`~echoic.spec.EncoderSpec`, the front ends), as for
encoders that have no card.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from echoic.audio.spectrogram import MelScale

__all__ = ["CardFormat"]

_Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    """Numbers are no text, true is no number, and what means nothing is not passed over."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class _Waveform(_Strict):
    kind: Literal["waveform"]


class _LogMel(_Strict):
    kind: Literal["log_mel"]
    n_fft: int
    hop_length: int
    n_mels: int
    fmin: float
    fmax: float
    mel_scale: MelScale = "slaney"


class _Graph(_Strict):
    input: str = "log_mel"
    output: str = "embedding"


class _Digests(_Strict):
    graph: _Digest
    decision: _Digest | None = None
    text: _Digest | None = None
    text_graph: _Digest | None = None
    tokenizer: _Digest | None = None
    picture_graph: _Digest | None = None
    heard: _Digest | None = None
    letters: _Digest | None = None
    sounds: _Digest | None = None
    symbols: _Digest | None = None
    background: _Digest | None = None


class CardFormat(_Strict):
    """A card as it is written."""

    format: int
    name: str
    revision: str
    sample_rate: int
    window: float
    hop: float
    dim: int
    by: str = "window"
    frame_rate: float | None = None
    inputs: list[str]
    purposes: list[str] = ["sounds"]
    licence: str
    reference: str
    description: str
    storage: str = "float32"
    front_end: Annotated[_LogMel | _Waveform, Field(discriminator="kind")]
    graph: _Graph = _Graph()
    sha256: _Digests

    # How it came about; nothing is decided by it.
    parameters: int | None = None
    precision: str | None = None
    training: dict[str, Any] = {}
    figures: dict[str, Any] = {}
