"""Names of networks that others trained: what is right, what is not, and what is said of it."""

from __future__ import annotations

import re

import pytest

from echoic import UnknownEncoderError, UsageError
from echoic.encoders import registry
from echoic.encoders.families import FAMILIES, family_named, how_to_get, misnamed
from echoic.pretrained import add


def test_each_network_with_layers_says_how_many():
    for family in FAMILIES.values():
        assert (family.layer is None) == (family.n_layers == 0)
        assert family.layer is None or 1 <= family.layer <= family.n_layers
        assert misnamed(family.name) == ""


@pytest.mark.parametrize(
    "name", ["hubert-layer1", "hubert-layer12", "sound", "birds", "clapboard", "astral", "./clap-2", ""]
)
def test_names_that_are_right_or_of_something_else(name):
    assert misnamed(name) == ""


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("hubert-layer0", "hubert has the layers hubert-layer1 to hubert-layer12"),
        ("hubert-layer13", "hubert has the layers hubert-layer1 to hubert-layer12"),
        ("hubert-layer99", "hubert has the layers hubert-layer1 to hubert-layer12"),
        ("hubert-layer100", "hubert has the layers"),
        ("hubert-layer04", "hubert has the layers"),
        ("hubert-layer", "hubert has the layers"),
        ("hubert-Layer4", "hubert has the layers"),
        ("hubertlayer4", "hubert has the layers"),
        ("wavlm_layer4", "wavlm has the layers wavlm-layer1 to wavlm-layer12"),
        ("wav2vec2:4", "wav2vec2 has the layers"),
        ("clap-layer3", "clap has no layers to choose from, and is called that"),
        ("CLAP", "it is spelt clap"),
    ],
)
def test_names_that_are_wrong_are_told_before_anything_is_fetched(name, right, monkeypatch):
    monkeypatch.setattr("echoic.pretrained.models._fetched", lambda family: pytest.fail("it was asked for"))
    for ask in (add, registry.load_encoder):
        with pytest.raises(UnknownEncoderError, match=re.escape(f"{name!r} names no network: {right}")):
            ask(name)


def test_a_network_that_is_not_there_is_named_with_how_it_comes(tmp_path, monkeypatch):
    monkeypatch.setenv("ECHOIC_MODELS", str(tmp_path))
    assert how_to_get("clap").endswith("is not on this machine; fetch it with: echoic models add clap")
    assert how_to_get("sound") == how_to_get("frob") == ""
    (tmp_path / "clap.json").touch()
    assert how_to_get("clap") == ""
    assert family_named("hubert-layer4").layer == 4


def test_a_training_does_not_start_from_a_network_of_others():
    pytest.importorskip("torch")
    from echoic.training.train import starting_point

    with pytest.raises(UsageError, match=r"clap, which others trained, .* echoic models add clap, "):
        starting_point("clap")
