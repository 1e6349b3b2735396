"""Worker processes: what they return, what they survive, and that nothing waits for ever."""

from __future__ import annotations

import hashlib
import os
import signal

import psutil
import pytest

from echoic.audio.encode import write_audio
from echoic.audio.synthesis import tone
from echoic.errors import AudioError, EncoderError, NotAudioError, UnknownEncoderError, UnreadableError
from echoic.workers import Analysis, Task, WorkerPool, digest_of


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
