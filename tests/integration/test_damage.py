"""A flipped bit anywhere in a library never makes a wrong hit: it is told, mended, or without effect."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from echoic import EchoicError, Library
from tests.integration.conftest import write_clip

N_FILES = 12
N_FLIPS = 60


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make a library, and what is found in it."""
    root = tmp_path_factory.mktemp("damage")
    (root / "sounds").mkdir()
    for seed in range(N_FILES):
        write_clip(root / "sounds" / f"{seed:02d}.wav", seed, 20)
    with Library(root / "library") as library:
        library.index([root / "sounds"], encoders=["sound"], jobs=1)
        # A part of a file: what is indexed of the query itself is no matter.
        hits = library.search(root / "sounds" / "00.wav", k=N_FILES, start=3, end=9)
    assert len(hits) == N_FILES - 1
    return root, hits


def flip(path, rng):
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)


def outcome(root, folder):
    """Search a damaged library: what was found, or what was said."""
    with Library(folder) as library:
        try:
            return library.search(root / "sounds" / "00.wav", k=N_FILES, start=3, end=9)
        except EchoicError as error:
            return str(error)


def test_bits_flipped_in_the_database(made, tmp_path):
    root, hits = made
    rng = np.random.default_rng(0)
    told = 0
    for number in range(N_FLIPS):
        folder = shutil.copytree(root / "library", tmp_path / str(number))
        shutil.rmtree(folder / "index")  # what it was made of is what is looked at
        flip(folder / "library.sqlite", rng)
        found = outcome(root, folder)
        if isinstance(found, str):
            told += 1
            assert "\n" not in found
        else:
            # A path has no checksum: one that has changed leads nowhere, and all else of the hit is true.
            for one, hit in zip(found, hits, strict=True):
                assert one == hit or (not Path(one.path).exists() and replace(one, path=hit.path) == hit)
    assert told > N_FLIPS // 10


def test_bits_flipped_in_the_cache(made, tmp_path):
    root, hits = made
    rng = np.random.default_rng(0)
    parts = [path for path in (root / "library" / "index").rglob("*") if path.is_file()]
    assert len(parts) >= 3
    for number in range(N_FLIPS):
        folder = shutil.copytree(root / "library", tmp_path / str(number))
        flip(folder / parts[number % len(parts)].relative_to(root / "library"), rng)
        assert outcome(root, folder) == hits
