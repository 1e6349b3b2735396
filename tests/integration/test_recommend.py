"""``echoic recommend`` and ``echoic.recommend`` from files to advice."""

import json
import math
import re
import signal
import time

import numpy as np
import pytest

import echoic
from echoic.audio.encode import write_audio
from echoic.errors import DatasetError, UsageError
from tests.integration.conftest import RATE, STOPPED, CommandLine, CommandsWithin, write_clip
from tests.models import write_model

TWO = ("--encoder", "sound", "--encoder", "spectral")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A folder with two classes, of which one file is none."""
    folder = tmp_path_factory.mktemp("recommend") / "sounds"
    rng = np.random.default_rng(0)
    for take in range(4):
        clock = np.arange(RATE) / RATE
        hum = 0.3 * np.sin(2 * np.pi * (200 + 5 * take) * clock) + rng.normal(0, 0.01, RATE)
        for label, samples in (("hum", hum), ("hiss", rng.normal(0, 0.1, RATE))):
            (folder / label).mkdir(parents=True, exist_ok=True)
            write_audio(folder / label / f"{take}.wav", samples.astype(np.float32), RATE)
    (folder / "hiss" / "broken.wav").write_text("no sound at all")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return CommandsWithin(tmp_path_factory.mktemp("home") / "library")


def test_labels_tell_how_well_each_encoder_finds(sounds, run):
    done = run("recommend", sounds, *TWO, "--json")
    [line] = done.stdout.splitlines()
    told = json.loads(line)
    assert told["measure"] == "labels"
    assert (told["files"], told["sample"], told["labels"]) == (9, 8, 2)
    assert told["hours"] == pytest.approx(8 / 3600, rel=0.01)
    assert "broken.wav" in done.stderr  # told, and no more
    assert [*told["failed"]] == [str(sounds / "hiss" / "broken.wav")]
    names = [one["encoder"] for one in told["candidates"]]
    assert sorted(names) == ["sound", "spectral"]
    assert told["encoder"] == names[0]
    assert told["command"] == f"echoic index {sounds} --encoder {names[0]}"
    assert told["store"] == "exact"
    assert math.isclose(sum(told["kinds"].values()), 1, abs_tol=0.01)
    for one in told["candidates"]:
        assert one["mean_average_precision"] == 1.0  # tones and noise
        assert 0 < one["latency"] < 10
        assert one["segments"] == 9  # a window a file, that which nobody can read by its size


def test_without_labels_it_is_guessed_and_said_so(sounds, run):
    done = run("recommend", sounds, *TWO, "--no-labels")
    assert "finding is guessed by copies and cuts, without labels" in done.stdout
    assert re.search(r"\nIndex with (sound|spectral), in the embedded store", done.stdout)
    assert "\n$ echoic index " in done.stdout
    again = run("recommend", sounds, *TWO, "--no-labels")
    figures = [re.findall(r"^(\w+) +(\d\.\d+) +(\d\.\d+)", out.stdout, re.MULTILINE) for out in (done, again)]
    assert len(figures[0]) == 2
    assert figures[0] == figures[1]  # always the same sample, and the same copies


def test_a_model_of_ones_own_is_tried_beside_the_others(sounds, run, tmp_path):
    model = write_model(tmp_path / "mine.onnx")
    told = json.loads(run("recommend", sounds, "--encoder", model, "--encoder", "spectral", "--json").stdout)
    assert {one["encoder"] for one in told["candidates"]} == {str(model), "spectral"}


def test_more_hours_take_longer_and_outgrow_the_machine(sounds, run):
    small, large = (
        json.loads(run("recommend", sounds, "--encoder", "spectral", "--hours", hours, "--json").stdout)
        for hours in (10, 100_000)
    )
    assert (small["hours"], large["hours"]) == (pytest.approx(10), pytest.approx(100_000))
    assert large["indexing"] > 1000 * small["indexing"]
    assert small["store"] == "exact"
    outgrown = run(
        *("recommend", sounds, "--encoder", "spectral", "--hours", 1_000_000, "--memory", 1000, "--json")
    )
    assert json.loads(outgrown.stdout)["store"] == "milvus"
    assert "--store http://SERVER:19530" in json.loads(outgrown.stdout)["command"]


def test_what_no_encoder_keeps_to_ends_with_1_and_says_which_comes_nearest(sounds, run):
    done = run("recommend", sounds, "--encoder", "spectral", "--latency", "0.000001", code=1)
    assert "spectral does not keep to what you ask for: it answers in" in done.stdout
    assert "too slow to ask" in done.stdout
    assert "$ echoic" not in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["absent"], "does not exist"),
        (["sounds", "--encoder", "absent"], "there is no encoder named 'absent'"),
        (["sounds", "--encoder", "harmony"], "cannot be compared"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(sounds, run, words, said):
    code = 1 if words == ["absent"] else 2
    done = run("recommend", *words, code=code, cwd=sounds.parent)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [("--latency", "0"), ("--memory", "-3"), ("--hours", "many"), ("--hours", "inf")],
)
def test_limits_are_numbers_above_0(sounds, run, option, value):
    assert f"{value!r} is no " in run("recommend", sounds, option, value, code=2).stderr


def test_from_python(sounds):
    told = []
    seen = []
    advice = echoic.recommend(sounds, encoders="spectral", progress=seen.append, told=told.append)
    assert advice.encoder == "spectral"
    assert isinstance(advice, echoic.Advice)
    assert isinstance(advice.candidates[0], echoic.Candidate)
    assert advice.sentence.startswith("Index with spectral")
    assert [now.done for now in seen] == sorted(now.done for now in seen)
    assert told == []
    with pytest.raises(UsageError, match="memory is a number above 0, and not 0"):
        echoic.recommend(sounds, memory=0)


def test_one_sound_alone_is_nothing_to_compare_by(tmp_path):
    write_clip(tmp_path / "one" / "a.wav")
    with pytest.raises(DatasetError, match="only one stretch of sound"):
        echoic.recommend(tmp_path / "one", encoders="spectral")
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "a.wav").write_text("text")
    with pytest.raises(DatasetError, match=r"nothing is heard in the 1 files .* holds no sound"):
        echoic.recommend(tmp_path / "none", encoders="spectral")


def test_ctrl_c_stops_it(tmp_path):
    for seed in range(40):
        write_clip(tmp_path / "many" / f"{seed}.wav", seed, seconds=10)
    with CommandLine(tmp_path / "library").start("recommend", tmp_path / "many") as process:
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode in STOPPED
    assert (out, err.splitlines()[-1:]) == (b"", [b"stopped"])


def test_hours_have_an_end(sounds, run):
    assert "hours are at most 10,000,000" in run("recommend", sounds, *TWO, "--hours", "1e300", code=2).stderr
