"""Every test here needs torch."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="the networks need torch: pip install 'echoic[torch]'")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Keep torch to one thread: more are slower where the cores are not idle."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def spectrograms():
    """Eight windows of levels as music and speech have them, in dB."""
    from tests.unit.nn.networks import windows

    return windows(8)
