"""Names, entry points, and models by path."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest

from echoic.encoders.onnx import BUNDLED, OnnxEncoder
from echoic.encoders.registry import Entry, Registry, available, load_encoder
from echoic.errors import EncoderError, UnknownEncoderError, UsageError
from echoic.spec import EncoderSpec


def test_two_encoders_of_one_name_are_refused():
    registry = Registry([Entry("sound", "echoic", object)])
    with pytest.raises(UsageError, match="named 'sound', echoic and other-package; uninstall"):
        registry.add(Entry("sound", "other-package", object))


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownEncoderError, match=r"no encoder named 'sonud'; choose from .*spectral"):
        load_encoder("sonud")


def test_nothing_is_made_before_it_is_asked_for():
    def explode():
        raise AssertionError

    registry = Registry([Entry("mine", "package", explode)])
    assert [entry.name for entry in registry] == ["mine"]
    with pytest.raises(AssertionError):
        registry.load("mine")


def test_what_is_no_encoder_is_refused():
    with pytest.raises(EncoderError, match="package made a object for 'mine'"):
        Registry([Entry("mine", "package", object)]).load("mine")


def test_other_packages_add_encoders_by_entry_point(tmp_path):
    (tmp_path / "squeak.py").write_text(
        textwrap.dedent(
            """
            import numpy as np
            from echoic import EncoderSpec, Waveform

            class Squeak:
                spec = EncoderSpec("squeak", "7", 8_000, 1.0, 0.5, 3)
                front_end = Waveform(8_000)

                def encode(self, features):
                    return np.tile(np.float32([1, 0, 0]), (len(features), 1))
            """
        )
    )
    information = tmp_path / "squeak-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: squeak\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[echoic.encoders]\nsqueak = squeak:Squeak\n")
    code = (
        "from echoic.encoders.registry import available\n"
        "registry = available()\n"
        "print({e.name: e.provider for e in registry}['squeak'], registry.load('squeak').spec.key)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["squeak", "squeak@7"]


@pytest.fixture
def model(tmp_path):
    """A copy of the bundled model, under a path of its own."""
    for suffix in (".onnx", ".json"):
        (tmp_path / f"mine{suffix}").write_bytes((BUNDLED / f"sound{suffix}").read_bytes())
    return tmp_path / "mine.onnx"


def test_a_model_is_run_from_its_path(model):
    encoder = load_encoder(str(model))
    assert encoder.spec == available().load("sound").spec


def test_a_missing_model(tmp_path):
    with pytest.raises(
        UnknownEncoderError, match=r"no model .*gone\.onnx, nor its card gone\.json; put both"
    ):
        load_encoder(str(tmp_path / "gone.onnx"))


def test_a_missing_card_beside_its_file(model):
    model.with_suffix(".json").unlink()
    with pytest.raises(EncoderError, match=r"mine\.onnx lacks its card, mine\.json in the same folder"):
        OnnxEncoder(model)


def test_a_card_that_cannot_be_opened(model):
    model.with_suffix(".json").unlink()
    model.with_suffix(".json").mkdir()
    with pytest.raises(EncoderError, match=r"card .*mine\.json of the model cannot be read"):
        OnnxEncoder(model)


def test_a_missing_file_beside_its_card(model):
    model.unlink()
    with pytest.raises(EncoderError, match=r"mine\.onnx cannot be read \(No such file"):
        OnnxEncoder(model).check()


def test_damaged_weights(model):
    weights = bytearray(model.read_bytes())
    weights[len(weights) // 2] ^= 1
    model.write_bytes(bytes(weights))
    with pytest.raises(EncoderError, match="not the file that its card describes; export or install it anew"):
        OnnxEncoder(model).check()


@pytest.mark.parametrize("field", ["sha256", "dim", "front_end", "window"])
def test_a_card_without_a_field(model, field):
    card = json.loads(model.with_suffix(".json").read_text())
    del card[field]
    model.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(EncoderError, match=rf"mine\.json cannot be used: it lacks '{field}'; correct it"):
        OnnxEncoder(model)


def test_a_card_says_how_vectors_are_stored(model):
    card = json.loads(model.with_suffix(".json").read_text())
    assert OnnxEncoder(model).spec.storage == "float32"
    model.with_suffix(".json").write_text(json.dumps(card | {"storage": "int8"}))
    assert OnnxEncoder(model).spec.storage == "int8"
    model.with_suffix(".json").write_text(json.dumps(card | {"storage": "int4"}))
    with pytest.raises(EncoderError, match="storage is 'int4' and must be float32 or int8"):
        OnnxEncoder(model)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_card_that_is_no_card(model, text):
    model.with_suffix(".json").write_text(text)
    with pytest.raises(EncoderError, match="card"):
        OnnxEncoder(model)


def test_events_are_those_of_sound():
    events, sound = load_encoder("events"), load_encoder("sound")
    assert (events.spec.by, events.spec.purposes) == ("event", frozenset({"occurrences"}))
    assert events.spec.revision.startswith(f"{sound.spec.revision}.")
    assert events.front_end == sound.front_end


@pytest.mark.parametrize(
    ("by", "purposes"),
    [("event", {"sounds"}), ("event", {"sounds", "occurrences"}), ("window", {"occurrences"})],
)
def test_occurrences_and_nothing_else_are_found_by_event(by, purposes):
    with pytest.raises(ValueError, match="by event"):
        EncoderSpec("mine", "1", 16_000, 5.0, 5.0, 8, by=by, purposes=frozenset(purposes))
