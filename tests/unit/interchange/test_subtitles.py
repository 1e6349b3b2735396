"""Subtitles as programs of all kinds write them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic.interchange.subtitles import read_subtitles, spell_srt, spell_text, spell_vtt


def read(text):
    return [
        (cue.start, cue.end, cue.text)
        for cue in read_subtitles(text if isinstance(text, bytes) else text.encode())
    ]


SRT = """1
00:00:01,000 --> 00:00:02,500
Fish &amp; <i>chips</i>

2
00:01:02,000 --> 01:00:03,000
{\\an8}Room

7
"""


def test_subrip_is_read():
    assert read(SRT) == [(1.0, 2.5, "Fish & chips"), (62.0, 3603.0, "Room 7")]
    assert read(SRT.replace("\n", "\r\n")) == read(SRT) == read("\ufeff" + SRT)
    assert read(SRT.encode("utf-16")) == read(SRT)


def test_a_cue_without_a_number_is_none_the_worse():
    text = "00:01.000 --> 00:02.000\none\n\n00:03.000 --> 00:04.000\ntwo\n3\n00:05.000 --> 00:06.000\nthree"
    assert read(text) == [(1, 2, "one"), (3, 4, "two"), (5, 6, "three")]


def test_an_old_encoding_is_guessed():
    assert read("1\n00:00:01,000 --> 00:00:02,000\n“café”".encode("cp1252")) == [(1, 2, "“café”")]


def test_voices_are_kept_and_marks_and_sounds_are_not():
    cues = read_subtitles(
        b"WEBVTT\n\nNOTE\nnot this\n\nSTYLE\n::cue {}\n\nname\n00:01.000 --> 00:02.000 line:0\n"
        b"<v.loud Ann Lee>Hi</v> [DOOR SLAMS] you\n\n00:03.000 --> 00:04.000\n(laughs)\n"
    )
    assert [(cue.voice, cue.text) for cue in cues] == [("Ann Lee", "Hi you")]


def test_lines_that_roll_are_read_once_with_the_times_of_their_words():
    cues = read_subtitles(
        b"WEBVTT\n\n00:00.000 --> 00:02.000\n \nhello<00:00.500><c> world</c>\n\n"
        b"00:02.000 --> 00:02.010\nhello world\n \n\n"
        b"00:02.010 --> 00:04.000\nhello world\nthis<00:03.000><c> is</c>\n\n"
        b"00:04.000 --> 00:04.010\nthis is\n \n"
    )
    assert [cue.text for cue in cues] == ["hello world", "this is"]
    words = [(word.text.strip(), word.start) for cue in cues for word in cue.words]
    assert [word for word, _ in words] == ["hello", "world", "this", "is"]
    assert (words[1][1], words[3][1]) == (0.5, 3.0)


def test_what_is_said_twice_is_read_twice():
    text = "0:01 --> 0:02\nNo.\n\n0:02 --> 0:03\nNo.\n\n0:03 --> 0:04\nOh yes.\n"
    assert [said for *_, said in read(text)] == ["No.", "No.", "Oh yes."]


def test_the_clocks_of_hls_are_brought_together():
    text = (
        "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\n00:01.000 --> 00:02.000\none\n\n"
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:1440000,LOCAL:00:00:00.000\n\n00:01.000 --> 00:02.000\ntwo\n"
    )
    assert read(text) == [(1, 2, "one"), (7, 8, "two")]


def test_words_without_spaces_have_times_each():
    (cue,) = read_subtitles("0:00 --> 0:10\n東京 タワー".encode())
    assert cue.text == "東京 タワー"
    assert len(cue.words) == 5
    assert all(0 < word.end - word.start <= 2 for word in cue.words)


def test_what_was_written_is_read_again():
    cues = read_subtitles(b"0:01 --> 0:02.5\n<v A&amp;B>a --&gt; b & <c>\n\n0:03 --> 0:04\nsecond line\n")
    assert read_subtitles(spell_vtt(cues).encode()) == cues
    assert [cue.start for cue in read_subtitles(spell_srt(cues).encode())] == [1, 3]
    assert spell_text(cues) == "A&B: a --> b &\nsecond line\n"


@pytest.mark.parametrize("content", [b"", b"junk", b"-->", b"\xff\xfe\x00", b"\x00\xff --> \xff", b"WEBVTT"])
def test_what_is_none_gives_none(content):
    assert read_subtitles(content) == []


@settings(max_examples=60)
@given(st.lists(st.sampled_from([*SRT.split("\n"), "<00:01.500>", "<v X", "[", "(", "\\"]), max_size=20))
def test_whatever_comes_times_are_in_order(lines):
    cues = read_subtitles("\n".join(lines).encode())
    assert [cue.start for cue in cues] == sorted(cue.start for cue in cues)
    for cue in cues:
        assert cue.words
        assert all(cue.start <= word.start <= word.end <= cue.end for word in cue.words)


@pytest.mark.timeout(20)  # hours where the time grows with the square of a line's length
@pytest.mark.parametrize("sign", [" ", "<", "[", "(", "{\\", "<v ", "-->"])
def test_long_lines_are_read(sign):
    [cue] = read_subtitles(f"0:00 --> 0:01\n{sign * 100_000} said".encode())
    assert cue.text.endswith("said")
    assert read_subtitles(f"0:00 {sign * 100_000} 0:01\nsaid".encode()) == []
