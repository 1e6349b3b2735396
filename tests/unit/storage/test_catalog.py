"""The catalog: what is written is read back, by path, by folder, by filter."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echoic.errors import LibraryBusyError, LibraryError
from echoic.spec import EncoderSpec
from echoic.storage.catalog import Catalog
from echoic.types import AudioInfo, Note

INFO = AudioInfo(duration=2.5, sample_rate=44_100, channels=2, codec="flac")
SPEC = EncoderSpec(name="spectral", revision="1", sample_rate=16_000, window=5.0, hop=2.5, dim=4)


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def catalog(request, tmp_path):
    """A catalog in each database that can hold one."""
    is_elsewhere = request.param == "PostgreSQL"
    address = request.getfixturevalue("postgres_server").emptied() if is_elsewhere else None
    with closing(Catalog(tmp_path / "library", address)) as catalog:
        yield catalog


def put(catalog, path, *, state="indexed", **changes):
    with catalog.transaction():
        return catalog.put_file(Path(path), 10, 20, "digest", replace(INFO, **changes), state)


def test_a_file_comes_back_as_it_was_put(catalog):
    with catalog.transaction():
        catalog.add_encoder(SPEC, "spectral")
    file_id = put(catalog, "/a/b.flac", tags={"artist": "Bach", "genre": "organ"})
    with catalog.transaction():
        catalog.put_encoded(file_id, SPEC.key, 2)
        catalog.tag_files(list(catalog.ids_at(Path("/a"))), ["mine", "quiet", "Mood=dark"])
    (record,) = catalog.files()
    assert record.path == "/a/b.flac"
    assert (record.size, record.mtime_ns, record.digest, record.state) == (10, 20, "digest", "indexed")
    assert (record.duration, record.sample_rate, record.channels, record.codec) == (2.5, 44_100, 2, "flac")
    assert record.encoders == (SPEC.key,)
    assert record.tags == {
        "artist": ("Bach",),
        "genre": ("organ",),
        "tag": ("mine", "quiet"),
        "mood": ("dark",),
    }
    assert dict(catalog.n_segments(SPEC.key)) == {file_id: 2}
    assert catalog.encoders() == {"spectral": SPEC}


def test_notes_come_back_and_go_with_what_they_were_about(catalog):
    notes = (Note("tracks", "straße → mix", "mix"), Note("silence", "no sound in it"))
    put(catalog, "/a.wav", notes=notes)
    assert catalog.files()[0].notes == notes
    put(catalog, "/a.wav")
    assert catalog.files()[0].notes == ()


def test_notes_of_an_earlier_library_have_their_kind(catalog):
    put(catalog, "/a.wav")
    with catalog.transaction():
        catalog.connection.execute("UPDATE files SET notes = ?", ['["silence: no sound: in it"]'])
    assert catalog.files()[0].notes == (Note("silence", "no sound: in it"),)


def test_a_changed_file_keeps_its_id_and_a_persons_tags(catalog):
    first = put(catalog, "/a.wav", tags={"title": "old"})
    with catalog.transaction():
        catalog.tag_files(list(catalog.ids_at(Path("/a.wav"))), ["mine"])
    assert put(catalog, "/a.wav", tags={"title": "new"}) == first
    assert catalog.files()[0].tags == {"title": ("new",), "tag": ("mine",)}


def test_ids_are_never_used_again(catalog):
    first = put(catalog, "/a.wav")
    with catalog.transaction():
        catalog.delete_files([first])
    assert put(catalog, "/b.wav") > first


def test_deleting_a_file_takes_segments_and_tags_along(catalog):
    with catalog.transaction():
        catalog.add_encoder(SPEC, "spectral")
    file_id = put(catalog, "/a.wav", tags={"title": "x"})
    with catalog.transaction():
        catalog.put_encoded(file_id, SPEC.key, 1)
        catalog.delete_files([file_id])
    assert catalog.files() == []
    assert dict(catalog.n_segments(SPEC.key)) == {}
    assert catalog.connection.execute("SELECT count(*) FROM tags").fetchone() == (0,)


names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8
).filter(lambda name: name not in {".", ".."})


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.lists(names, min_size=1, max_size=3).map(tuple), max_size=12), st.lists(names, max_size=2))
def test_under_a_folder_is_what_python_says_is_under_it(catalog, paths, folder):
    with catalog.transaction():
        catalog.connection.execute("DELETE FROM files")
    root = Path("/", *folder)
    for parts in paths:
        put(catalog, Path("/", *parts))
    expected = {str(Path("/", *parts)) for parts in paths if Path("/", *parts).is_relative_to(root)}
    assert {record.path for record in catalog.files(root)} == expected


def test_names_that_are_no_text_come_back(catalog):
    path = os.fsdecode(b"/sounds/caf\xe9\n.wav")
    file_id = put(catalog, path)
    assert catalog.known_at(Path(path)).id == file_id
    assert catalog.paths([file_id, 99]) == {file_id: path}


def test_filters(catalog):
    short = put(catalog, "/fx/door.wav", duration=0.5, tags={"genre": "Foley"})
    long = put(catalog, "/fx/deep/rain.flac", duration=60, tags={"genre": "ambience"})
    song = put(catalog, "/music/door.mp3", duration=200, tags={"artist": "Foley"})
    with catalog.transaction():
        catalog.tag_files(list(catalog.ids_at(Path("/fx/deep"))), ["Wet", "mood=dark"])
    assert catalog.matching() == {short, long, song}
    assert catalog.matching(path="*.wav") == {short}
    assert catalog.matching(path="fx/*") == {short, long}
    assert catalog.matching(path="/fx/*") == {short, long}
    assert catalog.matching(path="door.*") == {short, song}
    assert catalog.matching(path="oor.*") == set()
    assert catalog.matching(path="./fx/*.wav") == {short}
    assert catalog.matching(path="fx") == {short, long}
    assert catalog.matching(path="/fx/de*") == {long}
    assert catalog.matching(min_duration=60) == {long, song}
    assert catalog.matching(max_duration=60) == {short, long}
    # As they are shown, to a tenth of a second.
    assert catalog.matching(min_duration=60.04, max_duration=60.04) == {long}
    assert catalog.matching(max_duration=59.96) == {short, long}
    assert catalog.matching(max_duration=59.9) == {short}
    assert catalog.matching(tags=["foley"]) == catalog.matching(tags="foley") == {short, song}
    assert catalog.matching(tags=["GENRE=foley"]) == {short}
    assert catalog.matching(tags=["wet", "ambience"]) == {long}
    assert catalog.matching(tags=["wet"], path="*.wav") == set()
    assert catalog.matching(tags=["mood=dark"]) == catalog.matching(tags=["Mood=Dark"]) == {long}
    assert catalog.matching(tags=["dark"]) == {long}
    assert catalog.matching(tags=["tag=wet"]) == {long}


def test_what_is_heard_is_found_until_something_else_listens(catalog):
    other = replace(SPEC, revision="2")
    with catalog.transaction():
        for spec in (SPEC, other):
            catalog.add_encoder(spec, "spectral")
    owl, dog = put(catalog, "/owl.wav"), put(catalog, "/dog.wav", tags={"heard": "Owl"})
    with catalog.transaction():
        for file_id in (owl, dog):
            catalog.put_encoded(file_id, SPEC.key, 1)
        for probability in (0.4, 0.7):
            spans = {"Owl": (True, [(1.0, 2.5, probability)]), "Animal": (False, [(1.0, 2.5, 0.8)])}
            catalog.put_heard(owl, f"{SPEC.key} head@1", spans)
    assert catalog.heard_in(owl) == [("Owl", 1.0, 2.5, 0.7)]
    assert [record.heard for record in catalog.files()] == [{}, {"Owl": 0.7}]
    assert catalog.matching(tags=["heard=animal"]) == {owl}
    assert catalog.matching(tags=["owl"]) == {owl, dog}
    assert catalog.unheard(SPEC.key, f"{SPEC.key} head@1") == [dog]
    assert catalog.unheard(SPEC.key, f"{SPEC.key} head@2") == [owl, dog]
    with catalog.transaction():
        catalog.delete_encoder(other.key)
    assert catalog.heard_in(owl) != []
    with catalog.transaction():
        catalog.delete_encoder(SPEC.key)
    assert catalog.heard_in(owl) == []
    assert catalog.earlier_spans(SPEC.key) == []


def test_a_tag_may_hold_any_character(catalog):
    file_id = put(catalog, "/a.wav", tags={"title": "one\0two \U0001f989"})
    [title] = catalog.files()[0].tags["title"]
    assert catalog.matching(tags=[f"title={title}"]) == {file_id}


def test_a_failed_file_keeps_its_duration_and_says_why(catalog):
    put(catalog, "/a.wav")
    with catalog.transaction():
        catalog.put_failure(Path("/a.wav"), 11, 21, "/a.wav holds no sound")
    (record,) = catalog.files()
    assert (record.state, record.message, record.size, record.digest) == (
        "failed",
        "/a.wav holds no sound",
        11,
        "",
    )
    assert record.duration == 2.5
    assert catalog.count() == {"failed": 1}


def test_a_transaction_that_fails_leaves_nothing(catalog):
    def write_and_fail():
        with catalog.transaction():
            catalog.put_file(Path("/a.wav"), 1, 1, "", INFO, "indexed")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_and_fail()
    assert catalog.files() == []


def test_one_process_writes_at_a_time(catalog):
    code = (
        "import sys; from pathlib import Path; from echoic.storage.catalog import Catalog\n"
        "with Catalog(Path(sys.argv[1])).writing(): print('in', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(catalog.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(LibraryBusyError, match="try again"), catalog.writing():
            pass
        other.kill()  # a lock must not outlive its process, or not by long where a server has to notice
    with catalog.writing(patience=30):
        put(catalog, "/a.wav")
    assert len(catalog.files()) == 1


def test_a_newer_format_is_refused(tmp_path):
    Catalog(tmp_path).close()
    with sqlite3.connect(tmp_path / "library.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(LibraryError, match="format 99"):
        Catalog(tmp_path)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    (tmp_path / "library.sqlite").write_bytes(b"not a database, but somebody's work" * 50)
    with pytest.raises(LibraryError, match="cannot be used"):
        Catalog(tmp_path)
    assert (tmp_path / "library.sqlite").read_bytes().startswith(b"not a database")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LibraryError, match="cannot be used"):
        Catalog(tmp_path / "file" / "library")


def test_the_revision_used_last_is_the_one_in_use(catalog):
    second = replace(SPEC, revision="2")
    other = replace(SPEC, name="other")
    for spec in (SPEC, other, second):
        with catalog.transaction():
            catalog.add_encoder(spec, spec.name)
    assert catalog.encoders() == {"spectral": second, "other": other}
    assert catalog.superseded() == {SPEC: second}
    with catalog.transaction():
        catalog.add_encoder(SPEC, "spectral")
    assert catalog.encoders()["spectral"] == SPEC
    assert catalog.superseded() == {second: SPEC}
    with catalog.transaction():
        catalog.delete_encoder(second.key)
    assert catalog.superseded() == {}


def test_a_library_is_made_while_another_process_makes_it(tmp_path):
    """SQLite does not wait by itself to switch to a log ahead while another writes, or switches."""
    folder = tmp_path / "library"
    folder.mkdir()
    with (
        closing(sqlite3.connect(folder / "library.sqlite", isolation_level=None)) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        other.execute("BEGIN IMMEDIATE")
        made = pool.submit(lambda: Catalog(folder).close())
        with pytest.raises(TimeoutError):
            made.result(timeout=0.2)
        other.execute("COMMIT")
        made.result(timeout=30)
    with closing(Catalog(folder)) as catalog:
        assert catalog.setting("identity") is not None


def test_what_is_needed_to_see_changes(catalog):
    other = replace(SPEC, name="other")
    with catalog.transaction():
        catalog.add_encoder(SPEC, "spectral")
        catalog.add_encoder(other, "other")
    one, two = put(catalog, "/a/one.wav"), put(catalog, "/a/two.wav", state="partial")
    with catalog.transaction():
        catalog.put_failure(Path("/b/bad.wav"), 30, 1, "/b/bad.wav holds no sound")
        for spec in (SPEC, other):
            catalog.put_encoded(one, spec.key, 1)
        catalog.put_encoded(two, other.key, 1)
    assert catalog.known_at(Path("/a/one.wav")) == (
        *(one, "/a/one.wav", 10, 20, "digest", "indexed", ()),
        (SPEC.key, other.key),
    )
    assert catalog.known_at(Path("/a")) is None
    bad = catalog.known_at(Path("/b/bad.wav"))
    assert (bad.state, bad.digest, bad.encoders) == ("failed", "", ())
    assert list(catalog.paths_of_size(10)) == ["/a/one.wav", "/a/two.wav"]
    assert list(catalog.paths_of_size(11)) == []
    assert catalog.paths_in([SPEC.key]) == [Path("/a/one.wav")]
    assert catalog.paths_in([SPEC.key, other.key]) == [Path("/a/one.wav"), Path("/a/two.wav")]
    assert catalog.paths_in([]) == []
    assert catalog.stamps_between("/a/", "/b/z", 9) == {
        ("/a/one.wav", 10, 20): one,
        ("/a/two.wav", 10, 20): two,
    }
    assert [*catalog.stamps_between("/a/one.wav", "/a/two.wav", 1).values()] == [one]
    assert [known.path for known in catalog.files(file_ids={two, 99})] == ["/a/two.wav"]


@pytest.mark.parametrize(
    "notes", ["{", "7", '[{"kind": "weather", "sentence": "rain"}]', "[7]", '[{"kind": 1}]']
)
def test_notes_that_are_none_are_a_fault_of_the_library(catalog, notes):
    with catalog.transaction():
        catalog.put_file(Path("/a.wav"), 1, 1, "d", INFO, "indexed")
        catalog.connection.execute("UPDATE files SET notes = ?", (notes,))
    with pytest.raises(sqlite3.DatabaseError, match="its notes are none"):
        catalog.files()
