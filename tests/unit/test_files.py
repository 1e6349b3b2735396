"""Files written whole or not at all."""

import errno
from pathlib import Path

import pytest

from echoic.files import written_whole


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_what_was_there_stays_until_all_is_written(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with written_whole(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
        assert (partial.parent, partial.suffix) == (tmp_path, ".json")
        assert partial.name.startswith(".")
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [OSError("full"), ValueError(), KeyboardInterrupt(), SystemExit()])
def test_whatever_goes_wrong_leaves_what_was_there(error, tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail():
        with written_whole(path) as partial:
            partial.write_text("half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_nothing_is_left_where_it_cannot_be_moved(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="a"), written_whole(tmp_path / "a") as partial:
        partial.write_text("new")
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("has_links", [True, False])
def test_what_is_to_be_new_replaces_nothing_that_came_meanwhile(has_links, tmp_path, monkeypatch):
    if not has_links:

        def refused(self, target):
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(Path, "hardlink_to", refused)
    path = tmp_path / "a.parquet"
    with written_whole(path, is_new=True) as partial:
        partial.write_text("mine")
    assert path.read_text() == "mine"
    path.unlink()

    def written_by_two():
        with written_whole(path, is_new=True) as partial:
            partial.write_text("mine")
            path.write_text("another's")

    with pytest.raises(FileExistsError) as told:
        written_by_two()
    assert told.value.filename == str(path)
    assert path.read_text() == "another's"
    assert names(tmp_path) == ["a.parquet"]
