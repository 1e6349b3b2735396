"""What is said in a library's files, kept and searched."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.storage.catalog import Catalog
from echoic.storage.folding import fold
from echoic.storage.transcripts import Laid, Transcripts
from echoic.types import AudioInfo, Cue, Transcript, Word


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def catalog(request, tmp_path):
    is_elsewhere = request.param == "PostgreSQL"
    address = request.getfixturevalue("postgres_server").emptied() if is_elsewhere else None
    with closing(Catalog(tmp_path, address)) as opened:
        yield opened


def add(catalog, name, *lines, digest="a"):
    """Put a file into a catalog in which these lines are said, a word a second."""
    cues, at = [], 0
    for line in lines:
        texts = line.split()
        words = tuple(Word(at + i, at + i + 0.9, f" {text}" if i else text) for i, text in enumerate(texts))
        cues.append(Cue(at, at + len(texts), words))
        at += len(texts)
    with catalog.transaction():
        file_id = catalog.put_file(Path(name), 1, 1, digest, AudioInfo(at, 8_000, 1, "x"), "indexed")
        Transcripts(catalog).put(file_id, Laid.of(Transcript(tuple(cues), "a test")))
    return file_id


def found(catalog, phrase):
    places = Transcripts(catalog).find(fold(phrase.split()), 1)
    return [(place.words[0].start, place.words[-1].end, place.is_parted_so) for place in places]


def test_a_transcript_is_kept_as_it_is(catalog):
    cues = (
        Cue(0.5, 2.25, (Word(0.5, 1.0, "Guten", 0.75), Word(1.0, 2.25, " Tag", 0.5)), "de", "Ann"),
        Cue(3.0, 4.0, (Word(3.0, 4.0, "東京"),), "ja"),
    )
    file_id = add(catalog, "/a.wav", "before")
    with catalog.transaction():
        Transcripts(catalog).put(file_id, Laid.of(Transcript(cues, "by hand")))
    told = Transcripts(catalog).of(file_id)
    assert told == Transcript(cues, "by hand")
    assert told.languages == ("de", "ja")
    assert found(catalog, "before") == []


def test_a_phrase_over_the_edge_of_two_lines_is_one_hit(catalog):
    add(catalog, "/a.wav", "we speak of Dutch", "made cheese, forty", "three dollars")
    assert found(catalog, "dutch-made") == [(3, 4.9, True)]
    assert found(catalog, "dutchmade cheese") == [(3, 5.9, False)]
    assert found(catalog, "$43") == [(6, 8.9, True)]
    assert found(catalog, "utch made") == []


@pytest.mark.parametrize("said", ["4711", "4 7 1 1", "forty seven eleven", "forty-seven one one"])
@pytest.mark.parametrize("asked", ["4711", "4 7 1 1", "47 11"])
def test_numbers_are_found_however_they_are_told(catalog, said, asked):
    add(catalog, "/a.wav", f"call {said} now")
    assert len(found(catalog, asked)) == 1


def test_no_phrase_lies_across_passages(catalog):
    words = [f"w{i}" for i in range(1_000)]
    add(catalog, "/a.wav", *(" ".join(words[at : at + 7]) for at in range(0, 1_000, 7)))
    for first in (0, 250, 254, 255, 256, 500, 511, 990):
        phrase = " ".join(words[first : first + 10])
        assert found(catalog, phrase) == [(first, first + 9.9, True)], first


@settings(max_examples=30)
@given(st.data())
def test_every_place_is_found_once(tmp_path_factory, data):
    letters = data.draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=40))
    asked = data.draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3))
    with closing(Catalog(tmp_path_factory.mktemp("library"))) as catalog:
        add(catalog, "/a.wav", " ".join(letters))
        assert len(found(catalog, " ".join(asked))) == "".join(letters).count("".join(asked))


def test_what_goes_takes_its_transcript_along(catalog):
    def n():
        return [
            catalog.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("transcripts", "cues", "passages")
        ] + [len(found(catalog, "hello"))]

    first = add(catalog, "/a.wav", "hello there")
    add(catalog, "/b.wav", "hello", "you")
    assert n() == [2, 3, 2, 2]
    with catalog.transaction():
        catalog.delete_files([first])
    assert n() == [1, 2, 1, 1]
    with catalog.transaction():  # a failure leaves what is known, new content does not
        catalog.put_failure(Path("/b.wav"), 1, 2, "gone")
    assert n() == [1, 2, 1, 1]
    with catalog.transaction():
        catalog.put_file(Path("/b.wav"), 1, 3, "b", AudioInfo(9, 8_000, 1, "x"), "indexed")
    assert n() == [0, 0, 0, 0]
    if catalog.connection.has_table("passages_by_key"):
        catalog.connection.execute("INSERT INTO passages_by_key (passages_by_key) VALUES ('integrity-check')")


def test_damage_is_told(catalog):
    file_id = add(catalog, "/a.wav", "hello there")
    catalog.connection.execute("UPDATE cues SET words = '[[1'")
    with pytest.raises(sqlite3.DatabaseError, match="damaged"):
        Transcripts(catalog).of(file_id)
    for words, told in (("[]", "damaged"), ('[[0, 1, "hello", 1]]', "do not fit")):
        catalog.connection.execute("UPDATE cues SET words = ?", (words,))
        with pytest.raises(sqlite3.DatabaseError, match=told):
            found(catalog, "there")
