"""Where a phrase is said that is spoken in a file: from files to hits, by an encoder of tunes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from echoic import AudioError, Library, UnknownEncoderError, UsageError
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import make_piece, say, talk
from tests.doubles.echoic_doubles import RATE, Tunes
from tests.integration.conftest import CommandsWithin

pytestmark = pytest.mark.usefixtures("doubles")
PHRASE = "abcdefgh"
OTHERS = "jihjgihjfigjhijfhgij"
LONG = " " * 20


def play(folder: Path) -> Path:
    """Write files in which the phrase is played, twice in one of them, and others in which it is not."""
    played = {
        "twice": f"{OTHERS}{PHRASE}{OTHERS}{LONG}{PHRASE}",
        "once": f"{OTHERS[:19]}{PHRASE}{OTHERS}",  # over the seam of two windows
        "never": OTHERS * 3,
        "silent": LONG,
    }
    for name, tune in played.items():
        write_audio(folder / f"{name}.wav", Tunes.play(tune), RATE)
    return folder


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """A library of what was played, to be looked into only."""
    with Library(tmp_path_factory.mktemp("said")) as library:
        library.index([play(tmp_path_factory.mktemp("sounds"))], encoders=["tunes"], jobs=1)
        yield library


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The phrase by another instrument, with silence around it."""
    path = tmp_path_factory.mktemp("example") / "example.wav"
    write_audio(path, Tunes.play(f"  {PHRASE}   ", overtone=0.1), RATE)
    return path


def spans(hits):
    return {(Path(hit.path).stem, round(hit.start, 1), round(hit.end, 1)) for hit in hits}


def test_a_phrase_is_found_with_its_begin_and_end(said, example):
    hits = said.phrases(example)
    assert {name for name, _, _ in spans(hits)} == {"twice", "once"}
    [once] = [hit for hit in hits if hit.path.endswith("once.wav")]
    assert (once.start, once.end) == pytest.approx((19 * 0.16, 27 * 0.16), abs=0.17)
    assert all(0.5 <= hit.score <= 1 and hit.encoder == "tunes" for hit in hits)
    assert said.check() == []


def test_every_occurrence_is_told_once(said, example):
    hits = said.phrases(example, every=True)
    starts = sorted(hit.start for hit in hits if hit.path.endswith("twice.wav"))
    assert starts == pytest.approx([20 * 0.16, 68 * 0.16], abs=0.17)
    assert len(hits) == 3
    assert len(said.phrases(example, 1, every=True)) == 1


def test_what_is_found_in_a_file_depends_on_no_other(said, example):
    alone = said.phrases(example, path="once.wav")
    [among] = [hit for hit in said.phrases(example) if hit.path.endswith("once.wav")]
    assert (alone[0].start, alone[0].end, alone[0].score) == (among.start, among.end, among.score)


def test_a_part_of_a_file_finds_the_others_and_not_itself(said):
    [once] = [file.path for file in said.files() if file.path.endswith("once.wav")]
    part = {"start": 19 * 0.16, "end": 27 * 0.16}
    assert {name for name, _, _ in spans(said.phrases(Path(once), **part))} == {"twice"}
    with_itself = said.phrases(Path(once), **part, include_query=True)
    assert {name for name, _, _ in spans(with_itself)} == {"twice", "once"}


def test_what_cannot_be_looked_for_is_said(said, example, tmp_path):
    [never] = [file.path for file in said.files() if file.path.endswith("never.wav")]
    with pytest.raises(UsageError, match="START-END"):
        said.phrases(Path(never))
    write_audio(tmp_path / "short.wav", Tunes.play("a"), RATE)
    with pytest.raises(AudioError, match="longer example"):
        said.phrases(tmp_path / "short.wav")
    write_audio(tmp_path / "silent.wav", Tunes.play(LONG), RATE)
    with pytest.raises(AudioError, match=r"silent.wav is nothing to search by: no sound in it"):
        said.phrases(tmp_path / "silent.wav")
    with pytest.raises(AudioError, match=r"silent.wav ends before 9.0 s"):  # as asked, not as listened to
        said.phrases(tmp_path / "silent.wav", start=9.0, end=10.0)
    with pytest.raises(AudioError, match="there"):
        said.phrases(tmp_path / "there.wav")
    with pytest.raises(UsageError, match="min_score"):
        said.phrases(example, min_score=2)
    with pytest.raises(UsageError, match="spoken in a file"):
        said.phrases("words", start=1.0)
    with pytest.raises(UnknownEncoderError, match="phonemes"):
        said.phrases("words")
    with pytest.raises(UsageError, match="--phrase"):
        said.search(example, encoder="tunes")


def test_the_command_line_tells_words_from_a_file(said, example, tmp_path, monkeypatch):
    echoic = CommandsWithin(said.folder)
    asked = ["search", "--phrase", str(example), "--every", "--json"]
    rows = [json.loads(line) for line in echoic(*asked).stdout.splitlines()]
    assert len(rows) == 3
    assert rows[0].keys() == {"rank", "path", "start", "end", "score", "encoder", "words"}
    [once] = [file.path for file in said.files() if file.path.endswith("once.wav")]
    found = echoic("search", "--phrase", f"{once}@3.04-4.32", "--json").stdout.splitlines()
    assert [Path(json.loads(line)["path"]).stem for line in found] == ["twice"]
    assert "does not exist" in echoic("search", "--phrase", "gone.wav", code=1).stderr
    assert "does not exist" in echoic("search", "--phrase", "gone.wav@1-2", code=1).stderr
    for part in ("0.2-", "-1", "", "1", "foo-bar", "1-2-3"):
        told = echoic("search", "--phrase", f"{example}@{part}", code=2).stderr
        assert "START-END" in told or "time" in told, told
    filtered = echoic("search", "--phrase", example, "--path", "nosuch/*")
    assert "is not said in the files that fit the filters" in filtered.stderr
    monkeypatch.chdir(tmp_path)
    Path("hello").write_bytes(b"")
    told = echoic("search", "--phrase", "hello", code=2).stderr
    assert "text:hello" in told
    assert "./hello" in told
    assert "phonemes" in echoic("search", "--phrase", "text:hello", code=2).stderr
    assert "--phrase FILE@START-END" in echoic("search", "--phrase", "x.wav", "--start", "1", code=2).stderr


WORDS = "to ma to su pa"


@pytest.fixture(scope="module")
def talked(tmp_path_factory):
    """People who talk without words, one of whom says some, by what ships: as ``echoic demo`` shows it."""
    path = tmp_path_factory.mktemp("talk") / "talk.wav"
    people = [talk(4, RATE, seed=seed) for seed in (0, 1)]
    write_audio(path, np.concatenate([people[0], say(WORDS, RATE, seed=1), people[1]]), RATE)
    with Library(tmp_path_factory.mktemp("talked")) as library:
        library.index([path], encoders=["spoken"], jobs=1)
        yield library


def test_what_ships_finds_a_phrase_in_another_voice(talked, tmp_path):
    write_audio(tmp_path / "said.wav", say(WORDS, RATE, seed=2), RATE)
    best = talked.phrases(tmp_path / "said.wav")[0]
    assert (best.start, best.encoder) == (pytest.approx(4.0, abs=0.35), "spoken")
    assert best.score > 0.9


NOBODY = {
    "white noise": np.random.default_rng(0).normal(0, 0.1, 2 * RATE),
    "music": make_piece("night-drive", sample_rate=RATE)[: 3 * RATE, 0],
    "a tone": 0.3 * np.sin(0.3 * np.arange(2 * RATE)),
    "one vowel": np.tile(say("a", RATE)[RATE // 10 : RATE // 4], 12),
    "silence": np.zeros(2 * RATE),
    "an offset": np.full(2 * RATE, 0.3),
    "half a minute": np.concatenate([talk(10, RATE, seed=seed) for seed in range(3)]),
}


@pytest.mark.parametrize("what", NOBODY)
def test_where_no_phrase_is_said_there_is_a_sentence_or_no_hit(talked, tmp_path, what):
    path = tmp_path / "asked.wav"
    write_audio(path, NOBODY[what].astype(np.float32), RATE)
    if what in ("silence", "an offset"):
        with pytest.raises(AudioError, match="nothing to search by: no sound in it"):
            talked.phrases(path)
    elif what == "half a minute":
        with pytest.raises(UsageError, match="a phrase has 6 s at most"):
            talked.phrases(path)
    else:
        try:
            assert talked.phrases(path, every=True) == []
        except AudioError as error:
            assert "nobody speaks in it" in str(error) or "less than 0.3 s" in str(error)  # noqa: PT017
