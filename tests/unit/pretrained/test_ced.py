"""``ced`` hears what its publisher's front end and layers, one by one, make of a window."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.torch import save_file

from echoic import pretrained
from echoic.errors import WeightsError
from echoic.pretrained import ced
from tests.unit.pretrained.conftest import check_batches, torch, unit, windows, with_norms_drawn

librosa = pytest.importorskip("librosa", reason="the reference is librosa's")
functional = torch.nn.functional
CONFIG = {"embed_dim": 32, "depth": 2, "num_heads": 4, "n_mels": 32}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = ced.Ced(ced.DEFAULTS | CONFIG)
    torch.nn.init.normal_(network.time_pos_embed)
    torch.nn.init.normal_(network.freq_pos_embed)
    return with_norms_drawn(network)


def write(network, folder, **changes):
    """Write a network as its publisher does, with its classes."""
    (folder / "config.json").write_text(json.dumps(CONFIG | changes), "utf-8")
    weights = {f"encoder.{name}": value.contiguous() for name, value in network.state_dict().items()}
    save_file(weights | {"outputlayer.0.bias": torch.zeros(32)}, folder / "model.safetensors")


@pytest.fixture(scope="module")
def encoder(added, network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ced")
    write(network, folder)
    return added("ced-tiny", folder)


def expected(network, samples):
    """The network's vector, step by step, of librosa's spectrogram."""
    mel = librosa.feature.melspectrogram(
        y=samples, sr=16_000, n_fft=512, hop_length=160, n_mels=32, htk=True, norm=None, pad_mode="reflect"
    )
    levels = 10 * np.log10(np.maximum(mel, 1e-10))
    levels = np.maximum(levels, levels.max() - 120)
    state = network.state_dict()

    def dense(name, x):
        return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(name, x):
        return functional.layer_norm(x, (32,), state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-6)

    with torch.no_grad():
        x = torch.from_numpy(levels.astype(np.float32))[None]
        parts = (state[f"init_bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        x = functional.batch_norm(x, *parts)[:, None]
        x = functional.conv2d(x, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=16)
        x = x + state["time_pos_embed"][..., : x.shape[3]] + state["freq_pos_embed"]
        x = x.flatten(2).transpose(1, 2)
        for block in range(2):
            name = f"blocks.{block}"
            heard = dense(f"{name}.attn.qkv", norm(f"{name}.norm1", x)).view(1, -1, 3, 4, 8)
            query, key, value = (heard[:, :, part].transpose(1, 2) for part in range(3))
            heard = functional.scaled_dot_product_attention(query, key, value)
            x = x + dense(f"{name}.attn.proj", heard.transpose(1, 2).reshape(1, -1, 32))
            made = functional.gelu(dense(f"{name}.mlp.fc1", norm(f"{name}.norm2", x)))
            x = x + dense(f"{name}.mlp.fc2", made)
        return unit(norm("norm", x).mean(dim=1))[0]


def test_windows_are_heard_as_published(encoder, network):
    assert encoder.spec.window == 10
    heard = windows(encoder, 4)
    heard[1, 50_000:] = 0
    heard[3] *= 40  # so loud that its silent bands are cut off
    due = np.stack([expected(network, window) for window in heard])
    np.testing.assert_allclose(encoder.encode(heard), due, atol=1e-4)


def test_vectors_do_not_depend_on_their_batch(encoder):
    check_batches(encoder)


@pytest.mark.parametrize("changes", [{"pooling": "token"}, {"depth": 3}, {"patch_stride": 10}])
def test_a_network_of_another_kind_is_refused(own_models, network, tmp_path, changes):
    write(network, tmp_path, **changes)
    with pytest.raises(WeightsError, match="the weights of ced are not those of its network"):
        pretrained.add("ced", tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_files_that_are_no_checkpoint_are_refused(own_models, network, tmp_path, name):
    write(network, tmp_path)
    (tmp_path / name).write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="the weights of ced are not those of its network"):
        pretrained.add("ced", tmp_path)
