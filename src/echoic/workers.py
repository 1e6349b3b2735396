"""Worker processes that turn files into vectors.

Each worker is a fresh interpreter that reads pickled tasks on its standard input and writes pickled results
to its standard output. Unlike ``multiprocessing``, this needs no ``if __name__ == "__main__"`` in a user's
script, and a worker that a hostile file brings down costs that file only. Workers end when their input
closes, in the middle of a file too, so none outlives a killed parent.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from echoic.audio.source import Source
from echoic.errors import AudioError, EchoicError, EncoderError, UnreadableError, quoted
from echoic.types import AudioInfo, Segments, TrackChoice

if TYPE_CHECKING:
    from echoic.encoders.base import Encoder

__all__ = ["Analysis", "Task", "WorkerPool", "digest_of"]

# Libraries that start a thread for each core would have the workers fight over them.
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)

_BLOCK = 1 << 20  # bytes read at a time

_LAST_WORDS = 1.0  # s for a worker that closed its pipe to end by itself, and so tell its exit code


@dataclass(frozen=True, slots=True)
class Task:
    """A file and the encoders due on it, each by what it is loaded by and the ``name@revision`` it must be.

    A worker may still have an encoder loaded that has changed on disk since. ``track`` is as in
    :func:`~echoic.embedding.embed_file`.
    """

    path: Path
    encoders: tuple[tuple[str, str], ...]
    track: TrackChoice | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What a worker found: ``segments`` by ``name@revision``."""

    info: AudioInfo
    digest: str
    segments: dict[str, Segments]


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises
    ------
    UnreadableError
        If the file cannot be read.
    """
    digest = hashlib.sha256()
    with closing(Source(path)) as source:
        while block := source.read(_BLOCK):
            digest.update(block)
    if source.error is not None:
        raise UnreadableError(f"{quoted(path)} cannot be read ({source.error.strerror}); check the disk")
    return digest.hexdigest()


class WorkerPool:
    """Processes that analyse files side by side.

    Parameters
    ----------
    n_workers : int
        One a core is best: each keeps to one thread.
    """

    def __init__(self, n_workers: int) -> None:
        self._workers = [_Worker() for _ in range(n_workers)]

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

        threads = [threading.Thread(target=serve, args=(w,), daemon=True) for w in self._workers]
        for thread in threads:
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

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def analyse(self, task: Task) -> Analysis | EchoicError:
        if self._process is None:
            self._process = subprocess.Popen(
                # -P: nothing is imported from the folder that a person happens to be in.
                [sys.executable, "-P", "-m", "echoic.workers"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | _ONE_THREAD,
                start_new_session=os.name == "posix",  # Ctrl-C is the parent's to handle
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            pickle.dump(task, process.stdin)
            process.stdin.flush()
            result = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError, ValueError):
            with suppress(subprocess.TimeoutExpired):  # it lives and talks nonsense: stop() ends it
                process.wait(_LAST_WORDS)
            self.stop()
            # It may have run out of memory, or been killed by hand: the file gets another chance.
            return UnreadableError(
                f"{quoted(task.path)} brought its worker process down (exit code {process.returncode}); "
                "it is tried again next time, leave it out if that happens again"
            )
        assert isinstance(result, Analysis | EchoicError)
        return result

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


def _analyse(task: Task, encoders: dict[tuple[str, str], Encoder]) -> Analysis | EchoicError:
    from echoic.embedding import embed_file
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
                encoders[source, key] = encoder
            due[key] = encoders[source, key]
        digest = digest_of(task.path)
        info, segments = embed_file(task.path, due, track=task.track)
        return Analysis(info, digest, segments)
    except EchoicError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever a file provokes, the run goes on and says so
        said = " ".join(str(error).split())
        return UnreadableError(
            f"{quoted(task.path)} could not be analysed ({type(error).__name__}: {said}); please report it"
        )


def _main(argv: Sequence[str]) -> NoReturn:
    if argv:
        raise SystemExit("usage: python -m echoic.workers (started by Echoic itself)")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints must not get between the results.
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(tasks,), daemon=True).start()
    encoders: dict[tuple[str, str], Encoder] = {}
    while True:
        result = _analyse(tasks.get(), encoders)
        try:
            pickle.dump(result, results, protocol=pickle.HIGHEST_PROTOCOL)
            results.flush()
        except BrokenPipeError:  # the parent is gone
            os._exit(0)


def _listen(tasks: queue.SimpleQueue[Task]) -> None:
    """Pass on what the parent sends, and end this process, whatever it is at, when the parent has gone."""
    try:
        while True:
            tasks.put(pickle.load(sys.stdin.buffer))
    except (EOFError, pickle.UnpicklingError):  # the latter if it was killed in the middle of a task
        os._exit(0)


if __name__ == "__main__":
    # Run as a script this module is __main__, and its classes would be strangers to the parent's.
    from echoic import workers

    workers._main(sys.argv[1:])
