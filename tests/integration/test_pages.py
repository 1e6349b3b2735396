"""The commands of README and the guides, word for word, in the order of each page, on sounds made here.

A page's commands run in a folder that is the working folder and the home of whoever reads it, where the files
that the page names lie, small ones of their kind. All are run within this process but for those of the shell.
What is left out, and what ends with another exit code than 0, is listed below with its reason.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from echoic.audio.encode import write_audio
from echoic.audio.synthesis import make_piece, make_sound, talk
from echoic.encoders.onnx import BUNDLED
from tests.integration.conftest import CommandsWithin
from tests.media import mux

torch = pytest.importorskip("torch", reason="the pages train: pip install 'echoic[train]'")

ROOT = Path(__file__).parents[2]
# README last: what it does to its library, the others would find.
PAGES = [ROOT / "docs/getting-started.md", *sorted(ROOT.glob("docs/guides/*.md")), ROOT / "README.md"]
RATE = 16_000

#: How a command begins that is not run, and why.
LEFT_OUT = {
    "make ": "installs",
    "pip ": "installs",
    "echoic monitor https://": "a web radio",
    "echoic monitor --sources": "web radios",
    "echoic index /archive": "a folder that only an administrator makes, and three of them servers",
    "echoic index s3://": "a bucket; tests/integration/test_buckets.py has one",
    "SOUNDS=": "containers; as for docker",
    "docker ": "containers; tests/unit/test_deploy.py looks at what describes them",
    "helm ": "a cluster; the same",
    "kubectl ": "a cluster; the same",
    "export ECHOIC_MILVUS_TOKEN=": "a secret",
    "export ECHOIC_CATALOG_PASSWORD=": "a secret",
    "echoic serve --folder": "goes on until it is stopped; tests/integration/server serves",
    "echoic serve --key-file": "the same",
    "echoic mcp --": "the same; tests/integration/assistants asks it",
    "curl ": "asks a service; tests/integration/server does",
    "echoic models add": "fetches weights",
    "echoic index . --encoder phonemes": "weights that would have to be fetched",
    "echoic index ~/interviews --encoder phonemes": "weights that would have to be fetched",
    "echoic index ~/interviews --encoder speech": "weights that would have to be fetched",
    "echoic index ~/films --transcripts": "films with subtitles; test_transcripts has them",
    "echoic transcript": "the same",
    "echoic search --phrase": "weights that would have to be fetched",
    "echoic index ~/interviews --encoder voice": "people who speak",
    "echoic search --voice": "people who speak",
    "echoic describe --voices": "people who speak",
}
#: Commands that are to end with another exit code than 0, and why.
ENDS_WITH = {
    ("README.md", "echoic index sounds", 2): (1, "half of a file cannot be decoded, as the page shows"),
}
#: Pages of which no command is run.
ALL_LEFT_OUT = {"transcripts.md"}
SHELL = ("mv ", "rm ", "cp ")


def commands(page):
    """List the commands of a page's console blocks, each on one line and without its remark."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    text = "\n".join(blocks).replace("\\\n", " ")
    return [line.removeprefix("$ ") for line in text.splitlines() if line.startswith("$ ")]


def write(path, samples, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, np.asarray(samples, np.float32), rate)


def sound(family, take=0):
    return make_sound(family, take, sample_rate=RATE)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with everything that the pages name."""
    home = tmp_path_factory.mktemp("home")
    drive, cafe = (make_piece(name, sample_rate=RATE)[:, 0] for name in ("night-drive", "corner-cafe"))
    rain = np.tile(sound("rain"), 20)
    files = {
        "build/demo/sounds/drums/drum-01.opus": sound("drums", 0),
        "build/demo/sounds/drums/drum-04.wav": sound("drums", 3),
        "build/demo/sounds/pieces/night-drive.mp3": drive,
        "build/demo/sounds/pieces/corner-cafe.m4a": cafe,
        "build/demo/talk.mp3": talk(8, RATE),
        "build/demo/bar.mp3": drive[12 * RATE : 22 * RATE],
        "sounds/bells/bell-01.wav": sound("bells"),
        "sounds/birds/bird-02.ogg": sound("birds", 1),
        "sounds/birds/bird-04.mp3": sound("birds", 3),
        "sounds/bubbles/bubble-03.mp3": sound("bubbles", 2),
        "sounds/pieces/night-drive.mp3": drive,
        "sounds/rain/rain-02.flac": sound("rain", 1),
        "sounds/sirens/siren-01.flac": sound("sirens"),
        "sounds/voices/voice-01.ogg": sound("voices", 0),
        "sounds/voices/voice-04.m4a": sound("voices", 3),
        "music/night-drive.flac": drive,
        "recordings/morning.wav": sound("birds", 5),
        "field/2024/rain.wav": rain[: 12 * RATE],
        "field/2024/gull-raw.wav": sound("birds", 8),
        "bar.mp3": drive[12 * RATE : 22 * RATE],
        "set.flac": drive[: 20 * RATE],
        "monday.flac": np.concatenate([cafe[: 10 * RATE], drive[: 8 * RATE]]),
        "tuesday.flac": drive[: 12 * RATE],
        "studio.flac": cafe,
        "recorder.wav": drive[: 30 * RATE],
        "mix.wav": sound("sirens", 2),
        "street.wav": sound("sirens", 1),
        "door.wav": sound("drums", 5),
        "call.wav": sound("birds", 6),
        "take.flac": rain[: 70 * RATE],
        "field-recording.flac": rain[: 70 * RATE],
        "rain-on-tin.wav": sound("rain", 2),
        "gutter.mp3": sound("bubbles", 4),
        "waterfall.ogg": sound("rain", 3),
        "rain.wav": sound("rain", 4),
        **{f"{name}.wav": sound("plucks", take) for take, name in enumerate("abc")},
    }
    for number, family in enumerate(("birds", "engines")):  # classes that nobody could confuse
        for take in range(6):
            files[f"birds/{family}/{take}.wav"] = sound(family, take)[:RATE]
        for take in range(6, 8):
            files[f"more-birds/{family}/{take}.wav"] = sound(family, take + number)[:RATE]
    for name, samples in files.items():
        write(home / name, samples)
    (home / "fx").mkdir()
    write_audio(home / "fx" / "step.wav", sound("drums", 7)[: 2 * RATE], RATE, tags={"genre": "foley"})
    mux(home / "camera.mp4", "mp4", "aac", drive[4 * RATE : 30 * RATE, None], sample_rate=RATE, video="mpeg4")
    whole = (home / "music" / "night-drive.flac").with_suffix(".mp3")
    write(whole, drive)
    (home / "half-a-file.mp3").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.unlink()
    shutil.copy(BUNDLED / "sound.echoic", home / "earlier.echoic")
    for suffix in (".onnx", ".json"):
        shutil.copy(BUNDLED / f"sound{suffix}", home / f"large{suffix}")
    return home


@pytest.fixture(scope="module")
def reader(home):
    """Whoever reads the pages: has indexed a few folders already, as every guide supposes."""
    reader = CommandsWithin(home / "library")
    reader.environment |= {"HOME": str(home), "ECHOIC_CACHE": str(home / "cache")}
    reader("index", home / "sounds", home / "field", home / "fx", "--jobs", 1)
    return reader


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    """A step or two an epoch, and an end at the first perfect one: a training says and leaves the same."""
    monkeypatch.setattr("echoic.training.loop._STEPS", (1, 2))
    monkeypatch.setattr("echoic.training.loop._PERFECT_EPOCHS", 1)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run(reader, home, command, code):
    """Run a command of a page as its shell would."""
    if command.startswith(SHELL):
        subprocess.run(command, shell=True, cwd=home, check=True)
        return
    words = shlex.split(command, comments=True)
    assert words.pop(0) == "echoic", command
    program, target = None, None
    if "|" in words:
        at = words.index("|")
        words, (name, *program) = words[:at], words[at + 1 :]
        assert name == "jq", command
    elif {">", ">>"} & set(words[-2:-1]):
        *words, _, target = words
    said = reader(*words, code=code, cwd=home).stdout
    if program is not None:  # no program but Echoic is needed here: what jq would look for is there
        fields = re.findall(r"\.(\w+)", program[-1])
        assert fields, command
        assert all(set(fields) <= set(json.loads(line)) for line in said.splitlines()), command
    if target is not None:
        (home / target).write_text(said)


def test_every_command_of_the_pages_is_run_or_left_out_for_a_reason():
    every = [command for page in PAGES for command in commands(page)]
    for command in every:
        assert command.startswith(("echoic ", *SHELL, *LEFT_OUT)), f"neither run nor left out: {command}"
    for begin in LEFT_OUT:
        assert any(command.startswith(begin) for command in every), f"no page has {begin}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_it_says(page, reader, home):
    seen: Counter[str] = Counter()
    for command in commands(page):
        if command.startswith(tuple(LEFT_OUT)):
            continue
        seen[command] += 1
        code, _ = ENDS_WITH.get((page.name, command, seen[command]), (0, ""))
        run(reader, home, command, code)
    assert bool(seen) != (page.name in ALL_LEFT_OUT), f"of the commands of {page.name} these were run: {seen}"


def test_a_report_beside_a_model_of_its_name_leaves_the_model_usable(reader, home):
    for command in commands(ROOT / "README.md"):
        # Done already, unless this test is run alone.
        if (
            command.startswith(("echoic train", "echoic export", "echoic evaluate"))
            and not (home / "birds.figures.json").exists()
        ):
            run(reader, home, command, 0)
    card = json.loads((home / "birds.json").read_text("utf-8"))
    assert card["sha256"]["graph"] == hashlib.sha256((home / "birds.onnx").read_bytes()).hexdigest()
    facts = json.loads((home / "birds.figures.json").read_text("utf-8"))
    assert facts["data"] == "more-birds"
    assert "birds.figures.json" in (home / "birds.html").read_text("utf-8")
    assert json.loads((home / "birds.report.json").read_text("utf-8"))["data"] == "birds"
    # And the other way round: the page first, then a model of its name.
    (home / "birds.onnx").unlink()
    (home / "birds.json").unlink()
    reader("export", "birds.echoic", "-o", "birds.onnx", cwd=home)
    assert json.loads((home / "birds.figures.json").read_text("utf-8")) == facts
