"""``echoic models``: weights of others from the package index to hits, and how that can fail."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="turning weights into a model needs the extra [train]")
pytest.importorskip("onnxscript", reason="turning weights into a model needs the extra [train]")

from echoic.encoders import families  # noqa: E402
from echoic.encoders.registry import load_encoder  # noqa: E402
from echoic.pretrained import resemblyzer  # noqa: E402
from tests.integration.conftest import CommandsWithin  # noqa: E402
from tests.wheels import make_wheel, use_index  # noqa: E402

NAME = "resemblyzer"


@pytest.fixture(scope="module")
def weights():
    """Random weights, written as the package's own are."""
    torch.manual_seed(0)
    state = dict(resemblyzer.Resemblyzer().state_dict())
    content = io.BytesIO()
    torch.save({"model_state": state | {"similarity_weight": torch.ones(1)}, "step": 1}, content)
    return content.getvalue()


@pytest.fixture
def offered(tmp_path, monkeypatch, weights):
    """A package index that offers them, pinned as if they were the published ones."""
    folder = tmp_path / "index"
    folder.mkdir()
    make_wheel(folder, "Resemblyzer", "0.1.4", {"resemblyzer/pretrained.pt": weights})
    use_index(folder, monkeypatch)
    monkeypatch.setenv("ECHOIC_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("ECHOIC_WEIGHTS", str(tmp_path / "weights"))
    pin(monkeypatch, hashlib.sha256(weights).hexdigest())
    return folder


@pytest.fixture
def echoic(tmp_path, offered):
    """The command line within this process, which knows what the tests have pinned."""
    return CommandsWithin(tmp_path / "library")


@pytest.fixture
def short_windows(monkeypatch):
    """A tenth of the frames: to write a recurrent network down, torch goes through it frame by frame."""
    monkeypatch.setattr(resemblyzer, "_SAMPLES", 15 * 160 + 400)
    monkeypatch.setattr(resemblyzer, "_EVERY", 0.08)


def rows_of(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def pin(patch, digest):
    family = families.FAMILIES[NAME]
    file = dataclasses.replace(family.files[0], sha256=digest)
    patch.setitem(families.FAMILIES, NAME, dataclasses.replace(family, files=(file,)))


def agrees_with_the_published_front_end(weights):
    librosa = pytest.importorskip("librosa", reason="the reference is librosa's")
    encoder = load_encoder(NAME)
    network = resemblyzer.Resemblyzer()
    state = torch.load(io.BytesIO(weights), weights_only=True)["model_state"]
    network.load_state_dict({name: value for name, value in state.items() if name != "similarity_weight"})
    rng = np.random.default_rng(3)
    for level in (0.02, 0.3):  # quieter than −30 dBFS, and louder
        samples = rng.normal(0, level, (2, encoder.spec.window_samples)).astype(np.float32)
        heard = samples[0] * max(1, 10 ** (-30 / 20) / np.sqrt((samples[0] ** 2).mean()))
        mels = librosa.feature.melspectrogram(
            y=heard, sr=16_000, n_fft=400, hop_length=160, n_mels=40, center=False
        )
        with torch.no_grad():
            expected = network.of_mel(torch.from_numpy(mels.T[None].astype(np.float32)))[0].numpy()
        alone, together = encoder.encode(samples[:1])[0], encoder.encode(samples)[0]
        np.testing.assert_allclose(alone, expected, atol=1e-4)
        np.testing.assert_allclose(together, alone, atol=1e-5)


def test_from_the_index_to_hits(echoic, make_clip, weights, short_windows, tmp_path):
    clips = [make_clip(f"sounds/{seed}.wav", seconds=4.0, seed=seed) for seed in range(3)]
    assert "not added" in echoic("models").stdout
    added = echoic("models", "add", NAME)
    assert "added resemblyzer" in added.stdout
    agrees_with_the_published_front_end(weights)
    [listed] = [row for row in rows_of(echoic("models", "list", "--json")) if row["name"] == NAME]
    assert listed["added"]
    assert listed["weights"] == ["Resemblyzer 0.1.4"]
    assert listed["figures"]["parity"] < 1e-4
    assert listed["figures"]["times_real_time"] > 0
    [told] = [line for line in echoic("encoders").stdout.splitlines() if line.startswith(NAME)]
    assert "[Apache-2.0, echoic models], as its network to " in told
    assert told.endswith(" s of sound a second on one core")
    echoic("index", str(tmp_path / "sounds"), "--encoder", NAME)
    rows = rows_of(echoic("search", clips[1], "--encoder", NAME, "--include-query", "--json"))
    assert rows[0]["path"] == str(clips[1])
    assert rows[0]["score"] == pytest.approx(1, abs=1e-3)

    echoic("models", "remove", NAME)
    gone = echoic("search", str(make_clip("new.wav", seconds=4.0, seed=9)), "--encoder", NAME, code=2)
    assert f"echoic models add {NAME}" in gone.stderr
    again = echoic("models", "remove", NAME, code=2)
    assert "nothing to remove" in again.stderr


def test_names_that_mean_nothing_are_refused(echoic, offered):
    for action in ("add", "remove"):
        refused = echoic("models", action, "nosuch", code=2)
        assert "there is no pretrained network named 'nosuch'; choose from aisfx, " in refused.stderr
        assert "say which" in echoic("models", action, code=2).stderr
    assert "takes no names" in echoic("models", "list", NAME, code=2).stderr


def test_a_network_that_was_not_added_is_told_from_one_that_nobody_knows(echoic, offered, make_clip):
    clip = make_clip("a.wav")
    refused = echoic("index", str(clip), "--encoder", "aisfx", code=2)
    assert "fetch it with: echoic models add aisfx" in refused.stderr
    assert not (offered.parent / "models").exists()


def test_nothing_is_kept_of_other_weights_than_were_pinned(echoic, offered, monkeypatch):
    pin(monkeypatch, "0" * 64)
    refused = echoic("models", "add", NAME, code=1)
    assert "is not the file that was checked before" in refused.stderr
    assert not list(offered.parent.glob("models/*"))


def test_a_checkpoint_of_another_network_is_one_sentence(echoic, offered, monkeypatch):
    content = io.BytesIO()
    torch.save({"model_state": {"linear.weight": torch.zeros(3, 3)}}, content)
    make_wheel(offered, "Resemblyzer", "0.1.4", {"resemblyzer/pretrained.pt": content.getvalue()})
    pin(monkeypatch, hashlib.sha256(content.getvalue()).hexdigest())
    refused = echoic("models", "add", NAME, code=1)
    assert "are not those of its network" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not list(offered.parent.glob("models/*"))
