"""``panns`` hears what librosa's front end gives, and reads its publisher's checkpoints."""

from __future__ import annotations

import numpy as np
import pytest

from echoic import pretrained
from echoic.errors import WeightsError
from echoic.pretrained.panns import Cnn14
from tests.unit.pretrained.conftest import check_batches, torch, unit, windows

librosa = pytest.importorskip("librosa", reason="the reference is librosa's")
WIDTHS = (4, 4, 8, 8, 16, 16)


@pytest.fixture(scope="module")
def network():
    """A narrow network, the means and variances of whose norms are drawn, too."""
    torch.manual_seed(0)
    narrow = Cnn14(WIDTHS).eval()
    for norm in (part for part in narrow.modules() if isinstance(part, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_(0, 0.5)
        norm.running_var.uniform_(0.5, 2)
    return narrow


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    """Written as its publisher does: with its front end and its classes."""
    folder = tmp_path_factory.mktemp("panns")
    others = {
        "spectrogram_extractor.stft.conv_real.weight": torch.zeros(2, 1, 4),
        "logmel_extractor.melW": torch.zeros(2, 2),
        "fc_audioset.weight": torch.zeros(5, 16),
        "fc_audioset.bias": torch.zeros(5),
    }
    state = network.state_dict() | others
    torch.save({"iteration": 1, "model": state}, folder / "Cnn14_mAP=0.431.pth")
    return folder


@pytest.fixture(scope="module")
def encoder(added, checkpoint):
    return added("panns", checkpoint)


def expected(network, window):
    """The network's vector, step by step, of librosa's spectrogram."""
    mel = librosa.feature.melspectrogram(
        y=window, sr=32_000, n_fft=1024, hop_length=320, n_mels=64, fmin=50, fmax=14_000, pad_mode="reflect"
    )
    x = torch.from_numpy(librosa.power_to_db(mel, amin=1e-10, top_db=None).T[None, None])
    with torch.no_grad():
        x = network.bn0(x.transpose(1, 3)).transpose(1, 3)
        for number in range(1, 7):
            block = getattr(network, f"conv_block{number}")
            for conv, norm in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
                x = torch.relu(norm(conv(x)))
            x = torch.nn.functional.avg_pool2d(x, (1, 1) if number == 6 else (2, 2))
        x = x.mean(dim=3)
        return unit(torch.relu(network.fc1(x.max(dim=2).values + x.mean(dim=2))))[0]


def test_windows_are_heard_as_by_librosa(encoder, network):
    assert encoder.spec.window == 10
    heard = windows(encoder, 2)
    heard[1, 50_000:] = 0
    due = np.stack([expected(network, window) for window in heard])
    np.testing.assert_allclose(encoder.encode(heard), due, atol=1e-4)


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
