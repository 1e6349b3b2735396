"""Paths of what lies in buckets, and what is found there."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic import buckets
from echoic.addresses import bucket_of, held, in_bucket, path_of, place, told, uri_of
from echoic.errors import quoted, shell_word
from echoic.scanning import Found, scan

fsspec = pytest.importorskip("fsspec", reason="pip install 'echoic[cloud]'")

KEYS = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8
).filter(lambda part: part not in (".", ".."))
PLACES = st.lists(KEYS, min_size=1, max_size=4).map("/".join)


@given(st.sampled_from(["s3", "gs", "az"]), PLACES)
def test_an_address_comes_back_from_what_it_is_held_as(scheme, names):
    address = f"{scheme}://sounds/{names}"
    path = place(address)
    assert os.path.abspath(path) == str(path) == held(address)
    assert told(str(path)) == address
    assert not address.isprintable() or quoted(path) == address
    assert path_of(uri_of(address)) == path_of(uri_of(str(path))) == held(address)
    assert place(str(Path(address))) == path  # which has one slash where the address has two
    assert bucket_of(str(path)) == f"{scheme}://sounds"


def test_other_paths_and_addresses_are_left_alone():
    for path in (
        "/s3/a.wav",
        "sounds/s3:/a.wav",
        "s3:",
        "https://example.org/a.wav",
        "ftp://a/b",
        "/a//b",
        "",
    ):
        assert held(path) == told(path) == path
        assert not in_bucket(path)
    assert shell_word("/s3:/my sounds/a.wav") == "'s3://my sounds/a.wav'"


NAMES = st.sampled_from(["a", "b.wav", "c.FLAC", ".d.mp3", "e.txt", ".git", "f g.ogg", "h"])


@settings(max_examples=25)
@given(st.sets(st.lists(NAMES, min_size=1, max_size=3).map(tuple), max_size=8), st.data())
def test_a_bucket_is_listed_as_a_folder_is(files, data):
    files = {one for one in files if not any(one != other and other[: len(one)] == one for other in files)}
    named = data.draw(st.lists(st.sampled_from(sorted(files)).map("/".join), max_size=2)) if files else []
    memory = fsspec.filesystem("memory")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(buckets, "_filesystem", lambda scheme: memory)
        patch.setattr(buckets, "_key", lambda path: "/" + path.split(":/", 1)[1])
        patch.setattr(buckets, "_chosen", {"s3://sounds"})
        memory.store.clear()
        memory.makedirs("/sounds", exist_ok=True)
        for parts in files:
            (Path(folder) / Path(*parts)).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / Path(*parts)).write_bytes(b"1234")
            memory.pipe_file("/sounds/" + "/".join(parts), b"1234")
        found, passed_over = [], []
        for root in (Path(folder), place("s3://sounds")):
            counts: Counter[str] = Counter()
            items = list(scan([root, *(root / name for name in named)], passed_over=counts))
            assert all(isinstance(one, Found) and one.size == 4 for one in items)
            found.append(sorted(os.path.relpath(one.path, root) for one in items))
            passed_over.append(counts)
        assert found[0] == found[1]
        assert passed_over[0] == passed_over[1]


def test_a_time_stamp_is_a_time_and_changes_with_the_content():
    when = datetime(2024, 5, 1, 12, 30, 1, 250_000, tzinfo=UTC)
    info = {"type": "file", "size": 3, "LastModified": when, "ETag": '"one"'}
    [first, other, later, bare] = [
        buckets._entry("/s3:/b/a", info | more).mtime_ns
        for more in ({}, {"ETag": "two"}, {"LastModified": when + timedelta(seconds=1)}, {"ETag": "one"})
    ]
    assert first // 10**9 == int(when.timestamp())
    assert first == bare  # listed and looked at, some clouds quote it once
    assert len({first, other, later}) == 3


def test_what_changes_while_it_is_read_is_told(monkeypatch):
    memory = fsspec.filesystem("memory")
    monkeypatch.setattr(buckets, "_filesystem", lambda scheme: memory)
    monkeypatch.setattr(buckets, "_key", lambda path: "/" + path.split(":/", 1)[1])
    monkeypatch.setattr(buckets, "_chosen", {"s3://changing"})
    memory.pipe_file("/changing/a.wav", bytes(range(100)))
    file = buckets.BucketFile("/s3:/changing/a.wav")
    file.seek(90)
    memory.pipe_file("/changing/a.wav", b"short")
    with pytest.raises(OSError, match="it has changed while it was read"):
        file.read(20)
    memory.rm_file("/changing/a.wav")
    with pytest.raises(FileNotFoundError):
        buckets.stamp_of("s3://changing/a.wav")
