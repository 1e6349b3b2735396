"""A library that may only be read, as on a disk shared for reading, answers all that changes nothing."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from echoic import Library
from echoic.errors import LibraryError
from tests.integration.conftest import write_clip

pytestmark = pytest.mark.skipif(os.name != "posix", reason="rights of folders are POSIX's")

OLD = Path(__file__).parents[1] / "golden" / "libraries" / "3"


def heed_rights(heeded: bool) -> None:
    """Have root's rights be those that files say, or all there are; see capabilities(7)."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x2008_0522, 0)  # the version of what follows; this thread
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; each again for those from 32 on
    override = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.capget(header, sets) == 0
    sets[0] = sets[0] & ~override if heeded else sets[0] | override
    assert libc.capset(header, sets) == 0


@contextmanager
def only_read(folder: Path) -> Iterator[None]:
    """Take the right to write to a folder away, which root otherwise has always."""
    everything = [folder, *folder.rglob("*")]
    is_root = os.geteuid() == 0
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if is_root:
        heed_rights(True)
    try:
        yield
    finally:
        if is_root:
            heed_rights(False)
        for path in everything:
            path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def place():
    """Give a folder that nobody else has to be let into; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def library(place):
    for number in range(2):
        write_clip(place / "in" / f"{number}.wav", number, 8.0)
    shutil.copy(place / "in" / "0.wav", place / "in" / "0 again.wav")
    with Library(place / "library") as library:
        library.index([place / "in"], encoders=["spectral", "fingerprint"], jobs=1)
    return place / "library"


def answers(folder: Path, query: Path) -> list[object]:
    with Library(folder) as library:
        return [
            [Path(record.path).name for record in library.files()],
            [(Path(hit.path).name, round(hit.score, 3)) for hit in library.search(query, 2)],
            [Path(match.path).name for match in library.identify(query, include_query=True)],
            [(pair.path, pair.other, pair.whole) for pair in library.duplicates()],
        ]


@pytest.mark.parametrize("found", ["kept", "not there"])
def test_it_is_listed_searched_and_compared(library, place, found):
    query = place / "in" / "0.wav"
    expected = answers(library, query)
    assert expected[0] == ["0 again.wav", "0.wav", "1.wav"]
    assert expected[1][0] == ("0 again.wav", 1.0)
    assert len(expected[3]) == 1
    if found == "not there":
        shutil.rmtree(library / "index")
    with only_read(library):
        assert answers(library, query) == expected


def test_what_changes_it_says_so_in_one_sentence(library, place):
    with only_read(library), Library(library) as opened:
        for change in (
            lambda: opened.remove([place / "in" / "0.wav"]),
            lambda: opened.tag(place / "in" / "0.wav", add=["mood=dark"]),
            lambda: opened.index([place / "in"], jobs=1),
        ):
            with pytest.raises(LibraryError, match="can only be read here; allow it to be written"):
                change()


def test_what_somebody_wrote_meanwhile_is_seen(library, place):
    with Library(library) as reader:
        with only_read(library):
            assert len(list(reader.files())) == 3
        with Library(library) as writer:
            writer.remove([place / "in" / "1.wav"])
        with only_read(library):
            assert [Path(record.path).name for record in reader.files()] == ["0 again.wav", "0.wav"]


def test_an_older_one_says_that_it_must_be_written_to_once(place):
    shutil.copytree(OLD, place / "old")
    with (
        only_read(place / "old"),
        pytest.raises(LibraryError, match=r"has format 3 .* \(it can only be read here\)"),
    ):
        Library(place / "old").status()
    with Library(place / "old") as library:
        assert len(list(library.files())) == 2


def test_what_a_killed_process_left_is_not_passed_over(library):
    """Its last words lie in a log that only one who may write can take in."""
    (library / "library.sqlite-wal").write_bytes(b"\0" * 64)
    with only_read(library), pytest.raises(LibraryError, match="cannot be used"):
        Library(library).status()
    assert len(list(Library(library).files())) == 3
