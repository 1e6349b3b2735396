"""Encodes files on the machines of a Ray cluster, in the place of this machine's worker processes.

Each core of the cluster holds an actor, and in it a :class:`~echoic.analysis.workers.WorkerPool` of one: the
same that encodes here, with its budget, its checks of what comes back, and its encoders kept loaded. Files
are opened where they are encoded, so every machine must see them at the same paths. What comes back is
committed by whoever asked, and by nobody else: a file whose actor or machine was lost is given to another,
and told once.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from echoic.analysis.workers import Analysis, Budget, Task, WorkerPool
from echoic.errors import (
    AudioError,
    ClusterError,
    EchoicError,
    MissingDependencyError,
    UnreadableError,
    quoted,
)

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["LOCAL", "ClusterPool"]

#: Means a cluster of this machine alone, started for the run.
LOCAL = "local"

_A_CORE = 2  # files that an actor has at a time: one that it is at, one that waits
_MOST_TRIES = 3  # of a file that takes actors with it
_MOST_STARTS = 5  # that fail one after the other
_CONNECTS_WITHIN = 10.0  # s
_LOOK = 1.0  # s in which Ctrl-C is heeded


class _Encoding:
    """What runs in the cluster: one actor a core."""

    def __init__(self, budget: Budget) -> None:
        self._pool = WorkerPool(1, budget)

    def is_ready(self) -> bool:
        """Answer, which an actor does once it is placed."""
        return True

    def analyse(self, task: Task) -> Analysis | EchoicError:
        """Encode a file; what goes wrong is a value, as Ray would wrap what is raised."""
        try:
            [(_, result)] = self._pool.run([task])
        except EchoicError as error:
            return error
        return result


class ClusterPool:
    """Processes of a Ray cluster that analyse files; a :class:`~echoic.analysis.workers.Pool`.

    Parameters
    ----------
    address : str
        Of the cluster, ``auto`` for the one that this machine belongs to, or ``local``.
    n_workers : int, optional
        By default one for each core of the cluster.
    budget : Budget, optional
        Of a file; by default what the environment here says.

    Raises
    ------
    MissingDependencyError
        If Ray is not installed.
    ClusterError
        If no cluster answers at the address.
    """

    def __init__(self, address: str, n_workers: int | None = None, budget: Budget | None = None) -> None:
        self._budget = Budget.chosen() if budget is None else budget
        self._ray, self._is_ours = _connected(address, n_workers)
        self._n_workers = n_workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))
        self._actor = self._ray.remote(num_cpus=1, max_restarts=0)(_Encoding)
        self._starting: dict[Any, Any] = {}  # what answers when an actor is ready, and the actor
        self._loads: Counter[Any] = Counter()  # of the actors that are ready: how many files each has
        self._failures = 0

    def close(self) -> None:
        """End the actors at once, what they were at is lost, and leave the cluster."""
        self._end_actors()
        if self._is_ours:
            self._is_ours = False
            self._ray.shutdown()

    def _end_actors(self) -> None:
        if self._ray.is_initialized():  # else they ended with the connection
            for actor in (*self._starting.values(), *self._loads):
                self._ray.kill(actor)
        self._starting.clear()
        self._loads.clear()

    def __enter__(self) -> ClusterPool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Analysis | AudioError]]:
        """Analyse files; results come as they are done, in any order, one for each task.

        Tasks are drawn as actors come free, and no more results are under way than actors can hold.

        Raises
        ------
        EchoicError
            What is wrong with an encoder or with the cluster rather than with a file.
        """
        source = iter(tasks)
        again: deque[Task] = deque()
        under_way: dict[Any, tuple[Any, Task, int]] = {}  # by what will answer: who has it, and as how many
        tries: Counter[Task] = Counter()
        is_drawn = False
        try:
            while True:
                self._fill()
                while actor := self._free():
                    # A file that was lost with an actor is alone with the next: it may be what ended it.
                    if again and self._loads[actor]:
                        break
                    task, size = (again.popleft(), _A_CORE) if again else (next(source, None), 1)
                    if task is None:
                        is_drawn = True
                        break
                    under_way[actor.analyse.remote(task)] = actor, task, size
                    self._loads[actor] += size
                if is_drawn and not under_way and not again:
                    return
                done, _ = self._ray.wait([*self._starting, *under_way], num_returns=1, timeout=_LOOK)
                for answer in done:
                    if answer in self._starting:
                        self._start(answer)
                        continue
                    actor, task, size = under_way.pop(answer)
                    result = self._result(answer, actor, size)
                    if result is None:
                        tries[task] += 1
                        if tries[task] < _MOST_TRIES:
                            again.append(task)
                            continue
                        result = _poison(task)
                    if isinstance(result, EchoicError) and not isinstance(result, AudioError):
                        raise result
                    yield task, result
        finally:
            if under_way:  # stopped half way
                self._end_actors()

    def _fill(self) -> None:
        """Ask for as many actors as there are to be; those for which there is no core yet wait for one."""
        while len(self._starting) + len(self._loads) < self._n_workers:
            actor = self._actor.remote(self._budget)
            self._starting[actor.is_ready.remote()] = actor

    def _start(self, answer: Any) -> None:
        actor = self._starting.pop(answer)
        try:
            self._ray.get(answer)
        except self._ray.exceptions.RayError as error:
            self._failures += 1
            if self._failures >= _MOST_STARTS:
                said = " ".join(str(error).split())[:300]
                raise ClusterError(
                    "no machine of the Ray cluster can encode; Echoic must be installed on each, in the same "
                    f"version as here ({said})"
                ) from error
            return
        self._failures = 0
        self._loads[actor] = 0

    def _free(self) -> Any:
        """Return the actor that has least to do, if one can take a file."""
        least = min(self._loads, key=self._loads.__getitem__, default=None)
        return None if least is None or self._loads[least] >= _A_CORE else least

    def _result(self, answer: Any, actor: Any, size: int) -> Analysis | EchoicError | None:
        """Take what an actor found; None if that was lost, for which the file is given out again."""
        try:
            result: Analysis | EchoicError | None = self._ray.get(answer)
        except self._ray.exceptions.RayActorError:
            self._loads.pop(actor, None)
            return None
        except self._ray.exceptions.RayError:
            result = None  # the actor lives, and what it found is gone with a machine, say
        if actor in self._loads:
            self._loads[actor] -= size
        return result


def _poison(task: Task) -> UnreadableError:
    return UnreadableError(
        f"{quoted(task.path)} took {_MOST_TRIES} workers of the Ray cluster with it; it is tried again next "
        "time, leave it out if that happens again"
    )


def _connected(address: str, n_workers: int | None) -> tuple[ModuleType, bool]:
    """Connect to a cluster, or start one; tell whether this process had no connection before."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to its makers
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError("encoding on a Ray cluster", "ray") from error
    if ray.is_initialized():
        return ray, False
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    options |= (
        {"num_cpus": n_workers, "include_dashboard": False} if address == LOCAL else {"address": address}
    )
    if address not in (LOCAL, "auto"):
        _check_reached(address)
    is_main = threading.current_thread() is threading.main_thread()
    terminating = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise _unreached(address, error) from error
    finally:
        if is_main:
            with suppress(TypeError):  # one that Python did not set
                signal.signal(signal.SIGTERM, terminating)  # Ray has its own; Echoic says how it was stopped
    # Of each lost worker Ray tells at length on standard output, where results go, whatever log_to_driver is.
    ray._private.worker.print_to_stdstream = _pass_over
    return ray, True


def _pass_over(data: Any, ignore_prefix: bool) -> None:
    """Print nothing: what a lost worker means for a file is told with the file."""


def _check_reached(address: str) -> None:
    """Raise ClusterError unless something listens at an address; Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), _CONNECTS_WITHIN).close()
    except (OSError, OverflowError, ValueError) as error:
        raise _unreached(address, error) from error


def _unreached(address: str, error: Exception) -> ClusterError:
    said = " ".join(str(error).split())[:200]
    return ClusterError(
        f"no Ray cluster answers at {quoted(address)} ({said}); start one with: ray start --head, or name "
        f"--ray {LOCAL}"
    )
