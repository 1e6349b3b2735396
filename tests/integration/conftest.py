"""Tiny sounds, a library, and the command line as a person runs it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from echoic import Library
from echoic.analysis.workers import Budget, WorkerPool
from echoic.audio.encode import write_audio
from echoic.cli import app
from tests.models import write_model

RATE = 8_000
ENCODERS = ["spectral"]

# How a command ends that Ctrl-C stopped. Where the signal comes while a library runs exec() on a text, as
# dataclasses and torch do, CPython remembers it and ends by the signal itself; to a shell both are 130.
STOPPED = (130, -signal.SIGINT)


def write_clip(
    path: Path, seed: int = 0, seconds: float = 0.6, *, tags: dict[str, str] | None = None
) -> Path:
    """Write a chord of three partials over faint noise, another for each seed."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    samples = rng.normal(0, 0.01, len(time))
    for frequency in rng.uniform(100, 3_500, 3):
        samples += 0.25 * np.sin(2 * np.pi * frequency * time)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, samples.astype(np.float32), RATE, tags=tags)
    return path


class CommandLine:
    """``echoic`` in a process of its own, on a library of its own."""

    def __init__(self, library: Path) -> None:
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("ECHOIC_")}
        self.environment |= {"ECHOIC_LIBRARY": str(library), "COLUMNS": "200"}
        self.environment.setdefault("PYTHONWARNINGS", "error")

    def start(
        self, *words: object, preexec_fn: Callable[[], None] | None = None, **options: object
    ) -> subprocess.Popen:
        """Start a verb and return at once; ``preexec_fn`` is called in the new process before it begins."""

        def prepare() -> None:
            # Started in the background by a shell, the tests ignore Ctrl-C, and what they start would too.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if preexec_fn:
                preexec_fn()

        command = [sys.executable, "-m", "echoic", *map(os.fspath, map(_as_word, words))]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen(command, env=self.environment, preexec_fn=prepare, **pipes)

    def __call__(self, *words: object, code: int = 0, **options: object) -> subprocess.CompletedProcess:
        """Run a verb to its end, which must have that exit code, and never a traceback."""
        with self.start(*words, **options) as process:
            try:
                stdout, stderr = process.communicate(timeout=60)
            finally:
                process.kill()
        out, err = os.fsdecode(stdout or b""), os.fsdecode(stderr or b"")
        assert "Traceback" not in err, err
        assert "Exception ignored" not in err, err
        assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(process.args, code, out, err)


class CommandsWithin(CommandLine):
    """``echoic`` within this process: as far as words and output go the same, and much quicker."""

    def __call__(self, *words: object, code: int = 0, cwd: Path = Path()) -> subprocess.CompletedProcess:
        command = [os.fspath(_as_word(word)) for word in words]
        with contextlib.chdir(cwd):
            result = CliRunner().invoke(app, command, env=self.environment, prog_name="echoic")
        assert isinstance(result.exception, SystemExit | None), result.exc_info
        assert result.exit_code == code, f"exit code {result.exit_code}\n{result.output}"
        return subprocess.CompletedProcess(command, code, result.stdout, result.stderr)


def _as_word(word: object) -> object:
    return word if isinstance(word, (str, bytes, os.PathLike)) else str(word)


@pytest.fixture(scope="module")
def doubles():
    """Encoders of another package, tests/doubles, as if it was installed."""
    package = Path(__file__).parents[1] / "doubles"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(package)
        patch.setenv("PYTHONPATH", f"{package}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        yield


@pytest.fixture
def folder(tmp_path):
    """A folder for audio files."""
    path = tmp_path / "audio"
    path.mkdir()
    return path


@pytest.fixture
def library(tmp_path):
    """A library that is not made yet."""
    with Library(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def echoic(tmp_path):
    """The command line, on the library of the ``library`` fixture."""
    return CommandLine(tmp_path / "library")


class _KeptWorkers(WorkerPool):
    """Worker processes that stay when a library is closed or a command ends: to start one takes long."""

    def __exit__(self, *exception: object) -> None:
        """Leave them to what comes next."""


#: What workers read of the environment, when they are started.
_READ_BY_WORKERS = (
    "AWS_ENDPOINT_URL",
    "ECHOIC_MODELS",
    "ECHOIC_FILE_SECONDS",
    "ECHOIC_FILE_MEBIBYTES",
    "PYTHONPATH",
)


@pytest.fixture(scope="session")
def kept_workers() -> Iterator[Callable[..., WorkerPool]]:
    """Return pools of so many processes, the same ones as long as the environment is the same."""
    pools: dict[tuple[object, ...], WorkerPool] = {}
    known: tuple[str | None, ...] = ()

    def close() -> None:
        for pool in pools.values():
            pool.close()

    def kept(n_workers: int, budget: Budget | None = None) -> WorkerPool:
        nonlocal known
        around = tuple(os.environ.get(name) for name in _READ_BY_WORKERS)
        if around != known:
            close()  # they begin again when they are needed
            known = around
        budget = Budget.chosen() if budget is None else budget
        return pools.setdefault((n_workers, budget), _KeptWorkers(n_workers, budget))

    yield kept
    close()


@pytest.fixture(autouse=True, scope="module")
def _workers_are_kept(kept_workers: Callable[..., WorkerPool]) -> Iterator[None]:
    """Whatever runs within this process uses workers that are there; a command of its own starts its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("echoic.analysis.workers.WorkerPool", kept_workers)
        yield


@pytest.fixture(scope="session")
def worker(kept_workers: Callable[..., WorkerPool]) -> WorkerPool:
    """One worker process for all tests, for a library that is to have no other."""
    return kept_workers(1)


@pytest.fixture
def index(library, folder, worker):
    """Index the folder with one worker and the quick encoder; the arguments are those of Library.index."""

    def run(*paths, **options):
        if library._opening._pool is None:
            library._opening._pool = (1, worker)
        return library.index(paths or [folder], **{"encoders": ENCODERS, "jobs": 1} | options)

    return run


@pytest.fixture
def model(tmp_path):
    """A second encoder: a model by path, named mean-level."""
    return write_model(tmp_path / "mean-level.onnx")
