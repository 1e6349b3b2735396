"""Worker processes: what they return, what they survive, and that nothing waits for ever."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import signal
import time

import numpy as np
import psutil
import pytest

from echoic.analysis.workers import Analysis, Budget, Task, WorkerPool, digest_of
from echoic.audio.encode import write_audio
from echoic.audio.synthesis import tone
from echoic.errors import (
    AudioError,
    EncoderError,
    NotAudioError,
    UnknownEncoderError,
    UnreadableError,
    UsageError,
)


@pytest.fixture(scope="module")
def pool():
    with WorkerPool(2) as pool:
        yield pool


@pytest.fixture
def clips(tmp_path):
    paths = [tmp_path / f"{number}.wav" for number in range(6)]
    for number, path in enumerate(paths):
        write_audio(path, tone(200 + 50 * number, 0.5, 8_000), 8_000)
    return paths


def tasks(paths, encoder="spectral"):
    return [Task(path, ((encoder, f"{encoder}@1"),)) for path in paths]


def test_every_task_comes_back_once(pool, clips):
    results = dict(pool.run(tasks(clips)))
    assert sorted(task.path for task in results) == clips
    for task, result in results.items():
        assert isinstance(result, Analysis)
        assert result.digest == hashlib.sha256(task.path.read_bytes()).hexdigest()
        assert result.info.duration == 0.5
        assert len(result.segments["spectral@1"]) == 1


def test_time_in_which_this_process_was_stopped_costs_no_file(clips, monkeypatch):
    """After Ctrl-Z much has passed at the next look, and what the worker said meanwhile is yet to be read."""
    clock = time.monotonic
    looks = itertools.count()
    monkeypatch.setattr("echoic.analysis.workers.time.monotonic", lambda: clock() + 1e9 * next(looks))
    monkeypatch.setattr("echoic.analysis.workers._LOOK", 0.001)
    write_audio(clips[0], tone(200, 30.0, 8_000), 8_000)
    with WorkerPool(1, Budget(seconds=1e6)) as pool:
        results = {task.path: result for task, result in pool.run(tasks(clips))}
    assert [result for result in results.values() if not isinstance(result, Analysis)] == []
    assert next(looks) > 1


def test_a_bad_file_is_a_result_and_not_the_end(pool, clips):
    clips[2].write_text("no sound")
    clips[3].unlink()
    results = {task.path: result for task, result in pool.run(tasks(clips))}
    assert isinstance(results[clips[2]], NotAudioError)
    assert isinstance(results[clips[3]], UnreadableError)
    assert sum(isinstance(result, Analysis) for result in results.values()) == 4


def test_an_encoder_that_is_not_there_ends_the_run(pool, clips):
    with pytest.raises(UnknownEncoderError, match="no encoder named 'gone'"):
        list(pool.run(tasks(clips, "gone")))
    assert len(list(pool.run(tasks(clips)))) == 6  # the pool lives on


def test_an_encoder_of_another_revision_ends_the_run(pool, clips):
    with pytest.raises(EncoderError, match="has become spectral@1 where spectral@0 was due"):
        list(pool.run([Task(clips[0], (("spectral", "spectral@0"),))]))


def test_tasks_that_break_off_are_raised_to_the_caller(pool, clips):
    def broken():
        yield from tasks(clips[:2])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(pool.run(broken()))


def test_a_run_that_is_left_half_way_frees_the_pool(pool, clips):
    run = pool.run(tasks(clips))
    next(run)
    run.close()
    assert len(list(pool.run(tasks(clips)))) == 6


def children():
    return {child.pid for child in psutil.Process().children()}


def test_a_worker_that_dies_costs_the_file_it_was_at(clips):
    before = children()
    with WorkerPool(1) as pool:
        outcomes = []
        for _, result in pool.run(tasks(clips)):
            if not outcomes:
                (worker,) = children() - before
                os.kill(worker, signal.SIGKILL)
            outcomes.append(result)
    lost = [result for result in outcomes if isinstance(result, AudioError)]
    assert len(outcomes) == 6
    assert len(lost) == 1
    assert isinstance(lost[0], UnreadableError)  # it is tried again
    assert "brought its worker process down (exit code -9)" in str(lost[0])


def test_closing_the_pool_ends_the_processes(clips):
    before = children()
    with WorkerPool(2) as pool:
        list(pool.run(tasks(clips)))
        assert 1 <= len(children() - before) <= 2  # one may have done it all before the other was up
    assert children() == before


def test_the_digest_of_what_cannot_be_read(tmp_path):
    with pytest.raises(UnreadableError, match="gone"):
        digest_of(tmp_path / "gone")


@pytest.mark.skipif(os.name != "posix", reason="only there can a name be bytes that are no text")
def test_names_that_are_no_text_cross_to_the_worker(pool, clips):
    odd = clips[0].rename(clips[0].with_name(os.fsdecode(b"caf\xe9\n.wav")))
    ((task, result),) = pool.run(tasks([odd]))
    assert task.path == odd
    assert isinstance(result, Analysis)


def test_nothing_is_imported_from_the_current_folder(clips, tmp_path, monkeypatch):
    for name in ("soxr", "queue", "echoic"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the current folder')")
    monkeypatch.chdir(tmp_path)
    with WorkerPool(1) as pool:
        results = [result for _, result in pool.run(tasks(clips))]
    assert all(isinstance(result, Analysis) for result in results)


STRANGE = """
import os, pickle, time
from pathlib import Path
import numpy as np
from echoic import EncoderSpec, Waveform

class Encoder:
    front_end = Waveform(8_000)

    def encode(self, windows):
        if np.abs(windows).max() > 0:  # a file: before one, encoders are tried on silence
            self.act()
        return np.tile(np.float32([1, 0, 0]), (len(windows), 1))

def made(name):
    return EncoderSpec(name, "1", 8_000, 2.0, 2.0, 3)

class Slow(Encoder):
    spec = made("slow")
    def act(self):
        time.sleep(3600)

class Steady(Encoder):
    spec = made("steady")
    def act(self):
        time.sleep(0.6)

class Large(Encoder):
    spec = made("large")
    def act(self):
        self.kept = np.ones(400 << 17)  # 400 MiB
        time.sleep(3600)

class Touch:
    def __reduce__(self):
        return Path.touch, (Path(os.environ["TOUCHED"]),)

class Hostile(Encoder):
    spec = made("hostile")
    def act(self):
        for file in range(3, 30):
            try:
                os.write(file, pickle.dumps(Touch()) * 1000)
            except OSError:
                pass
        time.sleep(3600)

class Talking(Encoder):
    spec = EncoderSpec(
        "talking", "1", 8_000, 2.0, 2.0, 3, by="frame", frame_rate=500.0, purposes=frozenset({"spoken"})
    )
    def encode(self, windows):
        return np.tile(np.float32([1, 0, 0]), (len(windows), 1_000, 1))
    def read_background(self):
        return b""

class Fragile:
    spec = made("fragile")
    front_end = Waveform(8_000)
    def encode(self, windows):
        os._exit(3)
"""
NAMES = ("slow", "steady", "large", "hostile", "talking", "fragile")


@pytest.fixture
def strange(tmp_path, monkeypatch):
    """Encoders of another package that go wrong on files, or on anything."""
    folder = tmp_path / "packages"
    information = folder / "strange-1.0.dist-info"
    information.mkdir(parents=True)
    (folder / "strange.py").write_text(STRANGE)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    points = "\n".join(f"{name} = strange:{name.title()}" for name in NAMES)
    (information / "entry_points.txt").write_text(f"[echoic.encoders]\n{points}\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("TOUCHED", str(tmp_path / "touched"))


def outcome(pool, path, encoder):
    [(_, result)] = pool.run(tasks([path], encoder))
    return result


def test_a_file_that_gets_nowhere_is_given_up_and_the_run_goes_on(clips, strange):
    with WorkerPool(1, Budget(seconds=0.5)) as pool:
        result = outcome(pool, clips[0], "slow")
        assert isinstance(result, UnreadableError)  # it is tried again
        assert str(result) == (
            f"{clips[0]} was given up: in 0.5 s its worker got through no further minute of it; "
            "leave it out, or allow more with $ECHOIC_FILE_SECONDS"
        )
    with WorkerPool(1, Budget(seconds=30)) as pool:
        assert len([r for _, r in pool.run(tasks(clips)) if isinstance(r, Analysis)]) == 6


def test_a_long_file_may_take_longer_than_a_short_one(tmp_path, strange):
    """Five minutes of sound take ten batches of .6 s, more than a minute may, and each minute two of them."""
    path = tmp_path / "long.wav"
    write_audio(path, tone(440, 300.0, 8_000), 8_000)
    with WorkerPool(1, Budget(seconds=5)) as pool:
        result = outcome(pool, path, "steady")
    assert isinstance(result, Analysis), result
    assert len(result.segments["steady@1"]) == 150


def test_a_file_over_which_a_worker_swells_is_given_up(clips, strange):
    with WorkerPool(1, Budget(mebibytes=200)) as pool:
        result = outcome(pool, clips[0], "large")
        assert isinstance(result, UnreadableError)
        assert str(result) == (
            f"{clips[0]} was given up: its worker took more than 200 MiB; "
            "leave it out, or allow more with $ECHOIC_FILE_MEBIBYTES"
        )
        assert isinstance(outcome(pool, clips[1], "spectral"), Analysis)


def test_a_worker_in_the_power_of_a_file_is_not_believed(clips, strange, tmp_path):
    with WorkerPool(1, Budget(seconds=5)) as pool:
        result = outcome(pool, clips[0], "hostile")
        assert isinstance(result, UnreadableError)
        assert "brought its worker process down" in str(result)
        assert isinstance(outcome(pool, clips[1], "spectral"), Analysis)
    assert not (tmp_path / "touched").exists()


def test_a_scratch_disk_that_is_full_is_told_as_that(tmp_path, strange, monkeypatch):
    write_audio(tmp_path / "talk.wav", np.random.default_rng(0).normal(0, 0.1, 180 * 8_000), 8_000)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("echoic.analysis.parts.Parts.add", full)
    with WorkerPool(1) as pool:
        result = outcome(pool, tmp_path / "talk.wav", "talking")
        assert "cannot be kept in" in str(result)
        assert "No space left on device); make room there" in str(result)
        monkeypatch.undo()


def test_an_encoder_that_brings_its_worker_down_blames_no_file(clips, strange):
    with WorkerPool(1) as pool, pytest.raises(EncoderError) as caught:
        outcome(pool, clips[0], "fragile")
    assert str(caught.value).startswith("fragile@1 brings its process down when it is loaded (exit code 3)")


def test_what_a_file_may_take_can_be_chosen(monkeypatch):
    for name in ("ECHOIC_FILE_SECONDS", "ECHOIC_FILE_MEBIBYTES"):
        monkeypatch.delenv(name, raising=False)
    assert Budget.chosen() == Budget(300, 2048)
    monkeypatch.setenv("ECHOIC_FILE_SECONDS", "7.5")
    monkeypatch.setenv("ECHOIC_FILE_MEBIBYTES", "4096")
    assert Budget.chosen() == Budget(7.5, 4096)
    for wrong in ("0", "-1", "nan", "inf", "a lot"):
        monkeypatch.setenv("ECHOIC_FILE_SECONDS", wrong)
        with pytest.raises(UsageError, match=r"\$ECHOIC_FILE_SECONDS is .* and must be a number above 0"):
            WorkerPool(1)
