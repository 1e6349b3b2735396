"""A watched folder is followed as it changes."""

import signal
import time

import pytest

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
        patch.setattr("echoic.indexing.time.sleep", lambda _: grow())
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
        patch.setattr("echoic.indexing.time.sleep", sleep)
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
        patch.setattr("echoic.indexing.time.sleep", lambda s: (pauses.append(s), real_sleep(min(s, PAUSE))))
        assert next(reports).added == 1
    reports.close()
    assert len(pauses) >= 2
    assert max(pauses) < 0.5
