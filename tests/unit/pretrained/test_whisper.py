"""``whisper`` hears what transformers' own front end and encoder do."""

from __future__ import annotations

import numpy as np
import pytest

from echoic import pretrained
from echoic.errors import WeightsError
from tests.unit.pretrained.conftest import check_batches, torch, transformers, unit, windows

SECONDS = 3  # in place of 30
CONFIG = {
    "d_model": 32,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_layers": 1,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 48,
    "vocab_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "max_source_positions": SECONDS * 50,
}


@pytest.fixture(scope="module")
def extractor():
    return transformers.WhisperFeatureExtractor(chunk_length=SECONDS)


@pytest.fixture(scope="module")
def case(saved, added, extractor):
    config = transformers.WhisperConfig(**CONFIG)
    network, folder = saved(transformers.WhisperForConditionalGeneration, config, extractor)
    return added("whisper", folder), network.base_model


def expected(network, extractor, clips, n_frames=None):
    values = extractor(list(clips), sampling_rate=16_000, return_tensors="pt").input_features
    with torch.no_grad():
        return unit(network.encoder(values).last_hidden_state[:, :n_frames].mean(dim=1))


def test_windows_are_heard_as_by_transformers(case, extractor):
    encoder, network = case
    assert encoder.spec.window == SECONDS
    heard = windows(encoder)
    np.testing.assert_allclose(encoder.encode(heard), expected(network, extractor, heard), atol=1e-5)


@pytest.mark.parametrize(("n", "n_frames"), [(1, 1), (320, 1), (321, 2), (16_000, 50)])
def test_of_a_short_clip_only_its_sound_counts(case, extractor, n, n_frames):
    encoder, network = case
    heard = windows(encoder)[:2]
    heard[:, n:] = 0
    due = expected(network, extractor, heard[:, :n], n_frames)
    np.testing.assert_allclose(encoder.encode(heard), due, atol=1e-5)


def test_vectors_do_not_depend_on_their_batch(case):
    check_batches(case[0])


def test_a_front_end_for_another_network_is_refused(own_models, saved):
    other = transformers.WhisperFeatureExtractor(chunk_length=SECONDS, feature_size=128)
    _, folder = saved(transformers.WhisperModel, transformers.WhisperConfig(**CONFIG), other)
    with pytest.raises(WeightsError, match="gives 128 × 300, which its weights do not take"):
        pretrained.add("whisper", folder)
