"""``panns`` and its MobileNets hear what librosa's front end gives, and read published checkpoints."""

from __future__ import annotations

import numpy as np
import pytest

from echoic import pretrained
from echoic.encoders.families import FAMILIES
from echoic.errors import WeightsError
from echoic.pretrained import panns
from tests.unit.pretrained.conftest import check_batches, torch, unit, windows, with_norms_drawn

librosa = pytest.importorskip("librosa", reason="the reference is librosa's")
functional = torch.nn.functional
NARROW = {
    "panns": lambda: panns.Cnn14((4, 4, 8, 8, 16, 16)),
    "panns-mobilenetv1": lambda: panns.MobileNetV1(1 / 8),
    "panns-mobilenetv2": lambda: panns.MobileNetV2(1 / 4),
}
# Of what their publisher's checkpoints hold beside the networks: front end and classes.
OTHERS = {
    "spectrogram_extractor.stft.conv_real.weight": torch.zeros(2, 1, 4),
    "logmel_extractor.melW": torch.zeros(2, 2),
    "fc_audioset.weight": torch.zeros(5, 16),
    "fc_audioset.bias": torch.zeros(5),
}


def write(name, network, folder):
    """Write a network as its publisher does."""
    state = {"iteration": 1, "model": network.state_dict() | OTHERS}
    path = folder / FAMILIES[name].files[0].base
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return with_norms_drawn(NARROW["panns"]())


@pytest.fixture(scope="module")
def encoder(added, network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("panns")
    write("panns", network, folder)
    return added("panns", folder)


def norm(state, name, x):
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(x, *parts)


def conv(state, name, x, padding=0):
    weight = state[f"{name}.weight"]
    return functional.conv2d(x, weight, padding=padding, groups=x.shape[1] // weight.shape[1])


def of_cnn14(state, x):
    for number in range(1, 7):
        for part in (1, 2):
            name = f"conv_block{number}"
            x = torch.relu(norm(state, f"{name}.bn{part}", conv(state, f"{name}.conv{part}", x, 1)))
        x = functional.avg_pool2d(x, (1, 1) if number == 6 else (2, 2))
    return x


def of_mobilenet_v1(state, x):
    smaller = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    for number, size in enumerate(smaller):
        name = f"features.{number}"
        x = functional.avg_pool2d(conv(state, f"{name}.0", x, 1), size)
        x = torch.relu(norm(state, f"{name}.2", x))
        if number > 0:
            x = torch.relu(norm(state, f"{name}.5", conv(state, f"{name}.4", x)))
    return x


def of_mobilenet_v2(state, x):
    x = functional.avg_pool2d(conv(state, "features.0.0", x, 1), 2)
    x = functional.relu6(norm(state, "features.0.2", x))
    for number in range(1, 18):
        name, before = f"features.{number}.conv", x
        size = 2 if number in (2, 4, 7, 11) else 1
        if number > 1:
            x = functional.relu6(norm(state, f"{name}.1", conv(state, f"{name}.0", x)))
        at = 0 if number == 1 else 3
        x = functional.avg_pool2d(conv(state, f"{name}.{at}", x, 1), size)
        x = functional.relu6(norm(state, f"{name}.{at + 2}", x))
        x = norm(state, f"{name}.{at + 5}", conv(state, f"{name}.{at + 4}", x))
        x = x + before if x.shape == before.shape else x
    return functional.relu6(norm(state, "features.18.1", conv(state, "features.18.0", x)))


STEPS = {
    "panns": of_cnn14,
    "panns-mobilenetv1": of_mobilenet_v1,
    "panns-mobilenetv2": of_mobilenet_v2,
}


def expected(name, network, window):
    """The network's vector, step by step, of librosa's spectrogram."""
    mel = librosa.feature.melspectrogram(
        y=window, sr=32_000, n_fft=1024, hop_length=320, n_mels=64, fmin=50, fmax=14_000, pad_mode="reflect"
    )
    x = torch.from_numpy(librosa.power_to_db(mel, amin=1e-10, top_db=None).T[None, None])
    state = network.state_dict()
    with torch.no_grad():
        x = norm(state, "bn0", x.transpose(1, 3)).transpose(1, 3)
        x = STEPS[name](state, x).mean(dim=3)
        x = x.max(dim=2).values + x.mean(dim=2)
        return unit(torch.relu(functional.linear(x, state["fc1.weight"], state["fc1.bias"])))[0]


def test_windows_are_heard_as_by_librosa(encoder, network):
    assert encoder.spec.window == 10
    heard = windows(encoder, 2)
    heard[1, 50_000:] = 0
    due = np.stack([expected("panns", network, window) for window in heard])
    np.testing.assert_allclose(encoder.encode(heard), due, atol=1e-4)


@pytest.mark.parametrize("name", ["panns-mobilenetv1", "panns-mobilenetv2"])
def test_mobilenets_hear_what_their_layers_one_by_one_do(name, tmp_path):
    torch.manual_seed(0)
    network = with_norms_drawn(NARROW[name]())
    built = panns.build([write(name, network, tmp_path)], FAMILIES[name])
    assert (built.sample_rate, built.window, built.hop) == (32_000, 10, 5)
    samples = np.random.default_rng(2).normal(0, 0.1, (2, 320_000)).astype(np.float32)
    samples[1, 50_000:] = 0
    with torch.no_grad():
        vectors = built.network(torch.from_numpy(samples)).numpy()
    due = np.stack([expected(name, network, window) for window in samples])
    np.testing.assert_allclose(vectors, due, atol=1e-4)


def test_the_published_mobilenets_have_as_many_weights_as_their_paper_says():
    n_classes = 527
    for network, millions in ((panns.MobileNetV1(), 4.8), (panns.MobileNetV2(), 4.1)):
        n = sum(weight.numel() for weight in network.parameters()) + n_classes * (1024 + 1)
        assert round(n / 1e6, 1) == millions


def test_vectors_do_not_depend_on_their_batch(encoder):
    check_batches(encoder)


def test_weights_of_another_network_are_refused(own_models, tmp_path):
    for content in ({"model": {"fc1.weight": torch.zeros(2)}}, [1], {"model": 1}):
        torch.save(content, tmp_path / "Cnn14_mAP=0.431.pth")
        with pytest.raises(WeightsError, match="the weights of panns are not those of its network"):
            pretrained.add("panns", tmp_path)
    (tmp_path / "Cnn14_mAP=0.431.pth").write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="the weights of panns are not those of its network"):
        pretrained.add("panns", tmp_path)
