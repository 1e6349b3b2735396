"""What holds for every architecture."""

import pytest

torch = pytest.importorskip("torch", reason="the networks need torch: pip install 'echoic[torch]'")

from echoic.errors import ModelError  # noqa: E402 - only where torch is
from echoic.nn.architectures import ARCHITECTURES, build  # noqa: E402
from tests.unit.nn.networks import SMALL, SMALL_WINDOW, settled, small, windows  # noqa: E402

# On which silence has no influence at all, however little of it there is.
EXACT = ("mobile", "transformer", "hybrid")


@pytest.fixture(scope="module", params=ARCHITECTURES)
def model(request):
    torch.manual_seed(0)
    return settled(build(request.param))


@pytest.fixture(scope="module", params=EXACT)
def exact(request):
    torch.manual_seed(0)
    return settled(build(request.param))


def embed(model, log_mel):
    with torch.no_grad():
        return model(log_mel)


def assert_equal(actual, expected):
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=0)


def test_vectors_have_the_length_asked_for_and_norm_one(model, spectrograms):
    vectors = embed(model, spectrograms)
    assert vectors.shape == (8, 192)
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(8))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_other_numbers_of_bands_and_frames_work(architecture):
    vectors = embed(small(architecture), torch.zeros(3, SMALL_WINDOW["n_frames"], SMALL_WINDOW["n_mels"]))
    assert vectors.shape == (3, SMALL_WINDOW["dim"])


def test_has_about_a_million_parameters(model):
    assert 0.8e6 <= sum(weight.numel() for weight in model.parameters()) <= 2e6


def test_a_window_is_embedded_alone_as_in_a_batch(model, spectrograms):
    together = embed(model, spectrograms)
    alone = torch.cat([embed(model, row[None]) for row in spectrograms])
    assert_equal(alone, together)


@pytest.mark.parametrize("gain_db", [-30.0, -6.0, 12.0])
def test_gain_does_not_matter(model, spectrograms, gain_db):
    spectrograms[:, 100:] = -100  # as behind a short clip, where gain changes nothing
    louder = spectrograms + gain_db
    louder[:, 100:] = -100
    assert_equal(embed(model, louder), embed(model, spectrograms))


def test_different_sounds_are_told_apart(model, spectrograms):
    cosines = (vectors := embed(model, spectrograms)) @ vectors.T
    assert cosines[~torch.eye(8, dtype=torch.bool)].max() < 0.99


def test_time_matters(model, spectrograms):
    spectrograms[:, 120:, 32:] -= 30
    cosines = (embed(model, spectrograms) * embed(model, spectrograms.flip(1))).sum(1)
    assert cosines.max() < 0.99


def test_silence_gives_a_unit_vector(model):
    vectors = embed(model, torch.full((2, 247, 64), -100.0))
    assert torch.isfinite(vectors).all()
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))


def test_silence_in_a_batch_leaves_no_gradient_that_is_not_finite(model, spectrograms):
    spectrograms[0] = -100
    spectrograms[1, 3:] = -100
    model.train()
    try:
        model(spectrograms)[:, 0].sum().backward()
        learning = [weight for weight in model.parameters() if weight.requires_grad]
        assert all(torch.isfinite(weight.grad).all() for weight in learning)
    finally:
        model.zero_grad()
        settled(model)


def test_zeros_far_behind_a_short_clip_do_not_matter(model, spectrograms):
    """… to any network: 50 frames are a second, the rest is silence."""
    spectrograms[:, 50:] = -100
    assert_equal(embed(model, spectrograms[:, :224]), embed(model, spectrograms))


@pytest.mark.parametrize("n_frames", [50, 51, 57, 64, 130, 246])
def test_no_number_of_zeros_behind_a_clip_matters(exact, spectrograms, n_frames):
    spectrograms[:, 50:] = -100
    assert_equal(embed(exact, spectrograms[:, :n_frames]), embed(exact, spectrograms))


def test_no_number_of_zeros_behind_a_single_frame_matters(exact, spectrograms):
    spectrograms[:, 1:] = -100
    assert_equal(embed(exact, spectrograms[:, :1]), embed(exact, spectrograms))


def test_what_fades_out_loses_its_weight_smoothly(exact, spectrograms):
    """Just above silence a sound matters next to nothing, so that nothing hangs on a threshold."""
    spectrograms[:, 50:] = -100
    peak = spectrograms.amax(dim=(1, 2))

    def change(level):
        faint = spectrograms.clone()
        faint[:, 160:200] = (peak + level)[:, None, None]
        return (embed(exact, faint) - embed(exact, spectrograms)).abs().max()

    assert change(-55) > 0.01
    assert change(-64.99) < change(-55) / 100


def test_more_frames_than_the_window_has_are_refused(model):
    with pytest.raises(ValueError, match="windows of 248 frames are longer than the 247 this network takes"):
        model(torch.zeros(2, 248, 64))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("n_frames", [121, 60])
def test_a_training_step_moves_every_weight(architecture, n_frames):
    torch.manual_seed(0)
    model = build(architecture, **SMALL_WINDOW, **SMALL[architecture], dropout=0.0).train()
    if architecture == "grown":  # begins as the CNN: nothing is added, so that nothing moves what would be
        torch.nn.init.normal_(model.add.weight)
        model.requires_grad_()  # the convolutions of it, which stand still, too
    log_mel = windows(8, n_frames, 40)
    model(log_mel)[:, 0].sum().backward()
    still = [name for name, weight in model.named_parameters() if not weight.grad.abs().max() > 1e-9]
    assert still == []


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_can_learn(architecture):
    """Eight windows are pulled apart to the eight unit vectors: the loss falls to a tenth."""
    torch.manual_seed(0)
    model = build(architecture, **SMALL_WINDOW, **SMALL[architecture], dropout=0.0).train()
    log_mel = windows(8, 121, 40)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = (model(log_mel)[:, :8] - torch.eye(8)).square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10


def test_an_unknown_architecture_is_named():
    with pytest.raises(
        ModelError, match="no architecture 'rnn'; there are cnn, mobile, transformer, hybrid, grown"
    ):
        build("rnn")


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("cnn", {"depth": 3}),
        ("mobile", {"widths": (8, 16), "depths": (1,)}),
        ("transformer", {"n_mels": 60}),
        ("hybrid", {"width": 100, "n_heads": 3}),
    ],
)
def test_settings_that_do_not_fit_are_refused(architecture, config):
    with pytest.raises(ModelError, match=f"architecture {architecture} cannot be made with"):
        build(architecture, **config)
