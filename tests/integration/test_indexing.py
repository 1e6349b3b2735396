"""What an indexing run makes of files that come, change, move, break and go."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from echoic import Library, LibraryError, UnknownEncoderError, UsageError
from tests.integration.conftest import ENCODERS, write_clip
from tests.integration.contents import assert_same, assert_whole, contents

NAMES = ["a.wav", "b.flac", "deep/down/c.wav"]


@pytest.fixture
def three(folder):
    """Three clips, one of them in a folder of its own."""
    return [
        write_clip(folder / name, seed) for seed, name in enumerate(["a.wav", "b.flac", "deep/down/c.wav"])
    ]


def paths(library):
    return [record.path for record in library.files()]


def record_of(library, path):
    [record] = library.files(path)
    return record


def vectors_of(library, path):
    [spec] = library.encoders().values()
    return (
        library._open()[1]
        .store(spec)
        .fetch([record_of(library, path).id])[record_of(library, path).id]
        .vectors
    )


def make_newer(path, seconds=5):
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + seconds * 10**9))


# Coming, staying, changing, going


def test_new_files_are_added_with_what_is_known_of_them(library, index, three):
    report = index()
    assert (report.added, report.failed, report.partial) == (3, (), ())
    assert report.audio == pytest.approx(1.8, abs=0.01)
    assert paths(library) == sorted(map(str, three))
    record = record_of(library, three[1])
    assert (record.sample_rate, record.channels, record.codec) == (8_000, 1, "flac")
    assert record.duration == pytest.approx(0.6, abs=0.001)
    assert (record.state, record.message, record.encoders) == ("indexed", "", ("spectral@1",))
    assert_whole(library)


def test_unchanged_files_are_not_decoded_again(index, three):
    index()
    decoded = []
    report = index(progress=decoded.append)
    assert report.unchanged == 3
    assert decoded == []


def test_progress_counts_up_to_all_files(index, three):
    seen = []
    index(progress=seen.append)
    assert [p.done for p in seen] == [1, 2, 3]
    assert {p.total for p in seen} == {3}
    assert {p.path for p in seen} == set(map(str, three))
    assert seen[-1].done_bytes == seen[-1].total_bytes == sum(path.stat().st_size for path in three)


def test_a_new_time_stamp_alone_changes_nothing(library, index, three):
    index()
    before = contents(library)
    make_newer(three[0])
    decoded = []
    assert index(progress=decoded.append).unchanged == 3
    assert decoded == []
    assert_same(before, contents(library))
    assert record_of(library, three[0]).mtime_ns == three[0].stat().st_mtime_ns  # so it is not read again


@pytest.mark.parametrize("seconds", [0.6, 11.0], ids=["same size", "longer"])
def test_changed_content_replaces_every_vector(library, index, three, tmp_path, seconds):
    index()
    stale = vectors_of(library, three[0])
    write_clip(three[0], 77, seconds)
    make_newer(three[0])
    report = index()
    assert (report.changed, report.unchanged) == (1, 2)
    with Library(tmp_path / "fresh") as fresh:
        fresh.index([three[0]], encoders=ENCODERS, jobs=1)
        expected = vectors_of(fresh, three[0])
    np.testing.assert_array_equal(vectors_of(library, three[0]), expected)
    [spec] = library.encoders().values()
    store = library._open()[1].store(spec)
    assert not any(
        np.allclose(stale[0], row)
        for stored in store.fetch(store.file_ids()).values()
        for row in stored.vectors
    )
    assert_whole(library)


def test_deleted_files_leave(library, index, three):
    index()
    three[0].unlink()
    shutil.rmtree(three[2].parent)
    report = index()
    assert (report.removed, report.unchanged) == (2, 1)
    assert paths(library) == [str(three[1])]
    assert_whole(library)


def test_files_outside_the_paths_are_left_alone(library, index, three):
    index()
    three[0].unlink()
    report = index(three[2].parent)
    assert (report.removed, report.unchanged) == (0, 1)
    assert len(paths(library)) == 3


def test_an_emptied_folder_is_taken_for_an_unmounted_disk(library, index, three, folder):
    index()
    before = contents(library)
    for child in folder.iterdir():
        shutil.rmtree(child) if child.is_dir() else child.unlink()
    report = index()
    [(path, message)] = report.failed
    assert path == str(folder)
    assert "is empty, yet 3 files of it are indexed" in message
    assert f"echoic remove {folder}" in message
    assert_same(before, contents(library))
    assert library.remove([folder]) == 3  # as the sentence says
    assert paths(library) == []


def test_a_folder_that_is_gone_loses_nothing(library, index, three, folder):
    index()
    folder.rename(folder.with_name("elsewhere"))
    report = index()
    [(path, message)] = report.failed
    assert path == str(folder)
    assert message == f"{folder} does not exist, or is a link to nothing; check the path"
    assert report.removed == 0
    assert len(paths(library)) == 3


# Renames and copies


@pytest.mark.parametrize("new", ["renamed.wav", "deep/moved.wav", "another/folder/a.wav"])
def test_a_renamed_file_keeps_its_id_and_vectors(library, index, three, folder, new):
    index()
    id_, before = record_of(library, three[0]).id, vectors_of(library, three[0])
    (folder / new).parent.mkdir(parents=True, exist_ok=True)
    three[0].rename(folder / new)
    decoded = []
    report = index(progress=decoded.append)
    assert (report.moved, report.added, report.removed, report.unchanged) == (1, 0, 0, 2)
    assert decoded == []
    assert record_of(library, folder / new).id == id_
    np.testing.assert_array_equal(vectors_of(library, folder / new), before)
    assert str(three[0]) not in paths(library)
    assert_whole(library)


def test_a_rename_is_seen_from_its_new_folder_alone(library, index, three, tmp_path):
    index()
    id_ = record_of(library, three[0]).id
    new = tmp_path / "other" / "a.wav"
    new.parent.mkdir()
    three[0].rename(new)
    report = index(new.parent)
    assert (report.moved, report.added) == (1, 0)
    assert record_of(library, new).id == id_
    assert len(paths(library)) == 3


def test_a_renamed_folder_moves_all_its_files(library, index, three, folder):
    index()
    (folder / "deep").rename(folder / "shallow")
    report = index()
    assert (report.moved, report.unchanged) == (1, 2)
    assert str(folder / "shallow" / "down" / "c.wav") in paths(library)


def test_a_rename_is_seen_when_both_names_are_given(library, index, three, folder):
    index()
    id_ = record_of(library, three[0]).id
    new = three[0].rename(folder / "z.wav")
    report = index(three[0], new)
    assert report.moved == 1
    record = record_of(library, new)
    assert (record.id, record.state) == (id_, "indexed")


def test_files_of_equal_content_both_stay(library, index, three, folder):
    shutil.copy(three[0], folder / "copy.wav")
    assert index().added == 4
    assert index().unchanged == 4
    shutil.copy(three[0], folder / "another.wav")  # a copy is no rename: the first is still there
    report = index()
    assert (report.added, report.moved, report.unchanged) == (1, 0, 4)
    three[0].unlink()
    assert index().removed == 1
    assert_whole(library)


def test_a_file_moved_over_another_takes_its_place(library, index, three, folder):
    index()
    moved = vectors_of(library, three[0])
    three[0].replace(folder / "b.flac")
    report = index()
    assert (report.changed, report.removed) == (1, 1)
    np.testing.assert_array_equal(vectors_of(library, folder / "b.flac"), moved)
    assert_whole(library)


# Where files are looked for


def test_a_missing_path_is_reported_and_the_rest_done(library, index, three, folder):
    report = index(folder / "nowhere.wav", folder)
    [(path, message)] = report.failed
    assert path == str(folder / "nowhere.wav")
    assert "nowhere.wav" in message
    assert report.added == 3
    assert len(paths(library)) == 3  # what never was is not recorded


def test_a_file_named_outright_may_have_any_suffix(library, index, folder):
    odd = write_clip(folder / "sound.wav").rename(folder / "sound.odd")
    assert index().added == 0
    assert index(odd).added == 1
    assert index().unchanged == 0  # the folder does not show it, yet it is there and stays
    assert paths(library) == [str(odd)]


def test_hidden_files_and_folders_are_passed_over(library, index, folder):
    write_clip(folder / "seen.wav")
    write_clip(folder / ".hidden.wav")
    write_clip(folder / ".trash" / "thrown-away.wav")
    index()
    assert paths(library) == [str(folder / "seen.wav")]


def test_suffixes_are_known_in_any_case(index, folder):
    write_clip(folder / "loud.wav").rename(folder / "LOUD.WAV")
    (folder / "notes.txt").write_text("not audio")
    report = index()
    assert (report.added, report.failed) == (1, ())


def test_a_loop_of_links_ends(library, index, three, folder):
    (folder / "deep" / "up").symlink_to(folder)
    (folder / "deep" / "here").symlink_to(".")
    assert index().added == 3
    assert paths(library) == sorted(map(str, three))


def test_a_linked_folder_is_followed_once_and_after_the_folders_themselves(
    library, index, three, folder, tmp_path
):
    outside = write_clip(tmp_path / "outside" / "o.wav", 9)
    (folder / "0-linked").symlink_to(outside.parent)
    (folder / "0-twice").symlink_to(outside.parent)
    (folder / "0-inside").symlink_to(folder / "deep")
    index()
    expected = [*map(str, three), str(folder / "0-linked" / "o.wav")]
    assert paths(library) == sorted(expected)


def test_overlapping_paths_count_each_file_once(index, three, folder):
    report = index(folder, folder / "deep", three[0], three[0])
    assert report.added == 3


def test_a_relative_path_is_kept_absolute(library, index, three, folder, monkeypatch):
    monkeypatch.chdir(folder / "deep")
    assert index("..").added == 3
    assert paths(library) == sorted(map(str, three))


# Encoders


def test_a_new_library_starts_with_every_bundled_encoder(library, index, three):
    index(encoders=())
    assert [spec.name for spec in library.encoders().values()] == [
        "sound",
        "fingerprint",
        "harmony",
        "spectral",
    ]
    assert {len(record.encoders) for record in library.files()} == {4}
    assert_whole(library)
    assert {hit.encoder for hit in library.search(three[0])} == {"sound"}


def test_several_encoders_go_side_by_side(library, index, three, model):
    assert index(encoders=["spectral", str(model)]).added == 3
    assert {record.encoders for record in library.files()} == {("spectral@1", "mean-level@1")}
    assert_whole(library)
    assert {hit.encoder for hit in library.search(three[0], encoder="mean-level")} == {"mean-level"}
    assert {hit.encoder for hit in library.search(three[0], encoder=str(model))} == {"mean-level"}
    assert {hit.encoder for hit in library.search(three[0])} == {"spectral"}


def test_an_encoder_added_later_leaves_the_first_alone(library, index, three, model):
    index()
    before = contents(library)
    report = index(encoders=[str(model)])
    assert (report.encoded, report.changed, report.added) == (3, 0, 0)
    for path, content in contents(library).items():
        np.testing.assert_array_equal(content.vectors["spectral@1"], before[path].vectors["spectral@1"])
        assert len(content.vectors["mean-level@1"]) == 1
    assert_whole(library)
    assert index(encoders=()).unchanged == 3  # the library's own set is now both


def test_a_changed_file_is_renewed_for_every_encoder(library, index, three, model):
    index(encoders=["spectral", str(model)])
    before = contents(library)[str(three[0])]
    write_clip(three[0], 50)
    make_newer(three[0])
    index(encoders=["spectral"])
    after = contents(library)[str(three[0])]
    for key in ("spectral@1", "mean-level@1"):
        assert not np.allclose(before.vectors[key], after.vectors[key])


def test_an_unknown_encoder_changes_nothing(library, index, three):
    index()
    before = contents(library)
    with pytest.raises(UnknownEncoderError, match="'nonesuch'"):
        index(encoders=["nonesuch"])
    assert list(library.encoders()) == ["spectral"]
    assert_same(before, contents(library))


def test_two_encoders_of_one_name_are_refused(index, three, model, tmp_path):
    twin = tmp_path / "twin" / model.name
    twin.parent.mkdir()
    for suffix in (".onnx", ".json"):
        shutil.copy(model.with_suffix(suffix), twin.with_suffix(suffix))
    index(encoders=[str(model)])
    with pytest.raises(UsageError, match="two encoders are named 'mean-level'"):
        index(encoders=[str(twin)])


# Failures


def test_a_bad_file_is_recorded_once_and_then_passed_over(library, index, three, folder):
    bad = folder / "bad.wav"
    bad.write_text("not audio at all")
    report = index()
    [(path, message)] = report.failed
    assert path == str(bad)
    assert "bad.wav" in message
    record = record_of(library, bad)
    assert (record.state, record.message) == ("failed", message)
    decoded = []
    report = index(progress=decoded.append)
    assert (report.skipped, report.failed, report.unchanged) == (1, (), 3)
    assert decoded == []
    assert_whole(library)


def test_a_failed_file_that_is_mended_comes_in(library, index, folder):
    bad = folder / "bad.wav"
    bad.write_text("not audio at all")
    index()
    write_clip(bad)
    report = index()
    assert report.failed == ()
    assert report.added + report.changed == 1
    record = record_of(library, bad)
    assert (record.state, record.message) == ("indexed", "")
    assert_whole(library)


def test_a_file_that_turned_to_garbage_keeps_its_vectors(library, index, three):
    index()
    before = vectors_of(library, three[0])
    three[0].write_text("not audio any more")
    report = index()
    assert [path for path, _ in report.failed] == [str(three[0])]
    assert record_of(library, three[0]).state == "failed"
    np.testing.assert_array_equal(vectors_of(library, three[0]), before)
    assert str(three[0]) in {hit.path for hit in library.search(three[1])}
    assert index().skipped == 1
    three[0].unlink()
    assert index().removed == 1
    assert_whole(library)


def test_a_truncated_file_is_searchable_as_far_as_it_goes(library, index, folder):
    cut = write_clip(folder / "cut.mp3", seconds=12)
    data = cut.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    report = index()
    [(path, message)] = report.partial
    assert path == str(cut)
    assert (report.added, report.failed) == (0, ())
    record = record_of(library, cut)
    assert record.state == "partial"
    assert message == f"{cut}: {record.message}"
    assert record.duration == pytest.approx(6, abs=0.5)
    assert len(vectors_of(library, cut)) > 1
    assert index().unchanged == 1


def test_a_pipe_does_not_hold_up_the_run(library, index, three, folder):
    os.mkfifo(folder / "pipe.wav")
    report = index()
    assert report.added == 3
    [(path, message)] = report.failed
    assert path == str(folder / "pipe.wav")
    assert "pipe" in message


# Tags


def test_tags_of_the_container_and_of_the_person_are_kept_apart(library, index, folder):
    tagged = write_clip(folder / "t.flac", tags={"artist": "Ada", "Genre": "Drone"})
    index(tags=["field", "2024"])
    tags = record_of(library, tagged).tags
    assert (tags["artist"], tags["genre"]) == (("Ada",), ("Drone",))
    assert tags["tag"] == ("2024", "field")
    write_clip(tagged, 5, 0.8, tags={"artist": "Bob"})
    index()
    tags = record_of(library, tagged).tags
    assert tags["artist"] == ("Bob",)
    assert "genre" not in tags
    assert tags["tag"] == ("2024", "field")


def test_tags_can_be_added_to_files_that_are_indexed(library, index, three):
    index()
    assert index(three[0], tags=["door"]).unchanged == 1
    assert [bool(record.tags.get("tag")) for record in library.files()] == [True, False, False]


# The library


def test_two_jobs_give_what_one_gives(tmp_path, folder):
    for seed in range(8):
        write_clip(folder / f"{seed}.wav", seed, 0.5 + 2 * seed)
    found = []
    for jobs in (1, 2):
        with Library(tmp_path / f"library-{jobs}") as library:
            library.index([folder], encoders=ENCODERS, jobs=jobs)
            found.append(contents(library))
    assert_same(*found)


def test_a_closed_library_opens_itself_again(library, index, three):
    index()
    library.close()
    assert len(library.files()) == 3
    library.close()
    assert index().unchanged == 3
    library.close()
    library.close()
    assert len(library.search(three[0])) == 2


def test_nothing_to_index_is_wrong_usage(library, index):
    with pytest.raises(UsageError, match="at least one file or folder"):
        library.index([])
    with pytest.raises(UsageError, match="jobs"):
        index(jobs=0)


def test_an_empty_folder_makes_an_empty_library(library, index):
    report = index()
    assert (report.added, report.failed) == (0, ())
    assert library.files() == []
    assert_whole(library)


def test_a_file_in_place_of_the_library_is_refused(tmp_path, three):
    (tmp_path / "taken").write_text("something else")
    with pytest.raises(LibraryError, match=r"taken cannot be used \(File exists\)"):
        Library(tmp_path / "taken").index(three, encoders=ENCODERS)


def test_another_program_s_database_is_refused(tmp_path, three):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "library.sqlite").write_bytes(b"this is no database " * 100)
    with pytest.raises(LibraryError, match="other cannot be used"):
        Library(tmp_path / "other").index(three, encoders=ENCODERS)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that nobody may write to")
def test_a_library_where_nothing_can_be_written_is_refused(three):
    with pytest.raises(LibraryError, match="/proc/library cannot be used"):
        Library("/proc/library").index(three, encoders=ENCODERS)


def test_tags_are_given_and_taken_away(library, index, three, folder):
    index(tags=["mine"])
    assert library.tag([three[0]], add=["mood=dark", "night"], remove=["MINE"]) == 1
    assert record_of(library, three[0]).tags == {"mood": ("dark",), "tag": ("night",)}
    assert record_of(library, three[1]).tags == {"tag": ("mine",)}
    assert [hit.path for hit in library.search(three[1], tags=["night"])] == [str(three[0])]
    assert library.tag([folder], remove=["mood=dark"]) == 3
    assert "mood" not in record_of(library, three[0]).tags
    assert library.tag([folder / "elsewhere"], add=["x"]) == 0


@pytest.mark.parametrize("changes", [{}, {"add": [""]}, {"remove": ["mood="]}])
def test_tags_that_say_nothing_are_refused(library, index, three, changes):
    index()
    with pytest.raises(UsageError):
        library.tag([three[0]], **changes)


def test_a_library_takes_no_more_files_than_it_may_hold(index, library, folder):
    for seed in range(3):
        write_clip(folder / f"{seed}.wav", seed)
    report = index(max_files=2)
    sentence = f"the library may hold 2 files, and new ones of {folder} were left out (1); remove others, or"
    assert (report.added, report.failed) == (
        2,
        ((str(folder), f"{sentence} allow more with --max-files"),),
    )
    write_clip(folder / "0.wav", 10)  # what is known is followed
    (folder / "1.wav").rename(folder / "moved.wav")
    report = index(max_files=1)
    assert (report.changed, report.moved, report.added, len(report.failed)) == (1, 1, 0, 1)
    (folder / "0.wav").unlink()
    report = index(max_files=2)  # there is room now
    assert (report.removed, report.added, report.failed) == (1, 1, ())
    assert sorted(Path(one.path).name for one in library.files()) == ["2.wav", "moved.wav"]
