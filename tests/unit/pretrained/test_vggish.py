"""``vggish`` hears what its publisher's front end, layers and quantisation make of a window."""

from __future__ import annotations

import numpy as np
import pytest

from echoic import pretrained
from echoic.encoders.families import FAMILIES
from echoic.errors import WeightsError
from echoic.pretrained import vggish
from tests.unit.pretrained.conftest import check_batches, torch, unit, windows

functional = torch.nn.functional
DIM = 16


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return vggish.Vggish((4, 4, 8, 8, 8, 8), hidden=32, dim=DIM).eval()


@pytest.fixture(scope="module")
def pca(network):
    """Turn and whiten what the network gives of noise, so that much of it lies within ±2."""
    rng = np.random.default_rng(1)
    raws = np.stack([raw(network, window) for window in noise(rng)])
    turn = np.linalg.qr(rng.normal(size=(DIM, DIM)))[0]
    spread = (raws @ turn.T).std(axis=0)[:, None]
    return {"pca_eigen_vectors": turn / spread, "pca_means": raws.mean(axis=0)[:, None]}


def noise(rng, n=24):
    """Draw windows of noise of many levels and colours."""
    drawn = rng.normal(size=(n, 15_600)) * 10 ** rng.uniform(-3, -0.5, (n, 1))
    drawn[::2] = np.cumsum(drawn[::2], axis=1) / 30
    return drawn.astype(np.float32)


@pytest.fixture(scope="module")
def checkpoint(network, pca, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vggish")
    port = {"pproc.pca_means": torch.zeros(DIM, 1)}
    torch.save(network.state_dict() | port, folder / "vggish-10086976.pth")
    np.savez(folder / "vggish_pca_params.npz", **pca)
    return folder


def log_mel(samples):
    """The published front end: magnitudes, triangles in mel, from 125 to 7,500 Hz."""
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64), 400)[::160]
    taper = 0.5 - 0.5 * np.cos(2 * np.pi / 400 * np.arange(400))
    magnitudes = np.abs(np.fft.rfft(frames * taper, 512))

    def mel(hz):
        return 1127 * np.log(1 + np.asarray(hz) / 700)

    edges, bins = np.linspace(mel(125), mel(7_500), 66), mel(np.linspace(0, 8_000, 257))[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0, np.minimum(rising, falling))
    weights[0] = 0
    return np.log(magnitudes @ weights + 0.01)


def raw(network, samples):
    """The network's vector, step by step, before anything is done to it."""
    state = network.state_dict()
    x = torch.from_numpy(log_mel(samples).astype(np.float32))[None, None]
    with torch.no_grad():
        for place, halved in ((0, True), (3, True), (6, False), (8, True), (11, False), (13, True)):
            weight, bias = (state[f"features.{place}.{part}"] for part in ("weight", "bias"))
            x = torch.relu(functional.conv2d(x, weight, bias, padding=1))
            x = functional.max_pool2d(x, 2) if halved else x
        x = x.transpose(1, 3).transpose(1, 2).flatten(1)  # channels last, as TensorFlow has them
        for place in (0, 2, 4):
            x = functional.linear(x, state[f"embeddings.{place}.weight"], state[f"embeddings.{place}.bias"])
            x = torch.relu(x) if place < 4 else x
    return x[0].numpy()


def quantised(vector, pca):
    """What AudioSet holds of a vector, in 8 bits."""
    turned = np.dot(pca["pca_eigen_vectors"], vector[:, None] - pca["pca_means"])[:, 0]
    return ((np.clip(turned, -2, 2) + 2) * (255 / 4)).astype(np.uint8)


@pytest.fixture(scope="module")
def encoder(added, checkpoint):
    return added("vggish", checkpoint)


def test_windows_are_heard_as_published(encoder, network):
    assert encoder.spec.hop == 0.96
    assert encoder.spec.window_samples == 15_600  # 96 frames
    heard = windows(encoder)
    due = np.stack([unit(raw(network, window)) for window in heard])
    np.testing.assert_allclose(encoder.encode(heard), due, atol=1e-4)


def test_after_the_published_pca_each_number_is_one_of_256(checkpoint, network, pca):
    family = FAMILIES["vggish-pca"]
    built = vggish.build([checkpoint / file.base for file in family.files], family)
    heard = noise(np.random.default_rng(5))
    steps = np.stack([quantised(raw(network, window), pca) for window in heard])
    assert len(np.unique(steps)) > 30
    # As YouTube-8M's code brings them back: to the middle of each step.
    due = unit(steps * (4 / 255) - 2 + 4 / 512)
    with torch.no_grad():
        vectors = built.network(torch.from_numpy(heard)).numpy()
    assert (np.abs(vectors - due) > 1e-3).mean() < 0.02  # a number at the edge of a step falls on either side
    np.testing.assert_allclose(vectors, due, atol=built.tolerance)


def test_vectors_do_not_depend_on_their_batch(encoder):
    check_batches(encoder)


@pytest.mark.parametrize(
    "changes", [{"pca_means": np.zeros((3, 1))}, {"pca_eigen_vectors": np.zeros((3, 3))}]
)
def test_a_pca_of_another_network_is_refused(own_models, network, pca, tmp_path, changes):
    torch.save(network.state_dict(), tmp_path / "vggish-10086976.pth")
    np.savez(tmp_path / "vggish_pca_params.npz", **(pca | changes))
    with pytest.raises(WeightsError, match="the weights of vggish-pca are not those of its network"):
        pretrained.add("vggish-pca", tmp_path)


def test_weights_of_another_network_are_refused(own_models, tmp_path):
    torch.save({"features.0.weight": torch.zeros(2)}, tmp_path / "vggish-10086976.pth")
    with pytest.raises(WeightsError, match="the weights of vggish are not those of its network"):
        pretrained.add("vggish", tmp_path)
