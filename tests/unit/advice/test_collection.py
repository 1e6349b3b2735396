"""What of a folder is listened to, and how long all of it is."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from echoic.advice.collection import Collection, draw, durations, read_collection
from echoic.datasets import Clip
from echoic.errors import DatasetError, UsageError


def clip(name, label="", group=""):
    return Clip(Path(name), label, "", group or name)


def collection(clips, labelled=True):
    return Collection(tuple(clips), {clip.path: 1000 for clip in clips}, labelled)


def files(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(bytes(100))


def test_without_labels_every_file_is_drawn_once_and_in_the_same_order_each_time():
    clips = [clip(f"{number}.wav") for number in range(50)]
    drawn = list(draw(collection(clips, labelled=False), 10))
    assert sorted(drawn, key=lambda one: one.path) == sorted(clips, key=lambda one: one.path)
    assert drawn == list(draw(collection(clips[::-1], labelled=False), 10))
    assert drawn != clips


def test_with_labels_classes_take_turns_however_large_they_are():
    clips = [clip(f"a{number}", "large") for number in range(90)] + [
        clip(f"b{n}", "small") for n in range(10)
    ]
    first = list(draw(collection(clips), 20))[:20]
    assert Counter(one.label for one in first) == {"large": 10, "small": 10}


def test_a_class_that_cannot_find_itself_is_not_drawn_and_many_classes_are_not_all():
    clips = [clip(f"{label}-{take}", str(label)) for label in range(100) for take in range(4)]
    clips += [clip(f"alone-{take}", "alone", "one recording") for take in range(4)]
    first = list(draw(collection(clips), 40))[:40]
    counts = Counter(one.label for one in first)
    assert "alone" not in counts
    assert [*counts.values()] == [2] * 20


def test_the_groups_of_a_class_take_turns():
    clips = [clip(f"a{take}", "a", "one") for take in range(9)] + [clip("b", "a", "two")]
    clips += [clip(f"c{take}", "c") for take in range(2)]
    first = [one.group for one in draw(collection(clips), 40) if one.label == "a"][:2]
    assert sorted(first) == ["one", "two"]


def test_durations_are_told_by_the_size_of_files_of_their_suffix():
    sizes = {Path("a.wav"): 100, Path("b.wav"): 300, Path("c.mp3"): 10, Path("d.mp3"): 50, Path("e.ogg"): 11}
    known = {Path("a.wav"): 1.0, Path("c.mp3"): 10.0}
    told = durations(Collection((), sizes, False), known)
    np.testing.assert_allclose(told, [1.0, 3.0, 10.0, 50.0, 1.1])  # the last by all: 11 s of 110 bytes
    with pytest.raises(ValueError, match="some files"):
        durations(Collection((), sizes, False), {})


def test_sub_folders_are_classes_unless_told_otherwise(tmp_path):
    files(tmp_path, "cat/1.wav", "cat/2.wav", "dog/1.wav", "loose.wav")
    labelled = read_collection(tmp_path, {}, labels=True)
    assert labelled.labelled
    assert {one.label for one in labelled.clips} == {"cat", "dog"}
    assert len(labelled.sizes) == 4  # all are indexed
    assert "1 file lies directly in" in labelled.notes[0]
    other = read_collection(tmp_path, {}, labels=False)
    assert not other.labelled
    assert len(other.clips) == 4
    assert other.notes == ()


def test_labels_that_nothing_can_be_measured_by_are_none(tmp_path):
    files(tmp_path, "train/1.wav", "test/2.wav")
    found = read_collection(tmp_path, {}, labels=True)
    assert not found.labelled
    assert len(found.clips) == 2
    assert "are splits, not classes" in found.notes[0]
    files(tmp_path / "other", "cat/1.wav", "dog/1.wav")
    found = read_collection(tmp_path / "other", {}, labels=True)
    assert not found.labelled
    assert found.notes[0].startswith("not measured by labels: no label has clips of two groups")


def test_a_manifest_has_columns_of_other_names_and_files_that_are_not_there(tmp_path):
    files(tmp_path, "1.wav", "2.wav", "3.wav")
    table = "file,species\n1.wav,owl\n2.wav,owl\n3.wav,tit\ngone.wav,tit\n"
    (tmp_path / "list.csv").write_text(table)
    found = read_collection(tmp_path / "list.csv", {"path": "file", "label": "species"}, labels=True)
    assert found.labelled
    assert [found.sizes[one.path] for one in found.clips] == [100, 100, 100, 0]
    with pytest.raises(UsageError, match="columns names 'sound', which is none of"):
        read_collection(tmp_path / "list.csv", {"sound": "file"}, labels=True)


def test_what_holds_no_audio_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="holds no audio"):
        read_collection(tmp_path, {}, labels=True)
    with pytest.raises(DatasetError, match="does not exist"):
        read_collection(tmp_path / "absent", {}, labels=True)
