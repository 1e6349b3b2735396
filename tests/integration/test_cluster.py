"""A Ray cluster encodes what worker processes here would, also where workers and machines are lost."""

import os
import shutil
import signal

import pytest

from benchmarks.faults import encoding_processes
from echoic import Library, cluster
from echoic.analysis.workers import Task
from echoic.cluster import ClusterPool
from echoic.errors import UnreadableError
from tests.integration.conftest import CommandsWithin, write_clip
from tests.integration.contents import assert_same, assert_whole, contents
from tests.s3_server import running

ray = pytest.importorskip("ray", reason="pip install 'echoic[ray]'")

N_FILES = 24
_NOTICED = {  # ms: that a machine is gone, in seconds rather than in a quarter minute
    "health_check_initial_delay_ms": 500,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}

pytestmark = [
    pytest.mark.timeout(600),
    # What Ray itself leaves open, or warns of.
    pytest.mark.filterwarnings("default::ResourceWarning", "default::FutureWarning"),
    pytest.mark.filterwarnings("default::DeprecationWarning"),
    pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def s3():
    """A server of buckets, which the machines know, too."""
    pytest.importorskip("s3fs", reason="pip install 'echoic[cloud]'")
    with running():
        import fsspec

        yield fsspec.filesystem("s3", use_listings_cache=False)


@pytest.fixture(scope="module")
def two_nodes(s3):
    """A cluster of two machines of one core each, in processes here; and the second of them."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        head = {"num_cpus": 1, "include_dashboard": False, "_system_config": _NOTICED}
        made = Cluster(initialize_head=True, head_node_args=head | {"object_store_memory": 80 << 20})
        second = made.add_node(num_cpus=1, object_store_memory=80 << 20)
        yield made, second
        ray.shutdown()
        made.shutdown()


def test_a_file_that_takes_its_workers_with_it_is_given_up_after_three(two_nodes, tmp_path, monkeypatch):
    log = tmp_path / "log"

    class Dies:
        def __init__(self, budget):
            pass

        def is_ready(self):
            return True

        def analyse(self, task):
            with log.open("a") as file:
                file.write(f"{task.path.name}\n")
            if task.path.name == "poison":
                os._exit(1)
            return UnreadableError(f"{task.path.name} was read")

    monkeypatch.setattr(cluster, "_Encoding", Dies)
    tasks = [Task(tmp_path / name, ()) for name in ("a", "poison", "b", "c", "d")]
    with ClusterPool(two_nodes[0].address) as pool:
        stopped = pool.run(tasks[2:])
        next(stopped)
        stopped.close()  # as Ctrl-C does
        found = {task.path.name: str(error) for task, error in pool.run(tasks)}
    assert found.pop("poison").endswith("leave it out if that happens again")
    assert found == {name: f"{name} was read" for name in "abcd"}
    assert log.read_text().splitlines().count("poison") == 3


def test_a_bucket_is_indexed_by_machines_that_reach_it(two_nodes, s3, folder, library):
    s3.mkdir("shared")
    for seed in range(3):
        s3.put_file(str(write_clip(folder / "a.wav", seed)), f"shared/{seed}.wav")
    s3.pipe_file("shared/bad.wav", b"no sound")
    report = library.index(["s3://shared"], encoders=["spectral"], ray=two_nodes[0].address)
    assert (report.added, [path for path, _ in report.failed]) == (3, ["s3://shared/bad.wav"])
    assert library.index(["s3://shared"], ray=two_nodes[0].address).unchanged == 3
    assert library.search("s3://shared/1.wav", 1, include_query=True)[0].path == "s3://shared/1.wav"


def test_a_worker_and_a_machine_are_lost_and_nothing_else(
    two_nodes, folder, library, tmp_path, worker, capfd
):
    made, second = two_nodes
    for seed in range(N_FILES):
        write_clip(folder / f"{seed:02d}.wav", seed, 3)
    (folder / "bad.wav").write_text("no sound")
    seen = []

    def progress(now):
        seen.append(now.path)
        if len(seen) == 4:
            os.kill(encoding_processes()[0], signal.SIGKILL)
        if len(seen) == 8:
            made.remove_node(second, allow_graceful=False)

    report = library.index([folder], encoders=["spectral"], ray=made.address, progress=progress)
    assert "worker died" not in capfd.readouterr().out  # nor anything else of Ray's among results
    assert (report.added, len(report.failed)) == (N_FILES, 1)
    assert sorted(seen) == sorted(map(str, folder.iterdir()))
    assert_whole_but_failed(library)
    assert library.index([folder], ray=made.address).unchanged == N_FILES
    with Library(tmp_path / "plain") as plain:
        plain._opening._pool = (1, worker)
        plain.index([folder], encoders=["spectral"], jobs=1)
        assert_same(contents(library), contents(plain))


def assert_whole_but_failed(library):
    shutil.copytree(library.folder, library.folder.with_name("copy"))
    with Library(library.folder.with_name("copy")) as copy:
        copy.remove([record.path for record in copy.files() if record.state == "failed"])
        assert_whole(copy)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "nowhere"])
def test_a_cluster_that_is_not_there_is_one_sentence(folder, library, address):
    ray.shutdown()
    write_clip(folder / "a.wav")
    words = ("index", folder, "--encoder", "spectral", "--ray", address)
    [line] = CommandsWithin(library.folder)(*words, code=1).stderr.splitlines()
    assert line.startswith(f"error: no Ray cluster answers at {address} (")
    assert not library.exists()
