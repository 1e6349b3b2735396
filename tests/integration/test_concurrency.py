"""One process writes at a time; any number read meanwhile, and never wait."""

import signal
import time

import pytest

from echoic import Library, LibraryBusyError
from tests.integration.conftest import write_clip
from tests.integration.contents import assert_same, assert_whole, contents
from tests.integration.test_faults import wait_until

N_KNOWN, N_NEW = 5, 25


@pytest.fixture
def running(echoic, library, index, folder):
    """A run in another process that has a while to go; some files were indexed before."""
    for seed in range(N_KNOWN):
        write_clip(folder / f"known-{seed}.wav", seed, 20)
    index()
    for seed in range(N_KNOWN, N_KNOWN + N_NEW):
        write_clip(folder / f"new-{seed}.wav", seed, 20)
    (folder / "known-4.wav").unlink()
    write_clip(folder / "known-3.wav", 99, 20)
    with echoic.start("index", folder, "--jobs", "2") as process:
        wait_until(lambda: len(library.files()) > N_KNOWN, process)
        yield process
        process.kill()


def test_a_second_writer_is_turned_away_and_changes_nothing(echoic, running, library, folder, tmp_path):
    other = write_clip(tmp_path / "other" / "o.wav", 50)
    running.send_signal(signal.SIGSTOP)  # wherever it is, in the middle of a commit perhaps
    try:
        result = echoic("index", other.parent, code=1)
        assert result.stderr == (
            f"error: another process is writing to the library {library.folder}; "
            "try again when it has finished\n"
        )
        result = echoic("remove", folder, code=1)
        assert "another process is writing to the library" in result.stderr
        with pytest.raises(LibraryBusyError):
            library.index([other])
        assert len(echoic("search", folder / "known-0.wav", "-k", "3").stdout.splitlines()) == 3
    finally:
        running.send_signal(signal.SIGCONT)
    assert running.wait(timeout=60) == 0
    assert len(library.files()) == N_KNOWN - 1 + N_NEW
    assert library.files(other) == []
    assert_whole(library)


def test_readers_neither_fail_nor_wait(running, library, folder):
    n_rounds = 0
    while running.poll() is None:
        # Frozen wherever it is, in the middle of a commit perhaps: who waited for it would wait in vain.
        running.send_signal(signal.SIGSTOP)
        try:
            for reader in (library, Library(library.folder)):  # one that stays open, one that opens anew
                # The last window alone, then all of them, by different ways through the store.
                assert len(reader.search(folder / "known-0.wav", 100)) >= 3
                assert len(reader.search(folder / "known-1.wav", 3, start=15)) == 3
                assert len(reader.files()) >= 4
                if reader is not library:
                    reader.close()
        finally:
            running.send_signal(signal.SIGCONT)
        n_rounds += 1
        time.sleep(0.05)
    assert running.returncode == 0
    assert n_rounds >= 1
    assert len(library.search(folder / "known-0.wav", 100)) == N_KNOWN - 1 + N_NEW - 1
    assert_whole(library)


def test_a_file_that_goes_in_the_middle_of_a_search_is_no_hit(library, index, folder, monkeypatch):
    query = write_clip(folder / "a.wav", 1, 12)  # several windows, so that files are looked at again
    going, staying = write_clip(folder / "b.wav", 1, 11), write_clip(folder / "c.wav", 2)
    index()
    [spec] = library.encoders().values()
    store = library._open()[1].store(spec)
    search = store.search

    def search_and_lose(*arguments, **options):
        found = search(*arguments, **options)
        with Library(library.folder) as other:
            other.remove([going])
        return found

    monkeypatch.setattr(store, "search", search_and_lose)
    assert [hit.path for hit in library.search(query)] == [str(staying)]


def test_a_reader_that_stays_open_sees_what_another_wrote(echoic, library, index, folder):
    query = write_clip(folder / "a.wav", 1)
    write_clip(folder / "b.wav", 2)
    index()
    assert [hit.path for hit in library.search(query)] == [str(folder / "b.wav")]
    write_clip(folder / "c.wav", 1, 0.7)
    (folder / "b.wav").unlink()
    echoic("index", folder, "--jobs", "1")
    assert [hit.path for hit in library.search(query)] == [str(folder / "c.wav")]
    with Library(library.folder) as other:
        assert_same(contents(library), contents(other))
