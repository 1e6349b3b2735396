"""The cache of decoded audio: what comes back, and what becomes of it when a run or the disk fails."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.errors import DatasetError
from echoic.training import blocks
from echoic.training.blocks import BlockFile, CachedAudio, quantise
from echoic.training.cache import AudioCache, default_folder
from echoic.types import Float32, Progress
from tests.hostile import EXPECTED

RATE = 16_000
BLOCK = 1 << 14
N_FILES = 40


@pytest.fixture
def cache(tmp_path: Path) -> AudioCache:
    return AudioCache(tmp_path / "cache")


@pytest.fixture
def many(make_clip: Callable[..., Path]) -> list[Path]:
    """Forty clips of 3 s."""
    return [make_clip(f"many/{seed:02}.wav", seconds=3.0, seed=seed) for seed in range(N_FILES)]


def assert_near(audio: CachedAudio, samples: Float32) -> None:
    """See that every sample is as near as 16 bits at its block's peak allow."""
    read = audio.read()
    assert read.dtype == np.float32
    assert len(read) == audio.n_samples == len(samples)
    for at in range(0, len(samples), BLOCK):
        block = samples[at : at + BLOCK]
        assert np.abs(read[at : at + BLOCK] - block).max() <= np.abs(block).max() / 32_767


def decoded_anew(cache: AudioCache, *paths: Path, sample_rate: int = RATE) -> list[str]:
    """Fill a cache and return the names of what it had to decode."""
    told: list[Progress] = []
    found, failed = cache.fill(paths, sample_rate, progress=told.append)
    assert list(found) == list(paths)
    assert failed == {}
    return sorted(Path(progress.path).name for progress in told)


def assert_same_as_undisturbed(cache: AudioCache, paths: list[Path], tmp_path: Path) -> None:
    found, failed = cache.fill(paths, RATE)
    expected, _ = AudioCache(tmp_path / "undisturbed").fill(paths, RATE)
    assert failed == {}
    assert list(found) == list(expected) == paths
    for path in paths:
        np.testing.assert_array_equal(found[path].read(), expected[path].read())


# Reading back


@pytest.mark.parametrize("sample_rate", [16_000, 44_100, 48_000])
def test_every_format_comes_back_as_it_was_decoded(cache, clips, sample_rate):
    found, failed = cache.fill(clips.values(), sample_rate)
    assert failed == {}
    assert list(found) == list(clips.values())
    for path, audio in found.items():
        assert_near(audio, read_audio(path, sample_rate)[0])


def test_a_quiet_passage_keeps_its_precision(cache, tmp_path):
    rng = np.random.default_rng(0)
    samples = rng.uniform(-1, 1, 5 * BLOCK).astype(np.float32)
    samples[2 * BLOCK : 3 * BLOCK] *= 1e-6
    samples[3 * BLOCK : 4 * BLOCK] = 0
    path = tmp_path / "a.wav"
    write_audio(path, samples, RATE, codec="pcm_f32le")
    audio = cache.fill([path], RATE)[0][path]
    assert_near(audio, samples)
    assert np.unique(audio.read(2 * BLOCK, 3 * BLOCK)).size > 10_000
    assert not audio.read(3 * BLOCK, 4 * BLOCK).any()


@given(
    arrays(np.float32, st.integers(1, 50), elements=st.floats(-1e10, 1e10, width=32)),
    st.sampled_from([1, 1e-6, 1e-20, 1e-45]),
)
def test_a_block_comes_back_to_within_one_step(block: Float32, gain: float) -> None:
    block = (block * np.float32(gain)).astype(np.float32)
    integers, scale = quantise(block)
    error = np.abs(integers.astype(np.float64) * scale - block).max()
    assert error <= np.abs(block).max() / 32_767 or np.abs(block).max() < 1e-30


def test_any_part_can_be_read(cache, make_clip):
    path = make_clip("a.wav", seconds=3.3)
    audio = cache.fill([path], RATE)[0][path]
    whole = audio.read()
    n = len(whole)
    for start, stop in [
        (0, 0),
        (0, 1),
        (5, BLOCK),
        (BLOCK - 1, BLOCK + 1),
        (BLOCK, n),
        (100, n - 1),
        (7, n + 9),
    ]:
        np.testing.assert_array_equal(audio.read(start, stop), whole[start:stop])
    assert len(audio.read(n + 5)) == len(audio.read(n, n + 5)) == len(audio.read(20, 10)) == 0
    for bounds in [(-1, None), (0, -1)]:
        with pytest.raises(ValueError, match="counted from the start"):
            audio.read(*bounds)


def test_broken_files_cost_nothing_but_themselves(cache, hostile_files):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(hostile_files["text"].parent)
        paths = {name: Path(path.name) for name, path in hostile_files.items()}
        found, failed = cache.fill(paths.values(), RATE)
        assert set(failed) == {path for name, path in paths.items() if EXPECTED[name] == "failed"}
        assert set(found) == set(paths.values()) - set(failed)
        for path, sentence in failed.items():
            assert path.name in sentence
            assert "\n" not in sentence
        for path, audio in found.items():
            assert_near(audio, read_audio(path, RATE)[0])


def test_a_name_that_no_file_can_have(cache):
    _, failed = cache.fill([Path("a\0.wav")], RATE)
    assert failed == {
        Path("a\0.wav"): "'a\\x00.wav' cannot be opened (embedded null byte); check the path and the disk"
    }


def test_a_sound_shorter_than_a_sample(cache, tmp_path):
    path = tmp_path / "a.wav"
    write_audio(path, np.random.default_rng(0).normal(0, 0.2, 120).astype(np.float32), 48_000)
    found, failed = cache.fill([path], 100)
    assert found == {}
    assert "it is shorter than one sample" in failed[path]


@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_nothing_is_learnt_from_silence(cache, tmp_path, offset):
    write_audio(tmp_path / "silent.wav", np.full(3 * RATE, offset, np.float32), RATE)
    write_audio(tmp_path / "click.wav", np.where(np.arange(3 * RATE) == 2 * RATE, 0.5, offset), RATE)
    found, failed = cache.fill([tmp_path / "silent.wav", tmp_path / "click.wav"], RATE)
    assert list(found) == [tmp_path / "click.wav"]
    [sentence] = failed.values()
    assert sentence == f"{tmp_path / 'silent.wav'} is nothing to learn from: no sound in it; leave it out"


def test_memory_does_not_grow_with_the_file(cache, tmp_path):
    path = tmp_path / "long.wav"
    write_audio(path, np.random.default_rng(0).normal(0, 0.1, 15 * 60 * 8_000).astype(np.float32), 8_000)
    tracemalloc.start()
    try:
        found, _ = cache.fill([path], RATE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found[path].n_samples == 15 * 60 * RATE  # 58 MB as float32
    assert peak < 5e6


# What is decoded again and what is not


def test_what_is_there_is_not_decoded_again(cache, make_clip, monkeypatch):
    path = make_clip("a.wav")
    assert decoded_anew(cache, path) == ["a.wav"]
    first = cache.fill([path], RATE)[0][path].read()
    again = AudioCache(cache.folder)
    assert decoded_anew(again, path, path.parent / "x" / ".." / "a.wav") == []
    monkeypatch.chdir(path.parent)
    found, _ = again.fill([Path("a.wav"), path], RATE)
    assert list(found) == [Path("a.wav"), path]
    np.testing.assert_array_equal(found[Path("a.wav")].read(), first)


def test_what_has_changed_is_decoded_again(cache, make_clip):
    path, other = make_clip("a.wav", seed=1), make_clip("b.wav", seed=2)
    old = cache.fill([path, other], RATE)[0][path]
    before = old.read()
    make_clip("a.wav", seed=3)  # as long as it was
    os.utime(path, ns=(1, 1))
    assert decoded_anew(cache, path, other) == ["a.wav"]
    assert_near(cache.fill([path], RATE)[0][path], read_audio(path, RATE)[0])
    np.testing.assert_array_equal(old.read(), before)
    assert cache.n_files == 2


def test_sample_rates_are_kept_apart(cache, make_clip):
    path = make_clip("a.wav")
    assert decoded_anew(cache, path, sample_rate=16_000) == ["a.wav"]
    assert decoded_anew(cache, path, sample_rate=8_000) == ["a.wav"]
    for sample_rate in (16_000, 8_000):
        assert_near(cache.fill([path], sample_rate)[0][path], read_audio(path, sample_rate)[0])
    assert cache.n_files == 1
    assert cache.duration == pytest.approx(1.0)


def test_progress_tells_of_what_is_decoded(cache, make_clip, tmp_path):
    paths = [make_clip(f"{n}.wav", seconds=n) for n in (1, 2, 3)]
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    cache.fill(paths[:1], RATE)
    told: list[Progress] = []
    cache.fill([*paths, tmp_path / "bad.wav"], RATE, progress=told.append)
    sizes = {str(path): path.stat().st_size for path in (*paths[1:], tmp_path / "bad.wav")}
    assert {progress.path for progress in told} == set(sizes)
    assert [progress.done for progress in told] == [1, 2, 3]
    assert {(progress.total, progress.total_bytes) for progress in told} == {(3, sum(sizes.values()))}
    assert told[-1].done_bytes == sum(sizes.values())
    assert told[-1].audio == pytest.approx(5.0)
    assert 0 < told[0].elapsed <= told[-1].elapsed


# The folder


def test_figures_and_clearing(cache, make_clip):
    assert (cache.n_files, cache.duration, cache.size_bytes, cache.clear()) == (0, 0, 0, 0)
    assert not cache.folder.exists()
    paths = [make_clip(f"{n}.wav", seconds=n) for n in (1, 2)]
    audio = cache.fill(paths, RATE)[0][paths[0]]
    before = audio.read()
    (cache.folder / "samples.wav").write_bytes(b"not ours")
    assert cache.n_files == 2
    assert cache.duration == pytest.approx(3.0)
    assert 2 * 3 * RATE < cache.size_bytes < 2 * 3 * RATE + 100_000
    size = cache.size_bytes
    assert cache.clear() == size
    assert (cache.n_files, cache.duration, cache.size_bytes) == (0, 0, 0)
    assert (cache.folder / "samples.wav").read_bytes() == b"not ours"
    assert decoded_anew(cache, *reversed(paths)) == ["1.wav", "2.wav"]
    np.testing.assert_array_equal(audio.read(), before)  # a training that is under way goes on


def test_where_it_is_by_default(monkeypatch, tmp_path):
    monkeypatch.setenv("ECHOIC_CACHE", str(tmp_path / "named"))
    assert AudioCache().folder == default_folder() == tmp_path / "named"
    monkeypatch.setenv("ECHOIC_CACHE", "~/named")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert AudioCache().folder == tmp_path / "named"
    monkeypatch.setenv("ECHOIC_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert default_folder().name == "audio"
    assert "echoic" in str(default_folder())


def test_a_folder_that_cannot_be(tmp_path, make_clip):
    path = make_clip("a.wav")
    with pytest.raises(
        DatasetError, match=r"the audio cache .*a.wav cannot be used \(File exists\); .*ECHOIC_CACHE"
    ):
        AudioCache(path).fill([path], RATE)


def test_another_process_at_it_is_one_sentence(cache, make_clip):
    path, other = make_clip("a.wav"), make_clip("b.wav")
    audio = cache.fill([path], RATE)[0][path]
    hold = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None);"
    hold += "c.execute('BEGIN EXCLUSIVE'); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(cache.folder / "writer.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        for attempt in (lambda: cache.fill([path, other], RATE), cache.clear):
            with pytest.raises(
                DatasetError, match=r"another process is filling the audio cache .*; try again"
            ):
                attempt()
        assert decoded_anew(cache, path) == []  # reading needs no lock
        assert cache.n_files == 1
        np.testing.assert_array_equal(cache.fill([path], RATE)[0][path].read(), audio.read())
        holder.kill()
    assert decoded_anew(cache, path, other) == ["b.wav"]


# Damage


def data_file(cache: AudioCache) -> Path:
    [path] = cache.folder.glob("samples-*.int16")
    return path


def test_a_truncated_data_file_costs_what_is_lost(cache, many, tmp_path):
    for path in many:
        cache.fill([path], RATE)  # one by one, so that they lie in order
    size = data_file(cache).stat().st_size
    os.truncate(data_file(cache), size // 2 + 1)
    assert decoded_anew(cache, *many[30:]) == [path.name for path in many[30:]]
    assert decoded_anew(cache, *many) == [path.name for path in many[N_FILES // 2 : 30]]
    assert data_file(cache).stat().st_size == size
    assert_same_as_undisturbed(cache, many, tmp_path)


def test_a_data_file_that_is_gone_is_made_again(cache, many, tmp_path):
    cache.fill(many, RATE)
    data_file(cache).unlink()
    assert len(decoded_anew(cache, *many)) == N_FILES
    assert_same_as_undisturbed(cache, many, tmp_path)


def test_an_index_that_is_gone_is_made_again(cache, many, tmp_path):
    cache.fill(many, RATE)
    old = data_file(cache)
    (cache.folder / "index.sqlite").unlink()
    assert len(decoded_anew(cache, *many)) == N_FILES
    assert data_file(cache) != old
    assert_same_as_undisturbed(cache, many, tmp_path)


def test_an_index_that_was_killed_in_creation_is_made_good(cache, many):
    cache.folder.mkdir()
    (cache.folder / "index.sqlite").touch()
    assert cache.n_files == 0
    assert len(decoded_anew(cache, *many)) == N_FILES


@pytest.mark.parametrize(
    "damage", [b"x" * 10_000, "PRAGMA user_version = 99"], ids=["garbage", "newer format"]
)
def test_an_index_that_cannot_be_read_is_one_sentence_and_can_be_cleared(cache, many, damage):
    cache.fill(many, RATE)
    if isinstance(damage, bytes):
        (cache.folder / "index.sqlite").write_bytes(damage)
    else:
        index = sqlite3.connect(cache.folder / "index.sqlite")
        index.execute(damage)
        index.close()
    for attempt in (lambda: cache.fill(many, RATE), lambda: cache.n_files, lambda: cache.duration):
        with pytest.raises(DatasetError, match=r"the audio cache .*; empty it with: echoic cache --clear"):
            attempt()
    assert cache.clear() > 1e6
    assert len(decoded_anew(cache, *many)) == N_FILES


def test_what_lies_behind_the_index_is_written_over(cache, make_clip):
    first, second = make_clip("a.wav"), make_clip("b.wav")
    cache.fill([first], RATE)
    size = data_file(cache).stat().st_size
    with data_file(cache).open("ab") as file:
        file.write(b"\x7f" * 10_000)  # blocks of a file that a killed run was at
    found, _ = cache.fill([first, second], RATE)
    assert data_file(cache).stat().st_size == 2 * size
    assert_near(found[second], read_audio(second, RATE)[0])


# Runs that end early

FILL = """
import signal
import sys
import time
from pathlib import Path
from echoic.training import cache
cache._COMMIT_AFTER = 0.0  # each file at once, so that there is something to see
folder, *paths = map(Path, sys.argv[1:])

def told(now):
    print(now.done, flush=True)
    time.sleep(0.02)  # so that a busy machine ends the run amidst of it, too

try:
    cache.AudioCache(folder).fill(paths, 16_000, progress=told)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # too late
except KeyboardInterrupt:
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_ended_at_any_instant_leaves_a_sound_cache(tmp_path, many, number):
    cache = AudioCache(tmp_path / "cache")
    rng = np.random.default_rng(int(number))
    n_amidst = 0
    for _ in range(6):
        before = cache.n_files
        command = [sys.executable, "-c", FILL, str(cache.folder), *map(str, many)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_heed_ctrl_c
        ) as process:
            process.stdout.readline()
            time.sleep(rng.uniform(0, 0.05))
            process.send_signal(number)
            _, stderr = process.communicate(timeout=30)
        assert stderr == b""
        n_amidst += before < cache.n_files < N_FILES
        found, failed = cache.fill(many[: cache.n_files // 2], RATE)  # some of them, by a run of its own
        assert failed == {}
        for path, audio in found.items():
            assert_near(audio, read_audio(path, RATE)[0])
        if cache.n_files == N_FILES:
            break
    assert n_amidst, "every run was over before it was ended"
    assert_same_as_undisturbed(cache, many, tmp_path)


def _heed_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_what_was_decoded_before_ctrl_c_is_kept(cache, many, tmp_path):
    def interrupt(now: Progress) -> None:
        if now.done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.fill(many, RATE, progress=interrupt)
    assert cache.n_files == 10
    assert len(decoded_anew(cache, *many)) == N_FILES - 10
    assert_same_as_undisturbed(cache, many, tmp_path)


def test_ctrl_c_does_not_wait_for_a_long_file(cache, make_clip, tmp_path):
    short, long = make_clip("a.wav"), tmp_path / "long.wav"
    write_audio(long, np.random.default_rng(0).normal(0, 0.1, 30 * 60 * 8_000).astype(np.float32), 8_000)

    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.fill([short, long], RATE, progress=interrupt)
    assert cache.n_files == 1
    assert cache.size_bytes < 2 * 30 * 60 * RATE


@contextmanager
def disk_full_after(n_bytes: int) -> Iterator[None]:
    """Let no file grow beyond ``n_bytes``."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_sentence_and_loses_nothing(cache, many, tmp_path):
    cache.fill(many[:5], RATE)
    n_bytes = 10 * 3 * RATE * 2 + 1_001  # not a whole block
    with disk_full_after(n_bytes), pytest.raises(DatasetError) as caught:
        cache.fill(many, RATE)
    sentence = str(caught.value)
    assert sentence.startswith(f"the audio cache {cache.folder} cannot grow (File too large; about ")
    assert " MB more are needed and " in sentence
    assert " MB are free): make room, empty it with: echoic cache --clear" in sentence
    n_kept = cache.n_files
    assert 5 < n_kept <= 10
    assert decoded_anew(cache, *many[:5]) == []
    assert len(decoded_anew(cache, *many)) == N_FILES - n_kept
    assert_same_as_undisturbed(cache, many, tmp_path)


def test_a_disk_that_is_full_from_the_start(cache, many):
    with disk_full_after(30_000), pytest.raises(DatasetError, match="cannot grow") as caught:
        cache.fill(many, RATE)
    assert "are needed" not in str(caught.value)
    assert cache.n_files == 0


def test_a_block_that_the_disk_takes_a_part_of_is_none(tmp_path):
    file = BlockFile(tmp_path / "samples", 0)
    with disk_full_after(1_001), pytest.raises(OSError, match="File too large"):
        file.append(np.ones(1_000, np.int16))
    assert file.append(np.ones(1_000, np.int16)) == 0
    file.close()
    assert (tmp_path / "samples").read_bytes() == np.ones(1_000, np.int16).tobytes()


def test_a_disk_that_fails_is_one_sentence(cache, many, monkeypatch):
    def fail(_: BlockFile, samples: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(blocks.BlockFile, "append", fail)
    with pytest.raises(DatasetError, match=r"cannot be used \(Input/output error\)"):
        cache.fill(many, RATE)
