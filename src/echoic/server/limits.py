"""How much is done at once, and how much sound a request may bring."""

from __future__ import annotations

import asyncio
import math
import os
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from echoic.audio.limit import at_most
from echoic.errors import UsageError
from echoic.server.problems import refuse
from echoic.server.stopping import Stoppable
from echoic.types import FileRecord

__all__ = ["Pool", "Rate", "Uploads", "check_part_length", "listening_at_most"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_MOST_UPLOADS = 32  # that arrive at once, each with a file of its own
_LONGEST_SUFFIX = 9
_MOST_CLIENTS = 10_000


class Pool:
    """Threads for work that takes time: so much is done at once, so much waits, the rest is turned away.

    Parameters
    ----------
    n_threads, n_waiting : int
    """

    def __init__(self, n_threads: int, n_waiting: int) -> None:
        self._threads = ThreadPoolExecutor(n_threads, "echoic-serve")
        self._most = n_threads + n_waiting
        self._lock = threading.Lock()
        self.n_taken = 0

    async def run(self, work: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run a function in one of the threads and return what it does; once it is cancelled, stop it there.

        Raises
        ------
        HTTPException
            429, if too much is waiting.
        """
        with self._lock:
            if self.n_taken >= self._most:
                refuse(429, "too much is asked for at once; try again in a second", Retry_After="1")
            self.n_taken += 1
        stoppable = Stoppable(work)
        future = self._threads.submit(stoppable, *args, **kwargs)
        future.add_done_callback(self._release)  # also of work that nobody waits for any more
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            stoppable.stop()
            raise

    def close(self) -> None:
        """Let what is running come to its end; what is waiting is dropped."""
        self._threads.shutdown(cancel_futures=True)

    def _release(self, _: Future[_R]) -> None:
        with self._lock:
            self.n_taken -= 1


class Rate:
    """How often each client may ask: a minute's requests at once, then as many as come again with time.

    A token bucket for each (RFC 2697's, with one rate). Those that asked longest ago are forgotten first.

    Parameters
    ----------
    per_minute : int
    clock : callable
        Tells seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = float(per_minute)
        self._clock = clock
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, client: Hashable) -> None:
        """Count a request of a client.

        Raises
        ------
        HTTPException
            429, if it has asked too often.
        """
        now = self._clock()
        left, before = self._left.pop(client, (self._most, now))
        left = min(self._most, left + (now - before) * self._most / 60)
        is_free = left >= 1
        self._left[client] = left - is_free, now
        if len(self._left) > _MOST_CLIENTS:
            self._left.popitem(last=False)
        if not is_free:
            pause = math.ceil((1 - left) * 60 / self._most)
            refuse(429, f"you ask too often; try again in {pause} s", Retry_After=str(pause))


class Uploads:
    """Takes the sound that requests bring into files, each for as long as it is worked on.

    Parameters
    ----------
    max_bytes : int
    seconds : float
        How long one may take to arrive.
    """

    def __init__(self, max_bytes: int, seconds: float) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="echoic-uploads-")
        self._max_bytes = max_bytes
        self._seconds = seconds
        self.n_arriving = 0

    @property
    def folder(self) -> Path:
        return Path(self._folder.name)

    @asynccontextmanager
    async def receive(self, request: Request, name: str) -> AsyncIterator[Path]:
        """Write a request's body to a file that is gone afterwards.

        Parameters
        ----------
        name : str
            What the sound is called; its suffix helps to tell formats apart.

        Raises
        ------
        HTTPException
            408, 413, 429; 422 if there is none.
        """
        if self.n_arriving >= _MOST_UPLOADS:
            refuse(429, "too many sounds arrive at once; try again in a second", Retry_After="1")
        suffix = Path(name).suffix
        is_plain = suffix.isascii() and suffix[1:].isalnum() and len(suffix) <= _LONGEST_SUFFIX
        descriptor, path = tempfile.mkstemp(suffix if is_plain else "", dir=self._folder.name)
        try:
            self.n_arriving += 1
            try:
                with os.fdopen(descriptor, "wb") as file:
                    n_bytes = 0
                    async with asyncio.timeout(self._seconds):
                        async for chunk in request.stream():
                            n_bytes += len(chunk)
                            if n_bytes > self._max_bytes:
                                refuse(
                                    413,
                                    f"the sound has more than {self._max_bytes:,} bytes",
                                    Connection="close",
                                )
                            file.write(chunk)
            except ClientDisconnect:
                refuse(408, "the sound broke off")  # which nobody hears any more
            except TimeoutError:
                refuse(408, f"the sound did not arrive within {self._seconds:g} s", Connection="close")
            finally:
                self.n_arriving -= 1
            if not n_bytes:
                refuse(422, "the body is empty; send a sound in it")
            yield Path(path)
        finally:
            Path(path).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the folder, with whatever a request has left there."""
        self._folder.cleanup()


def check_part_length(record: FileRecord, start: float | None, end: float | None, most: float) -> None:
    """Refuse to listen to more than so many seconds of a file of the library.

    Raises
    ------
    UsageError
        If it, or the part of it, is longer.
    """
    finish = record.duration if end is None else min(end, record.duration)
    if finish - (start or 0.0) > most:
        raise _too_long(most)


def _too_long(most: float) -> UsageError:
    return UsageError(
        f"more than {most:g} s of sound are not listened to at once; choose a part with start and end"
    )


@contextmanager
def listening_at_most(start: float | None, end: float | None, most: float) -> Iterator[None]:
    """Listen to no more than so many seconds of what comes, whatever it says about itself.

    Raises
    ------
    UsageError
        Where more of it, or of the part of it, is decoded.
    """
    begin = start or 0.0
    if end is not None and end - begin <= most:
        yield
        return
    with at_most(begin + most, _too_long(most)):
        yield
