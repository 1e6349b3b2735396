"""Indexing over HTTP: progress as events, and its end."""

from __future__ import annotations

import contextlib
import http.client
import json
from pathlib import Path

import numpy as np
import pytest

from echoic import Library
from tests.integration.server.conftest import RATE, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("indexed") / "sounds"


@pytest.fixture(scope="module")
def indexed(serve, folder):
    """A service that may index a folder, in which one sound lies at first."""
    write(folder / "0.wav", np.random.default_rng(0).normal(0, 0.1, RATE))
    library = folder.parent / "library"
    with Library(library) as opened:
        opened.index([folder], encoders=["spectral"], jobs=1)
    with serve(library=library, folders=(folder,), heartbeat=0.05) as served:
        yield served


class Events:
    """A stream of events, read one by one."""

    def __init__(self, served, last=None):
        self._connection = http.client.HTTPConnection(served.place, timeout=30)
        headers = {} if last is None else {"Last-Event-ID": last}
        self._connection.request("GET", "/v1/index/events", headers=headers)
        self._response = self._connection.getresponse()
        assert self._response.headers["Content-Type"].startswith("text/event-stream")
        assert self._response.headers["X-Accel-Buffering"] == "no"

    def close(self):
        self._response.close()
        self._connection.close()

    def block(self):
        """Return the fields of the next block, a comment's under an empty name; none at the end."""
        lines = []
        while line := self._response.readline().decode().rstrip("\n"):
            lines.append(line)
        return dict(line.split(": ", 1) if ": " in line else (line, "") for line in lines)

    def next(self):
        """Return the id and the state of the next event."""
        while "data" not in (block := self.block()):
            assert block
        return block["id"], json.loads(block["data"])


def until_rest(served):
    with contextlib.closing(Events(served)) as events:
        seen = [events.next()]
        while seen[-1][1]["state"] in ("running", "idle"):
            seen.append(events.next())
    return seen


def test_a_new_sound_is_searchable_once_its_run_is_finished(indexed, folder):
    write(folder / "1.wav", np.random.default_rng(1).normal(0, 0.1, RATE))
    begun = indexed("/v1/index", method="POST")
    assert begun.status == 202
    assert begun.json["state"] == "running"
    number, state = until_rest(indexed)[-1]
    assert state["state"] == "finished"
    assert (state["report"]["added"], state["report"]["unchanged"]) == (1, 1)
    assert state == indexed("/v1/index").json
    hits = indexed("/v1/search", {"file": (folder / "0.wav").as_uri()}).json["hits"]
    assert [hit["path"] for hit in hits] == [str(folder / "1.wav")]
    # Who comes back with the last event hears nothing but signs of life until there is another.
    with contextlib.closing(Events(indexed, number)) as events:
        assert "retry" in events.block()
        assert events.block() == {"": "still here"}
        indexed("/v1/index", {"folder": folder.as_uri()}, method="POST")
        _, later = events.next()
        assert later["job"] == state["job"] + 1
    until_rest(indexed)
    with contextlib.closing(Events(indexed, "of another service")) as events:
        assert events.next()[1]["state"] == "finished"


def test_a_run_can_be_cancelled_and_what_was_done_is_kept(indexed, folder, monkeypatch):
    rng = np.random.default_rng(2)
    for seed in range(10, 14):
        write(folder / f"{seed}.wav", rng.normal(0, 0.1, RATE))
    indexing = indexed.server.config.app.state.indexing
    n_told = 0

    def index(paths, *, max_files, progress):
        def told(now):
            nonlocal n_told
            n_told += 1
            if n_told == 2:
                assert indexed("/v1/index", method="POST").status == 409
                assert indexed("/v1/index", method="DELETE").status == 202
            progress(now)

        return Library.index(indexing._library, paths, progress=told, jobs=1)

    monkeypatch.setattr(indexing, "_library", indexing._library)
    monkeypatch.setattr(indexing._library, "index", index, raising=False)
    indexed("/v1/index", method="POST")
    assert until_rest(indexed)[-1][1]["state"] == "cancelled"
    assert n_told == 2
    monkeypatch.undo()
    indexed("/v1/index", method="POST")
    report = until_rest(indexed)[-1][1]["report"]
    assert report["added"] == 2
    assert report["unchanged"] >= 3


def test_only_what_the_operator_allows_is_indexed(indexed, folder, ask):
    outside = folder.parent / "outside"
    outside.mkdir(exist_ok=True)
    link = folder / "link"
    link.symlink_to(outside)
    for uri in (outside.as_uri(), link.as_uri(), f"{folder.as_uri()}/../outside", "file:///etc"):
        answer = indexed("/v1/index", {"folder": uri}, method="POST")
        assert answer.status == 403, uri
    for uri in (f"s3://sounds/../..{folder}", f"file:///s3:/sounds/../..{folder}", "s3://sounds/a"):
        assert indexed("/v1/index", {"folder": uri}, method="POST").status == 403, uri
    for mistyped in ("/etc", "http://example.org/", "file://host/etc"):
        assert indexed("/v1/index", {"folder": mistyped}, method="POST").status == 422
    link.unlink()
    refused = ask("/v1/index", method="POST")
    assert refused.status == 403
    assert "--folder" in refused.json["detail"]


def test_why_a_run_failed_is_told(indexed, folder):
    catalog = indexed.service.library._open()[0]
    with catalog.writing():
        indexed("/v1/index", method="POST")
        state = until_rest(indexed)[-1][1]
    assert state["state"] == "failed"
    assert "writ" in state["message"]


def test_the_service_ends_while_somebody_follows(serve):
    with serve() as served:
        events = Events(served)
        assert events.next()[1]["state"] == "idle"
    assert events._response.read() == b""
    events.close()
    assert not Path(served.service.uploads.folder).exists()


def test_a_service_takes_no_more_files_than_its_operator_allows(serve, tmp_path):
    for seed in range(2):
        write(tmp_path / "sounds" / f"{seed}.wav", np.random.default_rng(seed).normal(0, 0.1, RATE))
    with Library(tmp_path / "library") as opened:
        opened.index([tmp_path / "sounds" / "0.wav"], encoders=["spectral"], jobs=1)
    with serve(library=tmp_path / "library", folders=(tmp_path / "sounds",), max_files=1) as served:
        served("/v1/index", method="POST")
        [*_, (_, state)] = until_rest(served)
        assert (state["report"]["added"], state["report"]["unchanged"]) == (0, 1)
        assert "the library may hold 1 file," in state["report"]["failed"][0]["message"]
