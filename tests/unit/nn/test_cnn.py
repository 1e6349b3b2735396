import math

import pytest

torch = pytest.importorskip("torch", reason="the networks need torch: pip install 'echoic[torch]'")

from echoic.nn.cnn import CnnEmbedder  # noqa: E402 - only where torch is


def weights_by_rule(model):
    """Fill the state by a rule that depends on no random generator."""
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if not value.dtype.is_floating_point:
                continue
            wave = torch.sin(torch.arange(value.numel(), dtype=torch.float64) * 1.7 + len(name))
            wave = wave.reshape(value.shape)
            if value.dim() > 1:
                value.copy_(wave * math.sqrt(2 / value[0].numel()))
            else:
                value.copy_(wave.abs() + 0.5 if "var" in name else wave * 0.3 + ("weight" in name))
    return model.eval()


def test_gives_what_it_gave_when_the_bundled_encoder_was_trained_with_it():
    """Weights kept from then would give other vectors otherwise; names of weights count in the rule."""
    log_mel = 30 * torch.sin(torch.arange(2 * 120 * 40, dtype=torch.float64) * 0.37) - 25
    log_mel = log_mel.reshape(2, 120, 40).float()
    log_mel[1, 70:] = -100
    model = weights_by_rule(CnnEmbedder(n_mels=40, dim=8, stem=8, widths=(8, 16)))
    with torch.no_grad():
        vectors = model(log_mel)
    expected = [
        [-0.331098, 0.504885, -0.283614, -0.156152, 0.470765, -0.420790, 0.048947, 0.359951],
        [-0.370277, 0.489978, -0.225333, -0.212364, 0.480438, -0.376473, -0.014094, 0.392674],
    ]
    torch.testing.assert_close(vectors, torch.tensor(expected), atol=2e-5, rtol=0)


def test_names_of_weights_are_those_of_files_written_earlier():
    names = {name.rpartition(".")[0] for name in CnnEmbedder(widths=(64,)).state_dict()}
    block = "conv1 norm1 conv2 norm2 shortcut.1 shortcut.2".split()
    assert names == {
        "band_norm",
        "stem.0",
        "stem.1",
        *(f"blocks.0.{part}" for part in block),
        "pooled_norm",
        "project",
    }


def test_it_does_not_matter_how_many_zeros_follow_a_short_clip(spectrograms):
    """… once they reach beyond what the last active frame sees of them, 87 frames to either side."""
    torch.manual_seed(0)
    model = CnnEmbedder().eval()
    spectrograms[:, 50:] = -100
    with torch.no_grad():
        torch.testing.assert_close(model(spectrograms[:, :192]), model(spectrograms), atol=1e-5, rtol=0)
