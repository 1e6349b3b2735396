"""From a checkpoint to search results: exported models in a library, moved, retrained, and cut off."""

import json
import os
import shutil
import signal
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="exporting needs torch: pip install 'echoic[train]'")
pytest.importorskip("onnxscript", reason="exporting needs onnxscript: pip install 'echoic[train]'")

from echoic import LibraryError, UnknownEncoderError, UsageError  # noqa: E402 - only where torch is
from echoic.audio.spectrogram import LogMel  # noqa: E402
from echoic.encoders.onnx import OnnxEncoder  # noqa: E402
from echoic.nn.architectures import build  # noqa: E402
from echoic.nn.checkpoint import Checkpoint, save_checkpoint  # noqa: E402
from echoic.training.export import export  # noqa: E402
from tests.integration.conftest import STOPPED, CommandsWithin, write_clip  # noqa: E402

CONFIG = {"n_mels": 16, "n_frames": 46, "dim": 12, "stem": 4, "widths": (4, 8)}
FRONT_END = LogMel(sample_rate=8_000, n_fft=512, hop_length=160, n_mels=16, fmin=50, fmax=4_000)


def write_checkpoint(path, seed):
    torch.manual_seed(seed)
    model = build("cnn", **CONFIG)
    save_checkpoint(
        Checkpoint(
            architecture="cnn",
            config=CONFIG,
            weights=model.state_dict(),
            front_end=FRONT_END,
            window=0.96,
            hop=0.48,
            labels=(),
            training={"recipe": "cnn-contrastive", "seed": seed, "data": {"name": "sounds"}},
            figures={},
        ),
        path,
    )
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two trainings of one name: a checkpoint each, and what was exported of it."""
    home = tmp_path_factory.mktemp("trained")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    made = {}
    for seed in (1, 2):
        (home / str(seed)).mkdir()
        path = write_checkpoint(home / str(seed) / "doors.echoic", seed)
        made[seed] = path, export([path], home / str(seed) / "doors.onnx")
    yield made
    torch.set_num_threads(before)


@pytest.fixture
def put(trained):
    """Copy the model of a training, its card too, to a path."""

    def copy(seed, path):
        path.parent.mkdir(exist_ok=True)
        for suffix in (".onnx", ".json"):
            shutil.copy(trained[seed][1].path.with_suffix(suffix), path.with_suffix(suffix))
        return path

    return copy


@pytest.fixture
def within(tmp_path):
    return CommandsWithin(tmp_path / "library")


@pytest.fixture
def clips(folder):
    return [write_clip(folder / f"{seed}.wav", seed) for seed in range(3)]


def key(trained, seed):
    return f"doors@{trained[seed][1].card['revision']}"


# In a library


def test_a_model_at_a_path_with_spaces_is_an_encoder_everywhere(put, index, within, trained, clips, tmp_path):
    model = put(1, tmp_path / "my models, mine" / "front doors.onnx")
    index(encoders=[str(model)])
    status = json.loads(within("status", "--json").stdout)
    assert status["segments"] == {key(trained, 1): 3}
    found = [
        within("search", clips[0], "--encoder", name, "--json").stdout
        for name in (model, os.path.relpath(model), "doors")
    ]
    assert len(set(found)) == 1
    assert len(found[0].splitlines()) == 2
    within("embed", *clips, "--encoder", model, "--jobs", 1, "-o", tmp_path / "v.npz")
    with np.load(tmp_path / "v.npz") as archive:
        assert archive["vectors"].shape == (3, 12)


def test_a_retrained_model_takes_the_place_of_the_old_at_the_next_index(
    put, index, library, trained, clips, tmp_path
):
    model = put(1, tmp_path / "m" / "doors.onnx")
    index(encoders=[str(model)])
    put(2, model)
    stranger = write_clip(tmp_path / "stranger.wav", 9)
    with pytest.raises(
        LibraryError, match=f"made with {key(trained, 1)}, and {key(trained, 2)} is installed"
    ):
        library.search(stranger)
    assert index(encoders=[]).encoded == 3
    assert library.status().segments == {key(trained, 2): 3}
    assert len(library.search(stranger)) == 3
    assert library.check() == []


def test_a_model_that_was_moved_is_asked_for_and_keeps_its_vectors(
    put, index, library, trained, clips, tmp_path
):
    model = put(1, tmp_path / "m" / "doors.onnx")
    index(encoders=[str(model)])
    moved = (tmp_path / "m").rename(tmp_path / "elsewhere") / "doors.onnx"
    assert len(library.search(clips[0])) == 2  # known: needs no model
    with pytest.raises(UnknownEncoderError, match=r"there is no model .* with --encoder") as caught:
        index(encoders=[])
    assert "\n" not in str(caught.value)
    assert index(encoders=[str(moved)]).unchanged == 3
    assert list(library.encoders()) == [str(moved)]
    assert library.status().segments == {key(trained, 1): 3}
    assert library.check() == []


def test_two_models_of_one_name_do_not_meet_in_a_library(put, index, library, trained, clips, tmp_path):
    one, two = put(1, tmp_path / "a" / "doors.onnx"), put(2, tmp_path / "b" / "doors.onnx")
    index(encoders=[str(one)])
    with pytest.raises(UsageError, match="two encoders are named 'doors'"):
        index(encoders=[str(two)])
    assert library.status().segments == {key(trained, 1): 3}
    named = export([trained[2][0]], two, name="back doors")
    index(encoders=[str(two)])
    assert library.status().segments == {key(trained, 1): 3, f"back doors@{named.card['revision']}": 3}
    assert {hit.encoder for hit in library.search(clips[0], encoder="back doors")} == {"back doors"}


# The command


def test_export_prints_what_it_made(within, trained, tmp_path):
    made = within("export", trained[1][0], "-o", tmp_path / "m.onnx", "--name", "doors")
    assert made.stderr == ""
    lines = made.stdout.splitlines()
    assert lines[0].startswith("fp32  ")
    assert lines[0].endswith("x realtime on one thread")
    assert lines[1] == f"encoder {key(trained, 1)} with 12 dimensions in {tmp_path / 'm.onnx'}"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("no.echoic", "-o", "m.onnx"), 1, "no.echoic cannot be read"),
        (("text.echoic", "-o", "m.onnx"), 1, "text.echoic is not a model that echoic has trained"),
        (("m.echoic", "-o", "m.bin"), 2, "ends in .onnx, not to m.bin"),
        (("m.echoic", "-o", "no/m.onnx"), 2, "the folder of no/m.onnx does not exist"),
        (("m.echoic", "-o", "m.onnx", "--precision", "fp16"), 2, "fp32 or int8, not 'fp16'"),
        (("m.echoic", "-o", "m.onnx", "--precision", "int8"), 2, "say where they are with --data"),
        (
            ("m.echoic", "-o", "m.onnx", "--precision", "int8", "--data", "no"),
            1,
            "no does not exist; name a folder",
        ),
    ],
)
def test_a_request_that_cannot_be_met_is_one_sentence(within, trained, tmp_path, words, code, message):
    shutil.copy(trained[1][0], tmp_path / "m.echoic")
    (tmp_path / "text.echoic").write_text("text")
    result = within("export", *words, code=code, cwd=tmp_path)
    assert message in result.stderr
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir() if "m." in path.name) == ["m.echoic"]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_export_that_is_cut_off_leaves_the_model_before(put, echoic, trained, tmp_path, sent):
    model = put(1, tmp_path / "m" / "doors.onnx")
    before = {path.name: path.read_bytes() for path in model.parent.iterdir()}
    # A dozen at once, so that it takes long: one alone may be done before a busy machine comes to send.
    with echoic.start("export", *[trained[2][0]] * 12, "-o", model) as process:
        deadline = time.monotonic() + 60
        while not list(model.parent.glob(".doors.onnx.*")):  # now torch traces the network, for seconds
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(0.3)  # the folder is there before the command has it in its hands
        process.send_signal(sent)
        _, stderr = process.communicate(timeout=60)
    assert {path.name: path.read_bytes() for path in model.parent.iterdir() if path.is_file()} == before
    if sent != signal.SIGKILL:
        # Within exec() CPython remembers Ctrl-C and ends by the signal itself, as it may any of the others.
        assert process.returncode in (*STOPPED, 128 + sent)
        assert stderr.splitlines()[-1] == b"stopped"
        assert sorted(path.name for path in model.parent.iterdir()) == sorted(before)
    put(2, model)  # what a kill has left behind is in nobody's way
    assert OnnxEncoder(model).spec.key == key(trained, 2)
