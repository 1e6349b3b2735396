"""``wav2vec2``, ``hubert``, ``wavlm`` hear what transformers' own front end and network do."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from echoic import pretrained
from echoic.encoders.registry import load_encoder
from echoic.errors import UnknownEncoderError, WeightsError
from tests.unit.pretrained.conftest import check_batches, torch, transformers, unit, windows

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
# The other way in which these networks are put together, as the large ones are.
LARGE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
# Of the kinds that are published.
CASES = {
    "wav2vec2": (transformers.Wav2Vec2ForPreTraining, transformers.Wav2Vec2Config(**SMALL), True),
    "hubert": (transformers.HubertModel, transformers.HubertConfig(**SMALL, **LARGE), True),
    "wavlm": (transformers.WavLMModel, transformers.WavLMConfig(**SMALL), False),
}
LAYER = 2


@pytest.fixture(scope="module", params=CASES)
def case(request, saved, added):
    """A family's encoder, network and feature extractor."""
    kind, config, do_normalize = CASES[request.param]
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=do_normalize)
    network, folder = saved(kind, config, extractor, pickled=request.param == "hubert")
    return added(f"{request.param}-layer{LAYER}", folder), network.base_model, extractor


def expected(network, values, n_frames=None):
    with torch.no_grad():
        states = network(values, output_hidden_states=True).hidden_states[LAYER]
    return unit(states[:, :n_frames].mean(dim=1))


def test_windows_are_heard_as_by_transformers(case):
    encoder, network, extractor = case
    heard = windows(encoder)
    values = extractor(list(heard), sampling_rate=16_000, return_tensors="pt").input_values
    np.testing.assert_allclose(encoder.encode(heard), expected(network, values), atol=1e-5)


def test_of_a_short_clip_only_its_sound_counts(case):
    encoder, network, extractor = case
    n = 20_123
    heard = windows(encoder)[:1]
    heard[:, n:] = 0
    padded = {"padding": "max_length", "max_length": heard.shape[1], "return_attention_mask": True}
    values = extractor(heard[0, :n], sampling_rate=16_000, return_tensors="pt", **padded).input_values
    n_frames = int(network._get_feat_extract_output_lengths(n))
    np.testing.assert_allclose(encoder.encode(heard), expected(network, values, n_frames), atol=1e-4)


def test_vectors_do_not_depend_on_their_batch(case):
    check_batches(case[0])


def test_the_card_tells_the_layer(case):
    encoder, network, _ = case
    card = json.loads(encoder.path.with_suffix(".json").read_text())
    assert card["training"]["layer"] == LAYER
    *beside, weights = (file["file"] for file in card["training"]["weights"])
    assert beside == ["config.json", "preprocessor_config.json"]
    assert weights in {"model.safetensors", "pytorch_model.bin"}
    assert encoder.spec.dim == SMALL["hidden_size"]
    whole = sum(weight.numel() for weight in network.parameters())
    assert card["parameters"] < whole  # the layer above is left out


@pytest.fixture(scope="module")
def checkpoint(saved):
    kind, config, _ = CASES["wav2vec2"]
    return saved(kind, config, transformers.Wav2Vec2FeatureExtractor())[1]


def test_a_layer_that_is_not_there_is_refused(own_models, checkpoint):
    with pytest.raises(WeightsError, match=r"no layer 4 in these weights of wav2vec2: they have 3"):
        pretrained.add("wav2vec2-layer4", checkpoint)
    with pytest.raises(UnknownEncoderError, match="'resemblyzer-layer2' names no network: resem"):
        pretrained.add("resemblyzer-layer2", checkpoint)
    with pytest.raises(UnknownEncoderError, match="echoic models add hubert-layer11"):
        load_encoder("hubert-layer11")


@pytest.mark.parametrize("lost", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_folder_without_a_file_says_which(own_models, checkpoint, tmp_path, lost):
    shutil.copytree(checkpoint, tmp_path / "copy")
    (tmp_path / "copy" / lost).unlink()
    told = "pytorch_model.bin" if lost == "model.safetensors" else lost
    with pytest.raises(WeightsError, match=f"lacks {told}"):
        pretrained.add("wav2vec2-layer1", tmp_path / "copy")


def test_weights_of_another_network_are_refused(own_models, checkpoint, tmp_path, saved):
    kind, *_ = CASES["wav2vec2"]
    shallow = transformers.Wav2Vec2Config(**SMALL | {"num_hidden_layers": 2})
    _, other = saved(kind, shallow)
    shutil.copytree(checkpoint, tmp_path / "copy")
    shutil.copy(other / "model.safetensors", tmp_path / "copy")
    with pytest.raises(WeightsError, match=r"lacks \d+ of the weights of a Wav2Vec2Model, such as "):
        pretrained.add("wav2vec2-layer1", tmp_path / "copy")
    (tmp_path / "copy" / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(WeightsError, match="does not hold the checkpoint that is meant"):
        pretrained.add("wav2vec2-layer1", tmp_path / "copy")
