"""``echoic train`` as a person meets it: a model, a report, an encoder for the other verbs; bad input."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time

import numpy as np
import pytest

from echoic.audio.encode import write_audio
from echoic.encoders.onnx import BUNDLED
from echoic.nn.checkpoint import load_checkpoint
from echoic.training.recipes import RECIPES
from tests.integration.conftest import CommandLine, CommandsWithin

RATE = 16_000
SMALL = ("--window", "0.5", "--epochs", "2", "--threads", "1", "--dim", "16")
QUICK = (*SMALL, "--from-scratch")
BANDS = {"high": (3_000, 6_000), "low": (80, 300), "middle": (600, 1_500)}


def write_sound(path, label, seed):
    """Write .6 s of three tones from the band that is the class's own, over faint noise."""
    rng = np.random.default_rng([seed, *map(ord, label)])
    time = np.arange(round(0.6 * RATE)) / RATE
    samples = rng.normal(0, 0.01, len(time))
    for hz in rng.uniform(*BANDS[label], 3):
        samples += 0.2 * np.sin(2 * np.pi * hz * time)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, samples.astype(np.float32), RATE)


def commands(tmp_path, kind=CommandsWithin):
    made = kind(tmp_path / "library")
    made.environment["ECHOIC_CACHE"] = str(tmp_path / "cache")
    return made


@pytest.fixture
def echoic(tmp_path):
    return commands(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of three classes, one of its clips unreadable, and what a training on it said and left."""
    home = tmp_path_factory.mktemp("train")
    for label in BANDS:
        for seed in range(8):
            write_sound(home / "sounds" / label / f"{seed}.wav", label, seed)
    (home / "sounds" / "low" / "bad.wav").write_text("not audio")
    echoic = commands(home)
    said = echoic("train", home / "sounds", "-o", home / "m.echoic", *QUICK, "--classify", "1", code=1)
    return home, echoic, said


@pytest.fixture(scope="module")
def exported(trained):
    """The encoder of that training, at a path with a space."""
    home, echoic, _ = trained
    (home / "exported").mkdir()
    echoic("export", home / "m.echoic", "-o", home / "exported" / "my sounds.onnx")
    return home / "exported" / "my sounds.onnx"


def test_training_says_what_it_did(trained):
    home, _, said = trained
    assert f"warning: {home / 'sounds' / 'low' / 'bad.wav'}" in said.stderr
    assert "epoch 1  loss" in said.stderr
    assert "held-out P@1" in said.stderr
    # 8 of 24 are held out: at least two of each class, so that each has another to find.
    assert "m.echoic: cnn-supcon, " in said.stdout
    assert f"report: {home / 'm.report.html'}" in said.stdout
    assert not (home / "m.echoic.part").exists()


def test_the_checkpoint_tells_how_it_came_about(trained):
    home, _, _ = trained
    checkpoint = load_checkpoint(home / "m.echoic")
    assert checkpoint.labels == ("high", "low", "middle")
    data = checkpoint.training["data"]
    assert data["path"] == str(home / "sounds")
    assert 12 <= data["clips"] <= 20
    assert checkpoint.training["seed"] == 0
    assert checkpoint.training["classify"] == 1
    assert set(checkpoint.figures) == {"p1", "mean_average_precision"}


def test_the_report_tells_what_the_checkpoint_does(trained):
    home, _, _ = trained
    facts = json.loads((home / "m.report.json").read_text("utf-8"))
    assert [encoder["name"] for encoder in facts["encoders"]] == ["m.echoic", "sound", "spectral"]
    model = facts["encoders"][0]
    figures = load_checkpoint(home / "m.echoic").figures
    assert model["precision_at_1"]["value"] == pytest.approx(figures["p1"])
    assert model["mean_average_precision"]["value"] == pytest.approx(figures["mean_average_precision"])
    assert len(facts["curves"]["epochs"]) == 2
    page = (home / "m.report.html").read_text("utf-8")
    assert "cnn-supcon" in page
    assert "middle" in page


def test_the_model_serves_every_verb_once_exported(trained, exported, tmp_path):
    home, echoic, _ = trained
    model = exported
    query = home / "sounds" / "high" / "0.wav"
    echoic("embed", query, "--encoder", model, "-o", tmp_path / "v.npz")
    assert np.load(tmp_path / "v.npz")["vectors"].shape == (1, 16)
    echoic("index", home / "sounds", "--encoder", model, code=1)  # one clip is no audio
    found = [
        json.loads(line) for line in echoic("search", query, "--encoder", model, "--json").stdout.splitlines()
    ]
    assert "/high/" in found[0]["path"]
    table = echoic("evaluate", home / "sounds", "--encoder", "spectral", "--encoder", model, code=1).stdout
    assert "spectral" in table


def test_a_search_sees_what_the_training_measured(trained, exported, tmp_path):
    from echoic.training.cache import AudioCache
    from echoic.training.loop import Settings, embed_clips

    home, echoic, _ = trained
    files = [home / "sounds" / label / "0.wav" for label in BANDS]
    echoic("embed", *files, "--encoder", exported, "-o", tmp_path / "v.npz")
    archive = np.load(tmp_path / "v.npz")
    order = [str(path) for path in archive["paths"]]
    cached, _ = AudioCache(home / "cache").fill(files, RATE)
    settings = Settings(recipe=RECIPES["cnn-supcon"], window=0.5)
    vectors = embed_clips(
        load_checkpoint(home / "m.echoic").embedder(), [cached[path] for path in files], settings
    )
    looked_up = archive["vectors"][[order.index(str(path)) for path in files]]
    assert (np.sum(vectors * looked_up, axis=1) > 0.9999).all()


def test_it_says_how_the_model_compares_with_what_needs_no_training(trained):
    home, _, said = trained
    facts = json.loads((home / "m.report.json").read_text("utf-8"))
    reached = [encoder["mean_average_precision"]["value"] for encoder in facts["encoders"]]
    assert (
        f"mAP of the clips held out: {reached[0]:.3f}; sound {reached[1]:.3f}; spectral {reached[2]:.3f}\n"
    ) in said.stdout
    as_good = [
        name for name, value in zip(("sound", "spectral"), reached[1:], strict=True) if value >= reached[0]
    ]
    told = [line for line in said.stderr.splitlines() if "finds them as well" in line]
    assert [re.findall(r"sound|spectral", line) for line in told] == ([as_good] if as_good else [])


def test_evaluate_tells_what_a_model_was_taught(trained, exported, tmp_path):
    home, echoic, _ = trained
    model = exported
    learnt = load_checkpoint(home / "m.echoic").training["data"]["clips"]
    words = ("--encoder", "spectral", "--encoder", model, "--json")
    said = echoic("evaluate", home / "sounds", *words, code=1)
    assert (
        f"warning: {model} was taught {learnt} and was chosen by {24 - learnt} of the 24 clips that ask, "
        "so that its figures flatter it"
    ) in said.stderr.splitlines()
    counts = [(row["n_taught"], row["n_held_out"]) for row in map(json.loads, said.stdout.splitlines())]
    assert counts == [(0, 0), (learnt, 24 - learnt)]
    for label in BANDS:
        for seed in (90, 91):
            write_sound(tmp_path / "other" / label / f"{seed}.wav", label, seed)
    assert echoic("evaluate", tmp_path / "other", *words).stderr == ""
    # A copy under another name is the same clip.
    shutil.copy(home / "sounds" / "low" / "0.wav", tmp_path / "other" / "low" / "copy.wav")
    assert re.search(
        r"was (taught|chosen by) 1 of the 7 clips", echoic("evaluate", tmp_path / "other", *words).stderr
    )


def test_it_goes_on_from_sound_where_it_can(trained, tmp_path, monkeypatch):
    home, echoic, _ = trained
    monkeypatch.setattr("echoic.training.loop._STEPS", (1, 1))
    words = ("train", home / "sounds", "--epochs", "1", "--threads", "1")
    said = echoic(*words, "-o", tmp_path / "m.echoic", code=1)
    assert "from scratch" not in said.stderr
    model = load_checkpoint(tmp_path / "m.echoic")
    assert (model.architecture, model.window, model.dim) == ("cnn", 5.0, 128)
    before = model.training["started_from"]
    assert before["data"]["clips"] == 18_572
    # One gentle step away from sound, which finds these clips already.
    sound = load_checkpoint(BUNDLED / "sound.echoic")
    weights = "blocks.0.conv1.weight"
    assert (model.weights[weights] - sound.weights[weights]).abs().max() < 0.01
    for options, why in (
        (("--recipe", "transformer-supcon", "--epochs", "1"), "sound has nothing to give to a transformer"),
        (("--window", "0.5"), "sound hears 5 s at a time, not 0.5"),
        (("--dim", "16", "--window", "5"), "sound gives 128 numbers, not 16"),
    ):
        said = echoic(*words, *options, "-o", tmp_path / "x.echoic", code=1)
        assert f"note: trained from scratch, as {why}" in said.stderr.splitlines()
        assert load_checkpoint(tmp_path / "x.echoic").training["started_from"] is None
    said = echoic(*words, "--from-scratch", "--window", "0.5", "-o", tmp_path / "x.echoic", code=1)
    assert "from scratch" not in said.stderr
    assert load_checkpoint(tmp_path / "x.echoic").training["started_from"] is None


def test_fine_tuning_and_starting_from_the_bundled_model(trained, tmp_path):
    home, echoic, _ = trained
    said = echoic(
        "train",
        home / "sounds",
        "-o",
        tmp_path / "tuned.echoic",
        "--start",
        home / "m.echoic",
        *SMALL,
        code=1,
    )
    assert "tuned.echoic" in said.stdout
    assert load_checkpoint(tmp_path / "tuned.echoic").training["started_from"]["recipe"] == "cnn-supcon"
    words = ("train", home / "sounds", "-o", tmp_path / "x.echoic", "--start")
    assert "nothing can be started from nothing" in echoic(*words, "nothing", code=2).stderr
    assert "contradict each other" in echoic(*words, "sound", "--from-scratch", code=2).stderr
    assert "vectors of 128 numbers, not 64" in echoic(*words, "sound", "--dim", "64", code=2).stderr


def test_another_encoder_teaches(trained, tmp_path):
    home, echoic, _ = trained
    echoic("embed", home / "sounds", "--encoder", "spectral", "--segments", "-o", tmp_path / "t.npz", code=1)
    words = ("train", home / "sounds", "--teacher", tmp_path / "t.npz", *QUICK)
    echoic(*words, "--distil", "2", "-o", tmp_path / "pupil.echoic", code=1)
    said = load_checkpoint(tmp_path / "pupil.echoic").training
    assert said["teacher"].pop("name").startswith("spectral@")
    assert said["teacher"] == {"clips": 18, "weight": 2.0}
    assert load_checkpoint(home / "m.echoic").training["teacher"] is None
    (tmp_path / "t.npz").write_bytes(b"not vectors")
    wrong = echoic(*words, "-o", tmp_path / "x.echoic", code=1)
    assert "the teacher's vectors" in wrong.stderr
    assert "echoic embed DATA --segments" in wrong.stderr


def test_a_folder_without_labels_is_learnt_by_its_recordings(echoic, tmp_path):
    for seed in range(10):
        write_sound(tmp_path / "takes" / f"{seed}.wav", ("low", "high")[seed % 2], seed)
    said = echoic("train", tmp_path / "takes", "--recipe", "cnn-ntxent", "-o", tmp_path / "m.echoic", *QUICK)
    assert "held-out P@1" in said.stderr
    facts = json.loads((tmp_path / "m.report.json").read_text("utf-8"))
    assert facts["encoders"][0]["n_queries"] == 4  # two recordings held out, two halves each
    assert load_checkpoint(tmp_path / "m.echoic").training["classify"] == 0


def test_a_manifest_says_what_is_held_out(echoic, tmp_path):
    lines = ["file,kind,part,take"]
    for label in ("low", "high"):
        for seed in range(6):
            write_sound(tmp_path / f"{label}{seed}.wav", label, seed)
            lines.append(f"{label}{seed}.wav,{label},{'dev' if seed > 3 else 'train'},{label}{seed}")
    manifest = tmp_path / "sounds.csv"
    manifest.write_text("\n".join(lines))
    named = (
        "--path-column",
        "file",
        "--label-column",
        "kind",
        "--split-column",
        "part",
        "--group-column",
        "take",
    )
    echoic("train", manifest, "-o", tmp_path / "m.echoic", *named, *QUICK)
    assert load_checkpoint(tmp_path / "m.echoic").training["data"]["clips"] == 8
    said = echoic("train", manifest, "-o", tmp_path / "x.echoic", *QUICK, code=1).stderr
    assert "has no column 'path'" in said
    assert "--path-column" in said


def test_the_recipes_are_listed_a_line_each(echoic):
    lines = echoic("train", "--list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(RECIPES)
    assert all(len(line.split(maxsplit=1)[1]) > 10 for line in lines)


def test_wrong_words_are_wrong_usage(echoic, tmp_path):
    assert "say what to train on" in echoic("train", code=2).stderr
    said = echoic("train", tmp_path, "--recipe", "cnn-tripelt", code=2).stderr
    assert "cnn-triplet" in said
    write_sound(tmp_path / "a" / "low" / "0.wav", "low", 0)
    said = echoic("train", tmp_path / "a", "-o", tmp_path / "m.onnx", code=2).stderr
    assert "ends in .echoic" in said
    said = echoic("train", tmp_path / "a", "-o", tmp_path / "none" / "m.echoic", code=2).stderr
    assert "does not exist" in said
    assert "cuda" in echoic("train", tmp_path / "a", "--device", "tpu", code=2).stderr


def test_a_file_in_the_place_of_the_report_is_met_before_the_training(echoic, tmp_path):
    write_sound(tmp_path / "a" / "low" / "0.wav", "low", 0)
    (tmp_path / "m.report.json").write_text("mine")
    said = echoic("train", tmp_path / "a", "-o", tmp_path / "m.echoic", code=2).stderr
    assert said == (
        f"error: the figures would be written to {tmp_path / 'm.report.json'}, which is something else; "
        "choose another name\n"
    )
    assert (tmp_path / "m.report.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        (["low/0.wav", "low/1.wav", "low/2.wav"], "only one class"),
        (["low/0.wav", "high/0.wav", "middle/0.wav"], "one clip|single clip|only clip|one recording"),
        ([], "no audio"),
    ],
)
def test_data_that_teaches_nothing_is_refused(files, sentence, echoic, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for file in files:
        write_sound(data / file, file.partition("/")[0], 0)
    said = echoic("train", data, "-o", tmp_path / "m.echoic", *QUICK, code=1).stderr
    assert len(said.strip().splitlines()) == 1
    assert re.search(sentence, said), said
    assert not (tmp_path / "m.echoic").exists()


def test_clips_that_cannot_be_read_are_refused_when_none_is_left(echoic, tmp_path):
    for name in ("a/0.wav", "a/1.wav", "b/0.wav", "b/1.wav"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not audio")
    (tmp_path / "data" / "stray.wav").write_text("of no class")
    said = echoic("train", tmp_path / "data", "-o", tmp_path / "m.echoic", *QUICK, code=1).stderr
    assert "note: 1 file lies directly in " in said
    assert "none of the 4 clips of data can be learnt from" in said


@pytest.mark.parametrize(
    ("splits", "sentence"),
    [
        (["train"], "each class has one clip"),
        (["train", "train", "validation"], "no class has two clips or groups held out"),
    ],
)
def test_a_refusal_names_the_clips_that_could_not_be_read(splits, sentence, echoic, tmp_path):
    lines = ["path,label,split", "gone.wav,low,train", "lost.wav,high,train"]
    for label in ("low", "high"):
        for seed, split in enumerate(splits):
            write_sound(tmp_path / f"{label}{seed}.wav", label, seed)
            lines.append(f"{label}{seed}.wav,{label},{split}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    said = echoic("train", tmp_path / "m.csv", "-o", tmp_path / "m.echoic", *QUICK, code=1).stderr
    assert len(said.strip().splitlines()) == 1
    assert sentence in said
    assert f"2 of the {len(lines) - 1} clips of m cannot be used, the first: " in said
    assert "gone.wav" in said


def test_a_label_in_the_held_out_split_alone_is_refused(echoic, tmp_path):
    lines = ["path,label,split"]
    for label, split in (
        ("low", "train"),
        ("high", "train"),
        ("low", "validation"),
        ("middle", "validation"),
    ):
        for seed in range(2):
            name = f"{label}-{split}-{seed}.wav"
            write_sound(tmp_path / name, label, seed)
            lines.append(f"{name},{label},{split}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    said = echoic("train", tmp_path / "m.csv", "-o", tmp_path / "m.echoic", *QUICK, code=1).stderr
    assert "'middle'" in said


def test_a_label_that_no_held_out_clip_has_is_learnt_and_said_to_be_unmeasured(echoic, tmp_path):
    lines = ["path,label,split"]
    for label, splits in (("low", "tv"), ("high", "tv"), ("middle", "t")):
        for split in splits:
            for seed in range(2):
                name = f"{label}-{split}-{seed}.wav"
                write_sound(tmp_path / name, label, seed)
                lines.append(f"{name},{label},{'train' if split == 't' else 'validation'}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    ran = echoic("train", tmp_path / "m.csv", "-o", tmp_path / "m.echoic", *QUICK)
    notes = [line for line in ran.stderr.splitlines() if line.startswith("note: no clip")]
    assert notes == ["note: no clip of 'middle' is held out: learnt from, not measured"]
    assert load_checkpoint(tmp_path / "m.echoic").training["data"]["labels"] == 3


def test_a_killed_training_goes_on(trained, tmp_path):
    home, _, _ = trained
    data = tmp_path / "sounds"
    shutil.copytree(home / "sounds", data)
    (data / "low" / "bad.wav").unlink()
    echoic = commands(tmp_path, CommandLine)
    words = (
        "train",
        data,
        "-o",
        tmp_path / "m.echoic",
        "--window",
        "0.5",
        "--epochs",
        "6",
        "--threads",
        "1",
        "--from-scratch",
    )
    part = tmp_path / "m.echoic.part"
    with echoic.start(*words) as process:
        end = time.monotonic() + 60
        while not part.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL, said
    assert part.exists()
    load_checkpoint(tmp_path / "m.echoic")
    said = echoic(*words)
    assert "epoch 1 " not in said.stderr
    assert not part.exists()
