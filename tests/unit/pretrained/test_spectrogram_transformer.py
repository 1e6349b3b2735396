"""``ast`` hears what transformers' own front end and network do."""

from __future__ import annotations

import numpy as np
import pytest

from echoic import pretrained
from echoic.audio.synthesis import tone
from echoic.errors import WeightsError
from tests.unit.pretrained.conftest import check_batches, torch, transformers, unit, windows

SIZES = {"max_length": 128, "num_mel_bins": 64}
CONFIG = transformers.ASTConfig(
    **SIZES, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48
)


@pytest.fixture(scope="module")
def extractor():
    return transformers.ASTFeatureExtractor(**SIZES)


@pytest.fixture(scope="module")
def case(saved, added, extractor):
    network, folder = saved(transformers.ASTForAudioClassification, CONFIG, extractor)
    return added("ast", folder), network.base_model


def expected(network, extractor, clips):
    values = extractor(list(clips), sampling_rate=16_000, return_tensors="pt").input_values
    with torch.no_grad():
        return unit(network(values).pooler_output)


def test_a_window_is_a_spectrogram_long(case):
    assert case[0].spec.window == pytest.approx(128 * 0.01)


def test_windows_are_heard_as_by_transformers(case, extractor):
    encoder, network = case
    heard = windows(encoder)
    np.testing.assert_allclose(encoder.encode(heard), expected(network, extractor, heard), atol=1e-5)


def test_a_tone_is_heard_as_by_transformers(case, extractor):
    encoder, network = case
    heard = tone(1_000, encoder.spec.window, 16_000)[None, : encoder.spec.window_samples]
    np.testing.assert_allclose(encoder.encode(heard), expected(network, extractor, heard), atol=1e-4)


@pytest.mark.parametrize("n", [400, 5_123])
def test_short_clips_are_padded_as_by_transformers(case, extractor, n):
    encoder, network = case
    heard = windows(encoder)[:2]
    heard[:, n:] = 0
    np.testing.assert_allclose(encoder.encode(heard), expected(network, extractor, heard[:, :n]), atol=1e-5)


def test_vectors_do_not_depend_on_their_batch(case):
    check_batches(case[0])


def test_a_front_end_for_another_network_is_refused(own_models, saved):
    other = transformers.ASTFeatureExtractor(**SIZES | {"max_length": 256})
    _, folder = saved(transformers.ASTModel, CONFIG, other)
    with pytest.raises(WeightsError, match="not for spectrograms of 128 × 64"):
        pretrained.add("ast", folder)
