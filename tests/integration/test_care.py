"""A library is backed up while somebody indexes, brought back bit for bit, tidied; vectors are exchanged."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from echoic import Library, LibraryBusyError, LibraryError, UsageError
from echoic.storage.catalog import sqlite
from tests.integration.conftest import CommandsWithin, write_clip
from tests.integration.contents import assert_same, assert_whole, contents

parquet = pytest.importorskip("pyarrow.parquet", reason="pip install 'echoic[parquet]'")
arrow = pytest.importorskip("pyarrow")

N_FLIPS = 12
GOLDEN = Path(__file__).parents[1] / "golden" / "libraries"


@pytest.fixture
def filled(index, library, folder):
    """A library of four files with vectors of both precisions."""
    for seed in range(4):
        write_clip(folder / f"{seed}.wav", seed, 4)
    index(encoders=["spectral", "fingerprint"])
    return library


def restored(backup, folder):
    library = Library(folder)
    library.restore(backup)
    return library


def flip(path, rng):
    status = path.stat()
    data = bytearray(path.read_bytes())
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as a failing disk does it


def test_a_backup_is_of_one_moment_whoever_writes_meanwhile(filled, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "_PAGES", 1)
    before, n_writes = contents(filled), 0

    def write(done, total):
        nonlocal n_writes
        assert 0 < done <= total
        n_writes += 1
        if n_writes == 1:
            filled.remove([folder / "0.wav"])
        elif n_writes % 5 == 0:
            filled.tag([folder / "1.wav"], add=[f"turn-{n_writes}"])

    with Library(filled.folder) as other:
        assert other.backup(tmp_path / "backup", told=write) == []
    assert n_writes > 10
    assert len(filled.files()) == 3
    with Library(tmp_path / "backup") as backup:
        assert_same(contents(backup), before)
        assert_whole(backup)
    with restored(tmp_path / "backup", tmp_path / "again") as library:
        assert_same(contents(library), before)
        assert library.index([folder], jobs=1).unchanged == 4
        assert library.search(folder / "1.wav", k=1)


def test_a_backup_of_an_older_format_stays_as_it_is(tmp_path):
    with Library(shutil.copytree(GOLDEN / "7", tmp_path / "old")) as old:
        old.backup(tmp_path / "backup")
    shutil.copy(GOLDEN / "7" / "library.sqlite", tmp_path / "backup" / "library.sqlite")
    digest = hashlib.sha256((GOLDEN / "7" / "library.sqlite").read_bytes()).hexdigest()
    seal = json.loads((tmp_path / "backup" / "backup.json").read_text()) | {"sha256": digest}
    (tmp_path / "backup" / "backup.json").write_text(json.dumps(seal))
    with (
        pytest.raises(LibraryError, match="stays as it is; make a library of it: echoic library restore"),
        Library(tmp_path / "backup") as backup,
    ):
        backup.files()
    with restored(tmp_path / "backup", tmp_path / "again") as library:
        assert len(library.files()) == 2


def test_a_backup_with_a_flipped_bit_is_refused(filled, tmp_path):
    filled.backup(tmp_path / "backup")
    rng = np.random.default_rng(0)
    for number in range(N_FLIPS):
        backup = shutil.copytree(tmp_path / "backup", tmp_path / f"{number}")
        flip(backup / ("backup.json" if number % 4 == 0 else "library.sqlite"), rng)
        with pytest.raises(LibraryError, match=r"was changed since it was made|is no backup|newer Echoic"):
            restored(backup, tmp_path / "again")
        assert not (tmp_path / "again").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_nothing_is_written_over(filled, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(UsageError, match="is there already; remove it"):
        filled.backup(tmp_path / "there")
    with pytest.raises(UsageError, match="there is no folder"):
        filled.backup(tmp_path / "absent" / "backup")
    filled.backup(tmp_path / "backup")
    with pytest.raises(UsageError, match=r"there is a library at .* already; move it out of the way"):
        filled.restore(tmp_path / "backup")
    (tmp_path / "there" / "note.txt").touch()
    with pytest.raises(UsageError, match="is there already"):
        restored(tmp_path / "backup", tmp_path / "there")
    with pytest.raises(LibraryError, match=r"is no backup: there is no backup\.json in it"):
        restored(tmp_path / "there", tmp_path / "again")
    (tmp_path / "backup" / "library.sqlite").unlink()
    with pytest.raises(LibraryError, match=r"lacks its library\.sqlite; use another"):
        restored(tmp_path / "backup", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_damaged_library_is_not_copied_over_what_was_well(filled, tmp_path):
    filled.close()
    path = filled.folder / "library.sqlite"
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096)
    with (
        Library(filled.folder) as damaged,
        pytest.raises(LibraryError, match=r"is damaged and was not|doctor"),
    ):
        damaged.backup(tmp_path / "backup")
    assert not (tmp_path / "backup").exists()


def test_a_backup_that_finds_no_room_leaves_nothing(filled, echoic, tmp_path):
    resource = pytest.importorskip("resource")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    names = sorted(path.name for path in tmp_path.iterdir())
    [line] = echoic("library", "backup", tmp_path / "backup", code=1, preexec_fn=limit).stderr.splitlines()
    assert f"could not be copied to {tmp_path / 'backup'} (" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_vectors_in_milvus_are_brought_beside_the_catalog(milvus_server, index, library, folder, tmp_path):
    for seed in range(3):
        write_clip(folder / f"{seed}.wav", seed, 4)
    index(store=milvus_server)
    before = contents(library)
    catalog, _ = library._open()
    with catalog.writing(), Library(library.folder) as other, pytest.raises(LibraryBusyError):
        _in_thread(other.backup, tmp_path / "backup")
    library.backup(tmp_path / "backup")
    with restored(tmp_path / "backup", tmp_path / "again") as again:
        assert again.status().store == "embedded"
        assert_same(contents(again), before, tolerance=1e-6)
        assert_whole(again)


def _in_thread(function, *arguments):
    """Call where no lock of this thread counts."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


def test_files_are_compared_with_what_was_indexed(filled, folder):
    assert filled.check(read_files=True) == []
    flip(folder / "0.wav", np.random.default_rng(1))
    write_clip(folder / "1.wav", 9, 5)
    (folder / "2.wav").unlink()
    rotten, changed, gone = filled.check(read_files=True)
    assert "holds other bytes than when it was indexed" in rotten
    assert f"touch {folder / '0.wav'} && echoic index {folder / '0.wav'}" in rotten
    assert "has changed since it was indexed; have it read again with: echoic index" in changed
    assert "is gone; bring it back, or have it forgotten with: echoic remove" in gone
    (folder / "0.wav").touch()
    assert filled.index([folder], jobs=1).changed == 2
    assert filled.check(read_files=True) == []


def test_a_flipped_bit_in_the_cache_is_told_and_mended(filled):
    rng = np.random.default_rng(2)
    parts = sorted(path for path in (filled.folder / "index").rglob("*") if path.is_file())
    assert len(parts) >= 3
    for part in parts:
        if part.name == "stamp.json":
            part.write_text("{}")
        else:
            flip(part, rng)
        [finding] = filled.check()
        assert finding == (
            "spectral@1: the cache of its index is damaged; make it anew with: echoic library rebuild"
        )
        filled.rebuild()
        assert filled.check() == []
        break  # rebuilt, its parts have other names
    stamp = next((filled.folder / "index").rglob("stamp.json"))
    stamp.write_text("{}")
    assert len(filled.check()) == 1
    filled.rebuild()
    assert filled.check() == []


def test_room_is_given_back(filled, folder):
    catalog, spaces = filled._open()
    key = next(iter(filled.encoders().values())).key
    with catalog.transaction():
        spaces.stores()[key].replace(99, spaces.stores()[key].fetch([1])[1])
    [finding] = filled.check()
    assert "unknown files; drop them with: echoic library compact" in finding
    filled.remove([folder / f"{seed}.wav" for seed in range(3)])
    assert filled.compact() > 4_096
    assert filled.check() == []
    assert [record.path for record in filled.files()] == [str(folder / "3.wav")]
    assert filled.search(folder / "0.wav", k=5)[0].path == str(folder / "3.wav")


def test_a_table_of_vectors_is_what_other_programs_read(filled, folder, tmp_path):
    assert filled.export_vectors(tmp_path / "v.parquet", encoder="fingerprint") == 4 * 7
    table = parquet.read_table(tmp_path / "v.parquet")
    assert table.column_names == [
        *("path", "path_bytes", "digest", "start", "end", "encoder", "revision", "vector")
    ]
    spec = next(spec for spec in filled.encoders().values() if spec.name == "fingerprint")
    vectors = np.array(table["vector"].to_pylist(), np.float32)
    assert vectors.shape == (28, spec.dim)
    for content, path in zip(contents(filled).values(), sorted(folder.iterdir()), strict=True):
        rows = [row for row, name in enumerate(table["path"].to_pylist()) if name == str(path)]
        np.testing.assert_array_equal(vectors[rows], content.vectors[spec.key])
        starts, ends = (table[name].to_numpy()[rows] for name in ("start", "end"))
        assert starts.tobytes() + ends.tobytes() == content.spans[spec.key]
    assert set(table["revision"].to_pylist()) == {spec.revision}
    assert table["path_bytes"].null_count == 28


def test_vectors_are_given_to_files_of_the_same_content(filled, folder, tmp_path, worker):
    odd = folder / os.fsdecode(b"odd-\xff.wav")
    shutil.copy(folder / "0.wav", odd)
    filled.index([folder], jobs=1)
    for name in ("spectral", "fingerprint"):
        filled.export_vectors(tmp_path / f"{name}.parquet", encoder=name)
    write_clip(folder / "1.wav", 8, 4)
    (folder / "2.wav").rename(tmp_path / "2.wav")
    with Library(tmp_path / "other") as other:
        other._opening._pool = (1, worker)
        other.index([folder], encoders=["spectral"], jobs=1)
        n_files, left_out = other.import_vectors(tmp_path / "fingerprint.parquet")
        assert n_files == 3
        assert sum("with other content than the vectors are of" in sentence for sentence in left_out) == 1
        assert sum("is not in the library; add it with" in sentence for sentence in left_out) == 1
        report = other.index([folder], jobs=1)
        assert (report.unchanged, report.encoded) == (3, 1)
        assert_whole(other)
        ours, theirs = contents(other), contents(filled)
        for path in (str(odd), str(folder / "0.wav"), str(folder / "3.wav")):
            assert ours[path].spans == theirs[path].spans
        assert other.import_vectors(tmp_path / "spectral.parquet")[0] == 3
        assert_whole(other)


def test_what_is_no_such_table_is_refused(filled, tmp_path):
    whole = tmp_path / "v.parquet"
    filled.export_vectors(whole, encoder="fingerprint")
    before, table = contents(filled), parquet.read_table(whole)
    n = table.num_rows

    def replaced(name, values):
        return table.set_column(table.column_names.index(name), name, [arrow.array(values)])

    doubled = (2 * np.array(table["vector"].to_pylist())).tolist()
    cases = {
        "is no table of vectors: it has no column digest": table.drop_columns(["digest"]),
        "holds no vectors": table.slice(0, 0),
        "revision 'other'": replaced("revision", ["other"] * n),
        "no encoder named 'absent'": replaced("encoder", ["absent"] * n),
        "of more than one encoder": replaced("revision", [table["revision"][0].as_py(), *["x"] * (n - 1)]),
        "are apart; sort it": table.take(np.argsort(np.arange(n) % 2, kind="stable")),
        "vectors of several lengths": replaced("vector", [doubled[0], *[[1.0]] * (n - 1)]),
        "lacks values": replaced("start", [None, *[0.0] * (n - 1)]),
    }
    for said, wrong in cases.items():
        parquet.write_table(wrong, tmp_path / "wrong.parquet")
        with pytest.raises(UsageError, match=said):
            filled.import_vectors(tmp_path / "wrong.parquet")
    parquet.write_table(replaced("vector", doubled), tmp_path / "wrong.parquet")
    n_files, left_out = filled.import_vectors(tmp_path / "wrong.parquet")
    assert (n_files, len(left_out)) == (0, 4)
    assert all("were refused: vector 0 has length 2" in sentence for sentence in left_out)
    for wrong in (replaced("end", [1e9] * n), replaced("start", [-5.0] * n)):
        parquet.write_table(wrong, tmp_path / "wrong.parquet")
        n_files, left_out = filled.import_vectors(tmp_path / "wrong.parquet")
        assert n_files == 0
        assert all("of times that it does not have: it lasts 4.00 s" in sentence for sentence in left_out)
    odd = tmp_path / os.fsdecode(b"caf\xe9.parquet")
    whole.rename(odd)
    assert filled.import_vectors(odd)[0] == 4
    filled.export_vectors(whole, encoder="fingerprint")
    odd.unlink()
    filled.export_vectors(odd, encoder="fingerprint")
    with odd.open("rb") as opened:
        assert parquet.read_table(whole).equals(parquet.ParquetFile(opened).read())
    whole.write_bytes(whole.read_bytes()[:-50])
    with pytest.raises(UsageError, match="cannot be read as Parquet"):
        filled.import_vectors(whole)
    with pytest.raises(UsageError, match="does not exist"):
        filled.import_vectors(tmp_path / "absent.parquet")
    assert_same(contents(filled), before)


def test_on_the_command_line(filled, folder, tmp_path):
    echoic = CommandsWithin(filled.folder)
    assert (
        "bring it back with: echoic library restore backup"
        in echoic(*("library", "backup", "backup"), cwd=tmp_path).stdout
    )
    other = ("--library", tmp_path / "other")
    assert "restored" in echoic("library", "restore", "backup", *other, cwd=tmp_path).stdout
    assert (
        "28 vectors written"
        in echoic(
            *("library", "export", "v.parquet", "--encoder", "fingerprint", *other), cwd=tmp_path
        ).stdout
    )
    assert echoic("library", "import", "v.parquet", *other, cwd=tmp_path).stdout == "4 files given vectors\n"
    assert "freed" in echoic("library", "compact", *other).stdout
    assert "made anew" in echoic("library", "rebuild", *other).stdout
    assert "all accounted for" in echoic("doctor", "--files", *other).stdout
    write_clip(folder / "1.wav", 8, 4)
    echoic("index", folder, "--jobs", "1", *other)
    result = echoic("library", "import", "v.parquet", *other, code=1, cwd=tmp_path)
    assert result.stdout == "3 files given vectors, 1 left out\n"
    assert result.stderr.startswith("warning: ")
