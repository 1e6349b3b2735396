"""Concepts over HTTP: taught, listed, asked about, found and forgotten, as at hand."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from echoic import Library
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import make_sound
from echoic.client import Client
from echoic.errors import EchoicError, LibraryBusyError, UsageError
from echoic.server.keys import Keys
from tests.integration.server.conftest import RATE

CALLS, KNOCKS = (1.0, 4.0, 7.0), (2.5, 5.5)  # s


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A wood in which a bird calls and somebody knocks, twice: to be taught at hand, and over HTTP."""
    home = tmp_path_factory.mktemp("taught")
    rng = np.random.default_rng(0)
    wood = rng.normal(0, 0.003, 9 * RATE).astype(np.float32)
    bird, bell = (make_sound(family, 3, sample_rate=RATE)[:RATE] for family in ("birds", "bells"))
    for times, sound in ((CALLS, bird), (KNOCKS, bell)):
        for at in times:
            wood[round(at * RATE) :][: len(sound)] += 0.6 * sound
    (home / "sounds").mkdir()
    write_audio(home / "sounds" / "wood.flac", wood, RATE)
    with Library(home / "library") as library:
        library.index([home / "sounds"], encoders=["events"], jobs=1)
    shutil.copytree(home / "library", home / "other")
    return home


@pytest.fixture(scope="module")
def both(serve, home):
    with Library(home / "other") as library, serve(library=home / "library") as served:
        yield library, Client(served.address), served


def same(both, method, *given, **named):
    def outcome(library):
        try:
            told = getattr(library, method)(*given, **named)
            return list(told) if method == "instances" else told
        except EchoicError as error:
            return type(error), str(error)

    at_hand, served = map(outcome, both[:2])
    assert at_hand == served
    return at_hand


def test_what_is_taught_over_http_is_what_is_taught_at_hand(both, home):
    wood = home / "sounds" / "wood.flac"
    taught = same(both, "teach", "Call", [(wood, 1.0, 2.0)], [(wood, 2.5, 3.5)])
    assert (taught.concept.name, taught.concept.yes, taught.concept.no) == ("Call", 1, 1)
    found = same(both, "instances", "call", every=True)
    assert {round(hit.start) for hit in found} >= {1, 4, 7}
    assert same(both, "instances", "call", 1, min_score=0.1, path="*.flac")
    assert len(same(both, "proposals", "call", 2)) == 2
    changed = same(both, "teach", "call", [(wood, 2.5, 3.5)]).changed
    assert changed == ((str(wood), 2.5, 3.5),)
    assert len(same(both, "concepts")) == 1
    assert len(same(both, "concepts")) == 1  # as it was answered before
    assert same(both, "concept", "CALL").yes == 2
    for method, given in (
        ("concept", ("absent",)),
        ("instances", ("absent",)),
        ("proposals", ("absent",)),
        ("teach", ("new", [], [wood])),
        ("teach", ("new", [(wood, 99.0, 100.0)])),
        ("teach", ("new", [(wood, 2.0, 1.0)])),
        ("forget_concept", ("absent",)),
    ):
        assert issubclass(same(both, method, *given)[0], UsageError), method
    assert same(both, "forget_concept", "call") is None
    assert same(both, "concepts") == []
    with pytest.raises(UsageError, match="not in the library that is served"):
        both[1].teach("new", [home / "library"])


def test_parts_and_names_go_into_an_address(both, home):
    ask = both[2]
    uri = (home / "sounds" / "wood.flac").as_uri()
    asked = {"name": "a / b #1?", "yes": ["1@1-2", uri + "@4-"], "no": uri + "@-3.6"}
    told = ask("/v1/concepts", asked, method="POST")
    assert told.json["concept"] | {"yes": 2, "no": 1} == told.json["concept"]
    assert told.json["failed"] == told.json["changed"] == []
    for route, asked, says in (
        ("/v1/search", {"concept": "a / b #1?", "file": 1}, "concept goes without a sound"),
        (
            "/v1/search",
            {"concept": "a / b #1?", "encoder": "events", "start": 1},
            "without start and encoder",
        ),
        ("/v1/search", {"concept": "a / b #1?", "voice": "true"}, "one at a time"),
        ("/v1/search", {"concept": ""}, "concept is empty"),
        ("/v1/concepts/proposals", {}, "name is missing; give it"),
    ):
        answer = ask(route, asked)
        assert answer.status == 422
        assert says in answer.json["detail"], answer.json
    assert ask("/v1/concepts", {"name": "x", "yes": "99@1-2"}, method="POST").status == 404
    table = ask("/v1/search", {"concept": "a / b #1?", "every": "true", "format": "raven"})
    assert table.body.startswith(b"Selection")
    assert ask("/v1/concepts", {"name": "a / b #1?"}, method="DELETE").json["yes"] == 2


def test_teaching_waits_for_its_turn_and_takes_an_admin(both, serve, home, tmp_path):
    client, wood = both[1], home / "sounds" / "wood.flac"
    with Library(home / "library") as other, other._open()[0].writing(), pytest.raises(LibraryBusyError):
        client.teach("call", [wood])
    key = Keys.make(tmp_path / "keys", "read")
    with serve(library=home / "library", max_seconds=3.0) as served:
        answer = served("/v1/concepts", {"name": "call", "yes": "1@0-8"}, method="POST")
        assert "more than 3 s of sound are not listened to" in answer.json["detail"]
    with serve(library=home / "library", keys=Keys(tmp_path / "keys")) as served:
        for method in ("POST", "DELETE"):
            asked = {"name": "call"} | ({"yes": "1"} if method == "POST" else {})
            assert served("/v1/concepts", asked, method=method).status == 401
            assert served("/v1/concepts", asked, method=method, key=key).status == 403
        assert served("/v1/concepts", key=key).json == []
