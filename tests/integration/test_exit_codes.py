"""One exit code for one kind of wrong, whatever the verb, and one sentence for each."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

from echoic import Library, UsageError
from echoic.audio.encode import write_audio
from tests.hostile import wav_header
from tests.integration.conftest import RATE, CommandsWithin, write_clip
from tests.media import write_film

ABSENT = "absent.wav"
LONG = 260 * "a" + ".wav"
ADDRESS = "http://127.0.0.1:9/a.mp3"


def uses(name: str, sentence: str) -> list[str]:
    """Give the sentence, and all commands that need a file's sound, or that of folders of such files."""
    return [
        sentence,
        f"search {name}",
        f"search --like {name}",
        f"search audio/0.flac --unlike {name}",
        f"search {name} --versions",
        f"align {name} audio/0.flac",
        f"align audio/0.flac {name}",
        f"embed {name} --encoder spectral -o o.npz",
        f"evaluate of-{name} --encoder spectral",
        f"recommend of-{name} --encoder spectral",
        f"train of-{name}",
    ]


def every_use(name: str, sentence: str) -> list[str]:
    """Give the sentence, and all commands that read a file."""
    more = ("index --library other --encoder spectral", "identify", "monitor", "describe", "show -o o.svg")
    return [*uses(name, sentence), *(f"{verb} {name}" for verb in more)]


KINDS = {
    "a file that is not there": (
        1,
        r"absent(\.\w+)?\b.* (does not exist|cannot be read)",
        f"search {ABSENT}",
        f"search --like {ABSENT}",
        f"search {ABSENT} --versions",
        f"identify {ABSENT}",
        f"monitor {ABSENT}",
        f"describe {ABSENT}",
        f"transcript {ABSENT}",
        f"show {ABSENT} -o o.svg",
        f"teach hoot --yes {ABSENT}",
        f"align {ABSENT} audio/0.flac",
        f"align audio/0.flac {ABSENT}",
        f"embed {ABSENT} --encoder spectral -o o.npz",
        f"index {ABSENT}",
        f"index {ABSENT} --library new",
        "index audio/0.flac/absent.wav --library new",
        "search audio/0.flac/absent.wav",
        "search --phrase absent.wav",
        "describe audio/0.flac/absent.wav",
        "embed audio/0.flac/absent.wav --encoder spectral -o o.npz",
        "evaluate absent",
        "recommend absent",
        "train absent",
        "export absent.echoic -o o.onnx",
        "demo absent",
    ),
    "a file that holds no sound": (
        1,
        "audio/bad.wav holds no sound",
        "search audio/bad.wav",
        "search audio/bad.wav --versions",
        "identify audio/bad.wav",
        "monitor audio/bad.wav",
        "describe audio/bad.wav",
        "transcript audio/bad.wav",
        "align audio/bad.wav audio/0.flac",
        "embed audio/bad.wav --encoder spectral -o o.npz",
        "index audio/bad.wav --library other --encoder spectral",
    ),
    "a file without a track of sound": (
        1,
        *every_use("film.mp4", "film.mp4 holds no sound: it has no"),
    ),
    "a file without a sample": (
        1,
        *every_use("none.wav", "none.wav holds no sound: no sample of"),
    ),
    "a file that leads to itself": (
        1,
        *every_use("loop.wav", "loop.wav is a loop of symbolic links"),
    ),
    "a file whose name is too long": (
        1,
        "(cannot be opened|cannot be used) .File name too long.|does not exist",
        *(f"{verb} {LONG}" for verb in ("index --library new", "search", "identify", "monitor", "describe")),
        f"align {LONG} audio/0.flac",
        f"embed {LONG} --encoder spectral -o o.npz",
        f"demo {LONG}",
    ),
    "silence where sound is needed": (1, *uses("silent.wav", "no sound in it|silent.wav is silent|silent$")),
    "two samples where more are needed": (1, *uses("two.wav", "no sound in it|too short|silent$")),
    "a folder where a file is needed": (
        1,
        "audio is a directory; give the files in it",
        *(
            f"{verb} audio"
            for verb in ("search", "identify", "describe", "show -o o.svg", "align audio/0.flac")
        ),
    ),
    "a file where a folder is needed": (
        1,
        r"0\.flac is (neither a folder nor a manifest|not a folder)",
        *(f"{verb} audio/0.flac" for verb in ("evaluate", "recommend", "train", "demo")),
    ),
    "a folder that holds no sound": (
        1,
        "hollow holds (no audio|0 readable)",
        "embed hollow --encoder spectral -o o.npz",
        *(f"{verb} hollow" for verb in ("monitor", "evaluate", "recommend", "train", "demo")),
    ),
    "an address that cannot be reached": (
        1,
        r"127\.0\.0\.1:9/a\.mp3 cannot be listened to \(Connection refused\); check the address",
        *(f"monitor {address}" for address in (ADDRESS, "icy" + ADDRESS[4:])),
    ),
    "an address where a file is needed": (
        2,
        "is an address; give a file or a folder",
        *(f"monitor {address}" for address in ("ftp://host/a.mp3", "file:///a.mp3", "rtsp://host/a")),
        *(
            f"{verb} {ADDRESS}"
            for verb in (
                "index",
                "search",
                "search --like",
                "search --phrase",
                "identify",
                "describe",
                "list",
            )
        ),
        *(f"{verb} {ADDRESS}" for verb in ("remove", "evaluate", "recommend", "train", "demo")),
        f"search {ADDRESS} --versions",
        f"align {ADDRESS} audio/0.flac",
        f"embed {ADDRESS} --encoder spectral -o o.npz",
        f"embed audio --encoder spectral -o {ADDRESS}",
        f"tag {ADDRESS} --add x",
        f"export {ADDRESS} -o o.onnx",
        f"index audio --library {ADDRESS}",
    ),
    "a library without that encoder": (
        2,
        "the library has no encoder '(sound|harmony|fingerprint|phonemes|spoken)', only spectral"
        "|no encoder of the library only takes text",
        "search audio/0.flac --encoder sound --library only",
        "search audio/0.flac --versions --library only",
        "search --text rain --library only",
        "search --phrase hello --library only",
        "search --phrase audio/0.flac --library only",
        "identify audio/0.flac --library only",
        "monitor audio/0.flac --library only",
        "duplicates --library only",
        "remove --encoder sound --library only",
        "library export o.parquet --encoder sound --library only",
    ),
    "no library": (
        1,
        "there is no library at new yet; make one with: echoic index FOLDER",
        "search audio/0.flac --library new",
        "identify audio/0.flac --library new",
        "monitor audio/0.flac --library new",
        "duplicates --library new",
        "status --library new",
        "list --library new",
        "tag audio --add x --library new",
        "remove audio --library new",
        "library backup backup --library new",
        "library rebuild --library new",
        "library compact --library new",
        "library export o.parquet --library new",
        "library import o.parquet --library new",
    ),
    "a path that the library does not have": (
        2,
        r"nothing in the library is at (absent\.wav|nowhere/\*|audio/\*\.xyz)",
        f"list {ABSENT}",
        "list nowhere/*",
        "list audio/*.xyz",
        f"tag {ABSENT} --add x",
        f"tag audio/0.flac {ABSENT} --add x",
        "tag audio/*.xyz --add x",
        f"remove {ABSENT}",
        f"remove audio/0.flac {ABSENT}",
        "remove audio/*.xyz",
    ),
    "an encoder that is not there": (
        2,
        r"no (encoder|model) .*absent",
        "search audio/0.flac --encoder absent",
        "search audio/0.flac --encoder absent.onnx",
        "index audio --encoder absent",
        "index audio --encoder absent.onnx",
        "index audio --encoder absent --library new",
        "index audio --encoder absent.onnx --library new",
        "embed audio --encoder absent -o o.npz",
        "embed audio --encoder absent.onnx -o o.npz",
        "evaluate classes --encoder absent",
        "evaluate classes --encoder absent.onnx",
        "remove --encoder absent",
        "remove --encoder absent.onnx",
    ),
    "a number that makes no sense": (
        2,
        r"at least 1|is no (whole )?number|probability|no time|no file lasts"
        "|time in seconds|must come after",
        "search audio/0.flac -k 0",
        "search audio/0.flac -k many",
        "search audio/0.flac -k 0 --versions",
        "search audio/0.flac --start 3;20",
        "search audio/0.flac --start=-1",
        "search audio/0.flac --start 3 --end 2",
        "search audio/0.flac --end inf",
        "search audio/0.flac --min-duration=-1",
        "search audio/0.flac --min-duration 3 --max-duration 2",
        "search audio/0.flac --max-duration=-1",
        "search audio/0.flac --max-duration nan",
        "identify audio/0.flac --min-score 2",
        "identify audio/0.flac --start 0:61",
        "identify audio/0.flac --start 3 --end 0:02",
        "describe audio/0.flac --start 3 --end 0:02",
        "describe audio/0.flac --start=-1",
        "describe audio/0.flac --min-probability 2",
        "monitor audio/0.flac --min-score=-1",
        "duplicates --min-score nan",
        "index audio --jobs 0",
        "index audio --jobs many",
        "embed audio --jobs 0 -o o.npz",
        "evaluate classes --jobs 0",
        "demo --jobs 0",
        "train classes --epochs 0",
        "train classes --minutes soon",
    ),
    "a part that lies behind the end": (
        2,
        r"0\.flac ends before (50(\.0)?|4529\.5) s; ask for an earlier part",
        "search audio/0.flac --start 0:50",
        "search audio/0.flac --start 1:15:29.5 --end 1:15:31",
        "search audio/0.flac --start 50 --versions",
        "identify audio/0.flac --start 0:50",
        "identify audio/0.flac --start 1:15:29.5",
        "describe audio/0.flac --start 0:50",
        "describe audio/0.flac --start 1:15:29.5 --end 1:15:31",
    ),
    "a tag that says nothing": (
        2,
        "is no tag: one is VALUE or NAME=VALUE, and neither is empty",
        "index audio --tag ",
        "index audio --tag mood=",
        "index audio --library new --tag ",
        "tag audio --add ",
        "tag audio --add =dark",
        "tag audio --add ;",
        "tag audio --remove mood=",
        "search audio/0.flac --tag ",
        "search audio/0.flac --tag =",
        "search audio/0.flac --tag mood=",
        "list --tag ",
        "list audio --tag =dark",
    ),
    "a name that is empty": (
        2,
        "is empty|are empty|an empty (name stands for nothing|glob fits no file)",
        "index ",
        "index audio --encoder ",
        "index audio --library new --store ",
        "list ",
        "remove ",
        "remove --encoder ",
        "tag  --add x",
        "search ",
        "search audio/0.flac --path ",
        "search audio/0.flac --encoder ",
        "search --like ",
        "search --text ",
        "identify ",
        "identify audio/0.flac --path ",
        "monitor ",
        "align  audio/0.flac",
        "align audio/0.flac audio/1.flac --write ",
        "embed  -o o.npz",
        "embed audio -o ",
        "evaluate ",
        "evaluate classes --encoder ",
        "demo ",
        "train ",
        "list --library ",
    ),
    "a place to write to that is none": (
        2,
        r"the folder of .* does not exist|cannot be written|no suffix that can be written"
        r"|ends in .(npz|parquet), not|there is no folder|is there already|there is a library at .* already",
        "embed audio --encoder spectral -o absent/o.npz",
        "embed audio --encoder spectral -o o.txt",
        "embed audio --encoder spectral -o o",
        "evaluate classes --encoder spectral --report absent/o.html",
        "align audio/0.flac audio/1.flac --write absent/x.wav",
        "align audio/0.flac audio/1.flac --write x.xyz",
        "library backup absent/backup",
        "library backup audio",
        "library export audio/0.flac --encoder spectral",
        "library export absent/o.parquet --encoder spectral",
        "library restore audio",
    ),
    "a store's address that is none": (
        2,
        r"is no Milvus address|leave name and password out|leave --store out",
        "index audio --encoder spectral --library new --store ftp://host",
        "index audio --encoder spectral --library new --store http://me:secret@host",
        "index audio --store http://127.0.0.1:9",
    ),
    "a server that is not there": (
        1,
        "Milvus at http://127.0.0.1:9 cannot be reached",
        "index audio --encoder spectral --library new --store http://127.0.0.1:9",
    ),
    "words that do not fit": (
        2,
        "No such command|Missing (argument|option)|No such option|give |choose one|name files|which tags"
        "|takes one|say where|takes no path|goes with export",
        "absent",
        "index",
        "index audio --absent",
        "search",
        "search --unlike audio/0.flac",
        "search audio/0.flac --json --csv",
        "search audio/0.flac --versions --like audio/1.flac",
        "identify",
        "identify audio/0.flac --mic",
        "monitor",
        "embed audio",
        "remove",
        "tag audio",
        "align audio/0.flac",
        "library",
        "library backup",
        "library compact audio",
        "library backup backup --encoder spectral",
    ),
}
CASES = [(kind, words, *found[:2]) for kind, found in KINDS.items() for words in found[2:]]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("codes")


@pytest.fixture(scope="module")
def made(home, worker):
    for seed in range(2):
        write_clip(home / "audio" / f"{seed}.flac", seed, 2.0)
        for family in ("a", "b"):
            write_clip(home / "classes" / family / f"{seed}.wav", seed)
    (home / "hollow").mkdir()
    write_film(home / "film.mp4")
    write_audio(home / "silent.wav", np.zeros(3 * RATE, np.float32), RATE)
    write_audio(home / "two.wav", np.array([0.2, -0.3], np.float32), RATE)
    (home / "none.wav").write_bytes(wav_header(RATE, 0))
    (home / "loop.wav").symlink_to("loop.wav")
    for name in ("film.mp4", "silent.wav", "two.wav", "none.wav", "loop.wav"):
        for family in ("a", "b"):
            (home / f"of-{name}" / family).mkdir(parents=True)
            for number in range(2):
                clip = home / f"of-{name}" / family / f"{number}-{name}"
                if name == "loop.wav":
                    clip.symlink_to(clip.name)
                else:
                    shutil.copy(home / name, clip)
    for name, encoders in (("only", ["spectral"]), ("library", ["spectral", "fingerprint", "harmony"])):
        if name == "library":
            (home / "audio" / "bad.wav").write_text("not audio")
        with Library(home / name) as library:
            library._opening._pool = (1, worker)
            library.index([home / "audio"], encoders=encoders, jobs=1)
    commands = CommandsWithin(home / "library")
    commands.environment["ECHOIC_CACHE"] = str(home / "cache")
    return commands


@pytest.mark.parametrize(("kind", "words", "code", "sentence"), CASES, ids=[case[1] for case in CASES])
def test_one_code_and_one_sentence_for_one_kind(made, home, kind, words, code, sentence):
    with Library(home / "library") as library:
        before = library.files()
    result = made(*words.split(" "), code=code, cwd=home)
    told = [line for line in result.stderr.splitlines() if re.search("error|warning", line, re.IGNORECASE)]
    assert all(re.search(sentence, line) for line in told), told
    assert len(told) == 1 or (told and words.startswith("evaluate of-"))  # one of each clip
    assert (
        result.stdout == "" or "failed" in result.stdout or words == "demo hollow"
    )  # they tell what they did
    with Library(home / "library") as library:
        assert library.files() == before
    assert not (home / "new").exists()  # no library is left behind where none could be made
    assert not (home / "o.npz").exists()


@pytest.mark.parametrize("name", ["silent.wav", "two.wav"])
@pytest.mark.parametrize(
    "verb", ["identify", "monitor", "describe", "index --library other --encoder spectral"]
)
def test_that_nothing_is_heard_is_done_and_said(made, home, verb, name):
    result = made(*verb.split(" "), name, cwd=home)
    assert result.stderr == f"note: {name}: no sound in it\n"
    assert result.stdout == "" or "1 added" in result.stdout


def test_nothing_found_is_done(made, home):
    assert made("search", "audio/0.flac", "--tag", "absent", cwd=home).stdout == ""
    assert made("search", "audio/0.flac", "--path", "absent", cwd=home).stdout == ""
    result = made("list", "--tag", "absent", cwd=home)
    assert (result.stdout, result.stderr) == ("", "no file is so tagged\n")


def test_an_empty_glob_is_refused_in_python_too(made, home):
    with Library(home / "library") as library:
        for find in (library.search, library.versions, library.identify):
            for globs in ("", ["*", ""]):
                with pytest.raises(UsageError, match="an empty glob fits no file"):
                    find(home / "audio" / "0.flac", path=globs)


def test_nothing_to_list_is_said(made, home):
    assert made("list", "audio/0.flac", "--failed", cwd=home).stderr == "nothing failed, of 1 file\n"
    assert "bad.wav" in made("list", "--failed", cwd=home).stdout


def test_an_encoder_to_forget_is_not_advised_to_be_added(made, home):
    told = made("remove", "--encoder", "absent", code=2, cwd=home).stderr
    assert told == "error: the library has no encoder 'absent', only spectral, fingerprint, harmony\n"


@pytest.mark.parametrize("verb", ["identify", "describe"])
def test_of_several_files_that_cannot_be_used_one_that_failed_says_more_than_wrong_usage(made, home, verb):
    told = made(verb, "audio/0.flac", "audio/bad.wav", "--start", "0:50", code=1, cwd=home).stderr
    assert "ends before" in told
    assert "holds no sound" in told


def test_nothing_in_common_is_told_by_the_code(made, home):
    assert "nothing in common" in made("align", "audio/0.flac", "audio/1.flac", code=1, cwd=home).stderr
