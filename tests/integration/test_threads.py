"""Many threads use one library at once, while it is indexed too."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from echoic import Library, LibraryBusyError
from tests.integration.conftest import write_clip
from tests.integration.contents import assert_whole

N_THREADS, N_KNOWN, N_NEW = 8, 6, 30


@pytest.fixture
def clips(folder: Path) -> list[Path]:
    return [write_clip(folder / f"known-{seed}.wav", seed, 12) for seed in range(N_KNOWN)]


def test_eight_threads_search_while_another_indexes(index, library: Library, folder: Path, clips) -> None:
    index()
    for seed in range(N_KNOWN, N_KNOWN + N_NEW):
        write_clip(folder / f"new-{seed}.wav", seed, 12)
    clips[0].unlink()
    write_clip(clips[1], 99, 12)
    is_indexed = threading.Event()

    def search(number: int) -> list[int]:
        """Count the files that each search finds, and judge its best hit."""
        counts = []
        query = clips[2 + number % (N_KNOWN - 2)]
        is_last = False
        while not is_last:
            is_last = is_indexed.is_set()
            # The last window alone, then all of them, by different ways through the store.
            part = library.search(query, 100, start=9, include_query=True)
            whole = library.search(query, 3, include_query=True)
            assert part[0].path == whole[0].path == str(query)
            assert whole[0].score == pytest.approx(1, abs=1e-4)
            assert all(0 <= hit.start < hit.end <= 12 for hit in part)
            assert library.status().files >= N_KNOWN - 1
            assert len(library.files(query)) == 1
            counts.append(len(part))
        return counts

    with ThreadPoolExecutor(N_THREADS + 1) as pool:
        searching = [pool.submit(search, number) for number in range(N_THREADS)]
        try:
            report = pool.submit(index).result(timeout=120)
        finally:
            is_indexed.set()
        counts = [future.result(timeout=60) for future in searching]
    assert (report.added, report.changed, report.removed) == (N_NEW, 1, 1)
    assert all(found[-1] == N_KNOWN - 1 + N_NEW for found in counts)
    assert_whole(library)


def test_of_two_threads_that_write_one_is_turned_away(index, library: Library, clips) -> None:
    index()
    catalog = library._open()[0]
    with ThreadPoolExecutor(1) as pool:
        with catalog.writing():
            with pytest.raises(LibraryBusyError):
                pool.submit(library.tag, clips, add=["a"]).result()
            assert library.tag(clips, add=["b"]) == N_KNOWN  # its own thread goes on
        assert pool.submit(library.tag, clips, add=["a"]).result() == N_KNOWN
    assert len(library.files(tags=["a", "b"])) == N_KNOWN


def test_a_thread_sees_nothing_of_what_another_has_not_committed(index, library: Library, clips) -> None:
    index()
    catalog, spaces = library._open()
    store = next(iter(spaces.stores().values()))
    [known, *_] = catalog.ids_at(clips[0])
    query = store.fetch([known])[known].vectors[:1]

    def delete_and_stop() -> None:
        with ThreadPoolExecutor(1) as pool, catalog.transaction():
            store.delete([known])
            # What is found here must not be what the others search in.
            assert known not in store.search(query, 50).file_ids
            assert known in pool.submit(store.search, query, 50).result().file_ids
            raise InterruptedError

    with pytest.raises(InterruptedError):
        delete_and_stop()
    assert known in store.search(query, 50).file_ids


def test_a_thread_may_go_on_while_the_library_is_closed(index, library: Library, clips) -> None:
    index()
    is_closed = threading.Event()

    def search() -> int:
        n = 0
        while not is_closed.is_set() or n < 2:
            assert library.search(clips[0], 1, include_query=True)[0].path == str(clips[0])
            n += 1
        return n

    with ThreadPoolExecutor(2) as pool:
        searching = [pool.submit(search) for _ in range(2)]
        for _ in range(20):
            library.close()
            time.sleep(0.01)
        is_closed.set()
        assert all(future.result(timeout=60) >= 2 for future in searching)
