"""Where a phrase is said: from files to hits, by an encoder of tones that stand for letters."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from echoic import Library, UnknownEncoderError, UsageError
from echoic.audio.encode import write_audio
from tests.doubles.echoic_doubles import RATE, Chimes
from tests.integration.conftest import CommandsWithin

pytestmark = pytest.mark.usefixtures("doubles")
LONG = " " * 30


def play(folder: Path) -> Path:
    """Write four files: a phrase twice, once, with a letter wrong, and silence."""
    played = {
        "twice": f"jih abcdefgh{LONG}abcdefgh ij",
        "once": f"{' ' * 13}ab cde fgh",  # over the seam of two windows
        "nearly": "abcdjfgh",
        "silent": LONG,
    }
    for name, phrase in played.items():
        write_audio(folder / f"{name}.wav", Chimes.play(phrase), RATE)
    return folder


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """A library of what was played, to be looked into only."""
    with Library(tmp_path_factory.mktemp("said")) as library:
        library.index([play(tmp_path_factory.mktemp("sounds"))], encoders=["chimes"], jobs=1)
        yield library


def spans(hits):
    return [(Path(hit.path).stem, round(hit.start, 1), round(hit.end, 1)) for hit in hits]


def test_a_phrase_is_found_with_its_begin_and_end(said: Library) -> None:
    hits = said.phrases("abcdefgh")
    assert {name for name, _, _ in spans(hits)} == {"twice", "once"}
    assert ("once", 1.3, 2.3) in spans(hits)
    assert [hit.rank for hit in hits] == [1, 2]
    assert all(0.5 <= hit.score <= 1 and hit.encoder == "chimes" for hit in hits)
    assert said.check() == []


def test_every_occurrence_is_told_once(said: Library) -> None:
    hits = said.phrases("abcdefgh", None, every=True)
    assert sorted(spans(hits)) == [("once", 1.3, 2.3), ("twice", 0.4, 1.2), ("twice", 4.2, 5.0)]
    assert len(said.phrases("abcdefgh", 1, every=True)) == 1
    assert [hit.rank for hit in hits] == [1, 2, 3]


def test_what_is_told_is_chosen_by_score_and_filters(said: Library) -> None:
    names = {name for name, _, _ in spans(said.phrases("abcdefgh", min_score=0))}
    assert {"twice", "once", "nearly"} <= names
    assert spans(said.phrases("abcdefgh", path="once.wav")) == [("once", 1.3, 2.3)]
    assert said.phrases("hgfedcba") == []


def test_what_takes_longer_than_anybody_speaks_is_not_said(folder: Path, library: Library) -> None:
    for name, phrase in (("slow", "  ".join("abcdefgh")), ("slower", "    ".join("abcdefgh"))):
        write_audio(folder / f"{name}.wav", Chimes.play(phrase), RATE)
    library.index([folder], encoders=["chimes"], jobs=1)
    assert {name for name, _, _ in spans(library.phrases("abcdefgh"))} == {"slow"}


def test_files_that_go_take_what_was_said_along(folder: Path, library: Library) -> None:
    play(folder)
    library.index([folder], encoders=["chimes", "spectral"], jobs=1)
    (folder / "once.wav").unlink()
    write_audio(folder / "twice.wav", Chimes.play("abcdefgh"), RATE)
    library.index([folder], jobs=1)
    assert spans(library.phrases("abcdefgh")) == [("twice", 0.0, 0.8)]
    assert library.check() == []
    library.remove_encoder("chimes")
    with pytest.raises(UnknownEncoderError, match="phonemes"):
        library.phrases("abcdefgh")
    with pytest.raises(UsageError, match="leave --encoder out"):
        library.phrases("abcdefgh", encoder="spectral")


@pytest.mark.parametrize(
    ("phrase", "message"),
    [
        ("", "empty"),
        ("  ", "empty"),
        ("ab", "too short"),
        ("😀", "no letter"),
        ("abc " * 27, "sounds"),
        ("a" * 2_001, "2,001"),
    ],
)
def test_what_cannot_be_looked_for_is_said(said: Library, phrase: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        said.phrases(phrase)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_that_is_no_probability_is_refused(said: Library, score: float) -> None:
    with pytest.raises(UsageError, match="min_score"):
        said.phrases("abcdefgh", min_score=score)


def test_what_is_said_is_no_sound_to_compare(said: Library) -> None:
    once = next(file.path for file in said.files() if "once" in file.path)
    with pytest.raises(UsageError, match="--phrase"):
        said.search(once, encoder="chimes")
    with pytest.raises(UnknownEncoderError):
        said.search(once)


def test_the_command_line_tells_where(said: Library) -> None:
    echoic = CommandsWithin(said.folder)
    rows = [
        json.loads(line)
        for line in echoic("search", "--phrase", "abcdefgh", "--every", "--json").stdout.splitlines()
    ]
    assert len(rows) == 3
    assert rows[0].keys() == {"rank", "path", "start", "end", "score", "encoder", "words"}
    assert "nothing found" in echoic("search", "--phrase", "hgfedcba").stderr
    for words in (["x.wav"], ["--text", "rain"], ["--versions"], ["--start", "1"]):
        assert "--phrase" in echoic("search", "--phrase", "abcdefgh", *words, code=2).stderr
    assert "--phrase" in echoic("search", "x.wav", "--min-score", "0.5", code=2).stderr
    assert "one phrase" in echoic("search", "--phrase", "abc", "--phrase", "def", code=2).stderr
    assert "from 0 to 1" in echoic("search", "--phrase", "abc", "--min-score", "1.1", code=2).stderr
