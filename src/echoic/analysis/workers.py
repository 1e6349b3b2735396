"""Worker processes that turn files into vectors.

Each worker is a fresh interpreter that reads tasks on its standard input and writes results to its standard
output (:mod:`echoic.analysis.messages`). Unlike ``multiprocessing``, this needs no
``if __name__ == "__main__"`` in a user's script, and a worker that a hostile file brings down, or keeps
beyond its :class:`Budget`, costs that file only. Workers end when their input closes, in the middle of a file
too, so none outlives a killed parent.
"""

from __future__ import annotations

import hashlib
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn, Protocol

import numpy as np

from echoic import buckets
from echoic.addresses import in_bucket
from echoic.analysis import messages
from echoic.analysis.messages import Analysis, Task
from echoic.analysis.parts import Parts
from echoic.audio.source import Source
from echoic.errors import AudioError, EchoicError, EncoderError, UnreadableError, UsageError, quoted
from echoic.machine import give_back_memory, n_cores
from echoic.types import Segments
from echoic.untrusted import shown

if TYPE_CHECKING:
    from echoic.encoders.base import Encoder

__all__ = ["Analysis", "Budget", "Pool", "Task", "WorkerPool", "digest_of", "n_workers"]

# Libraries that start a thread for each core would have the workers fight over them.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)

# NumPy would ask for pages of 2 MB wherever it needs 4, and touch less than half of them: 10 MB a worker.
_SMALL_PAGES = {"NUMPY_MADVISE_HUGEPAGE": "0"}

_BLOCK = 1 << 20  # bytes read at a time

_LAST_WORDS = 1.0  # s for a worker that closed its pipe to end by itself, and so tell its exit code

# A worker tells that it gets on after so much sound, or so much of a file that it only reads through.
_STRETCH = 60.0  # s
_STRETCH_BYTES = 256 << 20
_PART = 16_384  # segments that are told together, of a file that has many

_LOOK = 0.1  # s between two looks at what the workers take
_LONG_LOOK = 1.0  # s that count at most, as while this process was stopped (Ctrl-Z) nobody heard the workers


@dataclass(frozen=True, slots=True)
class Budget:
    """What one file may take: what is longer may take longer, so that only one that hangs or swells fails.

    Parameters
    ----------
    seconds : float
        For each minute of sound, the first included, or each 256 MiB of a file that is only read through.
    mebibytes : float
        By which a worker may grow over one file, where the system tells it (Linux).
    """

    seconds: float = 300.0
    mebibytes: float = 2048.0

    @classmethod
    def chosen(cls) -> Budget:
        """Return what ``$ECHOIC_FILE_SECONDS`` and ``$ECHOIC_FILE_MEBIBYTES`` say, or else the defaults.

        Raises
        ------
        UsageError
            If one of them is no number above 0.
        """
        seconds, mebibytes = _number(_SECONDS), _number(_MEBIBYTES)
        default = cls()
        return cls(seconds or default.seconds, mebibytes or default.mebibytes)


_SECONDS, _MEBIBYTES = "ECHOIC_FILE_SECONDS", "ECHOIC_FILE_MEBIBYTES"


def _number(variable: str) -> float | None:
    text = os.environ.get(variable, "")
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise UsageError(f"${variable} is {text!r} and must be a number above 0")
    return number


def digest_of(path: Path, progress: Callable[[int], None] = lambda _: None) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal; ``progress`` is told the bytes of each block.

    Raises
    ------
    UnreadableError
        If the file cannot be read.
    """
    digest = hashlib.sha256()
    with closing(Source(path)) as source:
        while block := source.read(_BLOCK):
            digest.update(block)
            progress(len(block))
    if source.error is not None:
        raise UnreadableError(f"{quoted(path)} cannot be read ({source.error.strerror}); check the disk")
    return digest.hexdigest()


def n_workers(jobs: int | None) -> int:
    """Return how many worker processes are meant: by default one for each core.

    Raises
    ------
    UsageError
        If it is none.
    """
    n = n_cores() if jobs is None else jobs
    if n < 1:
        raise UsageError(f"jobs is a number of worker processes and must be at least 1, not {n}")
    return n


class Pool(Protocol):
    """What analyses files: processes here, or elsewhere (:mod:`echoic.cluster`)."""

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Analysis | AudioError]]:
        """Analyse files; results come as they are done, in any order, one for each task."""
        ...

    def close(self) -> None:
        """End what is at work; what it was at is lost."""
        ...


class WorkerPool:
    """Processes that analyse files side by side.

    Parameters
    ----------
    n_workers : int
        One a core is best: each keeps to one thread.
    budget : Budget, optional
        By default what the environment says.
    """

    def __init__(self, n_workers: int, budget: Budget | None = None) -> None:
        budget = Budget.chosen() if budget is None else budget
        self._workers = [_Worker(budget) for _ in range(n_workers)]

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers at once; what they were at is lost."""
        for worker in self._workers:
            worker.stop()

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Analysis | AudioError]]:
        """Analyse files; results come as they are done, in any order.

        Tasks are drawn as workers come free, and workers wait for slow readers, so neither side piles up.

        Raises
        ------
        EchoicError
            What is wrong with an encoder rather than with a file.
        """
        source = iter(tasks)
        lock = threading.Lock()
        done: queue.Queue[tuple[Task, Analysis | EchoicError] | Exception | None]
        done = queue.Queue(2 * len(self._workers))
        stopped = threading.Event()

        def serve(worker: _Worker) -> None:
            try:
                while not stopped.is_set():
                    with lock:
                        task = next(source, None)
                    if task is None:
                        break
                    done.put((task, worker.analyse(task)))
            except Exception as error:  # noqa: BLE001 - raised again where the results are awaited
                done.put(error)
            done.put(None)

        def watch() -> None:
            looked = time.monotonic()
            while not stopped.wait(_LOOK):
                since, looked = looked, time.monotonic()
                for worker in self._workers:
                    worker.hold_to_budget(looked - since)

        threads = [threading.Thread(target=serve, args=(w,), daemon=True) for w in self._workers]
        for thread in (*threads, threading.Thread(target=watch, daemon=True)):
            thread.start()
        running = len(threads)
        try:
            while running:
                item = done.get()
                if item is None:
                    running -= 1
                    continue
                if isinstance(item, Exception):
                    raise item
                task, result = item
                if isinstance(result, EchoicError) and not isinstance(result, AudioError):
                    raise result
                yield task, result
        finally:
            stopped.set()
            if running:  # stopped half way: free the threads that wait on a worker or on a full queue
                self.close()
                while any(thread.is_alive() for thread in threads):
                    try:
                        done.get(timeout=0.05)
                    except queue.Empty:
                        continue


class _Worker:
    """The parent's end of one worker process, started on its first task and again after a crash."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._process: subprocess.Popen[bytes] | None = None
        self._loaded: set[tuple[str, str]] = set()  # encoders that the process has shown to work
        self._watched = threading.Lock()
        self._left: float | None = None  # s to the next sign of life; None while no file is worked on
        self._before = 0.0  # MiB that the process had when it began with the file
        self._excess = ""  # what of the budget was used up

    def analyse(self, task: Task) -> Analysis | EchoicError:
        for _ in range(2):
            process = self._process or self._start()
            try:
                return self._asked(process, task)
            except (EOFError, OSError, ValueError):
                with suppress(subprocess.TimeoutExpired):  # it lives and talks nonsense: stop() ends it
                    process.wait(_LAST_WORDS)
                self._at_rest()
                was_loaded = self._loaded.issuperset(task.encoders)
                self.stop()
            if self._excess:
                return UnreadableError(f"{quoted(task.path)} was given up: {self._excess}")
            if was_loaded:
                # It may have run out of memory, or been killed by hand: the file gets another chance.
                return UnreadableError(
                    f"{quoted(task.path)} brought its worker process down (exit code {process.returncode}); "
                    "it is tried again next time, leave it out if that happens again"
                )
        # Twice, before the file was even opened.
        return EncoderError(
            f"{' or '.join(key for _, key in task.encoders)} brings its process down when it is loaded "
            f"(exit code {process.returncode}); its model is damaged or needs more memory than there is"
        )

    def _start(self) -> subprocess.Popen[bytes]:
        self._loaded.clear()
        self._process = subprocess.Popen(
            # -P: nothing is imported from the folder that a person happens to be in.
            [sys.executable, "-P", "-m", "echoic.analysis.workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_SMALL_PAGES | os.environ | _ONE_THREAD,
            start_new_session=os.name == "posix",  # Ctrl-C is the parent's to handle
        )
        return self._process

    def _asked(self, process: subprocess.Popen[bytes], task: Task) -> Analysis | EchoicError:
        assert process.stdin is not None
        assert process.stdout is not None
        self._excess = ""
        messages.write(process.stdin, *messages.told(task))
        most = int(self._budget.mebibytes * (1 << 20))
        keys, before = [key for _, key in task.encoders], dict[str, Parts]()
        while True:
            header, arrays = messages.read(process.stdout, most)
            if (key := header.get("part")) is not None:
                if key not in keys:
                    raise ValueError(f"a part of {shown(key)}")
                segments = messages.as_segments(key, arrays)
                try:
                    if key not in before:
                        before[key] = Parts()
                    before[key].add(segments)
                except OSError as error:  # of this process, not of the worker, which has more to tell
                    self._at_rest()
                    self.stop()
                    return UnreadableError(
                        f"what is said in {quoted(task.path)} cannot be kept in "
                        f"{quoted(tempfile.gettempdir())} ({error.strerror or error}); make room there and "
                        "run it again"
                    )
                continue
            if "alive" not in header:
                break
            self._loaded.update(task.encoders)
            with self._watched:
                if self._left is None:
                    self._before = _mebibytes(process.pid)
                self._left = self._budget.seconds
        self._at_rest()
        if self._excess:  # it was ended as it was done
            self.stop()
        if "error" in header:
            return messages.as_error(header)
        return replace(messages.as_analysis(header, arrays, keys), before=before)

    def _at_rest(self) -> None:
        with self._watched:
            self._left = None

    def hold_to_budget(self, passed: float) -> None:
        """End the process if its file, ``passed`` seconds after the last look, has taken more than it may."""
        with self._watched:
            process = self._process
            if self._left is None or process is None or self._excess:
                return
            self._left -= min(passed, _LONG_LOOK)
            if self._left < 0:
                self._excess = (
                    f"in {self._budget.seconds:g} s its worker got through no further minute of it; leave it "
                    f"out, or allow more with ${_SECONDS}"
                )
            elif _mebibytes(process.pid) - self._before > self._budget.mebibytes:
                self._excess = (
                    f"its worker took more than {self._budget.mebibytes:g} MiB; leave it out, or allow more "
                    f"with ${_MEBIBYTES}"
                )
            if self._excess:
                process.kill()

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    _close_quietly(pipe)


def _close_quietly(pipe: IO[bytes]) -> None:
    try:
        pipe.close()
    except BrokenPipeError:  # unsent bytes for a process that is gone: there is nobody to tell
        return


def _mebibytes(pid: int) -> float:
    """Return what a process has in memory; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


# In the worker process


def _analyse(
    task: Task,
    encoders: dict[tuple[str, str], Encoder],
    tell_alive: Callable[[], None],
    tell_part: Callable[[str, Segments], None],
) -> Analysis | EchoicError:
    from echoic.analysis.pipeline import embed_file, try_encoder
    from echoic.encoders.registry import load_encoder

    try:
        due: dict[str, Encoder] = {}
        for source, key in task.encoders:
            if (source, key) not in encoders:
                encoder = load_encoder(source)
                if encoder.spec.key != key:
                    raise EncoderError(
                        f"{source} has become {encoder.spec.key} where {key} was due; run the command again"
                    )
                try_encoder(encoder)
                encoders[source, key] = encoder
            due[key] = encoders[source, key]
        tell_alive()
        if in_bucket(str(task.path)):
            buckets.choose(task.path)  # whoever asks has seen to it
        digest = digest_of(task.path, _each(_STRETCH_BYTES, tell_alive))
        waiting: dict[str, list[Segments]] = {}

        def hand_on(key: str, segments: Segments) -> None:
            some = waiting.setdefault(key, [])
            some.append(segments)
            if sum(map(len, some)) >= _PART:
                tell_part(key, _end_to_end(some))
                some.clear()

        progress = _each(_STRETCH, tell_alive)
        info, segments = embed_file(task.path, due, track=task.track, progress=progress, hand_on=hand_on)
        found = {key: _end_to_end([*waiting.get(key, ()), segments[key]]) for key in due}
        return Analysis(info, digest, found)
    except EchoicError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever a file provokes, the run goes on and says so
        said = " ".join(str(error).split())
        return UnreadableError(
            f"{quoted(task.path)} could not be analysed ({type(error).__name__}: {said}); please report it"
        )


def _end_to_end(some: Sequence[Segments]) -> Segments:
    if len(some) == 1:
        return some[0]
    return Segments(
        np.concatenate([one.starts for one in some]),
        np.concatenate([one.ends for one in some]),
        np.concatenate([one.vectors for one in some]),
    )


def _each(stretch: float, act: Callable[[], None]) -> Callable[[float], None]:
    """Make a function that adds up what it is told, and acts whenever that is a stretch more."""
    since = 0.0

    def add(amount: float) -> None:
        nonlocal since
        since += amount
        if since >= stretch:
            since = 0.0
            act()

    return add


def _main(argv: Sequence[str]) -> NoReturn:
    if argv:
        raise SystemExit("usage: python -m echoic.analysis.workers (started by Echoic itself)")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints must not get between the results.
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    encoders: dict[tuple[str, str], Encoder] = {}

    def tell_alive() -> None:
        messages.write(results, {"alive": True})

    def tell_part(key: str, segments: Segments) -> None:
        messages.write(results, {"part": key}, [segments.starts, segments.ends, segments.vectors])

    try:
        while True:
            result = _analyse(tasks.get(), encoders, tell_alive, tell_part)
            give_back_memory()  # before the parent has the vectors, too
            messages.write(results, *messages.told(result))
            del result  # else it would lie here until the next file is done
    except BrokenPipeError:  # the parent is gone
        os._exit(0)


def _listen(tasks: queue.SimpleQueue[Task]) -> None:
    """Pass on what the parent sends, and end this process, whatever it is at, when the parent has gone."""
    try:
        while True:
            tasks.put(messages.as_task(messages.read(sys.stdin.buffer, 0)[0]))
    except EOFError:  # in the middle of a task, too, if it was killed
        os._exit(0)


if __name__ == "__main__":
    _main(sys.argv[1:])
