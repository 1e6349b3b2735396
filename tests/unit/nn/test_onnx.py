"""Every network becomes ONNX that computes the same, whatever the number of windows."""

import pytest

torch = pytest.importorskip("torch", reason="the networks need torch: pip install 'echoic[torch]'")
pytest.importorskip("onnxscript", reason="the export needs onnxscript: pip install 'echoic[train]'")

import onnxruntime  # noqa: E402 - only where torch is

from echoic.nn.architectures import ARCHITECTURES  # noqa: E402
from echoic.nn.ensemble import Ensemble  # noqa: E402
from tests.unit.nn.networks import small, windows  # noqa: E402

# torch's exporter trips over what torch itself has deprecated.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:`isinstance\(treespec, LeafSpec\)` is deprecated:FutureWarning"
)


MEMBERS = ("hybrid", "mobile")  # of an ensemble, whose vectors lie side by side: where it is right, they are


@pytest.fixture(scope="module", params=[*(name for name in ARCHITECTURES if name not in MEMBERS), "ensemble"])
def pair(request, tmp_path_factory):
    """The network and an ONNX Runtime session of it."""
    if request.param == "ensemble":
        model = Ensemble([small(name) for name in MEMBERS]).eval()
    else:
        model = small(request.param)
    path = tmp_path_factory.mktemp("onnx") / f"{request.param}.onnx"
    torch.onnx.export(
        model,
        (windows(4, model.n_frames, model.n_mels),),
        path,
        input_names=["log_mel"],
        output_names=["embedding"],
        dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        opset_version=18,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return model, onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("n", [1, 5])
def test_onnx_computes_the_same(pair, n):
    model, session = pair
    log_mel = windows(n, model.n_frames, model.n_mels)
    log_mel[0, 30:] = -100  # a short clip
    log_mel[3:4] = -100  # silence
    with torch.no_grad():
        expected = model(log_mel)
    [actual] = session.run(["embedding"], {"log_mel": log_mel.numpy()})
    torch.testing.assert_close(torch.from_numpy(actual), expected, atol=1e-4, rtol=0)
