"""What is written for other programs is read back as it was."""

import csv

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echoic import Hit, UsageError
from echoic.interchange.labels import Label, LabelFolder, read_labels, spell_labels
from echoic.interchange.playlist import m3u_entry
from echoic.interchange.raven import raven_table, read_raven
from echoic.interchange.reaper import regions

HITS = [
    Hit(1, "/a/forest.wav", 1.25, 3.5, 0.9, "events"),
    Hit(2, "/b/forest, north.wav", 3_725.0625, 3_726.0, 0.512, "events"),
]
times = st.integers(0, 10**9).map(lambda n: n / 1_000)
texts = st.sampled_from(["", "owl", "a,b", '"x"', "Käuzchen", "\\", "1.5", "猫"])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(times, times, texts, st.none() | st.tuples(times, times)), max_size=5))
def test_labels_are_read_as_they_were(rows):
    labels = [Label(start, end, text, *(band or (None, None))) for start, end, text, band in rows]
    assert read_labels(spell_labels(labels)) == labels


def test_labels_keep_to_a_line_each():
    assert spell_labels([Label(0, 1, "a\tb\nc")]) == "0.000000\t1.000000\ta b c\n"
    assert read_labels("1\t1\n\r\n2.5\t3\tx\r\n") == [Label(1, 1, ""), Label(2.5, 3, "x")]


@pytest.mark.parametrize("text", ["1.0", "a\tb\tc", "\\\t1\t2\n", "1,5\t2,5\tx"])
def test_what_are_no_labels_is_said_with_its_line(text):
    with pytest.raises(UsageError, match="line 1 of the labels"):
        read_labels(text)


def test_label_files_are_one_a_file(tmp_path):
    folder = LabelFolder(tmp_path / "labels")
    chosen = [folder.choose(tmp_path / name) for name in ("x/a.wav", "y/A.wav", "b.wav")]
    assert [path.name for path in chosen] == ["a.wav.txt", "A.wav.2.txt", "b.wav.txt"]
    folder.write(chosen[0], [Label(1, 2, "hoot")])
    with pytest.raises(UsageError, match="is there already"):
        LabelFolder(tmp_path / "labels").choose(tmp_path / "a.wav")
    with pytest.raises(UsageError, match="is a file"):
        LabelFolder(chosen[0])


def test_where_it_is_not_known_which_files_have_labels_there_may_be_none_yet(tmp_path):
    (tmp_path / "notes.md").touch()
    LabelFolder(tmp_path).check_none_yet()
    (tmp_path / "other.wav.txt").touch()
    with pytest.raises(UsageError, match=r"other\.wav\.txt is there already"):
        LabelFolder(tmp_path).check_none_yet()


def test_what_came_meanwhile_is_not_written_over(tmp_path):
    path = tmp_path / "found.txt"

    def written_by_two():
        with raven_table(path) as table:
            table.add(HITS[0])
            path.write_text("another's")

    with pytest.raises(UsageError, match="is there already"):
        written_by_two()
    assert path.read_text() == "another's"
    assert list(tmp_path.iterdir()) == [path]


def test_a_selection_table_is_read_as_it_was(tmp_path):
    path = tmp_path / "found.selections.txt"
    with raven_table(path) as table:
        for hit in HITS:
            table.add(hit)
    assert read_raven(path) == [(hit.path, hit.start, hit.end, "") for hit in HITS]
    header = path.read_text("utf-8").split("\n")[0].split("\t")
    assert header[:7] == [
        *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"),
        *("Low Freq (Hz)", "High Freq (Hz)"),
    ]


def test_of_raven_s_views_each_selection_counts_once(tmp_path):
    path = tmp_path / "raven.txt"
    head = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\n"
    rows = ("1\tWaveform 1\t1\t100.5\t102\ta.wav\t0.5\n", "1\tSpectrogram 1\t1\t100.5\t102\ta.wav\t0.5\n")
    path.write_text(head + "".join(rows), "utf-8")
    assert read_raven(path) == [("a.wav", 0.5, 2.0, "")]
    path.write_text("Selection\tBegin Time (s)\n1\t3\n", "utf-8")
    with pytest.raises(UsageError, match="line 2"):
        read_raven(path)


def test_regions_are_reaper_s_columns(tmp_path):
    path = tmp_path / "regions.csv"
    with regions(path) as written:
        for hit in HITS:
            written.add(hit)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["#", "Name", "Start", "End", "Length"],
        ["R1", "forest 0.90", "0:01.250", "0:03.500", "0:02.250"],
        ["R2", "forest, north 0.51", "1:02:05.062", "1:02:06.000", "0:00.938"],
    ]


def test_a_playlist_begins_where_something_is(tmp_path):
    assert m3u_entry(HITS[0]) == "#EXTINF:2,forest\n#EXTVLCOPT:start-time=1.25\n/a/forest.wav"
    assert m3u_entry(Hit(1, "/a/new\nline.wav", 0, 1, 1, "events")) is None


def test_nothing_is_left_where_writing_fails(tmp_path):
    path = tmp_path / "found.txt"
    with pytest.raises(AttributeError), raven_table(path) as table:
        table.add(None)
    assert list(tmp_path.iterdir()) == []
