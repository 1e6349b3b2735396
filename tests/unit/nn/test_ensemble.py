import pytest

torch = pytest.importorskip("torch", reason="the networks need torch: pip install 'echoic[torch]'")

from echoic.errors import ModelError  # noqa: E402 - only where torch is
from echoic.nn.architectures import build  # noqa: E402
from echoic.nn.ensemble import Ensemble  # noqa: E402
from tests.unit.nn.networks import SMALL, SMALL_WINDOW, small, windows  # noqa: E402


def test_cosines_are_the_mean_of_the_members_cosines():
    members = [small("cnn"), small("hybrid"), small("mobile")]
    ensemble = Ensemble(members).eval()
    log_mel = windows(4, 121, 40)
    with torch.no_grad():
        vectors = ensemble(log_mel)
        cosines = [(own := member(log_mel)) @ own.T for member in members]
    assert vectors.shape == (4, ensemble.dim) == (4, 72)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))
    torch.testing.assert_close(vectors @ vectors.T, torch.stack(cosines).mean(0))


def test_says_what_it_looks_at():
    ensemble = Ensemble([small("cnn"), small("transformer")])
    assert (ensemble.n_frames, ensemble.n_mels) == (121, 40)


def test_members_look_at_the_same_window():
    other = build("cnn", **SMALL_WINDOW | {"n_mels": 32}, **SMALL["cnn"])
    with pytest.raises(ModelError, match="121 frames of 32 bands and 121 frames of 40 bands cannot be one"):
        Ensemble([small("cnn"), other])


def test_needs_a_member():
    with pytest.raises(ModelError, match="at least one"):
        Ensemble([])
