#!/usr/bin/env bash
# Measuring the ranges of activations for a model of 8 bits, batch by batch (ONNX Runtime 1.32.0, onnx 1.20.0).
#
# Guess: a reader may give batches of any size, so that the last one is smaller; the batch axis is free, and how
# ranges are measured (least and most, percentile, entropy) does not change what may be given.
# Seen: least and most takes them; percentile and entropy, which make histograms, put the outputs of all batches
# into one array and end in NumPy's "inhomogeneous shape". With equal batches all three work.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install --disable-pip-version-check onnxruntime==1.32.0 onnx==1.20.0 numpy==2.2.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import contextlib
import io
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationMethod, quantize_static

folder = sys.argv[1]
weights = np.random.default_rng(0).normal(size=(4, 1, 3, 3)).astype(np.float32)
graph = helper.make_graph(
    [helper.make_node("Conv", ["spectrogram", "weights"], ["map"], name="convolution")],
    "network",
    [helper.make_tensor_value_info("spectrogram", TensorProto.FLOAT, ["windows", 1, 20, 16])],
    [helper.make_tensor_value_info("map", TensorProto.FLOAT, ["windows", 4, 18, 14])],
    [numpy_helper.from_array(weights, "weights")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
onnx.save(model, f"{folder}/model.onnx")


class Reader:
    def __init__(self, sizes):
        rng = np.random.default_rng(1)
        self.batches = iter([rng.normal(size=(n, 1, 20, 16)).astype(np.float32) for n in sizes])

    def get_next(self):
        batch = next(self.batches, None)
        return None if batch is None else {"spectrogram": batch}


def outcome(method, sizes):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            quantize_static(
                f"{folder}/model.onnx", f"{folder}/int8.onnx", Reader(sizes), calibrate_method=method
            )
    except ValueError as error:
        return "ValueError" if "inhomogeneous" in str(error) else str(error)
    return "written"


seen = {}
for method in (CalibrationMethod.MinMax, CalibrationMethod.Percentile, CalibrationMethod.Entropy):
    for sizes in ((16, 16), (16, 16, 8)):
        seen[method.name, sizes] = outcome(method, sizes)
        print(f"onnxruntime {onnxruntime.__version__}, {method.name}, batches of {sizes}: {seen[method.name, sizes]}")
expected = {key: "written" for key in seen}
expected["Percentile", (16, 16, 8)] = expected["Entropy", (16, 16, 8)] = "ValueError"
sys.exit(seen != expected)
PYTHON
