"""Weights in other files are found wherever a graph may hide them, and no such file is opened."""

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the models are made with it: pip install '.[train]'")

from onnx import TensorProto, helper  # noqa: E402

from echoic.encoders.graph import read_graph  # noqa: E402
from echoic.encoders.onnx import BUNDLED, OnnxEncoder  # noqa: E402
from echoic.errors import EncoderError  # noqa: E402
from tests.models import mean_level, write_model  # noqa: E402


def external(location="weights.bin", name="offset"):
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "4"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def as_initializer(model, tensor):
    [old] = [t for t in model.graph.initializer if t.name == "offset"]
    old.CopyFrom(tensor)


def in_a_constant(model, tensor):
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))


def in_a_list(model, tensor):
    node = helper.make_node("Constant", [], ["unused"])
    node.attribute.append(
        onnx.AttributeProto(name="values", type=onnx.AttributeProto.TENSORS, tensors=[tensor])
    )
    model.graph.node.append(node)


def in_a_branch(model, tensor):
    inner = helper.make_graph([], "inner", [], [], [tensor])
    outer = helper.make_graph(
        [helper.make_node("If", ["c"], ["d"], then_branch=inner, else_branch=inner)], "o", [], []
    )
    model.graph.node.append(helper.make_node("If", ["c"], ["e"], then_branch=outer, else_branch=outer))


def in_a_sparse_tensor(model, tensor):
    model.graph.sparse_initializer.add().values.CopyFrom(tensor)


def in_a_function(model, tensor):
    function = model.functions.add(name="f", domain="local")
    function.node.append(helper.make_node("Constant", [], ["y"], value=tensor))


def in_a_default_of_a_function(model, tensor):
    function = model.functions.add(name="f", domain="local")
    function.attribute_proto.append(helper.make_attribute("w", tensor))


def in_the_training(model, tensor):
    model.training_info.add().initialization.initializer.append(tensor)


PLACES = [
    as_initializer,
    in_a_constant,
    in_a_list,
    in_a_branch,
    in_a_sparse_tensor,
    in_a_function,
    in_a_default_of_a_function,
    in_the_training,
]


@pytest.mark.parametrize("place", PLACES)
def test_weights_in_another_file_are_refused(place):
    model = mean_level()
    place(model, external())
    with pytest.raises(ValueError, match="keeps weights in another file, which its card does not cover"):
        read_graph(model.SerializeToString())


@pytest.mark.parametrize(
    "location", ["weights.bin", "../weights.bin", "/etc/passwd", "", "a/../../weights.bin"]
)
def test_no_such_file_is_opened_wherever_it_lies(tmp_path, monkeypatch, location):
    """Given only the bytes of a model, ONNX Runtime looks for the file in the current folder."""
    beside, here = tmp_path / "models", tmp_path / "here"
    for folder in (beside, here, tmp_path):
        folder.mkdir(exist_ok=True)
        np.float32([-101]).tofile(folder / "weights.bin")
    monkeypatch.chdir(here)
    model = mean_level()
    as_initializer(model, external(location))
    path = write_model(beside / "mine.onnx", model)
    with pytest.raises(EncoderError, match=r"mine\.onnx cannot be used: it keeps weights in another file"):
        OnnxEncoder(path).check()


def test_half_of_the_mark_is_enough():
    for field in ("data_location", "external_data"):
        model = mean_level()
        tensor = external()
        tensor.ClearField(field)
        as_initializer(model, tensor)
        with pytest.raises(ValueError, match="another file"):
            read_graph(model.SerializeToString())


def test_a_model_in_two_parts_is_read_as_protobuf_joins_them():
    """A message that occurs twice is one: what the second says counts too."""
    whole, rest = mean_level(), onnx.ModelProto()
    rest.graph.initializer.append(external(name="more"))
    with pytest.raises(ValueError, match="another file"):
        read_graph(whole.SerializeToString() + rest.SerializeToString())


def test_what_a_graph_takes_and_gives():
    graph = read_graph(mean_level().SerializeToString())
    [takes], [gives] = graph.inputs, graph.outputs
    assert (takes.name, takes.is_float, takes.shape) == ("log_mel", True, (None, None, 16))
    assert (gives.name, gives.is_float, gives.shape) == ("embedding", True, (None, 16))


@pytest.mark.parametrize("name", ["sound", "fingerprint"])
def test_what_a_bundled_graph_takes_agrees_with_onnx(name):
    path = BUNDLED / f"{name}.onnx"
    graph, whole = read_graph(path.read_bytes()), onnx.load(path).graph
    assert [t.name for t in graph.inputs] == [t.name for t in whole.input] == ["log_mel"]
    assert [t.name for t in graph.outputs] == [t.name for t in whole.output] == ["embedding"]
    dims = [d.dim_value or None for d in whole.output[0].type.tensor_type.shape.dim]
    assert graph.outputs[0].shape == tuple(dims)


def test_a_damaged_graph_is_read_or_refused():
    whole = mean_level().SerializeToString()
    for end in range(len(whole)):
        with pytest.raises(ValueError, match="not an ONNX model, or a damaged one"):
            read_graph(whole[:end] + b"\xff" * 12)
    rng = np.random.default_rng(0)
    for _ in range(300):
        spoilt = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            spoilt[at] = rng.integers(256)
        try:
            read_graph(bytes(spoilt))
        except ValueError as error:
            assert "not an ONNX model" in str(error) or "another file" in str(error)  # noqa: PT017


def test_graphs_without_end_are_refused():
    inner = b""
    for _ in range(60):  # a graph in an attribute of a node of a graph …
        for field in (6, 5, 1):
            inner = bytes([field << 3 | 2]) + onnx_length(len(inner)) + inner
    with pytest.raises(ValueError, match="not an ONNX model"):
        read_graph(b"\x3a" + onnx_length(len(inner)) + inner)


def onnx_length(number):
    spelt = bytearray()
    while number > 0x7F:
        spelt.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*spelt, number])
