"""Files in buckets are indexed, found, told and forgotten as those of folders are."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest

from echoic import Library, UnreadableError, UsageError, buckets
from echoic.addresses import place
from echoic.audio.decode import read_audio
from echoic.audio.encode import write_audio
from echoic.client import Client
from echoic.server.settings import Settings
from tests.integration.conftest import CommandsWithin, write_clip
from tests.integration.server.conftest import Served
from tests.integration.test_encoders import change_card
from tests.s3_server import running

fsspec = pytest.importorskip("fsspec", reason="pip install 'echoic[cloud]'")
pytest.importorskip("s3fs", reason="pip install 'echoic[cloud]'")
pytest.importorskip("moto", reason="pip install 'moto[server]'")

pytestmark = [
    # What botocore, aiohttp and moto themselves leave open, or warn of.
    pytest.mark.filterwarnings("default::DeprecationWarning", "default::ResourceWarning"),
    pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def server(kept_workers):
    with running() as server:
        kept_workers(1)  # those that ran before know of no server
        yield server
    kept_workers(1)


@pytest.fixture(scope="module")
def s3(server):
    return fsspec.filesystem("s3", use_listings_cache=False)


@pytest.fixture
def bucket(s3, request):
    """A bucket of its own for each test, as fsspec names it."""
    name = request.node.name[:60].replace("_", "-").strip("-")
    s3.mkdir(name)
    return name


@pytest.fixture
def put(s3, bucket, tmp_path):
    """Put a clip into the bucket; return its address."""

    def put(name, seed=0, seconds=0.6):
        clip = write_clip(tmp_path / f"to-put{name[name.rfind('.') :]}", seed, seconds)
        s3.put_file(str(clip), f"{bucket}/{name}")
        return f"s3://{bucket}/{name}"

    return put


def test_a_folder_of_a_bucket_is_indexed_as_a_folder_is(
    server, s3, bucket, put, index, library, folder, tmp_path
):
    names = ["a.wav", "b.WAV", "deep/er/c.flac", "odd name #%.wav"]
    for seed, name in enumerate(names):
        put(f"owls/{name}", seed)
        write_clip(folder / name, seed)
    for name in ("owls/notes.txt", "owls/.hidden.wav", "owls/.hidden/d.wav", "owls/deep/", "owls-not/e.wav"):
        s3.pipe_file(f"{bucket}/{name}", b"x")
    for name in ("notes.txt", ".hidden.wav", ".hidden/d.wav"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
    server.fetched.clear()
    report = index(f"s3://{bucket}/owls")
    sizes = {f"/{bucket}/owls/{name}": s3.info(f"{bucket}/owls/{name}")["size"] for name in names}
    assert server.fetched == sizes  # each byte once: for the digest, and for the sound
    again = index(f"s3://{bucket}/owls", f"s3://{bucket}/owls/deep", f"s3://{bucket}/owls/a.wav")
    assert (again.added, again.unchanged, again.failed) == (0, 4, ())
    assert server.fetched == sizes
    with Library(tmp_path / "of-folder") as other:
        other._opening._pool = library._opening._pool
        expected = other.index([folder], encoders=["spectral"], jobs=1)
        assert (report.added, report.passed_over) == (4, {".txt": 1})
        assert (expected.added, expected.passed_over) == (4, {".txt": 1})
        assert vectors(library, f"s3://{bucket}/owls/") == vectors(other, f"{folder}/")
        other._opening._pool = None


def vectors(library, folder):
    """Return digest and vectors of each file, by its name in a folder."""
    catalog, spaces = library._open()
    [spec] = catalog.encoders().values()
    found = spaces.store(spec).fetch([record.id for record in catalog.files()])
    return {
        one.path.removeprefix(folder): (one.digest, found[one.id].vectors.tobytes())
        for one in catalog.files()
    }


def test_what_changes_in_a_bucket_is_followed(s3, bucket, put, index, library):
    for seed in range(4):
        put(f"birds/{seed}.wav", seed)
    put("other/x.wav", 9)
    index(f"s3://{bucket}")
    put("birds/0.wav", 10)  # of the same size, within the same second
    s3.mv(f"{bucket}/birds/1.wav", f"{bucket}/birds/moved/1.wav")
    s3.rm(f"{bucket}/birds/2.wav")
    put("birds/3.wav", 3)  # the very same
    report = index(f"s3://{bucket}/birds")
    assert (report.changed, report.moved, report.removed, report.unchanged) == (1, 1, 1, 1)
    s3.rm(f"{bucket}/birds", recursive=True)
    gone = index(f"s3://{bucket}/birds")
    assert (gone.removed, gone.failed[0][1]) == (0, f"s3://{bucket}/birds does not exist; check the address")
    s3.rm(f"{bucket}/other", recursive=True)
    [(path, message)] = index(f"s3://{bucket}").failed
    assert path == f"s3://{bucket}"
    assert "is empty, yet 4 files of it are indexed" in message
    assert library.remove([f"s3://{bucket}/birds"]) == 3
    assert [one.path for one in library.files()] == [f"s3://{bucket}/other/x.wav"]


def test_the_verbs_take_addresses_and_tell_them(bucket, put, library, tmp_path):
    for seed in range(3):
        put(f"birds/{seed}.wav", seed)
    echoic = CommandsWithin(library.folder)
    whole = f"s3://{bucket}/birds"
    echoic("index", whole, "--encoder", "spectral", "--jobs", 1)
    [line] = echoic("tag", whole + "/1.wav", "--add", "owl").stdout.splitlines()
    assert line == "1 file tagged anew"
    rows = [json.loads(line) for line in echoic("list", whole, "--json").stdout.splitlines()]
    assert [row["path"] for row in rows] == [f"{whole}/{seed}.wav" for seed in range(3)]
    assert f"{whole}/1.wav" in echoic("list", f"s3://{bucket}/*/1.wav").stdout
    found = echoic("search", f"{whole}/2.wav", "--path", f"s3://{bucket}/birds/*").stdout
    assert {line.split()[-1] for line in found.splitlines()} == {f"{whole}/0.wav", f"{whole}/1.wav"}
    hit = json.loads(echoic("search", f"{whole}/2.wav", "--json", "-k", 1, "--tag", "owl").stdout)
    assert hit["path"] == f"{whole}/1.wav"
    (tmp_path / "hits.json").write_text(json.dumps(hit))
    assert "1-00000.000.wav" in echoic("cut", tmp_path / "hits.json", "-o", tmp_path / "parts").stdout
    echoic("show", f"{whole}/2.wav", "-o", tmp_path / "o.png")
    assert "all accounted for" in echoic("doctor", "--files").stdout
    refused = echoic("align", f"{whole}/1.wav", f"{whole}/2.wav", code=2).stderr
    assert "is an address; give a file or a folder" in refused
    assert "tell nothing of changes" in echoic("index", whole, "--watch", code=2).stderr
    assert echoic("remove", whole).stdout == "3 files forgotten\n"


def test_a_service_plays_what_lies_in_a_bucket(bucket, put, index, library, tmp_path):
    address = put("owls/a b.wav", seconds=2)
    index(f"s3://{bucket}")
    library.close()
    served = Served(Settings(library.folder, port=0))
    try:
        [file] = served("/v1/files", {"path": f"s3://{bucket}/*"}).json["files"]
        assert (file["path"], file["uri"]) == (address, address.replace(" ", "%20"))
        assert served("/v1/files", {"uri": file["uri"]}).json["files"] == [file]
        played = served(f"/v1/files/{file['id']}/audio")
        assert (played.status, played.headers["Content-Type"]) == (200, "audio/flac")
        (tmp_path / "played.flac").write_bytes(played.body)
        expected, _ = read_audio(place(address), 8000)
        assert np.allclose(read_audio(tmp_path / "played.flac", 8000)[0], expected, atol=1e-4)
        [hit] = served("/v1/search", {"file": file["id"], "include_query": True}).json["hits"]
        assert hit["path"] == address
        [found] = Client(served.address).search(address, include_query=True)
        assert found.path == address
    finally:
        served.stop()


def test_a_part_of_a_long_file_is_read_without_the_rest(server, s3, bucket, tmp_path):
    sound = np.random.default_rng(0).normal(0, 0.1, 300 * 8000).astype(np.float32)
    write_audio(tmp_path / "long.wav", sound, 8000)
    s3.put_file(str(tmp_path / "long.wav"), f"{bucket}/long.wav")
    buckets.choose(f"s3://{bucket}")
    server.fetched.clear()
    part, _ = read_audio(place(f"s3://{bucket}/long.wav"), 8000, start=200.0, end=201.0)
    expected, _ = read_audio(tmp_path / "long.wav", 8000, start=200.0, end=201.0)
    assert np.array_equal(part, expected)
    assert server.fetched[f"/{bucket}/long.wav"] <= 0.5 * (tmp_path / "long.wav").stat().st_size


def test_a_server_that_fails_for_a_while_costs_nothing_and_one_that_fails_on_a_file(
    server, bucket, put, index
):
    put("a.wav")
    server.failures = 1
    assert index(f"s3://{bucket}").added == 1
    put("b.wav", 1)
    server.failures = 2
    [(path, message)] = index(f"s3://{bucket}").failed
    assert server.failures == 0
    assert path == f"s3://{bucket}/b.wav"
    assert message.startswith(f"s3://{bucket}/b.wav cannot be read (")
    assert index(f"s3://{bucket}").changed == 1  # tried again without being told to


def test_what_is_not_there_is_said_and_no_library_is_made(bucket, library, tmp_path):
    echoic = CommandsWithin(library.folder)
    [line] = echoic("index", f"s3://{bucket}/none", code=1).stderr.splitlines()
    assert line == f"error: s3://{bucket}/none does not exist; check the address"
    for scheme, package in (("gs", "gcsfs"), ("az", "adlfs")):
        if find_spec(package) is not None:
            continue
        said = echoic("index", f"{scheme}://none/x", code=1).stderr
        assert said == f"error: reading from {scheme}:// needs the package {package}: pip install {package}\n"
    assert not library.exists()


def test_a_library_of_somebody_else_opens_no_bucket(
    server, bucket, put, index, library, monkeypatch, tmp_path
):
    put("a.wav")
    index(f"s3://{bucket}")
    monkeypatch.setattr(buckets, "_chosen", set())
    assert library.check(read_files=True) == []  # chosen for good
    monkeypatch.setattr(buckets, "_chosen", set())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings of another person"))
    asked = server.asked
    [finding] = library.check(read_files=True)
    assert finding.endswith(f"was not chosen here; choose it once: echoic index s3://{bucket}")
    with pytest.raises(UnreadableError, match="was not chosen here"):
        library.search(f"s3://{bucket}/a.wav", start=0, end=0.3)
    assert server.asked == asked
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError, match="make your folder for settings writable"):
        index(f"s3://{bucket}")


def test_a_new_revision_takes_the_place_of_the_old_in_a_bucket(s3, bucket, put, index, model, monkeypatch):
    for seed, name in enumerate(("owls/0.wav", "owls/1.wav", "owls/2.wav", "else/x.wav")):
        put(name, seed)
    index(f"s3://{bucket}", encoders=[str(model)])
    change_card(model, revision="2")
    s3.rm([f"{bucket}/owls/2.wav", f"{bucket}/else/x.wav"])
    looked, entry_at = [], buckets.entry_at
    monkeypatch.setattr(buckets, "entry_at", lambda path: looked.append(str(path)) or entry_at(path))
    report = index(f"s3://{bucket}/owls/0.wav", encoders=[str(model)])
    assert (report.encoded, report.failed) == (2, ())
    assert set(looked) == {f"/s3:/{bucket}/owls/0.wav"}
