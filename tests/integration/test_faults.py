"""A run that is killed, interrupted or loses a worker, at any instant, leaves a sound library and goes on."""

import contextlib
import itertools
import signal
import time

import numpy as np
import psutil
import pytest

from echoic import Library
from echoic.analysis.workers import digest_of
from echoic.audio.encode import write_audio
from echoic.encoders.registry import load_encoder
from tests.integration.conftest import RATE, STOPPED, write_clip
from tests.integration.contents import assert_same, assert_whole, contents

N_KILLS = 6  # benchmarks.faults kills more often
N_FILES = 60
N_CHANGES = 25  # in each round: half a second of work for two workers, after a second of starting them
OUTLIVES_BY = 3.0  # s, at most, that a worker may live after its parent; milliseconds on an idle machine


def wait_until(condition, process, within=30.0):
    """Wait for something that a running process is to bring about."""
    deadline = time.monotonic() + within
    while not condition():
        assert process.poll() is None, "the process ended too early"
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def children_of(process):
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(process.pid).children(recursive=True)
    return []


def has_open(process, path):
    with contextlib.suppress(psutil.Error):
        return str(path) in {file.path for file in process.open_files()}
    return False


def kill(process):
    """End a process with SIGKILL, see that its workers follow, and return what it wrote to stderr."""
    workers = children_of(process)
    process.kill()
    _, stderr = process.communicate(timeout=30)
    _, alive = psutil.wait_procs(workers, timeout=OUTLIVES_BY)
    assert not alive, "workers outlived their parent"
    return stderr


def digests(library):
    """See that a library, if it was made at all, is sound; return the digests of what it holds."""
    if not library.exists():
        return set()
    assert_whole(library)
    return {record.digest for record in library.files()}


def write_long(path, minutes=12):
    rng = np.random.default_rng(0)
    write_audio(path, rng.normal(0, 0.1, minutes * 60 * RATE).astype(np.float32), RATE)
    return path


def change(folder, round_, rng):
    """Make work of every kind: new content, a rename, a file that comes and one that goes."""
    paths = rng.permutation(sorted(folder.iterdir()))
    *changed, moved, gone = paths[: N_CHANGES + 2]
    for number, path in enumerate(changed):
        write_clip(path, 100 * round_ + number, rng.uniform(2, 8))
    moved.rename(folder / f"renamed-{round_}.wav")
    gone.unlink()
    write_clip(folder / f"new-{round_}.wav", 100 * round_ + 99, rng.uniform(2, 8))


@pytest.mark.timeout(300)
def test_kills_leave_what_an_undisturbed_run_leaves(echoic, library, folder, tmp_path):
    rng = np.random.default_rng(4)
    for seed in range(N_FILES):
        write_clip(folder / f"{seed:02d}.wav", seed, rng.uniform(2, 8))
    command = ("index", folder, "--encoder", "sound", "--encoder", "spectral", "--jobs")
    n_kills = n_amidst = 0
    before = set()
    for round_ in itertools.count(1):
        change(folder, round_, rng)
        with echoic.start(*command, 2 - round_ % 2) as process:
            if round_ % 2 and library.exists():
                wait_until(lambda: {r.digest for r in library.files()} - before, process)  # noqa: B023
                pause = rng.uniform(0, 0.1)
            else:
                pause = rng.uniform(0.1, 1.8)
            library.close()
            time.sleep(pause)
            if process.poll() is None:
                n_kills += 1
                assert b"Traceback" not in kill(process)
            else:
                assert process.returncode == 0
        after = digests(library)
        n_amidst += bool(after - before) and not {digest_of(path) for path in folder.iterdir()} <= after
        before = after
        if n_kills == N_KILLS:
            break
    assert n_amidst >= N_KILLS // 4, "most kills came before or after the work"

    echoic(*command, 2)
    assert_whole(library)
    both = {load_encoder(name).spec.key for name in ("sound", "spectral")}
    assert all(set(record.encoders) == both for record in library.files())
    with Library(tmp_path / "undisturbed") as undisturbed:
        undisturbed.index([folder], encoders=["sound", "spectral"], jobs=2)
        assert len(undisturbed.files()) == N_FILES
        assert_same(contents(library), contents(undisturbed))
    assert library.index([folder], jobs=1).unchanged == N_FILES


def test_ctrl_c_keeps_what_is_done(echoic, library, folder):
    for seed in range(40):
        write_clip(folder / f"{seed:02d}.wav", seed, 8)
    with echoic.start("index", folder, "--encoder", "spectral", "--jobs", "2") as process:
        wait_until(library.exists, process)
        wait_until(lambda: len(library.files()) >= 3, process)
        workers = children_of(process)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode in STOPPED
    assert stderr.decode() == "stopped; what was done is kept, and the same command goes on from here\n"
    assert stdout == b""
    assert not psutil.wait_procs(workers, timeout=OUTLIVES_BY)[1]
    assert_whole(library)
    n_done = len(library.files())
    assert 3 <= n_done < 40
    report = library.index([folder], jobs=2)
    assert (report.unchanged, report.added) == (n_done, 40 - n_done)
    assert_whole(library)


def test_a_worker_ends_with_its_parent_in_the_middle_of_a_long_file(echoic, library, folder):
    long = write_long(folder / "long.wav")
    with echoic.start("index", folder, "--encoder", "spectral", "--jobs", "1") as process:
        wait_until(lambda: any(has_open(child, long) for child in children_of(process)), process)
        stderr = kill(process)
    assert b"Traceback" not in stderr
    assert_whole(library)


def test_a_worker_that_is_killed_costs_its_file_only(echoic, library, folder):
    long = write_long(folder / "0-long.wav")
    clips = [write_clip(folder / f"{seed}.wav", seed) for seed in range(1, 6)]
    with echoic.start("index", folder, "--encoder", "spectral", "--jobs", "1") as process:
        wait_until(lambda: any(has_open(child, long) for child in children_of(process)), process)
        [worker] = children_of(process)
        worker.kill()
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    [warning] = stderr.decode().splitlines()
    assert str(long) in warning
    assert "brought its worker process down" in warning
    assert "Traceback" not in warning
    states = {record.path: record.state for record in library.files()}
    assert states == {str(long): "failed"} | {str(clip): "indexed" for clip in clips}
    assert_whole(library)


def test_a_run_whose_library_was_killed_in_creation_is_made_good(echoic, library, folder):
    write_clip(folder / "a.wav")
    library.folder.mkdir()
    (library.folder / "library.sqlite").touch()  # SQLite made the file and was killed
    echoic("index", folder, "--encoder", "spectral", "--jobs", "1")
    assert_whole(library)
    assert len(library.files()) == 1


def test_a_full_disk_is_one_sentence_and_loses_nothing(echoic, library, folder):
    resource = pytest.importorskip("resource")
    for seed in range(40):
        write_clip(folder / f"{seed:02d}.wav", seed)

    def limit_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    command = ("index", folder, "--encoder", "spectral", "--jobs", "1")
    result = echoic(*command, code=1, preexec_fn=limit_files)
    [sentence] = result.stderr.splitlines()
    assert sentence.startswith(f"error: the library {library.folder} cannot be used (")
    assert_whole(library)
    n_done = len(library.files())
    assert 0 < n_done < 40
    library.close()
    assert f"{40 - n_done} added, {n_done} unchanged" in echoic(*command).stdout
    assert_whole(library)


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(echoic, library, folder):
    clips = [write_clip(folder / f"{seed}.wav", seed) for seed in range(3)]
    library.folder.mkdir()
    (library.folder / "index").touch()  # where the cache's folder would be
    result = echoic("index", folder, "--encoder", "spectral", "--jobs", "1")
    assert "3 added" in result.stdout
    assert result.stderr == ""
    result = echoic("search", clips[0], "-k", "2")
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr == ""
    assert_whole(library)
