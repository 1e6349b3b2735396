"""Encodes words into a space of sounds by a network of their own, as those that others trained have one.

Words become tokens by the rules of a file, as the ``tokenizers`` library writes it. Each text goes through
the network alone and without padding, so that its vector does not depend on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from echoic.encoders.base import check_vectors, no_vectors
from echoic.encoders.graph import Graph
from echoic.errors import MissingDependencyError
from echoic.spec import EncoderSpec
from echoic.types import Float32

__all__ = ["TextNetwork"]


class TextNetwork:
    """Turns texts into unit vectors of a space of sounds.

    Parameters
    ----------
    session : onnxruntime.InferenceSession
        Of the graph: (n, tokens) int64 → (n, dim).
    graph : Graph
        What it takes and gives.
    tokenizer : bytes
        JSON of the ``tokenizers`` library, which says, too, after how many tokens a text is cut.
    spec : EncoderSpec
        Of the encoder to which it belongs.

    Raises
    ------
    ValueError
        If they are something else; the message is part of a sentence.
    MissingDependencyError
        If ``tokenizers`` is not installed.
    """

    def __init__(self, session: Any, graph: Graph, tokenizer: bytes, spec: EncoderSpec) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise MissingDependencyError(f"asking {spec.name} in words", "text") from error
        if len(graph.inputs) != 1 or len(graph.outputs) != 1:
            raise ValueError("it takes or gives more than one thing")
        try:
            self._tokenizer = Tokenizer.from_str(tokenizer.decode("utf-8"))
        except Exception as error:
            raise ValueError(f"its tokenizer cannot be read ({error})") from error
        self._session, self._spec = session, spec
        self._input, self._output = graph.inputs[0].name, graph.outputs[0].name

    def unknown(self, text: str) -> list[str]:
        """List the words that are passed over: none, as its tokens spell any."""
        return []

    def encode(self, texts: Sequence[str]) -> Float32:
        """Encode texts → (n, dim), of length 1 each."""
        vectors = [no_vectors(self._spec)]
        for text in texts:
            tokens = np.array([self._tokenizer.encode(text).ids], np.int64)
            vectors += self._session.run([self._output], {self._input: tokens})
        return check_vectors(self._spec, len(texts), np.concatenate(vectors))
