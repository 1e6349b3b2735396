"""Phrases, typed and spoken, over HTTP as at hand; by encoders of tones that stand for letters."""

from __future__ import annotations

import pytest

from echoic import Library
from echoic.audio.encode import write_audio
from echoic.client import Client
from tests.doubles.echoic_doubles import RATE, Chimes, Tunes

pytestmark = pytest.mark.usefixtures("doubles")
PHRASE = "abcdefgh"


@pytest.fixture(scope="module")
def both(serve, doubles, tmp_path_factory):
    """A library in which a phrase is heard three times; at hand and as it is served."""
    home = tmp_path_factory.mktemp("said")
    (home / "sounds").mkdir()
    others = "jihjgihjfigjhijfhgij"
    write_audio(home / "sounds" / "twice.wav", Chimes.play(f"jih {PHRASE}{' ' * 20}{PHRASE} ij"), RATE)
    write_audio(home / "sounds" / "once.wav", Tunes.play(f"{others}{PHRASE}{others}"), RATE)
    write_audio(home / "example.wav", Tunes.play(f"  {PHRASE}   ", overtone=0.1), RATE)
    with Library(home / "library") as library:
        library.index([home / "sounds"], encoders=["chimes", "tunes"], jobs=1)
        with serve(library=home / "library") as served:
            yield library, Client(served.address), home


def test_what_is_typed_is_found_in_every_place(both):
    library, client, _ = both
    for options in ({}, {"every": True}, {"k": 1, "every": True}, {"min_score": 0.0}, {"path": "once.wav"}):
        assert client.phrases(PHRASE, **options) == library.phrases(PHRASE, **options), options
    assert len(client.phrases(PHRASE, every=True)) == 3


def test_what_is_spoken_is_found(both):
    library, client, home = both
    example, sound = home / "example.wav", home / "sounds" / "once.wav"
    for phrase, options in (
        (example, {}),  # which is sent
        (example, {"every": True, "min_score": 0.1}),
        (sound, {"start": 3.2, "end": 4.5, "include_query": True}),
    ):
        found = client.phrases(phrase, encoder="tunes", **options)
        assert found == library.phrases(phrase, encoder="tunes", **options), options
        assert found
