"""Tiny checkpoints of random weights, as transformers itself writes them, and models made of them."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="turning weights into a model needs the extra [train]")
pytest.importorskip("onnxscript", reason="turning weights into a model needs the extra [train]")
transformers = pytest.importorskip("transformers", reason="the reference is transformers'")

from echoic import pretrained  # noqa: E402
from echoic.encoders.registry import load_encoder  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Keep torch to one thread: more are slower where the cores are not idle."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def own_models(tmp_path_factory):
    """A folder for models of the module's own."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECHOIC_MODELS", str(folder))
        yield folder


@pytest.fixture(scope="module")
def added(own_models):
    """Add a network by the weights in a folder, and load it as a search would."""

    def add(name, checkpoint):
        pretrained.add(name, checkpoint)
        return load_encoder(name)

    return add


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Write a network of random weights, and whatever belongs to it, into a folder.

    ``pickled`` writes the weights as torch did before there were safetensors, by the names of then.
    """

    def save(kind, config, *beside, pickled=False):
        torch.manual_seed(0)
        network = kind(config).eval()
        folder = tmp_path_factory.mktemp("checkpoint")
        for part in (network, *beside):
            part.save_pretrained(folder)
        if pickled:
            (folder / "model.safetensors").unlink()
            names = {
                "parametrizations.weight.original0": "weight_g",
                "parametrizations.weight.original1": "weight_v",
            }
            state = network.state_dict()
            for new, old in names.items():
                state = {name.replace(new, old): value for name, value in state.items()}
            torch.save(state, folder / "pytorch_model.bin")
        return network, folder

    return save


def windows(encoder, n=5):
    """Draw windows of noise: loud, quiet, with an offset."""
    rng = np.random.default_rng(7)
    level = np.array([0.1, 1e-3, 0.3, 0.02, 0.5])[:n, None]
    offset = np.array([0, 0, 0.1, 0, 0])[:n, None]
    drawn = level * rng.normal(0, 1, (n, encoder.spec.window_samples)) + offset
    return np.clip(drawn, -1, 1).astype(np.float32)


def with_norms_drawn(network, seed=0):
    """Draw the means and variances of a network's norms, which would do nothing otherwise."""
    torch.manual_seed(seed)
    for norm in (part for part in network.modules() if isinstance(part, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_(0, 0.5)
        norm.running_var.uniform_(0.5, 2)
    return network.eval()


def unit(vectors):
    vectors = np.asarray(vectors)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def check_batches(encoder):
    """Windows have the same vectors alone, in pairs and all together, now and again; silence has one, too."""
    heard = windows(encoder)
    together = encoder.encode(heard)
    np.testing.assert_array_equal(encoder.encode(heard), together)
    alone = np.concatenate([encoder.encode(window[None]) for window in heard])
    np.testing.assert_allclose(alone, together, atol=2e-6)
    np.testing.assert_allclose(encoder.encode(heard[:2]), together[:2], atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert np.isfinite(encoder.encode(np.zeros_like(heard[:2]))).all()
