"""A library whose vectors lie in Milvus, reached over TCP, is searched and survives as an embedded one."""

import shutil

import numpy as np
import pytest

from echoic import Library, StoreError, UsageError
from tests.integration.conftest import CommandLine, write_clip
from tests.integration.contents import assert_same, assert_whole, contents
from tests.integration.test_faults import kill, wait_until

SAME_SCORE = 1e-4


@pytest.fixture
def embedded(tmp_path, worker):
    """A library beside the one in Milvus, to compare with."""
    with Library(tmp_path / "embedded") as opened:
        opened._opening._pool = (1, worker)
        yield opened


def assert_same_hits(one, other, queries, **options):
    """Two libraries give the same files, spans and scores; of equal scores the order is free."""
    for query in queries:
        hits, twins = one.search(query, 10, **options), other.search(query, 10, **options)
        assert [hit.score for hit in hits] == pytest.approx([twin.score for twin in twins], abs=SAME_SCORE)
        assert len(hits) == len(twins)
        known = {twin.path: twin for twin in other.search(query, 20, **options)}
        for hit in hits:
            twin = known[hit.path]
            assert (hit.start, hit.end) == (twin.start, twin.end)
            assert hit.score == pytest.approx(twin.score, abs=SAME_SCORE)


def test_killed_resumed_and_searched_as_an_embedded_library(milvus_server, echoic, library, embedded, folder):
    clips = [write_clip(folder / f"{seed:02d}.wav", seed, 6 + seed % 9) for seed in range(30)]
    words = ("index", folder, "--encoder", "spectral", "--jobs", "1")
    with echoic.start(*words, "--store", milvus_server) as process:
        wait_until(library.exists, process)
        wait_until(lambda: len(library.files()) >= 3, process)
        assert b"Traceback" not in kill(process)
    with echoic.start(*words) as process:  # the library knows its store
        n_done = len(library.files())
        assert 3 <= n_done < len(clips)
        wait_until(lambda: len(library.files()) >= n_done + 2, process)
        assert b"Traceback" not in kill(process)
    assert library.index([folder], jobs=1).failed == ()
    assert library.status().store == milvus_server
    assert_whole(library)

    embedded.index([folder], encoders=["spectral"], jobs=1)
    assert_same(contents(library), contents(embedded), tolerance=1e-6)
    assert_same_hits(library, embedded, clips[::6])
    assert_same_hits(library, embedded, clips[::10], path="1?.wav", min_duration=8)

    for clip in clips[:5]:
        clip.unlink()
    write_clip(clips[7], 70, 9)
    clips[8].rename(folder / "renamed.wav")
    for opened in (library, embedded):
        report = opened.index([folder], jobs=1)
        assert (report.removed, report.changed, report.moved, report.unchanged) == (5, 1, 1, 23)
    assert_whole(library)
    assert_same(contents(library), contents(embedded), tolerance=1e-6)
    assert_same_hits(library, embedded, clips[10::6])


def test_two_libraries_on_one_server_do_not_mix(milvus_server, tmp_path, worker):
    libraries = []
    for name in ("one", "two"):
        for seed in range(3):
            write_clip(tmp_path / name / f"{seed}.wav", seed)
        opened = Library(tmp_path / f"library-{name}")
        opened._opening._pool = (1, worker)
        opened.index([tmp_path / name], encoders=["spectral"], store=milvus_server, jobs=1)
        libraries.append((name, opened))
    for name, opened in libraries:
        hits = opened.search(tmp_path / "one" / "0.wav", 10, include_query=True)
        assert {hit.path for hit in hits} == {str(tmp_path / name / f"{seed}.wav") for seed in range(3)}
        assert_whole(opened)
    (_, one), (_, two) = libraries
    assert one.remove([tmp_path / "one"]) == 3
    assert len(two.search(tmp_path / "two" / "0.wav")) == 2
    one.close()
    two.close()


def test_a_server_that_cannot_be_reached_is_one_sentence_and_can_be_corrected(echoic, library, index, folder):
    write_clip(folder / "a.wav")
    result = echoic("index", folder, "--encoder", "spectral", "--store", "http://127.0.0.1:9", code=1)
    [sentence] = result.stderr.splitlines()
    assert sentence.startswith("error: Milvus at http://127.0.0.1:9 cannot be reached")
    assert result.stdout == ""
    assert index(store="embedded").added == 1
    with pytest.raises(UsageError, match="keeps its vectors in embedded"):
        index(store="http://127.0.0.1:9")


def test_a_server_that_went_away_is_one_sentence(tmp_path, echoic, library, folder):
    from tests.milvus_server import running

    query = write_clip(folder / "a.wav")
    write_clip(folder / "b.wav", 1)
    (tmp_path / "server").mkdir()
    with running(tmp_path / "server") as address:
        echoic("index", folder, "--encoder", "spectral", "--jobs", "1", "--store", address)
        assert len(library.search(query)) == 1
    write_clip(folder / "c.wav", 2)
    for words in (["search", query], ["index", folder], ["status"]):
        [sentence] = echoic(*words, code=1).stderr.splitlines()
        assert address in sentence
    with pytest.raises(StoreError, match=address):
        library.search(query)


@pytest.mark.data
@pytest.mark.timeout(200)
def test_two_hundred_real_files(milvus_server, data_dir, tmp_path):
    """Killed in the middle, finished, thinned, indexed again: hits as those of an embedded library."""
    sources = sorted((data_dir / "esc50").glob("*.opus"))[:200]
    if len(sources) < 200:
        pytest.skip(f"{data_dir / 'esc50'} holds {len(sources)} files, not 200")
    folder = tmp_path / "audio"
    folder.mkdir()
    files = [folder / source.name for source in sources]
    for source, file in zip(sources, files, strict=True):
        file.symlink_to(source)
    echoic = CommandLine(tmp_path / "library")
    words = ("index", folder, "--encoder", "spectral", "--jobs", "2")
    with Library(tmp_path / "library") as library, Library(tmp_path / "embedded") as embedded:
        with echoic.start(*words, "--store", milvus_server) as process:
            wait_until(library.exists, process)
            wait_until(lambda: len(library.files()) >= 50, process)
            assert b"Traceback" not in kill(process)
        assert len(library.files()) < 200
        echoic(*words)
        assert len(library.files()) == 200
        assert_whole(library)
        embedded.index([folder], encoders=["spectral"], jobs=2)
        queries = [files[int(i)] for i in np.linspace(0, 199, 20)]
        assert_same_hits(library, embedded, queries)
        for file in files[::8]:
            file.unlink()
        shutil.copy(sources[0], folder / "again.opus")
        for opened in (library, embedded):
            report = opened.index([folder], jobs=2)
            assert (report.removed, report.added, report.unchanged) == (24, 0, 175)
            assert report.moved == 1  # the copy takes the place of the first, which is gone
        assert_whole(library)
        assert_same_hits(library, embedded, files[1::40])
