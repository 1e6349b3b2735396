"""``echoic models add clap``: from a hub to hits in words, and what a hub may have done since."""

from __future__ import annotations

import dataclasses
import json
import shutil

import pytest

torch = pytest.importorskip("torch", reason="turning weights into a model needs the extra [train]")
pytest.importorskip("onnxscript", reason="turning weights into a model needs the extra [train]")
transformers = pytest.importorskip("transformers", reason="the checkpoint is written by transformers")

from echoic.encoders.families import FAMILIES  # noqa: E402
from tests import hub as hubs  # noqa: E402
from tests.integration.conftest import CommandsWithin, write_clip  # noqa: E402
from tests.tiny_clap import clap_config, clap_extractor, clap_tokenizer  # noqa: E402

REPOSITORY, COMMIT = FAMILIES["clap"].files[0].repository, FAMILIES["clap"].files[0].revision


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The files of a network of random weights, by name."""
    torch.manual_seed(0)
    folder, tokenizer = tmp_path_factory.mktemp("clap"), clap_tokenizer()
    network = transformers.ClapModel(clap_config(tokenizer))
    for part in (network, clap_extractor(), tokenizer):
        part.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with all that the module keeps: weights, models, sounds, a library."""
    folder = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECHOIC_MODELS", str(folder / "models"))
        patch.setenv("ECHOIC_WEIGHTS", str(folder / "weights"))
        yield folder


@pytest.fixture(scope="module")
def hub(place, checkpoint):
    """A hub whose files are known by nothing but their commit."""
    family = FAMILIES["clap"]
    files = tuple(dataclasses.replace(file, sha256=None) for file in family.files)
    with pytest.MonkeyPatch.context() as patch, hubs.serving(patch) as served:
        patch.setitem(FAMILIES, "clap", dataclasses.replace(family, files=files))
        served.put(REPOSITORY, COMMIT, checkpoint)
        yield served


@pytest.fixture(scope="module")
def echoic(place, hub):
    """The command line within this process, which knows that hub, on a library of three sounds."""
    commands = CommandsWithin(place / "library")
    for seed in range(3):
        write_clip(place / "sounds" / f"{seed}.wav", seed, 1.5)
    commands("models", "add", "clap")
    commands("index", place / "sounds", "--encoder", "clap")
    return commands


def rows_of(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_only_what_is_named_is_fetched(echoic, hub):
    fetched = {asked.removeprefix("GET ") for asked in hub.asked if asked.startswith("GET")}
    assert fetched == {file.name for file in FAMILIES["clap"].files}


def test_sounds_are_found_by_words_and_by_example(echoic, place):
    rows = rows_of(echoic("search", "--text", "a dog barks far away", "--encoder", "clap", "--json"))
    assert len(rows) == 3
    clip = place / "sounds" / "1.wav"
    rows = rows_of(echoic("search", clip, "--encoder", "clap", "--include-query", "--json"))
    assert rows[0]["path"] == str(clip)
    assert rows[0]["score"] == pytest.approx(1, abs=1e-3)


def test_the_card_tells_which_files_it_was_made_of(echoic, place, checkpoint):
    card = json.loads((place / "models" / "clap.json").read_text())
    told = {file["file"]: file for file in card["training"]["weights"]}
    assert told.keys() == {file.name for file in FAMILIES["clap"].files}
    assert {file["source"] for file in told.values()} == {f"{REPOSITORY}@{COMMIT}"}
    assert card["inputs"] == ["audio", "text"]
    assert card["sha256"].keys() == {"graph", "text_graph", "tokenizer"}


def test_later_files_are_held_to_the_first_ones_until_the_model_is_removed(echoic, hub, place, checkpoint):
    names = {path.name for path in (place / "models").iterdir()}
    assert names == {"clap.json", "clap.onnx", "clap.text.onnx", "clap.tokenizer"}
    other = checkpoint["preprocessor_config.json"].replace(b"repeatpad", b"pad")
    assert other != checkpoint["preprocessor_config.json"]
    hub.put(REPOSITORY, COMMIT, {"preprocessor_config.json": other})
    try:
        shutil.rmtree(place / "weights")
        refused = echoic("models", "add", "clap", code=1)
        assert "is not the file that was checked before" in refused.stderr
        assert {path.name for path in (place / "models").iterdir()} == names
        echoic("models", "remove", "clap")
        assert not list((place / "models").iterdir())
        refused = echoic("models", "add", "clap", code=1)  # by what it says now
        assert "without fusion" in refused.stderr
        assert (
            "echoic models add clap" in echoic("search", "--text", "rain", "--encoder", "clap", code=2).stderr
        )
    finally:
        hub.put(REPOSITORY, COMMIT, checkpoint)
