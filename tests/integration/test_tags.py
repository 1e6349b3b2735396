"""Tags, from the files' own to those that a person gives: found by, listed by, given and taken away."""

from __future__ import annotations

import json

import pytest

from echoic import EchoicError, Library, UsageError
from tests.integration.conftest import CommandsWithin, write_clip

GENRES = {
    "semicolon.mp3": "Jazz; Funk",
    "slash.mp3": "Jazz/Funk",
    "comma.flac": "jazz, FUNK",
    "number.mp3": "(8)",
    "one.flac": "JAZZ",
    "other.ogg": "Rock",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("tags")


@pytest.fixture(scope="module")
def read_only(home, worker):
    """A library whose files brought tags along; the tests that use it only read."""
    for seed, (name, genre) in enumerate(GENRES.items()):
        write_clip(
            home / "in" / name, seed, tags={"genre": genre, "artist": "Bjo\u0308rk; AC/DC", "title": name}
        )
    with Library(home / "library") as library:
        library._opening._pool = (1, worker)
        library.index([home / "in"], encoders=["spectral"], jobs=1, tags=["Feldaufnahme groß"])
        yield library


def names(records):
    return {record.path.rpartition("/")[2] for record in records}


JAZZ = set(GENRES) - {"other.ogg"}
FUNK = {"semicolon.mp3", "slash.mp3", "comma.flac"}


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (["genre=jazz"], JAZZ),
        (["GENRE=Jazz"], JAZZ),
        (["jazz"], JAZZ),
        (["genre=funk"], FUNK),
        (["genre=jazz", "genre=funk"], FUNK),
        (["genre=Jazz; Funk"], FUNK),
        (["genre=funk/jazz"], FUNK),
        (["Jazz/Funk"], FUNK),
        (["genre=8"], JAZZ),
        (["/"], set()),
        ([","], set()),
        (["9" * 5_000], set()),
        (["genre=rock"], {"other.ogg"}),
        (["genre=jazz", "genre=rock"], set()),
        (["genre=jaz"], set()),
        (["artist=ac/dc"], set(GENRES)),
        (["AC/DC"], set(GENRES)),
        (["artist=ac"], set()),
        (["artist=BJÖRK"], set(GENRES)),
        (["feldaufnahme GROSS"], set(GENRES)),
        (["tag=Feldaufnahme  groß"], set(GENRES)),
        (["title=ONE.flac"], {"one.flac"}),
    ],
)
def test_each_value_is_found(read_only, home, tags, expected):
    assert names(read_only.files(tags=tags)) == expected
    hits = read_only.search(home / "in" / "one.flac", 10, tags=tags, include_query=True)
    assert names(hits) == expected


def test_tags_are_listed_with_all_their_values(read_only, home):
    [record] = read_only.files(home / "in" / "slash.mp3")
    assert record.tags == {
        "artist": ("AC/DC", "Bjo\u0308rk"),
        "genre": ("Funk", "Jazz"),
        "tag": ("Feldaufnahme groß",),
        "title": ("slash.mp3",),
    }
    [line] = CommandsWithin(home / "library")("list", home / "in" / "slash.mp3", "--json").stdout.splitlines()
    assert json.loads(line)["tags"] == {
        "artist": ["AC/DC", "Bjo\u0308rk"],
        "genre": ["Funk", "Jazz"],
        "tag": "Feldaufnahme groß",
        "title": "slash.mp3",
    }


def test_list_by_tag_and_by_glob(read_only, home):
    echoic = CommandsWithin(home / "library")

    def listed(*words):
        lines = echoic("list", *words, "--json", cwd=home).stdout.splitlines()
        return {json.loads(line)["path"].rpartition("/")[2] for line in lines}

    assert listed("--tag", "genre=FUNK") == FUNK
    assert listed("in", "--tag", "genre=FUNK", "--tag", "title=comma.flac") == {"comma.flac"}
    assert listed("*.flac") == {"comma.flac", "one.flac"}
    assert listed("in/s*") == {"semicolon.mp3", "slash.mp3"}
    assert listed(home / "in" / "*.ogg", "--tag", "rock") == {"other.ogg"}
    assert listed(home / "i?") == set(GENRES)
    assert echoic("list", "in/one.flac", "--tag", "rock", cwd=home).stderr == "no file is so tagged\n"


def test_several_paths_of_which_one_must_fit(read_only, home):
    echoic = CommandsWithin(home / "library")
    words = ["search", "in/other.ogg", "--json", "--path", "*.flac", "--path", "in/slash.*"]
    lines = echoic(*words, cwd=home).stdout.splitlines()
    found = {json.loads(line)["path"].rpartition("/")[2] for line in lines}
    assert found == {"comma.flac", "one.flac", "slash.mp3"}
    hits = read_only.search(home / "in" / "other.ogg", path=["*.flac", "in/slash.*"])
    assert names(hits) == found
    assert read_only.search(home / "in" / "other.ogg", path=[]) == []


@pytest.fixture
def three(tmp_path):
    return [
        write_clip(tmp_path / "audio" / f"{name}.wav", seed) for seed, name in enumerate(("a", "b", "[c]"))
    ]


@pytest.fixture
def echoic(tmp_path):
    return CommandsWithin(tmp_path / "library")


def tagged(library):
    return {
        record.path.rpartition("/")[2]: ", ".join(record.tags.get("tag", ())) for record in library.files()
    }


def test_index_says_what_it_tagged(echoic, index, library, three, tmp_path):
    index()
    words = ["index", three[0], three[1], "--tag", "loud", "--tag", "mood=Dark", "--jobs", "1"]
    assert echoic(*words).stdout == "2 unchanged, 2 tagged\n"
    assert echoic("index", three[2], "--jobs", "1").stdout == "1 unchanged\n"
    assert index(three[2], tags=["quiet"]).tagged == 1
    assert tagged(library) == {"a.wav": "loud", "b.wav": "loud", "[c].wav": "quiet"}


def test_index_tags_what_lies_at_its_paths_never_what_a_glob_fits(index, library, three, folder):
    empty = folder / "[ab].wav.d"
    empty.mkdir()
    index()
    index(empty, tags=["x"])
    (folder / "[ab].wav").mkdir()
    index(folder / "[ab].wav", tags=["x"])
    assert set(tagged(library).values()) == {""}


def test_tag_takes_files_folders_and_globs(echoic, index, library, three, folder):
    index()
    assert echoic("tag", "*.wav", "--add", "all").stdout == "3 files tagged anew\n"
    assert echoic("tag", "audio/[ab].wav", folder / "a.wav", "--add", "ab").stdout == "2 files tagged anew\n"
    # A file that is there is itself, whatever its name would mean as a glob.
    assert echoic("tag", three[2], "--add", "c").stdout == "1 file tagged anew\n"
    assert echoic("tag", three[2], "--add", "C").stdout == "1 file tagged anew\n"
    assert echoic("tag", three[2], "--add", "c").stdout == "1 file tagged anew\n"
    assert echoic("tag", folder, "--add", "c").stdout == "2 files tagged anew, 1 file as before\n"
    assert echoic("tag", folder, "--add", "c").stdout == "3 files as before\n"
    assert echoic("tag", "[ab].wav", "--remove", "c").stdout == "2 files tagged anew\n"
    assert echoic("tag", "*.wav", "--remove", "none").stdout == "3 files as before\n"
    assert echoic("tag", folder, "--add", "Straße").stdout == "3 files tagged anew\n"
    assert tagged(library) == {
        "a.wav": "Straße, ab, all",
        "b.wav": "Straße, ab, all",
        "[c].wav": "Straße, all, c",
    }
    echoic("tag", "*", "--remove", "STRASSE", "--remove", "tag=ALL", "--add", "x; y")
    assert tagged(library) == {"a.wav": "ab, x, y", "b.wav": "ab, x, y", "[c].wav": "c, x, y"}
    assert "nothing in the library is at" in echoic("tag", three[0], "*.mp3", "--add", "z", code=2).stderr
    assert "z" not in tagged(library)["a.wav"]
    assert echoic("remove", "audio/?.wav").stdout == "2 files forgotten\n"
    assert tagged(library) == {"[c].wav": "c, x, y"}


def test_a_tag_to_remove_that_no_file_has_is_said(echoic, index, library, three):
    index()
    library.tag(three[:1], add=["mood=dark"])
    assert echoic("tag", "*.wav", "--remove", "mood=DARK").stderr == ""
    assert tagged(library)["a.wav"] == ""
    told = echoic("tag", "*.wav", "--remove", "mood=dark", "--remove", "nope", "--add", "x").stderr
    assert (
        told
        == "note: none of these files has the tag 'mood=dark'\nnote: none of these files has the tag 'nope'\n"
    )
    assert set(tagged(library).values()) == {"x"}


def test_the_same_tag_in_another_case_takes_the_place_of_the_first(echoic, index, library, three):
    index()
    library.tag(three, add=["Loud", "mood=Äther"])
    library.tag(three, add=["LOUD", "Mood=A\u0308THER"])
    assert {(record.tags["tag"], record.tags["mood"]) for record in library.files()} == {
        (("LOUD",), ("A\u0308THER",))
    }


@pytest.mark.parametrize("tag", ["", " ", "=", "mood=", "=dark", ";", "genre=/", " = "])
def test_a_tag_that_says_nothing_is_refused_everywhere(index, library, three, tag):
    with pytest.raises(UsageError, match="is no tag"):
        index(tags=[tag])
    assert not library.exists()
    index()
    for call in (
        lambda: library.index(three, tags=["x", tag]),
        lambda: library.tag(three, add=["x", tag]),
        lambda: library.tag(three, add=["x"], remove=[tag]),
        lambda: library.search(three[0], tags=[tag]),
        lambda: library.files(tags=[tag]),
    ):
        with pytest.raises(UsageError, match="is no tag: one is VALUE or NAME=VALUE, and neither is empty"):
            call()
    assert set(tagged(library).values()) == {""}


def test_a_library_that_comes_to_nothing_leaves_its_folder_as_it_was(index, library, three, tmp_path):
    for store in ("http://127.0.0.1:9", "http://me:secret@host", "ftp://host"):
        with pytest.raises(EchoicError, match=r"cannot be reached|leave name and password|no Milvus address"):
            index(store=store)
        assert not (tmp_path / "library").exists()
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError):
        index(store="ftp://host")
    assert [path.name for path in (tmp_path / "library").iterdir()] == ["notes.txt"]
    assert index().added == 3  # by the same object
    with pytest.raises(UsageError, match="keeps its vectors in embedded"):
        index(store="ftp://host")
    assert len(library.files()) == 3
