"""A picture or a film finds what sounds like what it shows, by an encoder that takes pictures."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from echoic import Library, NotAudioError, UnreadableError, UsageError
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import tone
from tests.media import write_picture, write_pictures

DOUBLES = Path(__file__).parents[1] / "doubles"
RATE = 8_000
LEVELS = (50, 120, 220)  # of red; the double takes 10 Hz for each


def red(level):
    picture = np.zeros((24, 32, 3), np.uint8)
    picture[..., 0] = level
    return picture


@pytest.fixture
def seen(folder, library, monkeypatch):
    """A library of three tones, and what shows each of them."""
    monkeypatch.syspath_prepend(DOUBLES)
    monkeypatch.setenv("PYTHONPATH", f"{DOUBLES}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    for level in LEVELS:
        write_audio(folder / f"{level}.wav", tone(10 * level, 1.5, RATE), RATE)
        write_picture(folder.parent / f"{level}.png", red(level))
    library.index([folder], encoders=["raw", "sights"], jobs=1)
    return folder.parent


def test_a_picture_finds_sounds(seen: Path, library: Library, echoic) -> None:
    for level in LEVELS:
        hits = library.pictured(seen / f"{level}.png", 2)
        assert Path(hits[0].path).name == f"{level}.wav"
        assert hits[0].encoder == "sights"
        assert len(hits) == 2
    told = echoic("search", seen / "120.png", "-k", "1", "--json").stdout  # a picture by its suffix
    assert Path(json.loads(told)["path"]).name == "120.wav"
    assert library.pictured(seen / "120.png", path="*/50.wav")[0].path.endswith("50.wav")


def test_a_film_is_looked_at_or_listened_to(seen: Path, library: Library, echoic) -> None:
    film = write_pictures(seen / "film.mp4", [red(50)] * 10 + [red(220)] * 10)
    assert library.pictured(film, 1, end=1)[0].path.endswith("50.wav")
    assert library.pictured(film, 1, start=1)[0].path.endswith("220.wav")
    told = echoic("search", film, "--by", "picture", "--start", "1", "-k", "1").stdout
    assert "220.wav" in told
    with pytest.raises(NotAudioError, match="holds no sound"):
        library.search(film)


def test_what_cannot_be_meant_is_said(seen: Path, library: Library, echoic) -> None:
    picture = seen / "50.png"
    told = echoic("search", picture, "--text", "rain", code=2).stderr
    assert "a search by a picture takes one FILE" in told
    with pytest.raises(UsageError, match="takes no pictures, as pe-av does"):
        library.pictured(picture, encoder="raw")
    with pytest.raises(UnreadableError, match="does not exist"):
        library.pictured(seen / "absent.png")
    with pytest.raises(NotAudioError, match="it holds sound alone"):
        library.pictured(seen / "audio" / "50.wav")
    with pytest.raises(UsageError, match="k is the number"):
        library.pictured(picture, 0)


def test_a_library_without_such_an_encoder_says_how_to_get_one(seen: Path, library: Library) -> None:
    library.remove_encoder("sights")
    with pytest.raises(
        UsageError, match=r"takes pictures; add one with: echoic models add pe-av, then: echoic"
    ):
        library.pictured(seen / "50.png")
