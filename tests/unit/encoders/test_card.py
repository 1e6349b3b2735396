"""Cards that cannot be meant are refused in a sentence that names card and field, before anything runs."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("onnx", reason="the models are made with it: pip install '.[train]'")

from onnx import TensorProto, helper

from echoic.audio.front_end import Waveform
from echoic.audio.synthesis import noise
from echoic.encoders.base import Encoder, TextEncoder, encode_windows
from echoic.encoders.card import load_card, read_card
from echoic.encoders.onnx import OnnxEncoder
from echoic.encoders.registry import Entry, Registry
from echoic.errors import EncoderError
from echoic.spec import EncoderSpec
from tests.models import mean_level, write_model

FRONT_END = {"n_fft": 512, "hop_length": 160, "n_mels": 16, "fmin": 50, "fmax": 4_000}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mine.onnx"


def refusal(model):
    """What is said of a model: one sentence that names the card or the graph."""
    with pytest.raises(EncoderError) as caught:
        OnnxEncoder(model).check()
    message = str(caught.value)
    assert str(model.with_suffix("")) in message
    assert message.isprintable()
    assert len(message) < 500
    return message


def test_a_whole_card(path):
    card = load_card(write_model(path))
    assert card.spec.key == "mean-level@1"
    assert (card.spec.window_samples, card.spec.hop_samples, card.spec.inputs) == (8_000, 4_000, {"audio"})
    assert (card.front_end.n_mels, card.front_end.mel_scale) == (16, "slaney")
    vectors = encode_windows(OnnxEncoder(path), np.zeros((40, 8_000), np.float32))
    np.testing.assert_allclose(vectors, np.full((40, 16), 0.25), atol=1e-6)


NAMES = [
    "",
    " ",
    "a@b",
    "../x",
    "a/b",
    "a\\b",
    "a\nb",
    "a\x1b[31m",
    "-x",
    ".x",
    "x.onnx",
    "x" * 101,
    " x",
    7,
    None,
]
# Of each field, what it cannot be.
WRONG = {
    "name": NAMES,
    "revision": NAMES,
    "sample_rate": [0, -1, 8_000.0, "8000", 999, 10**9, 10**400, True, None],
    "window": [0, -1, "1.0", math.nan, math.inf, 1e9, 10**400, True, None, [1]],
    "hop": [0, -0.5, "0.5", math.nan, -math.inf, 1e-9, 1.5, 10**400, None],
    "dim": [0, -16, 1, 16.0, "16", 10**9, True, None, math.nan],
    "inputs": ["audio", [], ["text"], ["audio", "smell"], [["audio"]], {}, None],
    "storage": ["int4", "", 8, None, ["int8"]],
    "licence": [None, 7, "a\nb", "x" * 10**6],
    "reference": [None, ["x"], "\x1b]0;title\x07"],
    "description": [None, {}, "two\nlines", "\ud800"],
    "sha256": [None, "", "0" * 63, "G" * 64, 7],
    "front_end": [None, [], "mel", {}, 7],
}
WRONG_FRONT_END = {
    "n_fft": [0, -512, 512.0, "512", 8_001, 10**9, None],
    "hop_length": [0, -1, 160.0, None, 10**9],
    "n_mels": [0, -16, 258, 513, 16.0, "16", None],
    "fmin": [-1, 4_000, 5_000, math.nan, "50", None],
    "fmax": [0, 4_001, math.inf, math.nan, "4000", None],
    "mel_scale": ["bark", None, 7, ["htk"]],
    "power": [2],
}


@pytest.mark.parametrize("field", WRONG)
def test_a_field_that_cannot_be_meant(path, field):
    for value in WRONG[field]:
        message = refusal(write_model(path, **{field: value}))
        assert "mine.json cannot be used: " in message
        assert field in message


def test_a_long_value_makes_no_long_sentence(path):
    assert len(refusal(write_model(path, front_end=FRONT_END | {"kind": ["audio"] * 1_000}))) < 600


@pytest.mark.parametrize("field", WRONG_FRONT_END)
def test_a_setting_of_the_front_end_that_cannot_be_meant(path, field):
    for value in WRONG_FRONT_END[field]:
        message = refusal(write_model(path, front_end=FRONT_END | {field: value}))
        assert "mine.json cannot be used: " in message
        assert field in message


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"window": 0.05, "hop": 0.05}, "a window of 400 samples is shorter than n_fft = 512"),
        (
            {"front_end": FRONT_END | {"fmin": 50, "fmax": 50.5}},
            "fmin is 50.0 and must be a number from 0 to 49.5",
        ),
        ({"window": 120, "front_end": FRONT_END | {"hop_length": 1}}, "959,489 frames of 512 samples"),
        ({"sample_rate": 768_000, "window": 100}, "has more than 6,000,000 samples"),
    ],
)
def test_fields_that_do_not_go_together(path, wrong, said):
    assert said in refusal(write_model(path, **wrong))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(
    field=st.sampled_from([*FRONT_END, "name", "window", "hop", "dim", "inputs", "sha256", "front_end"]),
    value=JSON,
)
def test_whatever_a_card_says_it_is_used_or_refused(tmp_path_factory, field, value):
    changed = {"front_end": FRONT_END | {field: value}} if field in FRONT_END else {field: value}
    model = write_model(tmp_path_factory.getbasetemp() / "any.onnx", **changed)
    try:
        encoder = OnnxEncoder(model)
        encoder.check()
    except EncoderError as error:
        assert str(model.with_suffix("")) in str(error)  # noqa: PT017 - it may as well be fine
    else:
        assert 0 < encoder.spec.hop <= encoder.spec.window <= 120


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '"card"', "\ufeff{}", "[" * 100_000, '{"dim": ' + "9" * 5_000 + "}"],
    ids=range(8),
)
def test_text_that_is_no_card(path, text):
    write_model(path).with_suffix(".json").write_text(text, "utf-8")
    assert "card" in refusal(path)


def test_bytes_that_are_no_text(path):
    write_model(path).with_suffix(".json").write_bytes(b'{"name": "\xff"}')
    assert "is not the JSON that a card is" in refusal(path)


@pytest.mark.parametrize("suffix", [".json", ".onnx"])
def test_a_pipe_is_not_waited_for(path, suffix):
    write_model(path)
    path.with_suffix(suffix).unlink()
    os.mkfifo(path.with_suffix(suffix))
    assert "cannot be read (it is not a file)" in refusal(path)


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        ({"log_mel": ["n", "frames", 24]}, "its log_mel has 24 n_mels where its card makes 16"),
        ({"log_mel": ["n", 50, 16]}, "its log_mel has 50 frames where its card makes 47"),
        ({"log_mel": [1, "frames", 16]}, "its log_mel is for 1 windows at a time, not for any number"),
        ({"log_mel": ["n", 1, "frames", 16]}, "its log_mel has 4 dimensions, not (n, frames, n_mels)"),
        ({"embedding": ["n", 17]}, "its embedding has 17 dim where its card makes 16"),
        ({"embedding": ["n", 1, 16]}, "its embedding has 3 dimensions, not (n, dim)"),
    ],
)
def test_a_graph_of_other_shapes_than_its_card(path, shapes, said):
    assert said in refusal(write_model(path, mean_level(**shapes)))


def test_a_graph_that_takes_or_gives_something_else(path):
    graph = mean_level()
    graph.graph.input[0].name = "audio"
    assert "its graph takes audio, not log_mel" in refusal(write_model(path, graph))
    graph = mean_level()
    graph.graph.output[0].name = "classes"
    assert "its graph gives classes, not embedding" in refusal(write_model(path, graph))
    graph = mean_level()
    graph.graph.input[0].type.tensor_type.elem_type = 10  # float16
    assert "the numbers of its log_mel are not float32" in refusal(write_model(path, graph))


@pytest.mark.parametrize(
    "content", [b"", b"no model", b"PK\3\4", bytes(1000), b"\x3a\xff\xff\xff\xff\x7f"], ids=range(5)
)
def test_a_file_that_is_no_graph(path, content):

    write_model(path, sha256=hashlib.sha256(content).hexdigest())
    path.write_bytes(content)
    assert "mine.onnx cannot be used: it is not an ONNX model" in refusal(path)


def test_an_encoder_of_a_package_is_held_to_the_same(tmp_path):
    with pytest.raises(ValueError, match=r"hop is 0 and must be a number from 0\.01 to 1"):
        EncoderSpec("squeak", "1", 8_000, 1.0, 0, 3)

    class Vague:
        spec = json.loads("{}")
        front_end = None

        def encode(self, features):
            return features

    assert isinstance(Vague(), Encoder)
    with pytest.raises(EncoderError, match="made a Vague for 'vague', without encode"):
        Registry([Entry("vague", "package", Vague)]).load("vague")


def in_format_2(path):
    """Write a model whose card is of format 2, and return that card."""
    write_model(path)
    return read_card(path)


def rewritten(path, card):
    path.with_suffix(".json").write_text(json.dumps(card), "utf-8")
    return path


def test_a_card_of_format_1_means_the_same_in_format_2(path):
    first = load_card(write_model(path, storage="int8"))
    card = read_card(path)
    assert card["format"] == 2
    assert card["front_end"]["kind"] == "log_mel"
    assert first == load_card(rewritten(path, card))
    assert (first.spec.purposes, first.spec.by, first.input, first.output) == (
        {"sounds"},
        "window",
        "log_mel",
        "embedding",
    )


# Of each field that format 2 brought, what it cannot be, or what does not go with the rest.
WRONG_2 = {
    "format": [0, 3, "2", None, 2.5],
    "purposes": [None, "sounds", ["smells"], [7], ["recordings"]],
    "by": ["frames", 7, None, "frame"],
    "frame_rate": [50.0, "50", 0],
    "graph": [None, [], {"input": 7}, {"inputs": "x"}],
    "sha256": [{}, {"graph": "0" * 63}, {"graph": "0" * 64, "weights": "0" * 64}, "0" * 64],
    "front_end": [{"kind": "smell"}, {"n_fft": 512}, {"kind": "waveform", "n_fft": 512}],
    "colour": ["red"],
}


@pytest.mark.parametrize("field", WRONG_2)
def test_a_field_of_format_2_that_cannot_be_meant(path, field):
    card = in_format_2(path)
    for value in WRONG_2[field]:
        message = refusal(rewritten(path, card | {field: value}))
        assert "mine.json cannot be used: " in message
        assert field in message or "frame_rate" in message


def test_a_network_that_listens_to_raw_audio(path):
    """Its graph gives what it takes, of which the input and output have other names."""
    takes = helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["n", 1_000])
    gives = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", 1_000])
    node = helper.make_node("LpNormalization", ["samples"], ["vectors"], axis=1, p=2)
    graph = helper.make_model(
        helper.make_graph([node], "raw", [takes], [gives]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    write_model(path, graph)
    card = read_card(path) | {"window": 0.125, "hop": 0.125, "dim": 1_000, "front_end": {"kind": "waveform"}}
    refused = rewritten(path, card | {"graph": {"input": "audio", "output": "vectors"}})
    assert "its graph takes samples, not audio" in refusal(refused)
    encoder = OnnxEncoder(rewritten(path, card | {"graph": {"input": "samples", "output": "vectors"}}))
    assert encoder.front_end == Waveform(8_000)
    windows = np.random.default_rng(0).normal(size=(3, 1_000)).astype(np.float32)
    expected = windows / np.linalg.norm(windows, axis=1, keepdims=True)
    np.testing.assert_allclose(encode_windows(encoder, windows), expected, atol=1e-6)


def test_a_network_that_describes_each_frame(path):
    """Its graph gives the spectrogram itself, frame by frame."""
    takes = helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, ["n", "frames", 16])
    gives = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", "frames", 16])
    node = helper.make_node("LpNormalization", ["log_mel"], ["embedding"], axis=2, p=2)
    graph = helper.make_model(
        helper.make_graph([node], "frames", [takes], [gives]),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=9,
    )
    assert "3 dimensions, not (n, dim)" in refusal(write_model(path, graph))
    encoder = OnnxEncoder(rewritten(path, read_card(path) | {"by": "frame", "frame_rate": 50.0}))
    vectors = encode_windows(encoder, noise(2.0, 8_000, 1).reshape(2, 8_000))
    assert vectors.shape == (2, 47, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-5)
    assert encode_windows(encoder, np.empty((0, 8_000), np.float32)).shape == (0, 0, 16)


def test_weights_are_looked_at_again_when_the_file_is_another(path):
    encoder = OnnxEncoder(write_model(path))
    encoder.check()
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    with pytest.raises(EncoderError, match="not the file that its card describes"):
        encoder.check()
    path.write_bytes(b"")
    with pytest.raises(EncoderError, match="not the file that its card describes"):
        encode_windows(encoder, np.zeros((1, 8_000), np.float32))


def test_what_is_decided_by_is_the_file_of_the_card(path):
    write_model(path)
    beside = path.with_suffix(".decision.npz")
    beside.write_bytes(b"fitted")
    digests = read_card(path)["sha256"] | {"decision": hashlib.sha256(b"fitted").hexdigest()}
    rewritten(path, read_card(path) | {"purposes": ["recordings"], "sha256": digests})
    assert OnnxEncoder(path).read_decision() == b"fitted"
    beside.write_bytes(b"other")
    with pytest.raises(EncoderError, match="is not the file that its card describes"):
        OnnxEncoder(path).read_decision()
    beside.unlink()
    with pytest.raises(EncoderError, match="cannot be read"):
        OnnxEncoder(path).read_decision()


def with_words(path):
    """Make a model that takes words, too: one word, which lies in the first direction."""
    write_model(path)
    content = io.BytesIO()
    np.savez(
        content,
        words=np.frombuffer(b"level", np.uint8),
        vectors=np.ones((1, 1), np.int8),
        scale=np.ones(1, np.float16),
        first_weight=np.ones((1, 1), np.float16),
        first_bias=np.zeros(1, np.float16),
        second_weight=np.eye(16, 1, dtype=np.float16),
        second_bias=np.zeros(16, np.float16),
    )
    path.with_suffix(".text.npz").write_bytes(content.getvalue())
    digests = read_card(path)["sha256"] | {"text": hashlib.sha256(content.getvalue()).hexdigest()}
    return rewritten(path, read_card(path) | {"inputs": ["audio", "text"], "sha256": digests})


def test_a_model_may_take_words_too(path):
    encoder = Registry().load(str(with_words(path)))
    assert isinstance(encoder, TextEncoder)
    np.testing.assert_array_equal(encoder.encode_text(["Level!"]), np.eye(1, 16))
    assert encode_windows(encoder, np.zeros((2, 8_000), np.float32)).shape == (2, 16)
    assert not isinstance(Registry().load(str(write_model(path))), TextEncoder)


def test_words_vectors_are_the_file_of_the_card(path):
    beside = with_words(path).with_suffix(".text.npz")
    content = beside.read_bytes()
    beside.write_bytes(content[:-1] + b"x")
    with pytest.raises(EncoderError, match="is not the file that its card describes"):
        Registry().load(str(path)).encode_text(["level"])
    beside.unlink()
    with pytest.raises(EncoderError, match=r"mine\.text\.npz cannot be read"):
        Registry().load(str(path)).encode_text(["level"])
    digests = read_card(path)["sha256"] | {"text": hashlib.sha256(b"words").hexdigest()}
    beside.write_bytes(b"words")
    rewritten(path, read_card(path) | {"sha256": digests})
    with pytest.raises(EncoderError, match=r"mine\.text\.npz cannot be used: it is no archive of arrays"):
        Registry().load(str(path)).encode_text(["level"])


def test_a_card_of_words_names_their_file(path):
    with_words(path)
    card = read_card(path)
    for changed in ({"inputs": ["audio"]}, {"sha256": {"graph": card["sha256"]["graph"]}}):
        rewritten(path, card | changed)
        assert "one is there without the other" in refusal(path)


def test_a_card_of_words_names_one_kind_of_them(path):
    with_words(path)
    digests = read_card(path)["sha256"]
    other = {"text_graph": "0" * 64}
    for added in (other, other | {"tokenizer": "0" * 64}, {"tokenizer": "0" * 64}):
        rewritten(path, read_card(path) | {"sha256": digests | added})
        assert "either text, or text_graph and tokenizer" in refusal(path)
