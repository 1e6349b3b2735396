"""Files from a model hub: of one commit, checked, fetched once; a hub that is not there is one sentence."""

from __future__ import annotations

import hashlib
import socket
import time

import pytest

from echoic.encoders.sources import HubFile
from echoic.encoders.weights import fetched
from echoic.errors import WeightsError
from tests import hub as hubs

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SMALL, LARGE = b'{"layers": 2}', bytes(range(256)) * 64
CONFIG = HubFile("owner/net", COMMIT, "config.json")
WEIGHTS = HubFile("owner/net", COMMIT, "model.safetensors", hashlib.sha256(LARGE).hexdigest())


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ECHOIC_WEIGHTS", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hub(cache, monkeypatch):
    with hubs.serving(monkeypatch) as served:
        served.put("owner/net", COMMIT, {"config.json": SMALL, "model.safetensors": LARGE})
        yield served


def test_files_of_one_commit_lie_beside_each_other(hub):
    assert fetched(CONFIG, "net").read_bytes() == SMALL
    assert fetched(WEIGHTS, "net").read_bytes() == LARGE
    assert fetched(CONFIG, "net").parent == fetched(WEIGHTS, "net").parent


def test_a_file_is_fetched_once(hub):
    first = fetched(WEIGHTS, "net")
    asked = list(hub.asked)
    assert asked.count("GET model.safetensors") == 1
    assert fetched(WEIGHTS, "net") == first
    assert hub.asked == asked


@pytest.mark.parametrize("content", [SMALL, LARGE])
def test_another_file_than_was_pinned_is_refused_and_not_kept(hub, cache, content):
    hub.put("owner/net", COMMIT, {"model.safetensors": content[::-1]})
    with pytest.raises(WeightsError, match=r"owner/net@0123456789ab is not the file that was checked before"):
        fetched(WEIGHTS, "net")
    assert not list(cache.rglob("model.safetensors"))
    hub.put("owner/net", COMMIT, {"model.safetensors": LARGE})
    assert fetched(WEIGHTS, "net").read_bytes() == LARGE


def test_what_was_damaged_in_the_cache_is_refused_and_then_fetched_anew(hub):
    path = fetched(WEIGHTS, "net")
    path.resolve().write_bytes(b"cut short")
    with pytest.raises(WeightsError, match="nothing was kept"):
        fetched(WEIGHTS, "net")
    assert fetched(WEIGHTS, "net").read_bytes() == LARGE


def test_a_file_that_the_hub_lacks_is_one_sentence(hub):
    with pytest.raises(
        WeightsError, match=r"^other\.bin of owner/net@0123456789ab cannot be fetched"
    ) as caught:
        fetched(HubFile("owner/net", COMMIT, "other.bin"), "net")
    assert "\n" not in str(caught.value)


def test_a_hub_that_is_not_there_is_asked_once(cache, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    hubs.use(f"http://127.0.0.1:{port}", monkeypatch)
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    with pytest.raises(
        WeightsError, match=r"\(Connection refused\); .* folder: echoic models add net --from FOLDER$"
    ):
        fetched(WEIGHTS, "net")
    assert waits == []
