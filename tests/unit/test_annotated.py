"""Parts of recordings that other programs noted are clips: label tracks, selection tables, manifests."""

import os

import numpy as np
import pytest

from echoic.audio.encode import write_audio
from echoic.datasets import read_dataset
from echoic.errors import DatasetError


@pytest.fixture
def folder(tmp_path):
    for name in ("street", "yard"):
        write_audio(tmp_path / f"{name}.wav", np.full(8_000, 0.1, np.float32), 8_000)
    return tmp_path


def spans(dataset):
    return [(clip.path.name, clip.start, clip.end, clip.label) for clip in dataset.clips]


@pytest.mark.parametrize("name", ["street.wav.txt", "street.txt"])
def test_a_label_track_is_of_the_file_beside_it(folder, name):
    (folder / name).write_text("\ufeff0.5\t1.25\tdog\n\\\t100\t200\n2\t3\tcat\r\n4\t4\tcat\n", "utf-8")
    dataset = read_dataset(folder / name)
    assert spans(dataset) == [("street.wav", 0.5, 1.25, "dog"), ("street.wav", 2, 3, "cat")]
    assert dataset.labels == ("cat", "dog")
    assert {clip.group for clip in dataset.clips} == {str(folder / "street.wav")}
    assert dataset.note == "1 labels at a moment, not over a while, are left out"
    assert len({clip.name for clip in dataset.clips}) == 2


def test_all_label_tracks_of_a_folder_are_read(folder):
    (folder / "street.wav.txt").write_text("0\t1\tdog\n", "utf-8")
    dataset = read_dataset(folder)
    assert spans(dataset) == [("street.wav", 0, 1, "dog")]
    assert dataset.note == "1 files without labels are left out"
    (folder / "yard.txt").write_text("0\t1\t\n", "utf-8")
    with pytest.raises(DatasetError, match="1 labels without text"):
        read_dataset(folder)


def test_a_selection_table_names_its_files_or_lies_beside_one(folder):
    table = folder / "street.txt"
    head = "Selection\tBegin Time (s)\tEnd Time (s)\t"
    table.write_text(head + "Annotation\n1\t0.25\t0.5\towl\n2\t0.5\t1\tjay\n", "utf-8")
    assert spans(read_dataset(table)) == [("street.wav", 0.25, 0.5, "owl"), ("street.wav", 0.5, 1, "jay")]
    # Of another computer, as BirdNET writes it
    table = folder / "all.txt"
    table.write_text(head + "Begin Path\tCommon Name\n1\t3\t6\tC:\\calls\\yard.wav\tEurasian Jay\n", "utf-8")
    [clip] = read_dataset(table).clips
    assert (clip.path, clip.label) == (folder / "yard.wav", "Eurasian Jay")


def test_a_manifest_has_columns_of_times(folder):
    manifest = folder / "calls.csv"
    manifest.write_text(
        "path,start,end,label\nyard.wav,0,.5,a\nyard.wav,.5,,b\nyard.wav,0,.5,a\nstreet.wav,,,a\n"
    )
    assert spans(read_dataset(manifest)) == [
        *(("yard.wav", 0, 0.5, "a"), ("yard.wav", 0.5, None, "b")),
        ("street.wav", None, None, "a"),
    ]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.csv", "path,start,end\nyard.wav,1,1\n", "line 2 of .* from 1 s to 1 s; a part ends behind"),
        ("a.csv", "path,start,end\nyard.wav,-1,1\n", "line 2 of .* has '-1' for its start"),
        ("a.csv", "path,start,end\nyard.wav,nan,1\n", "has 'nan' for its start"),
        ("a.csv", "path,start,end,label\nyard.wav,0,1,a\nyard.wav,0,1,b\n", "lines 2 and 3 of .* different"),
        ("lost.txt", "0\t1\tdog\n", "no file of sound lies beside"),
        ("street.txt", "0\tone\tdog\n", "street.txt: line 1 of the labels"),
        ("street.txt", "2\t1\tdog\n", "from 2 s to 1 s"),
        ("street.txt", "", "notes no part of a recording"),
        ("street.txt", "Selection\tBegin Time (s)\n1\t3\n", "line 2 .* has no 'Begin Time"),
    ],
)
def test_what_is_no_part_is_said(folder, name, text, sentence):
    (folder / name).write_text(text, "utf-8")
    with pytest.raises(DatasetError, match=sentence):
        read_dataset(folder / name)


def test_what_is_no_text_is_said(folder):
    (folder / "street.txt").write_bytes(os.urandom(64) + b"\xff")
    with pytest.raises(DatasetError, match=r"street\.txt"):
        read_dataset(folder / "street.txt")
