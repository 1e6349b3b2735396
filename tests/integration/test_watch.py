"""A watched folder is followed as it changes."""

import itertools
import os
import signal
import time

import pytest
import watchfiles

from echoic import scanning
from tests.integration.conftest import write_clip
from tests.integration.contents import assert_whole
from tests.integration.test_faults import wait_until

PAUSE = 0.1


@pytest.fixture
def watched(library, index, folder):
    """The reports of a watched folder that held one file at first, which is indexed."""
    write_clip(folder / "first.wav")
    reports = library.watch([folder], update=index, pause=PAUSE)
    assert next(reports).added == 1
    yield reports
    reports.close()


def names(library):
    return [record.path.rpartition("/")[2] for record in library.files()]


@pytest.fixture(params=["told", "polled", "untold", "refused"])
def _system(request, monkeypatch):
    """What the system says of changes: what happened, what it polled, nothing, or that it cannot."""

    def refuse(*_, **__):
        raise OSError(28, "OS file watch limit reached.")

    monkeypatch.setattr("echoic.watching._UNASKED", 2 * PAUSE if request.param == "untold" else 1e9)
    if request.param == "polled":
        monkeypatch.setenv("WATCHFILES_FORCE_POLLING", "1")
    elif request.param == "untold":
        monkeypatch.setattr(watchfiles, "watch", lambda *_, **__: itertools.repeat(set()))
    elif request.param == "refused":
        monkeypatch.setattr(watchfiles, "watch", refuse)


@pytest.mark.usefixtures("_system")
def test_each_kind_of_change_is_followed(watched, library, folder):
    write_clip(folder / "new" / "second.wav", 1)
    report = next(watched)
    assert (report.added, report.unchanged) == (1, 1)

    write_clip(folder / "first.wav", 2, 1.0)
    report = next(watched)
    assert (report.changed, report.unchanged) == (1, 1)

    (folder / "first.wav").rename(folder / "renamed.wav")
    report = next(watched)
    assert (report.moved, report.added, report.removed) == (1, 0, 0)

    (folder / "renamed.wav").unlink()
    report = next(watched)
    assert (report.removed, report.unchanged) == (1, 1)
    assert names(library) == ["second.wav"]
    assert_whole(library)


def test_nothing_is_looked_at_while_nothing_happens(watched, folder, monkeypatch):
    scan, looks, sleeps = scanning.scan, [], []

    def look(paths):
        looks.append(len(sleeps))
        return scan(paths)

    def sleep(_, real_sleep=time.sleep):
        sleeps.append(1)
        if len(sleeps) == 20:
            write_clip(folder / "second.wav", 1)
        real_sleep(PAUSE)

    monkeypatch.setattr("echoic.watching.scan", look)
    monkeypatch.setattr("echoic.watching.time.sleep", sleep)
    assert next(watched).added == 1
    assert [at for at in looks if 3 < at < 20] == []


def test_a_folder_may_come_go_and_come_back(library, index, folder, tmp_path):
    disk = tmp_path / "disk"
    reports = library.watch(
        [folder, disk], update=lambda **options: index(folder, disk, **options), pause=PAUSE
    )
    [(path, message)] = next(reports).failed
    assert path == str(disk)
    assert message == f"{disk} does not exist, or is a link to nothing; check the path"

    write_clip(disk / "deep" / "first.wav")
    report = next(reports)
    assert (report.added, report.failed) == (1, ())

    disk.rename(tmp_path / "elsewhere")
    report = next(reports)
    assert [path for path, _ in report.failed] == [str(disk)]
    assert (report.removed, names(library)) == (0, ["first.wav"])

    (tmp_path / "elsewhere").rename(disk)
    report = next(reports)
    assert (report.unchanged, report.failed) == (1, ())

    write_clip(disk / "deep" / "second.wav", 1)
    assert next(reports).added == 1
    reports.close()


def test_what_lies_behind_a_link_is_followed(watched, folder, tmp_path):
    write_clip(tmp_path / "away" / "second.wav", 1)
    (folder / "link").symlink_to(tmp_path / "away")
    assert next(watched).added == 1
    write_clip(tmp_path / "away" / "third.wav", 2)
    assert next(watched).added == 1


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_that_are_no_text_are_followed(watched, library, folder):
    strange = folder / os.fsdecode(b"\xff")
    for number in (1, 2):
        write_clip(strange / f"{number}.wav", number)
        assert next(watched).added == 1
    assert sorted(names(library)) == ["1.wav", "2.wav", "first.wav"]


def test_a_growing_file_is_left_until_it_rests(watched, library, folder, tmp_path):
    data = write_clip(tmp_path / "whole.wav", 3, 10).read_bytes()
    growing = folder / "growing.wav"
    growing.write_bytes(data[:1_000])
    looks = 0

    def grow(real_sleep=time.sleep):
        """Between two looks of the watcher, the file grows; a tenth of it is written at each."""
        nonlocal looks
        looks += 1
        if looks <= 9:
            with growing.open("ab") as file:
                file.write(data[growing.stat().st_size :][: len(data) // 9])
        real_sleep(PAUSE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("echoic.watching.time.sleep", lambda _: grow())
        report = next(watched)
    assert looks >= 10
    assert (report.added, report.partial, report.failed) == (1, (), ())
    [record] = library.files(growing)
    assert record.duration == pytest.approx(10, abs=0.01)


def test_a_growing_file_holds_up_no_other(watched, library, folder):
    growing = folder / "growing.wav"
    growing.touch()
    looks = 0

    def sleep(_, real_sleep=time.sleep):
        nonlocal looks
        looks += 1
        if looks == 3:
            write_clip(folder / "second.wav", 1)
            (folder / "first.wav").rename(folder / "renamed.wav")
        with growing.open("ab") as file:
            file.write(bytes(1_000))
        real_sleep(PAUSE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("echoic.watching.time.sleep", sleep)
        report = next(watched)
        assert looks >= 4
        assert (report.added, report.moved, report.failed, report.removed) == (1, 1, (), 0)
        (folder / "renamed.wav").unlink()
        report = next(watched)
        assert (report.removed, report.unchanged, report.failed) == (1, 1, ())
    assert names(library) == ["second.wav"]
    growing.unlink()


def test_the_command_watches_until_ctrl_c(echoic, library, folder):
    write_clip(folder / "first.wav")
    with echoic.start("index", folder, "--encoder", "spectral", "--jobs", "1", "--watch") as process:
        wait_until(lambda: library.exists() and names(library) == ["first.wav"], process)
        write_clip(folder / "second.wav", 1)
        wait_until(lambda: len(names(library)) == 2, process)
        time.sleep(0.3)  # the run comes to its end
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 0
    assert stderr == b""
    lines = stdout.decode().splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("1 added; 0:00.6 of audio")
    assert lines[1].startswith("1 added, 1 unchanged")
    assert_whole(library)


def test_a_report_is_in_the_log_at_once(echoic, folder, tmp_path):
    write_clip(folder / "first.wav")
    echoic.environment.pop("PYTHONUNBUFFERED", None)
    log = tmp_path / "log"
    with log.open("w") as stdout:
        words = ("index", folder, "--encoder", "spectral", "--jobs", "1", "--watch")
        with echoic.start(*words, stdout=stdout) as process:
            try:
                wait_until(lambda: log.read_text().startswith("1 added"), process)
            finally:
                process.send_signal(signal.SIGINT)
    assert process.returncode == 0


def test_a_long_run_does_not_put_the_watcher_to_sleep(library, index, folder):
    write_clip(folder / "first.wav")
    pauses = []
    real_sleep = time.sleep

    def slow(**options):
        real_sleep(0.5)
        return index(**options)

    reports = library.watch([folder], update=slow, pause=PAUSE)
    next(reports)
    write_clip(folder / "second.wav", 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("echoic.watching.time.sleep", lambda s: (pauses.append(s), real_sleep(min(s, PAUSE))))
        assert next(reports).added == 1
    reports.close()
    assert len(pauses) >= 2
    assert max(pauses) < 0.5
