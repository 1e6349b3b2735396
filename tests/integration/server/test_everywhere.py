"""Every place where something is heard, voices and versions: over HTTP as at hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from echoic import Library
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import make_piece, make_sound
from echoic.client import Client
from echoic.errors import EchoicError, UsageError
from echoic.server import service
from tests.doubles.echoic_doubles import RATE, Singers

pytestmark = pytest.mark.usefixtures("doubles")


@pytest.fixture(scope="module")
def both(serve, doubles, tmp_path_factory):
    """A library of who sings, of a piece twice, and of a long recording with calls; at hand and served."""
    home = tmp_path_factory.mktemp("everywhere")
    (home / "sounds").mkdir()
    for name, singers in (("alone", "aaaaaaaa"), ("among", "bbbbaaaaaaaacccc    aaaa")):
        write_audio(home / "sounds" / f"{name}.wav", Singers.sing(singers), RATE)
    piece = make_piece("night-drive", sample_rate=RATE)[: 20 * RATE, 0]
    write_audio(home / "sounds" / "drive.wav", piece, RATE)
    write_audio(home / "sounds" / "drive-again.wav", 0.5 * piece[: 18 * RATE], RATE)
    birds = [make_sound("birds", take, sample_rate=RATE)[:RATE] for take in range(3)]
    pause = np.zeros(2 * RATE, np.float32)
    write_audio(home / "sounds" / "wood.wav", np.concatenate([[*pause, *bird] for bird in birds]), RATE)
    write_audio(home / "bird.wav", birds[0], RATE)
    write_audio(home / "singer.wav", Singers.sing("  aaaa "), RATE)
    with Library(home / "library") as library:
        library.index([home / "sounds"], encoders=["singers", "events", "harmony"], jobs=1)
        with serve(library=home / "library") as served:
            yield library, Client(served.address), home


def test_every_place_is_found(both):
    library, client, home = both
    for query, options in (
        (home / "bird.wav", {"min_score": 0.05}),
        (home / "bird.wav", {"k": 2, "min_score": 0.0, "path": "wood.wav"}),
        (home / "sounds" / "wood.wav", {"start": 2.0, "end": 3.0, "min_score": 0.0, "include_query": True}),
    ):
        found = list(client.occurrences(query, **options))
        assert found == list(library.occurrences(query, **options)), options
        assert found
    assert len({hit.start for hit in client.occurrences(home / "bird.wav", min_score=0.0, path="wood*")}) > 1


def test_voices_and_versions_are_found(both):
    library, client, home = both
    for method, query, options in (
        ("voices", home / "singer.wav", {}),
        ("voices", home / "singer.wav", {"every": True, "path": "among.wav"}),
        ("voices", home / "sounds" / "among.wav", {"start": 4, "end": 8, "min_score": 0.1}),
        ("versions", home / "sounds" / "drive.wav", {"k": 2}),
    ):
        found = getattr(client, method)(query, **options)
        assert found == getattr(library, method)(query, **options), (method, options)
        assert found


def test_what_they_refuse_is_the_same(both):
    library, client, home = both
    for method, options in itertools.product(("voices", "versions"), ({"start": 99.0}, {"k": 0})):
        outcomes = []
        for one in (library, client):
            with pytest.raises(EchoicError) as error:
                getattr(one, method)(home / "sounds" / "alone.wav", **options)
            outcomes.append(type(error.value))
        assert outcomes[0] is outcomes[1], (method, options)


def test_more_than_can_be_told_at_once_is_refused(both, monkeypatch):
    _, client, home = both
    monkeypatch.setattr(service, "MOST_HITS", 1)
    with pytest.raises(UsageError, match="more than 1 hits"):
        list(client.occurrences(home / "bird.wav", min_score=0.0))
