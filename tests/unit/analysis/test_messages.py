"""What workers send is data: whole, or refused."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic import errors
from echoic.analysis import messages
from echoic.analysis.messages import Analysis, Task
from echoic.types import AudioInfo, Note, Segments

INFO = AudioInfo(
    2.5,
    44_100,
    2,
    "flac",
    "cut off",
    {"title": "Café", "odd": "\udce9"},
    (Note("phase", "so"), Note("tracks", "each", "all")),
)
KEYS = ["a@1", "b@2"]


def analysis():
    rng = np.random.default_rng(0)
    segments = {
        key: Segments(np.arange(n) * 0.5, np.arange(n) * 0.5 + 1, rng.normal(size=(n, 4)).astype(np.float32))
        for key, n in zip(KEYS, (3, 0), strict=True)
    }
    return Analysis(INFO, "0" * 64, segments)


def sent(header, arrays=()):
    pipe = io.BytesIO()
    messages.write(pipe, header, arrays)
    return pipe.getvalue()


def received(data, most=1 << 20):
    return messages.read(io.BytesIO(data), most)


def test_an_analysis_arrives_as_it_was():
    found = messages.as_analysis(*received(sent(*messages.told(analysis()))), KEYS)
    assert (found.info, found.digest, list(found.segments)) == (INFO, "0" * 64, KEYS)
    for key, segments in analysis().segments.items():
        for name in ("starts", "ends", "vectors"):
            got, due = getattr(found.segments[key], name), getattr(segments, name)
            assert got.dtype == due.dtype
            np.testing.assert_array_equal(got, due)


def test_a_task_arrives_as_it_was():
    task = Task(Path(os.fsdecode(b"/a/caf\xe9\n.wav")), (("./my model.onnx", "mine@1"), ("sound", "sound@2")))
    assert messages.as_task(received(sent(*messages.told(task)))[0]) == task


KINDS = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_arrives_as_it_was(kind):
    needs_package = kind is errors.MissingDependencyError
    error = kind("Milvus", "milvus", "a server") if needs_package else kind("a sentence")
    found = messages.as_error(received(sent(*messages.told(error)))[0])
    assert type(found) is kind
    assert (found.args, str(found)) == (error.args, str(error))


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"error": "SystemExit", "said": ["x"]},
        {"error": "quoted", "said": ["x"]},
        {"error": "AudioError"},
        {"error": "AudioError", "said": "x"},
        {"error": "AudioError", "said": [7]},
        {"error": "AudioError", "said": ["x", "y"]},
        {"error": "MissingDependencyError", "said": ["x"]},
    ],
)
def test_an_error_that_there_is_not(header):
    with pytest.raises(ValueError, match="no error"):
        messages.as_error(header)


def test_what_a_terminal_would_obey_is_escaped():
    assert messages.as_error({"error": "AudioError", "said": ["a\x1b[2J"]}).args == ("'a\\x1b[2J'",)


def spoilt(**changed):
    header, arrays = messages.told(analysis())
    return header | changed, arrays


@pytest.mark.parametrize(
    "changed",
    [
        {"keys": ["a@1"]},
        {"keys": ["b@2", "a@1"]},
        {"keys": None},
        {"digest": "x"},
        {"digest": 7},
        {"info": None},
        {"info": {}},
        *(
            {"info": {**messages.told(analysis())[0]["info"], **wrong}}
            for wrong in (
                {"duration": math.nan},
                {"duration": -1},
                {"duration": "2"},
                {"sample_rate": 0},
                {"channels": 2.5},
                {"codec": None},
                {"tags": []},
                {"tags": {"a": 7}},
                {"notes": [7]},
                *(
                    {"notes": [{"kind": "phase", "sentence": "so"} | wrong]}
                    for wrong in (
                        {"kind": "other"},
                        {"kind": []},
                        {"sentence": "two\nlines"},
                        {"sentence": "x" * 1_001},
                        {"track": 0},
                        {"track": []},
                        {"more": 1},
                    )
                ),
                {"more": 1},
            )
        ),
    ],
    ids=str,
)
def test_an_analysis_that_cannot_be(changed):
    header, arrays = received(sent(*spoilt(**changed)))
    with pytest.raises(ValueError, match=r"\w"):
        messages.as_analysis(header, arrays, KEYS)


@pytest.mark.parametrize(
    ("at", "array"),
    [
        (0, np.zeros(2)),
        (0, np.float32([0, 0.5, 1])),
        (0, np.array([0, math.nan, 1])),
        (0, np.array([-1.0, 0, 1])),
        (1, np.array([1, 1.5, math.inf])),
        (1, np.array([0.0, 0.1, 0.2])),
        (2, np.zeros((3, 4))),
        (2, np.full((3, 4), np.nan, np.float32)),
        (2, np.zeros(3, np.float32)),
        (2, np.zeros((4, 4), np.float32)),
    ],
)
def test_segments_that_cannot_be(at, array):
    header, arrays = messages.told(analysis())
    arrays[at] = array
    with pytest.raises(ValueError, match="segments of 'a@1' that cannot be"):
        messages.as_analysis(*received(sent(header, arrays)), KEYS)


def framed(header):
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text


@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Path("x")) * 100,
        struct.pack("<I", 2**32 - 1),
        struct.pack("<I", 4) + b"\xff\xff\xff\xff",
        framed(7),
        framed([{}]),
        framed([[], []]),
        framed([{}, [["<f4", [2**40]]]]),
        framed([{}, [["<f4", [2**62, 4]]]]),
        framed([{}, [["<f4", [-1, -4]]]]),
        framed([{}, [["<f4", [1, 1, 1]]]]),
        framed([{}, [["|O", [1]]]]) + bytes(8),
        framed([{}, [["<f4", ["x"]]]]),
        struct.pack("<I", 100_000) + b"[" * 100_000,
    ],
    ids=range(13),
)
def test_what_is_no_message(data):
    with pytest.raises(ValueError, match=r"\w"):
        received(data)


def test_a_message_that_breaks_off():
    whole = sent(*messages.told(analysis()))
    for end in range(len(whole)):
        with pytest.raises(EOFError):
            received(whole[:end])


@given(st.binary(max_size=200), st.integers(0, 400))
def test_whatever_comes_is_a_message_or_refused(data, at):
    whole = sent(*messages.told(analysis()))
    for made in (data, whole[:at] + data + whole[at + len(data) :]):
        try:
            found = messages.as_analysis(*received(made), KEYS)
        except (EOFError, ValueError):
            continue
        assert list(found.segments) == list(KEYS)
