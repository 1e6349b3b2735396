import json
import pickle
import re
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the networks need torch: pip install 'echoic[torch]'")

from echoic.audio.spectrogram import LogMel  # noqa: E402 - only where torch is
from echoic.errors import ModelError  # noqa: E402
from echoic.nn.architectures import ARCHITECTURES  # noqa: E402
from echoic.nn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint  # noqa: E402
from tests.unit.nn.networks import SMALL, SMALL_WINDOW, small  # noqa: E402


def checkpoint(architecture="cnn"):
    return Checkpoint(
        architecture=architecture,
        config=SMALL_WINDOW | SMALL[architecture],
        weights=small(architecture).state_dict(),
        front_end=LogMel(sample_rate=16_000, n_fft=1024, hop_length=320, n_mels=40, fmin=50, fmax=8_000),
        window=2.464,
        hop=1.25,
        labels=("dog", "köter"),
        training={"recipe": "cnn-triplet", "seed": 3, "data": [{"name": "dogs", "clips": 12}]},
        figures={"map": 0.5},
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.echoic"


@pytest.fixture
def saved(path):
    save_checkpoint(checkpoint(), path)
    return path


def rewritten(path, **entries):
    """Change entries of a saved file."""
    content = torch.load(path, weights_only=True)
    torch.save(content | entries, path)
    return path


def card(path):
    return json.loads(torch.load(path, weights_only=True)["card"])


def refusal(path):
    """What is said of a file: one sentence that names it."""
    with pytest.raises(ModelError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert str(path) in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_comes_back_as_it_was(path, architecture):
    kept = checkpoint(architecture)
    save_checkpoint(kept, path)
    found = load_checkpoint(path)
    for name in ("architecture", "front_end", "window", "hop", "labels", "training", "figures"):
        assert getattr(found, name) == getattr(kept, name)
    assert found.weights.keys() == kept.weights.keys()
    assert all(torch.equal(found.weights[name], kept.weights[name]) for name in kept.weights)
    log_mel = torch.randn(2, 121, 40) * 12 - 10
    with torch.no_grad():
        torch.testing.assert_close(found.embedder()(log_mel), small(architecture)(log_mel))


def test_the_network_is_ready_to_embed(saved):
    assert not any(module.training for module in load_checkpoint(saved).embedder().modules())


def test_the_layout_of_training_is_not_kept(path):
    model = small("cnn").to(memory_format=torch.channels_last)
    save_checkpoint(replace(checkpoint(), weights=model.state_dict()), path)
    assert all(tensor.is_contiguous() for tensor in load_checkpoint(path).weights.values())


def test_a_file_may_be_renamed(saved, tmp_path):
    moved = saved.rename(tmp_path / "other name.pt")
    assert load_checkpoint(moved).labels == ("dog", "köter")


def test_a_missing_file(path):
    assert "cannot be read (No such file or directory)" in refusal(path)


def test_a_folder(tmp_path):
    assert "cannot be read (Is a directory)" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"path,label\na.wav,dog\n", pickle.dumps({"a": 1})])
def test_a_file_of_another_kind(path, content):
    path.write_bytes(content)
    assert "is not a model that echoic has trained" in refusal(path)


class Foreign(torch.nn.Module):
    """A class that only the one who saved it has."""


def save_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<w/>")


def save_torchscript(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.trace(torch.nn.Linear(2, 2), torch.zeros(1, 2)).save(str(path))


@pytest.mark.parametrize(
    "save",
    [
        lambda path: torch.save({"weights": {"a": torch.zeros(3)}}, path),
        lambda path: torch.save(torch.zeros(3), path),
        lambda path: torch.save(Foreign(), path),
        lambda path: torch.save({"a": torch.zeros(3)}, path, _use_new_zipfile_serialization=False),
        save_zip,
        save_torchscript,
    ],
    ids=["dict", "tensor", "class", "legacy", "zip", "torchscript"],
)
def test_a_foreign_file_of_torch(path, save):
    save(path)
    assert "is not a model that echoic has trained" in refusal(path)


def test_code_in_a_file_is_not_run(path, tmp_path):
    target = tmp_path / "ran"

    class Harmful:
        def __reduce__(self):
            return Path.touch, (target,)

    torch.save({"format": "echoic-checkpoint", "version": 1, "card": Harmful(), "weights": {}}, path)
    refusal(path)
    assert not target.exists()


def test_a_newer_format_says_to_update(saved):
    assert "written by a newer echoic (format 2, this one reads 1); install the one that wrote it" in refusal(
        rewritten(saved, version=2)
    )


@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_a_truncated_file(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    assert "is damaged or was cut short" in refusal(saved)


def test_a_flipped_bit_in_the_weights(saved):
    content = bytearray(saved.read_bytes())
    weights = torch.load(saved, weights_only=True)["weights"]["project.weight"].numpy().tobytes()
    content[content.index(weights) + 100] ^= 1
    saved.write_bytes(content)
    assert "is damaged or was cut short" in refusal(saved)


@pytest.mark.parametrize("entry", ["architecture", "config", "front_end", "window", "labels"])
def test_a_part_that_is_missing(saved, entry):
    short = card(saved)
    del short[entry]
    message = refusal(rewritten(saved, card=json.dumps(short)))
    assert re.search(f"parts are missing or wrong .*{entry}", message)


def test_an_architecture_that_is_not_there(saved):
    other = json.dumps(card(saved) | {"architecture": "rnn"})
    assert "there is no architecture 'rnn'" in refusal(rewritten(saved, card=other))


def test_weights_that_do_not_fit(saved):
    message = refusal(rewritten(saved, weights=small("hybrid").state_dict()))
    assert "the weights do not fit architecture cnn: Missing key(s)" in message
    other = json.dumps(card(saved) | {"config": SMALL_WINDOW | SMALL["cnn"] | {"dim": 25}})
    save_checkpoint(checkpoint(), saved)
    assert "size mismatch for project.weight" in refusal(rewritten(saved, card=other))


def test_a_failed_write_leaves_the_earlier_file_whole(saved, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ModelError, match=r"model\.echoic cannot be written \(No space left on device\)"):
        save_checkpoint(replace(checkpoint("hybrid"), labels=("cat",)), saved)
    assert load_checkpoint(saved).labels == ("dog", "köter")
    assert [file.name for file in saved.parent.iterdir()] == ["model.echoic"]


def test_an_interrupted_write_leaves_the_earlier_file_whole(saved, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(replace(checkpoint("hybrid"), labels=("cat",)), saved)
    assert load_checkpoint(saved).labels == ("dog", "köter")
    assert [file.name for file in saved.parent.iterdir()] == ["model.echoic"]


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(ModelError, match=r"cannot be written \(No such file or directory\)"):
        save_checkpoint(checkpoint(), tmp_path / "nowhere" / "model.echoic")


def test_a_folder_in_the_place_of_the_file(tmp_path):
    with pytest.raises(ModelError, match=r"cannot be written \(Is a directory\)"):
        save_checkpoint(checkpoint(), tmp_path)


def test_what_json_cannot_hold_is_refused_before_anything_is_written(saved):
    with pytest.raises(TypeError):
        save_checkpoint(replace(checkpoint(), training={"file": Path("a")}), saved)
    assert load_checkpoint(saved).labels == ("dog", "köter")
