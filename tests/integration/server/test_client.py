"""A library that is served is asked as one that is at hand, and answers the same."""

from __future__ import annotations

import inspect

import pytest

from echoic import Library
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.client import Client
from echoic.errors import EchoicError, ServiceError, UsageError
from echoic.server.keys import Keys
from tests.integration.server.conftest import ODD, RATE

METHODS = (
    *("search", "pictured", "occurrences", "phrases", "voices", "versions"),
    *("identify", "monitor", "describe", "files", "encoders"),
    *("instances", "teach", "proposals", "concepts", "concept", "forget_concept"),
)


@pytest.fixture(scope="module")
def both(ask, place):
    """The library at hand and as it is served."""
    with Library(place.library) as library, Client(ask.address) as client:
        yield library, client


@pytest.fixture(scope="module")
def cut(place, tmp_path_factory):
    """Eight seconds of a recording, in a file that the library has not."""
    path = tmp_path_factory.mktemp("queries") / "bar.flac"
    samples, _ = read_audio(place.sounds / "pieces" / "drive.mp3", RATE, start=8, end=16)
    write_audio(path, samples, RATE)
    return path


def same(both, method, *given, **named):
    """Call a method of both, which must return the same, or raise the same."""

    def outcome(library):
        try:
            return getattr(library, method)(*given, **named)
        except EchoicError as error:
            return type(error), str(error)

    at_hand, served = map(outcome, both)
    assert at_hand == served
    return at_hand


def test_its_methods_have_the_signatures_of_the_library():
    for name in METHODS:
        assert inspect.signature(getattr(Client, name)) == inspect.signature(getattr(Library, name)), name


def test_encoders_are_the_same(both):
    assert set(same(both, "encoders")) == {"sound", "fingerprint"}


def test_files_are_the_same(both, place):
    assert len(same(both, "files")) == 8
    assert len(same(both, "files", place.sounds / "pieces")) == 2
    assert len(same(both, "files", tags=["place=garden"])) == 1
    assert len(same(both, "files", place.sounds / ODD, tags="all")) == 1
    assert same(both, "files", place.sounds / "absent") == []
    assert len(same(both, "files", place.sounds / "pieces" / "*.mp3")) == 1


def test_searches_are_the_same(both, place, cut):
    rain = place.sounds / "rain.wav"
    for options in (
        {},
        {"k": 2},
        {"include_query": True},
        {"start": 0.5, "end": 1.5},
        {"text": "water"},
        {"like": [place.sounds / ODD], "unlike": ["text:music"]},
        {"encoder": "fingerprint"},
        {"path": ["pieces/*", "*.wma"], "min_duration": 1, "tags": ["all"]},
    ):
        assert same(both, "search", rain, **options), options
    assert same(both, "search", text="rain on a roof")
    assert same(both, "search", place.sounds / ODD)
    assert same(both, "search", str(cut), 3)  # which is sent
    assert same(both, "search", cut, start=2)
    assert same(both, "search", rain, tags="nothing") == []


def test_identifications_are_the_same(both, place, cut):
    assert len(same(both, "identify", cut)) == 2
    assert same(both, "identify", cut, path="pieces/*.mp3", start=2)
    assert same(both, "identify", place.sounds / "pieces" / "drive.mp3")
    assert same(both, "identify", place.sounds / "siren.wma") == []


def test_descriptions_are_the_same(both, place):
    told = [same(both, "describe", record.path) for record in both[0].files()]
    assert any(told)


def test_what_cannot_be_is_the_same(both, place, cut, tmp_path):
    rain = place.sounds / "rain.wav"
    (tmp_path / "page.wav").write_text("<html>")
    for method, given, named in (
        ("search", (), {}),
        ("search", (rain,), {"encoder": "absent"}),
        ("search", (rain,), {"start": 3600.0}),
        ("search", (rain,), {"k": "many"}),
        ("phrases", ("hello there",), {}),
        ("identify", (rain,), {"tags": "heard=nothing of the kind"}),
    ):
        kind, message = same(both, method, *given, **named)
        assert issubclass(kind, EchoicError)
        assert message
    for path in (tmp_path / "page.wav", tmp_path / "absent.wav"):
        kinds = []
        for library in both:
            with pytest.raises(EchoicError, match=path.name) as error:
                library.search(path)
            kinds.append(type(error.value))
        assert kinds[0] is kinds[1]
    for library in both:
        with pytest.raises(UsageError, match="is not in the library"):
            library.describe(cut)


def test_notes_are_the_same(ask, place):
    told = [], []
    noted = [lambda query, note, told=one: told.append((query, note)) for one in told]
    with Library(place.library, noted=noted[0]) as library, Client(ask.address, noted=noted[1]) as client:
        for one in (library, client):
            one.search(text="rain qwxyz")
    assert told[0] == told[1]
    assert told[0]


def test_a_file_that_differs_from_the_librarys_is_sent(both, place, ask, tmp_path):
    """As on another machine, where the same path leads to another sound."""
    path = place.sounds / "rain.wav"
    content = path.read_bytes()
    siren, _ = read_audio(place.sounds / "siren.wma", RATE)
    try:
        write_audio(path, siren, RATE)
        hits = both[1].search(path, k=1)
    finally:
        path.write_bytes(content)
    assert hits[0].path == str(place.sounds / "siren.wma")


def test_a_key_opens_the_service(serve, tmp_path):
    key = Keys.make(tmp_path / "keys", "read")
    with serve(keys=Keys(tmp_path / "keys")) as served:
        assert len(Client(served.address, key=key).files()) == 8
        with pytest.raises(ServiceError, match="wants a key"):
            Client(served.address, key="wrong").files()
        address = served.address
    with pytest.raises(ServiceError, match="does not answer"):
        Client(address).files()


@pytest.mark.parametrize("address", ["", "127.0.0.1:8765", "ftp://a.example", "http://", "http://a/?b"])
def test_what_is_no_address_is_told(address):
    with pytest.raises(UsageError, match="line break"):
        Client("http://127.0.0.1:8765", key="secret\n")
    with pytest.raises(UsageError, match="no address"):
        Client(address)
