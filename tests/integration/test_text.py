"""Words find sounds with the encoder that ships, in new libraries and in those from before it took words."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from echoic import Library, UnknownEncoderError, UsageError
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import make_sound
from echoic.storage.catalog import Catalog
from tests.integration.conftest import CommandLine

RATE = 16_000
TAKES = 3
ASKED = {
    "bells": "church bells ringing",
    "birds": "birdsong",
    "drums": "somebody playing the drums",
    "engines": "a running motor",
    "rain": "it is raining",
    "sirens": "a siren",
    "wind": "a howling wind",
}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Some takes of families of sounds, in a folder each."""
    root = tmp_path_factory.mktemp("sounds")
    for family in ASKED:
        (root / family).mkdir()
        for take in range(TAKES):
            write_audio(root / family / f"{take}.wav", make_sound(family, take, sample_rate=RATE), RATE)
    return root


@pytest.fixture(scope="module")
def library(sounds, worker, tmp_path_factory):
    """The sounds, indexed; the tests of this module only read."""
    with Library(tmp_path_factory.mktemp("library")) as opened:
        opened._opening._pool = (1, worker)
        opened.index([sounds], encoders=["sound", "spectral"], jobs=1)
        yield opened


def family(hit):
    return Path(hit.path).parent.name


@pytest.mark.parametrize("name", ASKED)
def test_words_find_the_sounds_that_they_name(library, name):
    hits = library.search(text=ASKED[name], k=TAKES)
    assert family(hits[0]) == name
    assert hits[0].encoder == "sound"
    assert -1 <= hits[0].score <= 1


def test_words_take_filters_and_a_number_of_hits(library, sounds):
    everything = library.search(text="rain", k=100)
    assert len(everything) == len(ASKED) * TAKES
    assert [hit.score for hit in everything] == sorted((hit.score for hit in everything), reverse=True)
    among = library.search(text="rain", k=100, path=f"{sounds}/bells/*")
    assert {family(hit) for hit in among} == {"bells"}
    assert [hit for hit in everything if family(hit) == "bells"] != []


def test_words_and_an_example_go_together(library, sounds):
    alone = {hit.path: hit.score for hit in library.search(sounds / "wind" / "0.wav", 100)}
    both = {
        hit.path: hit.score for hit in library.search(sounds / "wind" / "0.wav", 100, text="church bells")
    }
    bells = str(sounds / "bells" / "0.wav")
    assert both[bells] > alone[bells]
    away = {hit.path: hit.score for hit in library.search(text="wind", k=100, unlike=["text:wind, bells"])}
    assert away[bells] < {hit.path: hit.score for hit in library.search(text="wind", k=100)}[bells]


def test_what_cannot_be_understood_is_said(library):
    with pytest.raises(UsageError, match=r"none of the words in 'xqzt 雨' is known; describe"):
        library.search(text="xqzt 雨")
    with pytest.raises(UsageError, match="the words to search by are empty"):
        library.search(text="")
    with pytest.raises(UsageError, match=r"text is \['rain'\] and must be words"):
        library.search(text=["rain"])
    with pytest.raises(UsageError, match="encoder spectral takes no text: words fit the very space"):
        library.search(text="rain", encoder="spectral")


def test_words_that_are_not_known_are_told_and_passed_over(library):
    echoic = CommandLine(library.folder)
    note = "note: not known and passed over: 'xqzt', '雨'\n"
    said = echoic("search", "--text", "the xqzt of rain 雨", "--json")
    assert said.stderr == note
    assert said.stdout == echoic("search", "--text", "the of rain", "--json").stdout
    both = echoic("search", "--like", "text:rain xqzt", "--unlike", "text:wind 雨")
    assert both.stderr == ("note: not known and passed over: 'xqzt'\nnote: not known and passed over: '雨'\n")
    for words in (("--text", "the of"), ("--like", "text:the of")):
        assert echoic("search", *words, code=2).stderr == (
            "error: none of the words in 'the of' names a sound; describe the sound in plain English words\n"
        )
    noted = []
    with Library(library.folder, noted=lambda *told: noted.append(told)) as listening:
        listening.search(text="rain, " + " ".join(f"xq{letter}zt" for letter in "abcdefghij"))
    [(words, told)] = noted
    assert words.startswith("rain, xqazt")
    assert told.kind == "words"
    assert told.sentence.endswith("'xqhzt' and 2 more")


def test_a_network_that_is_not_there_is_told_with_the_way_to_it(library, tmp_path, monkeypatch):
    monkeypatch.setenv("ECHOIC_MODELS", str(tmp_path))
    with pytest.raises(UnknownEncoderError, match=r"fetch it with: echoic models add clap, add it with: "):
        library.search(text="rain", encoder="clap")
    with pytest.raises(UnknownEncoderError, match=r"hubert has the layers hubert-layer1 to hubert-layer12"):
        library.search(text="rain", encoder="hubert-layer99")


def test_a_library_from_before_sound_took_words(sounds, worker, tmp_path):
    with Library(tmp_path / "old") as old:
        old._opening._pool = (1, worker)
        old.index([sounds / "bells", sounds / "wind"], encoders=["sound"], jobs=1)
    with closing(Catalog(tmp_path / "old")) as catalog, catalog.transaction():
        [(key, spec)] = catalog.connection.execute("SELECT key, spec FROM encoders").fetchall()
        fields = json.loads(spec) | {"inputs": ["audio"]}
        catalog.connection.execute("UPDATE encoders SET spec = ? WHERE key = ?", (json.dumps(fields), key))
    with Library(tmp_path / "old") as old:
        assert family(old.search(text="a church bell", k=1)[0]) == "bells"
        old._opening._pool = (1, worker)
        assert old.index([sounds / "bells", sounds / "wind"], jobs=1).unchanged == 2 * TAKES
        assert old.encoders()["sound"].inputs == {"audio", "text"}
        assert old.check() == []


def test_the_command_line_takes_words(library):
    done = CommandLine(library.folder)("search", "--text", "church bells", "-k", "2", "--json")
    lines = done.stdout.splitlines()
    assert [json.loads(line)["rank"] for line in lines] == [1, 2]
    assert Path(json.loads(lines[0])["path"]).parent.name == "bells"


def test_one_example_need_not_be_a_list(library):
    assert library.search(like="text:rain") == library.search(like=["text:rain"])


@pytest.mark.parametrize("words", ["thunder", "text:thunder"])
def test_words_in_the_place_of_a_file_are_told_where_they_go(library, words):
    done = CommandLine(library.folder)("search", words, code=1)
    assert done.stderr == f"error: {words} does not exist; check the path, or for words: --text thunder\n"


def test_words_may_be_repeated_on_the_command_line(library):
    echoic = CommandLine(library.folder)
    both = echoic("search", "--text", "church bells", "--text", "rain", "--json").stdout
    assert both == echoic("search", "--text", "church bells, rain", "--json").stdout


def test_a_search_in_words_loads_no_network(library):
    code = (
        "import sys; from echoic import Library\n"
        "with Library(sys.argv[1]) as lib: lib.search(text='rain', k=1)\n"
        "print(*sorted({'torch', 'onnxruntime', 'av', 'scipy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(library.folder)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == ""
