"""``mn`` and ``dymn`` hear what their publisher's front end and layers, one by one, make of a window."""

from __future__ import annotations

import numpy as np
import pytest

from echoic import pretrained
from echoic.encoders.families import FAMILIES
from echoic.errors import WeightsError
from echoic.pretrained import efficientat
from tests.unit.pretrained.conftest import check_batches, torch, unit, windows, with_norms_drawn

functional = torch.nn.functional
KINDS = {"mn04": efficientat.Mn, "dymn10": efficientat.Dymn}
NARROW = 0.1
HALVING = (1, 3, 6, 12)  # blocks, from 0
RELU = 6  # blocks that have it; those after them have a hard swish


def write(name, network, folder):
    """Write a network as its publisher does, with its classes."""
    classes = {"classifier.2.weight": torch.zeros(3, 4), "classifier.5.bias": torch.zeros(3)}
    path = folder / FAMILIES[name].files[0].base
    torch.save(network.state_dict() | classes, path)
    return path


def seen(samples):
    """The published front end: Kaldi's triangles on torch's own short-time Fourier transform."""
    x = samples[:, 1:] - 0.97 * samples[:, :-1]
    taper = torch.hann_window(800, periodic=False)
    power = torch.stft(x, 1024, 320, 800, taper, center=True, return_complex=True).abs() ** 2

    def mel(hz):
        return 1127 * np.log(1 + hz / 700)

    step = mel(15_000) / 129
    bins = mel(np.arange(512) * 32_000 / 1024)
    left = step * np.arange(128)[:, None]
    bank = np.maximum(0, np.minimum((bins - left) / step, (left + 2 * step - bins) / step))
    bank = torch.from_numpy(np.pad(bank, ((0, 0), (0, 1))).astype(np.float32))
    return ((bank @ power + 0.00001).log() + 4.5) / 5


def norm(state, name, x):
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return functional.batch_norm(x, *parts, eps=0.001)


def conv(state, name, x, stride=1):
    weight = state[f"{name}.0.weight"]
    groups = x.shape[1] // weight.shape[1]
    x = functional.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2, groups=groups)
    return norm(state, f"{name}.1", x)


def dense(state, name, x):
    return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def of_mn(state, x):
    x = functional.hardswish(conv(state, "features.0", x, 2))
    for block in range(15):
        before, name = x, f"features.{block + 1}.block"
        activation = torch.relu if block < RELU else functional.hardswish
        parts = sorted({int(key.split(".")[3]) for key in state if f"{name}." in key})
        for part in parts:
            within = f"{name}.{part}"
            if f"{within}.conc_se_layers.0.fc1.weight" in state:
                layer = f"{within}.conc_se_layers.0"
                told = torch.relu(dense(state, f"{layer}.fc1", x.mean((2, 3))))
                x = x * torch.sigmoid(dense(state, f"{layer}.fc2", told))[:, :, None, None]
                continue
            deep = state[f"{within}.0.weight"].shape[2] > 1
            x = conv(state, within, x, 2 if deep and block in HALVING else 1)
            x = x if part == parts[-1] else activation(x)
        x = x + before if x.shape == before.shape else x
    return functional.hardswish(conv(state, "features.16", x))


def mixed(state, name, x, told, kernel=1, stride=1):
    """A convolution whose kernel is mixed for each window, as published: windows as groups of channels."""
    share = torch.softmax(dense(state, f"{name}.residuals.0", told), dim=1)
    kernels = share @ state[f"{name}.weight"][0, 0]
    n, n_in = x.shape[:2]
    depthwise = kernel > 1
    kernels = kernels.view(-1, 1 if depthwise else n_in, kernel, kernel)
    groups = n * n_in if depthwise else n
    out = functional.conv2d(
        x.reshape(1, -1, *x.shape[2:]), kernels, stride=stride, padding=kernel // 2, groups=groups
    )
    return out.view(n, -1, *out.shape[2:])


def of_dymn(state, x):
    kernels = (3, 3, 3, 5, 5, 5, 3, 3, 3, 3, 3, 3, 5, 5, 5)
    x = functional.hardswish(conv(state, "in_c", x, 2))
    for block, kernel in enumerate(kernels):
        before, name = x, f"layers.{block}"
        stride = 2 if block in HALVING else 1
        both = torch.cat([x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)], dim=2)
        both = functional.conv2d(both, state[f"{name}.context_gen.joint_conv.weight"])
        both = functional.hardswish(norm(state, f"{name}.context_gen.joint_norm", both))
        bands, moments = both.split([x.shape[2], x.shape[3]], dim=2)
        told = both.mean((2, 3))
        if stride > 1:
            bands = functional.avg_pool2d(bands, (3, 1), (2, 1), (1, 0))
            moments = functional.avg_pool2d(moments.transpose(2, 3), (1, 3), (1, 2), (0, 1)).transpose(2, 3)
        by_band, by_moment = (
            functional.conv2d(
                part, state[f"{name}.context_gen.{of}.weight"], state[f"{name}.context_gen.{of}.bias"]
            ).sigmoid()
            for part, of in ((bands, "conv_f"), (moments, "conv_t"))
        )
        if f"{name}.exp_conv.weight" in state:
            x = norm(state, f"{name}.exp_norm", mixed(state, f"{name}.exp_conv", x, told))
            x = torch.relu(x) if block < RELU else functional.hardswish(x)
        x = mixed(state, f"{name}.depth_conv", x, told, kernel, stride)
        x = norm(state, f"{name}.depth_norm", x)
        theta = 2 * dense(state, f"{name}.depth_act.coef_net.0", told).sigmoid() - 1
        theta = theta.view(len(x), -1, 1, 1, 4) * torch.tensor([1, 1, 0.5, 0.5]) + torch.tensor(
            [1.0, 0, 0, 0]
        )
        x = (x[..., None] * theta[..., :2] + theta[..., 2:]).max(dim=-1).values
        x = x * by_band * by_moment.transpose(2, 3)
        x = norm(state, f"{name}.proj_norm", mixed(state, f"{name}.proj_conv", x, told))
        x = x + before if x.shape == before.shape else x
    return functional.hardswish(conv(state, "out_c", x))


@pytest.mark.parametrize(("name", "steps"), [("mn04", of_mn), ("dymn10", of_dymn)])
def test_windows_are_heard_as_published(name, steps, tmp_path):
    torch.manual_seed(0)
    network = with_norms_drawn(KINDS[name](NARROW))
    built = efficientat.build([write(name, network, tmp_path)], FAMILIES[name])
    assert (built.sample_rate, built.window, built.hop) == (32_000, 10, 5)
    rng = np.random.default_rng(2)
    samples = torch.from_numpy((rng.normal(0, 1, (3, 64_000)) * [[0.1], [1e-3], [0.5]]).astype(np.float32))
    samples[1, 40_000:] = 0
    with torch.no_grad():
        np.testing.assert_allclose(network.seen(samples), seen(samples), atol=1e-3)
        due = unit(steps(network.state_dict(), seen(samples)[:, None]).mean((2, 3)))
        np.testing.assert_allclose(built.network(samples), due, atol=1e-4)


@pytest.mark.parametrize(
    ("scale", "millions", "dim"), [(0.4, 0.983, 384), (1.0, 4.88, 960), (2.0, 17.91, 1920)]
)
def test_the_published_networks_have_as_many_weights_as_is_said_of_them(scale, millions, dim):
    n_hidden = 8 * round(1280 * scale / 8)
    classes = (dim + 1) * n_hidden + (n_hidden + 1) * 527
    n = sum(weight.numel() for weight in efficientat.Mn(scale).parameters()) + classes
    assert n / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.fixture(scope="module")
def encoder(added, tmp_path_factory):
    """A network of two blocks, whose layers adapt to each window: to write all down takes torch its time."""
    few = tuple(efficientat._BLOCKS[block] for block in (0, 12))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(efficientat, "_BLOCKS", few)
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp("dymn10")
        write("dymn10", with_norms_drawn(efficientat.Dymn(NARROW)), folder)
        return added("dymn10", folder)


def test_vectors_do_not_depend_on_their_batch(encoder):
    check_batches(encoder)
    assert len(windows(encoder)[0]) == 320_000


def test_weights_of_another_network_are_refused(own_models, tmp_path):
    for name in KINDS:
        write(name, torch.nn.Linear(2, 2), tmp_path)
        with pytest.raises(WeightsError, match=f"the weights of {name} are not those of its network"):
            pretrained.add(name, tmp_path)
