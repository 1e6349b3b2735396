"""Fixtures that tests of several parts share. The sounds are synthetic unless a test is marked ``data``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from echoic.audio.encode import write_audio
from tests import postgres_server as postgres
from tests.hostile import make_hostile
from tests.media import sound
from tests.milvus_server import running

# These tests fork to start commands while this process may be connected to Milvus. gRPC would wake its
# threads in the child and abort it (https://github.com/grpc/grpc/pull/43157); read when it is first imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

# Threads of OpenMP wait for each other by spinning, which takes longer than what they compute here. It is
# read when torch and FAISS are imported, by what the tests start, too.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests of every encoder are collected before any fixture runs, and are not of those that whoever tests added.
os.environ["ECHOIC_MODELS"] = os.path.join(tempfile.gettempdir(), "no-models-for-tests-of-echoic")

# No test fails because the machine is busy.
settings.register_profile("echoic", deadline=None)
settings.load_profile("echoic")

CLIP_SECONDS = 3.0
CLIP_RATE = 44_100
CLIP_SUFFIXES = (".wav", ".aiff", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".webm", ".wma")


@pytest.fixture(scope="session", autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what Echoic notes about servers, and models that were added, apart from those of whoever tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ECHOIC_MODELS", str(tmp_path_factory.mktemp("models")))
        patch.setenv("ECHOIC_WEIGHTS", str(tmp_path_factory.mktemp("weights")))
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("settings")))
        yield


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same three seconds in stereo at 44.1 kHz, ``sound(3.0, 44100, 2)``, as a file of each suffix."""
    folder = tmp_path_factory.mktemp("clips")
    samples = sound(CLIP_SECONDS, CLIP_RATE, 2)
    paths = {suffix: folder / f"clip{suffix}" for suffix in CLIP_SUFFIXES}
    for path in paths.values():
        write_audio(path, samples, CLIP_RATE)
    return paths


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """Write a clip of its own sound for each seed: ``make_clip("a/b.flac", seconds=2.0, seed=7)``."""

    def make(
        name: str, *, seconds: float = 1.0, sample_rate: int = 16_000, n_channels: int = 1, seed: int = 0
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_audio(path, sound(seconds, sample_rate, n_channels, seed=seed), sample_rate)
        return path

    return make


@pytest.fixture(scope="session")
def hostile_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Broken and malicious files by name; ``hostile.EXPECTED`` says what must become of each."""
    return make_hostile(tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="session")
def milvus_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Milvus server that all tests share, each with collections of its own."""
    with running(tmp_path_factory.mktemp("milvus")) as address:
        yield address


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Server]:
    """A PostgreSQL server that all tests share, each with a database of its own."""
    with postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real audio: $ECHOIC_DATA, else ``shared/data`` beside the checkout."""
    named = os.environ.get("ECHOIC_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real audio: {folder} does not exist; set $ECHOIC_DATA")
    return folder
