"""What a library that somebody else made can make this one do: its server gets no token unasked."""

import shutil

import pytest

from echoic import Library, StoreError
from echoic.storage.vectors.trusted import is_trusted, trust
from tests.integration.conftest import write_clip
from tests.milvus_server import refusing

TOKEN = "root:not-for-everybody"


@pytest.fixture
def server():
    """The address of a server that takes no token, and what it was sent."""
    with refusing() as found:
        yield found


@pytest.fixture
def names_server(library, index, folder):
    """Make a library, and have it name a server, as whoever hands one over can."""

    def make(uri):
        write_clip(folder / "a.wav")
        index()
        catalog = library._open()[0]
        with catalog.transaction():
            catalog.set_setting("store", uri)
        library.close()
        library._opening._pool = None
        return library

    return make


VERBS = {
    "search": lambda library, clip: library.search(clip),
    "status": lambda library, clip: library.status(),
    "check": lambda library, clip: library.check(),
    "remove": lambda library, clip: library.remove([clip]),
    "index": lambda library, clip: library.index([clip], jobs=1),
    "remove_encoder": lambda library, clip: library.remove_encoder("spectral"),
}


def test_no_verb_sends_the_token_to_a_server_that_only_the_library_names(
    server, names_server, folder, monkeypatch
):
    uri, seen = server
    library = names_server(uri)
    monkeypatch.setenv("ECHOIC_MILVUS_TOKEN", TOKEN)
    for verb in VERBS.values():
        with pytest.raises(StoreError, match="was not chosen here") as caught:
            verb(library, folder / "a.wav")
        assert f"choose it once: echoic index PATH --store {uri}" in str(caught.value)
        assert TOKEN not in str(caught.value)
    assert seen == []


def test_without_a_token_nothing_secret_is_sent(server, names_server, monkeypatch):
    uri, seen = server
    library = names_server(uri)
    monkeypatch.delenv("ECHOIC_MILVUS_TOKEN", raising=False)
    with pytest.raises(StoreError, match="cannot be reached"):
        library.status()
    assert set(seen) == {""}


def test_a_chosen_server_gets_the_token_and_is_chosen_for_good(
    milvus_server, folder, tmp_path, worker, monkeypatch
):
    """Chosen is this address for this library, wherever the library is moved to."""
    monkeypatch.setenv("ECHOIC_MILVUS_TOKEN", TOKEN)
    write_clip(folder / "a.wav")
    with Library(tmp_path / "mine") as library:
        library._opening._pool = (1, worker)
        library.index([folder], encoders=["spectral"], store=milvus_server, jobs=1)
        identity = library._open()[0].setting("identity")
        library._opening._pool = None
    assert is_trusted(identity, milvus_server)
    moved = shutil.move(tmp_path / "mine", tmp_path / "moved")
    with Library(moved) as library:
        assert library.status().segments == {"spectral@1": 1}
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings of another person"))
    with Library(moved) as library:
        with pytest.raises(StoreError, match="was not chosen here"):
            library.status()
        library._opening._pool = (1, worker)
        assert library.index([folder], store=milvus_server, jobs=1).unchanged == 1  # as the sentence says
        assert library.status().segments == {"spectral@1": 1}
        library._opening._pool = None


def test_a_server_is_chosen_letter_for_letter_and_for_one_library():
    uri = "https://db.example.org:19530"
    trust("mine", uri)
    assert is_trusted("mine", uri)
    assert not is_trusted("yours", uri)
    for other in (
        "http://db.example.org:19530",
        "https://db.example.org:19531",
        "https://db.example.org:19530@evil.example.org",
        "https://db.example.org.evil.example.org:19530",
        "https://evil.example.org/#https://db.example.org:19530",
        "https://db.example.org:19530/",
        "",
    ):
        assert not is_trusted("mine", other)


def test_an_address_that_would_harm_in_a_shell_is_quoted(names_server, monkeypatch):
    library = names_server("http://x;touch harm\x1b[2J")
    monkeypatch.setenv("ECHOIC_MILVUS_TOKEN", TOKEN)
    with pytest.raises(StoreError) as caught:
        library.status()
    assert str(caught.value).isprintable()
    assert "--store http" not in str(caught.value)


def test_a_choice_that_cannot_be_noted_is_told(milvus_server, library, index, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("ECHOIC_MILVUS_TOKEN", TOKEN)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    write_clip(folder / "a.wav")
    with pytest.raises(StoreError, match=r"cannot be noted .* make your folder for settings writable"):
        index(store=milvus_server)
    monkeypatch.delenv("ECHOIC_MILVUS_TOKEN")
    assert index(store=milvus_server).added == 1
