"""Checkpoints that somebody has made up, or that were damaged: one sentence, whatever they are."""

from __future__ import annotations

import io
import json
import math
import os
import zipfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the networks need torch: pip install '.[torch]'")

from echoic.errors import ModelError  # noqa: E402 - only where torch is
from echoic.nn.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from tests.unit.nn.test_checkpoint import checkpoint  # noqa: E402


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A sound checkpoint's bytes, and the file to write spoilt ones to."""
    path = tmp_path_factory.mktemp("hostile") / "made up.echoic"
    save_checkpoint(checkpoint(), path)
    return path.read_bytes(), path


def content(data):
    return torch.load(io.BytesIO(data), weights_only=True)


def saved(entries):
    file = io.BytesIO()
    torch.save(entries, file)
    return file.getvalue()


def with_card(data, **fields):
    entries = content(data)
    return saved(entries | {"card": json.dumps(json.loads(entries["card"]) | fields)})


def with_weight(data, tensor, name="project.weight"):
    entries = content(data)
    return saved(entries | {"weights": entries["weights"] | {name: tensor}})


def refusal(path, data):
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert str(path) in message
    assert message.isprintable()
    assert len(message) < 700
    return message


CARDS = {
    "architecture": [None, 7, [], {}, "rnn", "x" * 10**6],
    "config": [
        None,
        [],
        "cnn",
        {},
        {"dim": 10**9},
        {"dim": -1},
        {"dim": math.nan},
        {"widths": [10**9]},
        {"widths": []},
        {"widths": [0]},
        {"widths": list(range(1, 1000))},
        {"n_mels": 0},
        {"n_frames": 7},
        {"unknown": 1},
        {"stem": "8"},
        {"self": 1},
        {"stem": None},
    ],
    "front_end": [None, [], {}, 7, {"n_fft": 1024}],
    "window": [None, 0, -1, math.nan, math.inf, 1e9, "2.464", [], True],
    "hop": [None, 0, -1, math.nan, 1e9, "1.25"],
    "labels": [None, "dog", 7, [7], [None], {"dog": 1}],
    "training": [None, [], "x", 7],
    "figures": [None, [], "x", 7],
}


@pytest.mark.parametrize("field", CARDS)
def test_a_field_of_the_card_that_cannot_be_meant(whole, field):
    data, path = whole
    for value in CARDS[field]:
        assert refusal(path, with_card(data, **{field: value}))


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("transformer", {"depth": 10**6}),
        ("transformer", {"n_heads": 0}),
        ("transformer", {"patch": [0, 0]}),
        ("transformer", {"patch": [16]}),
        ("transformer", {"width": 16_384, "depth": 200}),
        ("mobile", {"depths": [10**6]}),
        ("mobile", {"widths": [8], "depths": [1, 2]}),
        ("hybrid", {"channels": []}),
        ("ensemble", {}),
        ("ensemble", {"members": []}),
        ("ensemble", {"members": [{}]}),
        ("ensemble", {"members": 7}),
        ("ensemble", {"members": [{"architecture": "cnn", "config": None}]}),
        ("ensemble", {"members": [{"architecture": "cnn", "config": {}}] * 100}),
    ],
    ids=str,
)
def test_networks_that_cannot_be_made_or_would_fill_the_memory(whole, architecture, config):
    data, path = whole
    assert refusal(path, with_card(data, architecture=architecture, config=config))


def test_an_ensemble_of_ensembles_without_end(whole):
    data, path = whole
    config = {"members": [{"architecture": "cnn", "config": {}}]}
    for _ in range(100):
        config = {"members": [{"architecture": "ensemble", "config": config}]}
    assert "is nested too deeply" in refusal(path, with_card(data, architecture="ensemble", config=config))


@pytest.mark.parametrize(
    "card", [None, 7, b"{}", "", "{", "[]", "7", "null", "[" * 100_000, "\ud800"], ids=range(10)
)
def test_a_card_that_is_no_object(whole, card):
    data, path = whole
    try:
        spoilt = saved(content(data) | {"card": card})
    except UnicodeEncodeError:
        return  # such a file cannot be written
    assert refusal(path, spoilt)


@pytest.mark.parametrize("entry", ["format", "version", "card", "weights"])
def test_an_entry_that_is_missing_or_another(whole, entry):
    data, path = whole
    entries = content(data)
    del entries[entry]
    assert refusal(path, saved(entries))
    for value in (None, [], {}, "", "x" * 1000, {"project.weight": 7}, {7: torch.zeros(1)}):
        assert refusal(path, saved(entries | {entry: value}))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(10**6, 10**6),  # terabytes, in four bytes
        torch.zeros(1, dtype=torch.float16).expand(10**6, 10**6),
        torch.zeros(24, 16, dtype=torch.float64),
        torch.zeros(24, 16, dtype=torch.complex64),
        torch.zeros(24, 16, device="meta"),
        torch.zeros(24, 16).to_sparse(),
        torch.nn.Parameter(torch.zeros(24, 16)),
        torch.zeros(()),
        torch.zeros(0),
        torch.full((24, 160), math.nan),
        torch.full((24, 160), math.inf),
    ],
    ids=range(11),
)
def test_a_weight_that_is_no_plain_tensor_of_its_shape(whole, tensor):
    data, path = whole
    message = refusal(path, with_weight(data, tensor))
    assert "project.weight" in message or "is not a model that echoic has trained" in message


def rezipped(data, change):
    """Write the members anew, each as ``change(name, content)`` has it: pairs of what to write."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
        for member in old.infolist():
            for name, value, options in change(member.filename, old.read(member)):
                new.writestr(name, value, **options)
    return file.getvalue()


def test_a_file_that_would_swell_is_not_unpacked(whole):
    data, path = whole
    bomb = rezipped(
        data, lambda name, value: [(name, value + bytes(1 << 20), {"compress_type": zipfile.ZIP_DEFLATED})]
    )
    assert "is not a model that echoic has trained" in refusal(path, bomb)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_name_that_occurs_twice(whole):
    data, path = whole
    twice = rezipped(data, lambda name, value: [(name, value, {})] * 2)
    assert "is not a model that echoic has trained" in refusal(path, twice)


@pytest.mark.parametrize("missing", ["data.pkl", "data/0", "version"])
def test_a_member_that_is_missing(whole, missing):
    data, path = whole
    assert refusal(
        path, rezipped(data, lambda name, value: [] if name.endswith(missing) else [(name, value, {})])
    )


def test_a_pipe_is_not_waited_for(tmp_path):
    path = tmp_path / "pipe.echoic"
    os.mkfifo(path)
    with pytest.raises(ModelError, match=r"cannot be read \(it is not a file\)"):
        load_checkpoint(path)


@settings(max_examples=150)
@given(
    cut=st.integers(0, 10**6),
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    mend=st.booleans(),
)
@example(cut=0, flips=[], mend=False)
def test_whatever_is_done_to_the_bytes(whole, cut, flips, mend):
    """Cut short, overwritten, and with sums that fit again: a ModelError, or as good as ever."""
    data, path = whole

    def spoil(value):
        spoilt = bytearray(value[: cut % len(value)] if cut % 3 == 0 else value)
        for at, byte in flips:
            if spoilt:
                spoilt[at % len(spoilt)] = byte
        return bytes(spoilt)

    if mend:  # what a person with a zip program would do: the sums fit, the pickle inside is nonsense
        spoilt = rezipped(
            data, lambda name, value: [(name, spoil(value) if name.endswith("data.pkl") else value, {})]
        )
    else:
        spoilt = spoil(data)
    path.write_bytes(spoilt)
    try:
        found = load_checkpoint(path)
    except ModelError as error:
        assert str(path) in str(error)  # noqa: PT017 - it may as well be fine
    else:
        assert found.embedder().dim == 24
