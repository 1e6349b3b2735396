"""How far a walk over files has come is said after each of them."""

from __future__ import annotations

from dataclasses import replace

from echoic.progress import reported
from echoic.types import FileRecord, Progress


def test_each_file_is_counted_once_it_has_been_dealt_with() -> None:
    one = FileRecord(1, "/a", 10, 0, "", 2.0, 8_000, 1, "flac", "indexed", "")
    records = [one, replace(one, id=2, path="/b", size=5, duration=0.5)]
    said: list[Progress] = []
    for number, record in enumerate(reported(records, said.append)):
        assert record is records[number]
        assert len(said) == number
    assert [(p.path, p.done, p.done_bytes, p.audio) for p in said] == [("/a", 1, 10, 2.0), ("/b", 2, 15, 2.5)]
    assert {(p.total, p.total_bytes) for p in said} == {(2, 15)}
    assert list(reported(records, None)) == records
    assert list(reported([], said.append)) == []
