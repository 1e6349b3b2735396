"""A trained model becomes an encoder: the same vectors, an honest card, and never half a file."""

import contextlib
import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="exporting needs torch: pip install 'echoic[train]'")
onnx = pytest.importorskip("onnx", reason="exporting needs onnx: pip install 'echoic[train]'")

from echoic.audio.decode import read_audio  # noqa: E402 - only where torch is
from echoic.audio.encode import write_audio  # noqa: E402
from echoic.audio.spectrogram import LogMel  # noqa: E402
from echoic.audio.synthesis import make_sound, noise, tone  # noqa: E402
from echoic.cli import app  # noqa: E402
from echoic.encoders.base import encode_windows  # noqa: E402
from echoic.encoders.onnx import OnnxEncoder  # noqa: E402
from echoic.errors import (  # noqa: E402
    EncoderError,
    MissingDependencyError,
    ModelError,
    UnknownEncoderError,
    UsageError,
)
from echoic.nn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint  # noqa: E402
from echoic.training import export as module  # noqa: E402
from echoic.training.export import export  # noqa: E402
from echoic.training.graph import quantize  # noqa: E402
from tests.unit.nn.networks import SMALL, SMALL_WINDOW, small  # noqa: E402

RATE = 8_000
FRONT_END = LogMel(sample_rate=RATE, n_fft=320, hop_length=64, n_mels=40, fmin=50, fmax=4_000)
FAMILIES = ("bells", "drums", "rain", "sirens")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def write_checkpoint(path, architecture="cnn", *, training=None, **fields):
    """Write the checkpoint of a small network; ``fields`` replace its own."""
    model = small(architecture)
    settings = {
        "architecture": architecture,
        "config": SMALL_WINDOW | SMALL[architecture],
        "weights": model.state_dict(),
        "front_end": FRONT_END,
        "window": 1.0,
        "hop": 0.5,
        "labels": FAMILIES,
        "training": {"recipe": f"{architecture}-supcon", "seed": 0, "data": {"name": "sounds"}}
        | (training or {}),
        "figures": {"p1": 0.75, "mean_average_precision": 0.5},
    }
    save_checkpoint(Checkpoint(**settings | fields), path)
    return path


def trained(data):
    """Teach a small network the families in a few steps: an untrained one hardly tells sounds apart."""
    model = small("cnn").train()
    head = torch.nn.Linear(24, len(FAMILIES))
    rows = [(i, path) for i, family in enumerate(FAMILIES) for path in sorted((data / family).iterdir())]
    sounds = [np.resize(read_audio(path, RATE)[0], RATE) for _, path in rows]
    log_mel = torch.from_numpy(FRONT_END(np.stack(sounds)))
    optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()], 0.01)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(head(8 * model(log_mel)), torch.tensor([i for i, _ in rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.state_dict()


def windows():
    """Five windows: tones, noise, a click, sound followed by zeros, silence."""
    rows = np.zeros((5, RATE), np.float32)
    rows[0] = tone(440, 1.0, RATE)
    rows[1] = noise(1.0, RATE, 1)
    rows[2, 100] = 1
    rows[3, :900] = noise(1.0, RATE, 2)[:900]
    return rows


def card_of(path):
    return json.loads(path.with_suffix(".json").read_text("utf-8"))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def checkpoint(home, data):
    training = {
        "data": {
            "name": "sounds",
            "path": str(home / "data"),
            "columns": {"label": "label"},
            "licences": {"CC0-1.0": 8},
        },
        "started_from": {"data": {"name": "more sounds", "path": "/home/somebody/more"}},
    }
    return write_checkpoint(home / "cnn.echoic", training=training, weights=trained(data))


@pytest.fixture(scope="module")
def exported(home, checkpoint):
    """What was exported in float32, under a path with spaces."""
    (home / "my models").mkdir()
    return export([checkpoint], home / "my models" / "door sounds.onnx")


@pytest.fixture(scope="module")
def data(home):
    """Four families of eight takes, a folder each."""
    for family in FAMILIES:
        (home / "data" / family).mkdir(parents=True)
        for take in range(8):
            sound = make_sound(family, take, sample_rate=RATE)[: 2 * RATE]
            write_audio(home / "data" / family / f"{take}.wav", sound, RATE)
    return home / "data"


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECHOIC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def traced(exported, monkeypatch):
    """The graph of ``checkpoint`` is at hand; to trace the network again would take seconds."""
    monkeypatch.setattr(module, "to_onnx", lambda *_: onnx.load(exported.path))


@pytest.fixture(scope="module")
def exported_int8(home, exported, checkpoint, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "to_onnx", lambda *_: onnx.load(exported.path))
        return export([checkpoint], home / "int8.onnx", precision="int8")


# What is written


def test_the_encoder_gives_the_vectors_of_the_network(exported, checkpoint):
    encoder = OnnxEncoder(exported.path)
    with torch.no_grad():
        expected = load_checkpoint(checkpoint).embedder()(torch.from_numpy(FRONT_END(windows()))).numpy()
    np.testing.assert_allclose(encode_windows(encoder, windows()), expected, atol=1e-4)


def test_the_card_says_what_the_encoder_is_and_how_it_came_about(exported):
    spec = OnnxEncoder(exported.path).spec
    card = card_of(exported.path)
    assert card == exported.card
    assert (spec.name, spec.dim, spec.window, spec.hop) == ("door sounds", 24, 1.0, 0.5)
    assert spec.revision == card["sha256"]["graph"][:12]
    assert spec.reference == "echoic train --recipe cnn-supcon"
    assert spec.description == "trained on 4 classes of sounds"
    assert spec.licence == "NOASSERTION"
    assert card["precision"] == "fp32"
    assert card["figures"] == {"p1": 0.75, "mean_average_precision": 0.5}
    assert card["parameters"] == sum(weight.numel() for weight in small("cnn").parameters())
    assert card["training"]["architecture"] == "cnn"
    assert card["training"]["data"] == {"name": "sounds", "licences": {"CC0-1.0": 8}}


def test_no_path_of_this_machine_gets_out(exported, exported_int8, home):
    for path in (exported.path, exported_int8.path):
        content = path.read_bytes() + path.with_suffix(".json").read_bytes()
        traces = (b'File "', b"site-packages", b"/home/", os.fsencode(home), os.fsencode(sys.prefix))
        assert [trace for trace in traces if trace in content] == []


def test_nothing_else_is_left_in_the_folder(exported):
    assert sorted(path.name for path in exported.path.parent.iterdir()) == [
        "door sounds.json",
        "door sounds.onnx",
    ]


def test_the_same_training_is_the_same_revision_and_another_is_not(exported, checkpoint, home):
    again = export([checkpoint], home / "again.onnx", name="another name")
    assert again.path.read_bytes() == exported.path.read_bytes()
    assert again.card["revision"] == exported.card["revision"]
    weights = {
        name: 1.01 * value if name == "project.weight" else value for name, value in _weights(checkpoint)
    }
    retrained = export([write_checkpoint(home / "re.echoic", weights=weights)], home / "re.onnx")
    assert retrained.card["revision"] != exported.card["revision"]


def _weights(checkpoint):
    weights = load_checkpoint(checkpoint).weights
    assert "project.weight" in weights
    return weights.items()


def test_another_hop_is_another_revision(exported, home):
    other = export([write_checkpoint(home / "hop.echoic", hop=0.25)], home / "hop.onnx")
    assert other.card["revision"] != exported.card["revision"]


# Ensembles


def test_an_ensemble_lays_the_vectors_of_its_members_side_by_side(checkpoint, tmp_path):
    other = write_checkpoint(tmp_path / "t.echoic", "transformer")
    made = export([checkpoint, other], tmp_path / "both.onnx")
    log_mel = torch.from_numpy(FRONT_END(windows()))
    with torch.no_grad():
        members = [load_checkpoint(path).embedder()(log_mel).numpy() for path in (checkpoint, other)]
    vectors = encode_windows(OnnxEncoder(made.path), windows())
    np.testing.assert_allclose(vectors, np.concatenate(members, axis=1) / np.sqrt(2), atol=1e-4)
    assert made.card["dim"] == 48
    assert [one["architecture"] for one in made.card["training"]["members"]] == ["cnn", "transformer"]
    assert made.card["reference"] == "echoic train --recipe cnn-supcon + transformer-supcon"
    assert made.card["figures"] == {}  # those of one member would not be its own


@pytest.mark.parametrize(
    "fields", [{"hop": 0.25}, {"front_end": LogMel(RATE, 320, 64, 40, 60, 4_000)}], ids=["hop", "front end"]
)
def test_members_that_hear_differently_do_not_go_together(checkpoint, tmp_path, fields):
    other = write_checkpoint(tmp_path / "other.echoic", **fields)
    with pytest.raises(UsageError, match=r"other\.echoic has another front end, window or hop than .*cnn"):
        export([checkpoint, other], tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


# int8


def test_int8_is_small_measured_beside_fp32_and_close_to_it(exported, exported_int8):
    figures = exported_int8.card["figures"]
    assert set(figures) == {"fp32", "int8"}
    assert figures["fp32"]["mean_average_precision"] - figures["int8"]["mean_average_precision"] <= 0.01
    assert exported_int8.card["precision"] == "int8"
    assert list(exported_int8.measured) == ["fp32", "int8"]
    assert exported_int8.measured["int8"].figures == figures["int8"]
    plain, small_ = OnnxEncoder(exported.path), OnnxEncoder(exported_int8.path)
    assert plain.spec.revision != small_.spec.revision
    sounding = windows()[:4]
    cosines = (encode_windows(plain, sounding) * encode_windows(small_, sounding)).sum(axis=1)
    assert 0.98 < cosines.min() < 1
    kinds = {node.op_type for node in onnx.load(exported_int8.path).graph.node}
    assert "QuantizeLinear" in kinds
    assert "DynamicQuantizeLinear" not in kinds  # whose vectors depend on their neighbours in a batch


def test_int8_figures_are_those_that_a_training_measures(exported_int8, checkpoint, data):
    from echoic.datasets import read_dataset
    from echoic.encoders.base import mean_vector
    from echoic.evaluation import retrieval
    from echoic.training.train import prepare

    held = prepare(read_dataset(data), sample_rate=RATE, validation=0.2, seed=0).validation
    model = load_checkpoint(checkpoint).embedder()
    vectors = []
    for clip in held.audio:
        spans = np.lib.stride_tricks.sliding_window_view(clip.read(), RATE)[:: RATE // 2]
        left = clip.n_samples - ((len(spans) - 1) * RATE // 2 + RATE)
        if left > 0.1 * RATE:
            spans = np.concatenate([spans, clip.read()[None, -RATE:]])
        loud = spans[np.sqrt(np.square(spans).mean(axis=1)) > 1e-3]
        with torch.no_grad():
            vectors.append(mean_vector(model(torch.from_numpy(FRONT_END(loud))).numpy()))
    labels = np.array(held.labels)
    similarities = np.stack(vectors) @ np.stack(vectors).T
    expected = retrieval.mean_average_precision(
        similarities, labels, labels, excluded=np.eye(len(labels), dtype=bool)
    )
    assert exported_int8.card["figures"]["fp32"]["mean_average_precision"] == pytest.approx(
        expected, abs=1e-4
    )


def test_int8_gives_the_same_alone_and_in_a_batch(exported_int8):
    encoder = OnnxEncoder(exported_int8.path)
    alone = np.concatenate([encode_windows(encoder, window[None]) for window in windows()])
    np.testing.assert_array_equal(alone, encode_windows(encoder, windows()))


@pytest.mark.usefixtures("traced")
def test_int8_that_loses_too_much_is_refused(checkpoint, data, tmp_path, monkeypatch):
    """Were the ranges of activations a thousandth of what they are, every sound would saturate."""

    def saturating(model, log_mel):
        graph = quantize(model, log_mel)
        scales = [one for one in graph.graph.initializer if one.name.endswith("_scale") and not one.dims]
        assert scales
        for scale in scales:
            value = onnx.numpy_helper.to_array(scale) / 1000
            scale.CopyFrom(onnx.numpy_helper.from_array(value, scale.name))
        return graph

    monkeypatch.setattr(module, "quantize", saturating)
    with pytest.raises(
        ModelError,
        match=r"as int8 the mAP on 8 held-out clips would fall from [01]\.\d+ to 0\.\d+.*export it as fp32",
    ):
        export([checkpoint], tmp_path / "m.onnx", precision="int8")
    assert list(tmp_path.iterdir()) == []


def clips(n):
    return module._Clips(np.empty((0, 1, 1), np.float32), [], ["a"] * n, [str(i) for i in range(n)])


@pytest.mark.parametrize(
    ("losses", "is_sure"),
    [
        ([0.5] + [0.0] * 7, False),  # of eight clips one finds its like at rank 2 instead of 1
        ([0.5, 0.5] + [0.0] * 6, False),
        ([0.5, -0.5] * 4, False),
        ([0.0] * 8, False),
        ([0.5] * 6 + [0.0] * 2, True),
        ([0.5] * 16 + [0.0] * 184, True),
        ([0.03] * 200, True),
        ([0.005] * 200, False),
        ([np.nan] + [0.03] * 199, True),  # a clip with nothing to find
    ],
)
def test_int8_is_refused_where_the_loss_is_sure_and_not_by_chance(losses, is_sure, tmp_path):
    before = np.full(len(losses), 0.9)
    lost = module._lost({"fp32": before, "int8": before - losses}, clips(len(losses)))
    assert lost.low <= lost.value <= lost.high
    assert lost.value == pytest.approx(np.nanmean(losses))
    means = {"fp32": {"mean_average_precision": 0.9}, "int8": {"mean_average_precision": 0.9 - lost.value}}
    told = f"on {len(losses)} held-out clips .* by more than 0.01 .95 % interval"
    with pytest.raises(ModelError, match=told) if is_sure else contextlib.nullcontext():
        module._check_loss(tmp_path / "m.onnx", len(losses), means, lost)


@pytest.mark.usefixtures("traced")
def test_where_too_few_clips_tell_what_int8_loses_it_is_written_and_said(
    checkpoint, data, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "_lost", lambda *_: module.Estimate(0.063, 0.0, 0.19))
    words = ["export", str(checkpoint), "-o", str(tmp_path / "m.onnx"), "--precision", "int8"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    assert "too few clips are held out to tell whether int8 loses more than 0.01 of mAP" in done.stderr
    assert "it loses 0.063 (95 % interval 0.000 to 0.190); measure on more with --data" in done.stderr
    assert OnnxEncoder(tmp_path / "m.onnx").spec.dim == 24


@pytest.mark.usefixtures("traced")
def test_figures_are_measured_where_data_is_given(checkpoint, data, tmp_path):
    made = export([checkpoint], tmp_path / "m.onnx", data=data)
    assert 0.5 < made.card["figures"]["mean_average_precision"] <= 1
    assert made.card["figures"] == made.measured["fp32"].figures


def test_int8_without_its_clips_says_why_they_are_needed(tmp_path):
    path = write_checkpoint(
        tmp_path / "m.echoic", training={"data": {"name": "gone", "path": "/gone/sounds"}}
    )
    with pytest.raises(UsageError, match=r"calibrated .* \(/gone/sounds is gone\); say where .* --data"):
        export([path], tmp_path / "m.onnx", precision="int8")
    path = write_checkpoint(tmp_path / "m.echoic")
    with pytest.raises(UsageError, match="trained on; say where they are with --data"):
        export([path], tmp_path / "m.onnx", precision="int8")


def test_int8_needs_clips_that_were_held_out(data, tmp_path):
    path = write_checkpoint(tmp_path / "m.echoic", training={"validation": 0.0})
    with pytest.raises(UsageError, match="none of the clips was held out"):
        export([path], tmp_path / "m.onnx", precision="int8", data=data)
    with pytest.raises(UsageError, match="none of the clips was held out"):
        export([path], tmp_path / "m.onnx", data=data)


def test_an_ensemble_is_measured_on_what_none_of_its_members_has_seen(data, checkpoint, tmp_path):
    other = write_checkpoint(tmp_path / "o.echoic", training={"seed": 5, "validation": 0.5})
    members = [load_checkpoint(path) for path in (checkpoint, other)]
    one, two = (module._clips([member], data, None) for member in members)
    both = module._clips(members, data, None)
    assert len(both.labels) < min(len(one.labels), len(two.labels))
    assert set(both.groups) == set(one.groups) & set(two.groups)


# What is refused


@pytest.mark.parametrize(
    ("output", "name", "message"),
    [
        ("m.bin", None, r"ends in \.onnx, not to .*m\.bin"),
        ("gone/m.onnx", None, r"folder of .*gone/m\.onnx does not exist; make it first"),
        ("folder.onnx", None, r"folder\.onnx is a folder"),
        ("results.onnx", None, r"results\.json is in the place of the model's card and is none"),
        ("m.onnx", " ", "cannot be named ' '; choose a word with --name"),
        ("m.onnx", "a@b", "cannot be named 'a@b'"),
        ("m.onnx", "a\nb", r"cannot be named 'a\\nb'"),
    ],
)
def test_what_cannot_be_meant(checkpoint, tmp_path, output, name, message):
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "results.json").write_text('{"precious": true}')
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UsageError, match=message):
        export([checkpoint], tmp_path / output, name=name)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "results.json").read_text() == '{"precious": true}'


def test_another_precision_and_no_checkpoint(checkpoint, tmp_path):
    with pytest.raises(UsageError, match="fp32 or int8, not 'fp16'"):
        export([checkpoint], tmp_path / "m.onnx", precision="fp16")
    with pytest.raises(UsageError, match="at least one"):
        export([], tmp_path / "m.onnx")


def test_a_file_that_is_no_checkpoint(tmp_path):
    (tmp_path / "m.echoic").write_text("not a model")
    for name in ("m.echoic", "gone.echoic"):
        with pytest.raises(ModelError, match=name) as caught:
            export([tmp_path / name], tmp_path / "m.onnx")
        assert "\n" not in str(caught.value)


def test_a_graph_that_differs_from_its_network_is_refused(checkpoint, tmp_path, monkeypatch):
    def of_another(network, *rest):
        with torch.no_grad():
            network.project.bias += 0.1
        made = to_onnx(network, *rest)
        with torch.no_grad():
            network.project.bias -= 0.1
        return made

    to_onnx = module.to_onnx
    monkeypatch.setattr(module, "to_onnx", of_another)
    with pytest.raises(ModelError, match="differ from the network's by"):
        export([checkpoint], tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_without_torch_the_extra_is_named(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'echoic\[train\]'"):
        export([checkpoint], tmp_path / "m.onnx")


# Interruptions


@pytest.fixture
def earlier(exported, tmp_path):
    """An export of an earlier training, in a folder of its own."""
    for suffix in (".onnx", ".json"):
        (tmp_path / f"m{suffix}").write_bytes(exported.path.with_suffix(suffix).read_bytes())
    return tmp_path / "m.onnx"


@pytest.fixture(scope="module")
def retrained(home):
    return write_checkpoint(home / "retrained.echoic", "mobile")


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_a_full_disk_or_ctrl_c_leaves_what_was_there(earlier, exported, retrained, monkeypatch, failure):
    before = earlier.read_bytes(), card_of(earlier)
    monkeypatch.setattr(module, "to_onnx", lambda *_: onnx.load(exported.path))  # in a moment

    def fail(_):
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    expected = ModelError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected, match="No space left" if isinstance(failure, OSError) else None):
        export([retrained], earlier)
    assert (earlier.read_bytes(), card_of(earlier)) == before
    assert sorted(path.name for path in earlier.parent.iterdir()) == ["m.json", "m.onnx"]


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "over another"])
@pytest.mark.parametrize("moves", [0, 1, 2])
def test_a_kill_at_any_move_never_leaves_a_model_that_gives_wrong_vectors(
    exported, earlier, fresh, moves, tmp_path
):
    """Killed after that many of its two moves, a pair is the old one, the new one, or refused."""
    (tmp_path / "new").mkdir()
    staged = tmp_path / "new" / "fp32.onnx"
    for suffix in (".onnx", ".json"):
        staged.with_suffix(suffix).write_bytes(exported.path.with_suffix(suffix).read_bytes())
    # Another model: the same graph with other notes has another digest, and its card tells.
    graph = onnx.load(staged)
    graph.doc_string = "another"
    staged.write_bytes(graph.SerializeToString())
    card = card_of(staged) | {
        "revision": "new",
        "sha256": {"graph": hashlib.sha256(staged.read_bytes()).hexdigest()},
    }
    staged.with_suffix(".json").write_text(json.dumps(card))
    if fresh:
        earlier.unlink()
        earlier.with_suffix(".json").unlink()
    code = f"""
        import os, signal
        from pathlib import Path
        from echoic.training.publish import publish
        move, done = Path.replace, []
        def replace(self, target):
            if len(done) == {moves}:
                os.kill(os.getpid(), signal.SIGKILL)
            done.append(move(self, target))
        Path.replace = replace
        publish(Path({str(staged)!r}), Path({str(earlier)!r}))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -signal.SIGKILL
    if moves == 2:
        assert OnnxEncoder(earlier).spec.revision == "new"
    elif moves == 0 and not fresh:
        assert OnnxEncoder(earlier).spec.revision == exported.card["revision"]
    else:
        refused = EncoderError if moves else UnknownEncoderError
        with pytest.raises(refused, match=r"export" if moves else "no model") as caught:
            OnnxEncoder(earlier).check()
        assert "\n" not in str(caught.value)


@pytest.fixture
def interrupted(exported, monkeypatch):
    """Have Ctrl-C come while torch traces the network: it takes it in its own way, or gives the graph."""

    def meet(tool):
        def trace(*_args, **_options):
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt as interrupt:
                if tool == "takes it for an error":
                    raise RuntimeError("failed to export the model") from interrupt
            return SimpleNamespace(model_proto=onnx.load(exported.path))

        monkeypatch.setattr(torch.onnx, "export", trace)

    return meet


@pytest.mark.parametrize("tool", ["takes it for an error", "swallows it"])
def test_ctrl_c_stops_an_export_whatever_torch_makes_of_it(tool, interrupted, checkpoint, tmp_path):
    interrupted(tool)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        export([checkpoint], tmp_path / "m.onnx")
    assert signal.getsignal(signal.SIGINT) is before
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_answers_ctrl_c_in_its_own_way_keeps_its_export(interrupted, checkpoint, tmp_path):
    interrupted("swallows it")
    answered = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: answered.append(number))
    try:
        export([checkpoint], tmp_path / "m.onnx")
    finally:
        signal.signal(signal.SIGINT, before)
    assert answered == [signal.SIGINT]
    assert (tmp_path / "m.onnx").exists()
