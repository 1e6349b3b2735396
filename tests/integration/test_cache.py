"""``echoic cache``: what it says of decoded audio, and what --clear leaves."""

import json

import pytest

from echoic.training.cache import AudioCache
from tests.integration.conftest import RATE, CommandsWithin, write_clip


@pytest.fixture
def echoic(tmp_path):
    commands = CommandsWithin(tmp_path / "library")
    commands.environment["ECHOIC_CACHE"] = str(tmp_path / "cache")
    return commands


@pytest.fixture
def cache(tmp_path, folder):
    """Two minutes and a second of sound in three files, decoded."""
    cache = AudioCache(tmp_path / "cache")
    paths = [write_clip(folder / f"{n}.wav", n, seconds) for n, seconds in enumerate([60, 60, 1])]
    cache.fill(paths, RATE)
    return cache


def test_what_is_cached(echoic, cache):
    stdout = echoic("cache").stdout
    assert stdout == f"cache     {cache.folder}  (2.0 MB)\nfiles     3\naudio     2:01.0\n"
    fields = json.loads(echoic("cache", "--json").stdout)
    assert fields == {
        "folder": str(cache.folder),
        "files": 3,
        "duration": 121.0,
        "bytes_on_disk": cache.size_bytes,
    }


def test_clearing_says_what_was_freed(echoic, cache):
    size = cache.size_bytes
    assert echoic("cache", "--clear").stdout == f"freed 2.0 MB in {cache.folder}\n"
    assert cache.size_bytes == cache.n_files == 0
    assert echoic("cache").stdout == f"cache     {cache.folder}  (0 B)\nfiles     0\naudio     0:00.0\n"
    assert echoic("cache", "--clear").stdout == f"freed 0 B in {cache.folder}\n"
    cache.fill([cache.folder.parent / "audio" / f"{n}.wav" for n in range(3)], RATE)
    assert json.loads(echoic("cache", "--clear", "--json").stdout) == {
        "folder": str(cache.folder),
        "freed_bytes": pytest.approx(size, rel=0.01),
    }


def test_a_cache_that_was_never_filled_is_not_made_by_asking(echoic, tmp_path):
    assert json.loads(echoic("cache", "--json").stdout)["files"] == 0
    assert not (tmp_path / "cache").exists()


def test_a_damaged_cache_is_one_sentence_and_can_be_cleared(echoic, cache):
    (cache.folder / "index.sqlite").write_bytes(b"x" * 10_000)
    [sentence] = echoic("cache", code=1).stderr.splitlines()
    assert sentence == (
        f"error: the audio cache {cache.folder} cannot be used (file is not a database); "
        "empty it with: echoic cache --clear, or name another folder in $ECHOIC_CACHE"
    )
    echoic("cache", "--clear")
    assert echoic("cache").stdout.endswith("files     0\naudio     0:00.0\n")
