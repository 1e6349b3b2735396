import pytest

torch = pytest.importorskip("torch", reason="the networks need torch: pip install 'echoic[torch]'")

from echoic.nn.embedder import (  # noqa: E402 - only where torch is
    activity_of,
    mean_plus_max,
    relative_level,
    weighted_mean,
)


def test_the_noise_floor_of_silence_is_not_amplified_to_full_level():
    dither = torch.full((1, 247, 64), -88.0)
    assert relative_level(dither).max() < -10


def test_levels_are_relative_to_the_peak_and_bounded():
    log_mel = torch.full((1, 10, 4), -100.0)
    log_mel[0, 3, 2] = 20.0
    log_mel[0, 4, 2] = -20.0
    level = relative_level(log_mel)
    assert level[0, 3, 2] == 0
    assert level[0, 4, 2] == -40
    assert level.min() == -70


def test_frames_count_less_the_quieter_their_loudest_band_is():
    level = torch.full((1, 4, 3), -70.0)
    level[0, :, 1] = torch.tensor([0.0, -50.0, -57.5, -65.0])
    torch.testing.assert_close(activity_of(level), torch.tensor([[[1.0, 1.0, 0.5, 0.0]]]))


def test_the_loudest_frame_of_silence_is_active():
    assert activity_of(relative_level(torch.full((1, 5, 3), -100.0))).min() == 1


def test_pooling_leaves_out_what_has_no_weight():
    x = torch.tensor([[[1.0, 3.0, 99.0], [0.0, 0.0, 99.0]]])
    weights = torch.tensor([[[1.0, 0.5, 0.0]]])
    torch.testing.assert_close(weighted_mean(x, weights), torch.tensor([[2.5 / 1.5, 0.0]]))
    torch.testing.assert_close(mean_plus_max(x, weights), torch.tensor([[2.5 / 1.5 + 1.5, 0.0]]))
