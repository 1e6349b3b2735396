"""Tags: how a text is parted into values, and which of them are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.audio.tags import folded, is_mark, tag_values


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("genre", "Jazz", ["Jazz"]),
        ("genre", "Jazz; Funk", ["Jazz", "Funk"]),
        ("genre", "Jazz;Funk", ["Jazz", "Funk"]),
        ("genre", "Jazz/Funk", ["Jazz", "Funk"]),
        ("genre", "Jazz / Funk", ["Jazz", "Funk"]),
        ("genre", "Jazz, Funk", ["Jazz", "Funk"]),
        ("genre", "Jazz|Funk", ["Jazz", "Funk"]),
        ("genre", r"Jazz\\Funk", ["Jazz", "Funk"]),
        ("genre", "Rock & Roll; R&B; Hip-Hop", ["Rock & Roll", "R&B", "Hip-Hop"]),
        ("genre", "(8)", ["Jazz"]),
        ("genre", "8", ["Jazz"]),
        ("genre", "(8)(5)", ["Jazz", "Funk"]),
        ("genre", "(4)Eurodisco", ["Disco", "Eurodisco"]),
        ("genre", "8; 5", ["Jazz", "Funk"]),
        ("genre", "(62)", ["Pop", "Funk"]),  # Pop/Funk
        ("genre", "(191)", ["Psybient"]),
        ("genre", "(192)", ["192"]),
        ("genre", "192", ["192"]),
        ("genre", "80s", ["80s"]),
        ("genre", "(RX)(CR)", ["Remix", "Cover"]),
        ("genre", "((Foo)", ["(Foo)"]),
        ("genre", "Rock (live)", ["Rock (live)"]),
        ("genre", "Jazz; Jazz;; ", ["Jazz"]),
        ("genre", " ; ", []),
        ("artist", "AC/DC", ["AC/DC"]),
        ("artist", "Crosby, Stills & Nash; Young", ["Crosby, Stills & Nash", "Young"]),
        ("album_artist", "A;B", ["A", "B"]),
        ("keywords", "24/7, door; slam", ["24/7", "door", "slam"]),
        ("mood", "dark, deep", ["dark", "deep"]),
        ("tag", "a;b", ["a", "b"]),
        ("title", "Help; I need somebody", ["Help; I need somebody"]),
        ("comment", "one; two / three", ["one; two / three"]),
        ("lyrics-eng", "one; two", ["one; two"]),
        ("title", "  ", []),
        ("artist", "8", ["8"]),
    ],
)
def test_values(name, text, values):
    assert tag_values(name, text) == values


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Jazz", "JAZZ"),
        ("Ä", "ä"),
        ("Ä", "A\u0308"),
        ("é", "E\u0301"),
        ("Straße", "STRASSE"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("Джаз", "ДЖАЗ"),
        ("Hip  Hop ", "hip hop"),
        ("\u1e9b\u0323", "\u1e9b\u0323".upper()),
    ],
)
def test_texts_that_differ_in_case_and_coding_only_are_the_same(one, other):
    assert folded(one) == folded(other)


def test_other_letters_are_other_letters():
    assert len({folded(text) for text in ("a", "ä", "e", "é", "jazz funk", "jazzfunk")}) == 6


@given(st.text())
def test_folding_twice_changes_nothing(text):
    assert folded(folded(text)) == folded(text)


@given(st.sampled_from(["genre", "artist", "title", "tag", "mood"]), st.text())
def test_values_are_read_as_themselves(name, text):
    """What is shown can be searched for. Numbers of genres are the exception."""
    for value in tag_values(name, text):
        assert value == " ".join(value.split())
        if name != "genre" or not any(character in value for character in "0123456789("):
            assert tag_values(name, value) == [value]


@pytest.mark.parametrize(
    "name",
    "encoder major_brand minor_version compatible_brands handler_name vendor_id duration duration-eng bps-eng"
    " number_of_frames-eng _statistics_writing_app encoder_settings itunsmpb".split(),
)
def test_what_a_program_noted_about_itself_is_a_mark(name):
    assert is_mark(name)


@pytest.mark.parametrize("name", "artist genre encoded_by engineer duration_of_life brand tag".split())
def test_what_a_person_wrote_is_none(name):
    assert not is_mark(name)


def test_an_unknown_language_is_a_mark():
    assert is_mark("language", "und")
    assert not is_mark("language", "eng")
