"""Pretrained networks added to an installation, and taken from it again."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from echoic.encoders.base import PictureEncoder, TextEncoder
from echoic.encoders.card import FORMAT, SUFFIXES, read_card
from echoic.encoders.families import (
    FAMILIES,
    Family,
    family_named,
    misnamed,
    models_folder,
)
from echoic.encoders.onnx import OnnxEncoder, load_model
from echoic.encoders.sources import HubFile, WebFile, WheelFile
from echoic.encoders.weights import digest_of, fetched
from echoic.errors import EncoderError, MissingDependencyError, UnknownEncoderError, WeightsError, quoted
from echoic.training.publish import check_parity, publish, staged, write_card
from echoic.types import Float32

if TYPE_CHECKING:
    from echoic.pretrained.built import Built, BuiltPictures, BuiltText

__all__ = ["Added", "add", "remove"]

_NEEDED = ("torch", "transformers", "onnx", "onnxscript")
_EXAMPLES = 4  # windows that graph and network must agree on
_TIMED = 3
_WORDS = ("rain", "a dog barks far away while it rains on a tin roof, and a door is slammed")
_OUTPUT = "vectors"  # "embedding", as other models call it, is the name of an operation, too
_TOLD = ("source", "file", "sha256")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # a checkpoint of transformers has one of them


@dataclass(frozen=True, slots=True)
class Added:
    """A model that was added.

    Parameters
    ----------
    path : Path
        Of its graph; its card lies beside it.
    times_real_time : float, optional
        Seconds of sound that it encodes in a second of one core; None of what writes down speech.
    size_bytes : int
    """

    path: Path
    times_real_time: float | None
    size_bytes: int


def add(name: str, source: Path | None = None) -> Added:
    """Fetch a pretrained network, turn it into a model and put that among the installation's encoders.

    What is fetched once is noted in the model's card, file by file; as long as the model is there, the same
    files are due whenever one of their network is added.

    Parameters
    ----------
    name : str
        Of the network; ``NAME-layerN`` of one with layers.
    source : Path, optional
        A folder that has the files. They are taken as they are: whoever names it answers for them.

    Raises
    ------
    UnknownEncoderError
        If no network has that name.
    WeightsError
        If its weights cannot be had, or are not those that were pinned.
    ModelError
        If the graph does not give what the network does; nothing is kept.
    MissingDependencyError
        If torch is not installed.
    """
    family = _family(name)
    if source is None and (wrong := misnamed(name)):  # in a folder there may be others than were published
        raise UnknownEncoderError(wrong)
    if family.transcribes:
        return _add_recogniser(name, family, source)
    # Before gigabytes are fetched; imported after, as that takes long.
    needed = () if family.as_it_is else ("onnx",) if family.joined else _NEEDED
    if not all(map(find_spec, needed)):
        raise MissingDependencyError(
            f"turning the weights of {name} into a model", "speech" if family.joined else "train"
        )
    paths = _given(family, source) if source is not None else _fetched(name, family)
    weights = [_told(file, path, source) for file, path in zip(family.files, paths, strict=True)]
    folder = models_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as place:
        model = Path(place) / f"{name}.onnx"
        build = _as_it_is if family.as_it_is else _joined if family.joined else _traced
        encoder, examples = build(name, family, paths, weights, model)
        speed = _speed(encoder, examples)
        _note(model, times_real_time=round(speed, 1))
        publish(encoder.path, folder / f"{name}.onnx")
    return Added(folder / f"{name}.onnx", speed, (folder / f"{name}.onnx").stat().st_size)


def _add_recogniser(name: str, family: Family, source: Path | None) -> Added:
    from echoic.pretrained import transcripts

    transcripts.need_runner()
    if source is not None:
        paths = transcripts.given(source)
        weights = [dict(zip(_TOLD, ("a folder", path.name, digest_of(path)), strict=True)) for path in paths]
    else:
        paths = _fetched(name, family)
        weights = [_told(file, path, None) for file, path in zip(family.files, paths, strict=True)]
    models_folder().mkdir(parents=True, exist_ok=True)
    folder = transcripts.install(family, paths, weights)
    return Added(folder, None, sum(path.stat().st_size for path in folder.iterdir()))


def _as_it_is(
    name: str, family: Family, paths: Sequence[Path], weights: list[dict[str, str]], model: Path
) -> tuple[OnnxEncoder, Float32]:
    """Make a model of files that can be run as they came."""
    card = import_module(f"echoic.pretrained.{family.module}").card(family)
    files = dict(zip(card["sha256"], paths, strict=True))
    for kind, path in files.items():
        shutil.copyfile(path, model.with_suffix(SUFFIXES[kind]))
        card["sha256"][kind] = digest_of(path)
    card |= {"name": name, "revision": card["sha256"]["graph"][:12], "training": {"weights": weights}}
    write_card(card, model)
    encoder = load_model(model)
    return encoder, _windows(encoder.spec.window_samples)


def _joined(
    name: str, family: Family, paths: Sequence[Path], weights: list[dict[str, str]], model: Path
) -> tuple[OnnxEncoder, Float32]:
    """Make a model of graphs that are put together, and of what ships with Echoic."""
    module = import_module(f"echoic.pretrained.{family.module}")
    card, contents = module.joined(family, paths)
    for kind, content in contents.items():
        with model.with_suffix(SUFFIXES[kind]).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        card["sha256"][kind] = hashlib.sha256(content).hexdigest()
    card["training"]["weights"] = weights
    write_card(card | {"name": name, "revision": card["sha256"]["graph"][:12]}, model)
    encoder = load_model(model)
    return encoder, _windows(encoder.spec.window_samples)


def _traced(
    name: str, family: Family, paths: Sequence[Path], weights: list[dict[str, str]], model: Path
) -> tuple[OnnxEncoder, Float32]:
    """Make a model of a network that is built here, and make sure that it gives what the network does."""
    from echoic.nn.graph import traced

    built: Built = import_module(f"echoic.pretrained.{family.module}").build(paths, family)
    examples = _windows(round(built.window * built.sample_rate))
    graph = traced(
        built.network,
        examples,
        name,
        input_name="waveform",
        fed=f"{built.sample_rate} Hz",
        output_name=_OUTPUT,
    )
    about = _about(name, family, built, weights)
    inputs = ["audio"]
    digests: dict[str, str] = {}
    if built.text is not None:
        inputs.append("text")
        digests |= _write_text(built.text, model)
    if built.pictures is not None:
        inputs.append("picture")
        digests |= _write_pictures(built.pictures, model)
    about |= {"inputs": inputs, "sha256": digests}
    encoder = staged(graph, about, model)
    _note(model, parity=check_parity(built.network, encoder, examples, built.tolerance))
    if built.text is not None:
        _check_text(built.text, encoder)
    if built.pictures is not None:
        _check_pictures(built.pictures, encoder)
    return encoder, examples


def remove(name: str) -> None:
    """Delete an added model; what was encoded by it stays in the libraries.

    Raises
    ------
    UnknownEncoderError
        If it was not added.
    """
    if _family(name).transcribes:
        folder = models_folder() / name
        if not folder.exists():
            raise UnknownEncoderError(f"{name} is not on this machine: there is nothing to remove")
        shutil.rmtree(folder)
        return
    model = models_folder() / f"{name}.onnx"
    if not model.exists() and not model.with_suffix(".json").exists():
        raise UnknownEncoderError(f"{name} is not on this machine: there is nothing to remove")
    # The card last: as long as it is there, somebody who looks for the model is told what is wrong.
    for suffix in (*SUFFIXES.values(), ".json"):
        model.with_suffix(suffix).unlink(missing_ok=True)


def _family(name: str) -> Family:
    family = family_named(name)
    if family is None:
        raise UnknownEncoderError(
            misnamed(name)
            or f"there is no pretrained network named {name!r}; choose from {', '.join(sorted(FAMILIES))}"
        )
    return family


def _fetched(name: str, family: Family) -> list[Path]:
    """Fetch a network's files, each of which is held to what came when it was first fetched."""
    before = dict(_noted(models_folder().glob("*.json")))
    held = [
        replace(file, sha256=before.get((_source(file), file.base)))
        if not isinstance(file, WheelFile) and file.sha256 is None
        else file
        for file in family.files
    ]
    return [fetched(file, name) for file in held]


def _noted(cards: Iterable[Path]) -> Iterator[tuple[tuple[str, str], str]]:
    """List what the cards of added models tell of the files that they were made of."""
    for card in cards:
        try:
            told = read_card(card.with_suffix(".onnx")).get("training")
        except (EncoderError, UnknownEncoderError):
            continue  # who asks for that model is told what is wrong with it
        weights = told.get("weights") if isinstance(told, dict) else None
        for file in weights if isinstance(weights, list) else []:
            if isinstance(file, dict) and all(isinstance(file.get(key), str) for key in _TOLD):
                yield (file["source"], file["file"]), file["sha256"]


def _given(family: Family, folder: Path) -> list[Path]:
    """Look for a network's files in a folder; its weights may be in another file than the published ones."""
    paths = []
    for file in family.files:
        names = (file.base, *(other for other in _WEIGHTS if file.base in _WEIGHTS))
        found = [folder / name for name in names if (folder / name).is_file()]
        if not found:
            raise WeightsError(f"{quoted(folder)} lacks {file.base}, which {family.name} needs")
        paths.append(found[0])
    return paths


def _source(file: WheelFile | HubFile | WebFile) -> str:
    if isinstance(file, WebFile):
        return file.url
    return str(file) if isinstance(file, WheelFile) else f"{file.repository}@{file.revision}"


def _told(file: WheelFile | HubFile | WebFile, path: Path, folder: Path | None) -> dict[str, str]:
    source = (_source(file), file.base) if folder is None else ("a folder", path.name)
    return dict(zip(_TOLD, (*source, digest_of(path)), strict=True))


def _about(name: str, family: Family, built: Built, weights: list[dict[str, str]]) -> dict[str, object]:
    """Fill in the card, but for what only the written graph tells."""
    layer: dict[str, object] = {} if family.layer is None else {"layer": family.layer}
    return {
        "format": FORMAT,
        "name": name,
        "revision": "",
        "sample_rate": built.sample_rate,
        "window": built.window,
        "hop": built.hop,
        "dim": 0,
        "inputs": ["audio"],
        "purposes": ["sounds"],
        "licence": family.licence,
        "reference": family.reference,
        "description": family.description,
        "front_end": {"kind": "waveform"},
        "graph": {"input": "waveform", "output": _OUTPUT},
        "sha256": {},
        "parameters": sum(weight.numel() for weight in built.network.parameters()),
        "training": layer | {"weights": weights},
    }


def _write_text(text: BuiltText, model: Path) -> dict[str, str]:
    """Write what words are encoded by beside a model → the digests of these files."""
    from echoic.nn.graph import traced

    examples = np.array([[0, 5, 6, 7, 2], [0, 7, 6, 5, 2]])  # any tokens will do
    about = {"input_name": "tokens", "output_name": _OUTPUT, "fed": "tokens"}
    graph = traced(text.network, examples, f"the words of {model.stem}", free=("n", "tokens"), **about)
    parts = {
        "text_graph": graph.SerializeToString(deterministic=True),
        "tokenizer": text.tokenizer.encode("utf-8"),
    }
    return _written(parts, model)


def _write_pictures(pictures: BuiltPictures, model: Path) -> dict[str, str]:
    """Write what pictures are encoded by beside a model → the digest of that file."""
    from echoic.nn.graph import traced

    examples = np.zeros((2, 3, pictures.size, pictures.size), np.float32)
    about = {"input_name": "pictures", "output_name": _OUTPUT, "fed": "levels 0 … 255"}
    graph = traced(pictures.network, examples, f"the pictures of {model.stem}", **about)
    return _written({"picture_graph": graph.SerializeToString(deterministic=True)}, model)


def _written(parts: Mapping[str, bytes], model: Path) -> dict[str, str]:
    """Write files that belong to a model, and force them to the disk → their digests."""
    for part, content in parts.items():
        with model.with_suffix(SUFFIXES[part]).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    return {part: hashlib.sha256(content).hexdigest() for part, content in parts.items()}


def _check_text(text: BuiltText, encoder: OnnxEncoder) -> None:
    """Make sure that words have the vectors that their network gives; raise ModelError where not."""
    import torch
    from tokenizers import Tokenizer

    from echoic.training.publish import check_same

    assert isinstance(encoder, TextEncoder)
    tokenizer = Tokenizer.from_str(text.tokenizer)
    for words in _WORDS:
        with torch.no_grad():
            expected = text.network(torch.tensor([tokenizer.encode(words).ids])).numpy()
        check_same(encoder.encode_text([words]), expected)


def _check_pictures(pictures: BuiltPictures, encoder: OnnxEncoder) -> None:
    """Make sure that pictures have the vectors that their network gives; raise ModelError where not."""
    import torch

    from echoic.training.publish import check_same

    assert isinstance(encoder, PictureEncoder)
    seen = np.random.default_rng(0).integers(0, 256, (3, pictures.size, pictures.size, 3), np.uint8)
    for film in (seen[:1], seen):
        with torch.no_grad():
            levels = torch.from_numpy(film.transpose(0, 3, 1, 2).astype(np.float32))
            expected = pictures.network(levels).numpy()
        check_same(encoder.encode_pictures(film), expected)


def _windows(n_samples: int) -> Float32:
    """Make windows of every kind: noise, loud and quiet, a tone, silence."""
    noise = np.random.default_rng(0).normal(0, 0.1, (2, n_samples))
    tone = 0.5 * np.sin(np.arange(n_samples) * 0.1)
    return np.stack([noise[0], 1e-3 * noise[1], tone, np.zeros(n_samples)]).astype(np.float32)


def _note(model: Path, **figures: float) -> None:
    """Note in a model's card what was measured when it was added."""
    card = read_card(model)
    write_card(card | {"figures": card.get("figures", {}) | figures}, model)


def _speed(encoder: OnnxEncoder, windows: Float32) -> float:
    times = []
    for _ in range(_TIMED):
        begun = time.process_time()
        encoder.encode(windows)
        times.append(time.process_time() - begun)
    return len(windows) * encoder.spec.hop / max(min(times), 1e-9)
