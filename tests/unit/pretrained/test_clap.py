"""``clap`` hears and reads what transformers' own front ends and networks do."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from echoic import pretrained
from echoic.encoders.base import TextEncoder
from echoic.encoders.registry import load_encoder
from echoic.errors import EncoderError, MissingDependencyError, WeightsError
from tests.tiny_clap import CONFIG, TEXTS, clap_config, clap_extractor, clap_tokenizer
from tests.unit.pretrained.conftest import check_batches, torch, transformers, unit, windows


@pytest.fixture(scope="module")
def case(saved, added):
    tokenizer = clap_tokenizer()
    network, folder = saved(transformers.ClapModel, clap_config(tokenizer), clap_extractor(), tokenizer)
    return added("clap", folder), network


def expected(network, clips):
    heard = clap_extractor()(list(clips), sampling_rate=48_000, return_tensors="pt")
    with torch.no_grad():
        return unit(network.get_audio_features(**heard).pooler_output)


def test_windows_are_heard_as_by_transformers(case):
    encoder, network = case
    assert encoder.spec.window == 1
    heard = windows(encoder)
    np.testing.assert_allclose(encoder.encode(heard), expected(network, heard), atol=1e-4)


@pytest.mark.parametrize("n", [1, 4_800, 13_001, 24_000, 24_001, 47_999])
def test_short_clips_are_repeated_as_by_transformers(case, n):
    encoder, network = case
    heard = windows(encoder)[:2]
    heard[:, n:] = 0
    np.testing.assert_allclose(encoder.encode(heard), expected(network, heard[:, :n]), atol=1e-4)


def test_vectors_do_not_depend_on_their_batch(case):
    check_batches(case[0])


def test_words_are_read_as_by_transformers(case):
    encoder, network = case
    assert isinstance(encoder, TextEncoder)
    read = clap_tokenizer()(TEXTS, padding=True, return_tensors="pt")
    with torch.no_grad():
        due = unit(network.get_text_features(read.input_ids, read.attention_mask).pooler_output)
    np.testing.assert_allclose(encoder.encode_text(TEXTS), due, atol=1e-4)


def test_a_text_has_the_same_vector_alone_and_among_others(case):
    encoder, _ = case
    together = encoder.encode_text(TEXTS)
    np.testing.assert_array_equal(np.concatenate([encoder.encode_text([text]) for text in TEXTS]), together)
    assert encoder.encode_text([]).shape == (0, encoder.spec.dim)


def test_a_text_that_is_too_long_is_cut(case):
    encoder, _ = case
    longest = CONFIG["max_position_embeddings"]
    vectors = encoder.encode_text(["rain " * longest, "rain " * 2 * longest])
    np.testing.assert_array_equal(vectors[0], vectors[1])


def test_the_files_of_words_are_those_of_the_card(case):
    encoder, _ = case
    for suffix, told in ((".text.onnx", "is not the file"), (".tokenizer", "is not the file")):
        path = encoder.path.with_suffix(suffix)
        content = path.read_bytes()
        path.write_bytes(content[:-1] + b"?")
        try:
            with pytest.raises(EncoderError, match=told):
                load_encoder("clap").encode_text(["rain"])
            path.unlink()
            with pytest.raises(EncoderError, match="cannot be read"):
                load_encoder("clap").encode_text(["rain"])
            load_encoder("clap").encode(windows(encoder, 1))  # sounds need neither
        finally:
            path.write_bytes(content)
    load_encoder("clap").encode_text(["rain"])


def test_words_without_tokenizers_say_what_to_install(case, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingDependencyError, match=r"asking clap in words needs .*echoic\[text\]"):
        load_encoder("clap").encode_text(["rain"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"truncation": "fusion"}, "do not crop at random"), ({"feature_size": 32}, "not for 16 bands")],
)
def test_a_front_end_of_another_kind_is_refused(own_models, saved, changes, told):
    tokenizer = clap_tokenizer()
    parts = (clap_extractor(**changes), tokenizer)
    _, folder = saved(transformers.ClapModel, clap_config(tokenizer), *parts)
    with pytest.raises(WeightsError, match=told):
        pretrained.add("clap", folder)


def test_a_tokenizer_that_is_none_is_refused(own_models, saved):
    tokenizer = clap_tokenizer()
    _, folder = saved(transformers.ClapModel, clap_config(tokenizer), clap_extractor(), tokenizer)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match="is no tokenizer"):
        pretrained.add("clap", folder)
