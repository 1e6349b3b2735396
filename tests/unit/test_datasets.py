"""Data sets: what a folder or a manifest says, and how the clips are divided."""

from __future__ import annotations

import codecs
import os
import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from echoic.datasets import Clip, Columns, Dataset, check_trainable, divide, read_dataset
from echoic.errors import DatasetError, UsageError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def manifest(folder: Path, text: str | bytes, name: str = "clips.csv") -> Path:
    touch(folder, "a.wav", "b.wav", "c.wav")
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def clip(name: str, label: str = "", split: str = "", group: str = "", weight: float = 1.0) -> Clip:
    path = Path("/data") / name
    return Clip(path, label, split, group or str(path), weight=weight)


def names(dataset: Dataset) -> list[str]:
    return [clip.path.name for clip in dataset.clips]


# Folders


def test_a_folder_of_folders_has_a_class_for_each(tmp_path):
    touch(tmp_path, "dog/a.wav", "dog/more/b.MP3", "cat/c.flac", "cat/notes.txt", ".git/d.wav", "cover.jpg")
    dataset = read_dataset(tmp_path)
    assert dataset.name == tmp_path.name
    assert dataset.labels == ("cat", "dog")
    assert dataset.labelled
    assert {(str(c.path.relative_to(tmp_path)), c.label) for c in dataset.clips} == {
        ("cat/c.flac", "cat"),
        ("dog/a.wav", "dog"),
        ("dog/more/b.MP3", "dog"),
    }
    assert all(
        c.group == str(c.path) and (c.split, c.licence, c.weight) == ("", "", 1.0) for c in dataset.clips
    )


def test_a_folder_with_audio_directly_in_it_is_not_labelled(tmp_path, monkeypatch):
    touch(tmp_path, "a.wav", "album/b.wav")
    monkeypatch.chdir(tmp_path)
    dataset = read_dataset(Path())
    assert dataset.name == tmp_path.name
    assert [c.path for c in dataset.clips] == [tmp_path / "a.wav", tmp_path / "album" / "b.wav"]
    assert dataset.labels == ()
    assert not dataset.labelled
    assert "beside its one folder, 'album': no names are taken for labels" in dataset.note


def test_files_beside_class_folders_are_left_out_and_counted(tmp_path):
    touch(tmp_path, "half.mp3", "dog/a.wav", "cat/more/b.wav", "notes.txt")
    dataset = read_dataset(tmp_path)
    assert {(c.path.name, c.label) for c in dataset.clips} == {("a.wav", "dog"), ("b.wav", "cat")}
    assert dataset.note == (
        f"1 file lies directly in {tmp_path}, beside its 2 class folders: without a label, so left out"
    )
    touch(tmp_path, "other.ogg")
    assert read_dataset(tmp_path).note.startswith("2 files lie directly in ")
    (tmp_path / "half.mp3").unlink()
    (tmp_path / "other.ogg").unlink()
    assert read_dataset(tmp_path).note == ""


def test_files_beside_folders_that_are_splits(tmp_path):
    touch(tmp_path, "train/dog/a.wav", "test/dog/b.wav", "stray.wav")
    with pytest.raises(DatasetError, match="are splits, not classes"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("content", [(), ("notes.txt",), (".hidden/a.wav",)])
def test_a_folder_without_audio(tmp_path, content):
    touch(tmp_path, *content)
    with pytest.raises(DatasetError, match="holds no audio; name a folder that does"):
        read_dataset(tmp_path)


def test_folders_named_like_splits_are_not_taken_for_classes(tmp_path):
    touch(tmp_path, "train/dog/a.wav", "Test/dog/b.wav")
    with pytest.raises(DatasetError, match=r"are splits, not classes \('Test', 'train'\); write a manifest"):
        read_dataset(tmp_path)
    touch(tmp_path, "tram/c.wav")
    assert read_dataset(tmp_path).labels == ("Test", "train", "tram")


def test_an_unreadable_file_in_a_folder_is_a_clip_and_a_closed_folder_an_error(tmp_path, monkeypatch):
    touch(tmp_path, "dog/a.wav", "cat/b.wav")
    (tmp_path / "dog" / "gone.wav").symlink_to("nothing.wav")
    assert len(read_dataset(tmp_path).clips) == 3

    real_scandir = os.scandir

    def scandir(path):
        if Path(path).name == "cat":
            raise PermissionError(13, "Permission denied", path)
        return real_scandir(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DatasetError, match=r"cat may not be read; allow it and try again"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("name", ["gone", "a\0b", "x" * 300])
def test_a_path_that_is_not_there(tmp_path, name):
    with pytest.raises(DatasetError, match="does not exist; name a folder of audio, or a manifest"):
        read_dataset(tmp_path / name)


def test_a_path_that_is_neither_folder_nor_manifest(tmp_path):
    touch(tmp_path, "a.wav")
    with pytest.raises(DatasetError, match="neither a folder nor a manifest"):
        read_dataset(tmp_path / "a.wav")


# Manifests


def test_a_manifest_says_everything(tmp_path):
    text = (
        "path,weight,label,split,group,licence,remark\n"
        'a.wav,2.5,dog,train,kennel,CC0,"loud, near"\n'
        f"{tmp_path}/b.wav,, cat ,test,,,\n"
    )
    dataset = read_dataset(manifest(tmp_path, text))
    assert dataset.name == "clips"
    assert dataset.clips == (
        Clip(tmp_path / "a.wav", "dog", "train", "kennel", "CC0", 2.5),
        Clip(tmp_path / "b.wav", "cat", "test", str(tmp_path / "b.wav")),
    )


def test_a_manifest_of_paths_alone_is_not_labelled(tmp_path):
    dataset = read_dataset(manifest(tmp_path, "path\na.wav\nb.wav\n"))
    assert names(dataset) == ["a.wav", "b.wav"]
    assert not dataset.labelled


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", 'path,label\r\n"a.wav","dog"\r\n"b.wav","a ""big"", bad dog"\r\n'),
        ("m.CSV", codecs.BOM_UTF8 + b'path,label\na.wav,dog\n\n,\nb.wav,"a ""big"", bad dog"'),
        ("m.tsv", 'path \tlabel\na.wav\tdog\nb.wav\t"a ""big"", bad dog"\n'),
        ("m.csv", 'label,path\rdog,a.wav\r"a ""big"", bad dog",b.wav\r'),
    ],
    ids=["crlf", "bom and blank lines", "tabs", "cr"],
)
def test_tables_as_programs_write_them(tmp_path, name, text):
    dataset = read_dataset(manifest(tmp_path, text, name))
    assert [(c.path.name, c.label) for c in dataset.clips] == [
        ("a.wav", "dog"),
        ("b.wav", 'a "big", bad dog'),
    ]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "file,label\na.wav,dog\n",
            "no column 'path'; its columns are 'file', 'label'; say --path-column NAME",
        ),
        ("path;label\na.wav;dog\n", "no column 'path'; its columns are 'path;label'"),
        ("path,path\na.wav,b.wav\n", "has 2 columns 'path'; keep one"),
        ("path,label\na.wav,dog\nb.wav\n", "line 3 of .* has 1 fields and its header 2"),
        ("path,label\na.wav,dog\nb.wav,cat,black\n", "line 3 of .* has 3 fields and its header 2"),
        ("path,label\na.wav,dog\n,cat\n", "line 3 of .* names no file in column 'path'"),
        (
            "path,label\na.wav,dog\nb.wav,\nc.wav, \n",
            "leaves column 'label' empty in 2 rows, the first in line 3",
        ),
        ("path,label\na.wav,dog\n./a.wav,cat\n", "lines 2 and 3 of .* say different things of './a.wav'"),
        ("path,weight\na.wav,heavy\n", "line 2 of .* has 'heavy' for a weight"),
        ("path,weight\na.wav,0\n", "line 2 of .* has '0' for a weight"),
        ("path,weight\na.wav,nan\n", "line 2 of .* has 'nan' for a weight"),
        ("path,weight\na.wav,inf\n", "line 2 of .* has 'inf' for a weight"),
        ("path\nx.wav\ny.wav\n", "none of the files that .* lists exists, such as .*x.wav"),
        (f"path\n{'x' * 300}.wav\n", "none of the files that .* lists exists"),
        ("path,label\n", "lists no files"),
        ("", "is empty; it needs a header"),
        ("\n \n".replace(" ", ""), "is empty; it needs a header"),
        ('path,label\na.wav,"dog\nb.wav,cat\n', "is not as CSV has it"),
        ('path,label\na.wav,"dog" house\n', "line 2 of .* is not as CSV has it"),
        ("path\n" + "x" * 200_000, "is not as CSV has it .field larger"),
        (b"path,label\na.wav,caf\xe9\n", "line 2 of .* is not UTF-8 text"),
        ("path\na.wav\n".encode("utf-16"), "line 1 of .* is not UTF-8 text"),
        (b"path\na.wav\0\n", "line 2 of .* holds a NUL"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(DatasetError, match=sentence) as caught:
        read_dataset(manifest(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "clips.csv") in str(caught.value)


def test_a_manifest_that_cannot_be_opened(tmp_path):
    with pytest.raises(DatasetError, match=r"gone.csv cannot be read \(No such file"):
        read_dataset(tmp_path / "gone.csv")


def test_rows_that_repeat_another_are_one_clip(tmp_path):
    dataset = read_dataset(manifest(tmp_path, "path,label,text\na.wav,dog,x\nb.wav,cat,\n./a.wav,dog,y\n"))
    assert names(dataset) == ["a.wav", "b.wav"]


def test_a_missing_file_among_others_stays_a_clip(tmp_path):
    assert names(read_dataset(manifest(tmp_path, "path\ngone.wav\na.wav\n"))) == ["gone.wav", "a.wav"]


def test_columns_by_other_names(tmp_path):
    path = manifest(tmp_path, "file,class,label\na.wav,dog,x\nb.wav,cat,y\n")
    columns = Columns(path="file", label="class")
    assert read_dataset(path, columns).labels == ("cat", "dog")
    with pytest.raises(DatasetError, match=r"no column 'speaker'; .* say --group-column NAME"):
        read_dataset(path, Columns(path="file", group="speaker"))


# Dividing


def test_the_split_column_decides():
    words = ["train", "Training", "", "validation", "valid", "VAL", "dev", "test", "unused"]
    clips = [clip(word + "x", label, word) for word in words for label in ("dog", "cat")]
    train, validation = divide(Dataset("d", tuple(clips)), validation=0.5)
    assert Counter(c.split for c in train.clips) == {"train": 2, "Training": 2, "": 2}
    assert Counter(c.split for c in validation.clips) == {"validation": 2, "valid": 2, "VAL": 2, "dev": 2}


def test_without_validation_clips_the_training_ones_are_divided():
    clips = [clip(f"{n}", "dog", "train") for n in range(10)] + [
        clip(f"t{n}", "dog", "test") for n in range(10)
    ]
    train, validation = divide(Dataset("d", tuple(clips)))
    assert (len(train.clips), len(validation.clips)) == (8, 2)
    assert {c.split for c in (*train.clips, *validation.clips)} == {"train"}


def test_nothing_to_learn_from():
    with pytest.raises(DatasetError, match="no clips to learn from: its splits are 'fold1', 'fold2'"):
        divide(Dataset("d", (clip("a", "dog", "fold1"), clip("b", "dog", "fold2"))))


@pytest.mark.parametrize("other", ["val", "test"])
def test_a_group_on_two_sides_of_a_given_split(other):
    clips = [clip(f"{n}", "dog", "train") for n in range(4)]
    clips += [clip("a", "dog", "train", "kennel"), clip("b", "dog", other, "kennel")]
    side = {"val": "validation"}.get(other, other)
    with pytest.raises(
        DatasetError, match=f"group 'kennel' of d has clips in the training split and in the {side}"
    ):
        divide(Dataset("d", tuple(clips)))


def test_a_group_that_is_partly_unused_is_none_on_two_sides():
    clips = [clip(f"{n}", "dog", "train", f"{n}") for n in range(5)] + [clip("bad", "dog", "unused", "0")]
    train, validation = divide(Dataset("d", tuple(clips)))
    assert "bad" not in names(train) + names(validation)


def test_labels_only_in_a_given_validation_split():
    train = [clip(f"{label}{n}", label, "train") for label in ("dog", "cat") for n in range(2)]
    seen = [clip("dog9", "dog", "val")]
    unseen = [clip("fox1", "fox", "val"), clip("owl1", "owl", "val")]
    assert names(divide(Dataset("d", (*train, *unseen)))[1]) == ["fox1", "owl1"]  # meant: all are new
    assert names(divide(Dataset("d", (*train, *seen)))[1]) == ["dog9"]  # learnt and not measured is no harm
    with pytest.raises(DatasetError, match="labels 'fox', 'owl' are only in the validation split of d: "):
        divide(Dataset("d", (*train, *seen, *unseen)))
    with pytest.raises(DatasetError, match="label 'fox' is only in the validation split of d: "):
        divide(Dataset("d", (*train, *seen, *unseen[:1])))


def test_a_share_of_nothing_holds_nothing_out():
    dataset = Dataset("d", (clip("a", "dog"), clip("b", "cat")))
    train, validation = divide(dataset, validation=0)
    assert train == dataset
    assert validation.clips == ()


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none(share):
    with pytest.raises(UsageError, match="share to validate on"):
        divide(Dataset("d", (clip("a", "dog"),)), validation=share)


def test_validation_is_stratified():
    sizes = {"dog": 100, "cat": 50, "owl": 10, "fox": 4, "elk": 3, "eel": 2, "ant": 1}
    clips = [clip(f"{label}{n}", label) for label, size in sizes.items() for n in range(size)]
    train, validation = divide(Dataset("d", tuple(clips)))
    held = Counter(c.label for c in validation.clips)
    # Two where it can be: a single clip has nothing among the others to find.
    assert held == {"dog": 20, "cat": 10, "owl": 2, "fox": 2, "elk": 1, "eel": 1}
    assert len(train.clips) == len(clips) - held.total()


def test_groups_of_many_labels_are_divided_as_well_as_can_be():
    clips = [
        clip(f"{s}-{w}-{t}", f"w{w}", "", f"s{s}") for s in range(20) for w in range(10) for t in range(3)
    ]
    train, validation = divide(Dataset("d", tuple(clips)))
    assert len({c.group for c in validation.clips}) == 4
    assert Counter(c.label for c in validation.clips) == {f"w{w}": 12 for w in range(10)}
    assert train.labels == validation.labels


def test_a_group_larger_than_the_share_still_leaves_something_to_measure_on():
    clips = [clip(f"{label}{n}", label, "", f"{label}{n // 50}") for label in ("a", "b") for n in range(100)]
    train, validation = divide(Dataset("d", tuple(clips)), validation=0.1)
    assert (
        Counter(c.label for c in validation.clips)
        == Counter(c.label for c in train.clips)
        == {"a": 50, "b": 50}
    )


def test_another_seed_holds_out_others():
    dataset = Dataset("d", tuple(clip(f"{n:03}", "dog") for n in range(100)))
    assert len({divide(dataset, seed=seed)[1] for seed in range(10)}) == 10


def test_the_division_does_not_depend_on_where_the_folder_lies(tmp_path):
    divided = []
    for place in ("here", "some/where/else"):
        touch(tmp_path / place / "set", *(f"{label}/{n}.wav" for label in ("dog", "cat") for n in range(20)))
        divided.append(names(divide(read_dataset(tmp_path / place / "set"))[1]))
    assert divided[0] == divided[1]


@pytest.mark.parametrize(
    ("clips", "sentence"),
    [
        ([clip(label, label) for label in ("dog", "cat", "owl")], "each class has one clip or group only"),
        ([clip(f"{n}", "dog", "", "kennel") for n in range(9)], "each class has one clip or group only"),
        ([clip("a"), clip("b")], "without labels that takes at least three recordings"),
    ],
    ids=["one clip each", "one group", "two recordings"],
)
def test_nothing_can_be_held_out(clips, sentence):
    with pytest.raises(DatasetError, match=f"nothing of d can be held out to measure on: {sentence}"):
        divide(Dataset("d", tuple(clips)))


def test_three_recordings_without_labels():
    train, validation = divide(Dataset("d", tuple(clip(f"{n}") for n in range(3))))
    assert (len(train.clips), len(validation.clips)) == (2, 1)
    check_trainable(train, validation)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    """Clips of up to 5 labels in up to 12 groups, which may hold several labels."""
    places = draw(st.lists(st.tuples(st.integers(0, 11), st.sampled_from("abcde")), min_size=1, max_size=60))
    return Dataset(
        "d", tuple(clip(f"{n}", label, "", f"g{group}") for n, (group, label) in enumerate(places))
    )


@given(datasets(), st.floats(0.01, 0.99), st.integers(0, 5), st.randoms(use_true_random=False))
def test_what_holds_of_every_division(
    dataset: Dataset, share: float, seed: int, order: random.Random
) -> None:
    groups = defaultdict(set)
    for c in dataset.clips:
        groups[c.label].add(c.group)
    # A group can go unless it takes the last of some label.
    if all(
        any(groups[other.label] == {c.group} for other in dataset.clips if other.group == c.group)
        for c in dataset.clips
    ):
        with pytest.raises(DatasetError, match="can be held out"):
            divide(dataset, validation=share, seed=seed)
        return
    train, validation = divide(dataset, validation=share, seed=seed)
    assert validation.clips
    assert {c.group for c in train.clips}.isdisjoint(c.group for c in validation.clips)
    assert [c for c in dataset.clips if c in {*train.clips, *validation.clips}] == list(dataset.clips)
    assert len(train.clips) + len(validation.clips) == len(dataset.clips)
    assert set(train.labels) == set(dataset.labels)  # so what is measured was learnt too

    shuffled = list(dataset.clips)
    order.shuffle(shuffled)
    again = divide(Dataset("d", tuple(shuffled)), validation=share, seed=seed)
    assert [set(part.clips) for part in again] == [set(train.clips), set(validation.clips)]


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 40), min_size=1), st.floats(0.05, 0.5))
def test_single_clips_are_stratified_to_the_clip(sizes: dict[str, int], share: float) -> None:
    clips = tuple(clip(f"{label}{n}", label) for label, size in sizes.items() for n in range(size))
    try:
        held = Counter(c.label for c in divide(Dataset("d", clips), validation=share)[1].clips)
    except DatasetError:
        assert max(sizes.values()) == 1
        return
    for label, size in sizes.items():
        least = 0 if size == 1 else 1 if size < 4 else 2
        assert held[label] == min(size - 1, max(least, round(share * size)))


# What can be learnt from


def clips_of(**counts: int) -> Dataset:
    return Dataset(
        "d", tuple(clip(f"{label}{n}", label) for label, count in counts.items() for n in range(count))
    )


def test_what_can_be_learnt_from():
    check_trainable(clips_of(dog=2, cat=1), clips_of(dog=1, cat=2))
    check_trainable(clips_of(dog=2, cat=1), clips_of())


@pytest.mark.parametrize(
    ("train", "validation", "sentence"),
    [
        (
            clips_of(dog=9),
            clips_of(dog=9),
            "d has only one class, 'dog', to learn from; a space needs at least two",
        ),
        (clips_of(dog=9, cat=9), clips_of(dog=9), "d has only one class, 'dog', to measure on"),
        (clips_of(dog=1, cat=1), clips_of(), "d has only one clip of each class to learn from"),
        (
            clips_of(dog=9, cat=9),
            clips_of(dog=1, cat=1),
            "cannot be measured on: no class has two clips or groups",
        ),
        (Dataset("d", (clip("a"),)), Dataset("d", (clip("b"),)), "d has 1 recording to learn from"),
    ],
)
def test_what_cannot_be_learnt_from(train, validation, sentence):
    with pytest.raises(DatasetError, match=sentence):
        check_trainable(train, validation)


def test_clips_of_one_group_find_nothing_in_validation():
    validation = Dataset(
        "d", tuple(clip(f"{label}{n}", label, "", label) for label in "ab" for n in range(5))
    )
    with pytest.raises(DatasetError, match="no class has two clips or groups"):
        check_trainable(clips_of(a=5, b=5), validation)
