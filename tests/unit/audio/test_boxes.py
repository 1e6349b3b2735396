"""How files begin, and what their boxes state: never an error, whatever the bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.audio.boxes import HEAD, boxed, find_begins, is_begin

EBML = b"\x1a\x45\xdf\xa3"
W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0"
ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c"
# How a file of each kind begins, and how long its first box is.
HEADS = {
    "wav": (b"RIFF\x24\x08\0\0WAVEfmt ", 0x82C),
    "rf64": (b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0" + (5 << 32).to_bytes(8, "little"), 8 + (5 << 32)),
    "aiff": (b"FORM\0\0\x01\0AIFFCOMM", 0x108),
    "w64": (W64 + (101).to_bytes(8, "little"), 104),
    "mp4": (b"\0\0\0\x20ftypM4A \0\0\0\0", 32),
    "long mp4": (b"\0\0\0\x01mdat" + (7 << 32).to_bytes(8, "big"), 7 << 32),
    "matroska": (EBML + b"\x9f\x42\x86\x81\x01", 36),
    "caf": (b"caff\0\x01\0\0desc", 8),
    "flv": (b"FLV\x01\x04\0\0\0\x09", 13),
    "asf": (ASF + (300).to_bytes(8, "little"), 300),
    "au": (b".snd\0\0\0\x18\0\0\x01\0\0\0\0\x03", 0x118),
    "voc": (b"Creative Voice File\x1a\x1a\0", 26),
    "wavpack": (b"wvpk\x40\0\0\0\x10\4\0\0" + bytes(8) + b"\0\x10\0\0\x21\x18\0\0", 72),
}


def padded(head: bytes) -> bytes:
    return head.ljust(HEAD, b"\0")


@pytest.mark.parametrize("name", HEADS)
def test_the_length_of_a_box_is_what_its_head_states(name: str) -> None:
    head, size = HEADS[name]
    kind = boxed(padded(head if name != "long mp4" else HEADS["mp4"][0]))
    assert kind is not None
    assert kind.size(lambda n: padded(head)[:n]) == size
    if name != "long mp4":
        assert is_begin(padded(head))
        assert list(find_begins(b"\xff\xfb\x90" * 100 + padded(head))) == [300]


def test_an_element_without_a_length_is_gone_into() -> None:
    kind = boxed(padded(HEADS["matroska"][0]))
    assert kind is not None
    segment, cluster = b"\x18\x53\x80\x67\x01" + b"\xff" * 7, b"\x1f\x43\xb6\x75\xff"
    assert kind.size(lambda n: segment[:n]) == 12
    assert kind.size(lambda n: cluster[:n]) == 5
    assert kind.size(lambda n: b"\xa3\x85"[:n]) == 7
    for cut_off in (b"", b"\xa3", b"\x80\x01"):
        assert kind.size(lambda n, data=cut_off: data[:n]) == 0


@given(name=st.sampled_from(sorted(HEADS)), data=st.binary(max_size=80))
def test_whatever_follows_is_a_box_or_none(name: str, data: bytes) -> None:
    kind = boxed(padded(HEADS[name][0]))
    if kind is not None:
        assert kind.size(lambda n: data[:n]) >= 0
        assert kind.size(lambda n: (HEADS[name][0] + data)[:n]) > 0
