"""How the Milvus store fails: what users see when the server, the token or a package is not there."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from echoic.errors import MissingDependencyError, StoreError, UsageError
from echoic.storage.vectors.milvus import MilvusStore
from echoic.types import Segments
from tests.milvus_server import refusing

EYE = Segments(np.arange(8.0), np.arange(8.0) + 1, np.eye(8, dtype=np.float32))

TOKEN = "root:7d1f-do-not-show"


@pytest.fixture
def refusing_server() -> Iterator[tuple[str, list[str]]]:
    """A server that takes no token, and all tokens that it was sent."""
    with refusing() as server:
        yield server


def test_a_refused_token_is_told_and_not_shown(refusing_server: tuple[str, list[str]]) -> None:
    uri, seen = refusing_server
    began = time.monotonic()
    token = str(TOKEN)
    with pytest.raises(StoreError) as caught:
        MilvusStore(uri, "a@1", 8, token)
    assert time.monotonic() - began < 10
    assert seen[0] == token  # it did arrive
    assert uri in str(caught.value)
    assert "ECHOIC_MILVUS_TOKEN" in str(caught.value)
    assert_hidden(caught.value, token)


def test_an_unreachable_server_is_told_within_seconds() -> None:
    pytest.importorskip("pymilvus", reason="pip install 'echoic[milvus]'")
    password = "-".join(["of", "theirs"])  # joined: a traceback also shows the lines of this test
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"http://127\.0\.0\.1:1 cannot be reached") as caught:
        MilvusStore(f"http://someone:{password}@127.0.0.1:1", "a@1", 8, TOKEN)
    assert time.monotonic() - began < 20
    assert "\n" not in str(caught.value)
    assert_hidden(caught.value, TOKEN)
    assert_hidden(caught.value, password)


def assert_hidden(error: BaseException, secret: str) -> None:
    import traceback

    shown = "".join(traceback.format_exception(error))
    for part in (secret, secret.rpartition(":")[2]):
        assert part not in shown


def test_an_address_of_no_kind_is_refused() -> None:
    pytest.importorskip("pymilvus", reason="pip install 'echoic[milvus]'")
    with pytest.raises(UsageError, match="is no Milvus address"):
        MilvusStore("localhost:19530", "a@1", 8)


def test_a_missing_package_is_told_with_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'echoic\[milvus\]'"):
        MilvusStore(str(tmp_path / "x.db"), "a@1", 8)


def test_a_lite_file_in_use_elsewhere_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("milvus_lite", reason="pip install 'echoic[milvus]'")
    uri = str(tmp_path / "x.db")
    script = (
        "from echoic.storage.vectors.milvus import MilvusStore\n"
        f"store = MilvusStore({uri!r}, 'a@1', 8)\n"
        "print('open', flush=True); input(); store.close(); print('closed', flush=True); input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match="another process may be using it"):
            MilvusStore(uri, "a@1", 8)
        assert caplog.records == []  # no traceback on the user's screen beside the sentence
        print(file=other.stdin, flush=True)
        assert other.stdout.readline() == "closed\n"
        MilvusStore(uri, "a@1", 8).close()  # closing freed the file while the other process still runs
        other.kill()


def test_a_closed_store_says_so_and_closes_twice(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite", reason="pip install 'echoic[milvus]'")
    store = MilvusStore(str(tmp_path / "x.db"), "a@1", 8)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="was closed"):
        store.replace(1, EYE)


def test_an_id_beyond_the_key_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite", reason="pip install 'echoic[milvus]'")
    store = MilvusStore(str(tmp_path / "x.db"), "a@1", 8)
    largest = (1 << 39) - 1
    store.replace(largest, EYE)
    assert store.search(EYE.vectors[5:6], 1).file_ids.item() == largest
    for file_id in (-1, largest + 1):
        with pytest.raises(StoreError, match="beyond"):
            store.replace(file_id, EYE)
    store.close()
