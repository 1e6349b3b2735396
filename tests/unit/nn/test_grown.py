"""A CNN grown by a transformer."""

import pytest

torch = pytest.importorskip("torch", reason="the networks need torch: pip install 'echoic[torch]'")

from echoic.nn.cnn import CnnEmbedder  # noqa: E402 - only where torch is
from echoic.nn.embedder import relative_level  # noqa: E402
from echoic.nn.grown import GrownEmbedder  # noqa: E402
from tests.unit.nn.networks import SMALL_WINDOW, settled, small, windows  # noqa: E402

CNN = {"stem": 8, "widths": (8, 16)}


def test_it_begins_as_the_cnn_that_it_grows_from():
    torch.manual_seed(0)
    cnn = settled(CnnEmbedder(**SMALL_WINDOW, **CNN))
    grown = GrownEmbedder(**SMALL_WINDOW, **CNN, width=32)
    grown.load_state_dict(grown.state_dict() | cnn.state_dict())
    log_mel = windows(4, SMALL_WINDOW["n_frames"], SMALL_WINDOW["n_mels"])
    with torch.no_grad():
        torch.testing.assert_close(grown.eval()(log_mel), cnn(log_mel), atol=1e-6, rtol=0)


def test_what_it_adds_depends_on_the_order():
    grown = small("grown")
    level = relative_level(windows(4, 112, SMALL_WINDOW["n_mels"]))
    swapped = torch.cat([level[:, 56:], level[:, :56]], dim=1)
    n_pooled = grown.pooled_norm.num_features
    with torch.no_grad():
        one, two = (
            grown.add(grown.pooled_features(part, torch.ones(4, 1, 112))[:, n_pooled:])
            for part in (level, swapped)
        )
    assert ((one - two).norm(dim=1) > 0.01 * one.norm(dim=1)).all()


def test_its_convolutions_stand_still_while_it_is_trained():
    grown = small("grown").train()
    before = {name: value.clone() for name, value in grown.state_dict().items()}
    optimizer = torch.optim.SGD([weight for weight in grown.parameters() if weight.requires_grad], lr=0.1)
    grown(windows(8, 112, SMALL_WINDOW["n_mels"]))[:, 0].sum().backward()
    optimizer.step()
    moved = {
        name.partition(".")[0]
        for name, value in grown.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert moved.isdisjoint({"band_norm", "stem", "blocks"})
    assert {"transformer", "enter", "pool", "add", "project", "sequence_norm", "pooled_norm"} <= moved
