"""Every model that ships is what its card says, and may ship."""

import hashlib
import json

import numpy as np
import onnxruntime
import pytest

from echoic.audio.spectrogram import LogMel
from echoic.encoders.onnx import BUNDLED
from echoic.encoders.registry import load_encoder

CARDS = sorted(BUNDLED.glob("*.json"))
REQUIRED = {
    "name": str,
    "revision": str,
    "sample_rate": int,
    "window": float,
    "hop": float,
    "dim": int,
    "inputs": list,
    "licence": str,
    "reference": str,
    "description": str,
    "front_end": dict,
    "sha256": dict,
    "parameters": int,
    "training": dict,
    "figures": dict,
}
FORBIDDEN_IN_LICENCES = ("NC", "ND", "Sampling", "see repo", "unknown")


def test_there_is_a_bundled_model():
    assert {"sound", "fingerprint"} <= {path.stem for path in CARDS}


@pytest.fixture(params=CARDS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def card(path):
    return json.loads(path.read_text("utf-8"))


@pytest.fixture
def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        path.with_suffix(".onnx"), options, providers=["CPUExecutionProvider"]
    )


@pytest.fixture
def log_mel(card):
    """Spectrograms of a chirp, noise, a short click padded with zeros, and digital silence."""
    if card["front_end"]["kind"] == "waveform":
        pytest.skip("it takes waveforms of any length; tests/contract holds it to what encoders promise")
    rate = card["sample_rate"]
    n_samples = round(card["window"] * rate)
    time = np.arange(n_samples) / rate
    windows = np.zeros((4, n_samples), np.float32)
    windows[0] = 0.5 * np.sin(2 * np.pi * (200 + 300 * time) * time)
    windows[1] = np.random.default_rng(0).normal(0, 0.1, n_samples)
    windows[2, : rate // 20] = np.random.default_rng(1).normal(0, 0.3, rate // 20)
    return LogMel(sample_rate=rate, **{k: v for k, v in card["front_end"].items() if k != "kind"})(windows)


def embed(session, log_mel):
    return session.run(["embedding"], {"log_mel": log_mel})[0]


def test_card_is_complete(path, card):
    kinds = {key: type(card.get(key)) for key in REQUIRED}
    assert kinds == REQUIRED
    assert card["name"] == path.stem
    of_log_mel = {"n_fft", "hop_length", "n_mels", "fmin", "fmax"}
    due = of_log_mel if card["front_end"]["kind"] == "log_mel" else set()
    assert set(card["front_end"]) - {"kind", "mel_scale"} == due
    assert {"data", "licences", "seed", "command", "minutes", "hardware"} <= set(card["training"])
    assert 0 < card["hop"] <= card["window"]


def test_weights_are_those_of_the_card(path, card):
    weights = path.with_suffix(".onnx").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == card["sha256"]["graph"]
    assert len(weights) <= 8 * 2**20


def test_names_no_path_of_the_machine_it_was_made_on(path):
    weights = path.with_suffix(".onnx").read_bytes()
    assert [trace for trace in (b'File "', b"/home/", b"site-packages") if trace in weights] == []


def test_was_trained_only_on_what_may_be_used_commercially(card):
    training = card["training"]
    named = [*training["data"]["licences"], *training["licences"]]
    assert len(named) >= 2
    refused = [name for name in named if any(word in name for word in FORBIDDEN_IN_LICENCES)]
    assert refused == []
    assert sum(training["data"]["licences"].values()) == training["data"]["clips"] > 0


def test_vectors_have_the_length_of_the_card_and_norm_one(session, card, log_mel):
    vectors = embed(session, log_mel)
    assert vectors.shape == (4, card["dim"])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_window_is_embedded_alone_as_in_a_batch(session, log_mel):
    alone = np.concatenate([embed(session, row[None]) for row in log_mel])
    np.testing.assert_allclose(alone, embed(session, log_mel), atol=1e-5)


def test_gain_does_not_matter(session, log_mel):
    halved = np.where(log_mel > -94, log_mel - 6, -100).astype(np.float32)
    cosines = np.sum(embed(session, halved) * embed(session, log_mel), axis=1)
    assert cosines[:3].min() > 0.999


def test_tells_a_chirp_from_noise_and_from_a_click(session, log_mel, card):
    if card.get("purposes") == ["voices"]:
        pytest.skip("in none of them does anybody speak")
    vectors = embed(session, log_mel)[:3]
    assert (vectors @ vectors.T)[np.triu_indices(3, 1)].max() < 0.95


def test_an_empty_batch_gives_no_vectors(session, log_mel, card):
    if card["name"] == "voice":
        pytest.skip("its recurrent layers are never asked so: OnnxEncoder answers it itself")
    assert embed(session, log_mel[:0]).shape == (0, card["dim"])


def test_words_that_ship_are_those_of_the_card():
    path = BUNDLED / "sound.text.npz"
    content, card = path.read_bytes(), json.loads((BUNDLED / "sound.json").read_text("utf-8"))
    assert hashlib.sha256(content).hexdigest() == card["sha256"]["text"]
    assert len(content) <= 4 * 2**20
    taught = card["training"]["text"]
    assert {"data", "licences", "taught_by", "seed", "command", "minutes", "hardware"} <= set(taught)
    assert "fold4" not in taught["data"]["folds_of_esc50"]
    assert sum(taught["data"]["licences"].values()) == taught["data"]["clips"] > 0
    assert [name for name in taught["licences"] if any(word in name for word in FORBIDDEN_IN_LICENCES)] == []


def test_words_that_ship_name_kinds_of_sounds():
    encoder = load_encoder("sound")
    near = encoder.encode_text(["a dog barking", "woof", "rain on the roof", "it is raining"])
    cosines = near @ near.T
    assert min(cosines[0, 1], cosines[2, 3]) > cosines[:2, 2:].max() + 0.2
