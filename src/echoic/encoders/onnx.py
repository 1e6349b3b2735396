"""Runs models in ONNX: the bundled ones, and those that users export.

A model is two files side by side: ``NAME.onnx``, and ``NAME.json``, its card (:mod:`echoic.encoders.card`);
one that identifies recordings has ``NAME.decision.npz``, too, one that takes words either
``NAME.text.npz``, or ``NAME.text.onnx`` and ``NAME.tokenizer``, one that takes pictures, too,
``NAME.picture.onnx``, one whose vectors tell kinds of sound ``NAME.heard.npz``, one that typed phrases are
found by has what :mod:`echoic.encoders.phonemes` spells with, and one that spoken phrases are found by
``NAME.background.npz``.
The graph takes the features of windows, (n, …) as the card's front end makes them, and gives vectors of unit
length, (n, dim), or (n, frames, dim) if it describes each frame; all of its weights lie in that one file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from echoic.encoders.base import Picture, check_vectors, no_vectors
from echoic.encoders.card import SUFFIXES, Card, load_card
from echoic.encoders.graph import Graph, Tensor, read_graph
from echoic.errors import EncoderError, quoted
from echoic.types import Float32
from echoic.untrusted import read_file

if TYPE_CHECKING:
    from echoic.encoders.head import Head
    from echoic.encoders.pictures import PictureNetwork
    from echoic.encoders.text import TextTower
    from echoic.encoders.text_network import TextNetwork

__all__ = [
    "BUNDLED",
    "OnnxEncoder",
    "OnnxPictureEncoder",
    "OnnxTextEncoder",
    "import_onnxruntime",
    "load_model",
    "started",
]

BUNDLED = Path(__file__).parents[1] / "bundled"

# Seconds of sound given to a model at a time. More does not make it faster, and memory grows with it: raw
# sound of 10 s at 32 kHz goes through half as fast again alone as eight at once, and spectra of 5 s as fast.
_BATCH = 8.0
_LARGEST = 2 << 30  # bytes of a model: protobuf itself ends there
_LARGEST_BESIDE = 64 << 20  # bytes of a file that lies beside a model


def import_onnxruntime() -> Any:
    """Import ONNX Runtime and have it tell nobody: since 1.29 it reports to its maker by default."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when it is loaded
    import onnxruntime

    onnxruntime.disable_telemetry_events()  # Windows does not look at the environment
    return onnxruntime


class OnnxEncoder:
    """An encoder whose network is an ONNX graph.

    Its card is read at once, its weights when they are first needed.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file; its card lies beside it.
    card : Card, optional
        If it was read before.

    Attributes
    ----------
    path : Path
    n_threads : int
        Threads of ONNX Runtime, to be set before it first encodes. One is fastest overall when several worker
        processes run.

    Raises
    ------
    EncoderError
        If the card is missing or says what cannot be meant.
    """

    def __init__(self, path: Path, card: Card | None = None) -> None:
        self._card = load_card(path) if card is None else card
        self.spec = self._card.spec
        self.front_end = self._card.front_end
        self.path = path
        self.n_threads = 1

    def check(self) -> None:
        """Make sure that the weights are those of the card, without running them.

        A file that was looked at is not read again until its time stamp or size is another.

        Raises
        ------
        EncoderError
            If the file is missing or damaged, the graph is another than the card describes, or some of its
            weights lie in another file.
        """
        try:
            status = self.path.stat()
            stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
            graph = _graph_of(self.path, stamp, self._card.digests["graph"])
        except OSError as error:
            raise EncoderError(f"the model {quoted(self.path)} cannot be read ({error.strerror})") from error
        try:
            self._check_graph(graph)
        except ValueError as error:
            raise EncoderError(f"the model {quoted(self.path)} cannot be used: {error}") from error

    def _check_graph(self, graph: Graph) -> None:
        """Compare what a graph takes and gives with what its card says; raise ValueError if it differs."""
        card = self._card
        names = [tensor.name for tensor in graph.inputs]
        if names != [card.input]:
            raise ValueError(f"its graph takes {' and '.join(names) or 'nothing'}, not {card.input}")
        _check_shape(graph.inputs[0], card.front_end.axes(card.spec.window_samples))
        found = [tensor for tensor in graph.outputs if tensor.name == card.output]
        if not found:
            raise ValueError(
                f"its graph gives {' and '.join(t.name for t in graph.outputs)}, not {card.output}"
            )
        frames = {"frames": None} if card.spec.by == "frame" else {}
        _check_shape(found[0], {**frames, "dim": card.spec.dim})

    def read_decision(self) -> bytes:
        """Return what is decided by; see :class:`~echoic.encoders.base.RecordingEncoder`."""
        return self._read_beside("decision", "to decide by")

    @cached_property
    def head(self) -> Head | None:
        """What tells kinds of sound by the encoder's vectors; None where there is none.

        Raises
        ------
        EncoderError
            If it cannot be read, or is another than the card describes.
        """
        if "heard" not in self._card.digests:
            return None
        from echoic.encoders.head import Head

        content = self._read_beside("heard", "to tell kinds of sound by")
        try:
            return Head(content, self.spec.dim)
        except ValueError as error:
            path = self.path.with_suffix(SUFFIXES["heard"])
            raise EncoderError(
                f"{quoted(path)}, by which kinds of sound are told, cannot be used: {error}"
            ) from error

    def _read_beside(self, kind: str, purpose: str) -> bytes:
        """Read another of the model's files, and make sure that it is the card's."""
        path, digest = self.path.with_suffix(SUFFIXES[kind]), self._card.digests.get(kind)
        if digest is None:
            raise EncoderError(f"the card of {quoted(self.path)} tells of nothing {purpose}")
        try:
            content = read_file(path, _LARGEST_BESIDE)
        except OSError as error:
            raise EncoderError(f"{quoted(path)} cannot be read ({error.strerror})") from error
        if hashlib.sha256(content).hexdigest() != digest:
            raise EncoderError(f"{quoted(path)} is not the file that its card describes; install it anew")
        return content

    def _graph_beside(self, kind: str) -> Graph:
        """Read what another of the model's graphs takes and gives, and make sure that it is the card's."""
        path = self.path.with_suffix(SUFFIXES[kind])
        try:
            status = path.stat()
            stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
            return _graph_of(path, stamp, self._card.digests[kind])
        except OSError as error:
            raise EncoderError(f"{quoted(path)} cannot be read ({error.strerror})") from error

    @cached_property
    def _session(self) -> Any:
        # Made when first used: who only asks what an encoder is spares the runtime's time and memory.
        self.check()
        return started(self.path, self.n_threads)

    def encode(self, features: Float32) -> Float32:
        size = max(1, int(_BATCH / self.spec.window))
        batches = [
            self._session.run([self._card.output], {self._card.input: features[at : at + size]})[0]
            for at in range(0, len(features), size)
        ]
        vectors = np.concatenate(batches) if batches else no_vectors(self.spec)
        return check_vectors(self.spec, len(features), vectors)


class OnnxTextEncoder(OnnxEncoder):
    """An encoder whose network is an ONNX graph, and of words into the same space.

    Words have vectors of their own, or a graph. Either is read when the first are encoded.
    """

    @cached_property
    def _tower(self) -> TextTower | TextNetwork:
        return self._network() if "text_graph" in self._card.digests else self._words()

    def _words(self) -> TextTower:
        from echoic.encoders.text import TextTower

        content = self._read_beside("text", "to encode words by")
        try:
            return TextTower(content, self.spec.dim)
        except ValueError as error:
            path = self.path.with_suffix(SUFFIXES["text"])
            raise EncoderError(f"the words' vectors {quoted(path)} cannot be used: {error}") from error

    def _network(self) -> TextNetwork:
        from echoic.encoders.text_network import TextNetwork

        tokenizer = self._read_beside("tokenizer", "to divide words by")
        path = self.path.with_suffix(SUFFIXES["text_graph"])
        graph = self._graph_beside("text_graph")
        try:
            return TextNetwork(started(path, self.n_threads), graph, tokenizer, self.spec)
        except ValueError as error:
            raise EncoderError(f"the model of words {quoted(path)} cannot be used: {error}") from error

    def encode_text(self, texts: Sequence[str]) -> Float32:
        """Encode texts; see :class:`~echoic.encoders.base.TextEncoder`.

        Raises
        ------
        UsageError
            If no word of one of them is known, or none of them names a sound.
        """
        return self._tower.encode(texts)

    def unknown_words(self, text: str) -> list[str]:
        """List the words of a text that are not known and passed over, each once, in its order."""
        return self._tower.unknown(text)


class OnnxPictureEncoder(OnnxTextEncoder):
    """An encoder whose network is an ONNX graph, and of words and pictures into the same space.

    Attributes
    ----------
    n_frames : int
        See :class:`~echoic.encoders.base.PictureEncoder`.
    """

    n_frames = 16

    @cached_property
    def _eye(self) -> PictureNetwork:
        from echoic.encoders.pictures import PictureNetwork

        path = self.path.with_suffix(SUFFIXES["picture_graph"])
        graph = self._graph_beside("picture_graph")
        try:
            return PictureNetwork(started(path, self.n_threads), graph, self.spec)
        except ValueError as error:
            raise EncoderError(f"the model of pictures {quoted(path)} cannot be used: {error}") from error

    def encode_pictures(self, pictures: Iterable[Picture]) -> Float32:
        """Encode pictures of one film; see :class:`~echoic.encoders.base.PictureEncoder`."""
        return self._eye.encode(pictures)


def load_model(path: Path) -> OnnxEncoder:
    """Make the encoder of a model, of what its card says that it takes; raises as :class:`OnnxEncoder`."""
    card = load_card(path)
    if "phrases" in card.spec.purposes:
        from echoic.encoders.phonemes import PhonemeEncoder

        return PhonemeEncoder(path, card)
    if "spoken" in card.spec.purposes:
        from echoic.encoders.speech import SpeechEncoder

        return SpeechEncoder(path, card)
    if "picture" in card.spec.inputs:
        return OnnxPictureEncoder(path, card)
    return OnnxTextEncoder(path, card) if "text" in card.spec.inputs else OnnxEncoder(path, card)


def started(path: Path, n_threads: int) -> Any:
    """Have ONNX Runtime load a graph that was looked at."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it finds wrong it also raises
    # The file was read as ONNX, so it must not be taken for anything else.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Threads that wait for the next batch leave the cores to others.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without the arena a worker's memory stays that of the weights and one batch.
    options.enable_cpu_mem_arena = False
    try:
        # By its path: a copy of the bytes beside what is made of them would stay in the heap.
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        said = " ".join(str(error).split())[:300]
        raise EncoderError(f"the model {quoted(path)} cannot be loaded by ONNX Runtime: {said}") from error


@lru_cache(maxsize=64)
def _graph_of(path: Path, stamp: tuple[int, ...], digest: str) -> Graph:
    """Read what a model takes and gives, once it is known to be the file of that digest.

    ``stamp`` is what tells whether the file is another since.
    """
    weights = read_file(path, _LARGEST)
    if hashlib.sha256(weights).hexdigest() != digest:
        raise EncoderError(
            f"the model {quoted(path)} is not the file that its card describes; export or install it anew"
        )
    try:
        return read_graph(weights)
    except ValueError as error:
        raise EncoderError(f"the model {quoted(path)} cannot be used: {error}") from error


def _check_shape(tensor: Tensor, due: Mapping[str, int | None]) -> None:
    if not tensor.is_float:
        raise ValueError(f"the numbers of its {tensor.name} are not float32")
    if tensor.shape is None:
        return  # the first windows will show it
    if len(tensor.shape) != 1 + len(due):
        raise ValueError(f"its {tensor.name} has {len(tensor.shape)} dimensions, not (n, {', '.join(due)})")
    if tensor.shape[0] is not None:
        raise ValueError(f"its {tensor.name} is for {tensor.shape[0]} windows at a time, not for any number")
    for length, (name, wanted) in zip(tensor.shape[1:], due.items(), strict=True):
        if None not in (length, wanted) and length != wanted:
            raise ValueError(f"its {tensor.name} has {length} {name} where its card makes {wanted}")
